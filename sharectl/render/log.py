"""Progress of an apply as lines of a log: each step of a short run, of a long one how far it is, every so often; never nothing for long."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import counted, listed
from sharectl.model.events import (
    CallsUnderWay,
    CancelRequested,
    CandidateFailed,
    OperationRecovered,
    RecoveryStarted,
    RunFinished,
    RunStarted,
    StepFailed,
    StepFinished,
    StepRetried,
    StepSkipped,
    StepTaken,
    worker_name,
)
from sharectl.render.forecast import rest_of
from sharectl.render.frame import by, place, step_text
from sharectl.render.text import duration, paint, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sharectl.model.events import Event
    from sharectl.render.output import Output
    from sharectl.render.tally import Tally

EVERY_SECONDS: Final = 30.0
_NAMED_SKIPS: Final = 3
_FEWEST_TOGETHER: Final = 3
_MOST_STEPS_TOLD: Final = 50
"""A run of more steps is told in tenths."""
_TENTHS: Final = 10
_MOST_OF_A_KIND: Final = 50
"""So many lines of one kind are written at most: the sums go on in the lines that say how far the run is."""
_MOST_SLOW: Final = 3
_WIDE: Final = 1000
_LIMITED: Final = (StepFailed, StepRetried, StepSkipped, StepTaken, CandidateFailed, OperationRecovered)


@contextmanager
def logged(view: PlainView, every_seconds: float) -> Iterator[Callable[[Event], None]]:
    """Yield the observer of a view that is also asked every so often whether there is something to say."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(every_seconds / 4):
            view.tick()

    ticking = threading.Thread(target=look, name="progress", daemon=True)
    ticking.start()
    try:
        yield view.observe
    finally:
        ended.set()
        ticking.join()
        view.finish()


class PlainView:
    """Writes what is done, failed or tried again; steps that are skipped for one cause share a line, and what is resolved alike does."""

    def __init__(
        self, output: Output, tally: Tally, monotonic: Callable[[], float], every_seconds: float = EVERY_SECONDS
    ) -> None:
        """Write to the standard error of `output` what the `tally` says, after `every_seconds` of silence too."""
        self._output = output
        self._tally = tally
        self._clock = monotonic
        self._every_seconds = every_seconds
        self._mutex = threading.Lock()
        self._total = self._settled = self._tenth = 0
        self._spoke_at = monotonic()
        self._told: Counter[type[Event]] = Counter()
        self._skipped: list[StepSkipped] = []
        self._recovered: dict[tuple[str, str | None, str], list[OperationRecovered]] = {}

    def observe(self, event: Event) -> None:
        """Show an event."""
        with self._mutex:
            self._tally.add(event, self._clock())
            self._show(event)

    def tick(self) -> None:
        """Say how far the run is, or what has been resolved, where nothing has been said for long."""
        with self._mutex:
            if self._clock() - self._spoke_at < self._every_seconds:
                return
            self._flush()
            if self._tally.started_at is not None:
                self._say_how_far()

    def finish(self) -> None:
        """Show what has been held back."""
        with self._mutex:
            self._flush()

    @property
    def _is_long(self) -> bool:
        return self._total > _MOST_STEPS_TOLD

    def _show(self, event: Event) -> None:
        if isinstance(event, StepSkipped):
            if self._skipped and self._skipped[-1].cause != event.cause:
                self._flush()
            self._settled += 1
            self._skipped.append(event)
            return
        if isinstance(event, OperationRecovered):
            self._recovered.setdefault((event.verb, event.backend, event.outcome), []).append(event)
            return
        self._flush()
        if isinstance(event, RunStarted):
            self._total = sum(event.steps_by_backend.values())
        elif isinstance(event, StepFinished | StepFailed):
            self._settled += 1
        if isinstance(event, RunFinished) or (self._is_long and isinstance(event, StepFinished)):
            self._say_tenth(event)
            return
        line = self._line(event)
        if line and self._may_tell(type(event)):
            self._note(line)

    def _say_tenth(self, event: Event) -> None:
        tenth = self._settled * _TENTHS // self._total if self._total else 0
        if tenth > self._tenth and isinstance(event, StepFinished):
            self._tenth = tenth
            self._say_how_far()

    def _may_tell(self, kind: type[Event]) -> bool:
        """Tell whether one more line of the kind may be written; say so where it is the first that may not."""
        if kind not in _LIMITED:
            return True
        self._told[kind] += 1
        if self._told[kind] == _MOST_OF_A_KIND + 1:
            self._note(
                f"{' ' * len(self._counter())} {self._word('…', 'note')} further lines of this kind are left out"
            )
        return self._told[kind] <= _MOST_OF_A_KIND

    def _say_how_far(self) -> None:
        now, tally = self._clock(), self._tally
        total = tally.all
        words = [duration(0.0 if tally.started_at is None else now - tally.started_at)]
        rest = rest_of(tally, now).words(named=True)
        if rest:
            words.append(rest)
        if total.failed:
            words.append(f"{total.failed} failed")
        if total.retries:
            words.append(f"{total.retries} retried")
        lines = [", ".join(words)]
        lines += [step_text(step, now, _WIDE, head="") for step in islice(tally.oldest(), _MOST_SLOW)]
        hidden = len(tally.running) - _MOST_SLOW
        if hidden > 0:
            lines.append(f"and {hidden} more under way")
        self._note(f"{self._counter()} {self._word('so far', 'note')} {'; '.join(lines)}")

    def _flush(self) -> None:
        if self._skipped:
            steps = [f"{event.verb.value} {visible(event.address)}" for event in self._skipped]
            cause, reason = self._skipped[0].cause, self._skipped[0].reason
            why = f"because {visible(cause)} failed" if cause else visible(reason)
            count = counted(len(self._skipped), "step")
            named = listed(steps, _NAMED_SKIPS)
            self._skipped.clear()
            if self._may_tell(StepSkipped):
                self._note(f"{self._counter()} {self._word('skipped', 'warning')} {count}, {why}: {named}")

        for group in self._recovered.values():
            for line in self._recovered_lines(group):
                if self._may_tell(OperationRecovered):
                    self._note(line)
        self._recovered.clear()

    def _recovered_lines(self, alike: Sequence[OperationRecovered]) -> Iterator[str]:
        if len(alike) < _FEWEST_TOGETHER:
            yield from map(self._line, alike)
            return
        first, names = alike[0], listed([visible(event.address) for event in alike], _NAMED_SKIPS)
        what = f"{first.verb} of {len(alike)} resources{place(first.backend)}: {visible(first.outcome)}: {names}"
        yield f"{' ' * len(self._counter())} {self._word('resolved', 'note')} {what}"

    def _note(self, line: str) -> None:
        self._spoke_at = self._clock()
        self._output.note(line)

    def _line(self, event: Event) -> str:
        """Return the line of an event, or nothing; what settles a step carries the counter."""
        lead = " " * len(self._counter())
        match event:
            case StepFinished():
                lead, word, style = self._counter(), "done", "done"
                what = f"{event.verb.value} {visible(event.address)}{place(event.backend, event.pool)}"
                what = f"{what} ({duration(event.seconds)}){by(event.worker)}"
            case StepFailed():
                lead, word, style = self._counter(), "failed", "error"
                where = f"{place(event.backend)}{by(event.worker)}"
                what = f"{event.verb.value} {visible(event.address)}{where}: {visible(event.error)}"
            case StepRetried():
                word, style = "again", "warning"
                when = f"in {duration(event.delay_seconds)}, after attempt {event.attempt}"
                what = f"{visible(event.address)}{place(event.backend)} {when}: {visible(event.error)}"
            case StepTaken() if event.lost is not None:
                word, style = "taken", "note"
                what = (
                    f"{visible(event.address)} again{by(event.worker)}, in place of {visible(worker_name(event.lost))}"
                )
            case CandidateFailed():
                word, style = "refused", "warning"
                where = place(event.backend, event.pool)
                what = f"{visible(event.address)}{where}: {visible(event.error)}; the next pool is tried"
            case RecoveryStarted():
                word, style = "asking", "note"
                count = counted(event.operations, "operation")
                what = f"what became of {count} that an earlier run left open"
            case CallsUnderWay():
                word, style = "waiting", "note"
                others = f" and {len(event.addresses) - 1} more" if len(event.addresses) > 1 else ""
                until = f"free in {duration(max(0.0, event.seconds))} at the latest if its worker is gone"
                what = f"a worker is still at {visible(event.addresses[0])}{others}, for an earlier run; {until}"
            case OperationRecovered():
                word, style = "resolved", "note"
                what = f"{event.verb} {visible(event.address)}{place(event.backend)}: {visible(event.outcome)}"
            case CancelRequested():
                word, style = "cancel", "warning"
                what = "stopping now" if event.immediate else "running steps finish, no others start"
            case _:
                return ""
        return f"{lead} {self._word(word, style)} {what}"

    def _counter(self) -> str:
        return f"[{self._settled:>{len(str(self._total))}}/{self._total}]"

    def _word(self, word: str, style_name: str) -> str:
        return paint(f"{word:<8}", style_name, self._output.color_err)
