"""What a backend holds and sharectl leaves alone: shares and access rules of others, by the patterns of its manifest."""

from __future__ import annotations

import ipaddress
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from sharectl.model.access import AccessType
from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sharectl.model.access import AccessRule


class AccessPattern(NamedTuple):
    """Rules that are ignored: addresses and networks within the network `to`, or users like `to` (* and ?), whatever their case."""

    access_type: str
    to: str

    def covers(self, rule: AccessRule) -> bool:
        """Tell whether the rule is one of these."""
        if rule.access_type != self.access_type:
            return False
        if self.access_type == AccessType.USER:
            return fnmatchcase(rule.access_to.casefold(), self.to.casefold())
        return _is_within(rule.access_to, self.to)


@dataclass(frozen=True, slots=True)
class IgnoreList:
    """The patterns of one backend; `shares` are of the backend's own ids, with * and ?."""

    shares: tuple[str, ...] = ()
    access: tuple[AccessPattern, ...] = ()

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> IgnoreList:
        """Return the list that `spec.ignore` of a Backend describes."""
        access = tuple(AccessPattern(pattern["type"], pattern["to"]) for pattern in plain.get("access", ()))
        return cls(tuple(plain.get("shares", ())), access)

    def covers_share(self, backend_id: str) -> bool:
        """Tell whether an unmanaged share is one that nobody wants to hear of."""
        return any(fnmatchcase(backend_id, pattern) for pattern in self.shares)

    def covers_rule(self, rule: AccessRule) -> bool:
        """Tell whether the rule is somebody else's."""
        return any(pattern.covers(rule) for pattern in self.access)


@lru_cache(maxsize=65536)
def _is_within(access_to: str, network: str) -> bool:
    try:
        inner, outer = ipaddress.ip_network(access_to), ipaddress.ip_network(network)
    except ValueError:
        return False
    if inner.version != outer.version or inner.prefixlen < outer.prefixlen:
        return False
    shift = outer.max_prefixlen - outer.prefixlen
    return int(inner.network_address) >> shift == int(outer.network_address) >> shift
