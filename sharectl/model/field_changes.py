"""Changes of fields, before and after, in the words that people read."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.codec import codec_of
from sharectl.model.frozen import NamedTuple
from sharectl.model.quantities import format_size

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from sharectl.model.access import AccessRule
    from sharectl.model.codec import Spec

RULE_FIELD: Final = "access/"
"""How the field of a change of access begins; the key of the rule follows."""


class FieldChange(NamedTuple):
    """One field before and after, as people and JSON read it; None stands for absent."""

    field: str
    before: Any
    after: Any


def plain_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """Return what differs between two plain specs, by field; absent fields are None, sizes are written with units."""
    if not before:
        return tuple([_change(name, None, after[name]) for name in sorted(after) if after[name] is not None])
    names = sorted(before.keys() | after.keys())
    return tuple(
        _change(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)
    )


def _change(name: str, before: Any, after: Any) -> FieldChange:  # noqa: ANN401 - whatever the field holds
    return size_change(before, after) if name == "size_bytes" else FieldChange(name, before, after)


def spec_changes(before: Spec, after: Spec, *, skip: Collection[str] = ()) -> tuple[FieldChange, ...]:
    """Return the same of two specs of one kind, without making plain ones."""
    found = [each for each in codec_of(type(before)).differences(before, after) if each[0] not in skip]
    if len(found) > 1:
        found.sort(key=itemgetter(0))
    return tuple([_change(*each) for each in found])


def size_change(before_bytes: int | None, after_bytes: int | None) -> FieldChange:
    """Return the change of a size."""
    return FieldChange(
        "size",
        None if before_bytes is None else format_size(before_bytes),
        None if after_bytes is None else format_size(after_bytes),
    )


def rule_changes(before: Iterable[AccessRule], after: Iterable[AccessRule]) -> tuple[FieldChange, ...]:
    """Return what differs between two sets of access rules, by rule: what it grants before and after, None where it is not there."""
    old = {rule.key: rule.grant for rule in before}
    new = {rule.key: rule.grant for rule in after}
    if not old:
        return tuple([FieldChange(f"{RULE_FIELD}{key}", None, grant) for key, grant in sorted(new.items())])
    return tuple(
        FieldChange(f"{RULE_FIELD}{key}", old.get(key), new.get(key))
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    )
