"""Progress as a picture: what an apply has done, by backend, the longest-running steps, the last problems."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import counted
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
    worker_name,
)
from sharectl.render.text import clipped, display_width, duration, padded, paint, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    """A step under way: its start, seconds on the clock that the tally was given, how often it was tried again, and the worker that makes its call."""

    event: StepStarted
    started_at: float
    retries: int = 0
    worker: str | None = None


@dataclass(slots=True)
class Tally:
    """Add events in their order with the seconds of a monotonic clock, then read the numbers. Constant work for each event."""

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

    def add(self, event: Event, now: float) -> None:
        """Count one event."""
        match event:
            case RunStarted():
                self.started_at = now
                self.backends = {name: BackendTally(total) for name, total in sorted(event.steps_by_backend.items())}
            case StepStarted():
                self._close(event.step_id)
                self._follow(event)
                self.running[event.step_id] = RunningStep(event, now, worker=event.worker)
                self._of(event.backend).running += 1
            case StepTaken():
                if event.step_id in self.running:
                    self.running[event.step_id].worker = event.worker
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


STATE_NAME: Final = "(state)"
_MOST_STEPS: Final = 5
_MOST_PROBLEMS: Final = 3
_BAR_WIDTH: Final = 20
_WIDEST_NAME: Final = 24
_LEAST_WIDTH_FOR_BARS: Final = 60
_SECONDS_BEFORE_GUESS: Final = 2.0


def bar(share: float, width: int, *, empty: str = "░") -> str:
    """Return a bar of `width` columns, filled to `share` (0..1)."""
    filled = min(max(round(share * width), 0), width)
    return "█" * filled + empty * (width - filled)


def frame_lines(tally: Tally, now: float, *, width: int, height: int, color: bool) -> list[str]:
    """Return the picture at `now` (the tally's clock, seconds), no wider than `width` and no higher than `height`."""
    steps = _step_lines(tally, now, width, color=color)
    problems = [
        paint(clipped(f"  ✗ {visible(text)}", width), "error", color) for text in tally.problems[-_MOST_PROBLEMS:]
    ]
    room = max(height - len(steps) - len(problems) - 2, 1)
    lines = [*_backend_lines(tally, now, width, room, color=color), *steps, *problems]
    if tally.cancelled:
        lines.append(
            paint(clipped("Cancelled: running steps finish; Ctrl-C again stops at once.", width), "warning", color)
        )
    return lines[:height]


def _backend_lines(tally: Tally, now: float, width: int, room: int, *, color: bool) -> Iterator[str]:
    ranked = sorted(tally.backends.items(), key=lambda item: (item[1].is_over, item[0]))
    shown = ranked if len(ranked) <= room else ranked[: room - 1]
    column = min(max((display_width(_name(name)) for name, _ in shown), default=0), _WIDEST_NAME)
    elapsed = 0.0 if tally.started_at is None else now - tally.started_at
    for name, each in sorted(shown):
        yield _backend_line(padded(clipped(_name(name), column), column), each, elapsed, width, color=color)
    if len(shown) < len(ranked):
        yield clipped(f"  and {counted(len(ranked) - len(shown), 'more backend')}", width)
    yield clipped(_total_line(tally, elapsed), width)


def _backend_line(name: str, each: BackendTally, elapsed: float, width: int, *, color: bool) -> str:
    digits = len(str(each.total))
    share = each.settled / each.total if each.total else 1.0
    words = [f"{each.settled:>{digits}}/{each.total}"]
    if each.running:
        words.append(f"{each.running} running")
    if each.failed:
        words.append(f"{each.failed} failed")
    if each.skipped:
        words.append(f"{each.skipped} skipped")
    if each.retries:
        words.append(f"{each.retries} tried again")
    if elapsed > 0 and each.done and not each.is_over:
        words.append(f"{each.done / elapsed:.1f}/s")
    if width < _LEAST_WIDTH_FOR_BARS:
        return clipped("  ".join([name, *words]), width)
    tail = clipped("  ".join(words), width - display_width(name) - _BAR_WIDTH - 4)
    style = "error" if each.failed else "done"
    return f"{name}  {paint(bar(share, _BAR_WIDTH), style, color)}  {tail}"


def _total_line(tally: Tally, elapsed: float) -> str:
    total = tally.all
    text = f"{total.settled} of {counted(total.total, 'step')}, {duration(elapsed)}"
    left = _seconds_left(tally, elapsed)
    return text if left is None else f"{text}, about {duration(left)} left"


def _seconds_left(tally: Tally, elapsed: float) -> float | None:
    """Return the time that the slowest backend still needs at its rate so far; None while a backend has none yet."""
    slow = [each for each in tally.backends.values() if not each.is_over]
    if elapsed < _SECONDS_BEFORE_GUESS or not slow or not all(each.settled for each in slow):
        return None
    return max((each.total - each.settled) * elapsed / each.settled for each in slow)


def _step_lines(tally: Tally, now: float, width: int, *, color: bool) -> list[str]:
    oldest = list(tally.running.values())[:_MOST_STEPS]
    return [paint(clipped(_step_text(step, now), width), "faint", color) for step in oldest]


def _step_text(step: RunningStep, now: float) -> str:
    event = step.event
    text = f"  ▸ {event.verb.value} {visible(event.address)}{place(event.backend, event.pool)}  {duration(now - step.started_at)}"
    if step.retries:
        text = f"{text}, tried again {counted(step.retries, 'time')}"
    return f"{text}{by(step.worker)}"


def place(backend: str | None, pool: str | None = None) -> str:
    """Return ` on nas1#default`, or nothing for a step of the state alone."""
    if backend is None:
        return ""
    return f" on {visible(backend if pool is None else f'{backend}#{pool}')}"


def by(worker: str | None) -> str:
    """Return ` by nas1@host-4711`, or nothing for what this process does."""
    return "" if worker is None else f" by {visible(worker_name(worker))}"


def _name(backend: str) -> str:
    return visible(backend) if backend else STATE_NAME
