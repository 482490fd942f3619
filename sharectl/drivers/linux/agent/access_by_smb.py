"""Access to shares over SMB: sections of Samba, and its users, who live as long as a section names them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sharectl.drivers.linux.agent import closing, rights
from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.host.daemons import locked
from sharectl.drivers.linux.agent.protocols import STRANGE, offered
from sharectl.drivers.linux.agent.served_volumes import is_attached
from sharectl.drivers.linux.agent.smb import observing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from sharectl.drivers.linux.agent.contract import Rule, Section, SmbServer
    from sharectl.drivers.linux.agent.records import Records
    from sharectl.drivers.linux.agent.rights import Status, User
    from sharectl.drivers.linux.agent.rows import ShareRow
    from sharectl.drivers.linux.agent.served_volumes import ServedVolumes
    from sharectl.drivers.linux.agent.servers import Servers
    from sharectl.drivers.linux.agent.smb.people import People


@dataclass(frozen=True, slots=True)
class Credentials:
    """The users that the settings of the backend name, by folded name: their passwords, or why the password cannot be had."""

    passwords: Mapping[str, str]
    problems: Mapping[str, str]
    people: People = rights.NOBODY_KNOWN

    @property
    def known(self) -> dict[str, str | None]:
        """All users, each with what is in its way."""
        return {**dict.fromkeys(self.passwords), **self.problems}

    def of(self, users: Mapping[str, User]) -> dict[str, str]:
        """Return the passwords, also by the names that rules have for users."""
        named = {name: user.account for name, user in users.items() if user.problem is None}
        return {**self.passwords, **{name: self.passwords[account] for name, account in named.items()}}


class SmbAccess:
    """The sections of shares, and the users whom they name."""

    def __init__(self, volumes: ServedVolumes, records: Records) -> None:
        """Start nothing."""
        self._volumes = volumes
        self._records = records

    def apply(
        self,
        servers: Servers,
        row: ShareRow,
        granted: rights.SmbRights,
        passwords: Mapping[str, str],
        confirmed: Collection[str] = (),
    ) -> dict[Rule, Status]:
        """Make the rights the whole access of the share; where that fails, shut out those who are to be out.

        Return what becomes of rules because of users who cannot be made. `confirmed` are the ids of other shares that may come back with
        a server that has to be started.
        """
        try:
            return self._apply(servers, row, granted, passwords, confirmed)
        except Problem as problem:
            raise closing.after_problem(problem, lambda: closing.close_section(servers.smb, row, granted)) from problem

    def _apply(
        self,
        servers: Servers,
        row: ShareRow,
        granted: rights.SmbRights,
        passwords: Mapping[str, str],
        confirmed: Collection[str],
    ) -> dict[Rule, Status]:
        server: Any = servers.needs("CIFS")
        path = self._volumes.attach(row)
        os.makedirs(servers.instance.root, mode=0o711, exist_ok=True)  # noqa: PTH103 - paths are text everywhere in the agent
        # Its own section is stored after the start: what is stored until then may grant more than is asked for now.
        server.ensure_running(self.is_ready(servers, {*confirmed} - {row.resource_id}))
        with locked(_users_lock(servers), shared=True):
            refused = _ensure_users(server, granted.users, passwords)
            live = server.live()
            before = live.get(row.export_name)
            closing.close_strangers(server, live, lambda: self._records.shares_of_instance(servers.instance.name))
            server.put(granted.section(row.export_name, path, offered(row), refused.keys()))
        if before is not None and before.users - granted.users:
            _forget_unused_users(servers, server, before)
        return granted.refused(refused)

    def put(self, servers: Servers, row: ShareRow, granted: rights.SmbRights) -> None:
        """Put a section in force whose users are there."""
        server: Any = servers.needs("CIFS")
        path = self._volumes.attach(row)
        server.put(granted.section(row.export_name, path, offered(row)))

    @staticmethod
    def remove(servers: Servers, row: ShareRow) -> None:
        """Take the section away at once, also from clients that use it, and the users that no other names."""
        server = servers.smb
        before = None if server is None else server.stored().get(row.export_name)
        SmbAccess.suspend(servers, row)
        if server is not None:
            _forget_unused_users(servers, server, before)

    @staticmethod
    def suspend(servers: Servers, row: ShareRow) -> None:
        """Take the section away and leave its users."""
        if servers.smb is not None:
            servers.smb.remove(row.export_name)

    def observe(
        self, servers: Servers, rows: Sequence[ShareRow], passwords: Mapping[str, str], people: People | None
    ) -> Iterable[tuple[str, tuple[Rule, ...]]]:
        """Yield the rules in force by resource id; a section that differs in more than its rights from what was asked for has STRANGE alone.

        So has one whose user can log in with another password than is given, beside the rules that are in force.
        """
        server = servers.smb
        live = server.live() if rows and server is not None else {}
        if server is None or not live:
            return
        usable = server.users(passwords)
        there = server.users() if passwords else usable
        for row in rows:
            section = live.get(row.export_name)
            path = self._volumes.path(row)
            wanted = (path, offered(row))
            if section is None:
                continue
            if (section.path, section.treatment) != wanted or not is_attached(path):
                yield row.resource_id, (STRANGE,)
                continue
            rules = observing.rules_in_force(server, section, usable, passwords, people)
            others = {observing.account_or_none(server, user) for user in section.users} & (there - usable)
            yield row.resource_id, (*rules, STRANGE) if others else rules

    def is_ready(self, servers: Servers, wanted: Collection[str] | None = None) -> Callable[[Section], bool]:
        """Return what tells of a stored section whether its folder is the right volume, which it attaches; `wanted` as of exports."""
        rows: dict[str, ShareRow] | None = None

        def is_ready(section: Section) -> bool:
            nonlocal rows
            if rows is None:
                rows = {row.export_name: row for row in self._volumes.rows(servers, "CIFS", wanted)}
            row = rows.get(section.name)
            if row is None:
                return False
            try:
                return self._volumes.attach(row) == section.path
            except Problem:
                return False  # as of exports

        return is_ready


def _ensure_users(server: SmbServer, users: Iterable[str], passwords: Mapping[str, str]) -> dict[str, str]:
    """Make the users that cannot log in with the given password; return the reasons for those who cannot be made."""
    wanted = {user: passwords[user.casefold()] for user in users if user.casefold() in passwords}
    usable = {user.casefold() for user in server.users(wanted)}
    refused = {}
    for user, password in sorted(wanted.items()):
        if user.casefold() not in usable:
            try:
                server.ensure_user(user, password)
            except Problem as problem:
                if problem.kind is not ProblemKind.REFUSED:
                    raise
                refused[user] = str(problem)
    return refused


def _forget_unused_users(servers: Servers, server: SmbServer, before: Section | None) -> None:
    """Remove the users that no share of the server names any more.

    `before` is the section that named some until now; None where an earlier call removed it and may have come to its end then.
    """
    if not os.path.isdir(servers.instance.root):  # noqa: PTH112 - as above
        return
    with locked(_users_lock(servers)):
        named = {
            observing.account_or_none(server, user) for section in server.stored().values() for user in section.users
        }
        if before is not None and {observing.account_or_none(server, user) for user in before.users} <= named:
            return  # to ask the server for all its users takes longer than all the rest
        for account in server.users():
            if account not in named:
                server.remove_user(account)


def _users_lock(servers: Servers) -> str:
    return os.path.join(servers.instance.root, "users.lock")  # noqa: PTH118 - as above
