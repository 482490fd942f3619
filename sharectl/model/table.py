"""The classes of specs by kind, and what rows hold, as the table of kinds says."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from sharectl.model.codec import codec_of, shapes_of
from sharectl.model.fields import rule_of, written_name
from sharectl.model.frozen import NamedTuple
from sharectl.model.kinds import KINDS, Kind
from sharectl.model.networks import NetworkAllocation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sharectl.model.codec import Shapes, Spec


def _class_at(place: str) -> type[Any]:
    module, _, name = place.partition(".")
    found: type[Any] = getattr(import_module(f"sharectl.model.{module}"), name)
    return found


SPECS: Final[Mapping[Kind, type[Spec]]] = {kind: _class_at(KINDS[kind].spec) for kind in Kind if KINDS[kind].spec}


@cache
def row_shapes(kind: str) -> Shapes | None:
    """Return the shapes of the specs in a kind's rows; None if the table has none."""
    entry = KINDS.get(kind)
    if entry is None or entry.records_spec:
        return None if entry is None else codec_of(SPECS[Kind(kind)]).shapes
    return None if entry.row is None else shapes_of(entry.row, NetworkAllocation)


@cache
def attribute_shapes(kind: str) -> Shapes | None:
    """Return the shapes of the attributes in a kind's rows; None if the table has none."""
    attributes = KINDS[kind].attributes if kind in KINDS else ""
    if isinstance(attributes, str):
        return codec_of(_class_at(attributes)).shapes if attributes else None
    return shapes_of(attributes, NetworkAllocation)


class Prerequisite(NamedTuple):
    """A resource that has to exist first."""

    kind: Kind
    name: str


@cache
def _written_names() -> Mapping[str, str]:
    found: dict[str, str] = {}
    for kind in SPECS:
        if KINDS[kind].records_spec:
            for field in fields(SPECS[kind]):
                parts = fields(cast("Any", field.default)) if rule_of(field).is_flat else (field,)
                found.update({part.name: name for part in parts if (name := written_name(part))})
    return found


def written_field(name: str) -> str:
    """Return what manifests call a field that has changed; one that no manifest holds keeps its name."""
    return _written_names().get(name, name)


_ALL: Final = frozenset(Kind)


def prerequisites_of(spec: Spec, among: frozenset[Kind] = _ALL) -> Iterator[Prerequisite]:
    """Yield the resources of these kinds that a spec's fields refer to and that have to exist first."""
    cls: type = type(spec)
    for field_name, kind in _prerequisite_fields(cls, among):
        value = getattr(spec, field_name)
        if value is None:
            continue
        for name in value if isinstance(value, tuple) else (value,):
            if name is not None:
                yield Prerequisite(kind, name)


@cache
def _prerequisite_fields(cls: type, among: frozenset[Kind]) -> tuple[tuple[str, Kind], ...]:
    rules = codec_of(cls).rules.items()
    return tuple((name, rule.refers_to) for name, rule in rules if rule.is_prerequisite and rule.refers_to in among)


def spec_from_plain(kind: Kind, plain: object) -> Any:  # noqa: ANN401 - of the class that the kind has
    """Return the spec of a resource of this kind from its JSON object; raises ValueError where that is not one, KeyError where the kind has none."""
    return SPECS[kind].checked(plain)
