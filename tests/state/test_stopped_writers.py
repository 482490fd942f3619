"""A process that was stopped in the middle of a write: nobody waits for it longer than asked, and everybody is told who it is."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sharectl.state.sqlite import errors
from tests.cli.console import run

from .processes import start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HOLD = """
import sqlite3
store = open_store(path, create=True)
lease = store.acquire(ME, duration_seconds=3600)
with store._transaction(lease):
    print("inside", flush=True)
    sys.stdin.read()
"""
_KEEP_ALL = """
import sqlite3
connection = sqlite3.connect(path, isolation_level=None)
connection.execute("PRAGMA locking_mode = EXCLUSIVE")
connection.execute("BEGIN EXCLUSIVE")
connection.execute("UPDATE meta SET serial = serial")
print("inside", flush=True)
sys.stdin.read()
"""
OLDEST = "OLDEST"
"""Stands for the name of the copy of the state that was kept first."""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository that has been applied."""
    assert run("init", str(tmp_path), cwd=tmp_path).code == 0
    assert run("apply", "--yes", cwd=tmp_path).code == 0
    return tmp_path


@contextmanager
def stopped(code: str, repository: Path) -> Iterator[int]:
    """Run `code` until it is in its transaction, and stop it there; yield its process id."""
    with start(code, repository / ".sharectl" / "state.db") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "inside\n"
        os.kill(process.pid, signal.SIGSTOP)
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.mark.parametrize("timeout", ["0", "3s"])
def test_an_apply_waits_as_long_as_asked_and_says_who_holds_the_lock(repository: Path, timeout: str) -> None:
    """Exit code 75, the holder's own record, and how to let it go on or end it."""
    with stopped(_HOLD, repository) as process_id:
        ended = run("apply", "--yes", "--lock-timeout", timeout, cwd=repository)
    assert ended.code == 75
    assert "alice@one.example" in ended.err
    assert f"kill -CONT {process_id}" in ended.err


@pytest.mark.parametrize(
    "command", [["unlock", "--yes"], ["state", "rm", "share/projects"], ["state", "restore", "--yes", OLDEST]]
)
def test_commands_that_write_end_with_75(repository: Path, command: list[str]) -> None:
    """Nobody can take a lock away from a process that is in the middle of a write; the way out is said."""
    if OLDEST in command:
        assert run("state", "rm", "backend/local", cwd=repository).code == 0
        copies = json.loads(run("state", "restore", "-o", "json", cwd=repository).out)["copies"]
        command = [copies[-1]["name"] if word == OLDEST else word for word in command]
    with stopped(_HOLD, repository) as process_id:
        ended = run(*command, cwd=repository)
    assert ended.code == 75, ended.err
    assert f"kill -CONT {process_id}" in ended.err


@pytest.mark.parametrize("command", [["plan"], ["show", "share/projects"], ["lock", "status"]])
def test_commands_that_read_work(repository: Path, command: list[str]) -> None:
    """A transaction that is not committed is nothing to them."""
    with stopped(_HOLD, repository):
        assert run(*command, cwd=repository).code == 0


@pytest.mark.parametrize("command", [["plan"], ["unlock", "--yes"], ["apply", "--yes"]])
def test_where_the_whole_file_is_kept_locked_every_command_ends(repository: Path, command: list[str]) -> None:
    """By another program, say: exit code 75 and its process, in bounded time."""
    with stopped(_KEEP_ALL, repository) as process_id:
        ended = run(*command, cwd=repository)
    assert ended.code == 75, ended.err
    assert str(process_id) in ended.err


@pytest.mark.parametrize(("opens", "who"), [("path", "locked by process {}"), ("os.devnull", ": another process")])
def test_only_a_process_that_has_the_file_open_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opens: str, who: str
) -> None:
    """The kernel's list of locks has numbers of files, which files on other file systems have as well; nobody is to kill their processes."""
    path = tmp_path / "state.db"
    path.touch()
    busy = sqlite3.OperationalError("database is locked")
    busy.sqlite_errorcode = sqlite3.SQLITE_BUSY
    with start(f"held = open({opens}); print('open', flush=True); sys.stdin.read()", path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        locks = tmp_path / "locks"
        locks.write_text(f"1: POSIX  ADVISORY  WRITE {process.pid} 00:2a:{path.stat().st_ino} 0 EOF\n")
        monkeypatch.setattr(errors, "_LOCKS", locks)
        reason = str(errors.from_sqlite(path, busy))
        process.kill()
    assert who.format(process.pid) in reason
