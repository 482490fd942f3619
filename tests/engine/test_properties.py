"""Whatever backends do, in whatever graph: each step settles once, and a good day brings the next plan to nothing."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharectl.drivers.simulated.driver import SimulatedDriver
from sharectl.drivers.simulated.factory import FACTORY
from sharectl.model.events import CandidateFailed, RunFinished, StepFailed, StepFinished, StepSkipped, StepStarted
from tests.engine.site import Run, Site, backend, share, snapshot, widest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CALLS = [
    "report",
    "create_share",
    "update_access",
    "create_snapshot",
    "delete_share",
    "delete_snapshot",
    "extend_share",
    "revert_share",
    "prepare",
]
EFFECTS = ["error", "transient", "pool-error", "unavailable", "crash-after", "lie", "lose"]
QUICK = "attempts: 1,"


@st.composite
def faults(draw: st.DrawFn) -> str:
    """Return faults of one backend."""
    found = []
    for _ in range(draw(st.integers(0, 3))):
        call = draw(st.sampled_from(CALLS))
        # A deletion that was a lie leaves a share that no state knows: the next plan shows it as drift, and it is left alone.
        effect = draw(
            st.sampled_from([effect for effect in EFFECTS if effect != "lie" or not call.startswith("delete")])
        )
        found.append(f"{{call: {call}, every: {draw(st.integers(1, 3))}, effect: {effect}}}")
    return (
        f"faults: [{', '.join(found)}], pools: [{{name: p, count: 2}}]," if found else "pools: [{name: p, count: 2}],"
    )


@st.composite
def manifests(draw: st.DrawFn) -> list[str]:
    """Return shares with access, snapshots of them and ways back to those, and clones of them."""
    found = []
    for number in range(draw(st.integers(1, 5))):
        rule = f"access: [{{type: ip, to: 10.0.0.{number}, level: rw}}]," if draw(st.booleans()) else ""
        size = draw(st.sampled_from(["10GiB", "20GiB"]))
        has_snapshot = draw(st.booleans())
        request = draw(st.sampled_from([None, None, "one", "two"])) if has_snapshot else None
        revert = "" if request is None else f"revertTo: {{snapshot: of-s{number}, request: {request}}},"
        spec = f"deletionPolicy: delete, allowShrink: true, {rule} {revert}"
        found.append(share(f"s{number}", size=size, spec=spec))
        if has_snapshot:
            found.append(snapshot(f"of-s{number}", f"s{number}"))
            if draw(st.booleans()):
                found.append(
                    share(
                        f"c{number}",
                        size="20GiB",  # no smaller than any snapshot
                        spec=f"deletionPolicy: delete, allowShrink: true, sourceSnapshot: of-s{number}",
                    )
                )
    return found


class Foreign(NamedTuple):
    """A share that sharectl did not make here: somebody's own, or that of another state."""

    backend: str
    pool: str
    name: str
    is_managed: bool


@st.composite
def foreign_storage(draw: st.DrawFn) -> list[Foreign]:
    """Return shares of others, some of them under names that the manifests use."""
    names = st.sampled_from(["s0", "s1", "s2", "c0", "theirs"])
    one = st.builds(Foreign, st.sampled_from("ab"), st.sampled_from(["p1", "p2"]), names, st.booleans())
    return draw(st.lists(one, max_size=3, unique=True))


FOREIGN = (
    "SELECT backend_id, resource_id, pool, size_bytes, access, content, trashed_at FROM shares WHERE content = 'theirs'"
)


def put_there(site: Site, shares: list[Foreign]) -> list[list[tuple[Any, ...]]]:
    """Let others make their shares, where the place is free; return all that is theirs."""
    for share_there in shares:
        resource_id = f"other-state-{share_there.pool}-{share_there.name}" if share_there.is_managed else None
        site.query(
            share_there.backend,
            "INSERT OR IGNORE INTO shares(backend_id, resource_id, name, pool, size_bytes, access, content)"
            ' VALUES (?, ?, ?, ?, 7, \'[["ip","10.9.9.9","rw"]]\', \'theirs\')',
            f"{share_there.pool}/{share_there.name}",
            resource_id,
            share_there.name,
            share_there.pool,
        )
    return [site.query(name, FOREIGN) for name in "ab"]


def take_away(site: Site) -> None:
    """Let others remove what is theirs."""
    for name in "ab":
        site.query(name, "DELETE FROM shares WHERE content = 'theirs'")


def assert_consistent(run: Run) -> None:
    """Assert what holds of the events of every run."""
    steps = {step.step_id: step for step in run.plan.steps}
    settled = [event for event in run.events if isinstance(event, StepFinished | StepFailed | StepSkipped)]
    assert sorted(event.step_id for event in settled) == sorted(steps)
    finished = run.events[-1]
    assert isinstance(finished, RunFinished)
    counts = (len(run.of(StepFinished)), len(run.of(StepFailed)), len(run.of(StepSkipped)))
    assert (finished.done, finished.failed, finished.skipped) == counts
    assert (run.result.done, len(run.result.failures), run.result.skipped) == counts
    over: set[str] = set()
    failed = {event.address for event in run.of(StepFailed)}
    for event in run.events:
        if isinstance(event, StepStarted | CandidateFailed):
            assert event.step_id not in over
        elif isinstance(event, StepFinished | StepFailed | StepSkipped):
            over.add(event.step_id)
            if isinstance(event, StepSkipped):
                assert event.cause in failed
            if isinstance(event, StepFinished):
                assert over.issuperset(steps[event.step_id].waits_for)


@settings(max_examples=40, deadline=None)
@given(manifests(), manifests(), faults(), faults(), foreign_storage(), st.booleans())
def test_after_any_failures_the_next_apply_converges(  # noqa: PLR0913, PLR0917 - the dimensions
    before: list[str],
    after: list[str],
    one: str,
    other: str,
    theirs: list[Foreign],
    is_late: bool,  # noqa: FBT001 - drawn
) -> None:
    """A first apply on good backends, a change on bad ones, and good ones again; and what is of others stays as it is.

    It comes before the change is planned, or between plan and apply.
    """
    good = [
        backend("a", lanes=2, config="pools: [{name: p, count: 2}],"),
        backend("b", lanes=2, config="pools: [{name: p, count: 2}],"),
    ]
    bad = [backend("a", lanes=2, spec=QUICK, config=one), backend("b", lanes=2, spec=QUICK, config=other)]
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder) / "r")
        run = site.write(*good, *before).apply()
        assert_consistent(run)
        assert run.result.succeeded, run.result
        site.write(*bad, *after)
        made = site.plan() if is_late else None
        there_too = put_there(site, theirs)
        assert_consistent(site.apply(plan=made, held=True))
        assert [site.query(name, FOREIGN) for name in "ab"] == there_too
        site.write(*good, *after).apply(held=True)
        assert [site.query(name, FOREIGN) for name in "ab"] == there_too
        take_away(site)
        run = site.apply()
        assert run.result.succeeded, run.result
        assert site.plan().is_empty
        assert not site.view().operations
        there = {(name, *row) for name in "ab" for row in site.query(name, "SELECT resource_id FROM shares")}
        assert there == {(r.backend, r.resource_id) for r in site.records().values() if r.kind == "share"}
        for name in "ab":
            calls = [
                call for call in site.calls(name) if call[0] not in {"report", "pools", "list_shares", "list_snapshots"}
            ]
            assert widest(calls) <= 2


class _Odd(BaseException):
    """What only one driver knows."""


ANYTHING = [SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError, RecursionError, RuntimeError, _Odd]
ANYWHERE = [*CALLS, "pools", "list_shares", "list_snapshots", "trash_share", "open", "close"]


class Blast(NamedTuple):
    """What is raised in every so-many-th call of a name, before or after the call has done its work."""

    call: str
    error: type[BaseException]
    every: int
    is_late: bool


blasts = st.lists(
    st.builds(Blast, st.sampled_from(ANYWHERE), st.sampled_from(ANYTHING), st.integers(1, 3), st.booleans()),
    min_size=1,
    max_size=3,
)


@contextmanager
def blasted(wanted: list[Blast]) -> Iterator[None]:
    """Let all simulated backends raise what is wanted."""
    counts: dict[str, count[int]] = {}
    call, opens, close = SimulatedDriver.call, type(FACTORY).open, SimulatedDriver.close

    def around(name: str, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - as the original
        number = next(counts.setdefault(name, count(1)))
        due = [blast for blast in wanted if blast.call == name and number % blast.every == 0]
        if due and not due[0].is_late:
            raise due[0].error
        answer = work()
        if due:
            raise due[0].error
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            SimulatedDriver,
            "call",
            lambda self, subject, *rest: around(subject.call, lambda: call(self, subject, *rest)),
        )
        patch.setattr(type(FACTORY), "open", lambda self, *rest: around("open", lambda: opens(self, *rest)))
        patch.setattr(SimulatedDriver, "close", lambda self: around("close", lambda: close(self)))
        yield


@settings(max_examples=15, deadline=None)
@given(manifests(), manifests(), blasts, foreign_storage())
def test_whatever_backends_raise_the_next_apply_converges(
    before: list[str], after: list[str], wanted: list[Blast], theirs: list[Foreign]
) -> None:
    """Anything at all, in any call, opening and closing included: the run ends, and a good day brings the next plan to nothing."""
    good = [backend(name, lanes=2, config="pools: [{name: p, count: 2}],") for name in "ab"]
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder) / "r")
        assert site.write(*good, *before).apply().result.succeeded
        site.write(*good, *after)
        there_too = put_there(site, theirs)
        with blasted(wanted), suppress(AssertionError):  # a plan that is stopped, which `apply` does not take
            assert_consistent(site.apply(held=True))
        assert [site.query(name, FOREIGN) for name in "ab"] == there_too
        take_away(site)
        run = site.apply()
        assert run.result.succeeded, run.result
        assert site.plan().is_empty
        assert not site.view().operations
        there = {(name, *row) for name in "ab" for row in site.query(name, "SELECT resource_id FROM shares")}
        assert there == {(r.backend, r.resource_id) for r in site.records().values() if r.kind == "share"}
