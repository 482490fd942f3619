"""Kinds of resources, and the addresses of resources."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

API_VERSION: Final = "sharectl/v1"


Address = str
"""`kind/name` in lower case: `share/projects`; an access rule's stands under its share: `share/projects/access/ip:10.0.0.0/8`."""


class Kind(StrEnum):
    """The kinds of resources; the value is how an address spells it."""

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

    @property
    def document_kind(self) -> str:
        """The `kind:` of a manifest: `ShareType` for `share_type`."""
        return "".join(word.capitalize() for word in self.value.split("_"))


DERIVED_KINDS: Final = frozenset({Kind.SHARE_SERVER, Kind.NETWORK_ALLOCATION, Kind.IMPORT})
"""Kinds that nobody writes a manifest for: the planner derives share servers, what they take from the network follows, and an import leaves its row until it is done."""


KIND_OF_DOCUMENT: Final[dict[str, Kind]] = {kind.document_kind: kind for kind in Kind if kind not in DERIVED_KINDS}


_ACCESS_SEPARATOR: Final = "/access/"


def address_of(kind: Kind, name: str) -> Address:
    """Return `kind/name`."""
    return f"{kind.value}/{name}"


def rule_address(share_address: Address, rule_key: str) -> Address:
    """Return the address of an access rule under its share."""
    return f"{share_address}{_ACCESS_SEPARATOR}{rule_key}"


def split_rule_address(address: Address) -> tuple[Address, str | None]:
    """Return the share's address and the rule's key; the key is None where `address` is not an access rule's."""
    share_address, separator, key = address.partition(_ACCESS_SEPARATOR)
    return share_address, key if separator else None


def kind_of(address: Address) -> Kind:
    """Return the kind of the resource at `address`; raises ValueError where it is no address."""
    kind, separator, name = address.partition("/")
    if not separator or not name:
        message = f"{address!r} is no address; write kind/name, such as share/projects"
        raise ValueError(message)
    if _ACCESS_SEPARATOR in address:
        return Kind.ACCESS_RULE
    return Kind(kind)


def name_of(address: Address) -> str:
    """Return the name in `kind/name`."""
    return address.partition("/")[2]
