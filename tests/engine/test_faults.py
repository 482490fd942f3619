"""Backends that fail, hang, err after the work, or lie: what is not affected goes on, and the next apply mends the rest."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.simulated.driver import SimulatedDriver
from sharectl.manifests.project import find_project
from sharectl.model.events import (
    CandidateFailed,
    RunFinished,
    StepFailed,
    StepFinished,
    StepRetried,
    StepSkipped,
    StepStarted,
)
from sharectl.model.plans import DriftKind
from sharectl.workspace.validation import load_manifests
from tests.engine.site import Site, backend, share, snapshot, widest
from tests.engine.test_order import PATIENCE_SECONDS, before_calls

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sharectl.engine.cancel import Cancellation
    from sharectl.model.events import Event
    from sharectl.model.observed import BackendReport, ObservedShare
    from sharectl.model.plans import Plan
    from sharectl.model.requests import ShareRequest
    from tests.engine.conftest import Clock

RULE = "access: [{type: ip, to: 10.0.0.0/8, level: rw}]"
ROOM = "pools: [{name: p, total: 90TiB}],"
ONE_MINUTE = "stepTimeout: 60s,"
MORE_SECONDS = 61.0
"""More than a minute, and less than the calls of other backends may take."""


def before_creation(monkeypatch: pytest.MonkeyPatch, wait: Callable[[ShareRequest], object]) -> None:
    """Let `wait` see which share is to be made, before a driver does anything about it."""
    plain = SimulatedDriver.create_share

    def create(driver: SimulatedDriver, request: ShareRequest) -> ObservedShare:
        wait(request)
        return plain(driver, request)

    monkeypatch.setattr(SimulatedDriver, "create_share", create)


def here(name: str, *, size: str = "10GiB", spec: str = RULE, zone: str = "a") -> str:
    """Return a share that only the backend in zone `zone` can take."""
    return share(name, size=size, spec=f"availabilityZone: {zone}, {spec}")


def zoned(  # noqa: PLR0913 - what a backend says
    name: str, zone: str, *, lanes: int = 2, spec: str = "", faults: str = "", config: str = ""
) -> str:
    """Return a backend in a zone, with faults."""
    text = f"{config} faults: [{faults}]," if faults else config
    return backend(name, lanes=lanes, spec=f"availabilityZone: {zone}, {spec}", config=text)


def mended(site: Site, *manifests: str) -> None:
    """Assert that an apply on mended backends brings everything about, and leaves nothing over."""
    site.write(*manifests)
    assert site.apply().result.succeeded
    assert site.plan().is_empty
    assert not site.view().operations


def shares_there(site: Site, *backends: str) -> set[tuple[str, str]]:
    """Return backend and resource id of every share that is there."""
    return {(name, row[0]) for name in backends for row in site.query(name, "SELECT resource_id FROM shares")}


def recorded(site: Site) -> set[tuple[str | None, str]]:
    """Return backend and resource id of every share in the state."""
    return {(r.backend, r.resource_id) for r in site.records().values() if r.kind == "share"}


def test_a_hanging_backend_fails_its_steps_after_the_timeout_and_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """Its full lane of calls is given up; everything behind them fails at once, without being asked."""
    site = Site(tmp_path / "r")
    good = zoned("good", "b")
    hanging = zoned("bad", "a", spec=ONE_MINUTE, faults="{call: create_share, effect: hang}")
    shares = [here(f"bad{n}") for n in range(10)] + [here(f"good{n}", zone="b") for n in range(10)]
    hung = count(1)

    def pass_by(request: ShareRequest) -> None:
        if request.name.startswith("bad") and next(hung) == 2:
            clock.pass_by(MORE_SECONDS)

    before_creation(monkeypatch, pass_by)
    run = site.write(good, hanging, *shares).apply()
    assert run.result.done == 22
    assert len(run.result.failures) == 10
    given_up = [failure for failure in run.result.failures if failure.unresolved]
    assert [failure.error for failure in given_up] == ["no answer within 60 s; how it ended is unknown"] * 2
    silent = [failure for failure in run.result.failures if not failure.unresolved]
    assert {failure.error for failure in silent} == {"backend bad does not answer; it was not asked"}
    assert {row[5] for row in site.calls("bad", "create_share")} <= {
        None,
        "TransientError: simulated fault: hang in create_share",
    }
    assert len(site.view().operations) == 2
    mended(site, good, zoned("bad", "a"), *shares)
    assert shares_there(site, "good", "bad") == recorded(site)


def test_one_hung_call_leaves_the_width_of_the_lane_to_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """The thread in the hung call is replaced, and the other calls on the backend go on two at a time.

    They come to it when that call has been given up, from a pool of another backend, which was slow to fail.
    """
    site = Site(tmp_path / "r")
    first = zoned("first", "b", lanes=8, faults="{call: create_share, effect: pool-error}", config=ROOM)
    bad = zoned("bad", "a", spec=ONE_MINUTE, faults="{call: create_share, name: stuck, effect: hang}")
    is_given_up = threading.Event()

    def wait(request: ShareRequest) -> None:
        if request.name == "stuck":
            clock.pass_by(MORE_SECONDS)
        else:
            assert is_given_up.wait(PATIENCE_SECONDS)

    def observe(event: Event, _: Cancellation) -> None:
        if isinstance(event, StepFailed):
            is_given_up.set()

    before_creation(monkeypatch, wait)
    two = threading.Barrier(2, timeout=PATIENCE_SECONDS)
    before_calls(monkeypatch, "update_access", lambda number: two.wait() if number <= 2 else None)
    others = [share(f"s{n}", spec=RULE) for n in range(8)]
    run = site.write(first, bad, here("stuck"), *others).apply(observer=observe)
    assert [failure.address for failure in run.result.failures] == ["share/stuck"]
    assert run.result.done == 18
    assert len(site.calls("bad", "update_access")) == 8
    assert widest(site.calls("bad", "update_access")) <= 2


def test_a_slow_call_that_answers_after_it_was_given_up_is_found_by_the_next_apply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """The share was made after all; it is recorded and not made again."""
    site = Site(tmp_path / "r")
    slow = zoned("a", "a", lanes=1, spec=ONE_MINUTE, config="latency: {create_share: 300s},")
    before_creation(monkeypatch, lambda _: clock.pass_by(MORE_SECONDS))
    run = site.write(slow, here("late")).apply()
    assert run.result.failures[0].unresolved
    assert [event.cause for event in run.of(StepSkipped)] == ["share/late"]
    mended(site, zoned("a", "a"), here("late"))
    assert len(site.query("a", "SELECT * FROM shares")) == 1


def test_a_hanging_report_is_given_up_without_an_open_intent(tmp_path: Path) -> None:
    """Nothing had been asked of the backend, so nothing is in doubt."""
    site = Site(tmp_path / "r")
    site.write(zoned("a", "a"), here("x")).apply()
    spec = "stepTimeout: 150ms,"
    made = site.write(zoned("a", "a", spec=spec), here("x", size="20GiB")).plan()
    site.write(zoned("a", "a", spec=spec, config="latency: {report: 60s},"), here("x", size="20GiB"))
    run = site.apply(plan=made)
    assert [failure.error for failure in run.result.failures] == ["no answer within 0.15 s"]
    assert not run.result.failures[0].unresolved
    assert not site.view().operations


@pytest.mark.parametrize("fault", ["latency: {report: 300s}", "faults: [{call: report, effect: hang}]"])
def test_a_backend_that_hangs_before_anything_was_asked_of_it_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock, fault: str
) -> None:
    """Every new share that may be elsewhere is made there: nothing is in doubt."""
    spec = ONE_MINUTE
    site = Site(tmp_path / "r").write(backend("a", spec=spec, config=ROOM), backend("b"), share("first"))
    assert site.apply().result.succeeded
    names = ["x", "y", "z"]
    site.write(backend("a", spec=spec, config=ROOM), backend("b"), share("first"), *map(share, names))
    made = site.plan()
    assert {step.candidates[0].backend for step in made.steps if step.candidates} == {"a"}
    site.write(backend("a", spec=spec, config=f"{ROOM} {fault},"), backend("b"), share("first"), *map(share, names))
    plain = SimulatedDriver.report

    def report(driver: SimulatedDriver) -> BackendReport:
        if driver.settings.state_file.endswith("/a.db"):
            clock.pass_by(MORE_SECONDS)
        return plain(driver)

    monkeypatch.setattr(SimulatedDriver, "report", report)
    run = site.apply(plan=made)
    assert run.result.succeeded, run.result
    assert {site.records()[f"share/{name}"].backend for name in names} == {"b"}
    assert not site.view().operations


def test_a_backend_that_always_fails_fails_its_own_shares_and_names_the_cause_for_what_waited(tmp_path: Path) -> None:
    """Failures stay where they happen."""
    site = Site(tmp_path / "r")
    bad = zoned("bad", "a", faults="{call: create_share, effect: error, message: the array is on fire}")
    run = site.write(bad, zoned("good", "b"), here("x"), here("y", zone="b")).apply()
    assert [(failure.address, failure.error) for failure in run.result.failures] == [
        ("share/x", "the array is on fire")
    ]
    assert [(event.address, event.cause, event.reason) for event in run.of(StepSkipped)] == [
        ("share/x", "share/x", "the array is on fire")
    ]
    assert "share/y" in site.records()
    assert not site.view().operations
    mended(site, zoned("bad", "a"), zoned("good", "b"), here("x"), here("y", zone="b"))


def test_a_backend_that_fails_every_other_time_is_asked_again(tmp_path: Path) -> None:
    """Transient errors, also of the first question, cost a pause and nothing else."""
    site = Site(tmp_path / "r")
    faults = "{call: '*', every: 2, effect: transient}"
    site.write(zoned("a", "a"), here("x")).apply()
    shares = [here(f"s{n}") for n in range(3)]
    with site.store() as store, site.opened(store) as (_, planned):
        assert planned().is_empty
    plan = site.write(zoned("a", "a"), here("x"), *shares).plan()
    site.write(zoned("a", "a", lanes=1, spec="attempts: 12,", faults=faults), here("x"), *shares)
    run = site.apply(plan=replaced_backend(site, plan))
    assert run.result.succeeded, run.result
    assert run.of(StepRetried)


def replaced_backend(site: Site, plan: Plan) -> Plan:
    """Return the plan with the backends as their manifests are now."""
    backends = load_manifests(find_project(site.root), directory=site.root).desired.backends
    return replace(plan, backends={name: backends[name] for name in plan.backends})


@pytest.mark.parametrize(
    "call",
    [
        "create_share",
        "update_access",
        "create_snapshot",
        "extend_share",
        "trash_share",
        "delete_share",
        "delete_snapshot",
    ],
)
def test_a_call_that_does_the_work_and_then_errs_leaves_nothing_twice_and_nothing_over(
    tmp_path: Path, call: str
) -> None:
    """Whatever the engine made of the error, the next apply ends where all is well."""
    site = Site(tmp_path / "r")
    before = [
        here("x"),
        here("bin", spec="deletionPolicy: trash"),
        here("del", spec="deletionPolicy: delete"),
        snapshot("old", "x"),
    ]
    after = [here("x", size="20GiB"), here("y"), snapshot("s", "x")]
    good = zoned("a", "a", spec="attempts: 1,")
    site.write(good, *before).apply()
    bad = zoned("a", "a", spec="attempts: 1,", faults=f"{{call: {call}, effect: crash-after}}")
    run = site.write(bad, *after).apply()
    assert run.result.failures
    mended(site, good, *after)
    live = {row[0] for row in site.query("a", "SELECT resource_id FROM shares WHERE trashed_at IS NULL")}
    assert live == {record.resource_id for record in site.records().values() if record.kind == "share"}
    assert len(site.query("a", "SELECT * FROM snapshots")) == 1


@pytest.mark.parametrize("call", ["create_share", "update_access", "create_snapshot", "extend_share"])
def test_the_next_plan_sees_what_a_backend_has_lied_about(tmp_path: Path, call: str) -> None:
    """The apply believes the backend; the next look at it does not."""
    site = Site(tmp_path / "r")
    good = zoned("a", "a")
    site.write(good, here("x")).apply()
    after = [here("x", size="20GiB"), here("y", spec=""), here("z"), snapshot("s", "x")]
    lie = f"{{call: {call}, first: 1, effect: lie}}"
    run = site.write(zoned("a", "a", lanes=1, faults=lie), *after).apply()
    assert [row[5] for row in site.calls("a", call)].count("lie") == 1
    assert run.of(RunFinished)
    assert not site.plan().is_empty
    mended(site, good, *after)


def test_a_deletion_that_was_a_lie_is_shown_as_drift(tmp_path: Path) -> None:
    """The share is nobody's now: it is named, and left alone."""
    site = Site(tmp_path / "r")
    site.write(zoned("a", "a"), here("x", spec="deletionPolicy: delete")).apply()
    site.write(zoned("a", "a", faults="{call: delete_share, effect: lie}")).apply()
    assert not site.records().keys() - {"backend/a"}
    drift = site.plan().drift
    assert [(found.kind, found.repaired_by) for found in drift] == [(DriftKind.UNMANAGED, None)]


def test_half_a_list_is_believed_once_and_the_next_whole_one_shows_what_was_made_of_it(tmp_path: Path) -> None:
    """Nothing is destroyed by it: what seemed gone is made again under its own id, which finds it there."""
    site = Site(tmp_path / "r")
    shares = [here(f"s{n}") for n in range(4)]
    site.write(zoned("a", "a"), *shares).apply()
    before = shares_there(site, "a")
    half = zoned("a", "a", faults="{call: list_shares, first: 1, effect: half-list}")
    assert site.write(half, *shares).apply().result.succeeded
    assert shares_there(site, "a") == before
    mended(site, zoned("a", "a"), *shares)


def test_a_pool_that_fails_falls_through_to_another_backend_and_access_follows(tmp_path: Path) -> None:
    """Also where the other backend is prepared later than the share wants to be there."""
    site = Site(tmp_path / "r")
    bad = backend(
        "a", lanes=1, config="pools: [{name: p, total: 90TiB}], faults: [{call: create_share, effect: pool-error}],"
    )
    slow = backend("b", lanes=1, config="latency: {prepare: 200ms},")
    run = site.write(bad, slow, share("x", spec=RULE)).apply()
    assert run.result.succeeded, run.result
    assert [(event.backend, event.pool) for event in run.of(CandidateFailed)] == [("a", "p")]
    assert site.records()["share/x"].backend == "b"
    assert [row[5] for row in site.calls("b", "update_access")] == ["done"]
    assert shares_there(site, "a", "b") == recorded(site)
    assert site.plan().is_empty


def test_a_name_that_is_taken_is_not_tried_elsewhere(tmp_path: Path) -> None:
    """What appeared between plan and apply under the name of a share ends that share's step: another pool would get an empty twin."""
    site = Site(tmp_path / "r")
    first = backend("a", lanes=1, config="pools: [{name: p, total: 90TiB}],")
    assert site.write(first, backend("b", lanes=1)).apply().result.succeeded
    planned = site.write(first, backend("b", lanes=1), share("x")).plan()
    place = planned.steps[0].candidates[0]
    with closing(sqlite3.connect(site.root / f"{place.backend}.db")) as connection, connection:
        connection.execute(
            "INSERT INTO shares (backend_id, name, pool, access) VALUES (?, 'x', ?, '[]')",
            (f"{place.pool}/x", place.pool),
        )
    run = site.apply(plan=planned)
    assert len(planned.steps[0].candidates) > 1
    assert run.of(CandidateFailed) == []
    assert [failure.address for failure in run.result.failures] == ["share/x"]
    assert "sharectl did not make it" in run.result.failures[0].error
    assert shares_there(site, "a", "b") == {(place.backend, None)}


def test_a_share_whose_other_backend_cannot_be_prepared_fails_and_says_so(tmp_path: Path) -> None:
    """The share waits for the preparation, and is told how it ended."""
    site = Site(tmp_path / "r")
    bad = backend(
        "a", lanes=1, config="pools: [{name: p, total: 90TiB}], faults: [{call: create_share, effect: pool-error}],"
    )
    broken = backend("b", lanes=1, config="latency: {prepare: 100ms}, faults: [{call: prepare, effect: error}],")
    run = site.write(bad, broken, share("x")).apply()
    assert {failure.address: failure.error for failure in run.result.failures} == {
        "backend/b": "simulated fault: error in prepare",
        "share/x": "backend b has never been prepared",
    }


def test_what_a_failed_pool_has_left_is_removed_before_the_next_is_tried(tmp_path: Path) -> None:
    """A call that did the work and erred has left a share; it does not stay beside the one on the next candidate."""
    site = Site(tmp_path / "r")
    bad = backend(
        "a",
        lanes=1,
        spec="attempts: 1,",
        config="pools: [{name: p, total: 90TiB}], faults: [{call: create_share, effect: crash-after}],",
    )
    run = site.write(bad, backend("b"), share("x", spec=RULE)).apply()
    assert run.result.succeeded
    assert len(run.of(CandidateFailed)) == 1
    assert shares_there(site, "a", "b") == recorded(site)


def test_leftovers_that_cannot_be_removed_keep_their_intent_and_go_with_the_next_apply(tmp_path: Path) -> None:
    """The share is there on the next candidate; the other one is known to the state until it is gone."""
    site = Site(tmp_path / "r")
    faults = "{call: create_share, effect: crash-after}, {call: delete_share, effect: error}"
    pools = "pools: [{name: p, total: 90TiB}],"
    bad = backend("a", lanes=1, spec="attempts: 1,", config=f"{pools} faults: [{faults}],")
    run = site.write(bad, backend("b"), share("x", spec=RULE)).apply()
    assert run.result.succeeded
    assert "could not be removed" in run.of(CandidateFailed)[0].error
    assert len(site.view().operations) == 1
    mended(site, backend("a", config=pools), backend("b"), share("x", spec=RULE))
    assert shares_there(site, "a", "b") == recorded(site)


def test_a_share_that_nobody_can_take_fails_with_the_error_of_the_last_candidate(tmp_path: Path) -> None:
    """Every candidate is told of."""
    site = Site(tmp_path / "r")
    run = site.write(
        backend("a", config="pools: [{name: p, count: 3}], faults: [{call: create_share, effect: pool-error}],"),
        share("x"),
    ).apply()
    assert len(run.of(CandidateFailed)) == 2
    assert len(run.of(StepStarted)) == 4
    assert [failure.error for failure in run.result.failures] == ["simulated fault: pool-error in create_share"]
    assert [line.entry.outcome for line in site.history("share/x")] == ["failed"] * 3


def test_a_step_on_another_storage_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    """As after a file system that was not mounted: nothing is written there."""
    site = Site(tmp_path / "r")
    site.write(zoned("a", "a"), here("x")).apply()
    plan = site.write(zoned("a", "a"), here("x", size="20GiB")).plan()
    site.query("a", "UPDATE backend SET identity = 'another'")
    run = site.apply(plan=plan)
    assert "is not the storage that the state knows: it is another" in run.result.failures[0].error
    assert not site.calls("a", "extend_share")
    site.query("a", "DELETE FROM backend")
    assert "is its file system mounted?" in site.apply(plan=plan).result.failures[0].error


def test_steps_settle_once_and_the_counts_add_up(tmp_path: Path) -> None:
    """With failures of every kind at once."""
    site = Site(tmp_path / "r")
    faults = "{call: create_share, probability: 0.4, effect: error}, {call: update_access, probability: 0.3, effect: transient}"
    run = site.write(zoned("a", "a", lanes=8, faults=faults), *(here(f"s{n}") for n in range(40))).apply()
    settled = [event.step_id for event in run.events if isinstance(event, StepFinished | StepFailed | StepSkipped)]
    assert sorted(settled) == sorted(step.step_id for step in run.plan.steps)
    finished = run.events[-1]
    assert isinstance(finished, RunFinished)
    assert (finished.done, finished.failed, finished.skipped) == (
        len(run.of(StepFinished)),
        len(run.of(StepFailed)),
        len(run.of(StepSkipped)),
    )
