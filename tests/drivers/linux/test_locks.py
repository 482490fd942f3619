"""Locks of resources: one holder among all threads and processes, and nobody else waits."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from sharectl.drivers.linux.agent.locks import resource_locked, resource_locked_within

if TYPE_CHECKING:
    from pathlib import Path

_OTHER_PROCESS = """
import sys
from sharectl.drivers.linux.agent.locks import resource_locked_within
with resource_locked_within(sys.argv[1], sys.argv[2], 0.0) as is_mine:
    print(is_mine)
"""


def can_lock(root: Path, resource_id: str) -> bool:
    """Tell whether nobody has the lock of the resource."""
    with resource_locked_within(str(root), resource_id, 0.0) as is_mine:
        return is_mine


def can_lock_elsewhere(root: Path, resource_id: str) -> bool:
    """Tell the same in another process."""
    argv = [sys.executable, "-c", _OTHER_PROCESS, str(root), resource_id]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip() == "True"


def test_a_resource_is_locked_for_other_threads_and_processes_until_it_is_let_go(tmp_path: Path) -> None:
    """Whoever opens the file of locks meanwhile, and closes it again, lets nothing go."""
    with resource_locked(str(tmp_path), "a1"):
        assert not can_lock(tmp_path, "a1")
        assert not can_lock_elsewhere(tmp_path, "a1")
        assert not can_lock(tmp_path, "a1"), "which two have closed the file since"
    assert can_lock(tmp_path, "a1")
    assert can_lock_elsewhere(tmp_path, "a1")


def test_another_resource_is_not_locked(tmp_path: Path) -> None:
    """Neither in this process nor in another."""
    with resource_locked(str(tmp_path), "a1"):
        assert can_lock(tmp_path, "b2")
        assert can_lock_elsewhere(tmp_path, "b2")


def test_who_waits_for_a_resource_goes_on_when_it_is_let_go(tmp_path: Path) -> None:
    """The thread that waits keeps no other from working."""
    got = threading.Event()

    def wait() -> None:
        with resource_locked(str(tmp_path), "a1"):
            got.set()

    with resource_locked(str(tmp_path), "a1"):
        waiter = threading.Thread(target=wait)
        waiter.start()
        assert not got.is_set()
    waiter.join(300)
    assert got.is_set()
