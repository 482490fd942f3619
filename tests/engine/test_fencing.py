"""Whoever has lost the lock begins nothing any more: a stopped process that wakes up, whatever it was about to do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sharectl.engine.tenure import USABLE_PART, Tenure
from sharectl.model.records import Holder, Lease
from sharectl.state.contract import LeaseLostError, StateUnavailableError
from sharectl.state.sqlite.store import open_store
from tests.engine.site import Site, backend, share, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEASE_SECONDS = 3.0
PATIENCE_SECONDS = 300.0
DELETED = "deletionPolicy: delete"


@contextmanager
def stopped(site: Site, call: str, moment: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Start an apply, stop it where it halts, wait until its lease has run out, and give it; it is killed in the end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, "-m", "tests.engine.fence_child", str(site.root), str(LEASE_SECONDS), call, moment]
    pipe = subprocess.PIPE
    with subprocess.Popen([*command, *words], env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "here\n", f"it ended before it came to {call}"
            process.send_signal(signal.SIGSTOP)
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            with site.store() as store:
                deadline = time.monotonic() + PATIENCE_SECONDS
                while (lock := store.lock_status()) is None or not lock.expired:
                    assert time.monotonic() < deadline, "its lease never ran out"
                    time.sleep(0.01)
            yield process
        finally:
            process.kill()
            process.send_signal(signal.SIGCONT)


def let_go(process: subprocess.Popen[str]) -> str:
    """Let the process go on, and return what it prints when it ends."""
    assert process.stdin is not None
    process.stdin.write("go on\n")
    process.stdin.flush()
    process.send_signal(signal.SIGCONT)
    out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    return out


def calls_of(site: Site, process: subprocess.Popen[str], call: str) -> int:
    """Return how many calls of this name the process has begun."""
    return site.query("a", "SELECT count(*) FROM calls WHERE call = ? AND process = ?", call, process.pid)[0][0]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a site with eight shares, whose backend is one call wide."""
    made = Site(tmp_path / "r").write(backend("a", lanes=1), *(share(f"s{n}", spec=DELETED) for n in range(8)))
    assert made.apply().result.succeeded
    return made


def wanted_again(site: Site) -> set[str]:
    """Write all shares again, apply that as whoever takes over, and return the ids that are there then."""
    site.write(backend("a", lanes=1), *(share(f"s{n}", spec=DELETED) for n in range(8)))
    assert site.apply().result.succeeded
    return {row[0] for row in site.query("a", "SELECT resource_id FROM shares")}


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_stopped_holder_that_wakes_up_begins_no_call(site: Site, moment: str) -> None:
    """Its intents were committed, and the shares are wanted again meanwhile: also with a driver that knows no fences."""
    site.write(backend("a", lanes=1))
    with stopped(site, "delete_share", moment, "unfenced") as first:
        there = wanted_again(site)
        begun = calls_of(site, first, "delete_share")
        out = let_go(first)
        under_way = 1 if moment == "before" else 0  # that one had left already; nothing of sharectl can call it back
        assert calls_of(site, first, "delete_share") - begun == under_way
    assert "has passed to" in out or "has been taken away" in out
    left = {row[0] for row in site.query("a", "SELECT resource_id FROM shares")}
    assert len(there - left) <= under_way


def test_a_call_that_was_under_way_is_refused_by_a_driver_that_knows_fences(site: Site) -> None:
    """Whoever took over has raised the fence of the backend; the call that had left before is too late."""
    site.write(backend("a", lanes=1))
    with stopped(site, "delete_share", "before") as first:
        there = wanted_again(site)
        let_go(first)
    assert {row[0] for row in site.query("a", "SELECT resource_id FROM shares")} == there
    assert site.plan().is_empty


def test_a_retry_is_a_new_call(site: Site) -> None:
    """The first try failed for a moment; the second comes after the process was stopped, and is not made."""
    flaky = "faults: [{call: delete_share, effect: transient, first: 1}],"
    site.write(backend("a", lanes=1, config=flaky))
    with stopped(site, "delete_share", "after", "unfenced") as first:
        there = wanted_again(site)
        let_go(first)
    assert {row[0] for row in site.query("a", "SELECT resource_id FROM shares")} == there


def test_recovery_begins_nothing_either(site: Site) -> None:
    """A recovery that is stopped between looking and sweeping leaves alone what somebody else has made meanwhile."""
    gone = "faults: [{call: create_share, effect: crash-after}, {call: delete_share, effect: unavailable}],"
    site.write(
        backend("a", lanes=1, spec="attempts: 1,", config=gone), *(share(f"s{n}", spec=DELETED) for n in range(9))
    )
    assert not site.apply().result.succeeded
    assert site.view().operations
    site.query("a", "UPDATE shares SET trashed_at = NULL")
    with stopped(site, "list_shares", "after", "unfenced") as first:
        wanted_again(site)
        out = let_go(first)
        assert calls_of(site, first, "create_share") == 0
    assert "lost" in out


def test_what_a_failed_creation_left_is_not_removed_under_a_lost_lock(site: Site) -> None:
    """Removing it is a call like any other."""
    site.write(
        backend("a", lanes=1, spec="attempts: 1,", config="faults: [{call: create_snapshot, effect: error}],"),
        *(share(f"s{n}", spec=DELETED) for n in range(8)),
        snapshot("x", "s1"),
    )
    with stopped(site, "delete_snapshot", "before", "unfenced") as first:
        wanted_again(site)
        let_go(first)
        assert calls_of(site, first, "delete_snapshot") <= 1


class _Store:
    """As much of a store as a tenure needs: its renewals take time, and end as they are told."""

    location = "here"

    def __init__(self) -> None:
        self.now = 0.0
        self.takes_seconds = 0.0
        self.lost = False
        self.renewals = 0

    def renew(self, lease: Lease) -> None:
        """Take the time, and answer."""
        self.renewals += 1
        self.now += self.takes_seconds
        if self.lost:
            message = "passed to bob"
            raise LeaseLostError(message)


def tenure(store: _Store) -> Tenure:
    """Return the tenure of a lease of ten seconds."""
    lease = Lease(1, Holder("alice", "one.example", 1, "apply"), 10.0)
    return Tenure(store, lease, 0.0, lambda: store.now)  # type: ignore[arg-type] - as much of a store as it needs


def test_a_call_may_begin_for_a_part_of_the_lease_without_asking() -> None:
    """What is left is for the call to leave in."""
    store = _Store()
    mine = tenure(store)
    store.now = 10.0 * USABLE_PART - 0.01
    mine.require()
    assert store.renewals == 0
    store.now += 0.02
    mine.require()
    assert store.renewals == 1
    assert mine.left_seconds() == pytest.approx(10.0 * USABLE_PART)


def test_the_time_counts_from_before_the_renewal_was_sent() -> None:
    """A renewal that was under way for seven seconds is good for what is left."""
    store = _Store()
    mine = tenure(store)
    store.takes_seconds = 7.0
    mine.renew()
    assert mine.left_seconds() == pytest.approx(10.0 * USABLE_PART - 7.0)


def test_a_renewal_that_is_worth_nothing_when_it_comes_back_is_no_right() -> None:
    """It is tried again, and not for ever."""
    store = _Store()
    mine = tenure(store)
    store.now, store.takes_seconds = 20.0, 9.0
    with pytest.raises(StateUnavailableError, match="as fast as it runs out"):
        mine.require()


def test_a_lease_that_is_lost_stays_lost() -> None:
    """And is not asked for again."""
    store = _Store()
    mine = tenure(store)
    store.now, store.lost = 20.0, True
    for _ in range(3):
        with pytest.raises(LeaseLostError, match="passed to bob"):
            mine.require()
    assert store.renewals == 1


def test_a_lease_that_was_waited_for_is_renewed_before_the_first_call(tmp_path: Path) -> None:
    """When it was taken is not known to whoever waited; a moment before the waiting is too long ago."""
    store = open_store(tmp_path / "s.db", create=True)
    lease = store.acquire(Holder("alice", "one.example", 1, "apply"), duration_seconds=60)
    mine = Tenure(store, lease, float("-inf"))
    mine.require()
    assert mine.left_seconds() > 0
    store.close()
