"""The optional capabilities of the simulated driver, one class each, so that a configuration can leave some out."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Final, Literal

from sharectl.drivers.base import Capability, ConflictError, DriverError, NotFoundError, ShareInUseError
from sharectl.drivers.simulated import checks
from sharectl.drivers.simulated.driver import SimulatedDriver
from sharectl.drivers.simulated.faults import Subject
from sharectl.drivers.simulated.listing import rows_of
from sharectl.drivers.simulated.rows import (
    live_row,
    not_found,
    observe_all,
    observe_snapshot,
    require_free,
    share_row,
    subject_of,
)
from sharectl.drivers.simulated.servers import HandlesServers, UpdatesServers
from sharectl.model.export_names import key
from sharectl.model.observed import ObservedShare, ObservedSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from sharectl.model.requests import ShareRef, ShareRequest, SnapshotRef

_SNAPSHOT_COLUMNS: Final = "resource_id, name, share_backend_id, size_bytes"


class Extends(SimulatedDriver):
    """Extends shares."""

    def extend_share(self, share: ShareRef, size_bytes: int) -> int | None:
        """As in the contract."""
        subject = subject_of("extend_share", share)
        return self.call(subject, lambda: _resize(self, share.resource_id, size_bytes, max), lambda: None)


class Shrinks(SimulatedDriver):
    """Shrinks shares, not below `used_bytes` in the state file."""

    def shrink_share(self, share: ShareRef, size_bytes: int) -> int | None:
        """As in the contract."""
        subject = subject_of("shrink_share", share)
        return self.call(subject, lambda: _resize(self, share.resource_id, size_bytes, min), lambda: None)


class Snapshots(SimulatedDriver):
    """Takes snapshots: of `used_bytes` and `content` in the state file."""

    def list_snapshots(self, resource_ids: Collection[str] | None = None) -> Sequence[ObservedSnapshot]:
        """As in the contract."""

        def work() -> Sequence[ObservedSnapshot]:
            with self.state.reading() as connection:
                if connection is None:
                    return []
                parts = rows_of(connection, "snapshots", "resource_id", _SNAPSHOT_COLUMNS, resource_ids)
                return list(map(observe_snapshot, chain.from_iterable(parts)))

        return self.call(Subject("list_snapshots"), work, list)

    def create_snapshot(self, share: ShareRef, resource_id: str, name: str) -> ObservedSnapshot:
        """As in the contract."""

        def work() -> ObservedSnapshot:
            with self.state.writing() as connection:
                select = f"SELECT {_SNAPSHOT_COLUMNS} FROM snapshots WHERE resource_id = ?"  # noqa: S608 - a constant
                row = connection.execute(select, (resource_id,)).fetchone()
                if row is None:
                    live_row(connection, share.resource_id)
                    connection.execute(
                        "INSERT INTO snapshots SELECT ?, ?, resource_id, backend_id, pool, size_bytes, used_bytes, content "
                        "FROM shares WHERE resource_id = ?",
                        (resource_id, name, share.resource_id),
                    )
                    row = connection.execute(select, (resource_id,)).fetchone()
            return observe_snapshot(row)

        return self.call(
            Subject("create_snapshot", resource_id, share.pool, name),
            work,
            lambda: observe_snapshot((resource_id, name, share.backend_id, share.size_bytes)),
        )

    def delete_snapshot(self, snapshot: SnapshotRef) -> None:
        """As in the contract."""

        def work() -> None:
            with self.state.writing() as connection:
                connection.execute("DELETE FROM snapshots WHERE resource_id = ?", (snapshot.resource_id,))

        self.call(Subject("delete_snapshot", snapshot.resource_id, None, snapshot.name), work, lambda: None)


class Clones(SimulatedDriver):
    """Makes shares from snapshots."""

    @property
    def clones_within(self) -> Literal["pool", "backend"]:
        """As configured."""
        return self.settings.clones_within


class ClonesNot(SimulatedDriver):
    """Refuses what the planner should not have asked for."""

    def create_share(self, request: ShareRequest) -> ObservedShare:
        """As in the contract, but not from a snapshot."""
        if request.snapshot is not None:
            message = "the backend cannot make shares from snapshots"
            raise DriverError(message)
        return super().create_share(request)


class Reverts(SimulatedDriver):
    """Turns shares back to snapshots."""

    def revert_share(self, share: ShareRef, snapshot: SnapshotRef) -> None:
        """As in the contract."""

        def work() -> None:
            with self.state.writing() as connection:
                live_row(connection, share.resource_id)
                changed = connection.execute(
                    "UPDATE shares SET (used_bytes, content) = (s.used_bytes, s.content) FROM snapshots s "
                    "WHERE shares.resource_id = ? AND s.resource_id = ?",
                    (share.resource_id, snapshot.resource_id),
                )
                if changed.rowcount == 0:
                    raise not_found(snapshot.resource_id)

        self.call(subject_of("revert_share", share), work, lambda: None)


class Trashes(SimulatedDriver):
    """Puts shares aside."""

    def trash_share(self, share: ShareRef) -> None:
        """As in the contract."""

        def work() -> None:
            with self.state.writing() as connection:
                if share_row(connection, share.resource_id) is None:
                    raise not_found(share.resource_id)
                connection.execute(
                    "UPDATE shares SET access = '[]', trashed_at = ? WHERE resource_id = ? AND trashed_at IS NULL",
                    (datetime.now(tz=UTC).isoformat(timespec="seconds"), share.resource_id),
                )

        self.call(subject_of("trash_share", share), work, lambda: None)

    def restore_share(self, resource_id: str) -> ObservedShare:
        """As in the contract."""

        def work() -> ObservedShare:
            with self.state.writing() as connection:
                row = share_row(connection, resource_id)
                if row is not None and row[7] is not None and row[10] is not None:
                    try:
                        require_free(connection, row[8], row[10], resource_id)
                    except ConflictError:  # another share has its name by now
                        connection.execute(
                            "UPDATE shares SET export_name = NULL, export_key = NULL WHERE resource_id = ?",
                            (resource_id,),
                        )
                connection.execute("UPDATE shares SET trashed_at = NULL WHERE resource_id = ?", (resource_id,))
                return observe_all([live_row(connection, resource_id)])[0]

        def pretend() -> ObservedShare:
            with self.state.reading() as connection:
                row = None if connection is None else share_row(connection, resource_id)
            if row is None:
                raise not_found(resource_id)
            return observe_all([row])[0]._replace(trashed_at=None)

        return self.call(Subject("restore_share", resource_id), work, pretend)


class Adopts(SimulatedDriver):
    """Takes over shares that were put into the state file from outside, without a `resource_id`."""

    def adopt_share(self, backend_id: str, resource_id: str, size_bytes: int | None) -> ObservedShare:
        """As in the contract."""

        def select(connection_row: tuple[str | None, ...] | None) -> None:
            if connection_row is None:
                message = f"the backend has no share {backend_id!r}"
                raise NotFoundError(message)
            if connection_row[0] not in {None, resource_id}:
                message = f"the share {backend_id!r} is managed already, under the id {connection_row[0]}"
                raise ConflictError(message)

        def work() -> ObservedShare:
            with self.state.writing() as connection:
                select(
                    connection.execute("SELECT resource_id FROM shares WHERE backend_id = ?", (backend_id,)).fetchone()
                )
                other = share_row(connection, resource_id)
                if other is not None and other[1] != backend_id:
                    message = f"the id is that of the share {other[1]!r} already"
                    raise ConflictError(message)
                connection.execute(
                    "UPDATE shares SET resource_id = ?, size_bytes = coalesce(size_bytes, ?) WHERE backend_id = ?",
                    (resource_id, size_bytes, backend_id),
                )
                return observe_all([live_row(connection, resource_id)])[0]

        def pretend() -> ObservedShare:
            pool, _, name = backend_id.partition("/")
            return ObservedShare(resource_id, backend_id, name, pool, size_bytes, None)

        return self.call(Subject("adopt_share", resource_id, None, backend_id), work, pretend)


class Names(SimulatedDriver):
    """Exports shares under other names than their own."""

    def rename_export(self, share: ShareRef, export_name: str) -> None:
        """As in the contract."""
        problem = checks.export_name_problem(export_name, share.protocol)
        if problem is not None:
            raise DriverError(problem)

        def work() -> None:
            with self.state.writing() as connection:
                row = live_row(connection, share.resource_id)
                require_free(connection, row[8], export_name, share.resource_id)
                connection.execute(
                    "UPDATE shares SET export_name = ?, export_key = ? WHERE resource_id = ?",
                    (export_name, key(export_name), share.resource_id),
                )

        self.call(subject_of("rename_export", share), work, lambda: None)


class Protocols(SimulatedDriver):
    """Exports shares over both protocols; a rule holds over each that knows it."""

    def change_protocols(self, share: ShareRef, protocol: str) -> None:
        """As in the contract."""
        problem = checks.protocol_problem(self.settings, protocol)
        if problem is not None:
            raise DriverError(problem)

        def work() -> None:
            with self.state.writing() as connection:
                live_row(connection, share.resource_id)
                connection.execute(
                    "UPDATE shares SET protocol = ? WHERE resource_id = ?", (protocol, share.resource_id)
                )

        self.call(subject_of("change_protocols", share), work, lambda: None)


class Measures(SimulatedDriver):
    """Says how much is used: `used_bytes` in the state file."""

    def used_bytes(self, share: ShareRef) -> int:
        """As in the contract."""

        def work() -> int:
            with self.state.reading() as connection:
                row = None
                if connection is not None:
                    row = connection.execute(
                        "SELECT used_bytes FROM shares WHERE resource_id = ?", (share.resource_id,)
                    ).fetchone()
            if row is None:
                raise not_found(share.resource_id)
            return int(row[0])

        return self.call(subject_of("used_bytes", share), work, lambda: 0)


_PARTS: Final[dict[Capability, type[SimulatedDriver]]] = {
    Capability.EXTEND: Extends,
    Capability.SHRINK: Shrinks,
    Capability.SNAPSHOT: Snapshots,
    Capability.CLONE: Clones,
    Capability.REVERT: Reverts,
    Capability.TRASH: Trashes,
    Capability.ADOPT: Adopts,
    Capability.USAGE: Measures,
    Capability.EXPORT_NAME: Names,
    Capability.PROTOCOLS: Protocols,
    Capability.SHARE_SERVERS: HandlesServers,
    Capability.SHARE_SERVER_UPDATE: UpdatesServers,
}


def driver_type(without: frozenset[Capability]) -> type[SimulatedDriver]:
    """Return a class with the methods of all capabilities but those in `without`."""
    parts = tuple(part for capability, part in _PARTS.items() if capability not in without)
    if Capability.CLONE in without:
        parts = (ClonesNot, *parts)
    return type("ConfiguredSimulatedDriver", parts, {})


def _resize(driver: SimulatedDriver, resource_id: str, size_bytes: int, bound: Callable[[int, int], int]) -> int | None:
    """Resize the share, unless the `bound` of the size asked for and its own is the latter, which is returned then."""
    problem = checks.size_problem(driver.settings, size_bytes)
    if problem is not None:
        raise DriverError(problem)
    with driver.state.writing() as connection:
        live_row(connection, resource_id)
        (has_bytes,) = connection.execute(
            "SELECT size_bytes FROM shares WHERE resource_id = ?", (resource_id,)
        ).fetchone()
        if has_bytes is not None and has_bytes != size_bytes and bound(has_bytes, size_bytes) == has_bytes:
            return int(has_bytes)
        changed = connection.execute(
            "UPDATE shares SET size_bytes = ? WHERE resource_id = ? AND used_bytes <= ?",
            (size_bytes, resource_id, size_bytes),
        )
        if changed.rowcount == 0:
            message = f"more than {size_bytes} bytes of the share are used"
            raise ShareInUseError(message)
        return None
