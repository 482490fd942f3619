"""What the events of an apply add up to, and the picture of it."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharectl.model.events import (
    CancelRequested,
    CandidateFailed,
    OperationRecovered,
    RunFinished,
    RunStarted,
    StepFailed,
    StepFinished,
    StepRetried,
    StepSkipped,
    StepStarted,
)
from sharectl.model.verbs import Verb
from sharectl.render.frame import bar, frame_lines
from sharectl.render.tally import BackendTally, Tally
from sharectl.render.text import display_width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sharectl.model.events import Event

    Golden = Callable[[str, Iterable[str]], None]


def started(
    name: str, backend: str | None = "nas1", verb: Verb = Verb.CREATE_SHARE, pool: str | None = "default"
) -> StepStarted:
    """Return the start of a step."""
    return StepStarted(f"{verb.value}:share/{name}", f"share/{name}", verb, backend, pool)


def finished(name: str, backend: str | None = "nas1", verb: Verb = Verb.CREATE_SHARE) -> StepFinished:
    """Return the end of a step."""
    return StepFinished(f"{verb.value}:share/{name}", f"share/{name}", verb, backend, "default", 0.25)


def failed(name: str, backend: str | None = "nas1", error: str = "no space") -> StepFailed:
    """Return the failure of a step."""
    return StepFailed(f"create-share:share/{name}", f"share/{name}", Verb.CREATE_SHARE, backend, error)


def skipped(name: str, cause: str = "share/b", reason: str = "no space") -> StepSkipped:
    """Return a step that was left out."""
    return StepSkipped(f"update-access:share/{name}", f"share/{name}", Verb.UPDATE_ACCESS, "nas1", cause, reason)


def tally_of(*events: Event) -> Tally:
    """Return the tally of events that come a second apart."""
    tally = Tally()
    for now, event in enumerate(events):
        tally.add(event, float(now))
    return tally


START = RunStarted("run-1", 12, {"nas1": 6, "nas2": 5, "": 1})
EVENTS: tuple[Event, ...] = (
    START,
    OperationRecovered("share/half", "create-share", "nas1", "it was there"),
    started("a"),
    started("b"),
    StepRetried("create-share:share/b", "share/b", "nas1", 1, 0.5, "busy"),
    StepRetried("create-share:share/b", "share/b", "nas1", 2, 1.0, "busy"),
    finished("a"),
    started("m", None, Verb.MOVE, None),
    finished("m", None, Verb.MOVE),
    failed("b"),
    skipped("b"),
    started("c", "nas2"),
    started("d", "nas2"),
)


def test_events_are_counted_by_backend() -> None:
    """Done, failed, skipped, tried again, running; steps of the state alone have no backend."""
    tally = tally_of(*EVENTS)
    assert tally.backends == {
        "": BackendTally(total=1, done=1),
        "nas1": BackendTally(total=6, done=1, failed=1, skipped=1, retries=2),
        "nas2": BackendTally(total=5, running=2),
    }
    assert tally.all == BackendTally(total=12, done=2, failed=1, skipped=1, retries=2, running=2)
    assert tally.problems == ["share/b: no space"]
    assert (tally.backends[""].is_over, tally.backends["nas2"].is_over) == (True, False)


def test_a_step_that_comes_to_another_backend_is_counted_there() -> None:
    """The share falls through to its next candidate, and what waits for it follows; every step is counted once."""
    tally = tally_of(
        RunStarted("r", 2, {"nas1": 2}),
        started("a"),
        CandidateFailed("create-share:share/a", "share/a", "nas1", "default", "full"),
        started("a", "nas2"),
        finished("a", "nas2"),
        started("a", "nas2", Verb.UPDATE_ACCESS),
        finished("a", "nas2", Verb.UPDATE_ACCESS),
    )
    assert tally.backends == {"nas1": BackendTally(), "nas2": BackendTally(total=2, done=2)}
    assert tally.problems == ["share/a: nas1#default refused: full"]
    assert not tally.running


def test_a_step_that_fails_everywhere_is_counted_where_it_ended() -> None:
    """Its failure names the backend that it was planned for."""
    tally = tally_of(
        RunStarted("r", 1, {"nas1": 1}),
        started("a"),
        CandidateFailed("create-share:share/a", "share/a", "nas1", "default", "full"),
        started("a", "nas2"),
        failed("a", "nas1"),
    )
    assert tally.backends == {"nas1": BackendTally(), "nas2": BackendTally(total=1, failed=1)}


def test_only_the_last_problems_are_kept() -> None:
    """A run that fails a hundred thousand times keeps a few."""
    tally = tally_of(START, *(failed(str(n)) for n in range(100)))
    assert tally.problems == [f"share/{n}: no space" for n in range(95, 100)]


def test_a_retry_of_a_step_that_is_not_known_is_only_counted() -> None:
    """Its start may have come before the view."""
    tally = tally_of(START, StepRetried("x", "share/x", "nas1", 1, 0.1, "busy"), RunFinished("r", 0, 0, 0, False, 1.0))  # noqa: FBT003 - the event's field
    assert tally.backends["nas1"].retries == 1


def test_the_picture(golden: Golden) -> None:
    """Backends, the sum, the steps under way by age, the last problems, the cancel."""
    tally = tally_of(*EVENTS, CancelRequested(immediate=False))
    golden("frame.txt", frame_lines(tally, 20.0, width=100, height=30, color=False))


def test_the_picture_in_colour(golden: Golden) -> None:
    """A backend with failures has a red bar."""
    golden("frame-color.txt", frame_lines(tally_of(*EVENTS), 20.0, width=100, height=30, color=True))


def test_many_backends_share_the_room_that_there_is() -> None:
    """Those that are over give way; how many are not shown is said."""
    tally = tally_of(
        RunStarted("r", 60, {f"nas{n:02d}": 1 for n in range(60)}),
        *(started(str(n), "nas59") for n in range(9)),
        finished("x", "nas00"),
    )
    lines = frame_lines(tally, 5.0, width=80, height=20, color=False)
    assert len(lines) <= 20
    assert lines[0].startswith("nas01")
    assert any(re.fullmatch(r"  and \d+ more backends", line) for line in lines)
    assert sum("▸" in line for line in lines) == 5


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 60), st.text())
def test_the_picture_never_leaves_its_frame(width: int, height: int, name: str) -> None:
    """However small the terminal and whatever the names and errors."""
    tally = tally_of(
        RunStarted("r", 3, {name: 2, "nas1": 1}),
        started(name, name, pool=name),
        failed("b", "nas1", name),
        CancelRequested(immediate=True),
    )
    lines = frame_lines(tally, 9.0, width=width, height=height, color=False)
    assert len(lines) <= height
    assert all(line.isprintable() for line in lines)
    assert all(display_width(line) <= width for line in lines)


@pytest.mark.parametrize(("share", "drawn"), [(0, "░░░░"), (0.5, "██░░"), (1, "████"), (7, "████"), (-1, "░░░░")])
def test_a_bar_is_filled_to_its_share(share: float, drawn: str) -> None:
    """Never over its ends."""
    assert bar(share, 4) == drawn


def test_a_backend_without_steps_is_full() -> None:
    """Nothing of nothing is all of it."""
    assert (
        "████████████████████"
        in frame_lines(tally_of(RunStarted("r", 0, {"nas1": 0})), 1.0, width=80, height=9, color=False)[0]
    )


def test_an_event_costs_next_to_nothing() -> None:
    """A hundred thousand steps are counted in well under the time that their commits take."""
    tally = Tally()
    events: list[Event] = [RunStarted("r", 50_000, {"nas1": 50_000})]
    for number in range(50_000):
        events += [started(str(number)), finished(str(number))]
    begun = time.process_time()
    for event in events:
        tally.add(event, 0.0)
    assert time.process_time() - begun < 4.0
    assert tally.all.done == 50_000
