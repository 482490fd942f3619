"""Keep compiled files between runs: by what the file system says of a file, so that it is not even read, and by its content."""

from __future__ import annotations

import contextlib
import os
import re
import struct
import time
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from sharectl import __version__
from sharectl.manifests.files import TEMPORARY_SUFFIX, read_checked, write_checked
from sharectl.manifests.packs import SUFFIX, Pack, write_pack
from sharectl.manifests.schemas import schemas_digest
from sharectl.model.canonical import blake2b
from sharectl.private import make_private

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.manifests.compiled import CompiledFile

_FORMAT: Final = 11
_INDEX: Final = "index"
_KEY_BYTES: Final = 20
_MOST_PACKS: Final = 8
_LEAST_UNSEEN_KEPT: Final = 1000
_KEEP_FOREIGN_SECONDS: Final = 3600.0
_SETTLED_NANOSECONDS: Final = 2_000_000_000
_LEFT_OVER: Final = (SUFFIX, TEMPORARY_SUFFIX, ".manifest")


_STATUS: Final = struct.Struct("<3Q2q")
_PLACE: Final = struct.Struct("<2I")
_PLACE_OFFSET: Final = _STATUS.size + _KEY_BYTES
_ROW_BYTES: Final = _PLACE_OFFSET + _PLACE.size
_LOCAL: Final = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "tmpfs", "overlay"})
_OCTAL: Final = re.compile(r"\\([0-7]{3})")
_NO_STATUS: Final = bytes(_STATUS.size)


class ManifestCache:
    """A folder with packs of compiled files, and an index of them, all of this version and these schemas.

    What is torn, damaged or another version's is not used; a folder that cannot be read or written makes everything slower, and nothing
    else; where two processes write at once, the index of one of them stays. The folder may be deleted at any time.

    A status is relied upon only if the file had not changed for two seconds when the run began, by the clock of the file system that
    both the file and the cache are on: clocks of file systems are coarse, and a second change within a tick would go unnoticed. On a
    network file system it is not relied upon at all, for a client may be told of changes late unless it opens the file.
    """

    def __init__(self, directory: Path) -> None:
        """Use `directory`, which is made when there is something to keep."""
        self._directory = os.fspath(directory)
        self._began = time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        self._packs: list[tuple[str, Pack | None]] = []
        self._rows: dict[str, bytes] | None = None
        self._by_key: dict[bytes, bytes] | None = None
        self._seen: dict[str, bytes] = {}
        self._unsettled: set[str] = set()
        self._new: list[tuple[str, CompiledFile]] = []
        self.defaults = ""
        """What tells the project's defaults from others; a file that was compiled with others is not used."""
        self.compile_again: Callable[[str, CompiledFile], CompiledFile] = _lost
        """Compiles a file again of which the cache has lost a part since the run began."""

    def known(self, path: str, found: os.stat_result) -> CompiledFile | None:
        """Return what the file at `path` was compiled to, if it is the same file with the same content by its status."""
        row = self._index().get(path)
        if row is None or not row.startswith(_status_of(found)):
            return None
        return self._take(path, row)

    def same(self, path: str, found: os.stat_result | None, data: bytes) -> CompiledFile | None:
        """Return what a file of this content was compiled to."""
        if self._by_key is None:
            self._by_key = {row[_STATUS.size : _PLACE_OFFSET]: row for row in self._index().values()}
        row = self._by_key.get(_key_of(data))
        if row is None:
            return None
        self._unsettled.add(path)
        return self._take(path, _status_of(found) + row[_STATUS.size :])

    def put(self, path: str, found: os.stat_result | None, data: bytes, compiled: CompiledFile) -> None:
        """Keep a compiled file when the run saves."""
        self._index()
        place = _PLACE.pack(len(self._packs), len(self._new))
        self._seen[path] = _status_of(found) + _key_of(data) + place
        self._unsettled.add(path)
        self._new.append((path, compiled))

    def save(self) -> None:
        """Write what is new: packs, and where files are found in the same place with the same content the next time."""
        if not self._unsettled:
            return
        known, rows = self._index(), dict(self._seen)
        horizon = self._horizon()
        for path in self._unsettled:
            device, _, _, modified_ns, changed_ns = _STATUS.unpack_from(rows[path])
            if device != horizon[0] or max(modified_ns, changed_ns) >= horizon[1]:  # it cannot be relied upon
                rows[path] = _NO_STATUS + rows[path][_STATUS.size :]
        if not self._new and all(
            rows[path] in {known.get(path), _NO_STATUS + rows[path][_STATUS.size :]} for path in self._unsettled
        ):
            return
        unseen = (path for path, row in known.items() if path not in rows and self._pack_with(row) is not None)
        rows |= {path: known[path] for path in islice(unseen, max(_LEAST_UNSEEN_KEPT, len(rows)))}
        if self._new:
            self._packs.append((self._write_new(), None))
        used = {_place(row)[0] for row in rows.values()}
        names = [name if number in used else "" for number, (name, _) in enumerate(self._packs)]
        names, rows = self._compacted(names, rows)
        # A path that is not UTF-8 cannot be written as text.
        rows = {
            path: row for path, row in rows.items() if names[_place(row)[0]] and (path.isascii() or path.isprintable())
        }
        head = orjson.dumps([names, list(rows)])
        if write_checked(f"{self._directory}/{_INDEX}", _version(), b"".join((head, b"\n", *rows.values()))):
            self._remove_left_over(set(names))

    def _take(self, path: str, row: bytes) -> CompiledFile | None:
        pack = self._pack_with(row)
        if pack is None:
            return None
        self._seen[path] = row
        return pack.file(_place(row)[1], partial(self.compile_again, path))

    def _pack_with(self, row: bytes) -> Pack | None:
        """Return the pack of an index's row, if it holds the file as the project's defaults make it now."""
        pack_number, number = _place(row)
        pack = self._packs[pack_number][1]
        return pack if pack is not None and pack.is_current(number, self.defaults) else None

    def _index(self) -> dict[str, bytes]:
        """Return what the index says of each path; its packs are opened with it.

        A row is the status of the file (all zero where it cannot be relied upon), the key of its content, and its pack and its place there.
        """
        if self._rows is None:
            self._rows = {}
            content = read_checked(f"{self._directory}/{_INDEX}", _version())
            with contextlib.suppress(ValueError, TypeError):  # it was written by something else
                head, _, table = (content or b"").partition(b"\n")
                names, paths = orjson.loads(head)
                self._packs = [(name, Pack.open(f"{self._directory}/{name}")) for name in names]
                rows = (table[start : start + _ROW_BYTES] for start in range(0, len(table), _ROW_BYTES))
                self._rows = dict(zip(paths, rows, strict=True))
        return self._rows

    def _write_new(self) -> str:
        """Write a pack of the new files, which hold no records any more then, and return its name."""
        name, pack = self._write([file for _, file in self._new])
        if pack is not None:
            for number, (path, file) in enumerate(self._new):
                file.keep_in(pack, number, partial(self.compile_again, path))
        return name

    def _write(self, files: list[CompiledFile]) -> tuple[str, Pack | None]:
        """Write a pack, and return it with its name; None and an empty name where that did not work."""
        name = f"{os.urandom(12).hex()}{SUFFIX}"
        pack = None
        with contextlib.suppress(OSError):
            pack = write_pack(f"{self._directory}/{name}", files, self.defaults)
        return "" if pack is None else name, pack

    def _compacted(self, names: list[str], rows: dict[str, bytes]) -> tuple[list[str], dict[str, bytes]]:
        """Return the names of the packs and the rows, all in one new pack where there are many packs, or more in them than is in use."""
        used = sorted({_place(row) for row in rows.values()})
        held = sum(len(pack) for name, (_, pack) in zip(names, self._packs, strict=True) if name and pack is not None)
        if sum(map(bool, names)) <= _MOST_PACKS and held <= max(2 * len(used), _LEAST_UNSEEN_KEPT):
            return names, rows
        files = []
        for pack_number, number in used:
            pack = self._packs[pack_number][1]
            files.append(self._new[number][1] if pack is None else pack.file(number, partial(_lost, "")))
        places = {place: _PLACE.pack(0, number) for number, place in enumerate(used)}
        return [self._write(files)[0]], {path: row[:_PLACE_OFFSET] + places[_place(row)] for path, row in rows.items()}

    def _horizon(self) -> tuple[int, int]:
        """Return the device that the cache is on, and since when by its clock nothing may have changed in a file whose status counts."""
        probe = f"{self._directory}/{os.urandom(8).hex()}{TEMPORARY_SUFFIX}"
        try:
            if not os.path.isdir(self._directory):  # noqa: PTH112 - strings, as everywhere here
                make_private(Path(self._directory))
            descriptor = os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            found = os.fstat(descriptor)
            os.close(descriptor)
            os.unlink(probe)  # noqa: PTH108 - strings, as everywhere here
        except OSError:
            return 0, 0
        if not _is_local(os.path.realpath(self._directory)):
            return 0, 0
        wall_ns, boot_ns = self._began
        age_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - boot_ns
        return found.st_dev, min(found.st_mtime_ns - age_ns, wall_ns) - _SETTLED_NANOSECONDS

    def _remove_left_over(self, names: set[str]) -> None:
        """Remove what no index of this version names and nobody is writing any more."""
        with contextlib.suppress(OSError), os.scandir(self._directory) as entries:
            for entry in entries:
                if entry.name.endswith(_LEFT_OVER) and entry.name not in names:
                    with contextlib.suppress(OSError):
                        if abs(time.time() - entry.stat(follow_symlinks=False).st_mtime) > _KEEP_FOREIGN_SECONDS:
                            os.unlink(entry.path)  # noqa: PTH108 - as above


def _is_local(path: str) -> bool:
    """Tell whether a path is on a file system of this machine's own, by what the kernel says of its mounts."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape", newline="\n") as file:  # noqa: PTH123 - as above
            return file_system_at(path, file.read()) in _LOCAL
    except OSError:
        return False


def file_system_at(path: str, mounts: str) -> str:
    """Return the type of the file system that an absolute path is on; `mounts` is what the kernel's `mountinfo` holds.

    The agent of the `linux` driver reads the same file by itself: it runs on hosts where no other part of sharectl is.
    """
    found = ("", "")
    for line in filter(None, mounts.split("\n")):  # the kernel escapes no other end of a line
        fields, _, rest = line.partition(" - ")
        point = _OCTAL.sub(lambda code: chr(int(code[1], 8)), fields.split(" ")[4])
        if f"{path}/".startswith(f"{point.rstrip('/')}/") and len(point) >= len(found[0]):
            found = (point, rest.partition(" ")[0])
    return found[1]


def _status_of(found: os.stat_result | None) -> bytes:
    """Return what tells one content of a file from another, as far as the file system knows."""
    if found is None:
        return _NO_STATUS
    return _STATUS.pack(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _place(row: bytes) -> tuple[int, int]:
    pack, number = _PLACE.unpack_from(row, _PLACE_OFFSET)
    return pack, number


def _key_of(data: bytes) -> bytes:
    return blake2b(data, digest_size=_KEY_BYTES).digest()


def _version() -> bytes:
    return f"{_FORMAT}\0{__version__}\0".encode() + schemas_digest()


def _lost(_path: str, _before: CompiledFile) -> CompiledFile:
    raise OSError
