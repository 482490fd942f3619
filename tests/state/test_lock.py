"""The lock under clocks that jump, machines that restart, and processes that die."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from sharectl.model.records import Holder
from sharectl.state.contract import LockedError, StateUnavailableError
from sharectl.state.lock import SYSTEM_CLOCK, Clock, has_ended, here, process_start, timestamp
from sharectl.state.sqlite.store import open_store
from sharectl.state.testing.samples import ALICE, BOB, make_record, whole_view

from .processes import run, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sharectl.model.records import LockStatus
    from sharectl.state.sqlite.store import SqliteStore


@dataclass
class Machine:
    """A machine whose clocks are set by hand."""

    wall: datetime = datetime(2026, 5, 4, 12, tzinfo=UTC)
    uptime_seconds: float = 1000.0
    boot: str = "boot-1"
    clock: Clock = field(init=False)

    def __post_init__(self) -> None:
        """Make the clock that shows this machine's time."""
        self.clock = Clock(lambda: self.wall, lambda: self.uptime_seconds, lambda: self.boot)

    def pass_time(self, seconds: float) -> None:
        """Let time go by as it should."""
        self.wall += timedelta(seconds=seconds)
        self.uptime_seconds += seconds


@pytest.fixture
def machine() -> Machine:
    """Return the machine that all stores of a test run on."""
    return Machine()


@pytest.fixture
def store(tmp_path: Path, machine: Machine) -> Iterator[SqliteStore]:
    """Yield a store on `machine`, locked by alice for 60 seconds."""
    with closing(open_store(tmp_path / "state.db", create=True, clock=machine.clock)) as store:
        store.acquire(ALICE, duration_seconds=60)
        yield store


def status_of(store: SqliteStore) -> LockStatus:
    """Return the status of a lock that is held."""
    status = store.lock_status()
    assert status is not None
    return status


@pytest.mark.parametrize(("seconds", "expired"), [(0, False), (59, False), (61, True), (3600, True)])
def test_a_lease_ends_when_its_time_has_gone_by(
    store: SqliteStore,
    machine: Machine,
    seconds: float,
    expired: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Neither before nor long after."""
    machine.pass_time(seconds)
    status = status_of(store)
    assert status.expired is expired
    assert ("ran out" in status.reason) is expired


@pytest.mark.parametrize("days", [-400, -1, 1, 400])
def test_a_wall_clock_that_jumps_changes_nothing_on_the_same_boot(
    store: SqliteStore, machine: Machine, days: int
) -> None:
    """The lease is measured by the clock that nobody can set."""
    machine.wall += timedelta(days=days)
    assert not status_of(store).expired
    machine.uptime_seconds += 61
    assert status_of(store).expired


def test_after_a_restart_or_elsewhere_the_wall_clock_decides(store: SqliteStore, machine: Machine) -> None:
    """Uptimes of different boots have nothing to do with each other."""
    machine.boot, machine.uptime_seconds = "boot-2", 5.0
    machine.wall += timedelta(seconds=59)
    assert not status_of(store).expired
    machine.wall += timedelta(seconds=2)
    assert status_of(store).expired
    assert store.acquire(BOB, duration_seconds=60).token > 1


@pytest.mark.parametrize("boot", ["", "boot-2"])
def test_a_heartbeat_in_the_future_is_never_expired_and_says_what_to_do(
    store: SqliteStore, machine: Machine, boot: str
) -> None:
    """Somebody's clock has jumped: a person must look, and is told how."""
    machine.boot = boot
    machine.wall -= timedelta(days=1)
    status = status_of(store)
    assert not status.expired
    assert "sharectl unlock" in status.reason
    assert "one.example" in status.reason
    with pytest.raises(LockedError):
        store.acquire(BOB, duration_seconds=60)
    assert store.break_lock(status.token)


def test_a_heartbeat_a_little_in_the_future_is_an_ordinary_one(store: SqliteStore, machine: Machine) -> None:
    """Clocks of two machines differ by seconds."""
    machine.boot = "boot-2"
    machine.wall -= timedelta(seconds=30)
    status = status_of(store)
    assert not status.expired
    assert "unlock" not in status.reason


def test_a_renewal_counts_from_its_own_moment(tmp_path: Path, machine: Machine) -> None:
    """On the clocks of whichever boot it happens."""
    with closing(open_store(tmp_path / "state.db", create=True, clock=machine.clock)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        machine.pass_time(50)
        store.renew(lease)
        machine.pass_time(50)
        status = status_of(store)
        assert not status.expired
        assert status.heartbeat_at == "2026-05-04T12:00:50.000000Z"
        assert status.acquired_at == "2026-05-04T12:00:00.000000Z"


@pytest.mark.parametrize("change", ["boot", "namespace"])
def test_a_process_elsewhere_is_not_judged_by_the_processes_here(
    tmp_path: Path, machine: Machine, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same id after a restart, or in another container, is another process."""
    with (
        closing(open_store(tmp_path / "state.db", create=True, clock=machine.clock)) as store,
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process,
    ):
        store.acquire(Holder("alice", "one.example", process.pid, "apply"), duration_seconds=60)
        process.kill()
        process.wait(300)
        assert status_of(store).expired
        if change == "boot":
            machine.boot = "boot-2"
        else:
            monkeypatch.setattr("sharectl.state.lock._PROCESS_NAMESPACE_LINK", tmp_path / "nothing")
        assert not status_of(store).expired


def test_a_process_id_that_was_used_again_is_another_process() -> None:
    """The id and the start of a process together name it."""
    started = process_start(os.getpid())
    assert started is not None
    assert not has_ended(os.getpid(), started)
    assert has_ended(os.getpid(), str(int(started) + 1))


def test_a_process_that_has_ended_and_is_not_yet_reaped_has_ended() -> None:
    """A zombie writes no more."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        started = process_start(process.pid)
        assert started is not None
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert has_ended(process.pid, started)
        assert process_start(process.pid) is None
    assert has_ended(process.pid, started)
    assert process_start(process.pid) is None


def test_a_process_of_somebody_else_lives() -> None:
    """Process 1 may not be signalled by everybody, and is there."""
    started = process_start(1)
    assert started is not None
    assert not has_ended(1, started)


def test_a_process_that_cannot_be_looked_at_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /proc hides it, the signal alone tells."""
    monkeypatch.setattr("sharectl.state.lock.process_fields", {}.get)
    assert not has_ended(os.getpid(), "1")


def test_a_system_without_boot_ids_and_namespaces_has_a_place_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Empty texts stand for what is not there."""
    monkeypatch.setattr("sharectl.state.lock._BOOT_ID_FILE", tmp_path / "nothing")
    monkeypatch.setattr("sharectl.state.lock._PROCESS_NAMESPACE_LINK", tmp_path / "nothing")
    place = here(SYSTEM_CLOCK)
    assert (place.boot_id, place.process_namespace) == ("", "")
    assert place.node


def test_the_system_clock_runs_forward_in_utc() -> None:
    """Time of day with its zone, and a clock that only grows."""
    assert SYSTEM_CLOCK.wall().utcoffset() == timedelta(0)
    assert SYSTEM_CLOCK.boottime_seconds() <= SYSTEM_CLOCK.boottime_seconds()
    assert timestamp(datetime(2026, 5, 4, 12, tzinfo=UTC)) == "2026-05-04T12:00:00.000000Z"


def test_a_holder_without_a_process_here_is_judged_by_its_lease_alone(store: SqliteStore, machine: Machine) -> None:
    """An id that named nothing when the lock was taken says nothing later."""
    machine.pass_time(61)
    store.acquire(Holder("carol", "three.example", 2**22 + 1, "apply"), duration_seconds=60)
    assert not status_of(store).expired


def test_closing_the_store_ends_the_wait_for_its_lock(store: SqliteStore, tmp_path: Path, machine: Machine) -> None:
    """A cancelled command does not hang in acquire()."""
    waiting = open_store(tmp_path / "state.db", create=True, clock=machine.clock)
    errors: list[Exception] = []

    def wait() -> None:
        try:
            waiting.acquire(BOB, duration_seconds=60, wait_seconds=60)
        except StateUnavailableError as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    waiting.close()
    thread.join(300)
    assert [str(error) for error in errors] == [f"{store.location}: it has been closed"]


def test_of_many_processes_that_ask_at_once_one_gets_the_lock(tmp_path: Path) -> None:
    """Each waits for the same word to begin."""
    code = """
store = open_store(path, create=True)
print("ready", flush=True)
sys.stdin.readline()
try:
    print(store.acquire(ME, duration_seconds=60).token, flush=True)
except LockedError as error:
    print("locked by", error.status.holder.process_id, flush=True)
sys.stdin.read()
"""
    processes = [start(code, tmp_path / "state.db") for _ in range(5)]
    try:
        answers = [_read_line(process) for process in processes]
        assert answers == ["ready"] * 5
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [_read_line(process) for process in processes]
    finally:
        for process in processes:
            process.communicate(timeout=300)
    (token,) = (answer for answer in answers if answer.isdecimal())
    winner = processes[answers.index(token)].pid
    assert sorted(answers) == [token, *[f"locked by {winner}"] * 4]


def _read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_process_that_was_killed_leaves_no_lock_behind(tmp_path: Path) -> None:
    """The next one begins at once, with a higher token."""
    path = tmp_path / "state.db"
    code = "store = open_store(path, create=True); print(store.acquire(ME, duration_seconds=3600).token, flush=True); sys.stdin.read()"
    with start(code, path) as process:
        token = int(_read_line(process))
        with closing(open_store(path, create=True)) as store, pytest.raises(LockedError):
            store.acquire(BOB, duration_seconds=60)
        process.kill()
    follower = (
        "store = open_store(path, create=True); print(store.acquire(ME, duration_seconds=60).token); store.close()"
    )
    (next_token,) = run(follower, path)
    assert int(next_token) > token
    with closing(open_store(path, create=False)) as store:
        assert make_record().address not in whole_view(store).records


def test_the_token_is_no_less_than_the_time_of_day(tmp_path: Path, machine: Machine) -> None:
    """Backends remember it: a state that is restored from an older copy must not fall behind what they have seen."""
    path, copy = tmp_path / "state.db", tmp_path / "copy.db"
    with closing(open_store(path, create=True, clock=machine.clock)) as store:
        store.release(store.acquire(ALICE, duration_seconds=60))
    shutil.copy(path, copy)
    with closing(open_store(path, create=True, clock=machine.clock)) as store:
        machine.wall += timedelta(seconds=10)
        store.release(store.acquire(ALICE, duration_seconds=60))
        seen = store.acquire(ALICE, duration_seconds=60).token
    machine.wall += timedelta(seconds=10)
    with closing(open_store(copy, create=True, clock=machine.clock)) as store:
        assert store.acquire(ALICE, duration_seconds=60).token > seen
