"""Servers that all tests of a run share: each is started by the first test that needs it, and ended with the run.

Under xdist the workers are processes of their own: what they share is a folder, whose path they inherit by the environment.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

VARIABLE: Final = "SHARECTL_TESTS_SERVERS"


def begin() -> None:
    """Make the folder; called once, where the run begins, and not in its workers."""
    os.environ[VARIABLE] = tempfile.mkdtemp(prefix="sharectl-servers-")


def end() -> None:
    """End the servers that were started, each by the command that it was noted with, and remove the folder."""
    folder = Path(os.environ.pop(VARIABLE))
    for note in sorted(folder.glob("*.json")):
        noted = json.loads(note.read_text())
        subprocess.run(noted["stop"], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
        for left in noted["folders"]:
            shutil.rmtree(left, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def shared(name: str, start: Callable[[], tuple[Mapping[str, str], Sequence[str], Sequence[str]]]) -> Mapping[str, str]:
    """Return what `start` told of the server `name`, which it is called for once in a run.

    It returns what clients are to know, the command that ends the server, and its folders. A server that cannot be started here skips each test that
    needs it: `start` calls pytest.skip, with a reason that begins with `needs`.
    """
    folder = Path(os.environ[VARIABLE])
    note = folder / f"{name}.json"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not note.exists():
            told, stop, folders = start()
            draft = note.with_suffix(".draft")
            draft.write_text(json.dumps({"told": dict(told), "stop": list(stop), "folders": list(folders)}))
            draft.rename(note)
        found: Mapping[str, str] = json.loads(note.read_text())["told"]
    return found


def require(found: object, what: str) -> None:
    """Skip the test unless `found`; where all tests must run, that is a failure."""
    if not found:
        pytest.skip(f"needs {what}")
