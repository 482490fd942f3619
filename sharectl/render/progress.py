"""Progress of an apply: a live picture on a terminal, plain lines elsewhere, JSON lines for programs."""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, Literal, cast

from sharectl.render.formats import document
from sharectl.render.frame import frame_lines
from sharectl.render.log import EVERY_SECONDS, PlainView, logged
from sharectl.render.tally import Tally, outline_of
from sharectl.render.text import harmless, sayable

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator
    from typing import TextIO

    from rich.console import Group

    from sharectl.model.canonical import JsonObject
    from sharectl.model.events import Event
    from sharectl.model.plans import Plan
    from sharectl.render.output import Output

_BETWEEN_WORDS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


@cache
def _shape(kind: Hashable) -> tuple[str, tuple[str, ...]]:
    """Return `step-finished` for StepFinished, and the names of its fields."""
    event = cast("type[Event]", kind)
    return _BETWEEN_WORDS.sub("-", event.__name__).lower(), tuple(each.name for each in fields(event))


@lru_cache(maxsize=1)
def _utc_text(milliseconds: int) -> str:
    """Return this time; many events come within one millisecond."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")


def event_object(event: Event, at: str) -> JsonObject:
    """Return the event as a JSON object: its name, the time `at` (UTC, ISO 8601), and its fields under their names."""
    name, names = _shape(cast("Hashable", type(event)))
    plain = document("events", event=name, at=at)
    for each in names:
        plain[each] = getattr(event, each)
    return plain


Mode = Literal["auto", "plain", "json"]
REFRESHES_PER_SECOND: Final = 4
"""Drawing takes the interpreter from the calls: at this pace, little of it."""


@contextmanager
def progress_view(
    output: Output,
    *,
    mode: Mode,
    plan: Plan | None = None,
    monotonic: Callable[[], float] = time.monotonic,
    every_seconds: float = EVERY_SECONDS,
) -> Iterator[Callable[[Event], None]]:
    """Yield the observer that shows events as they come; it is called from one thread at a time.

    `auto` draws on standard error where that is a terminal that can be drawn on, and is `plain` elsewhere; the picture is gone
    when the block ends. `plain` writes lines to standard error, one at least `every_seconds`; `json` writes one object per event to
    standard output. What the `plan` says tells how many calls run at once, and how long the rest takes.
    """
    if mode == "json":
        yield lambda event: output.write_json_line(event_object(event, _utc_now()))
    elif mode == "auto" and output.draws and output.stderr is not None:
        with _live_view(output, output.stderr, _tally_of(plan), monotonic) as observe:
            yield observe
    else:
        with logged(PlainView(output, _tally_of(plan), monotonic, every_seconds), every_seconds) as observe:
            yield observe


def _tally_of(plan: Plan | None) -> Tally:
    return Tally() if plan is None else Tally(outline_of(plan))


def _utc_now() -> str:
    return _utc_text(time.time_ns() // 1_000_000)


@contextmanager
def _live_view(
    output: Output, stream: TextIO, tally: Tally, monotonic: Callable[[], float]
) -> Iterator[Callable[[Event], None]]:
    from rich.console import Console, Group  # noqa: PLC0415 - only a terminal needs it
    from rich.live import Live  # noqa: PLC0415 - only a terminal needs it
    from rich.text import Text  # noqa: PLC0415 - only a terminal needs it

    mutex = threading.Lock()
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
