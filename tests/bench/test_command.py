"""What a measured command used is its own: neither the memory of who measures, nor less than with its children."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from bench.command import LAUNCHER

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
_WITH_CHILD = """
import subprocess, sys
subprocess.run([sys.executable, "-c", "held = bytearray(120 << 20); import time; time.sleep(0.5)"], check=True)
"""
_BEFORE_EXEC = """
import os, subprocess
held = bytearray(120 << 20)
os.mkfifo("{fifo}")
opener = subprocess.Popen(["sh", "-c", "sleep 0.5; : > {fifo}"])
child = os.posix_spawn("/bin/true", ["true"], {{}}, file_actions=[(os.POSIX_SPAWN_OPEN, 0, "{fifo}", os.O_RDONLY, 0)])
os.waitpid(child, 0)
opener.wait()
"""
"""The child stays between vfork and exec until the other has opened the pipe."""


def cost_of(tmp_path: Path, code: str) -> dict[str, float]:
    """Run Python code by the launcher, and return what it wrote down."""
    result = tmp_path / "result.json"
    command = [sys.executable, "-I", "-S", str(LAUNCHER), str(result), sys.executable, "-I", "-S", "-c", code]
    subprocess.run(command, check=True)
    return json.loads(result.read_bytes())


def test_the_memory_of_who_measures_is_not_counted(tmp_path: Path) -> None:
    """The kernel hands it down to a process that forks."""
    held = bytearray(200 * MIB)
    assert cost_of(tmp_path, "pass")["peak_bytes"] < 100 * MIB
    assert len(held) == 200 * MIB


def test_the_memory_of_children_is_counted(tmp_path: Path) -> None:
    """Together with that of the command."""
    assert cost_of(tmp_path, _WITH_CHILD)["peak_bytes"] > 120 * MIB


def test_a_child_that_has_not_become_another_program_yet_is_not_counted_again(tmp_path: Path) -> None:
    """It still runs in the memory of the command."""
    code = _BEFORE_EXEC.format(fifo=tmp_path / "pipe")
    assert 120 * MIB < cost_of(tmp_path, code)["peak_bytes"] < 200 * MIB


def test_how_it_ended_is_written_down(tmp_path: Path) -> None:
    """With wall and CPU seconds."""
    cost = cost_of(tmp_path, "import sys; sum(range(3_000_000)); sys.exit(3)")
    assert cost["exit_code"] == 3
    assert 0 < cost["cpu_seconds"] <= cost["seconds"] * 1.5
