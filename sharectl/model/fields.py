"""The fields of specs: what a plan does when one changes, how a manifest writes it, and what it refers to."""

from __future__ import annotations

from dataclasses import fields
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sharectl.model.frozen import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from dataclasses import Field
    from typing import Any

    from _typeshed import DataclassInstance

    from sharectl.model.kinds import Kind


class Policy(StrEnum):
    """What a plan does when a manifest gives a field another value."""

    IDENTITY = "identity"  # another name is another resource, unless an annotation says that it moved
    METADATA = "metadata"  # the row in the state follows; the backend is not asked
    IN_PLACE = "in-place"  # a verb changes the resource that is there
    IMMUTABLE = "immutable"  # refused with the reason and the way out, or replaced where that was asked for
    UNRECORDED = "unrecorded"  # no row holds it: each run takes it from the manifest


class Unit(StrEnum):
    """How a manifest writes a number that has a unit."""

    SIZE = "size"
    DURATION = "duration"


class Rule(NamedTuple):
    """What holds for one field of a spec.

    `policy` is None for a part of a field that has one. `written` is its name in a manifest: None where it follows from the
    field's (`shareNetwork` for `share_network`), empty where no manifest holds it. `choices` are its only values, `minimum` is its least. It names a
    resource of the kind `refers_to`, which has to be there first if `is_prerequisite`. `label` is what `show` calls it.
    In the plain form, one that `is_flat` is not there itself but its parts are, beside the other fields, and one that `is_always_kept`
    is there with its default too. A mapping that `is_spread` has its keys beside the other fields of the manifest.
    `verbs` change it in place. `because` and `way_out` explain why it cannot change; `{address}` in them stands for the resource, and `{place}` for where its own
    document is, where the field has its value by default.
    """

    policy: Policy | None = None
    written: str | None = None
    unit: Unit | None = None
    choices: type[StrEnum] | None = None
    minimum: int | None = None
    refers_to: Kind | None = None
    is_prerequisite: bool = False
    label: str = ""
    is_flat: bool = False
    is_spread: bool = False
    is_always_kept: bool = False
    verbs: tuple[str, ...] = ()
    because: str = ""
    way_out: str = ""


_KEY: Final = "rule"
ANY: Final = Rule()
"""The rule of a part: what becomes of it is said by the field that it is part of."""


def ruled(policy: Policy | None = None, **parts: Any) -> Mapping[str, Rule]:  # noqa: ANN401 - the parts of a Rule
    """Return the `metadata` of a dataclass field with this rule."""
    return {_KEY: Rule(policy, **parts)}


def rule_of(field: Field[Any]) -> Rule:
    """Return the rule of a dataclass field; that of a part where it has none."""
    rule: Rule = field.metadata.get(_KEY, ANY)
    return rule


def fields_with(cls: type[DataclassInstance], *policies: Policy) -> frozenset[str]:
    """Return the names of the fields of a dataclass that have one of these policies themselves."""
    return frozenset(field.name for field in fields(cls) if rule_of(field).policy in policies)


def written_name(field: Field[Any]) -> str:
    """Return what a manifest calls the field, empty where no manifest holds it."""
    written = rule_of(field).written
    return camel(field.name) if written is None else written


def camel(name: str) -> str:
    """Return `shareNetwork` for `share_network`."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
