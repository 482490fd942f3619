"""Progress as a picture: what an apply has done, by backend, how long the rest takes, the slowest steps, the last problems."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import counted
from sharectl.model.events import worker_name
from sharectl.model.verbs import VERBS
from sharectl.render.forecast import rest_of
from sharectl.render.text import clipped, display_width, duration, first_fitting, padded, paint, shortened, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sharectl.render.tally import BackendTally, RunningStep, Tally

STATE_NAME: Final = "(state)"
_MOST_STEPS: Final = 5
_MOST_PROBLEMS: Final = 3
_BAR_WIDTH: Final = 20
_WIDEST_NAME: Final = 24
_LEAST_WIDTH_FOR_BARS: Final = 60
_LEAST_ADDRESS: Final = 12


def bar(share: float, width: int, *, empty: str = "░") -> str:
    """Return a bar of `width` columns, filled to `share` (0..1)."""
    filled = min(max(round(share * width), 0), width)
    return "█" * filled + empty * (width - filled)


def frame_lines(tally: Tally, now: float, *, width: int, height: int, color: bool) -> list[str]:
    """Return the picture at `now` (the tally's clock, seconds), no wider than `width` and no higher than `height`."""
    ends = [clipped(_total_line(tally, now, width), width)]
    if tally.cancelled:
        words = (
            "Cancelled: running steps finish; Ctrl-C again stops at once.",
            "Cancelled; Ctrl-C again stops at once.",
        )
        ends.append(paint(first_fitting(width, *words), "warning", color))
    room = max(height - len(ends), 0)
    problems = tally.problems[-min(_MOST_PROBLEMS, room // 4) :] if room // 4 else []
    room -= len(problems)
    of_backends = max(min(len(tally.backends), room - min(_MOST_STEPS, room // 2, len(tally.running))), min(room, 1))
    backends = list(_backend_lines(tally, now, width, of_backends, color=color)) if of_backends else []
    steps = islice(tally.oldest(), max(min(_MOST_STEPS, room - len(backends)), 0))
    return [
        *backends,
        *ends[:1],
        *(step_text(step, now, width) for step in steps),
        *(paint(shortened(f"  ✗ {visible(text)}", width), "error", color) for text in problems),
        *ends[1:],
    ][:height]


def _backend_lines(tally: Tally, now: float, width: int, room: int, *, color: bool) -> Iterator[str]:
    ranked = sorted(tally.backends.items(), key=lambda item: (item[1].is_over, item[0]))
    shown = ranked if len(ranked) <= room else ranked[: room - 1]
    column = min(max((display_width(_name(name)) for name, _ in shown), default=0), _WIDEST_NAME)
    elapsed = 0.0 if tally.started_at is None else now - tally.started_at
    waiting = [step.event.backend or "" for step in tally.running.values() if step.is_waiting(now)]
    for name, each in sorted(shown):
        words = _backend_words(each, tally.outline.widths.get(name), waiting.count(name), elapsed)
        yield _backend_line(padded(clipped(_name(name), column), column), each, words, width, color=color)
    if len(shown) < len(ranked):
        yield clipped(f"  and {counted(len(ranked) - len(shown), 'more backend')}", width)


def _backend_words(each: BackendTally, width: int | None, waiting: int, elapsed: float) -> Iterator[str]:
    """Yield what is to be said of a backend, the most important first."""
    yield f"{each.settled:>{len(str(each.total))}}/{each.total}"
    if each.failed:
        yield f"{each.failed} failed"
    running = each.running - waiting
    if width is not None and not each.is_over:
        yield f"{min(running, width)} of {width} running"
    elif running:
        yield f"{running} running"
    if waiting:
        yield f"{waiting} to retry"
    if each.skipped:
        yield f"{each.skipped} skipped"
    if elapsed > 0 and each.done and not each.is_over:
        yield f"{each.done / elapsed:.1f}/s"
    if each.retries:
        yield f"{each.retries} retried"


def _backend_line(name: str, each: BackendTally, words: Iterator[str], width: int, *, color: bool) -> str:
    if width < _LEAST_WIDTH_FOR_BARS:
        return clipped(_joined((name, *words), width), width)
    share = each.settled / each.total if each.total else 1.0
    style = "error" if each.failed else "done"
    tail = _joined(tuple(words), width - display_width(name) - _BAR_WIDTH - 4)
    return f"{name}  {paint(bar(share, _BAR_WIDTH), style, color)}  {tail}"


def _joined(words: Sequence[str], width: int) -> str:
    """Return as many of the words as fit."""
    text = words[0]
    for word in words[1:]:
        if display_width(text) + 2 + display_width(word) > width:
            break
        text = f"{text}  {word}"
    return text


def _total_line(tally: Tally, now: float, width: int) -> str:
    total = tally.all
    count = f"{total.settled} of {total.total}"
    passed = duration(0.0 if tally.started_at is None else now - tally.started_at)
    lead, short = f"{count} {'step' if total.total == 1 else 'steps'}, {passed}", f"{count}, {passed}"
    rest = rest_of(tally, now)
    words, brief = rest.words(named=sum(not each.is_over for each in tally.backends.values()) > 1), rest.brief
    if not words:
        return first_fitting(width, lead, short)
    plain = rest.words(named=False)
    return first_fitting(
        width, f"{lead}, {words}", f"{lead}, {plain}", f"{lead}, {brief or plain}", f"{short}, {brief or plain}"
    )


def step_text(step: RunningStep, now: float, width: int, head: str = "  ▸ ") -> str:
    """Return what a step is at and since when, with as much as fits beside it: what it waits for, what is usual, where, who."""
    event, address = step.event, visible(step.event.address)
    tail = f": {VERBS[event.verb].doing}, {duration(now - step.started_at)}"
    usual = "" if step.usual_seconds is None else f", usually {duration(step.usual_seconds)}"
    trouble = ""
    if step.is_waiting(now):
        trouble = f", try {step.retries + 1} in {duration(step.waits_until - now)}"
    elif step.retries:
        trouble = f", try {step.retries + 1}"
    forms = (
        f"{head}{address}{place(event.backend, event.pool)}{tail}{usual}{trouble}{by(step.worker)}",
        f"{head}{address}{place(event.backend)}{tail}{usual}{trouble}",
        f"{head}{address}{tail}{usual}{trouble}",
        f"{head}{address}{tail}{trouble}",
        f"{head}{address}{tail}",
    )
    found = next((form for form in forms if display_width(form) <= width), None)
    if found is not None:
        return found
    room = width - display_width(head) - display_width(tail)
    return f"{head}{clipped(address, room)}{tail}" if room >= _LEAST_ADDRESS else clipped(f"{head}{address}", width)


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
