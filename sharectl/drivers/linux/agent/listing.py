"""Bulk listings of everything on a backend: what the kernel and the live servers say, joined with the records."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sharectl.drivers.linux.agent.closed_marks import stored_rules
from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.export_names import is_own
from sharectl.drivers.linux.agent.nfs import treatment
from sharectl.drivers.linux.agent.protocols import export_options, offered
from sharectl.drivers.linux.agent.schedules import ScheduleListing
from sharectl.drivers.linux.agent.servers import MAIN
from sharectl.drivers.linux.agent.smb import treatment as smb_treatment
from sharectl.drivers.linux.agent.volumes.names import foreign_name
from sharectl.model.access import CIFS, NFS, protocols_in

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sharectl.drivers.linux.agent.access import Access
    from sharectl.drivers.linux.agent.contract import Rule
    from sharectl.drivers.linux.agent.records import Records
    from sharectl.drivers.linux.agent.rows import ShareRow, SnapshotRow
    from sharectl.drivers.linux.agent.servers import ServerRoom
    from sharectl.drivers.linux.agent.smb.people import People
    from sharectl.drivers.linux.agent.volumes.contract import VolumePool, VolumeState
    from sharectl.drivers.linux.agent.volumes.pools import PoolRoom, Readable


class Listed(NamedTuple):
    """A share as it is there, field for field an ObservedShare of the contract."""

    resource_id: str | None
    backend_id: str
    name: str
    pool: str
    size_bytes: int | None
    protocol: str | None
    access: tuple[Rule, ...]
    export_locations: tuple[str, ...]
    trashed_at: str | None
    share_server_id: str | None
    not_adoptable: str = ""
    export_settings: Mapping[str, str] | None = None
    snapshot_policy: Mapping[str, Any] | None = None
    scheduled_snapshots: Mapping[str, Any] | None = None
    export_name: str | None = None
    used_bytes: int | None = None


class ListedSnapshot(NamedTuple):
    """A snapshot as it is there, field for field an ObservedSnapshot of the contract."""

    resource_id: str
    backend_id: str
    name: str
    share_backend_id: str
    size_bytes: int | None


class Listing:
    """Lists what is on a backend."""

    def __init__(self, records: Records, pools: PoolRoom, access: Access, room: ServerRoom) -> None:
        """Read nothing yet."""
        self._records = records
        self._pools = pools
        self._access = access
        self._room = room

    def shares(
        self, resource_ids: Collection[str] | None, passwords: Mapping[str, str], people: People | None = None
    ) -> list[Listed]:
        """Return all shares, or those with these ids; a volume that sharectl did not make is listed without an id.

        A share whose pool is down and will be mounted by sharectl is listed as recorded, without the access that nobody has now. One
        whose pool cannot be seen while others can is listed as recorded too, with the access that is stored for it: nothing more is
        known of it. Raises UNAVAILABLE where no pool can be seen, or one has no settings any more.
        """
        rows = self._rows(resource_ids)
        self._require_pools(rows)
        readable = self._pools.readable(self._pinned())
        volumes = self._volumes(None if resource_ids is None else rows, readable)
        present = [row for row in rows if row.is_made and _is_there(row, volumes)]
        unseen = [row for row in present if row.pool in readable.lost]
        access = {
            **self._access.observe([row for row in present if row.pool not in readable.lost], passwords, people),
            **stored_rules(self._room, unseen),
        }
        scheduled = self._scheduled(resource_ids)
        listed = [
            self._listed(row, volumes, access.get(row.resource_id, ()), scheduled)._replace(
                used_bytes=_used_bytes(row, volumes)
            )
            for row in present
        ]
        if resource_ids is None:
            holders = {(row.pool, row.volume): row for row in rows}
            for pool, states in volumes.items():
                for volume, state in (states or {}).items():
                    holder = holders.get((pool, volume))
                    is_ours = holder is not None and holder.owns(state.identity)
                    shown = None if is_ours else foreign_name(volume)
                    if shown is not None:
                        name, problem = shown
                        problem = problem or _obstacle(self._pools.get(pool), volume)
                        known = (pool, state.size_bytes, None, (), (), None, None)
                        listed.append(
                            Listed(None, f"{pool}/{name}", name, *known, problem, used_bytes=state.used_bytes)
                        )
        return listed

    def share(self, row: ShareRow) -> Listed:
        """Return one share of a pool that is usable, with the access in force."""
        state = self._pools.get(row.pool).volume_state(row.volume)
        scheduled = self._scheduled([row.resource_id])
        return self._listed(row, {row.pool: {row.volume: state}}, self._access.in_force(row), scheduled)

    def new_share(self, row: ShareRow) -> Listed:
        """Return a share that was made this moment, as it was asked for: nobody has access to it yet."""
        return self._listed(row, {}, ())

    def snapshots(self, resource_ids: Collection[str] | None) -> list[ListedSnapshot]:
        """Return all snapshots that sharectl took, or those with these ids."""
        if not self._records.exists():
            return []
        rows = self._records.snapshots(resource_ids)
        self._require_pools(rows)
        readable = self._pools.readable(self._pinned())
        there = {pool.name: pool.list_snapshots() if pool.name in readable.up else None for pool in self._pools}
        found = []
        for row in rows:
            seen = there.get(row.pool)
            if seen is None or row.owns(seen.get(row.resource_id)):
                found.append(listed_snapshot(row))
        return found

    def _require_pools(self, rows: Sequence[ShareRow | SnapshotRow]) -> None:
        """Raise UNAVAILABLE where the settings have lost a pool: what is in it is not gone, and nobody can see it."""
        known = {pool.name for pool in self._pools}
        lost = sorted({row.pool for row in rows} - known)
        if lost:
            message = (
                f"the settings of the backend no longer name the pool {lost[0]!r}, in which sharectl made shares; "
                "put it back, and take it out when they are deleted"
            )
            raise Problem(ProblemKind.UNAVAILABLE, message)

    def _rows(self, resource_ids: Collection[str] | None) -> Sequence[ShareRow]:
        return self._records.shares(resource_ids) if self._records.exists() else ()

    def _scheduled(self, resource_ids: Collection[str] | None) -> ScheduleListing | None:
        return ScheduleListing(self._records, resource_ids, datetime.now(tz=UTC)) if self._records.exists() else None

    def _pinned(self) -> dict[str, str]:
        return self._records.pool_identities() if self._records.exists() else {}

    def _volumes(
        self, rows: Sequence[ShareRow] | None, readable: Readable
    ) -> dict[str, Mapping[str, VolumeState] | None]:
        """Return the volumes of each pool, or those of the rows; None for a pool that is down, or cannot be seen."""
        found: dict[str, Mapping[str, VolumeState] | None] = {}
        for pool in self._pools:
            if pool.name not in readable.up:
                found[pool.name] = None
            elif rows is None:
                found[pool.name] = pool.list_volumes()
            else:
                states = {row.volume: _state(pool, row.volume) for row in rows if row.pool == pool.name}
                found[pool.name] = {volume: state for volume, state in states.items() if state is not None}
        return found

    def _listed(
        self,
        row: ShareRow,
        volumes: Mapping[str, Mapping[str, VolumeState] | None],
        access: tuple[Rule, ...],
        scheduled: ScheduleListing | None = None,
    ) -> Listed:
        states = volumes.get(row.pool)
        size_bytes: int | None = row.size_bytes
        if states is not None:
            size_bytes = states[row.volume].size_bytes
            if size_bytes is None:  # nothing limits it any more: it is as large as its pool
                size_bytes = self._pools.get(row.pool).capacity().total_bytes
        servers = self._room.servers(row.instance)
        return Listed(
            row.resource_id,
            row.backend_id,
            row.export_name if is_own(row) else row.volume,
            row.pool,
            size_bytes,
            row.protocol,
            access,
            servers.locations(row.resource_id, row.protocol, row.export_name),
            row.trashed_at,
            None if row.instance == MAIN else row.instance,
            export_settings=settings_of(row) if access else None,
            snapshot_policy=None if scheduled is None else scheduled.policy(row.resource_id),
            scheduled_snapshots=None if scheduled is None else scheduled.snapshots(row.resource_id),
            export_name=row.export_name,
        )


def listed_snapshot(row: SnapshotRow) -> ListedSnapshot:
    """Return a snapshot as it is recorded."""
    backend_id = f"{row.share_backend_id}@{row.resource_id}"
    return ListedSnapshot(row.resource_id, backend_id, row.name, row.share_backend_id, row.size_bytes)


def settings_of(row: ShareRow) -> dict[str, str]:
    """Return the settings of the share's export, with which it is in force where anybody has access."""
    protocols = protocols_in(row.protocol)
    return {
        **(treatment.told(export_options(row)) if NFS in protocols else {}),
        **(smb_treatment.told(offered(row)) if CIFS in protocols else {}),
    }


def _used_bytes(row: ShareRow, volumes: Mapping[str, Mapping[str, VolumeState] | None]) -> int | None:
    """Return what the kernel has counted for the share; None where that is not known."""
    states = volumes.get(row.pool)
    return None if states is None else states[row.volume].used_bytes


def _state(pool: VolumePool, volume: str) -> VolumeState | None:
    """Return one volume as the kernel has it; None where it is gone, or something else is in its place."""
    try:
        return pool.volume_state(volume)
    except Problem as problem:
        if problem.kind not in {ProblemKind.NOT_FOUND, ProblemKind.CONFLICT}:
            raise
        return None


def _obstacle(pool: VolumePool, volume: str) -> str:
    with suppress(Problem):  # it is gone by now
        return pool.obstacle(volume)
    return ""


def _is_there(row: ShareRow, volumes: Mapping[str, Mapping[str, VolumeState] | None]) -> bool:
    states = volumes.get(row.pool)
    state = None if states is None else states.get(row.volume)
    return states is None or (state is not None and row.owns(state.identity))
