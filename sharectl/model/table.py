"""The table of kinds: an entry for each, from which rows, differences, JSON and `show` follow."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.model.backends import BackendSpec
from sharectl.model.codec import codec_of, shapes_of
from sharectl.model.fields import Policy
from sharectl.model.kinds import Kind
from sharectl.model.networks import NetworkAllocation
from sharectl.model.share_networks import SecurityServiceSpec, ShareNetworkSpec, ShareServerSpec
from sharectl.model.specs import ShareSpec, ShareTypeSpec, SnapshotSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from dataclasses import Field

    from sharectl.model.codec import Shapes, Spec


@dataclass(frozen=True, slots=True)
class KindEntry:
    """What holds for a kind as a whole; what holds for a field stands with the field, in the spec's class.

    `spec` is None where neither a manifest nor a row holds one, and `schema` is empty where nobody writes manifests. `records_spec` tells
    that the state keeps the spec, and that a plan compares with it; else rows keep the fields in `row`. `default_policy` is that of fields
    without one. `attributes` are what rows keep of a backend's answer. Both are annotated as fields of a class are. `because` and `way_out` are for immutable fields that
    say nothing of their own; `{address}` in them stands for the resource. `parent` is the kind that its address stands under.
    """

    kind: Kind
    plural: str
    spec: type[Spec] | None = None
    schema: str = ""
    records_spec: bool = False
    default_policy: Policy | None = None
    row: Mapping[str, str] | None = None
    attributes: Mapping[str, str] | type[NetworkAllocation] | None = None
    because: str = ""
    way_out: str = ""
    parent: Kind | None = None

    @property
    def singular(self) -> str:
        """What sentences call one of the kind: `share type`."""
        return self.kind.value.replace("_", " ")

    def field(self, name: str) -> Field[Any]:
        """Return the field that the plain form calls `name`; raises KeyError where there is none of its own."""
        if self.spec is None:
            raise KeyError(name)
        return self.spec.__dataclass_fields__[name]


_ENTRIES: Final = (
    KindEntry(
        Kind.BACKEND, "backends", BackendSpec, "backend", default_policy=Policy.UNRECORDED, row={"driver": "str"}
    ),
    KindEntry(Kind.SHARE_TYPE, "share types", ShareTypeSpec, "share-type", default_policy=Policy.UNRECORDED),
    KindEntry(
        Kind.SHARE,
        "shares",
        ShareSpec,
        "share",
        records_spec=True,
        attributes={
            "backend_id": "str",
            "name": "str",
            "export_locations": "tuple[str, ...]",
            "share_server_id": "str | None",
            "export_settings": "Mapping[str, str] | None",
        },
        because="a share with another value is another share, and what is in this one would stay behind.",
        way_out="take the change back, or pass --replace {address} (or set spec.replacement) for a new, empty share in its place",
    ),
    KindEntry(Kind.ACCESS_RULE, "access rules", schema="access-rule", parent=Kind.SHARE),
    KindEntry(
        Kind.SNAPSHOT,
        "snapshots",
        SnapshotSpec,
        "snapshot",
        records_spec=True,
        attributes={"backend_id": "str", "name": "str", "share_resource_id": "str", "share_backend_id": "str"},
    ),
    KindEntry(Kind.SHARE_NETWORK, "share networks", ShareNetworkSpec, "share-network"),
    KindEntry(Kind.SECURITY_SERVICE, "security services", SecurityServiceSpec, "security-service"),
    KindEntry(
        Kind.SHARE_SERVER,
        "share servers",
        ShareServerSpec,
        records_spec=True,
        attributes={"backend_id": "str", "name": "str", "allocations": "tuple[NetworkAllocation, ...]"},
    ),
    KindEntry(Kind.NETWORK_ALLOCATION, "network allocations", row={"scope": "str"}, attributes=NetworkAllocation),
    KindEntry(Kind.IMPORT, "imports", row={"address": "str", "backend": "str", "backend_id": "str"}),
)

KINDS: Final[Mapping[str, KindEntry]] = {entry.kind: entry for entry in _ENTRIES}


SPECS: Final[Mapping[Kind, type[Spec]]] = {entry.kind: entry.spec for entry in _ENTRIES if entry.spec is not None}


@cache
def row_shapes(kind: str) -> Shapes | None:
    """Return what the specs in the rows of a kind hold; None where that is not said."""
    entry = KINDS.get(kind)
    if entry is not None and entry.spec is not None and entry.records_spec:
        return codec_of(entry.spec).shapes
    return None if entry is None or entry.row is None else shapes_of(entry.row, KindEntry)


@cache
def attribute_shapes(kind: str) -> Shapes | None:
    """Return what the attributes in the rows of a kind hold; None where that is not said."""
    entry = KINDS.get(kind)
    attributes = None if entry is None else entry.attributes
    if isinstance(attributes, type):
        return codec_of(attributes).shapes
    return None if attributes is None else shapes_of(attributes, KindEntry)


class Prerequisite(NamedTuple):
    """What has to be there before: a resource of this kind and name."""

    kind: Kind
    name: str


def prerequisites_of(spec: Spec) -> Iterator[Prerequisite]:
    """Yield what the fields of a spec name that has to be there first."""
    cls: type = type(spec)
    for field_name, kind in _prerequisite_fields(cls):
        value = getattr(spec, field_name)
        for name in value if isinstance(value, tuple) else (value,):
            if name is not None:
                yield Prerequisite(kind, name)


@cache
def _prerequisite_fields(cls: type) -> tuple[tuple[str, Kind], ...]:
    rules = codec_of(cls).rules.items()
    return tuple((name, rule.refers_to) for name, rule in rules if rule.is_prerequisite and rule.refers_to is not None)


def spec_from_plain(kind: Kind, plain: object) -> Any:  # noqa: ANN401 - of the class that the kind has
    """Return the spec of a resource of this kind from its JSON object; raises ValueError where that is not one, KeyError where the kind has none."""
    return SPECS[kind].checked(plain)
