"""Access to shares: put in force by the servers of their instance, withdrawn, and read back from what the servers enforce."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sharectl.drivers.linux.agent import closed_marks, closing, rights
from sharectl.drivers.linux.agent.access_by_nfs import NfsAccess
from sharectl.drivers.linux.agent.access_by_smb import SmbAccess
from sharectl.drivers.linux.agent.contract import rule_in
from sharectl.drivers.linux.agent.protocols import STRANGE, exported_over, joined, parts_of
from sharectl.drivers.linux.agent.served_volumes import ServedVolumes
from sharectl.drivers.linux.agent.servers import MAIN
from sharectl.drivers.linux.agent.smb import observing
from sharectl.drivers.linux.agent.snapshot_views import SnapshotViews
from sharectl.model.access import BOTH, CIFS, NFS, protocols_in

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from sharectl.drivers.linux.agent.access_by_smb import Credentials
    from sharectl.drivers.linux.agent.contract import Hindrance, Rule
    from sharectl.drivers.linux.agent.protocols import ByProtocol, Parts
    from sharectl.drivers.linux.agent.records import Records
    from sharectl.drivers.linux.agent.rights import SmbRights, Status
    from sharectl.drivers.linux.agent.rows import ShareRow
    from sharectl.drivers.linux.agent.servers import ServerRoom, Servers
    from sharectl.drivers.linux.agent.smb.people import People
    from sharectl.drivers.linux.agent.volumes.pools import PoolRoom


class Access:
    """Who may reach the shares of a backend."""

    def __init__(self, room: ServerRoom, pools: PoolRoom, records: Records) -> None:
        """Start nothing."""
        self._room = room
        self._pools = pools
        self._records = records
        volumes = ServedVolumes(pools, records)
        self.nfs = NfsAccess(volumes, SnapshotViews(records, pools))
        self.smb = SmbAccess(volumes, records)
        # The shares, by protocol and id, whose access this process has put in force or has seen in force. Only these are brought back
        # when a request for one share starts a server that died; see `closed_marks`.
        self._confirmed: dict[str, set[str]] = {NFS: set(), CIFS: set()}
        self.await_restart: Callable[[], object] = lambda: None
        """Waits for servers that have just ended and that somebody brings back; set by who knows."""

    def apply(self, row: ShareRow, rules: Collection[Rule], credentials: Credentials) -> dict[Rule, Status]:
        """Make `rules` the whole access of the share. Precondition: its volume is there and its protocol is known.

        Where it fails over one protocol, it is made so over the other all the same.
        """
        servers = self._room.servers(row.instance)
        users: Mapping[str, rights.User] = {}
        if CIFS in protocols_in(row.protocol) and servers.smb is not None:
            users = rights.users_meant(rules, servers.smb.account, credentials.known)
        parts = parts_of(row.protocol, rules, users, credentials.people)
        statuses, problems = dict(parts.statuses), dict[str, Exception]()
        for protocol in protocols_in(row.protocol):
            try:
                statuses.update(self._apply(servers, row, protocol, parts, credentials.of(users)))
            except Exception as problem:  # noqa: BLE001 - whatever it is (a full disk), it keeps nobody in over the other
                problems[protocol] = problem
        if problems:
            raise closing.joined(problems)
        return statuses

    def _apply(
        self, servers: Servers, row: ShareRow, protocol: str, parts: Parts, passwords: Mapping[str, str]
    ) -> dict[Rule, Status]:
        """Make one protocol's part its whole access; return what becomes of rules over it besides what `parts` says."""
        servers.needs(protocol)
        if not parts.clients if protocol == NFS else parts.granted.is_nothing:
            self._withdraw(servers, row, protocol)
            return {}
        if protocol == NFS:
            self.nfs.apply(servers, row, parts.clients, self._confirmed[NFS])
            self._confirm(servers, row, NFS)
            return {}
        statuses = self.smb.apply(servers, row, parts.granted, passwords, self._confirmed[CIFS])
        self._confirm(servers, row, CIFS)
        return {**self._closed_to_smbd(row, parts), **statuses}

    def _closed_to_smbd(self, row: ShareRow, parts: Parts) -> dict[Rule, Status]:
        """Return what becomes of rules where smbd does not get to the pool: nobody comes in by them, save by addresses over NFS."""
        closed = self._hindrance(row.pool)
        if closed is None:
            return {}
        reason = f"{closed.summary}; {closed.remedy}"
        active = [rule for rule, status in parts.statuses.items() if status == rights.ACTIVE]
        return {rule: ("error", reason) for rule in active if rule.access_type != "ip" or row.protocol != BOTH}

    def hindrances(self) -> list[Hindrance]:
        """Return what keeps the clients of SMB shares from getting to their pools, and which pools are open to users of the host."""
        from sharectl.drivers.linux.agent.smb.entry import openness  # noqa: PLC0415 - only where it is asked for

        is_prepared = self._records.exists()
        served = self._records.pools_of_protocol(CIFS) if is_prepared else []
        pinned = self._records.pool_identities() if is_prepared else {}
        found = [self._hindrance(pool.name) for pool in self._pools if pool.name in served]
        modes = {pool.name: self._pools.open_mode(pool.name) for pool in self._pools if pool.name in pinned}
        opened = [openness(name, self._pools.folder(name), mode) for name, mode in modes.items() if mode is not None]
        names = [MAIN, *(row.resource_id for row in self._records.share_servers())] if is_prepared else []
        unshown = [each for name in names for each in self.nfs.views.hindrances(self._room.servers(name))]
        return [*(each for each in found if each is not None), *opened, *unshown]

    def _hindrance(self, pool: str) -> Hindrance | None:
        from sharectl.drivers.linux.agent.smb.entry import hindrance  # noqa: PLC0415 - only where there are SMB shares

        return hindrance(pool, self._pools.folder(pool))

    def withdraw(self, row: ShareRow, protocols: Collection[str] | None = None) -> None:
        """Take all access away at once, also from clients that use the share now, and unbind its volume.

        Of several `protocols`, all of the share's without them, each goes whatever becomes of the others.
        """
        servers, problems = self._room.servers(row.instance), dict[str, Exception]()
        for protocol in protocols_in(row.protocol) if protocols is None else protocols:
            try:
                self._withdraw(servers, row, protocol)
            except Exception as problem:  # noqa: BLE001 - as above
                problems[protocol] = problem
        if problems:
            raise closing.joined(problems)

    def _withdraw(self, servers: Servers, row: ShareRow, protocol: str) -> None:
        (self.nfs if protocol == NFS else self.smb).remove(servers, row)
        self._forget(servers, row, protocol)

    def served_by_path(self, rows: Sequence[ShareRow]) -> set[str]:
        """Return the ids of the shares that Samba serves: by their paths, whatever is there now. An NFS export holds its volume."""
        found: set[str] = set()
        over_smb = [row for row in rows if CIFS in protocols_in(row.protocol)]
        for instance in {row.instance for row in over_smb}:
            server = self._room.servers(instance).smb
            names = set() if server is None else server.stored().keys()
            found.update(row.resource_id for row in over_smb if row.instance == instance and row.export_name in names)
        return found

    def suspend(self, row: ShareRow) -> None:
        """Withdraw the share while its volume is exchanged; its users stay."""
        servers = self._room.servers(row.instance)
        for protocol in protocols_in(row.protocol):
            if protocol == NFS:
                self.nfs.remove(servers, row)
            else:
                self.smb.suspend(servers, row)
            self._forget(servers, row, protocol)

    def kept(self, row: ShareRow) -> dict[str, Any]:
        """Return what is in force, as JSON has it, for `resume`: the rules, and what the section of an SMB share gives to whom."""
        found, _ = self._observe([row], {}, None)
        server = self._room.servers(row.instance).smb
        section = server.live().get(row.export_name) if server is not None and found[CIFS] else None
        return {
            "rules": [list(rule) for rule in joined(row, found)],
            "rights": None if section is None else observing.to_plain(section),
        }

    def resume(self, row: ShareRow, kept: Mapping[str, Any]) -> None:
        """Put in force again what `kept` gave and `suspend` withdrew; that of an older sharectl has no rights.

        Where it names `protocols`, over these alone.
        """
        servers = self._room.servers(row.instance)
        rules = [rule_in(rule) for rule in kept["rules"]]
        wanted = kept.get("protocols", (NFS, CIFS)) if rules else ()
        for protocol in (each for each in protocols_in(row.protocol) if each in wanted):
            if protocol == NFS:
                clients, _ = rights.nfs_clients([rule for rule in rules if rule.access_type == "ip"])
                if not clients:  # people alone have access, over SMB
                    continue
                self.nfs.put(servers, row, clients, self._confirmed[NFS])
            else:
                granted = _granted(rules, kept)
                if granted is None:
                    continue
                self.smb.put(servers, row, granted)
            self._confirm(servers, row, protocol)

    def in_force(self, row: ShareRow) -> tuple[Rule, ...]:
        """Return the rules of one share that its servers enforce now."""
        return self.observe([row], {}).get(row.resource_id, ())

    def observe(
        self, rows: Sequence[ShareRow], passwords: Mapping[str, str], people: People | None = None
    ) -> dict[str, tuple[Rule, ...]]:
        """Return the rules in force, by resource id; a share without any is left out.

        What is open in another way than was asked for has STRANGE in place of its rules, so that it is made anew, or ended.
        """
        found, strange = self._observe(rows, passwords, people)
        every = {
            row.resource_id: (*joined(row, found), *([STRANGE] if row.resource_id in strange else [])) for row in rows
        }
        return {resource_id: tuple(dict.fromkeys(rules)) for resource_id, rules in every.items() if rules}

    def _observe(
        self, rows: Sequence[ShareRow], passwords: Mapping[str, str], people: People | None
    ) -> tuple[ByProtocol, set[str]]:
        """Return the rules in force as they were asked for, and the ids of the shares that are open in another way."""
        found: ByProtocol = {NFS: {}, CIFS: {}}
        strange: set[str] = set()
        for instance in sorted({row.instance for row in rows}):
            servers = self._room.servers(instance)
            mine = [row for row in rows if row.instance == instance]
            look = partial(self._seen, servers, mine, passwords, people, strange)
            for protocol, seen in closed_marks.seen(servers, mine, look, self.await_restart).items():
                found[protocol].update(seen)
        for protocol, seen in found.items():
            is_open = {resource_id for resource_id, rules in seen.items() if rules}
            self._confirmed[protocol].difference_update({row.resource_id for row in rows} - is_open)
            self._confirmed[protocol].update(is_open)
        return found, strange

    def _seen(
        self,
        servers: Servers,
        rows: Sequence[ShareRow],
        passwords: Mapping[str, str],
        people: People | None,
        strange: set[str],
    ) -> ByProtocol:
        seen = {
            NFS: dict(self.nfs.observe(servers, exported_over(NFS, rows))),
            CIFS: dict(self.smb.observe(servers, exported_over(CIFS, rows), passwords, people)),
        }
        if seen[NFS] and servers.nfs is not None and not servers.nfs.is_running():
            # It serves some all the same (of NFSv3 rpcbind alone is gone): what is put in force anew starts what is missing.
            seen[NFS] = {found: (*rules, STRANGE) for found, rules in seen[NFS].items()}
        strange.difference_update(row.resource_id for row in rows)  # it may be the second look
        strange.update(found for rules in seen.values() for found, known in rules.items() if STRANGE in known)
        return {
            protocol: {
                found: tuple(rule for rule in known if rule != STRANGE)
                for found, known in rules.items()
                if known != (STRANGE,)
            }
            for protocol, rules in seen.items()
        }

    def _confirm(self, servers: Servers, row: ShareRow, protocol: str) -> None:
        self._confirmed[protocol].add(row.resource_id)
        closed_marks.unmark(servers.instance, row, protocol)

    def _forget(self, servers: Servers, row: ShareRow, protocol: str) -> None:
        """Note that nothing is stored any more."""
        self._confirmed[protocol].discard(row.resource_id)
        closed_marks.unmark(servers.instance, row, protocol)


def _granted(rules: Collection[Rule], kept: Mapping[str, Any]) -> SmbRights | None:
    """Return the rights over SMB that were kept, if any; of an older record those of rules for users and addresses."""
    if "rights" in kept:
        return None if kept["rights"] is None else observing.rights_in(kept["rights"])
    names = {rule.access_to.casefold() for rule in rules if rule.access_type == "user"}
    return rights.smb_rights(rules, {name: rights.User(name) for name in names})[0]
