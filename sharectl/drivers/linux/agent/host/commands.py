"""Commands that the agent cannot do without, run as argument lists: what makes, checks and resizes file systems."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_PACKAGES: Final[Mapping[str, str]] = {
    "mkfs.btrfs": "btrfs-progs",
    "mkfs.ext4": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "resize2fs": "e2fsprogs",
    "tune2fs": "e2fsprogs",
    "mkfs.xfs": "xfsprogs",
    "xfs_growfs": "xfsprogs",
    "xfs_admin": "xfsprogs",
}
_ROOTS_FOLDERS: Final = "/usr/local/sbin:/usr/sbin:/sbin"  # a login over SSH often has them not in its PATH
_NO_SPACE: Final = os.strerror(errno.ENOSPC).encode()  # in the C locale, which the commands are told to use


def find(program: str) -> str | None:
    """Return where the program is, or None."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:{_ROOTS_FOLDERS}")


def run(program: str, *arguments: str, held_fd: int, accepted: Collection[int] = (0,)) -> None:
    """Run the program to its end.

    It inherits `held_fd` and with it the lock on what it works on, so that nobody else begins while it goes on alone, its
    starter having been killed. Raises REFUSED with its last line where its exit code is none of the accepted, POOL where it
    ran out of space.
    """
    path = find(program)
    if path is None:
        message = f"{program} is not installed on the storage host; install the package {_PACKAGES[program]}"
        raise Problem(ProblemKind.REFUSED, message)
    result = subprocess.run(  # noqa: S603 - a list of arguments, no shell
        [path, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "LC_ALL": "C"},
        cwd="/",
        pass_fds=(held_fd,),
        check=False,
    )
    if result.returncode not in accepted:
        lines = [line.strip() for line in result.stdout.decode("utf-8", "replace").splitlines() if line.strip()]
        message = f"{program} failed with exit code {result.returncode}: {lines[-1] if lines else 'it said nothing'}"
        is_full = _NO_SPACE in result.stdout
        raise Problem(ProblemKind.POOL if is_full else ProblemKind.REFUSED, message)
