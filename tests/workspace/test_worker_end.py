"""A worker that ends itself: at once, whoever reads what it says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import sharectl

ROOT = Path(sharectl.__file__).parent.parent
PATIENCE_SECONDS = 300.0
_ENDING = """
import os
from sharectl.workspace.worker import end_process

def tell(text):
    os.write(2, text.encode())

end_process("the claims could not be renewed", tell)
"""


def ended(stderr: int) -> int:
    """Return how a process ended that ends itself with this as its standard error, in a group of its own."""
    with subprocess.Popen([sys.executable, "-c", _ENDING], cwd=ROOT, stderr=stderr, start_new_session=True) as process:
        try:
            return process.wait(PATIENCE_SECONDS)
        finally:
            process.kill()


def test_it_ends_where_nobody_reads_what_it_says() -> None:
    """A pipe that is full would keep it alive beyond its lease, beside the worker that has taken its calls over."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    try:
        while True:
            os.write(write, bytes(65536))
    except BlockingIOError:
        os.set_blocking(write, True)
    assert ended(write) == -signal.SIGKILL
    os.close(write)
    os.close(read)


def test_it_says_why_where_somebody_reads_it() -> None:
    """Before it ends."""
    read, write = os.pipe()
    assert ended(write) == -signal.SIGKILL
    os.close(write)
    with os.fdopen(read) as said:
        assert "the claims could not be renewed" in said.read()
