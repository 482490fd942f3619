"""An apply in numbers: what its events add up to, for each backend and in all."""

from __future__ import annotations

from dataclasses import dataclass, field
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
)

if TYPE_CHECKING:
    from sharectl.model.events import Event
    from sharectl.model.kinds import Address

_REMEMBERED_PROBLEMS: Final = 5


@dataclass(slots=True)
class BackendTally:
    """The steps of one backend; steps of the state alone are under an empty name."""

    total: int = 0
    done: int = 0
    failed: int = 0
    skipped: int = 0
    retries: int = 0
    running: int = 0

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
    """A step under way: its start, seconds on the clock that the tally was given, and how often it was tried again."""

    event: StepStarted
    started_at: float
    retries: int = 0


@dataclass(slots=True)
class Tally:
    """Add events in their order with the seconds of a monotonic clock, then read the numbers. Constant work for each event."""

    backends: dict[str, BackendTally] = field(default_factory=dict)
    running: dict[str, RunningStep] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    started_at: float = 0.0
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

    def add(self, event: Event, now: float) -> None:
        """Count one event."""
        match event:
            case RunStarted():
                self.started_at = now
                self.backends = {name: BackendTally(total) for name, total in sorted(event.steps_by_backend.items())}
            case StepStarted():
                self._close(event.step_id)
                self._follow(event)
                self.running[event.step_id] = RunningStep(event, now)
                self._of(event.backend).running += 1
            case StepRetried() | CandidateFailed():
                self._note_trouble(event)
            case StepFinished() | StepFailed() | StepSkipped():
                self._settle(event)
            case CancelRequested():
                self.cancelled = True
            case _:
                pass

    def _note_trouble(self, event: StepRetried | CandidateFailed) -> None:
        if isinstance(event, CandidateFailed):
            self._close(event.step_id)
            self._planned.setdefault(event.address, event.backend)
            self._tell(f"{event.address}: {event.backend}#{event.pool} refused: {event.error}")
            return
        self._of(event.backend).retries += 1
        if event.step_id in self.running:
            self.running[event.step_id].retries += 1

    def _settle(self, event: StepFinished | StepFailed | StepSkipped) -> None:
        self._close(event.step_id)
        backend = self._of(self._moved.pop(event.step_id, event.backend))
        if isinstance(event, StepFinished):
            backend.done += 1
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
        before, after = self._moved.get(event.step_id, planned), event.backend or ""
        self._of(before).total -= 1
        self._of(after).total += 1
        self._moved[event.step_id] = after

    def _of(self, backend: str | None) -> BackendTally:
        return self.backends.setdefault(backend or "", BackendTally())

    def _close(self, step_id: str) -> None:
        step = self.running.pop(step_id, None)
        if step is not None:
            self._of(step.event.backend).running -= 1

    def _tell(self, problem: str) -> None:
        self.problems.append(problem)
        del self.problems[:-_REMEMBERED_PROBLEMS]
