"""The table of kinds: complete, true to the schemas, and said once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.manifests.schemas import schema_of
from sharectl.model.codec import Spec, codec_of, part_of
from sharectl.model.fields import Policy, rule_of, ruled, written_name
from sharectl.model.kinds import DERIVED_KINDS, KINDS, MANAGED_KINDS, Kind
from sharectl.model.specs import SchedulerHints, ShareSpec, SnapshotSpec
from sharectl.model.table import SPECS, spec_from_plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from dataclasses import Field

WITH_SPEC = sorted(SPECS)
WITH_SCHEMA = sorted(kind for kind in WITH_SPEC if KINDS[kind].schema)


def without_policy(cls: type, default: Policy | None = None) -> Iterator[str]:
    """Yield the fields of a class of which nobody says what becomes of a changed one."""
    for field in fields(cls):
        if (rule_of(field).policy or default) is None:
            part = part_of(cls, field)
            yield from [field.name] if part is None else (f"{field.name}.{name}" for name in without_policy(part))


def immutable(cls: type) -> Iterator[Field[Any]]:
    """Yield the fields of a class and of its parts that cannot change."""
    for field in fields(cls):
        if rule_of(field).policy is Policy.IMMUTABLE:
            yield field
        elif (part := part_of(cls, field)) is not None:
            yield from immutable(part)


def written_in_manifests(cls: type) -> dict[str, Any]:
    """Return the names that a manifest may hold, each with those within it."""
    found: dict[str, Any] = {}
    for field in fields(cls):
        name, part = written_name(field), part_of(cls, field)
        if name and field.name not in {"name", "labels"} and not rule_of(field).is_spread:
            found[name] = {} if part is None else written_in_manifests(part)
    return found


def named_in_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the properties of a schema, each with those within it."""
    return {name: named_in_schema(inner.get("items", inner)) for name, inner in schema.get("properties", {}).items()}


def test_every_kind_has_an_entry() -> None:
    """And those that nobody writes a manifest for have no schema."""
    assert set(KINDS) == set(Kind)
    assert {kind for kind, entry in KINDS.items() if not entry.schema} == DERIVED_KINDS


def test_what_a_plan_manages_has_a_manifest_and_a_recorded_spec() -> None:
    """That is what it compares."""
    assert {kind for kind, entry in KINDS.items() if entry.schema and entry.records_spec} == MANAGED_KINDS


@pytest.mark.parametrize("kind", WITH_SPEC)
def test_every_field_of_every_spec_has_a_policy(kind: Kind) -> None:
    """A new field is never immutable, or forgotten, by accident."""
    default = Policy.UNRECORDED if KINDS[kind].unrecorded else None
    assert list(without_policy(SPECS[kind], default)) == []


def test_a_field_without_a_policy_is_found() -> None:
    """The check above sees it, in a part too."""

    @dataclass(frozen=True)
    class Whole(Spec):
        name: str
        hints: SchedulerHints
        kept: str = "x"

    Whole.__module__ = SchedulerHints.__module__
    assert list(without_policy(Whole)) == ["name", "hints.same_host", "hints.different_host", "hints.only_host", "kept"]


@pytest.mark.parametrize("kind", WITH_SPEC)
def test_what_cannot_change_says_why_and_what_to_do(kind: Kind) -> None:
    """Each field by itself, or its kind for all of them."""
    entry = KINDS[kind]
    for field in immutable(SPECS[kind]):
        rule = rule_of(field)
        assert rule.way_out or entry.way_out, field.name


@pytest.mark.parametrize("kind", WITH_SCHEMA)
def test_schema_and_spec_have_the_same_fields(kind: Kind) -> None:
    """Under the same names, at each depth; access rules are a set of their own, and a driver's configuration is the driver's."""
    spec = SPECS[kind]
    schema = named_in_schema(schema_of(kind.document_kind)["properties"]["spec"])
    schema.pop("access", None)
    schema.pop("protocols", None)  # another way to write `protocol`
    if any(rule_of(field).is_spread for field in fields(spec)):
        schema = {name: schema[name] for name in written_in_manifests(spec)}
    schema.update({name: {} for name in schema.keys() & {"ignore"}})  # patterns, which the spec holds as they are
    assert written_in_manifests(spec) == schema


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("size_bytes", 0),
        ("size_bytes", True),
        ("size_bytes", 1 << 63),
        ("protocol", "FTP"),
        ("share_type", 7),
        ("protect", "yes"),
        ("labels", {"a": 1}),
        ("revert_to", {"snapshot": 3, "request": "x"}),
        ("revert_to", {"snapshot": "daily"}),
        ("same_host", ["a", 5]),
        ("same_host", "a"),
    ],
)
def test_a_value_of_another_type_is_found(field: str, value: object) -> None:
    """Whatever a damaged row or plan holds, its field is named."""
    plain = {"name": "a", "size_bytes": 1, "protocol": "NFS", field: value}
    assert codec_of(ShareSpec).fault(plain) == f"has {field} {value!r}"


def test_what_is_missing_or_unknown_is_found() -> None:
    """A row of a newer sharectl is not read by half."""
    assert codec_of(ShareSpec).fault({"name": "a", "protocol": "NFS"}) == "lacks size_bytes"
    assert codec_of(SnapshotSpec).fault({"name": "a", "share": "b", "colour": "red"}) == "has an unknown field 'colour'"
    with pytest.raises(ValueError, match="lacks share"):
        spec_from_plain(Kind.SNAPSHOT, {"name": "a"})


def test_a_kept_default_is_written() -> None:
    """`is_always_kept` is for what readers of the JSON count on."""

    @dataclass(frozen=True)
    class Kept(Spec):
        count: int = 1
        kept: int = 1

    Kept.__dataclass_fields__["kept"].metadata = ruled(is_always_kept=True)  # type: ignore[misc]
    assert Kept().as_plain() == {"kept": 1}
