"""Files and modules that the documentation names are there."""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from tools.sessions import ROOT

from .test_pages import DOCUMENTS, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_OF_TODAY = {"CHANGELOG.md", "docs/how-to-add-a-kind.md"}
"""The first speaks of what was, the second of what its reader makes; a test of its own does as it says."""
PAGES = [document for document in DOCUMENTS if document not in NOT_OF_TODAY]

_MODULE = re.compile(r"`([\w/]+\.py)(?:::\w+)?`")
_FOLDER = re.compile(r"`((?:sharectl|tests|tools|bench|schemas|docs|\.ci)/(?:[\w.-]+/)*)`")
_NAME = re.compile(r"`(sharectl(?!\.yaml`)(?:\.[^\W\d]\w*)+)(?:\(\))?`")
_ATTRIBUTE = re.compile(r'"(sharectl\.[a-z_.]+)"')
"""Attributes of spans are named as modules are."""


def paths_in(document: str) -> Iterator[str]:
    """Yield the modules and folders of this repository that a document names."""
    text = text_of(document)
    yield from _FOLDER.findall(text)
    yield from _MODULE.findall(text)


def is_there(document: str, path: str) -> bool:
    """Tell whether a path exists: from the root, from the package, or beside the document."""
    return any((folder / path).exists() for folder in (ROOT, ROOT / "sharectl", (ROOT / document).parent))


def is_importable(name: str) -> bool:
    """Tell whether a dotted name is a module, or something in one."""
    try:
        import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return "." in module and hasattr(import_module(module), attribute)
    return True


@pytest.mark.parametrize("document", PAGES)
def test_every_file_that_is_named_exists(document: str) -> None:
    """Also after a module has moved."""
    assert [path for path in paths_in(document) if not is_there(document, path)] == []


@pytest.mark.parametrize("document", PAGES)
def test_every_module_that_is_named_exists(document: str) -> None:
    """What a page tells to import can be imported."""
    attributes = _ATTRIBUTE.findall((ROOT / "sharectl/workspace/traces.py").read_text(encoding="utf-8"))
    named = set(_NAME.findall(text_of(document))).difference(attributes)
    assert [name for name in sorted(named) if not is_importable(name)] == []
