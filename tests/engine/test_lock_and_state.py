"""One apply at a time, under a lease that is kept alive; and what happens where the state cannot be written any more."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING

import pytest

import sharectl.engine.tenure
import sharectl.workspace.interventions
import sharectl.workspace.run
from sharectl.model.events import StepFailed, StepFinished, StepSkipped, StepStarted
from sharectl.model.records import Holder
from sharectl.state.contract import LeaseLostError, LockedError
from sharectl.state.sqlite.store import SqliteStore
from sharectl.workspace.run import describe_run, held_lease, locked_run
from tests.engine.site import Site, backend, share

if TYPE_CHECKING:
    from sharectl.engine.cancel import Cancellation
    from sharectl.model.events import Event

LOST = "the lock (token "  # passed to somebody, or, for a moment, been taken away
_OTHER = Holder("mallory", "elsewhere.example", 1, "sharectl apply")


def test_a_second_apply_is_refused_with_the_name_of_the_holder(tmp_path: Path) -> None:
    """While the first one runs."""
    site = Site(tmp_path / "r").write(backend("a"), share("x"))
    first = describe_run("first", site.root, {})
    with site.store() as store, held_lease(store, first), pytest.raises(LockedError) as caught:
        site.apply()
    assert caught.value.status.holder.command == "first"
    assert caught.value.status.holder.process_id == os.getpid()


def test_a_second_apply_may_wait(tmp_path: Path) -> None:
    """It goes on when the first one ends."""
    site = Site(tmp_path / "r").write(backend("a"), share("x"))
    with site.store() as store, site.opened(store) as (backends, _), site.store() as other:
        waiting = threading.Event()

        def first() -> None:
            with held_lease(other, describe_run("first", site.root, {})):
                held.set()
                waiting.wait(300)

        held = threading.Event()
        holder = threading.Thread(target=first)
        holder.start()
        assert held.wait(300)
        threading.Timer(0.2, waiting.set).start()
        with locked_run(
            store, backends, describe_run("second", site.root, {}), lambda _: None, wait_seconds=300
        ) as run:
            assert store.lock_status().holder.command == "second"  # type: ignore[union-attr] - it is held
            assert run.lease == run.heartbeat.lease
        holder.join()
        assert store.lock_status() is None


_HOLD_AND_DIE = """
import os, sys
from pathlib import Path
from tests.engine.site import Site
from sharectl.workspace.run import describe_run, held_lease
site = Site(Path(sys.argv[1]))
with site.store() as store, held_lease(store, describe_run("dead", site.root, {})):
    os.kill(os.getpid(), 9)
"""


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    """At once, on the same machine."""
    site = Site(tmp_path / "r").write(backend("a"), share("x"))
    site.apply()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    died = subprocess.run(
        [sys.executable, "-c", _HOLD_AND_DIE, str(site.root)], cwd=Path.cwd(), env=environment, check=False
    )
    assert died.returncode == -9
    with site.store() as store:
        status = store.lock_status()
    assert status is not None
    assert status.expired
    assert site.apply().result.succeeded


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the heartbeat come ten times in a second: the lease stays as long as it is, for a busy machine."""
    beats = 10 * sharectl.workspace.run.LEASE_SECONDS
    monkeypatch.setattr(sharectl.engine.tenure, "_BEATS_PER_LEASE", beats)


@pytest.mark.usefixtures("often")
def test_the_lease_is_kept_alive_while_nothing_is_applied_yet(tmp_path: Path) -> None:
    """Somebody may read the plan for longer than the lease lasts."""
    site = Site(tmp_path / "r").write(backend("a"))
    reader = describe_run("slow reader", site.root, {})
    with site.store() as store, held_lease(store, reader), site.store() as other:
        first = other.lock_status()
        assert first is not None
        deadline = monotonic() + 300
        while (now := other.lock_status()) is not None and now.heartbeat_at == first.heartbeat_at:
            assert monotonic() < deadline, "it is never renewed"
            sleep(0.01)
        with pytest.raises(LockedError):
            other.acquire(_OTHER, duration_seconds=60)


@pytest.mark.usefixtures("often")
def test_a_lease_that_was_lost_before_the_apply_lets_nothing_start(tmp_path: Path) -> None:
    """The heartbeat has noticed already."""
    site = Site(tmp_path / "r").write(backend("a"), share("x"))
    with site.store() as store, site.opened(store) as (backends, planned), site.locked(store, backends, []) as run:
        plan = planned()
        noticed = threading.Event()
        run.heartbeat.on_loss(lambda _: noticed.set())
        _take_over(site)
        assert noticed.wait(300)
        result = sharectl.workspace.run.apply_plan(run, plan, lambda _: None, _no_cancel())
    assert (result.done, result.skipped) == (0, 2)
    assert LOST in result.problem
    assert not site.calls("a", "prepare")


def _no_cancel() -> Cancellation:
    from sharectl.engine.cancel import Cancellation  # noqa: PLC0415 - for type checking above

    return Cancellation()


def _take_over(site: Site) -> None:
    with site.store() as other:
        status = other.lock_status()
        assert status is not None
        assert other.break_lock(status.token)
        other.acquire(_OTHER, duration_seconds=60)


def _free(site: Site) -> None:
    with site.store() as store:
        status = store.lock_status()
        if status is not None:
            store.break_lock(status.token)


def test_a_lease_lost_in_the_middle_stops_the_run_and_nothing_more_is_written(tmp_path: Path) -> None:
    """The next commit is refused; what ran keeps its intent for the next apply."""
    site = Site(tmp_path / "r").write(backend("a", lanes=2), *(share(f"s{n}") for n in range(40)))
    serial: list[int] = []

    def observe(event: Event, cancellation: Cancellation) -> None:
        if isinstance(event, StepFinished) and event.verb == "create-share" and not serial:
            _take_over(site)
            serial.append(site.view().serial)

    site.write(backend("a", lanes=2, config="latency: {create_share: 50ms},"), *(share(f"s{n}") for n in range(40)))
    run = site.apply(observer=observe)
    assert site.view().serial == serial[0]
    assert LOST in run.result.problem
    assert run.result.problem.endswith("what was running is resolved by the next apply")
    assert run.result.skipped > 0
    assert not run.result.succeeded
    assert {event.reason for event in run.of(StepSkipped)} == {"the state could not be written"}
    _free(site)
    assert site.apply().result.succeeded
    assert site.plan().is_empty


@pytest.mark.usefixtures("often")
def test_a_lease_lost_during_a_long_call_is_noticed_by_the_heartbeat(tmp_path: Path) -> None:
    """The run ends without waiting for the call, whose answer would say how it went."""
    site = Site(tmp_path / "r").write(backend("a", config="latency: {create_share: 60s},"), share("x"))

    def observe(event: Event, cancellation: Cancellation) -> None:
        if isinstance(event, StepStarted) and event.verb == "create-share":
            _take_over(site)

    run = site.apply(observer=observe)
    assert [failure.unresolved for failure in run.result.failures] == [True]
    assert LOST in run.result.failures[0].error
    _free(site)
    assert site.write(backend("a"), share("x")).apply().result.succeeded


def _full(store: SqliteStore) -> None:
    writer = store._writer
    assert writer is not None
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages}")


def test_when_the_disk_is_full_no_step_starts_any_more_and_the_next_apply_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself refuses, as it does on a full disk; the message says what to do."""
    site = Site(tmp_path / "r").write(backend("a", lanes=2), *(share(f"s{n:03}") for n in range(150)))
    plain = SqliteStore.commit
    commits: list[int] = []

    def commit(store: SqliteStore, lease, changes) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001 - as the original
        commits.append(1)
        if len(commits) == 6:
            _full(store)
        plain(store, lease, changes)

    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "commit", commit)
        run = site.apply()
    assert "full" in run.result.problem
    assert run.result.skipped > 0
    started = {event.step_id for event in run.of(StepStarted)}
    assert started <= {event.step_id for event in run.events if isinstance(event, StepFinished | StepFailed)}
    recorded = sum(1 for record in site.records().values() if record.kind == "share")
    assert recorded == sum(1 for event in run.of(StepFinished) if event.verb == "create-share")
    assert site.apply().result.succeeded
    assert site.plan().is_empty
    assert len(site.query("a", "SELECT * FROM shares")) == 150


def test_when_the_state_vanishes_no_step_starts_any_more(tmp_path: Path) -> None:
    """The directory is moved away in the middle, and back again afterwards."""
    slow = backend("a", lanes=2, config="latency: {create_share: 50ms},")
    site = Site(tmp_path / "r").write(slow, *(share(f"s{n}") for n in range(12)))
    folder, away = site.root / ".sharectl", site.root / "away"

    def observe(event: Event, cancellation: Cancellation) -> None:
        if isinstance(event, StepStarted) and event.verb == "create-share" and folder.exists():
            shutil.move(folder, away)

    run = site.apply(observer=observe)
    assert run.result.problem
    assert run.result.skipped > 0
    assert not folder.exists()
    shutil.move(away, folder)
    _free(site)
    assert site.apply().result.succeeded
    assert site.plan().is_empty
    assert len(site.query("a", "SELECT * FROM shares")) == 12


def test_an_edit_under_a_lost_lease_is_refused(tmp_path: Path) -> None:
    """As every commit."""
    site = Site(tmp_path / "r").write(backend("a"), share("x"))
    site.apply()
    record = describe_run("state rm", site.root, {})
    with site.store() as store, held_lease(store, record) as lease:
        _take_over(site)
        with pytest.raises(LeaseLostError):
            sharectl.workspace.interventions.forget_resources(
                sharectl.workspace.interventions.Edit(store, lease, record), ["share/x"]
            )
    assert "share/x" in site.records()
