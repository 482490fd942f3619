"""The protocols of a share, which may be two; and what rules for one volume mean to SMB beside NFS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

NFS: Final = "NFS"
CIFS: Final = "CIFS"
BOTH: Final = "NFS_CIFS"
"""A share of both protocols, as Manila writes the `storage_protocol` of a backend that has both."""


def protocols_in(protocol: str | None) -> tuple[str, ...]:
    """Return the protocols that a share of `protocol` is exported over; none where that is not known yet."""
    if protocol == BOTH:
        return NFS, CIFS
    return () if protocol is None else (protocol,)


def joined(protocols: Iterable[str]) -> str:
    """Return the protocol of a share that is exported over these."""
    wanted = set(protocols)
    return BOTH if wanted == {NFS, CIFS} else "".join(wanted)


def may_become(before: str | None, after: str | None) -> bool:
    """Tell whether a share may get other protocols in place: some clients find it as before."""
    return bool(set(protocols_in(before)) & set(protocols_in(after)))


def smb_rules(rules: Collection[Any]) -> tuple[list[Any], str]:
    """Return the rules that SMB gets of a share with both protocols, and why its users cannot be let in, if they cannot.

    They are AccessRules, or what the linux driver's agent has in their place. Rules for people say who, address rules from where, as on any share of SMB: both have to be met. An address that may only read over
    NFS is kept out, since Samba cannot make anybody a reader by address. Without rules for people nobody is let in, whatever the addresses.
    """
    people = [rule for rule in rules if rule.access_type != "ip"]
    hosts = [
        rule._replace(access_level="rw" if rule.access_level == "rw" else "none", options=())
        for rule in rules
        if rule.access_type == "ip"
    ]
    if not people:
        return [], ""
    if hosts and not any(rule.access_level == "rw" for rule in hosts):
        return [], "users of SMB come from the addresses that may write, and none of the address rules is rw"
    return [*people, *hosts], ""
