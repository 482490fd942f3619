"""What each protocol of a share gets of its access rules, and what is in force over all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sharectl.drivers.linux.agent import rights
from sharectl.model.access import NFS, protocols_in

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sharectl.drivers.linux.agent.contract import Client, Rule
    from sharectl.drivers.linux.agent.records import ShareRow
    from sharectl.drivers.linux.agent.rights import SmbRights, Status, User
    from sharectl.drivers.linux.agent.smb.people import People

ByProtocol = dict[str, dict[str, tuple["Rule", ...]]]
"""Rules of shares by protocol and resource id."""


class Parts(NamedTuple):
    """What the servers of a share are to be given, and the status of each rule; nothing for a protocol that the share has not."""

    clients: frozenset[Client]
    granted: SmbRights
    statuses: dict[Rule, Status]


def parts_of(
    protocol: str | None, rules: Collection[Rule], users: Mapping[str, User], people: People = rights.NOBODY_KNOWN
) -> Parts:
    """Return what a share of this protocol gives by its rules; `users` are those whom the rules can mean, as `users_meant` has them."""
    if protocol == NFS:
        clients, statuses = rights.nfs_clients(rules)
        return Parts(clients, rights.NOTHING, statuses)
    granted, statuses = rights.smb_rights(rules, users, people)
    return Parts(frozenset(), granted, statuses)


def joined(row: ShareRow, found: ByProtocol) -> tuple[Rule, ...]:
    """Return the rules of a share over all its protocols."""
    return tuple(
        rule for protocol in protocols_in(row.protocol) for rule in found.get(protocol, {}).get(row.resource_id, ())
    )


def exported_over(protocol: str, rows: Collection[ShareRow]) -> list[ShareRow]:
    """Return the shares that have this protocol and are not in the trash."""
    return [row for row in rows if protocol in protocols_in(row.protocol) and row.trashed_at is None]
