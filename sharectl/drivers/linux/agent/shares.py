"""What is done to shares and snapshots on the host: volume, record and access in an order that a crash cannot break."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.linux.agent.contract import Claim, Problem, ProblemKind, Resize, Rule
from sharectl.drivers.linux.agent.records import (
    LOST,
    ShareRow,
    SnapshotRow,
    holder_of_export,
    holder_of_volume,
    insert_share,
    next_export_id,
)
from sharectl.drivers.linux.agent.servers import MAIN
from sharectl.drivers.linux.agent.volumes.names import is_volume_name, problem_of_share_name, taken

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from sharectl.drivers.linux.agent.access import Access, Credentials
    from sharectl.drivers.linux.agent.contract import VolumePool
    from sharectl.drivers.linux.agent.records import Records
    from sharectl.drivers.linux.agent.rights import Status
    from sharectl.drivers.linux.agent.volumes.pools import PoolRoom

_RESOURCE_ID: Final = re.compile(r"[0-9a-f][0-9a-f-]{0,62}[0-9a-f]")
_ID_PREFIX_LENGTH: Final = 8
_SAMBA_NAMES: Final = frozenset({"global", "homes", "printers"})
_KEPT_IN_SLUG: Final = re.compile(r"[^A-Za-z0-9._-]+")


class Shares:
    """The shares and snapshots of one backend."""

    def __init__(self, records: Records, pools: PoolRoom, access: Access, options: Mapping[str, Any]) -> None:
        """`options` are the export options that a share has unless its request says otherwise."""
        self._records = records
        self._pools = pools
        self._access = access
        self._options = options

    def create(self, request: Mapping[str, Any]) -> tuple[ShareRow, bool]:
        """Make a share that nobody may reach yet, or finish making it; return it, and whether an earlier call had made it whole.

        `request` has resource_id, name, pool, protocol, size_bytes, options, snapshot_id for a clone (None otherwise), and
        share_server_id (None for the backend's own servers), and beside (see `_require_name`).
        """
        resource_id = checked_id(request["resource_id"])
        snapshot = request["snapshot_id"] and self._known_snapshot(request["snapshot_id"])
        pool = self._pools.usable(request["pool"])
        row = self._claimed(pool, request)
        if row.is_removing:  # by a call that was cut short
            self._records.update_share(resource_id, is_removing=False)
            row = replace(row, is_removing=False)
        if row.is_made:
            if row.owns(pool.identify(row.volume)):
                return row, True
            self._access.withdraw(row)  # what was exported is a volume that somebody removed
            pool.detach(row.volume, row.identity)
            # Else another share took the name of the lost volume meanwhile.
            row = self._records.reopen_share(row) or self._claimed(pool, request)
        try:
            self._make_volume(pool, row, snapshot)
        except Problem:
            row = self._records.share(resource_id) or row
            if not row.owns(pool.identify(row.volume)):
                self._records.remove_share(resource_id)
            raise
        self._records.update_share(resource_id, is_made=True)
        return replace(row, is_made=True), False

    def delete(self, resource_id: str) -> None:
        """Remove the share: its access, its mounts, its volume and its record, in this order, so that no client sees half of it.

        The record says first that this has begun: where it is cut short after the volume went, `sweep` does the rest.
        """
        row = self._records.share(checked_id(resource_id))
        if row is None:
            return
        if not row.is_removing:
            self._records.update_share(resource_id, is_removing=True)
        self._access.withdraw(row)
        pool = self._pools.usable(row.pool)
        row = self._settled(resource_id, pool) or row
        if row.identity is not None:
            pool.detach(row.volume, row.identity)
            pool.delete(row.volume, row.identity)
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

        `options` are the options of its export that are to be others from now on.
        """
        row, _ = self._present(resource_id)
        if row.trashed_at is not None:
            message = f"the share {row.export_name!r} is in the trash; restore it first"
            raise Problem(ProblemKind.CONFLICT, message)
        if row.protocol is None:
            self._records.update_share(resource_id, protocol=protocol)
            row = self._known_share(resource_id)
        if not row.options.items() >= options.items():
            # Before the export itself: cut short, it is listed as another than was asked for, so that it is made anew.
            self._records.update_share(resource_id, options={**row.options, **options})
            row = self._known_share(resource_id)
        if row.suspended is not None:  # before the new rules: a later revert must not bring the old ones back
            self._records.update_share(resource_id, suspended=None)
        if not rules:  # which needs no server: the settings may have turned it off
            self._access.withdraw(row)
            return {}
        return self._access.apply(row, rules, credentials)

    def resize(self, resource_id: str, size_bytes: int, how: Resize) -> int:
        """Enforce another size, remember the one that holds, and return it.

        A volume that cannot be resized while it is mounted is unmounted for that, where nobody has access to the share.
        """
        row, pool = self._present(resource_id)
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
        row = self._known_share(resource_id)
        pool = self._pools.get(row.pool)
        if not self._pools.is_readable(pool, self._records.pool_identities().get(row.pool)):
            message = f"the pool {row.pool!r} is not mounted; the next apply mounts it"
            raise Problem(ProblemKind.UNAVAILABLE, message)
        found = pool.identify(row.volume)
        _require_own(row, found)
        return pool.used_bytes(row.volume, found)

    def trash(self, resource_id: str) -> None:
        """Withdraw the share and give up its name; its volume stays where it is."""
        row, pool = self._present(resource_id)
        if row.trashed_at is not None:
            return
        self._access.withdraw(row)
        pool.detach(row.volume, row.identity)
        now = datetime.now(tz=UTC).isoformat(timespec="seconds")
        self._records.update_share(resource_id, trashed_at=now, export_key=f"trash:{resource_id}", suspended=None)

    def restore(self, resource_id: str) -> ShareRow:
        """Bring a share back from the trash, without access, under its name if that is still free."""
        row, pool = self._present(resource_id)
        pool.attach(row.volume, row.identity)
        if row.trashed_at is None:
            return row
        with self._records.transaction() as connection:
            name = _free_name(connection, row.instance, row.export_name, resource_id)
            connection.execute(
                "UPDATE share SET trashed_at = NULL, export_name = ?, export_key = ? WHERE resource_id = ?",
                (name, name.casefold(), resource_id),
            )
        return self._known_share(resource_id)

    def adopt(self, backend_id: str, resource_id: str, size_bytes: int | None) -> ShareRow:
        """Put an existing volume under an id; where the kernel enforces no size and one is given, it is enforced from now on.

        A record of another volume that had the name, and is gone, gives it up.
        """
        checked_id(resource_id)
        pool_name, _, volume = backend_id.partition("/")
        is_known = is_volume_name(volume) and pool_name in {pool.name for pool in self._pools}
        found = self._pools.usable(pool_name).list_volumes().get(volume) if is_known else None
        if found is None:
            message = f"there is no volume {backend_id!r}; write POOL/VOLUME"
            raise Problem(ProblemKind.NOT_FOUND, message)
        pool = self._pools.usable(pool_name)
        size = found.size_bytes or size_bytes or pool.capacity().total_bytes
        former = self._records.share_of_volume(pool_name, volume)
        if former is not None and not former.owns(found.identity):
            self._gives_up(former)
        with self._records.transaction() as connection:
            holder = holder_of_volume(connection, pool_name, volume)
            if holder not in {None, resource_id}:
                message = f"{backend_id} is managed already, under the id {holder}"
                raise Problem(ProblemKind.CONFLICT, message)
            if holder is None:
                name = _free_name(connection, MAIN, _slug(volume, resource_id), resource_id)
                insert_share(
                    connection,
                    ShareRow(
                        resource_id=resource_id,
                        pool=pool_name,
                        volume=volume,
                        instance=MAIN,
                        export_name=name,
                        export_key=name.casefold(),
                        export_id=next_export_id(connection, MAIN),
                        protocol=None,
                        size_bytes=size,
                        options=dict(self._options),
                        is_made=True,
                        identity=found.identity,
                    ),
                )
        if found.size_bytes is None and size_bytes is not None:
            pool.resize(volume, size_bytes, identity=found.identity)
        return self._known_share(resource_id)

    def create_snapshot(self, share_id: str, resource_id: str, name: str) -> SnapshotRow:
        """Take a snapshot of the share, unless the one with this id is there."""
        checked_id(resource_id)
        row, pool = self._present(share_id)
        # The record comes first, so that a snapshot which is taken before a crash is found by its id, and can be removed.
        self._records.put_snapshot(
            SnapshotRow(resource_id, row.pool, name, row.backend_id, row.size_bytes, row.resource_id)
        )
        known = self._known_snapshot(resource_id)
        identity = pool.create_snapshot(row.volume, resource_id, row.identity)
        if (known.identity, known.is_removing) != (identity, False):
            self._records.update_snapshot(resource_id, identity=identity, is_removing=False)
        return self._known_snapshot(resource_id)

    def delete_snapshot(self, resource_id: str) -> None:
        """Remove a snapshot; its record says first that this has begun."""
        row = self._records.snapshot(checked_id(resource_id))
        if row is not None:
            self._records.update_snapshot(resource_id, is_removing=True)
            pool = self._pools.usable(row.pool)
            row = self._records.snapshot(resource_id)  # as it is once the pool is usable
            if row is not None:
                pool.delete_snapshot(resource_id, row.identity)
                self._records.remove_snapshot(resource_id)

    def revert(self, share_id: str, snapshot_id: str) -> None:
        """Turn the share back; what its servers enforced is withdrawn meanwhile.

        It is put in force again whether the pool did it or refused, and after a crash between by the same call repeated.
        """
        row, pool = self._present(share_id)
        snapshot = self._known_snapshot(snapshot_id)
        if snapshot.share_id != share_id if snapshot.share_id else snapshot.share_backend_id != row.backend_id:
            message = f"the snapshot {snapshot.name!r} is not of the share {row.export_name!r}"
            raise Problem(ProblemKind.REFUSED, message)
        before = row.suspended
        if before is None:
            before = {"rules": [list(rule) for rule in self._access.in_force(row)]}
            self._records.update_share(share_id, suspended=before)
        self._access.suspend(row)
        try:
            pool.detach(row.volume, row.identity)
            claim = Claim(row.identity, lambda identity: self._record(share_id, next_identity=identity))
            pool.revert(row.volume, snapshot_id, claim, snapshot_identity=snapshot.identity)
            # Whatever has come under the name; somebody may have made the volume larger by hand.
            row = self._settled(share_id, pool) or row
            pool.resize(row.volume, row.size_bytes, Resize.EXTEND, identity=row.identity)
        finally:
            row = self._settled(share_id, pool) or row
            self._access.resume(row, [Rule(*rule) for rule in before["rules"]])
            self._records.update_share(share_id, suspended=None)

    def _claimed(self, pool: VolumePool, request: Mapping[str, Any]) -> ShareRow:
        """Return the row of the request's id, made now with names that nothing else has, unless it is there.

        Pools and servers are asked outside the transaction, which holds up every other process.
        """
        resource_id, name = request["resource_id"], request["name"]
        while (row := self._records.share(resource_id)) is None:
            if (wrong := problem_of_share_name(name)) is not None:
                raise Problem(ProblemKind.REFUSED, wrong)
            self._check_share_server(request["share_server_id"])
            self._require_name(pool, request)
            volume = self._free_volume(pool, name, resource_id)  # which may free the name of the export as well
            # On btrfs durable with the second change: the new volume itself is kept only from btrfs's next commit on, so that a
            # power failure before that takes both, and the claim has to outlive this process alone.
            with self._records.transaction(is_durable=not self._pools.makes_at_once(pool.name)) as connection:
                if holder_of_volume(connection, pool.name, volume) is None:  # else another call was quicker
                    return self._claim(connection, pool, volume, request)
        self._check_share_server(request["share_server_id"])
        return row

    def _claim(
        self, connection: sqlite3.Connection, pool: VolumePool, volume: str, request: Mapping[str, Any]
    ) -> ShareRow:
        """Make the row within a transaction, in which its share server cannot be removed."""
        self._check_share_server(request["share_server_id"])
        resource_id, name = request["resource_id"], request["name"]
        instance = request["share_server_id"] or MAIN
        export_name = _free_name(connection, instance, name, resource_id)
        row = ShareRow(
            resource_id=resource_id,
            pool=pool.name,
            volume=volume,
            instance=instance,
            export_name=export_name,
            export_key=export_name.casefold(),
            export_id=next_export_id(connection, instance),
            protocol=request["protocol"],
            size_bytes=request["size_bytes"],
            options={**self._options, **request["options"]},
        )
        insert_share(connection, row)
        return row

    def _require_name(self, pool: VolumePool, request: Mapping[str, Any]) -> None:
        """Raise CONFLICT where a share that the plan has not seen has the name; `beside` are those that it has, None any."""
        beside, name = request.get("beside"), request["name"]
        if beside is None:
            return
        holder = self._records.share_of_volume(pool.name, name)
        if holder is None or holder.trashed_at is not None or holder.resource_id in {*beside, request["resource_id"]}:
            return
        if pool.has_volume(name):
            message = (
                f"a share called {name!r} has been made in the pool {pool.name!r} since the plan was made; plan again"
            )
            raise Problem(ProblemKind.CONFLICT, message)

    def _free_volume(self, pool: VolumePool, name: str, resource_id: str) -> str:
        """Return a name that no volume of the pool has now; a share whose volume is gone gives its name up."""
        for wanted in (name, f"{name}-{resource_id[:_ID_PREFIX_LENGTH]}"):
            holder = self._records.share_of_volume(pool.name, wanted)
            if pool.has_volume(wanted):
                # Asked once more: another call may have claimed the name and made the volume between the two questions.
                holder = self._records.share_of_volume(pool.name, wanted)
                if holder is None or (holder.is_made and not holder.owns(pool.identify(wanted))):
                    raise taken(pool.name, wanted)
            elif holder is None or (holder.is_made and self._gives_up(holder)):
                return wanted
        message = f"both {name!r} and that name with the start of the id are taken in the pool {pool.name!r}"
        raise Problem(ProblemKind.CONFLICT, message)

    def _gives_up(self, row: ShareRow) -> bool:
        """Forget a share whose volume was removed by other means than sharectl, unless another call is making it anew."""
        self._access.withdraw(row)
        return self._records.remove_unchanged_share(row)

    def _make_volume(self, pool: VolumePool, row: ShareRow, snapshot: SnapshotRow | None) -> None:
        is_durable = not self._pools.makes_at_once(pool.name)
        claim = Claim(
            row.identity,
            lambda identity: self._record(row.resource_id, is_durable=is_durable, identity=identity),
        )
        if snapshot is None:
            mode, owner = self._pools.mode_and_owner(pool.name)
            pool.create(row.volume, row.size_bytes, mode, owner, claim)
        elif snapshot.pool != pool.name:
            message = f"a clone has to be in the pool of its snapshot, {snapshot.pool!r}"
            raise Problem(ProblemKind.POOL, message)
        elif snapshot.size_bytes is not None and row.size_bytes < snapshot.size_bytes:
            message = (
                f"a share of {_in_gib(row.size_bytes)} cannot be made from the snapshot {snapshot.name!r}, "
                f"which is of a share of {_in_gib(snapshot.size_bytes)}"
            )
            raise Problem(ProblemKind.REFUSED, message)
        else:
            pool.clone(snapshot.resource_id, row.volume, row.size_bytes, claim, snapshot_identity=snapshot.identity)

    def _check_share_server(self, server_id: str | None) -> None:
        server = None if server_id is None else self._records.share_server(server_id)
        if server_id is not None and server is None:
            message = f"the backend has no share server with the id {server_id}"
            raise Problem(ProblemKind.NOT_FOUND, message)
        if server is not None and not server.is_made:
            message = f"the share server {server.name!r} is half made, or being removed; apply again when it is whole"
            raise Problem(ProblemKind.CONFLICT, message)

    def _known_share(self, resource_id: str) -> ShareRow:
        row = self._records.share(checked_id(resource_id))
        if row is None:
            message = f"the backend has no share with the id {resource_id}"
            raise Problem(ProblemKind.NOT_FOUND, message)
        return row

    def _present(self, resource_id: str) -> tuple[ShareRow, VolumePool]:
        """Return the row of a share whose volume is really there, and its pool."""
        pool = self._pools.usable(self._known_share(resource_id).pool)
        row = self._settled(resource_id, pool) or self._known_share(resource_id)
        _require_own(row, pool.identify(row.volume))
        return row, pool

    def _settled(self, resource_id: str, pool: VolumePool) -> ShareRow | None:
        """Return the row as it is once the pool is usable; where a revert has put a copy in place, it is that copy's from now on."""
        row = self._records.share(resource_id)
        if row is None or row.next_identity is None or row.next_identity != pool.identify(row.volume):
            return row
        self._record(resource_id, identity=row.next_identity, next_identity=None)
        return replace(row, identity=row.next_identity, next_identity=None)

    def _record(self, resource_id: str, *, is_durable: bool = True, **values: str | None) -> None:
        """Change the record of a share; raises CONFLICT where it was taken away meanwhile."""
        if not self._records.update_share(resource_id, is_durable=is_durable, **values):
            message = f"the share with the id {resource_id} was removed by another call meanwhile"
            raise Problem(ProblemKind.CONFLICT, message)

    def _known_snapshot(self, resource_id: str) -> SnapshotRow:
        row = self._records.snapshot(checked_id(resource_id))
        if row is None:
            message = f"the backend has no snapshot with the id {resource_id}"
            raise Problem(ProblemKind.NOT_FOUND, message)
        return row


def _require_own(row: ShareRow, found: str | None) -> None:
    """Raise NOT_FOUND unless the volume with the identity `found`, which has the name, is that of the share."""
    if not row.owns(found):
        message = f"the volume {row.backend_id} of the share {row.export_name!r} is gone"
        if found is not None:
            message += ", and another that sharectl did not make has its name; import that, or move it away"
        raise Problem(ProblemKind.NOT_FOUND, message)


def _in_gib(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 30):.6g} GiB"


def checked_id(resource_id: str) -> str:
    """Return the id; raises REFUSED where it is none, since it becomes the name of a folder."""
    if not _RESOURCE_ID.fullmatch(resource_id):
        message = f"{resource_id[:80]!r} is no resource id"
        raise Problem(ProblemKind.REFUSED, message)
    return resource_id


def _free_name(connection: sqlite3.Connection, instance: str, name: str, resource_id: str) -> str:
    """Return the name under which a share is exported: `name`, or with the start of the id where that is taken."""
    longer = f"{name}-{resource_id[:_ID_PREFIX_LENGTH]}"
    for wanted in (name, longer):
        holder = holder_of_export(connection, instance, wanted.casefold())
        if holder in {None, resource_id} and wanted.casefold() not in _SAMBA_NAMES:
            return wanted
    message = f"both {name!r} and {longer!r} are exported already"
    raise Problem(ProblemKind.CONFLICT, message)


def _slug(volume: str, resource_id: str) -> str:
    """Return a name for the export of an existing volume, whatever that is called."""
    if problem_of_share_name(volume) is None:
        return volume
    slug = _KEPT_IN_SLUG.sub("-", volume).strip("-._")[:60]
    return f"{slug or 'share'}-{resource_id[:_ID_PREFIX_LENGTH]}"
