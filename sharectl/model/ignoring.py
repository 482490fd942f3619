"""Shares and access rules that sharectl leaves alone on a backend, by the patterns of its manifest."""

from __future__ import annotations

import ipaddress
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING

from sharectl.model.access import AccessType
from sharectl.model.client_addresses import is_within
from sharectl.model.frozen import NamedTuple, dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sharectl.model.access import AccessRule


class AccessPattern(NamedTuple):
    """Rules to ignore: addresses and networks within the network `to`, or users, groups or guests that match `to` (* and ?) in any case."""

    access_type: str
    to: str

    def covers(self, rule: AccessRule) -> bool:
        """Tell whether the rule matches."""
        if rule.access_type != self.access_type:
            return False
        if self.access_type == AccessType.IP:
            return _is_within(rule.access_to, self.to)
        return fnmatchcase(rule.access_to.casefold(), self.to.casefold())


@dataclass(frozen=True, slots=True)
class IgnoreList:
    """The patterns of one backend; `shares` match the backend's own ids, with * and ?."""

    shares: tuple[str, ...] = ()
    access: tuple[AccessPattern, ...] = ()

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> IgnoreList:
        """Return the list that `spec.ignore` of a Backend describes."""
        access = tuple(AccessPattern(pattern["type"], pattern["to"]) for pattern in plain.get("access", ()))
        return cls(tuple(plain.get("shares", ())), access)

    def covers_share(self, backend_id: str) -> bool:
        """Tell whether an unmanaged share is not to be reported."""
        return any(fnmatchcase(backend_id, pattern) for pattern in self.shares)

    def covers_rule(self, rule: AccessRule) -> bool:
        """Tell whether the rule is to be ignored. What a driver says of access that nobody asked for never is."""
        return not rule.is_remark and any(pattern.covers(rule) for pattern in self.access)


@lru_cache(maxsize=65536)
def _is_within(access_to: str, network: str) -> bool:
    try:
        return is_within(ipaddress.ip_network(access_to), ipaddress.ip_network(network))
    except ValueError:
        return False
