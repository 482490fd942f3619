"""The documentation tells the truth of today: its sessions, links, and the tests that it names."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tools.sessions import PAGES, ROOT, Command, normalised, parse, run

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("bench/*.md"),
        *ROOT.glob("examples/*/*.md"),
    )
)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_CODE_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def text_of(name: str) -> str:
    """Return a document as it stands."""
    return (ROOT / name).read_text(encoding="utf-8")


def prose_of(name: str) -> str:
    """Return a document without its blocks of code."""
    return _CODE_BLOCK.sub("", text_of(name))


def anchors_of(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as forges make them."""
    headings = _HEADING.findall(_CODE_BLOCK.sub("", path.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def functions_in(path: Path) -> set[str]:
    """Return the names of the test functions in a file, and of the classes that run a suite."""
    found = {ast.FunctionDef: "test_", ast.ClassDef: "Test"}
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.name for node in nodes if type(node) in found and node.name.startswith(found[type(node)])}


@pytest.mark.parametrize("page", PAGES)
def test_a_session_prints_what_the_page_says(page: str, tmp_path: Path) -> None:
    """After a change of what commands print: `python -m tools.sessions`."""
    steps = parse(text_of(page))
    shown = [step for step in steps if isinstance(step, Command)]
    printed = run(steps, tmp_path.resolve())
    assert len(shown) > 5
    for expected, actual in zip(shown, printed, strict=True):
        assert normalised(actual.output) == normalised(expected.output), f"{page}:{expected.line}: {expected.text}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_within_the_repository_leads_somewhere(document: str) -> None:
    """To a file or folder that is there, and to a heading that it has."""
    broken = []
    for target in _LINK.findall(prose_of(document)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / document).parent / name if name else ROOT / document
        if not path.exists() or (anchor and anchor not in anchors_of(path)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_test_that_is_named_exists(document: str) -> None:
    """A guarantee that names its test is worth as much as the test."""
    missing = [
        f"{path}::{name}" for path, name in _TEST.findall(text_of(document)) if name not in functions_in(ROOT / path)
    ]
    assert missing == []


def test_every_guarantee_names_a_test() -> None:
    """Each section of the page on safety says where it is shown."""
    sections = re.split(r"^## ", text_of("docs/safety.md").partition("\n## Limits\n")[0], flags=re.MULTILINE)[1:]
    assert len(sections) > 8
    assert [section.partition("\n")[0] for section in sections if not _TEST.search(section)] == []
