"""The documentation as a site, `python -m sphinx -c docs/site . BUILD`, and as manual pages, with `-b man`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from docutils.nodes import reference
from pygments.lexers.special import TextLexer

import sharectl

if TYPE_CHECKING:
    from docutils.nodes import document
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]

project = "sharectl"
release = version = sharectl.__version__
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "examples/**.md", "bench/*.md"]
exclude_patterns = [".*", "**/.*"]
myst_heading_anchors = 6
html_title = "sharectl"
html_theme = "furo"
html_show_sphinx = False
html_copy_source = False
man_pages = [
    ("docs/cli", "sharectl", "shared file systems as YAML in git", "", 1),
    ("docs/reference/kinds", "sharectl-manifests", "kinds of manifests and their fields", "", 5),
]

_FOLDER_LINK = re.compile(r"\]\(([\w./-]+?)/?\)")
_CONTENTS = """
```{toctree}
:hidden:
:glob:

../README
*
reference/*
adr/*
../examples/*/*
../bench/*
../CONTRIBUTING
../CHANGELOG
```
"""


def _with_pages_of_folders(_app: Sphinx, page: str, source: list[str]) -> None:
    """Let links to folders lead to the README.md in them, as on a forge; and give the first page the contents of the side bar."""
    folder = (ROOT / page).parent

    def resolved(match: re.Match[str]) -> str:
        target = match[1]
        return f"]({target}/README.md)" if (folder / target / "README.md").is_file() else match[0]

    source[0] = _FOLDER_LINK.sub(resolved, source[0])
    if page == root_doc:
        source[0] += _CONTENTS


def _without_links(app: Sphinx, tree: document, _page: str) -> None:
    """Leave the words of a link alone in a manual page, which cannot be followed from there."""
    if app.builder.name == "man":
        for link in list(tree.findall(reference)):
            link.replace_self(link.children)


def setup(app: Sphinx) -> None:
    """Read the pages as they stand in the repository; diagrams are shown as their text."""
    app.add_lexer("mermaid", TextLexer)
    app.connect("source-read", _with_pages_of_folders)
    app.connect("doctree-resolved", _without_links)
