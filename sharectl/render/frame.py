"""One picture of an apply under way: a row for each backend, the longest-running steps, the last problems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.render.paint import paint
from sharectl.render.text import clipped, counted, display_width, duration, padded, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.render.tally import BackendTally, RunningStep, Tally

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
    elapsed = now - tally.started_at
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
    return f"{text}, tried again {counted(step.retries, 'time')}" if step.retries else text


def place(backend: str | None, pool: str | None = None) -> str:
    """Return ` on nas1#default`, or nothing for a step of the state alone."""
    if backend is None:
        return ""
    return f" on {visible(backend if pool is None else f'{backend}#{pool}')}"


def _name(backend: str) -> str:
    return visible(backend) if backend else STATE_NAME
