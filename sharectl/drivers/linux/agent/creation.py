"""New shares: names that nothing else has, a record, and then the volume; or an existing volume and then its record."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.export_names import (
    ID_PREFIX_LENGTH,
    free_name,
    require_exportable,
    require_free,
    slug,
)
from sharectl.drivers.linux.agent.holdings import Holdings, checked_id
from sharectl.drivers.linux.agent.records import holder_of_volume, insert_share, next_export_id
from sharectl.drivers.linux.agent.rows import ShareRow, SnapshotRow
from sharectl.drivers.linux.agent.servers import MAIN
from sharectl.drivers.linux.agent.snapshot_views import remove_folder
from sharectl.drivers.linux.agent.volumes.contract import Claim
from sharectl.drivers.linux.agent.volumes.names import is_volume_name, problem_of_share_name, taken
from sharectl.model.export_names import key

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from sharectl.drivers.linux.agent.access import Access
    from sharectl.drivers.linux.agent.records import Records
    from sharectl.drivers.linux.agent.volumes.contract import VolumePool
    from sharectl.drivers.linux.agent.volumes.pools import PoolRoom


class Creation:
    """Makes shares, and takes over volumes."""

    def __init__(self, records: Records, pools: PoolRoom, access: Access, options: Mapping[str, Any]) -> None:
        """`options` are the export options that a share has unless its request says otherwise."""
        self._records = records
        self._pools = pools
        self._access = access
        self._holdings = Holdings(records, pools)
        self._options = options

    def create(self, request: Mapping[str, Any]) -> tuple[ShareRow, bool]:
        """Make a share that nobody may reach yet, or finish making it; return it, and whether an earlier call had made it whole.

        `request` has resource_id, name, pool, protocol, size_bytes, options, snapshot_id for a clone (None otherwise), and
        share_server_id (None for the backend's own servers), beside (see `_require_name`), and export_name (None: that of its own name).
        """
        resource_id = checked_id(request["resource_id"])
        snapshot = request["snapshot_id"] and self._holdings.known_snapshot(request["snapshot_id"])
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
        former = self._records.share_of_volume(pool_name, volume)
        if former is None and (obstacle := pool.obstacle(volume)):
            raise Problem(ProblemKind.REFUSED, f"{backend_id} cannot be taken over: {obstacle}")
        size = found.size_bytes or size_bytes or pool.capacity().total_bytes
        if former is not None and not former.owns(found.identity):
            self._gives_up(former)
        with self._records.transaction() as connection:
            holder = holder_of_volume(connection, pool_name, volume)
            if holder not in {None, resource_id}:
                message = f"{backend_id} is managed already, under the id {holder}"
                raise Problem(ProblemKind.CONFLICT, message)
            if holder is None:
                name = free_name(connection, MAIN, slug(volume, resource_id), resource_id, None)
                insert_share(
                    connection,
                    ShareRow(
                        resource_id=resource_id,
                        pool=pool_name,
                        volume=volume,
                        instance=MAIN,
                        export_name=name,
                        export_key=key(name),
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
        return self._holdings.known_share(resource_id)

    def _claimed(self, pool: VolumePool, request: Mapping[str, Any]) -> ShareRow:
        """Return the row of the request's id, made now with names that nothing else has, unless it is there.

        Pools and servers are asked outside the transaction, which holds up every other process.
        """
        resource_id, name = request["resource_id"], request["name"]
        while (row := self._records.share(resource_id)) is None:
            if (wrong := problem_of_share_name(name)) is not None:
                raise Problem(ProblemKind.REFUSED, wrong)
            if request.get("export_name") is not None:
                require_exportable(request["export_name"], request["protocol"])
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
        export_name = request.get("export_name")
        if export_name is None:
            export_name = free_name(connection, instance, name, resource_id, request["protocol"])
        else:
            require_free(connection, instance, export_name, resource_id)
        row = ShareRow(
            resource_id=resource_id,
            pool=pool.name,
            volume=volume,
            instance=instance,
            export_name=export_name,
            export_key=key(export_name),
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
        for wanted in (name, f"{name}-{resource_id[:ID_PREFIX_LENGTH]}"):
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
            lambda identity: self._holdings.record(row.resource_id, is_durable=is_durable, identity=identity),
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
            if pool.binds_snapshots:  # whose source may have shown them to NFS clients
                with suppress(
                    OSError
                ):  # in a clone that is full the empty folder stays, which is no reason to have none
                    remove_folder(self._pools.path(pool.name, row.volume))

    def _check_share_server(self, server_id: str | None) -> None:
        server = None if server_id is None else self._records.share_server(server_id)
        if server_id is not None and server is None:
            message = f"the backend has no share server with the id {server_id}"
            raise Problem(ProblemKind.NOT_FOUND, message)
        if server is not None and not server.is_made:
            message = f"the share server {server.name!r} is half made or being removed; apply again when that is done"
            raise Problem(ProblemKind.CONFLICT, message)


def _in_gib(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 30):.6g} GiB"
