"""How every service of the tests is served: on loopback, its port told in a file, for as long as the test lives."""

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import waitress


def listen(application: Callable[..., object], port: int) -> "waitress.server.BaseWSGIServer":
    """Return a listening server.

    It has one thread: two transactions that read before they write are a deadlock for SQLite.
    """
    return waitress.create_server(application, host="127.0.0.1", port=port, threads=1)


def serve(folder: Path, listener: "waitress.server.BaseWSGIServer") -> None:
    """Write the port to FOLDER/port, and serve until killed, or until whoever started this is gone."""
    threading.Thread(target=_end_with_the_test, daemon=True).start()
    temporary = folder / "port.new"
    temporary.write_text(str(listener.effective_port))
    temporary.rename(folder / "port")
    listener.run()


def _end_with_the_test() -> None:
    sys.stdin.buffer.read()  # ends when the other end of the pipe is closed, however that came about
    os._exit(0)
