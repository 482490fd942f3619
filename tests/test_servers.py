"""Servers that tests start end with the run, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import pytest

PATIENCE_SECONDS = 300.0
ROOT = Path(__file__).parent.parent
RUN = """
import os, signal, sys, time
from pathlib import Path
from tests import servers
keeper = servers.begin()
server = Path(sys.argv[1])
servers.keep(server, ["touch", f"{server}.stopped"])
if sys.argv[2] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
servers.end(keeper)
"""


@pytest.mark.parametrize("how", ["ended", "killed"])
def test_a_server_ends_with_the_run_and_leaves_nothing_behind(tmp_path: Path, how: str) -> None:
    """Also where nothing of the run is left that could end it."""
    server, notes = tmp_path / "server", tmp_path / "notes"
    for folder in (server, notes):
        folder.mkdir()
    command = [sys.executable, "-W", "ignore", "-c", RUN, str(server), how]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "TMPDIR": str(notes)}, check=False)
    assert done.returncode == (0 if how == "ended" else -signal.SIGKILL)
    deadline = monotonic() + PATIENCE_SECONDS
    while server.exists() or [*notes.iterdir()]:
        assert monotonic() < deadline
        sleep(0.02)
    assert (tmp_path / "server.stopped").exists()
