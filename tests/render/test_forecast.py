"""How long the rest takes: said once enough is known, of the backend that needs longest, and never as if nobody hung."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from sharectl.model.events import CancelRequested, RunStarted, StepRetried, StepSkipped
from sharectl.model.verbs import VERBS, Verb
from sharectl.render.forecast import Rest, rest_of
from sharectl.render.frame import frame_lines, step_text
from sharectl.render.tally import Outline, Tally
from tests.render.test_tally import finished, started

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CREATE = Verb.CREATE_SHARE


def a_tally(width: int = 2, **steps: Mapping[Verb, int]) -> Tally:
    """Return the tally of a run that begins at 0, with so many steps of each verb on each backend."""
    tally = Tally(Outline(dict.fromkeys(steps, width), {name: Counter(counts) for name, counts in steps.items()}))
    tally.add(RunStarted("r", 0, {name: sum(counts.values()) for name, counts in steps.items()}), 0.0)
    return tally


def done(tally: Tally, name: str, backend: str, begun: float, ended: float) -> None:
    """Let a step have run."""
    tally.add(started(name, backend), begun)
    tally.add(replace(finished(name, backend), seconds=ended - begun), ended)


def words(tally: Tally, now: float) -> str:
    """Return what is said of the rest."""
    return rest_of(tally, now).words(named=True)


def test_nothing_is_said_before_enough_is_known() -> None:
    """Two steps tell nothing; three do."""
    tally = a_tally(nas1={CREATE: 9})
    for number in range(2):
        done(tally, str(number), "nas1", number * 4.0, number * 4.0 + 4.0)
    assert rest_of(tally, 8.0) == Rest(is_whole=False)
    assert words(tally, 8.0) == ""
    done(tally, "2", "nas1", 8.0, 12.0)
    assert words(tally, 12.0) == "about 25 s left, on nas1"


def test_after_a_cancel_running_steps_are_waited_for_and_nothing_is_estimated() -> None:
    """Nothing new starts: how many are under way, those that take unusually long too, and nothing once all have ended."""
    tally = a_tally(nas1={CREATE: 9})
    for number in range(3):
        done(tally, str(number), "nas1", number * 4.0, number * 4.0 + 4.0)
    tally.add(started("3", "nas1"), 12.0)
    tally.add(started("4", "nas1"), 40.0)
    tally.add(CancelRequested(immediate=False), 41.0)
    assert words(tally, 41.0) == "waiting for 2 running steps, 1 of which takes unusually long"
    lines = frame_lines(tally, 41.0, width=60, height=9, color=False)
    assert "3 of 9 steps, 41.0 s, waiting for 2 running steps" in lines
    done(tally, "3", "nas1", 12.0, 42.0)
    assert words(tally, 42.0) == "waiting for 1 running step"
    done(tally, "4", "nas1", 40.0, 44.0)
    assert words(tally, 44.0) == ""


def test_the_backend_that_needs_longest_decides() -> None:
    """Its steps, as many at a time as were under way on average."""
    tally = a_tally(nas1={CREATE: 10}, nas2={CREATE: 100})
    for number in range(4):
        begun = number // 2 * 8.0
        done(tally, f"a{number}", "nas1", begun, begun + 8.0)
        done(tally, f"b{number}", "nas2", begun, begun + 1.0)
    found = rest_of(tally, 16.0)
    assert (found.backend, found.is_whole) == ("nas2", True)  # 96 s of work, half a step at a time
    assert found.seconds == 96 * 1.0 / (4.0 / 16.0)


def test_what_is_not_known_yet_makes_it_a_least() -> None:
    """Steps of a verb of which none has ended may take any time."""
    tally = a_tally(nas1={CREATE: 6, Verb.DELETE_SHARE: 5})
    for number in range(3):
        done(tally, str(number), "nas1", number * 10.0, number * 10.0 + 10.0)
    assert words(tally, 30.0) == "at least 30 s left, on nas1"


def test_a_step_that_hangs_is_left_out_and_said_to_be() -> None:
    """Nobody knows when it ends; where it is all that is left, nobody counts down."""
    tally = a_tally(nas1={CREATE: 6})
    tally.add(started("hung"), 0.0)
    for number in range(4):
        done(tally, str(number), "nas1", number * 10.0, number * 10.0 + 10.0)
    assert words(tally, 40.0) == "about 10 s left, on nas1, not counting 1 that takes unusually long"
    done(tally, "4", "nas1", 40.0, 50.0)
    for now in (50.0, 500.0):
        assert words(tally, now) == "waiting for 1 that takes unusually long"


def test_nothing_is_promised_while_all_places_are_taken_by_steps_that_hang() -> None:
    """The others cannot begin."""
    tally = a_tally(nas1={CREATE: 100})
    for number in range(4):
        done(tally, str(number), "nas1", 0.0, 1.0)
    for name in ("x", "y"):
        tally.add(started(name), 1.0)
    assert words(tally, 3.0).startswith("about ")
    assert words(tally, 60.0) == "waiting for 2 that take unusually long"


def test_a_step_that_is_new_to_a_backend_is_expected_there() -> None:
    """A share that fell through to another backend is left there, and no longer where it was planned."""
    from sharectl.model.events import CandidateFailed  # noqa: PLC0415 - of this test alone

    tally = a_tally(nas1={CREATE: 1}, nas2={CREATE: 3})
    tally.add(started("a"), 0.0)
    tally.add(CandidateFailed("create-share:share/a", "share/a", "nas1", "default", "full"), 1.0)
    tally.add(started("a", "nas2"), 1.0)
    assert [tally.backends[name].left[CREATE] for name in ("nas1", "nas2")] == [0, 4]
    tally.add(StepSkipped("s", "share/z", CREATE, "nas2", "", "cancelled"), 2.0)
    assert tally.backends["nas2"].left[CREATE] == 3


def _ends(steps: int, width: int, seconds: list[float]) -> Iterator[tuple[float, float, str]]:
    """Yield when each step of a backend begins and ends, with its name, in the order of their ends."""
    free = [0.0] * width
    spans = []
    for number in range(steps):
        begun = heapq.heappop(free)
        ended = begun + seconds[number % len(seconds)]
        heapq.heappush(free, ended)
        spans.append((ended, begun, str(number)))
    yield from sorted(spans)


@settings(deadline=None, max_examples=40)
@given(st.integers(10, 60), st.integers(1, 8), st.lists(st.floats(2.0, 20.0), min_size=1, max_size=4))
def test_what_is_said_comes_about(steps: int, width: int, seconds: list[float]) -> None:
    """On a backend that goes on as it was, no estimate is further from the truth than half of it and two steps.

    That is so once steps of each duration have ended: nobody can tell from three short ones that a long one follows.
    """
    tally = a_tally(width, nas1={CREATE: steps})
    spans = list(_ends(steps, width, seconds))
    end = spans[-1][0]
    unseen = {str(number) for number in range(len(seconds))}
    events = sorted([(begun, 1, name, 0.0) for _, begun, name in spans] + [(e, 0, n, e - b) for e, b, n in spans])
    for now, kind, name, took in events:
        tally.add(started(name) if kind else replace(finished(name), seconds=took), now)
        unseen -= set() if kind else {name}
        found = rest_of(tally, now)
        if found.seconds is not None and not found.overdue and not unseen:
            assert abs(found.seconds - (end - now)) <= 0.5 * (end - now) + 2 * max(seconds)


def test_a_step_says_what_it_waits_for() -> None:
    """Until when it waits to be tried again, then which try it is at."""
    tally = a_tally(nas1={CREATE: 1})
    tally.add(started("b"), 0.0)
    tally.add(StepRetried("create-share:share/b", "share/b", "nas1", 1, 8.0, "busy"), 4.0)
    (step,) = tally.oldest()
    assert step_text(step, 8.0, 80) == "  ▸ share/b on nas1#default: creating, 8.0 s, try 2 in 4.0 s"
    assert step_text(step, 20.0, 80) == "  ▸ share/b on nas1#default: creating, 20.0 s, try 2"
    assert "0 of 2 running  1 to retry" in frame_lines(tally, 8.0, width=80, height=9, color=False)[0]
    assert "1 of 2 running" in frame_lines(tally, 20.0, width=80, height=9, color=False)[0]


def test_a_step_says_what_is_usual_and_gives_way_by_what_matters_least() -> None:
    """The worker and the pool first, then the backend, then what is usual; what it is at and for how long stays."""
    tally = a_tally(nas1={CREATE: 9})
    for number in range(3):
        done(tally, str(number), "nas1", 0.0, 8.0)
    tally.add(replace(started("projects"), worker="nas1@store-17"), 10.0)
    (step,) = tally.oldest()
    assert [step_text(step, 140.0, width) for width in (100, 70, 60, 50, 40, 34)] == [
        "  ▸ share/projects on nas1#default: creating, 2m10s, usually 8.0 s by nas1@store-17",
        "  ▸ share/projects on nas1: creating, 2m10s, usually 8.0 s",
        "  ▸ share/projects on nas1: creating, 2m10s, usually 8.0 s",
        "  ▸ share/projects: creating, 2m10s, usually 8.0 s",
        "  ▸ share/projects: creating, 2m10s",
        "  ▸ share/projec…: creating, 2m10s",
    ]


def test_each_verb_has_a_word_for_a_step_under_way() -> None:
    """`creating`, `changing access`."""
    assert all("ing" in VERBS[verb].doing for verb in Verb)
