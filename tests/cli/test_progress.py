"""An apply on a small terminal, from a process of its own: drawn, resized, and cleared away."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.cli.console import environment
from tools.terminal import Session

if TYPE_CHECKING:
    from pathlib import Path

    from tools.terminal import Terminal

BACKEND = """\
apiVersion: sharectl/v1
kind: Backend
metadata: {name: filer-1}
spec:
  driver: simulated
  lanes: 2
  config:
    stateFile: filer-1.db
    faults: [{call: create_share, name: "*hangs*", effect: hang}]
"""
SHARE = "---\napiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: {name}}}\nspec: {{size: 1GiB, protocol: NFS}}\n"
LONG = "measurements-of-the-large-telescope-that-hangs"


def steps(terminal: Terminal) -> list[str]:
    """Return the lines about steps."""
    return [line for line in terminal.lines if "▸" in line]


def test_progress_on_a_small_terminal(tmp_path: Path) -> None:
    """On 40 columns and 10 rows a long name gives way to what the step is at; wider, it is whole; nothing remains after Ctrl-C."""
    (tmp_path / "all.yaml").write_text(BACKEND + SHARE.format(name="also-hangs") + SHARE.format(name=LONG))
    (tmp_path / "sharectl.yaml").write_text("apiVersion: sharectl/v1\nkind: Project\n")
    command = [sys.executable, "-m", "sharectl", "apply", "--yes"]
    session = Session(command, columns=40, rows=10, cwd=tmp_path, environ=environment(TERM="xterm-256color"))
    assert session.look_until(lambda terminal: len(steps(terminal)) == 2)
    assert any(
        line.startswith("  ▸ share/measurements") and "…: creating, " in line for line in steps(session.terminal)
    )
    assert any("2 of 2 running" in line for line in session.terminal.lines)
    assert session.terminal.hides_cursor
    session.resize(120, 30)
    assert session.look_until(lambda terminal: any(f"share/{LONG} on filer-1" in line for line in terminal.lines))
    session.interrupt()
    assert session.look_until(lambda terminal: any("Ctrl-C again stops at once" in line for line in terminal.lines))
    session.interrupt()
    assert session.end() != 0
    assert steps(session.terminal) == []
    assert not session.terminal.hides_cursor
    assert any(line.startswith("Cancelled: ") for line in session.terminal.lines)
