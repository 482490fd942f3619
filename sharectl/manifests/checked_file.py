"""Files that are written whole or not at all, and used only when they are whole and meant for this reader."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sharectl.private import make_private

if TYPE_CHECKING:
    from collections.abc import Iterable

CHECKSUM_BYTES: Final = 32
TEMPORARY_SUFFIX: Final = ".tmp"
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def checksum(*parts: bytes) -> bytes:
    """Return the digest of the parts together."""
    digest = hashlib.blake2b(digest_size=CHECKSUM_BYTES)
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
        descriptor = os.open(path, _FLAGS)
    except OSError:
        return None
    try:
        length = os.fstat(descriptor).st_size - offset if size is None else size
        parts, position = [], offset
        while position < offset + length and (part := os.pread(descriptor, offset + length - position, position)):
            parts.append(part)
            position += len(part)
    except (OSError, ValueError, OverflowError):
        return None
    finally:
        os.close(descriptor)
    return b"".join(parts) if position == offset + length else None


def write_checked(path: str, key: bytes, content: bytes) -> bool:
    """Write a file that `read_checked` accepts; return whether that worked."""
    return write_whole(path, (checksum(key, content), content))


def write_whole(path: str, parts: Iterable[bytes]) -> bool:
    """Write a file in one step; return whether that worked. Its folder is made where it is missing."""
    temporary = None
    folder = os.path.dirname(path)  # noqa: PTH120 - strings, as in all of the cache
    try:
        if not os.path.isdir(folder):  # noqa: PTH112 - as above
            make_private(Path(folder))
        descriptor, temporary = tempfile.mkstemp(dir=folder, suffix=TEMPORARY_SUFFIX)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(parts)
        os.replace(temporary, path)  # noqa: PTH105 - as above
    except OSError:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108 - as above
        return False
    return True
