"""Keep compiled files under the hash of their content, so that unchanged manifests are not read again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from pathlib import Path
from typing import Final

from sharectl import __version__
from sharectl.private import make_private

_FORMAT: Final = 4
_SUFFIX: Final = ".manifest"
_CHECKSUM_BYTES: Final = 32
_MAX_ENTRY_BYTES: Final = 256 << 20
_TOUCH_AFTER_SECONDS: Final = 24 * 3600.0
_KEEP_UNUSED_SECONDS: Final = 14 * 24 * 3600.0
_KEEP_UNUSED_ENTRIES: Final = 1000


class ManifestCache:
    """Entries in a folder, one file each, named by a hash of the content, the schemas, the format and sharectl's version.

    Each entry begins with a checksum over its name and content. An entry that is torn, damaged or another's is not used;
    a folder that cannot be read or written makes everything slower, and nothing else. The folder may be deleted at any time.
    """

    def __init__(self, directory: Path) -> None:
        """Use `directory`, which is made when the first entry is written."""
        self._directory = os.fspath(directory)
        self._prefix: bytes | None = None
        self._used: set[str] = set()
        self._stored = False

    def key(self, data: bytes) -> str:
        """Return the name of the entry for a file's content."""
        if self._prefix is None:
            from sharectl.manifests.schemas import schemas_digest  # noqa: PLC0415 - a circle of no use otherwise

            self._prefix = f"{_FORMAT}\0{__version__}\0".encode() + schemas_digest()
        return hashlib.sha256(self._prefix + hashlib.sha256(data).digest()).hexdigest()

    def get(self, key: str) -> bytes | None:
        """Return the entry, or None where there is none that is whole."""
        path = f"{self._directory}/{key}{_SUFFIX}"
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            status = os.fstat(descriptor)
            if not _CHECKSUM_BYTES < status.st_size <= _MAX_ENTRY_BYTES:
                return None
            entry = os.read(descriptor, status.st_size)
        except OSError:
            return None
        finally:
            os.close(descriptor)
        content = entry[_CHECKSUM_BYTES:]
        if len(entry) != status.st_size or _checksum(key, content) != entry[:_CHECKSUM_BYTES]:
            return None
        self._used.add(key)
        if abs(time.time() - status.st_mtime) > _TOUCH_AFTER_SECONDS:
            with contextlib.suppress(OSError):
                os.utime(path)
        return content

    def put(self, key: str, content: bytes) -> None:
        """Keep an entry, whole or not at all; a folder that cannot be written is left alone."""
        if len(content) + _CHECKSUM_BYTES > _MAX_ENTRY_BYTES:
            return
        temporary = None
        try:
            if not os.path.isdir(self._directory):  # noqa: PTH112 - paths are strings here, for speed
                make_private(Path(self._directory))
            descriptor, temporary = tempfile.mkstemp(dir=self._directory, suffix=".tmp")
            with os.fdopen(descriptor, "wb") as file:
                file.write(_checksum(key, content) + content)
            os.replace(temporary, f"{self._directory}/{key}{_SUFFIX}")  # noqa: PTH105 - as above
        except OSError:
            if temporary is not None:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)  # noqa: PTH108 - as above
            return
        self._used.add(key)
        self._stored = True

    def prune(self) -> None:
        """Remove what the last runs did not use; does nothing where this run has written no entry."""
        if not self._stored:
            return
        with contextlib.suppress(OSError):
            now = time.time()
            unused: list[tuple[float, str]] = []
            with os.scandir(self._directory) as entries:
                unused.extend(
                    (now - entry.stat(follow_symlinks=False).st_mtime, entry.path)
                    for entry in entries
                    if entry.name.endswith((_SUFFIX, ".tmp")) and entry.name.removesuffix(_SUFFIX) not in self._used
                )
            unused.sort()
            for number, (age_seconds, path) in enumerate(unused):
                limit = _TOUCH_AFTER_SECONDS if path.endswith(".tmp") else _KEEP_UNUSED_SECONDS
                if number >= _KEEP_UNUSED_ENTRIES or age_seconds > limit:
                    with contextlib.suppress(OSError):
                        os.unlink(path)  # noqa: PTH108 - as above


def _checksum(key: str, content: bytes) -> bytes:
    checksum = hashlib.sha256(key.encode())
    checksum.update(content)
    return checksum.digest()
