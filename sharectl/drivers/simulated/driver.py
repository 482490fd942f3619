"""The simulated driver itself: the calls that every driver has, and how latency, faults and the log surround each call."""

from __future__ import annotations

import os
import threading
import time
import uuid
from itertools import chain
from typing import TYPE_CHECKING, Final, TypeVar

import orjson

from sharectl.drivers.base import BackendUnavailableError, Capability, DriverError, PoolError, TransientError
from sharectl.drivers.simulated import checks, faults
from sharectl.drivers.simulated.creation import Creation, pretended
from sharectl.drivers.simulated.faults import Subject
from sharectl.drivers.simulated.listing import rows_of
from sharectl.drivers.simulated.rows import (
    COLUMNS,
    live_row,
    observe_all,
    share_row,
    subject_of,
)
from sharectl.drivers.simulated.store import UNFENCED, StateFile
from sharectl.model.access import AccessRule, rule_of
from sharectl.model.observed import BackendReport, ObservedShare, PoolReport
from sharectl.model.requests import RuleStatus

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Mapping, Sequence

    from sharectl.drivers.simulated.settings import Fault, SimulatedPool, SimulatedSettings
    from sharectl.model.requests import ShareRef, ShareRequest

Answer = TypeVar("Answer")
_ACTIVE: Final = RuleStatus("active")
_WRITE_ACCESS: Final = (
    "UPDATE shares SET access = ?, protocol = coalesce(protocol, ?) "  # noqa: S608 - a constant
    f"WHERE resource_id = ? AND trashed_at IS NULL AND access = ? AND {UNFENCED}"
)
_FAILURES: Final[Mapping[str, type[DriverError]]] = {
    "error": DriverError,
    "transient": TransientError,
    "pool-error": PoolError,
    "unavailable": BackendUnavailableError,
}


class SimulatedDriver:
    """A backend in a file; the optional capabilities are in `capabilities.py`."""

    def __init__(self, settings: SimulatedSettings) -> None:
        """Simulate what `settings` describes."""
        self.settings = settings
        self.state = StateFile(settings.state_file)
        self._creation = Creation(settings, self.state)
        self._closing = threading.Event()

    def report(self) -> BackendReport:
        """As in the contract."""

        def work() -> BackendReport:
            with self.state.reading() as connection:
                identity = None if connection is None else _identity(connection)
            return self._report(identity)

        return self.call(Subject("report"), work, lambda: self._report(None))

    def prepare(self) -> str:
        """As in the contract."""

        def work() -> str:
            with self.state.writing(create=True) as connection:
                identity = _identity(connection)
                if identity is None:
                    identity = str(uuid.uuid4())
                    connection.execute("INSERT INTO backend VALUES (?)", (identity,))
            return identity

        return self.call(Subject("prepare"), work, lambda: str(uuid.uuid4()))

    def raise_fence(self, lineage: str, fence: int) -> None:
        """As in the contract; not among the calls that have latency, faults and a log."""
        self.state.raise_fence(lineage, fence, ())

    def raise_fence_beside(self, lineage: str, fence: int, beside: Collection[int]) -> None:
        """As in the contract; not among the calls either."""
        self.state.raise_fence(lineage, fence, beside)

    def pools(self) -> Sequence[PoolReport]:
        """As in the contract."""

        def work() -> Sequence[PoolReport]:
            sums: dict[str, tuple[int, int]] = {}
            with self.state.reading() as connection:
                if connection is not None:
                    rows = connection.execute(
                        "SELECT pool, coalesce(sum(size_bytes), 0), sum(used_bytes) FROM shares GROUP BY pool"
                    )
                    sums = {pool: (allocated, used) for pool, allocated, used in rows}
            return [_pool_report(pool, *sums.get(pool.name, (0, 0))) for pool in self.settings.pools.values()]

        return self.call(Subject("pools"), work, list)

    def list_shares(self, resource_ids: Collection[str] | None = None) -> Sequence[ObservedShare]:
        """As in the contract."""

        def work() -> Sequence[ObservedShare]:
            with self.state.reading() as connection:
                if connection is None:
                    return []
                parts = rows_of(connection, "shares", "backend_id", COLUMNS, resource_ids)
                measures = Capability.USAGE not in self.settings.without
                return observe_all(chain.from_iterable(parts), measures=measures)

        return self.call(Subject("list_shares"), work, list)

    def create_share(self, request: ShareRequest) -> ObservedShare:
        """As in the contract; the bytes of a clone count as used, like those of its snapshot."""
        subject = Subject("create_share", request.resource_id, request.pool, request.name)

        def work() -> ObservedShare:
            if self._creation.at_once(request):
                return pretended(request)
            with self.state.writing() as connection:
                row = share_row(connection, request.resource_id)
                if row is None:
                    self._creation.insert(connection, request)
                    row = share_row(connection, request.resource_id)
                elif row[7] is not None:
                    message = f"the share {row[2]!r} with this id is in the trash; restore it instead"
                    raise DriverError(message)
            return observe_all([row] if row is not None else [])[0]

        return self.call(subject, work, lambda: pretended(request))

    def delete_share(self, share: ShareRef) -> None:
        """As in the contract."""

        def work() -> None:
            with self.state.writing() as connection:
                connection.execute("DELETE FROM shares WHERE resource_id = ?", (share.resource_id,))

        self.call(subject_of("delete_share", share), work, lambda: None)

    def update_access(
        self,
        share: ShareRef,
        rules: Collection[AccessRule],
        add: Collection[AccessRule],
        delete: Collection[AccessRule],
    ) -> Mapping[AccessRule, RuleStatus]:
        """As in the contract; with an empty change the whole set is written, with another just the change."""
        refused = checks.refused_rules(self.settings, rules)
        statuses = {rule: RuleStatus("error", refused[rule]) if rule in refused else _ACTIVE for rule in rules}
        if refused:
            rules, add = ([rule for rule in some if rule not in refused] for some in (rules, add))

        def work() -> Mapping[AccessRule, RuleStatus]:
            # What the caller believes is nearly always so, and then one statement does; else the row is asked what it holds.
            before = (set(rules) - set(add)) | set(delete)
            changed = bool(add or delete) and _write_access(self.state, share, _access_text(before), rules)
            while not changed:  # another process may change the row between the two statements
                with self.state.single() as connection:
                    self.state.expect_fence(connection)
                    text = live_row(connection, share.resource_id)[6]
                known = set(map(rule_of, orjson.loads(text)))
                in_force = set(rules)
                if add or delete:
                    replaced = {rule for rule in known if rule.key in {new.key for new in add}}
                    in_force = (known - set(delete) - replaced) | set(add)
                changed = _write_access(self.state, share, text, in_force)
            return statuses

        return self.call(subject_of("update_access", share), work, lambda: statuses)

    def close(self) -> None:
        """As in the contract; calls that wait or hang come back at once."""
        self._closing.set()
        self.state.close()

    def call(self, subject: Subject, work: Callable[[], Answer], pretend: Callable[[], Answer]) -> Answer:
        """Do `work` as a call about `subject`, after its latency and with the fault that befalls it.

        `pretend` gives the answer of a backend that lies: as if the work had been done.
        """
        latency = self.settings.latency_seconds
        sequence = self._log_start(subject) if self.settings.log else None
        outcome = "error"
        try:
            wait_seconds = latency.get(subject.call, latency.get("default", 0.0)) if latency else 0.0
            if wait_seconds:
                self._closing.wait(wait_seconds)
            fault = self._fault(subject) if self.settings.faults else None
            answer = work() if fault is None else self._befallen(fault, subject, work, pretend)
            outcome = "done" if fault is None else fault.effect
        except DriverError as error:
            outcome = f"{type(error).__name__}: {error}"
            raise
        finally:
            if sequence is not None:
                self._log_end(sequence, outcome)
        return answer

    def _report(self, identity: str | None) -> BackendReport:
        settings = self.settings
        most = settings.max_share_servers if settings.share_servers else None
        return BackendReport(identity, settings.protocols, dict(settings.capabilities), most)

    def _fault(self, subject: Subject) -> Fault | None:
        matching = faults.candidates(self.settings.faults, subject)
        if not matching:
            return None
        with self.state.writing(create=True, notes=True) as connection:
            return faults.choose(connection, matching, self.settings.seed)

    def _befallen(
        self, fault: Fault, subject: Subject, work: Callable[[], Answer], pretend: Callable[[], Answer]
    ) -> Answer:
        message = fault.message or f"simulated fault: {fault.effect} in {subject.call}"
        failure = _FAILURES.get(fault.effect)
        if failure is not None:
            raise failure(message)
        if fault.effect == "lie":
            return pretend()
        if fault.effect == "hang":
            self._closing.wait(self.settings.hang_seconds)
            raise TransientError(message)
        answer = work()
        if fault.effect == "crash-after":
            raise TransientError(message)
        if fault.effect == "lose" and subject.resource_id is not None:
            self._lose(subject.resource_id)
        if fault.effect == "half-list" and isinstance(answer, list):
            del answer[(len(answer) + 1) // 2 :]
        return answer

    def _lose(self, resource_id: str) -> None:
        with self.state.writing() as connection:
            connection.execute("DELETE FROM shares WHERE resource_id = ?", (resource_id,))
            connection.execute("DELETE FROM snapshots WHERE resource_id = ?", (resource_id,))
            connection.execute("DELETE FROM share_servers WHERE resource_id = ?", (resource_id,))

    def _log_start(self, subject: Subject) -> int:
        with self.state.writing(create=True, notes=True) as connection:
            cursor = connection.execute(
                "INSERT INTO calls(call, resource_id, pool, process, thread, started_ns) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    subject.call,
                    subject.resource_id,
                    subject.pool,
                    os.getpid(),
                    threading.get_native_id(),
                    time.monotonic_ns(),
                ),
            )
            return int(cursor.lastrowid or 0)

    def _log_end(self, sequence: int, outcome: str) -> None:
        with self.state.writing(create=True, notes=True) as connection:
            connection.execute(
                "UPDATE calls SET finished_ns = ?, outcome = ? WHERE sequence = ?",
                (time.monotonic_ns(), outcome, sequence),
            )


def _access_text(rules: Collection[AccessRule]) -> str:
    return orjson.dumps([rule.as_plain() for rule in sorted(rules)]).decode() if rules else "[]"


def _write_access(state: StateFile, share: ShareRef, before: str, after: Collection[AccessRule]) -> bool:
    """Replace a share's access if its column is just `before`, and no later fence is raised; tell whether it was."""
    values = (_access_text(after), share.protocol, share.resource_id, before)
    return state.changed(_WRITE_ACCESS, (*values, *state.fence))


def _identity(connection: sqlite3.Connection) -> str | None:
    row = connection.execute("SELECT identity FROM backend").fetchone()
    return None if row is None else row[0]


def _pool_report(pool: SimulatedPool, allocated_bytes: int, used_bytes: int) -> PoolReport:
    free_bytes = pool.free_bytes
    if free_bytes is None:
        total_bytes = pool.total_bytes
        taken_bytes = used_bytes if pool.thin_provisioning else allocated_bytes
        free_bytes = max(0, total_bytes - taken_bytes) if isinstance(total_bytes, int) else total_bytes
    return PoolReport(
        name=pool.name,
        total_bytes=pool.total_bytes,
        free_bytes=free_bytes,
        allocated_bytes=allocated_bytes,
        provisioned_bytes=allocated_bytes,
        thin_provisioning=pool.thin_provisioning,
        max_over_subscription_ratio=pool.max_over_subscription_ratio,
        reserved_percentage=pool.reserved_percentage,
        reserved_snapshot_percentage=pool.reserved_snapshot_percentage,
        reserved_share_extend_percentage=pool.reserved_share_extend_percentage,
        capabilities=dict(pool.capabilities),
    )
