"""A whole session, as golden text: what a newcomer sees from `init` to `destroy`."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from tests.cli.console import Console

GOLDEN = Path(__file__).parent / "golden" / "session.txt"
SESSION = (
    ("validate",),
    ("plan",),
    ("apply", "--yes"),
    ("plan",),
    ("show", "share/projects", "--refresh", "none"),
    ("state", "list"),
    ("state", "show", "share/projects"),
    ("refresh",),
    ("graph", "--format", "mermaid"),
    ("history",),
    ("lock", "status"),
    ("state", "mv", "share/projects", "share/plans"),
    ("plan", "--detailed-exitcode"),
    ("state", "mv", "share/plans", "share/projects"),
    ("plan", "--detailed-exitcode"),
    ("plan", "--destroy"),
    ("destroy", "--yes"),
    ("state", "list"),
    ("import", "share/projects", "projects", "--yes"),
    ("plan", "--detailed-exitcode"),
    ("state", "rm", "share/projects"),
)


def test_the_session_of_a_newcomer(quickstart: Console, pytestconfig: pytest.Config) -> None:
    """Every command of the main way, its output and its exit code; SHARECTL_UPDATE_GOLDEN=1 writes the file anew."""
    parts = []
    for arguments in SESSION:
        ended = quickstart(*arguments)
        parts.append(f"$ sharectl {' '.join(arguments)}\n{ended.err}{ended.out}[exit {ended.code}]\n")
    session = _normalised("\n".join(parts), quickstart.root)
    if os.environ.get("SHARECTL_UPDATE_GOLDEN"):
        GOLDEN.write_text(session, encoding="utf-8")
    assert session == GOLDEN.read_text(encoding="utf-8")


def _normalised(text: str, root: Path) -> str:
    text = text.replace(str(root), "/repo").replace(socket.gethostname(), "HOST")
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME", text)
    text = re.sub(r"TIME  \S+@HOST  run [0-9a-f]{8}(  commit \S+)?", "TIME  USER@HOST  run ID", text)
    text = re.sub(r" of \S+@HOST left it at TIME, \d+ s ago\..*", " of USER@HOST left it at TIME, 0 s ago.", text)
    return re.sub(r"(?<=[ (])\d+\.\d s\b", "0.0 s", text)
