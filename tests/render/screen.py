"""A terminal to draw on in this process."""

from __future__ import annotations

import os
import pty
import termios
import threading
from typing import TYPE_CHECKING

from sharectl.render.output import Output
from tools.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = 200


def drawn(show: Callable[[Output], object], *, columns: int, rows: int = ROWS, **environ: str) -> Terminal:
    """Return a terminal of this size on which something was shown."""
    terminal = Terminal(columns, rows)
    seat, line = pty.openpty()
    termios.tcsetwinsize(line, (rows, columns))

    def read() -> None:
        while True:
            try:
                data = os.read(seat, 65536)
            except OSError:  # the other side is closed
                return
            terminal.feed(data)

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(line, "w", encoding="utf-8") as stream:
        show(Output.for_streams(stream, stream, environ={"TERM": "xterm-256color"} | environ))
    reader.join()
    os.close(seat)
    return terminal
