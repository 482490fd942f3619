"""Servers that tests start: those that a run shares are started by the first test that needs them, and all end with the run.

Under xdist the workers are processes of their own: what they share is a folder, whose path they inherit by the environment. A
process beside the run, its keeper, ends what is left when the run ends, also where that is killed.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

VARIABLE: Final = "SHARECTL_TESTS_SERVERS"
IN_MEMORY: Final = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - folders with random names
"""Where what matters is lost with a process and not with a machine: no disk has others to wait for."""
_KEPT: Final = ".kept"
_ROOT: Final = Path(__file__).parent.parent
_WAIT_FOR_THE_END: Final = 'read -r _; exec "$@"'


def begin() -> subprocess.Popen[bytes]:
    """Make the folder; called once, where the run begins, and not in its workers. Returns the keeper."""
    folder = os.environ[VARIABLE] = tempfile.mkdtemp(prefix="sharectl-servers-")
    return subprocess.Popen(
        ["/bin/sh", "-c", _WAIT_FOR_THE_END, "sh", sys.executable, "-m", "tests.servers", folder],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def end(keeper: subprocess.Popen[bytes]) -> None:
    """Let the keeper end all servers, and wait for it."""
    keeper.communicate(b"\n")


def end_all(folder: Path) -> None:
    """End the servers that are kept, each by the command that it was noted with, and remove their folders."""
    for note in sorted(folder.glob(f"*{_KEPT}")):
        noted = json.loads(note.read_text())
        subprocess.run(noted["stop"], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
        shutil.rmtree(noted["folder"], ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def keep(folder: Path, stop: Sequence[str]) -> None:
    """Have the server in `folder` ended by this command when the run ends, unless `forget` is called before."""
    _write(_note_of(folder), {"folder": str(folder), "stop": list(stop)})


def forget(folder: Path) -> None:
    """Keep a server no longer: it has ended, and its folder is removed."""
    shutil.rmtree(folder, ignore_errors=True)
    _note_of(folder).unlink()


def shared(name: str, start: Callable[[], Mapping[str, str]]) -> Mapping[str, str]:
    """Return what `start` told of the server `name`, which it is called for once in a run.

    It returns what clients are to know. A server that cannot be started here skips each test that needs it: `start` calls
    pytest.skip, with a reason that begins with `needs`.
    """
    note = Path(os.environ[VARIABLE]) / f"{name}.json"
    with note.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not note.exists():
            _write(note, start())
        found: Mapping[str, str] = json.loads(note.read_text())
    return found


def require(found: object, what: str) -> None:
    """Skip the test unless `found`; where all tests must run, that is a failure."""
    if not found:
        pytest.skip(f"needs {what}")


def _note_of(folder: Path) -> Path:
    return Path(os.environ[VARIABLE]) / f"{folder.name}{_KEPT}"


def _write(note: Path, content: Mapping[str, object]) -> None:
    draft = note.with_suffix(".draft")
    draft.write_text(json.dumps(dict(content)))
    draft.rename(note)


if __name__ == "__main__":
    end_all(Path(sys.argv[1]))
