"""Access rules: who may reach a share, and how."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.model.canonical import DIGEST_SIZE_BYTES, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable

NO_ACCESS_DIGEST: Final = bytes(DIGEST_SIZE_BYTES)


class AccessType(StrEnum):
    """What an access rule names: an address or CIDR, or a user."""

    IP = "ip"
    USER = "user"


class AccessLevel(StrEnum):
    """What an access rule grants."""

    READ_WRITE = "rw"
    READ_ONLY = "ro"


class AccessRule(NamedTuple):
    """One grant on a share. `access_to` is canonical: an IP address or network as `ipaddress` prints it, or a user name.

    Two rules of one share are the same rule when `key` is equal; the level of a rule can change in place.
    """

    access_type: str
    access_to: str
    access_level: str

    @property
    def key(self) -> str:
        r"""`ip:10.0.0.0/8` or `user:CORP\\alice`: unique within a share."""
        return f"{self.access_type}:{self.access_to}"


def access_digest(rules: Iterable[AccessRule]) -> bytes:
    """Return the digest of a set of rules, whatever their order; of no rules, NO_ACCESS_DIGEST."""
    lines = sorted(f"{access_type}:{access_to}={level}" for access_type, access_to, level in rules)
    return digest_of("\n".join(lines).encode()) if lines else NO_ACCESS_DIGEST


ExportSettings = tuple[tuple[str, str], ...]
"""Settings of an export other than its clients, as (name, value) sorted by name: squashing, the anonymous user."""
