"""Progress of an apply: a live picture on a terminal, plain lines elsewhere, JSON lines for programs."""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Final, Literal, cast

from sharectl.model.diagnostics import counted, listed
from sharectl.model.events import (
    CallsUnderWay,
    CancelRequested,
    CandidateFailed,
    OperationRecovered,
    RecoveryStarted,
    RunStarted,
    StepFailed,
    StepFinished,
    StepRetried,
    StepSkipped,
    StepTaken,
    worker_name,
)
from sharectl.render.formats import document
from sharectl.render.frame import Tally, by, frame_lines, place
from sharectl.render.text import duration, harmless, paint, sayable, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator
    from typing import TextIO

    from rich.console import Group

    from sharectl.model.canonical import JsonObject
    from sharectl.model.events import Event
    from sharectl.render.output import Output

_BETWEEN_WORDS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


@cache
def _shape(kind: Hashable) -> tuple[str, tuple[str, ...]]:
    """Return `step-finished` for StepFinished, and the names of its fields."""
    event = cast("type[Event]", kind)
    return _BETWEEN_WORDS.sub("-", event.__name__).lower(), tuple(each.name for each in fields(event))


def event_object(event: Event, at: str) -> JsonObject:
    """Return the event as a JSON object: its name, the time `at` (UTC, ISO 8601), and its fields under their names."""
    name, names = _shape(cast("Hashable", type(event)))
    return document("events", event=name, at=at, **{each: getattr(event, each) for each in names})


Mode = Literal["auto", "plain", "json"]
REFRESHES_PER_SECOND: Final = 10
_NAMED_SKIPS: Final = 3


@contextmanager
def progress_view(
    output: Output, *, mode: Mode, monotonic: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[Event], None]]:
    """Yield the observer that shows events as they come; it is called from one thread at a time.

    `auto` draws on standard error where that is a terminal that can be drawn on, and is `plain` elsewhere; the picture is gone
    when the block ends. `plain` writes lines to standard error, `json` one object per event to standard output.
    """
    if mode == "json":
        yield lambda event: output.write_json_line(event_object(event, _utc_now()))
    elif mode == "auto" and output.stderr is not None and output.err_is_terminal and not output.is_dumb:
        with _live_view(output, output.stderr, monotonic) as observe:
            yield observe
    else:
        view = PlainView(output)
        try:
            yield view.observe
        finally:
            view.finish()


def _utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@contextmanager
def _live_view(output: Output, stream: TextIO, monotonic: Callable[[], float]) -> Iterator[Callable[[Event], None]]:
    from rich.console import Console, Group  # noqa: PLC0415 - only a terminal needs it
    from rich.live import Live  # noqa: PLC0415 - only a terminal needs it
    from rich.text import Text  # noqa: PLC0415 - only a terminal needs it

    tally, mutex = Tally(), threading.Lock()
    encoding = stream.encoding
    console = Console(file=stream, force_terminal=True, no_color=not output.color_err, highlight=False)

    def picture() -> Group:
        with mutex:
            lines = frame_lines(
                tally, monotonic(), width=console.width, height=console.height - 1, color=output.color_err
            )
        return Group(*(Text.from_ansi(sayable(line, encoding), no_wrap=True, overflow="crop") for line in lines))

    def observe(event: Event) -> None:
        with mutex:
            tally.add(event, monotonic())

    live = Live(
        console=console,
        get_renderable=picture,
        refresh_per_second=REFRESHES_PER_SECOND,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with live:
        output.divert_notes(lambda text: console.print(Text.from_ansi(sayable(harmless(text), encoding))))
        try:
            yield observe
        finally:
            output.divert_notes(None)


class PlainView:
    """Writes a line for each step that is done, failed or tried again; steps that are skipped for one cause share a line."""

    def __init__(self, output: Output) -> None:
        """Write to the standard error of `output`."""
        self._output = output
        self._total = self._settled = 0
        self._skipped: list[StepSkipped] = []

    def observe(self, event: Event) -> None:
        """Show an event."""
        if isinstance(event, StepSkipped):
            if self._skipped and self._skipped[-1].cause != event.cause:
                self.finish()
            self._settled += 1
            self._skipped.append(event)
            return
        self.finish()
        if isinstance(event, RunStarted):
            self._total = sum(event.steps_by_backend.values())
        elif isinstance(event, StepFinished | StepFailed):
            self._settled += 1
        line = self._line(event)
        if line:
            self._output.note(line)

    def finish(self) -> None:
        """Show what has been held back."""
        if self._skipped:
            steps = [f"{event.verb.value} {visible(event.address)}" for event in self._skipped]
            cause, reason = self._skipped[0].cause, self._skipped[0].reason
            why = f"because {visible(cause)} failed" if cause else visible(reason)
            count = counted(len(self._skipped), "step")
            named = listed(steps, _NAMED_SKIPS)
            self._skipped.clear()
            self._output.note(f"{self._counter()} {self._word('skipped', 'warning')} {count}, {why}: {named}")

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
