"""Whether smbd gets to a folder: it enters as the account that works on files, to which a folder on the way may be closed."""

from __future__ import annotations

import os
import stat
import subprocess
from contextlib import suppress
from functools import lru_cache

from sharectl.drivers.linux.agent.contract import POOL_GROUP, Hindrance
from sharectl.drivers.linux.agent.smb.host import NOBODY

_SECONDS = 10.0


def hindrance(pool: str, path: str) -> Hindrance | None:
    """Return what keeps smbd from getting to the folder of a pool, None where nothing does."""
    closed = _closed_folder(path, _rights_on_the_way(path))
    if closed is None:
        return None
    mode = 0
    with suppress(OSError):
        mode = stat.S_IMODE(os.stat(closed).st_mode)  # noqa: PTH116 - paths are text everywhere in the agent
    mend = f"chgrp {POOL_GROUP} {closed}; chmod g+x {closed}" if closed == path else f"chmod o+x {closed}"
    whom = "smbd" if closed == path else "everybody"
    return Hindrance(
        f"no SMB client gets to the pool {pool!r}: smbd enters as nobody, to whom the folder {closed} (mode {mode:04o}) is closed",
        f"let {whom} pass through it ({mend}), or move the pool",
    )


def openness(pool: str, path: str, mode: int) -> Hindrance:
    """Return that the folder of a pool is open to users of the host."""
    return Hindrance(
        f"every user of the storage host gets into the pool {pool!r}: its folder {path} has the mode {mode:04o}",
        f"the next change in the pool closes it; at once: chmod o-rwx {path}",
    )


def _folders_to(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(2, len(parts) + 1)]


def _rights_on_the_way(path: str) -> tuple[object, ...]:
    """Return what decides who may pass: mode, owner and access control list of each folder. A share is made more often than they change."""
    return tuple(_rights(folder) for folder in _folders_to(path))


def _rights(folder: str) -> tuple[object, ...] | None:
    acl = None
    try:
        status = os.stat(folder)  # noqa: PTH116 - as above
        with suppress(OSError):
            acl = os.getxattr(folder, "system.posix_acl_access")
    except OSError:
        return None
    return (status.st_dev, status.st_ino, status.st_mode, status.st_uid, status.st_gid, acl)


@lru_cache(maxsize=64)
def _closed_folder(path: str, rights: tuple[object, ...]) -> str | None:
    """Return the first folder on the way to `path`, or that itself, that nobody may not pass through, with these rights on the way."""
    del rights  # by which the answer is remembered
    if _can_pass(path):
        return None
    return next((folder for folder in _folders_to(path) if os.path.isdir(folder) and not _can_pass(folder)), None)  # noqa: PTH112 - as above


def _can_pass(folder: str) -> bool:
    """Tell whether the account may, as the kernel sees it with modes and access control lists."""
    try:
        asked = subprocess.run(  # noqa: S603 - a list of arguments, no shell
            ["/usr/bin/test", "-x", folder],
            check=False,
            stdin=subprocess.DEVNULL,
            cwd="/",
            user=NOBODY,
            group=NOBODY,
            extra_groups=(POOL_GROUP,),
            timeout=_SECONDS,
        )
    except (OSError, subprocess.SubprocessError):  # nobody can say
        return True
    return asked.returncode == 0
