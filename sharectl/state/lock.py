"""Who holds the lock, and whether it may be taken over: judged by clocks and processes, without touching the store."""

from __future__ import annotations

import os
import platform
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from sharectl.model.frozen import NamedTuple, dataclass
from sharectl.model.kinds import Kind, is_of
from sharectl.model.records import (
    BeginOperation,
    EndOperation,
    Holder,
    LockStatus,
    PutResource,
    PutRules,
    RemoveResource,
    RenameBackend,
    RenameResource,
    Scope,
)
from sharectl.state.contract import StateRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from sharectl.model.kinds import Address
    from sharectl.model.records import Change, Lease

    Recorded = Callable[
        [Collection[Address], Collection[str]],
        tuple[Mapping[Address, str | None], Mapping[str, tuple[Address, str | None]]],
    ]
    """By addresses the backends of their rows, and by the ids of open intents the addresses and backends of these; what is not there is left out."""

_BOOT_ID_FILE: Final = Path("/proc/sys/kernel/random/boot_id")
_PROCESS_NAMESPACE_LINK: Final = Path("/proc/self/ns/pid")
_ENDED_STATES: Final = frozenset({"Z", "X", "x"})
_STATE_FIELD: Final = 0
_START_TIME_FIELD: Final = 19


@dataclass(frozen=True, slots=True)
class Clock:
    """The clocks that leases are measured by.

    `wall` is the time of day in UTC, which somebody may set; `boottime_seconds` runs evenly since the machine was started,
    through suspend too, and means something only together with `boot_id`, which is empty where the system has none.
    """

    wall: Callable[[], datetime]
    boottime_seconds: Callable[[], float]
    boot_id: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process id means something: a machine, one of its boots, and a process namespace in it (a container's)."""

    node: str
    boot_id: str
    process_namespace: str


class HeldLock(NamedTuple):
    """A lease's row."""

    token: int
    user: str
    host: str
    process_id: int
    command: str
    process_started: str | None
    node: str
    boot_id: str
    process_namespace: str
    acquired_at: str
    heartbeat_at: str
    heartbeat_boottime_seconds: float
    duration_seconds: float
    scope: str
    actor: str | None
    ci_job_url: str | None


class _Verdict(NamedTuple):
    expired: bool
    reason: str


def _boot_id() -> str:
    try:
        return _BOOT_ID_FILE.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _boottime_seconds() -> float:
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


SYSTEM_CLOCK: Final = Clock(wall=lambda: datetime.now(UTC), boottime_seconds=_boottime_seconds, boot_id=_boot_id)


def timestamp(moment: datetime) -> str:
    """Write a moment in UTC as ISO 8601: `2026-05-04T12:00:00.000000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def here(clock: Clock) -> Place:
    """Return the place of this process."""
    try:
        namespace = str(_PROCESS_NAMESPACE_LINK.readlink())
    except OSError:
        namespace = ""
    return Place(node=platform.node(), boot_id=clock.boot_id(), process_namespace=namespace)


def process_start(process_id: int) -> str | None:
    """Return when a living process began, in the kernel's own count, or None where there is none or it cannot be told.

    An id is used again after its process has ended; the id and the start together are not (proc_pid_stat(5)).
    """
    fields = process_fields(process_id)
    if fields is None or fields[_STATE_FIELD] in _ENDED_STATES:
        return None
    return fields[_START_TIME_FIELD]


def process_fields(process_id: int) -> list[str] | None:
    """Return what the kernel says of a process, from its state on; None where there is none or it cannot be told."""
    try:
        text = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the program's name in parentheses, and may hold anything, parentheses too.
    return text.rpartition(")")[2].split()


def has_ended(process_id: int, process_started: str) -> bool:
    """Tell whether the process that began at `process_started` is known to have ended; in doubt it lives."""
    try:
        # PermissionError says that it is there, and belongs to another user.
        with suppress(PermissionError):
            os.kill(process_id, 0)
    except ProcessLookupError:
        return True
    fields = process_fields(process_id)
    if fields is None:
        return False
    return fields[_STATE_FIELD] in _ENDED_STATES or fields[_START_TIME_FIELD] != process_started


def scope_of(text: str) -> Scope:
    """Return the scope of a lease that has just been read; raises ValueError, TypeError and AttributeError where the text is none."""
    names = {name: frozenset(found) for name, found in orjson.loads(text).items()}
    if not all(type(name) is str for found in names.values() for name in found):
        raise ValueError(text)
    return Scope(**names)


def status_of(lock: HeldLock, scope: Scope, clock: Clock) -> LockStatus:
    """Return a lease as people see it, with the verdict whether it can be taken over now."""
    return _status(
        lock, scope, _by_process(lock, here(clock)) or _by_boottime(lock, clock) or _by_wall_clock(lock, clock)
    )


def status_by_age(lock: HeldLock, scope: Scope, age_seconds: float, clock: Clock) -> LockStatus:
    """Return the same of a lease whose last heartbeat is so old by the one clock that all its holders are judged by."""
    return _status(lock, scope, _by_process(lock, here(clock)) or _by_age(age_seconds, lock))


def _status(lock: HeldLock, scope: Scope, verdict: _Verdict) -> LockStatus:
    return LockStatus(
        token=lock.token,
        holder=Holder(lock.user, lock.host, lock.process_id, lock.command, lock.actor, lock.ci_job_url),
        acquired_at=lock.acquired_at,
        heartbeat_at=lock.heartbeat_at,
        expired=verdict.expired,
        reason=verdict.reason,
        scope=scope,
    )


def expect_within(lease: Lease, changes: Sequence[Change], recorded: Recorded, location: str) -> None:
    """Raise StateRefusedError where a change is beyond the scope of the lease; `recorded` tells what the state holds before it.

    Network addresses are nobody's until they are taken: the key of the row lets one run have each, which no scope has to do.
    """
    if lease.scope.is_everything:
        return
    changes = [change for change in changes if not _takes_address(change)]
    addresses = {address for change in changes for address in addresses_of(change)}
    operations = {change.operation_id for change in changes if isinstance(change, EndOperation)}
    backends, begun = recorded(addresses, operations)
    for address, backend in (place for change in changes for place in _places(change, backends, begun)):
        if not lease.scope.holds(address, backend):
            raise StateRefusedError(
                location, f"{address} on backend {backend} is beyond the lease", "take a lease that includes it"
            )


def _takes_address(change: Change) -> bool:
    """Tell whether a change takes a network address for a share server, or gives one back."""
    return isinstance(change, PutResource | RemoveResource) and all(
        is_of(Kind.NETWORK_ALLOCATION, address) for address in addresses_of(change)
    )


def _places(
    change: Change, backends: Mapping[Address, str | None], begun: Mapping[str, tuple[Address, str | None]]
) -> Iterator[tuple[Address, str | None]]:
    """Yield the addresses that a change is about, with the backends that they are on before and after it."""
    for address in addresses_of(change):
        if address in backends:
            yield address, backends[address]
    match change:
        case PutResource(record):
            yield record.address, record.backend
        case RenameResource(address, new_address):
            if address in backends:
                yield new_address, backends[address]
        case RenameBackend(backend, new_backend):
            yield from (("", backend), ("", new_backend))
        case BeginOperation(operation):
            yield operation.address, operation.backend
        case EndOperation(operation_id):
            if operation_id in begun:
                yield begun[operation_id]


def addresses_of(change: Change) -> tuple[Address, ...]:
    """Return the addresses of the rows that a change reads or writes."""
    match change:
        case PutResource(record):
            return (record.address,)
        case RemoveResource(address) | PutRules(address) | RenameResource(address):
            return (address,)
    return ()


def _by_process(lock: HeldLock, place: Place) -> _Verdict | None:
    if lock.process_started is None or Place(lock.node, lock.boot_id, lock.process_namespace) != place:
        return None
    if has_ended(lock.process_id, lock.process_started):
        return _Verdict(expired=True, reason=f"its process {lock.process_id} on this machine has ended")
    return None


def _by_boottime(lock: HeldLock, clock: Clock) -> _Verdict | None:
    if not lock.boot_id or lock.boot_id != clock.boot_id():
        return None
    return _by_age(clock.boottime_seconds() - lock.heartbeat_boottime_seconds, lock)


def _by_wall_clock(lock: HeldLock, clock: Clock) -> _Verdict:
    age = clock.wall() - datetime.fromisoformat(lock.heartbeat_at)
    if age < timedelta(seconds=-lock.duration_seconds):
        return _Verdict(
            expired=False,
            reason=f"its last heartbeat ({lock.heartbeat_at}) lies in the future: a clock has jumped, here or on {lock.host}, "
            "and the lease cannot be judged; make sure that its process has ended, then run `sharectl unlock`",
        )
    return _by_age(age.total_seconds(), lock)


def _by_age(age_seconds: float, lock: HeldLock) -> _Verdict:
    left_seconds = lock.duration_seconds - age_seconds
    if left_seconds < 0:
        return _Verdict(expired=True, reason=f"its lease ran out {-left_seconds:.0f} s ago without a heartbeat")
    return _Verdict(expired=False, reason=f"its lease has {left_seconds:.0f} s left, and each heartbeat renews it")
