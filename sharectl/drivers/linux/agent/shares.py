"""What is done to shares on the host: volume, record and access in an order that a crash cannot break."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.export_names import free_name, require_exportable, require_free
from sharectl.drivers.linux.agent.holdings import Holdings, checked_id, require_own
from sharectl.drivers.linux.agent.rows import LOST, ShareRow
from sharectl.model.access import may_become, protocols_in
from sharectl.model.export_names import key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.drivers.linux.agent.access import Access
    from sharectl.drivers.linux.agent.access_by_smb import Credentials
    from sharectl.drivers.linux.agent.contract import Rule
    from sharectl.drivers.linux.agent.records import Records
    from sharectl.drivers.linux.agent.rights import Status
    from sharectl.drivers.linux.agent.schedules import Schedules
    from sharectl.drivers.linux.agent.versions import Versions
    from sharectl.drivers.linux.agent.volumes.contract import Resize, VolumePool
    from sharectl.drivers.linux.agent.volumes.pools import PoolRoom


class Shares:
    """The shares of one backend."""

    def __init__(
        self, records: Records, pools: PoolRoom, access: Access, schedules: Schedules, versions: Versions
    ) -> None:
        """Touch nothing."""
        self._versions = versions
        self._records = records
        self._pools = pools
        self._access = access
        self._schedules = schedules
        self._holdings = Holdings(records, pools)

    def delete(self, resource_id: str) -> None:
        """Remove the share: access, mounts, volume, scheduled snapshots and record, in this order, so that no client sees half of it.

        The record says first that this has begun: where it is cut short after the volume went, `sweep` does the rest.
        """
        row = self._records.share(checked_id(resource_id))
        if row is None:
            return
        if not row.is_removing:
            self._records.update_share(resource_id, is_removing=True)
        self._access.withdraw(row)
        pool = self._pools.usable(row.pool)
        row = self._holdings.settled(resource_id, pool) or row
        if row.identity is not None:
            pool.detach(row.volume, row.identity)
            pool.delete(row.volume, row.identity)
        self._versions.hide(row)
        self._schedules.discard(row, pool)
        self._records.remove_share(resource_id)

    def sweep(self, pool: VolumePool) -> None:
        """Do what calls that were cut short left to do in a pool, and close what was exported of volumes that somebody removed.

        Records that are older than identities get those of the volumes that are there under their names.
        """
        if self._records.has_unread(pool.name):
            volumes = {volume: state.identity for volume, state in pool.list_volumes().items()}
            self._records.identify(pool.name, volumes, pool.list_snapshots())
        rows = self._records.shares_of_pool(pool.name)
        served = self._access.served_by_path(rows)
        for row in rows:
            if (row.is_removing or row.resource_id in served) and not row.owns(pool.identify(row.volume)):
                with suppress(Problem):  # the rest of the pool goes on; the next agent tries again
                    self._access.withdraw(row)
                    if row.is_removing:
                        pool.delete(row.volume, row.identity or LOST)  # what is left: a mount point, a copy in staging
                        self._versions.hide(row)
                        self._schedules.discard(row, pool)
                        self._records.remove_unchanged_share(row)
        removing = [row for row in self._records.snapshots() if row.is_removing and row.pool == pool.name]
        there = pool.list_snapshots() if removing else {}
        for snapshot in removing:
            if snapshot.identity is None:  # taken, if at all, by a call that was killed before it could say so
                pool.delete_snapshot(snapshot.resource_id)
            if snapshot.identity is None or not snapshot.owns(there.get(snapshot.resource_id)):
                self._records.remove_snapshot(snapshot.resource_id)

    def apply_access(
        self, resource_id: str, protocol: str, rules: list[Rule], credentials: Credentials, options: Mapping[str, Any]
    ) -> dict[Rule, Status]:
        """Make the rules the whole access of a share that is not in the trash; a share without a protocol gets this one.

        `options` are the options of its export that are to be others from now on. Access is taken away whatever became of the pool.
        """
        try:
            row, _ = self._holdings.present(resource_id)
        except Problem as problem:
            if rules or problem.kind not in {ProblemKind.POOL, ProblemKind.UNAVAILABLE}:
                raise
            row = self._holdings.known_share(resource_id)
        if row.trashed_at is not None:
            message = f"the share {row.export_name!r} is in the trash; restore it first"
            raise Problem(ProblemKind.CONFLICT, message)
        if row.protocol is None:
            self._records.update_share(resource_id, protocol=protocol)
            row = self._holdings.known_share(resource_id)
        if not row.options.items() >= options.items():
            # Before the export itself: cut short, it is listed as another than was asked for, so that it is made anew.
            self._records.update_share(resource_id, options={**row.options, **options})
            row = self._holdings.known_share(resource_id)
        if row.suspended is not None:  # before the new rules: a later revert must not bring the old ones back
            self._records.update_share(resource_id, suspended=None)
        if not rules:  # which needs no server: the settings may have turned it off
            self._access.withdraw(row)
            return {}
        self._versions.prepare(row)
        return self._access.apply(row, rules, credentials)

    def rename_export(self, resource_id: str, name: str) -> None:
        """Withdraw the share under its name, also from clients that use it, and put the same rules in force under another.

        The rules are kept in the record meanwhile, so that the call repeated after a crash puts them in force.
        """
        row, _ = self._holdings.present(resource_id)
        if row.export_name != name:
            require_exportable(name, row.protocol)
            with self._records.transaction() as connection:
                require_free(connection, row.instance, name, resource_id)
            before = row.suspended or self._access.kept(row)
            self._records.update_share(resource_id, suspended=before)
            self._access.suspend(row)
            try:
                with self._records.transaction() as connection:
                    require_free(connection, row.instance, name, resource_id)  # somebody may have been quicker
                    statement = "UPDATE share SET export_name = ?, export_key = ? WHERE resource_id = ?"
                    connection.execute(statement, (name, key(name), resource_id))
            finally:
                self._resume(resource_id)
        elif row.suspended is not None:
            self._resume(resource_id)

    def change_protocols(self, resource_id: str, protocol: str) -> None:
        """Export the share over other protocols from now on: what goes is withdrawn first, what comes has access with the next rules.

        What stays has the same rules, on an export that is as the share's new protocols ask for it.
        """
        row, _ = self._holdings.present(resource_id)
        if row.protocol != protocol:
            before, after = protocols_in(row.protocol), protocols_in(protocol)
            if not may_become(row.protocol, protocol):
                message = f"the share {row.export_name!r} is exported over {' and '.join(before)}, and could not be found there any more"
                raise Problem(ProblemKind.REFUSED, message)
            require_exportable(row.export_name, protocol)
            kept = row.suspended or self._access.kept(row)
            self._access.withdraw(row, [each for each in before if each not in after])
            stays = [each for each in before if each in after]
            self._records.update_share(resource_id, protocol=protocol, suspended={**kept, "protocols": stays})
        elif row.suspended is None:
            return
        self._resume(resource_id)

    def _resume(self, resource_id: str) -> None:
        """Put in force again what was withdrawn for a while."""
        row = self._holdings.known_share(resource_id)
        if row.suspended is not None:
            self._access.resume(row, row.suspended)
            self._records.update_share(resource_id, suspended=None)

    def resize(self, resource_id: str, size_bytes: int, how: Resize) -> int:
        """Enforce another size, remember the one that holds, and return it.

        A volume that cannot be resized while it is mounted is unmounted for that, where nobody has access to the share.
        """
        row, pool = self._holdings.present(resource_id)
        try:
            has_bytes = pool.resize(row.volume, size_bytes, how, identity=row.identity)
        except Problem as problem:
            if problem.kind is not ProblemKind.IN_USE or self._access.in_force(row):
                raise
            pool.detach(row.volume, row.identity)
            has_bytes = pool.resize(row.volume, size_bytes, how, identity=row.identity)
        self._records.update_share(resource_id, size_bytes=has_bytes)
        return has_bytes

    def used_bytes(self, resource_id: str) -> int:
        """Return what the data of the share occupies. A pool that is down is not mounted for it: whoever looks changes nothing."""
        row = self._holdings.known_share(resource_id)
        pool = self._pools.get(row.pool)
        if not self._pools.is_readable(pool, self._records.pool_identities().get(row.pool)):
            message = f"the pool {row.pool!r} is not mounted; the next apply mounts it"
            raise Problem(ProblemKind.UNAVAILABLE, message)
        found = pool.identify(row.volume)
        require_own(row, found)
        return pool.used_bytes(row.volume, found)

    def trash(self, resource_id: str) -> None:
        """Withdraw the share and give up its name; its volume stays where it is."""
        row, pool = self._holdings.present(resource_id)
        if row.trashed_at is not None:
            return
        self._access.withdraw(row)
        pool.detach(row.volume, row.identity)
        now = datetime.now(tz=UTC).isoformat(timespec="seconds")
        self._records.update_share(resource_id, trashed_at=now, export_key=f"trash:{resource_id}", suspended=None)

    def restore(self, resource_id: str) -> ShareRow:
        """Bring a share back from the trash, without access, under its name if that is still free."""
        row, pool = self._holdings.present(resource_id)
        pool.attach(row.volume, row.identity)
        if row.trashed_at is None:
            return row
        with self._records.transaction() as connection:
            name = free_name(connection, row.instance, row.export_name, resource_id, row.protocol)
            connection.execute(
                "UPDATE share SET trashed_at = NULL, export_name = ?, export_key = ? WHERE resource_id = ?",
                (name, key(name), resource_id),
            )
        return self._holdings.known_share(resource_id)
