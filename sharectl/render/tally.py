"""What the events of an apply add up to, and how long its steps take."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Final

from sharectl.model.events import (
    CancelRequested,
    CandidateFailed,
    RunStarted,
    StepFailed,
    StepFinished,
    StepRetried,
    StepSkipped,
    StepStarted,
    StepTaken,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sharectl.model.events import Event
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan
    from sharectl.model.verbs import Verb

_REMEMBERED_PROBLEMS: Final = 5
_REMEMBERED_DURATIONS: Final = 31
_ENOUGH: Final = 3
"""So many steps of a verb tell how long one usually takes."""
_OVERDUE_FACTOR: Final = 3.0
_OVERDUE_SECONDS: Final = 5.0


@dataclass(slots=True)
class Outline:
    """What a plan says of its run: how many calls run at once on each backend, and how many steps of each verb there are on it."""

    widths: Mapping[str, int] = field(default_factory=dict)
    steps: Mapping[str, Counter[Verb]] = field(default_factory=dict)


def outline_of(plan: Plan) -> Outline:
    """Return the outline of a plan."""
    steps: dict[str, Counter[Verb]] = {}
    for (backend, verb), count in Counter((step.backend or "", step.verb) for step in plan.steps).items():
        steps.setdefault(backend, Counter())[verb] = count
    return Outline({name: spec.lanes for name, spec in plan.backends.items()}, steps)


@dataclass(slots=True)
class Durations:
    """How long the steps of one verb have taken on one backend, in seconds."""

    count: int = 0
    seconds: float = 0.0
    latest: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED_DURATIONS))

    def add(self, seconds: float) -> None:
        """Count a step that is done."""
        self.count += 1
        self.seconds += seconds
        self.latest.append(seconds)

    @property
    def usual_seconds(self) -> float | None:
        """What half of the latest steps took at most; None where there were too few to tell."""
        return median(self.latest) if self.count >= _ENOUGH else None


@dataclass(slots=True)
class BackendTally:
    """The steps of one backend; steps of the state alone are under an empty name."""

    total: int = 0
    done: int = 0
    failed: int = 0
    skipped: int = 0
    retries: int = 0
    running: int = 0
    begun_at: float | None = field(default=None, compare=False)
    left: Counter[Verb] = field(default_factory=Counter, compare=False)
    took: dict[Verb, Durations] = field(default_factory=dict, compare=False)

    @property
    def settled(self) -> int:
        """Steps that need nothing any more."""
        return self.done + self.failed + self.skipped

    @property
    def is_over(self) -> bool:
        """Tell whether every step is settled."""
        return self.settled >= self.total


@dataclass(slots=True)
class RunningStep:
    """A step under way: its start, seconds on the clock that the tally was given, the tries that failed, and the worker that makes its call.

    Until `waits_until` nothing is asked of its backend: the call is then made once more.
    """

    event: StepStarted
    started_at: float
    retries: int = 0
    worker: str | None = None
    waits_until: float = float("-inf")
    usual_seconds: float | None = None

    def is_waiting(self, now: float) -> bool:
        """Tell whether it waits to be tried again."""
        return self.waits_until > now

    def is_overdue(self, now: float) -> bool:
        """Tell whether it takes far longer than is usual; nobody knows how much longer then."""
        age, usual = now - self.started_at, self.usual_seconds
        return usual is not None and age > max(_OVERDUE_FACTOR * usual, usual + _OVERDUE_SECONDS)


@dataclass(slots=True)
class Tally:
    """Add events in their order with the seconds of a monotonic clock, then read the numbers. Constant work for each event."""

    outline: Outline = field(default_factory=Outline)
    backends: dict[str, BackendTally] = field(default_factory=dict)
    running: dict[str, RunningStep] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    started_at: float | None = None
    cancelled: bool = False
    _planned: dict[Address, str] = field(default_factory=dict)
    _moved: dict[str, str] = field(default_factory=dict)

    @property
    def all(self) -> BackendTally:
        """The sum over all backends."""
        found = self.backends.values()
        return BackendTally(
            *(
                sum(getattr(each, name) for each in found)
                for name in ("total", "done", "failed", "skipped", "retries", "running")
            )
        )

    def oldest(self) -> Iterable[RunningStep]:
        """Return the steps under way, the longest-running first, each with what it usually takes."""
        for step in self.running.values():
            took = self._of(step.event.backend).took.get(step.event.verb)
            step.usual_seconds = None if took is None else took.usual_seconds
        return self.running.values()

    def add(self, event: Event, now: float) -> None:
        """Count one event."""
        match event:
            case StepStarted():
                self._begin(event, now)
            case StepFinished() | StepFailed() | StepSkipped():
                self._settle(event)
            case RunStarted():
                self.started_at = now
                steps = self.outline.steps
                self.backends = {
                    name: BackendTally(total, left=Counter(steps.get(name)))
                    for name, total in sorted(event.steps_by_backend.items())
                }
            case StepTaken():
                if event.step_id in self.running:
                    self.running[event.step_id].worker = event.worker
            case StepRetried():
                self._note_retry(event, now)
            case CandidateFailed():
                self._close(event.step_id)
                self._planned.setdefault(event.address, event.backend)
                self._tell(f"{event.address}: {event.backend}#{event.pool} refused: {event.error}")
            case CancelRequested():
                self.cancelled = True
            case _:
                pass

    def _begin(self, event: StepStarted, now: float) -> None:
        self._close(event.step_id)
        if self._planned:
            self._follow(event)
        self.running[event.step_id] = RunningStep(event, now, worker=event.worker)
        backend = self._of(event.backend)
        backend.running += 1
        if backend.begun_at is None:
            backend.begun_at = now

    def _note_retry(self, event: StepRetried, now: float) -> None:
        self._of(event.backend).retries += 1
        step = self.running.get(event.step_id)
        if step is not None:
            step.retries += 1
            step.waits_until = now + event.delay_seconds

    def _settle(self, event: StepFinished | StepFailed | StepSkipped) -> None:
        self._close(event.step_id)
        backend = self._of(self._moved.pop(event.step_id, event.backend))
        backend.left[event.verb] -= 1
        if isinstance(event, StepFinished):
            backend.done += 1
            took = backend.took.get(event.verb)
            if took is None:
                took = backend.took[event.verb] = Durations()
            took.add(event.seconds)
        elif isinstance(event, StepSkipped):
            backend.skipped += 1
        else:
            backend.failed += 1
            self._tell(f"{event.address}: {event.error}")

    def _follow(self, event: StepStarted) -> None:
        """Count a step under the backend that it has come to, where an earlier candidate could not take its share."""
        planned = self._planned.get(event.address)
        if planned is None:
            return
        before, after = self._of(self._moved.get(event.step_id, planned)), self._of(event.backend)
        before.total -= 1
        after.total += 1
        before.left[event.verb] -= 1
        after.left[event.verb] += 1
        self._moved[event.step_id] = event.backend or ""

    def _of(self, backend: str | None) -> BackendTally:
        found = self.backends.get(backend or "")
        if found is None:
            found = self.backends[backend or ""] = BackendTally()
        return found

    def _close(self, step_id: str) -> None:
        step = self.running.pop(step_id, None)
        if step is not None:
            self._of(step.event.backend).running -= 1

    def _tell(self, problem: str) -> None:
        self.problems.append(problem)
        del self.problems[:-_REMEMBERED_PROBLEMS]
