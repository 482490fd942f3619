"""Read one regular file, without ever waiting for a pipe or device; the names of files that hold manifests."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

SUFFIXES: Final = (".yaml", ".yml")
PROJECT_FILE: Final = "sharectl.yaml"
MAX_FILE_BYTES: Final = 64 << 20
_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def read_regular_file(path: str) -> tuple[os.stat_result, bytes]:
    """Return the status before it was read, and the content, of a regular file; raises OSError for anything else, and never waits."""
    descriptor = os.open(path, _OPEN_FLAGS)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, "it is a folder", path)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is a pipe, socket or device, not a file", path)
        if status.st_size > MAX_FILE_BYTES:
            raise OSError(errno.EFBIG, f"it is larger than {MAX_FILE_BYTES >> 20} MiB", path)
        return status, _read_all(descriptor, status.st_size)
    finally:
        os.close(descriptor)


def beginning_of(path: str, size_bytes: int) -> bytes:
    """Return at most the first bytes of a regular file, following no link; nothing where it cannot be read."""
    try:
        descriptor = os.open(path, _OPEN_FLAGS | os.O_NOFOLLOW)
    except OSError:
        return b""
    try:
        return os.read(descriptor, size_bytes) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _read_all(descriptor: int, size: int) -> bytes:
    data = os.read(descriptor, size + 1)
    if len(data) == size:
        return data
    parts = [data]
    while data and sum(map(len, parts)) <= MAX_FILE_BYTES:
        data = os.read(descriptor, 1 << 20)
        parts.append(data)
    return b"".join(parts)


def why_unreadable(failure: OSError, path: str) -> str:
    """Return the reason for an OSError in words."""
    if failure.errno == errno.ENOENT and Path(path).is_symlink():
        return "the link leads nowhere"
    if failure.errno == errno.ELOOP:
        return "the link leads in a circle"
    if failure.errno == errno.ENXIO:
        return "it is a socket or device, not a file"
    return {errno.ENOENT: "it does not exist", errno.EACCES: "permission denied"}.get(
        failure.errno or 0, failure.strerror or str(failure)
    )
