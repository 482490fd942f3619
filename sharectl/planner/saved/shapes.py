"""What the objects of a saved plan hold, and the check of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sharectl.model.codec import Shapes, shapes_of
from sharectl.model.plans import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEXT: Final = "str | None"
_LIST: Final = "tuple[Any, ...]"
_SHAPES: Final[Mapping[str, Shapes]] = {
    name: shapes_of(annotations, Plan)
    for name, annotations in {
        "plan": {
            "lineage": "str",
            "serial": "int",
            "stopped": "bool | None",
            "summary": "Any",
            "steps": _LIST,
            "drift": _LIST,
            "diagnostics": _LIST,
            "held": f"{_LIST} | None",
            "overridden": "tuple[str, ...] | None",
            "unreadable": f"{_LIST} | None",
            "backends": "Mapping[str, Any]",
            "extra_specs": "Mapping[str, Mapping[str, str]]",
        },
        "step": {
            **dict.fromkeys(("id", "address", "action", "verb", "reason"), "str"),
            **dict.fromkeys(
                ("backend", "identity", "import_id", "import_resource_id", "moved_from", "shortage", "snapshot_id"),
                _TEXT,
            ),
            "expected_version": "int | None",
            "repairs": "bool | None",
            "export_settings": "Mapping[str, str] | None",
            "snapshot_policy": "Mapping[str, Any] | None",
            "before": "Mapping[str, Any] | None",
            **dict.fromkeys(("waits_for", "beside"), "tuple[str, ...] | None"),
            **dict.fromkeys(("changes", "candidates", "rules"), f"{_LIST} | None"),
        },
        "candidate": {
            "backend": "str",
            "pool": "str",
            "weight": "float",
            "weights": "Mapping[str, float]",
            "share_server": _TEXT,
        },
        "access rule": {
            **dict.fromkeys(("access_type", "access_to", "access_level"), "str"),
            "options": "Mapping[str, str] | None",
        },
        "former standing": {
            "protocol": _TEXT,
            "access": f"{_LIST} | None",
            "others": f"{_LIST} | None",
            "size_bytes": "int | None",
            "used_bytes": "int | None",
            "is_recorded": "bool | None",
            "scheduled_number": "int | None",
        },
        "change": {"field": "str", "before": "Any", "after": "Any"},
        "drift": {**dict.fromkeys(("address", "kind", "summary"), "str"), "changes": _LIST, "repaired_by": _TEXT},
        "held resource": {**dict.fromkeys(("address", "reason", "cause", "code"), "str"), "verbs": "tuple[str, ...]"},
        "unreadable backend": {"backend": "str", "allowed": "bool"},
        "summary": {"by_action": "Mapping[str, int]", "rules_by_action": "Mapping[str, int]", "unchanged": "int"},
        "diagnostic": {
            **dict.fromkeys(("severity", "code", "summary"), "str"),
            **dict.fromkeys(("detail", "remedy", "address"), _TEXT),
        },
        "source": {"path": "str", "line": "int", "column": "int", "document": "int | None", "excerpt": _TEXT},
        "origin": {"state_path": "str", "commit": _TEXT, "folder": "str"},
    }.items()
}
"""What the objects of a document hold; further fields are passed over."""


def checked(what: str, plain: Any) -> Mapping[str, Any]:  # noqa: ANN401 - whatever stands in the document
    """Return an object of the document, which is as it has to be. Raises ValueError."""
    if fault := _SHAPES[what].fault(plain):
        message = f"{'an' if what[0] in 'aou' else 'a'} {what} {fault}"
        raise ValueError(message)
    found: Mapping[str, Any] = plain
    return found
