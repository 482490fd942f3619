"""Agents for tests: real processes, with operations that stand in for the real ones."""

from __future__ import annotations

import io
import time
import zipfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sharectl.drivers.linux.connection import AgentConnection
from sharectl.drivers.linux.settings import HostSettings
from sharectl.drivers.linux.shipping import agent_archive, make_archive

if TYPE_CHECKING:
    from collections.abc import Callable

OPERATIONS = "sharectl/drivers/linux/agent/operations.py"
SECONDS = 300.0
"""How long a test waits for what has to come."""


@cache
def fake_archive() -> bytes:
    """Return the zip that is shipped, with the stand-in in the place of the operations."""
    with zipfile.ZipFile(io.BytesIO(agent_archive())) as archive:
        sources = {name: archive.read(name) for name in archive.namelist()}
    return make_archive({**sources, OPERATIONS: Path(__file__).with_name("fake_operations.py").read_bytes()})


def connect(
    host: HostSettings | None = None, settings: dict[str, Any] | None = None, *, width: int = 16
) -> AgentConnection:
    """Return a connection to an agent with the stand-in, on this machine unless `host` says otherwise."""
    return AgentConnection(host or HostSettings(), settings or {}, width=width, make_archive=fake_archive)


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Wait until the condition holds."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, f"waited {SECONDS} s, and {what} did not come about"
        time.sleep(0.002)


def lives(pid: int) -> bool:
    """Tell whether the process lives; a zombie does not."""
    return state_of(pid) not in {"", "Z", "X"}


def state_of(pid: int) -> str:
    """Return the state letter of a process, empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2][:1]
    except (FileNotFoundError, ProcessLookupError):
        return ""
