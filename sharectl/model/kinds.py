"""The kinds of resources, and their addresses: `kind/name`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

API_VERSION: Final = "sharectl/v1"

Address = str
"""`kind/name` in lower case: `share/projects`; an access rule's stands under its share: `share/projects/access/ip:10.0.0.0/8`."""

_RULES: Final = "/access/"


class Kind(StrEnum):
    """The kinds of resources; the value is how an address spells it, and `prefix` how the addresses begin."""

    BACKEND = "backend"
    SHARE_TYPE = "share_type"
    SHARE = "share"
    ACCESS_RULE = "access_rule"
    SNAPSHOT = "snapshot"
    SHARE_NETWORK = "share_network"
    SECURITY_SERVICE = "security_service"
    SHARE_SERVER = "share_server"
    NETWORK_ALLOCATION = "network_allocation"
    IMPORT = "import"

    prefix: str

    def __new__(cls, value: str) -> Kind:  # noqa: PYI034 - an enumeration has no subclasses
        """Make the member and its prefix, with which loops over a hundred thousand addresses compare."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.prefix = f"{value}/"
        return member

    @property
    def document_kind(self) -> str:
        """The `kind:` of a manifest: `ShareType` for `share_type`."""
        return "".join(word.capitalize() for word in self.value.split("_"))


DERIVED_KINDS: Final = frozenset({Kind.SHARE_SERVER, Kind.NETWORK_ALLOCATION, Kind.IMPORT})
"""Kinds that nobody writes a manifest for: the planner derives share servers, what they take from the network follows, and an import leaves its row until it is done."""

MANAGED_KINDS: Final = frozenset({Kind.SHARE, Kind.SNAPSHOT})
"""Kinds that a plan makes, changes and removes: the state records what their manifests said."""

KIND_OF_DOCUMENT: Final[dict[str, Kind]] = {kind.document_kind: kind for kind in Kind if kind not in DERIVED_KINDS}


def address_of(kind: Kind, name: str) -> Address:
    """Return `kind/name`."""
    return f"{kind.prefix}{name}"


def name_of(address: Address) -> str:
    """Return the name in `kind/name`."""
    return address.partition("/")[2]


def kind_of(address: Address) -> Kind:
    """Return the kind of the resource at `address`; raises ValueError where it is not an address."""
    kind, separator, name = address.partition("/")
    if not separator or not name:
        message = f"{address!r} is not an address; write kind/name, such as share/projects"
        raise ValueError(message)
    return Kind.ACCESS_RULE if _RULES in address else Kind(kind)


def is_of(kind: Kind, address: Address) -> bool:
    """Tell whether a resource of this kind has the address."""
    return address.startswith(kind.prefix) and _RULES not in address


def of_kind(kind: Kind, addresses: Iterable[Address]) -> list[Address]:
    """Return those of the addresses that are of this kind; quicker than to ask for each."""
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
    """Return the share that an access rule's address stands under; any other address as it is."""
    return address.partition(_RULES)[0]
