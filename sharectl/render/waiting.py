"""Backends that are slow to answer while a plan or a listing is made: a line that is drawn anew on a terminal, one now and then in a log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import listed
from sharectl.render.text import clipped, first_fitting, sayable, visible

if TYPE_CHECKING:
    from sharectl.render.output import Output
    from sharectl.workspace.parallel import Unanswered

_FIRST_SECONDS: Final = 10.0
_EVERY_SECONDS: Final = 30.0
_MOST_NAMED: Final = 3
_CLEAR_LINE: Final = "\r\x1b[K"


class WaitingView:
    """Shows who is waited for, on standard error."""

    def __init__(self, output: Output) -> None:
        """Have said nothing."""
        self._output = output
        self._is_drawn = False
        self._next_at = _FIRST_SECONDS

    def __call__(self, waiting: Unanswered | None) -> None:
        """Show it; None: nobody is waited for any more."""
        if self._output.draws:
            self._draw("" if waiting is None else waiting_text(waiting, self._output.width - 1))
        elif waiting is None:
            self._next_at = _FIRST_SECONDS
        elif waiting.seconds >= self._next_at:
            self._next_at = waiting.seconds + _EVERY_SECONDS
            self._output.note(waiting_text(waiting))

    def _draw(self, text: str) -> None:
        stream = self._output.stderr
        if stream is None or not (text or self._is_drawn):
            return
        self._is_drawn = bool(text)
        stream.write(f"{_CLEAR_LINE}{sayable(text, stream.encoding)}")
        stream.flush()


def waiting_text(waiting: Unanswered, width: int | None = None) -> str:
    """Return `Waiting for filer-2, 12 s of at most 60 s`, shorter where it does not fit."""
    names, seconds = [visible(name) for name in waiting.names], f"{waiting.seconds:.0f} s"
    most = f"{seconds} of at most {waiting.limit_seconds:.0f} s"
    lead, count = f"Waiting for {listed(names, _MOST_NAMED)}", f"Waiting for {len(names)} backends"
    forms = [f"{lead}, {most}", f"{lead}, {seconds}"]
    if len(names) > 1:
        forms += [f"{count}, {most}", f"{count}, {seconds}"]
    return forms[0] if width is None else clipped(first_fitting(width, *forms), width)
