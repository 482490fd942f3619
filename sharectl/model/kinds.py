"""The table of kinds, and the addresses of resources: `kind/name`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sharectl.model.frozen import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

API_VERSION: Final = "sharectl/v1"

Address = str
"""`kind/name` in lower case: `share/projects`; an access rule's stands under its share: `share/projects/access/ip:10.0.0.0/8`."""

_RULES: Final = "/access/"


class Kind(StrEnum):
    """The kinds of resources; the value is how an address spells it, and `prefix` how the addresses begin."""

    BACKEND = "backend"
    SHARE_TYPE = "share_type"
    SHARE = "share"
    SHARE_SET = "share_set"
    ACCESS_RULE = "access_rule"
    CLIENT_LIST = "client_list"
    SNAPSHOT = "snapshot"
    SHARE_NETWORK = "share_network"
    SECURITY_SERVICE = "security_service"
    SHARE_SERVER = "share_server"
    NETWORK_ALLOCATION = "network_allocation"
    IMPORT = "import"

    prefix: str

    def __new__(cls, value: str) -> Kind:  # noqa: PYI034 - an enumeration has no subclasses
        """Make the member and its prefix, which loops over a hundred thousand addresses compare with."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.prefix = f"{value}/"
        return member

    @property
    def document_kind(self) -> str:
        """The `kind:` of a manifest: `ShareType` for `share_type`."""
        return "".join(word.capitalize() for word in self.value.split("_"))


class KindEntry(NamedTuple):
    """What holds for a kind as a whole; what holds for a field stands with the field, in the class of the spec.

    `spec` is that class, within `sharectl.model`, and empty where neither a manifest nor a row holds one. `schema` is empty where nobody
    writes manifests. With `records_spec` the state keeps the spec, and a plan compares with it; else rows keep the fields in `row`.
    Fields without a policy of their own are `unrecorded` where that is set. `attributes` are what rows keep of a backend's answer: fields, or a class
    of the model. Fields are annotated as those of a class are. `because` and `way_out` are for immutable fields that say nothing of their
    own; `{address}` in them stands for the resource. `parent` is the kind that its address stands under.
    """

    plural: str
    spec: str = ""
    schema: str = ""
    records_spec: bool = False
    unrecorded: bool = False
    row: Mapping[str, str] | None = None
    attributes: Mapping[str, str] | str = ""
    because: str = ""
    way_out: str = ""
    parent: Kind | None = None


KINDS: Final[Mapping[str, KindEntry]] = {
    Kind.BACKEND: KindEntry("backends", "backends.BackendSpec", "backend", unrecorded=True, row={"driver": "str"}),
    Kind.SHARE_TYPE: KindEntry("share types", "specs.ShareTypeSpec", "share-type", unrecorded=True),
    Kind.SHARE: KindEntry(
        "shares",
        "specs.ShareSpec",
        "share",
        records_spec=True,
        attributes={
            "backend_id": "str",
            "name": "str",
            "export_locations": "tuple[str, ...]",
            "share_server_id": "str | None",
            "export_settings": "Mapping[str, str] | None",
            "snapshot_policy": "Mapping[str, Any] | None",
        },
        because="a share with another value is another share, and what is in this one would stay behind.",
        way_out="take the change back, or pass --replace {address} (or set spec.replacement{place}) for a new, empty share in its place",
    ),
    Kind.SHARE_SET: KindEntry("share sets", schema="share-set"),
    Kind.ACCESS_RULE: KindEntry("access rules", schema="access-rule", parent=Kind.SHARE),
    Kind.CLIENT_LIST: KindEntry("client lists", "specs.ClientListSpec", "client-list", unrecorded=True),
    Kind.SNAPSHOT: KindEntry(
        "snapshots",
        "specs.SnapshotSpec",
        "snapshot",
        records_spec=True,
        attributes={"backend_id": "str", "name": "str", "share_resource_id": "str", "share_backend_id": "str"},
    ),
    Kind.SHARE_NETWORK: KindEntry("share networks", "share_networks.ShareNetworkSpec", "share-network"),
    Kind.SECURITY_SERVICE: KindEntry("security services", "share_networks.SecurityServiceSpec", "security-service"),
    Kind.SHARE_SERVER: KindEntry(
        "share servers",
        "share_networks.ShareServerSpec",
        records_spec=True,
        attributes={"backend_id": "str", "name": "str", "allocations": "tuple[NetworkAllocation, ...]"},
    ),
    Kind.NETWORK_ALLOCATION: KindEntry(
        "network allocations", row={"scope": "str"}, attributes="networks.NetworkAllocation"
    ),
    Kind.IMPORT: KindEntry("imports", row={"address": "str", "backend": "str", "backend_id": "str"}),
}
"""The table of kinds: one entry for each."""

DERIVED_KINDS: Final = frozenset(kind for kind in Kind if not KINDS[kind].schema)
"""Kinds without manifests: the planner derives share servers and their addresses, and an import has a row until it is done."""

PLACED_KINDS: Final = frozenset(kind for kind in Kind if KINDS[kind].records_spec)
"""Kinds whose rows are on a backend, each under an id of its own, with the spec that they were made by."""

MANAGED_KINDS: Final = PLACED_KINDS - DERIVED_KINDS
"""Kinds that a plan makes, changes and removes: the state records what their manifests said."""

_KIND_NAMED: Final[Mapping[str, Kind]] = {str(kind): kind for kind in Kind}
KIND_OF_DOCUMENT: Final[dict[str, Kind]] = {kind.document_kind: kind for kind in Kind if kind not in DERIVED_KINDS}


def address_of(kind: Kind, name: str) -> Address:
    """Return `kind/name`."""
    return f"{kind.prefix}{name}"


def name_of(address: Address) -> str:
    """Return the name in `kind/name`."""
    return address.partition("/")[2]


def kind_of(address: Address) -> Kind:
    """Return the kind of the resource at `address`; raises ValueError where it is not an address."""
    kind, _, name = address.partition("/")
    if not name:
        message = f"{address!r} is not an address; write kind/name, such as share/projects"
        raise ValueError(message)
    return Kind.ACCESS_RULE if _RULES in address else _KIND_NAMED.get(kind) or Kind(kind)


def is_of(kind: Kind, address: Address) -> bool:
    """Tell whether a resource of this kind has the address."""
    return address.startswith(kind.prefix) and _RULES not in address


def of_kind(kind: Kind, addresses: Iterable[Address]) -> list[Address]:
    """Return the addresses of this kind; faster than asking for each."""
    prefix = kind.prefix
    return [address for address in addresses if address.startswith(prefix) and _RULES not in address]


def rule_address(share_address: Address, rule_key: str) -> Address:
    """Return the address of an access rule under its share."""
    return f"{share_address}{_RULES}{rule_key}"


def split_rule_address(address: Address) -> tuple[Address, str | None]:
    """Return the share's address and the rule's key; the key is None where `address` is not an access rule's."""
    share_address, separator, key = address.partition(_RULES)
    return share_address, key if separator else None


def resource_of(address: Address) -> Address:
    """Return the address of the share that an access rule is under; any other address unchanged."""
    return address.partition(_RULES)[0]
