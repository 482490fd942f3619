"""Access to shares: put in force by the servers of their instance, withdrawn, and read back from what the servers enforce."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sharectl.drivers.linux.agent import closed_marks, closing, rights
from sharectl.drivers.linux.agent.contract import Export, Problem, ProblemKind, rule_in
from sharectl.drivers.linux.agent.database import UNREAD
from sharectl.drivers.linux.agent.host import mounts
from sharectl.drivers.linux.agent.host.daemons import locked
from sharectl.drivers.linux.agent.nfs import treatment
from sharectl.drivers.linux.agent.servers import pseudo_path
from sharectl.drivers.linux.agent.smb import observing
from sharectl.drivers.linux.agent.smb import treatment as smb_treatment

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from sharectl.drivers.linux.agent.contract import Hindrance, Instance, NfsServer, Rule, Section, SmbServer
    from sharectl.drivers.linux.agent.records import Records, ShareRow
    from sharectl.drivers.linux.agent.rights import Status
    from sharectl.drivers.linux.agent.servers import ServerRoom, Servers
    from sharectl.drivers.linux.agent.smb.people import People
    from sharectl.drivers.linux.agent.volumes.pools import PoolRoom


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


class Access:
    """Who may reach the shares of a backend."""

    def __init__(self, room: ServerRoom, pools: PoolRoom, records: Records) -> None:
        """Start nothing."""
        self._room = room
        self._pools = pools
        self._records = records
        self._started: set[Instance] = set()  # those whose NFS server this process has found running, or has started
        # The shares, by id, whose access this process has put in force or has seen in force. Only these are brought back when a
        # request for one share starts a server that died; see `closed_marks`.
        self._confirmed: set[str] = set()
        self.await_restart: Callable[[], object] = lambda: None
        """Waits for servers that have just ended and that somebody brings back; set by who knows."""

    def apply(self, row: ShareRow, rules: Collection[Rule], credentials: Credentials) -> dict[Rule, Status]:
        """Make `rules` the whole access of the share. Precondition: its volume is there and its protocol is known."""
        servers = self._room.servers(row.instance)
        if row.protocol == "NFS":
            clients, statuses = rights.nfs_clients(rules)
            try:
                self._export(servers, row, clients)
            except Problem as problem:
                raise closing.after_problem(
                    problem, lambda: closing.close_export(servers.nfs, row, clients)
                ) from problem
            return statuses
        server: Any = servers.needs("CIFS")
        users = rights.users_meant(rules, server.account, credentials.known)
        granted, statuses = rights.smb_rights(rules, users, credentials.people)
        named = {name: user.account for name, user in users.items() if user.problem is None}
        passwords = {
            **credentials.passwords,
            **{name: credentials.passwords[account] for name, account in named.items()},
        }
        try:
            statuses.update(self._serve(servers, row, granted, passwords))
        except Problem as problem:
            raise closing.after_problem(problem, lambda: closing.close_section(servers.smb, row, granted)) from problem
        closed = self._hindrance(row.pool)
        if closed is not None:
            reason = f"{closed.summary}; {closed.remedy}"
            statuses |= {rule: ("error", reason) for rule, status in statuses.items() if status == rights.ACTIVE}
        return statuses

    def hindrances(self) -> list[Hindrance]:
        """Return what keeps the clients of SMB shares from getting to their pools, and which pools are open to users of the host."""
        from sharectl.drivers.linux.agent.smb.entry import openness  # noqa: PLC0415 - only where it is asked for

        is_prepared = self._records.exists()
        served = self._records.pools_of_protocol("CIFS") if is_prepared else []
        pinned = self._records.pool_identities() if is_prepared else {}
        found = [self._hindrance(pool.name) for pool in self._pools if pool.name in served]
        modes = {pool.name: self._pools.open_mode(pool.name) for pool in self._pools if pool.name in pinned}
        opened = [openness(name, self._pools.folder(name), mode) for name, mode in modes.items() if mode is not None]
        return [*(each for each in found if each is not None), *opened]

    def _hindrance(self, pool: str) -> Hindrance | None:
        from sharectl.drivers.linux.agent.smb.entry import hindrance  # noqa: PLC0415 - only where there are SMB shares

        return hindrance(pool, self._pools.folder(pool))

    def withdraw(self, row: ShareRow) -> None:
        """Take all access away at once, also from clients that use the share now, and unbind its volume."""
        server = self._room.servers(row.instance).smb
        before = server.stored().get(row.export_name) if server is not None and row.protocol == "CIFS" else None
        self.suspend(row)
        if server is not None and row.protocol == "CIFS":
            self._forget_unused_users(self._room.servers(row.instance), server, before)

    def served_by_path(self, rows: Sequence[ShareRow]) -> set[str]:
        """Return the ids of the shares that Samba serves: by their paths, whatever is there now. An NFS export holds its volume."""
        found: set[str] = set()
        for instance in {row.instance for row in rows if row.protocol == "CIFS"}:
            server = self._room.servers(instance).smb
            names = set() if server is None else server.stored().keys()
            found.update(
                row.resource_id
                for row in rows
                if row.instance == instance and row.protocol == "CIFS" and row.export_name in names
            )
        return found

    def suspend(self, row: ShareRow) -> None:
        """Withdraw the share while its volume is exchanged; its users stay."""
        servers = self._room.servers(row.instance)
        if row.protocol == "NFS":
            if servers.nfs is not None:
                servers.nfs.remove(row.export_id)
            mounts.detach(servers.mount_point(row.resource_id))  # also where a shell of the host is in it
            mounts.remove_mount_point(servers.mount_point(row.resource_id))
        if servers.smb is not None and row.protocol == "CIFS":
            servers.smb.remove(row.export_name)
        self._confirmed.discard(row.resource_id)
        closed_marks.unmark(servers.instance, row.resource_id)  # nothing is stored for it any more

    def kept(self, row: ShareRow) -> dict[str, Any]:
        """Return what is in force, as JSON has it, for `resume`: the rules, and what the section of an SMB share gives to whom."""
        server = self._room.servers(row.instance).smb
        section = None if server is None or row.protocol != "CIFS" else server.live().get(row.export_name)
        return {
            "rules": [list(rule) for rule in self.in_force(row)],
            "rights": None if section is None else observing.to_plain(section),
        }

    def resume(self, row: ShareRow, kept: Mapping[str, Any]) -> None:
        """Put in force again what `kept` gave and `suspend` withdrew; that of an older sharectl has no rights."""
        servers = self._room.servers(row.instance)
        rules, plain_rights = [rule_in(rule) for rule in kept["rules"]], kept.get("rights")
        if rules and row.protocol == "NFS":
            self._export(servers, row, rights.nfs_clients(rules)[0])
        elif rules:
            server: Any = servers.needs("CIFS")
            names = {rule.access_to.casefold() for rule in rules if rule.access_type == "user"}
            granted, _ = rights.smb_rights(rules, {name: rights.User(name) for name in names})
            granted = granted if plain_rights is None else observing.rights_in(plain_rights)
            server.put(granted.section(row.export_name, self._attach(row), smb_treatment.of_options(row.options)))
            self._confirm(servers, row)

    def in_force(self, row: ShareRow) -> tuple[Rule, ...]:
        """Return the rules of one share that its server enforces now."""
        return self.observe([row], {}).get(row.resource_id, ())

    def observe(
        self, rows: Sequence[ShareRow], passwords: Mapping[str, str], people: People | None = None
    ) -> dict[str, tuple[Rule, ...]]:
        """Return the rules in force, by resource id; a share without any is left out.

        An export that differs in anything but its clients from what was asked for counts as none, so that it is made anew.
        """
        found: dict[str, tuple[Rule, ...]] = {}
        for instance in sorted({row.instance for row in rows}):
            servers = self._room.servers(instance)
            mine = [row for row in rows if row.instance == instance]
            found.update(
                closed_marks.seen(
                    servers, mine, partial(self._seen, servers, mine, passwords, people), self.await_restart
                )
            )
        is_open = {resource_id for resource_id in found if found[resource_id]}
        self._confirmed.difference_update({row.resource_id for row in rows} - is_open)
        self._confirmed.update(is_open)
        return found

    def _seen(
        self, servers: Servers, rows: Sequence[ShareRow], passwords: Mapping[str, str], people: People | None
    ) -> dict[str, tuple[Rule, ...]]:
        found: dict[str, tuple[Rule, ...]] = {}
        there = [row for row in rows if row.trashed_at is None]
        if servers.nfs is not None:
            found.update(self._observe_nfs(servers, servers.nfs, [row for row in there if row.protocol == "NFS"]))
        if servers.smb is not None:
            cifs = [row for row in there if row.protocol == "CIFS"]
            found.update(self._observe_smb(servers.smb, cifs, passwords, people))
        return found

    def _export(self, servers: Servers, row: ShareRow, clients: frozenset[Any]) -> None:
        server: Any = servers.needs("NFS")
        if not clients:
            self.withdraw(row)
            return
        export = Export(
            row.export_id,
            self._bind(servers, row),
            pseudo_path(row.export_name),
            clients,
            **treatment.of_options(row.options),
        )
        is_down = not _put(server, export)  # first, so that no start brings back what was stored before
        if is_down or (servers.instance not in self._started and not server.is_running()):
            server.ensure_running(self.is_ready(servers, {*self._confirmed, row.resource_id}))
            if not _put(server, export):
                message = "the NFS server was started but ended at once; its log on the storage host says why"
                raise Problem(ProblemKind.TRANSIENT, message)
        self._started.add(servers.instance)
        self._confirm(servers, row)

    def _confirm(self, servers: Servers, row: ShareRow) -> None:
        self._confirmed.add(row.resource_id)
        closed_marks.unmark(servers.instance, row.resource_id)

    def _bind(self, servers: Servers, row: ShareRow) -> str:
        """Bind the volume to its mount point, since Ganesha exports a subvolume only from a mount of its own."""
        source = self._attach(row)
        target = servers.mount_point(row.resource_id)
        servers.make_exports_root()
        mounts.make_mount_point(target)
        mounts.bind(source, target)
        return target

    def _attach(self, row: ShareRow) -> str:
        """Return the folder of the share's volume; raises NOT_FOUND where that is gone, or another has its name."""
        pool = self._pools.usable(row.pool)
        if row.identity == UNREAD:  # it was read before the pool was usable
            row = self._records.share(row.resource_id) or row
        return pool.attach(row.volume, row.identity)

    def is_ready(self, servers: Servers, wanted: Collection[str] | None = None) -> Callable[[Export], bool]:
        """Return what tells of a stored export whether its folder is bound to the right volume, and binds it where it is not.

        `wanted` are the ids of the shares that may come back; None, for the repair of a whole share server, lets all do so, and the
        next plan sees what they grant. The records are read when it is first asked: that is when the server is started.
        """
        rows: dict[int, ShareRow] | None = None

        def is_ready(export: Export) -> bool:
            nonlocal rows
            if rows is None:
                rows = {row.export_id: row for row in self._rows_to_serve(servers, "NFS", wanted)}
            row = rows.get(export.export_id)
            if row is None or export.pseudo != pseudo_path(row.export_name):
                return False
            try:
                return self._bind(servers, row) == export.path
            except Problem:
                return False  # the volume is gone or its pool is down: the export must not show what is there instead

        return is_ready

    def is_section_ready(self, servers: Servers, wanted: Collection[str] | None = None) -> Callable[[Section], bool]:
        """Return what tells of a stored section whether its folder is the right volume, which it attaches; `wanted` as of `is_ready`."""
        rows: dict[str, ShareRow] | None = None

        def is_ready(section: Section) -> bool:
            nonlocal rows
            if rows is None:
                rows = {row.export_name: row for row in self._rows_to_serve(servers, "CIFS", wanted)}
            row = rows.get(section.name)
            if row is None:
                return False
            try:
                return self._attach(row) == section.path
            except Problem:
                return False  # as of exports

        return is_ready

    def _rows_to_serve(self, servers: Servers, protocol: str, wanted: Collection[str] | None) -> Iterable[ShareRow]:
        for row in self._records.shares_of_instance(servers.instance.name):
            is_wanted = wanted is None or row.resource_id in wanted
            is_whole = row.is_made and not row.is_removing
            if is_wanted and is_whole and row.protocol == protocol and row.trashed_at is None:
                yield row

    def _serve(
        self, servers: Servers, row: ShareRow, granted: rights.SmbRights, passwords: Mapping[str, str]
    ) -> dict[Rule, Status]:
        server: Any = servers.needs("CIFS")
        if granted.is_nothing:
            self.withdraw(row)
            return {}
        path = self._attach(row)
        os.makedirs(servers.instance.root, mode=0o711, exist_ok=True)  # noqa: PTH103 - as above
        # Its own section is stored after the start: what is stored until then may grant more than is asked for now.
        server.ensure_running(self.is_section_ready(servers, self._confirmed - {row.resource_id}))
        with locked(self._users_lock(servers), shared=True):
            refused = self._ensure_users(server, granted.users, passwords)
            live = server.live()
            before = live.get(row.export_name)
            closing.close_strangers(server, live, lambda: self._records.shares_of_instance(servers.instance.name))
            server.put(granted.section(row.export_name, path, smb_treatment.of_options(row.options), refused.keys()))
        self._confirm(servers, row)
        if before is not None and before.users - granted.users:
            self._forget_unused_users(servers, server, before)
        return granted.refused(refused)

    @staticmethod
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

    def _forget_unused_users(self, servers: Servers, server: SmbServer, before: Section | None) -> None:
        """Remove the users that no share of the server names any more.

        `before` is the section that named some until now; None where an earlier call removed it and may have come to its end then.
        """
        if not os.path.isdir(servers.instance.root):  # noqa: PTH112 - as above
            return
        with locked(self._users_lock(servers)):
            named = {
                observing.account_or_none(server, user)
                for section in server.stored().values()
                for user in section.users
            }
            if before is not None and {observing.account_or_none(server, user) for user in before.users} <= named:
                return  # to ask the server for all its users takes longer than all the rest
            for account in server.users():
                if account not in named:
                    server.remove_user(account)

    @staticmethod
    def _users_lock(servers: Servers) -> str:
        return os.path.join(servers.instance.root, "users.lock")  # noqa: PTH118 - as above

    def _observe_nfs(
        self, servers: Servers, server: NfsServer, rows: Sequence[ShareRow]
    ) -> Iterable[tuple[str, tuple[Rule, ...]]]:
        live = server.live([row.export_id for row in rows]) if rows else {}
        for row in rows:
            export = live.get(row.export_id)
            target = servers.mount_point(row.resource_id)
            if (
                export is not None
                and (export.path, export.pseudo) == (target, pseudo_path(row.export_name))
                and treatment.is_treated_so(export, row.options)
                and self._is_bound(row, target)
            ):
                yield row.resource_id, rights.rules_of_clients(export.clients)

    def _observe_smb(
        self, server: SmbServer, rows: Sequence[ShareRow], passwords: Mapping[str, str], people: People | None
    ) -> Iterable[tuple[str, tuple[Rule, ...]]]:
        live = server.live() if rows else {}
        if not live:
            return
        usable = server.users(passwords)
        for row in rows:
            section = live.get(row.export_name)
            path = self._pools.path(row.pool, row.volume)
            wanted = (path, smb_treatment.of_options(row.options))
            if section is not None and (section.path, section.treatment) == wanted and _is_attached(path):
                yield row.resource_id, observing.rules_in_force(server, section, usable, passwords, people)

    def _is_bound(self, row: ShareRow, target: str) -> bool:
        """Tell whether what is exported is the volume, not an empty mount point or a volume that was there before."""
        path = self._pools.path(row.pool, row.volume)
        with suppress(OSError):
            bound, volume = os.stat(target), os.stat(path)  # noqa: PTH116 - as above
            return _is_attached(path) and (bound.st_dev, bound.st_ino) == (volume.st_dev, volume.st_ino)
        return False


def _put(server: NfsServer, export: Export) -> bool:
    """Put the export in force, in the place of one that no record knows: what is left of records that were lost."""
    try:
        return server.put(export)
    except Problem as problem:
        strangers = [
            export_id
            for export_id, live in server.live().items()
            if live.pseudo == export.pseudo and export_id != export.export_id
        ]
        if problem.kind is not ProblemKind.REFUSED or not strangers:
            raise
        for export_id in strangers:
            server.remove(export_id)
        return server.put(export)


def _is_attached(path: str) -> bool:
    """Tell whether a folder of a pool is a volume: a file system of its own, or a subvolume, which has a device number of its own too."""
    with suppress(OSError):
        status = os.lstat(path)
        return stat.S_ISDIR(status.st_mode) and status.st_dev != os.stat(os.path.dirname(path)).st_dev  # noqa: PTH116, PTH120 - as above
    return False
