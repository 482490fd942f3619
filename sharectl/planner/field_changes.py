"""Changes of fields, before and after, in the words that people read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sharectl.model.plans import FieldChange
from sharectl.model.quantities import format_size

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from sharectl.model.access import AccessRule


def plain_changes(
    before: Mapping[str, Any], after: Mapping[str, Any], *, skip: Collection[str] = ()
) -> tuple[FieldChange, ...]:
    """Return what differs between two plain specs, by field; absent fields are None, sizes are written with units."""
    changes = []
    for name in sorted(before.keys() | after.keys()):
        if name in skip or before.get(name) == after.get(name):
            continue
        if name == "size_bytes":
            changes.append(size_change(before.get(name), after.get(name)))
        else:
            changes.append(FieldChange(name, before.get(name), after.get(name)))
    return tuple(changes)


def metadata_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """Return what differs apart from the size, which is a change of the share itself."""
    return plain_changes(before, after, skip=("size_bytes",))


def size_change(before_bytes: int | None, after_bytes: int | None) -> FieldChange:
    """Return the change of a size."""
    return FieldChange(
        "size",
        None if before_bytes is None else format_size(before_bytes),
        None if after_bytes is None else format_size(after_bytes),
    )


def rule_changes(before: Iterable[AccessRule], after: Iterable[AccessRule]) -> tuple[FieldChange, ...]:
    """Return what differs between two sets of access rules, by rule: its level before and after, None where it is not there."""
    old = {rule.key: rule.access_level for rule in before}
    new = {rule.key: rule.access_level for rule in after}
    return tuple(
        FieldChange(f"access/{key}", old.get(key), new.get(key))
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    )
