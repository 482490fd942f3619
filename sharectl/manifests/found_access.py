"""Access rules as they are found on a backend, made such that a manifest can hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sharectl.manifests.access import AccessError, canonical_client, canonical_user
from sharectl.model.access import AccessLevel, AccessRule, AccessType
from sharectl.model.client_addresses import without_ipv6_notation
from sharectl.model.specs import Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable


class FoundAccess(NamedTuple):
    """The rules that a manifest can hold, and those that none can, each with the reason."""

    rules: tuple[AccessRule, ...]
    left_out: tuple[tuple[AccessRule, str], ...]


def writable_access(rules: Iterable[AccessRule], protocol: str) -> FoundAccess:
    """Return what a manifest can say of the rules in force on a share of this protocol.

    A rule that means something which a manifest writes otherwise (an IPv4 address in IPv6 notation) is written so.
    """
    kept: dict[str, AccessRule] = {}
    left_out: list[tuple[AccessRule, str]] = []
    for rule in rules:
        problem = _problem(rule, protocol)
        if problem:
            left_out.append((rule, problem))
            continue
        try:
            written = _written(rule)
        except AccessError as error:
            left_out.append((rule, error.summary))
            continue
        if kept.setdefault(written.key, written) != written:
            left_out.append((rule, f"another rule gives {written.access_to} another level"))
    return FoundAccess(tuple(kept.values()), tuple(left_out))


def _problem(rule: AccessRule, protocol: str) -> str:
    if rule.access_level not in set(AccessLevel):
        return f"a manifest knows the levels rw and ro, not {rule.access_level!r}"
    if rule.access_type not in set(AccessType):
        return f"a manifest knows addresses and users, not {rule.access_type!r}"
    if rule.access_type == AccessType.USER and protocol == Protocol.NFS:
        return "an NFS share takes no access rule for a user"
    return ""


def _written(rule: AccessRule) -> AccessRule:
    if rule.access_type == AccessType.USER:
        return rule._replace(access_to=canonical_user(rule.access_to))
    return rule._replace(access_to=canonical_client(without_ipv6_notation(rule.access_to)))
