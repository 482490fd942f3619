"""What each protocol of a share gets of its access rules, and what is in force over all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.drivers.linux.agent import rights
from sharectl.drivers.linux.agent.contract import NOBODY, Rule, Squash
from sharectl.drivers.linux.agent.smb import treatment as smb_treatment
from sharectl.model.access import BOTH, CIFS, NFS, protocols_in, smb_rules

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sharectl.drivers.linux.agent.contract import Client
    from sharectl.drivers.linux.agent.rights import SmbRights, Status, User
    from sharectl.drivers.linux.agent.rows import ShareRow
    from sharectl.drivers.linux.agent.smb.people import People
    from sharectl.drivers.linux.agent.smb.treatment import SmbTreatment

ByProtocol = dict[str, dict[str, tuple[Rule, ...]]]
"""Rules of shares by protocol and resource id."""

_ONE_OWNER: Final[Mapping[str, Any]] = {"squash": Squash.ALL.value, "anonymous": [NOBODY, NOBODY]}
"""What every export of a share with both protocols has: its files belong to the account that smbd works as, whoever makes them."""

_OF_ONE_OWNER: Final = {"squash": Squash.ALL.value, "anonymousUid": str(NOBODY), "anonymousGid": str(NOBODY)}
STRANGE: Final = Rule("user", "somebody: what is in force is not what was asked for", "rw")
"""Stands among the rules of a share that a server has open in another way than it was told: nobody can have asked for it, so a plan ends it."""


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
    if protocol == BOTH:
        return _parts_of_both(rules, users, people)
    granted, statuses = rights.smb_rights(rules, users, people)
    return Parts(frozenset(), granted, statuses)


def _parts_of_both(rules: Collection[Rule], users: Mapping[str, User], people: People) -> Parts:
    """Give NFS the address rules, and SMB what `smb_rules` says; an address whose rule is refused lets nobody in over either."""
    hosts = [rule for rule in rules if rule.access_type == "ip"]
    clients, statuses = rights.nfs_clients(hosts, _problem_of_owner)
    for_smb = [rule if statuses[rule] == rights.ACTIVE else rule._replace(access_level="none") for rule in hosts]
    named = [rule for rule in rules if rule.access_type != "ip"]
    wanted, problem = smb_rules([*for_smb, *named])
    if problem:
        return Parts(clients, rights.NOTHING, {**statuses, **dict.fromkeys(named, ("error", problem))})
    granted, found = rights.smb_rights(wanted, users, people)
    return Parts(clients, granted, {**statuses, **{rule: found[rule] for rule in named}})


def _problem_of_owner(rule: Rule) -> str | None:
    """Return why the files that a client makes would not be those of SMB, None where they are."""
    odd = [name for name, value in rule.options if _OF_ONE_OWNER.get(name, value) != value]
    if not odd:
        return None
    return f"files that this client makes would have another owner ({', '.join(odd)}) than those that are made over SMB"


def export_options(row: ShareRow) -> Mapping[str, Any]:
    """Return the options of the share's export, where it has one."""
    return {**row.options, **_ONE_OWNER} if row.protocol == BOTH else row.options


def offered(row: ShareRow) -> SmbTreatment:
    """Return what the share's section offers, where it has one.

    A share that NFS clients write to has no recycle bin: they can put a symbolic link to another share in its place, and smbd follows it.
    """
    found = smb_treatment.of_options(row.options)
    return replace(found, recycle_bin=None, has_nfs=True) if row.protocol == BOTH else found


def joined(row: ShareRow, found: ByProtocol) -> tuple[Rule, ...]:
    """Return the rules of a share over all its protocols.

    Where a section lets people in from other addresses than it would by the address rules in force over NFS, also STRANGE.
    """
    by_protocol = {
        protocol: found.get(protocol, {}).get(row.resource_id, ()) for protocol in protocols_in(row.protocol)
    }
    if row.protocol != BOTH:
        return next(iter(by_protocol.values()), ())
    people = tuple(rule for rule in by_protocol[CIFS] if rule.access_type != "ip")
    rules = (*by_protocol[NFS], *people)
    expected = {rule for rule in smb_rules(rules)[0] if rule.access_type == "ip"}
    return (*rules, STRANGE) if people and expected != set(by_protocol[CIFS]) - set(people) else rules


def exported_over(protocol: str, rows: Collection[ShareRow]) -> list[ShareRow]:
    """Return the shares that have this protocol and are not in the trash."""
    return [row for row in rows if protocol in protocols_in(row.protocol) and row.trashed_at is None]
