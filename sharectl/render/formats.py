"""What commands show, and the formats that each of it has: one entry for each, loaded when it is written."""

from __future__ import annotations

from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sharectl.model.canonical import JsonObject


class Format(StrEnum):
    """How a result is written."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    GITHUB = "github"
    SARIF = "sarif"
    WIDE = "wide"
    CSV = "csv"
    NAME = "name"
    HTML = "html"

    @property
    def is_for_a_forge(self) -> bool:
        """Tell whether paths in it are under the root of the repository, where a forge looks for them."""
        return self in {Format.GITHUB, Format.SARIF}


PLAIN: Final = (Format.TEXT, Format.JSON, Format.MARKDOWN)
"""The formats of a command that changes something."""


def _text_and_json(module: str, name: str = "") -> dict[Format, str]:
    return {Format.TEXT: f"{module}:{name or module}_lines", Format.JSON: f"{module}:{name or module}_object"}


DOCUMENTS: Final[Mapping[str, Mapping[Format, str]]] = {
    "copies": _text_and_json("state", "copies"),
    "diff": _text_and_json("run_changes", "diff"),
    "drift": {Format.TEXT: "plan_text:drift_lines", Format.JSON: "plan_json:drift_object"},
    "explanation": _text_and_json("explain", "explained"),
    "failure": {
        Format.JSON: "diagnostics:failure_object",
        Format.MARKDOWN: "plan_markdown:failure_markdown",
        Format.GITHUB: "github:failure_annotations",
        Format.SARIF: "sarif:failure_sarif",
    },
    "history": _text_and_json("history"),
    "list": {
        **_text_and_json("listing", "list"),
        Format.WIDE: "listing:list_wide",
        Format.CSV: "listing:list_csv",
        Format.NAME: "listing:list_names",
    },
    "lock": _text_and_json("state", "lock"),
    "operations": _text_and_json("state", "operations"),
    "plan": {
        Format.TEXT: "plan_text:plan_lines",
        Format.JSON: "plan_json:plan_object",
        Format.MARKDOWN: "plan_markdown:plan_markdown",
        Format.GITHUB: "github:plan_annotations",
        Format.SARIF: "sarif:plan_sarif",
        Format.HTML: "pages.plan:plan_html",
    },
    "pools": _text_and_json("pools", "pools_view"),
    "record": _text_and_json("state", "record"),
    "resource": _text_and_json("resource"),
    "share_network": _text_and_json("resource", "share_network"),
    "share_server": _text_and_json("resource", "share_server"),
    "state": _text_and_json("state"),
    "takeover": {**_text_and_json("takeover"), Format.MARKDOWN: "takeover:takeover_markdown"},
    "trash": _text_and_json("state", "trash"),
    "undo": {Format.TEXT: "run_changes:undo_notes", Format.JSON: "run_changes:undo_object"},
    "who": _text_and_json("who"),
    "workers": _text_and_json("workers"),
    "validation": {
        **_text_and_json("diagnostics", "validation"),
        Format.MARKDOWN: "plan_markdown:validation_markdown",
        Format.GITHUB: "github:validation_annotations",
        Format.SARIF: "sarif:validation_sarif",
    },
}
"""Where the writer of each format of a document is, as `module:function` in this package.

A writer of text yields lines, and takes how it is to look; one of JSON or SARIF returns a JSON object; any other yields lines.
"""


def writer(document: str, style: Format) -> Callable[..., Any]:
    """Return what writes the document in the format; KeyError where there is none."""
    module, _, name = DOCUMENTS[document][style].partition(":")
    function: Callable[..., Any] = getattr(import_module(f"{__package__}.{module}"), name)
    return function


def named_fields(value: object, *names: str) -> JsonObject:
    """Return these attributes of a value under their names."""
    return {name: getattr(value, name) for name in names}


def document(name: str, /, **fields: Any) -> JsonObject:  # noqa: ANN401 - whatever JSON holds
    """Return a JSON document of the format `sharectl-NAME`, version 1; docs/json.md describes them all."""
    return {"format": f"sharectl-{name}", "version": 1, **fields}
