"""Regular files: read without ever waiting for a pipe or device, written whole or not at all, and used only when they are whole."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sharectl.model.canonical import blake2b
from sharectl.private import draft_of, make_private

if TYPE_CHECKING:
    from collections.abc import Iterable

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
        with open(path, "rb", buffering=0, opener=_open_no_link) as file:
            return file.read(size_bytes) or b"" if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
    except OSError:
        return b""


def _open_no_link(path: str, _flags: int) -> int:
    return os.open(path, _OPEN_FLAGS | os.O_NOFOLLOW)


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


CHECKSUM_BYTES: Final = 32
TEMPORARY_SUFFIX: Final = ".tmp"


def checksum(*parts: bytes) -> bytes:
    """Return the digest of the parts together."""
    digest = blake2b(digest_size=CHECKSUM_BYTES)
    for part in parts:
        digest.update(part)
    return digest.digest()


def read_checked(path: str, key: bytes) -> bytes | None:
    """Return what was written under this key, or None where there is nothing that is whole."""
    content = read_part(path, 0)
    if content is None or checksum(key, content[CHECKSUM_BYTES:]) != content[:CHECKSUM_BYTES]:
        return None
    return content[CHECKSUM_BYTES:]


def read_part(path: str, offset: int, size: int | None = None) -> bytes | None:
    """Return a part of a regular file, all of it or None; without `size`, the rest. Links are not followed."""
    try:
        descriptor = _open_no_link(path, 0)
        try:
            rest = os.fstat(descriptor).st_size - offset
            if rest < (size or 0):  # before so much memory is asked for: a damaged file may name any size
                return None
            part = os.pread(descriptor, rest if size is None else size, offset)
        finally:
            os.close(descriptor)
    except OSError:
        return None
    return part if len(part) == (rest if size is None else size) else None


def write_checked(path: str, key: bytes, content: bytes) -> bool:
    """Write a file that `read_checked` accepts; return whether that worked."""
    return write_whole(path, (checksum(key, content), content))


def write_whole(path: str, parts: Iterable[bytes]) -> bool:
    """Write a file in one step; return whether that worked. Its folder is made where it is missing."""
    target = Path(path)
    try:
        if not target.parent.is_dir():
            make_private(target.parent)
        with draft_of(target, is_durable=False, suffix=TEMPORARY_SUFFIX) as draft, draft.open("wb") as file:
            file.writelines(parts)
    except OSError:
        return False
    return True
