"""Signs of life: what systemd is told, and the file that probes look at."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from sharectl.workspace.heartbeat import Heartbeat, notify

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("is_abstract", [False, True], ids=["path", "abstract"])
def test_systemd_is_told_through_its_socket(tmp_path: Path, *, is_abstract: bool) -> None:
    """Of the start with each beat, so that none is lost, and of the end."""
    name = f"\0{uuid4()}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(name)
        server.settimeout(300)
        heartbeat = Heartbeat(None, {"NOTIFY_SOCKET": name.replace("\0", "@")}, print)
        heartbeat()
        heartbeat.stopping()
        assert server.recv(100) == b"READY=1\nWATCHDOG=1"
        assert server.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("place", ["", "relative", "/nowhere/at/all", "vsock:2:1"])
def test_where_nobody_listens_nothing_is_told(place: str) -> None:
    """And nobody is waited for."""
    notify({"NOTIFY_SOCKET": place}, "READY=1")
    notify({}, "READY=1")


def test_the_time_of_the_file_is_that_of_the_last_beat(tmp_path: Path) -> None:
    """One of an earlier worker is none of this one, and one that has ended leaves none."""
    file = tmp_path / "alive"
    file.touch()
    heartbeat = Heartbeat(file, {}, print)
    assert not file.exists()
    heartbeat()
    os.utime(file, (0, 0))
    heartbeat()
    assert file.stat().st_mtime > 0
    heartbeat.ended()
    assert not file.exists()


def test_a_file_that_cannot_be_written_is_told_once(tmp_path: Path) -> None:
    """A worker goes on without it."""
    told: list[str] = []
    heartbeat = Heartbeat(tmp_path / "no" / "folder", {}, told.append)
    heartbeat()
    heartbeat()
    assert len(told) == 1
    assert "the heartbeat file cannot be written" in told[0]
