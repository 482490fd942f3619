"""Values of fields and of access rules as people read them in a change: before, arrow, after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sharectl.model.plans import Action
from sharectl.render.text import visible

if TYPE_CHECKING:
    from sharectl.model.field_changes import FieldChange


RULE_PREFIX: Final = "access/"


def shown_value(value: Any) -> str:  # noqa: ANN401 - whatever a manifest may hold
    """Return a value of a field on one line: texts as they are, the rest as JSON, absence as `(none)`."""
    if isinstance(value, str):
        return visible(value)
    if value is None:
        return "(none)"
    import orjson  # noqa: PLC0415 - loaded already by the model

    return visible(orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode())


def change_action(change: FieldChange) -> Action:
    """Return whether the field or rule appears, goes, or takes another value."""
    if change.before is None:
        return Action.CREATE
    return Action.DELETE if change.after is None else Action.UPDATE


def change_text(change: FieldChange) -> str:
    """Return `size  100GiB → 200GiB`, `access ip:10.0.0.0/8 rw` or `access ip:10.0.0.0/8 ro → rw`."""
    name = visible(change.field)
    gap = "  "
    if name.startswith(RULE_PREFIX):
        name, gap = f"access {name[len(RULE_PREFIX) :]}", " "
    if change.before is None:
        return f"{name}{gap}{shown_value(change.after)}"
    if change.after is None:
        return f"{name}{gap}{shown_value(change.before)}"
    return f"{name}{gap}{shown_value(change.before)} → {shown_value(change.after)}"
