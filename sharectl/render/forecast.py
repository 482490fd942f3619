"""How long the rest of an apply takes, as far as its steps so far can tell: nothing is said that would have to be taken back.

On each backend what is left is the sum of what such steps took on average, done so many at a time as were under way on average; the
backend that needs longest decides. A step that takes far longer than is usual is left out, and said to be: nobody knows when it ends.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import counted
from sharectl.model.frozen import dataclass
from sharectl.render.text import roughly, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sharectl.model.verbs import Verb
    from sharectl.render.tally import BackendTally, RunningStep, Tally

_SECONDS_BEFORE_GUESS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left: `seconds` on the `backend` that needs longest (None: nobody can tell), and whether that is all that is left.

    `overdue` steps are not in it: they take far longer than is usual. After a cancel nothing new starts, and `ending` steps are waited for.
    """

    seconds: float | None = None
    backend: str = ""
    is_whole: bool = False
    overdue: int = 0
    ending: int = 0

    def words(self, *, named: bool) -> str:
        """Return what is left for people; the backend is `named` where there are others."""
        if self.ending:
            slow = f", {self.overdue} of which {_take(self.overdue)} unusually long" if self.overdue else ""
            return f"{self.brief}{slow}"
        if self.seconds is None:
            if self.overdue:
                return f"waiting for {self.overdue} that {_take(self.overdue)} unusually long"
            return ""
        text = f"{'about' if self.is_whole else 'at least'} {roughly(self.seconds)} left"
        if named and self.backend:
            text = f"{text}, on {visible(self.backend)}"
        return (
            f"{text}, not counting {self.overdue} that {_take(self.overdue)} unusually long" if self.overdue else text
        )

    @property
    def brief(self) -> str:
        """The same where there is little room; it begins as words() does."""
        if self.ending:
            return f"waiting for {counted(self.ending, 'running step')}"
        return (
            "" if self.seconds is None else f"{'about' if self.is_whole else 'at least'} {roughly(self.seconds)} left"
        )


def _take(count: int) -> str:
    return "takes" if count == 1 else "take"


def rest_of(tally: Tally, now: float) -> Rest:
    """Return what is left at `now`, on the tally's clock."""
    running: dict[str, list[RunningStep]] = {}
    overdue = 0
    for step in tally.oldest():
        overdue += step.is_overdue(now)
        running.setdefault(step.event.backend or "", []).append(step)
    if tally.cancelled:
        return Rest(overdue=overdue, ending=len(tally.running))
    if tally.started_at is None or now - tally.started_at < _SECONDS_BEFORE_GUESS:
        return Rest()
    longest, needed, is_whole = "", None, True
    for name, each in tally.backends.items():
        if each.is_over or not name:  # what the state alone is asked takes no time
            continue
        seconds, is_known = _seconds_left(each, running.get(name, ()), tally.outline.widths.get(name), now)
        is_whole = is_whole and is_known
        if seconds is not None and (needed is None or seconds > needed):
            longest, needed = name, seconds
    return Rest(needed, longest, is_whole, overdue)


def _seconds_left(
    backend: BackendTally, running: Iterable[RunningStep], width: int | None, now: float
) -> tuple[float | None, bool]:
    """Return the time that the backend needs for what is known of, and whether that is all."""
    usual = [step for step in running if not step.is_overdue(now)]
    stuck = Counter(step.event.verb for step in running if step.is_overdue(now))
    if width is not None and sum(stuck.values()) >= width:
        return None, False  # no place is free for the others, and nobody knows when one will be
    under_way = Counter(step.event.verb for step in usual)
    means = {verb: _mean_seconds(backend, verb, usual, now) for verb in backend.left}
    left = {verb: count - stuck[verb] for verb, count in backend.left.items() if count > stuck[verb]}
    known = {verb: mean for verb in left if (mean := means[verb]) is not None}
    if not known or backend.begun_at is None:
        return None, not left
    work = sum((left[verb] - under_way[verb]) * mean for verb, mean in known.items())
    work += sum(max(known[verb] - (now - step.started_at), 0.0) for step in usual if (verb := step.event.verb) in known)
    busy = sum(took.seconds for took in backend.took.values()) + sum(now - step.started_at for step in usual)
    elapsed = now - backend.begun_at
    at_once = min(busy / elapsed if elapsed > 0 else 1.0, sum(left[verb] for verb in known))
    return work / at_once if at_once > 0 else None, len(known) == len(left)


def _mean_seconds(backend: BackendTally, verb: Verb, running: Sequence[RunningStep], now: float) -> float | None:
    """Return what a step of the verb takes on average; those under way count once they take longer than the others did."""
    took = backend.took.get(verb)
    if took is None or took.usual_seconds is None:
        return None
    mean = took.seconds / took.count
    longer = [age for step in running if step.event.verb is verb and (age := now - step.started_at) > mean]
    return (took.seconds + sum(longer)) / (took.count + len(longer))
