"""Mounts of a daemon's own: some folders of the host are others to it, and it holds no file system that it does not need."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.host import system_calls
from sharectl.drivers.linux.agent.host.mounts import parse_mounts

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_SYSTEM: Final = ("/proc", "/sys", "/dev", "/etc", "/usr")
"""What every daemon needs, with all that is mounted below."""


def enter(kept: Collection[str], shown: Sequence[tuple[str, str]]) -> None:
    """Put this thread, and the daemon that it starts, into mounts of its own; raises OSError.

    Each of `shown` is a folder or file and where it is seen instead. Of what the host has mounted, the folders `kept` and what is below
    them stay, and the way to these. All else is let go of: a copy of a mount, of a network namespace too, would live on when the host
    unmounts it, and hold its device or its interfaces.
    """
    system_calls.take_mounts()
    kept = (*_SYSTEM, *kept, *(source for source, _ in shown))
    # Not /proc/self, which is the thread that the process began with.
    for mount in reversed(parse_mounts(Path("/proc/thread-self/mountinfo").read_bytes())):
        if not any(_is_within(mount.point, path) or _is_within(path, mount.point) for path in kept):
            _let_go(mount.point)
    held = [(os.open(source, os.O_PATH | os.O_CLOEXEC), target) for source, target in shown]  # before one hides another
    try:
        for descriptor, target in held:
            system_calls.mount(f"/proc/self/fd/{descriptor}", target, None, system_calls.BIND)
    finally:
        for descriptor, _ in held:
            os.close(descriptor)


def _is_within(path: str, folder: str) -> bool:
    return f"{path}/".startswith(f"{folder.rstrip('/')}/")


def _let_go(point: str) -> None:
    try:
        system_calls.unmount(point, system_calls.DETACH)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOENT}:  # it went with the one that it was mounted in
            raise
