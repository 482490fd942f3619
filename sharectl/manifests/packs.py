"""Packs, in which the cache keeps many compiled files."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any, Final

import orjson

from sharectl.manifests.compiled import CompiledFile, Index, Setting, decoded_index
from sharectl.manifests.files import CHECKSUM_BYTES, checksum, read_part, write_whole
from sharectl.model.frozen import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

SUFFIX: Final = ".pack"
_LENGTHS: Final = struct.Struct("<3Q")
_MOST_DECODED_SINGLY: Final = 8


class _Table(NamedTuple):
    """Where the parts of each file end, each in its own section of the pack, and the small parts of those that have some.

    `defaults` tells the project's defaults that the files were compiled with from others; `defaults_matched` is empty where there were none.
    """

    index_ends: list[int]
    digest_ends: list[int]
    record_ends: list[int]
    record_checksums: list[str]
    settings: dict[str, tuple[list[list[Any]], dict[str, str]]]
    defaults: str
    defaults_matched: list[int]


class Pack:
    """A pack that was found whole. Its records are read and verified when they are asked for: they may be damaged or gone by then."""

    def __init__(self, path: str, table: _Table, index: bytes, digests: bytes, records_offset: int) -> None:
        """Keep what is read of a pack when it is opened."""
        self._path = path
        self._table = table
        self._index = index
        self._digests = digests
        self._records_offset = records_offset
        self._decoded: list[list[Any]] | None = None
        self._decoded_singly = 0

    def __len__(self) -> int:
        """Return how many files the pack holds."""
        return len(self._table.index_ends)

    @classmethod
    def open(cls, path: str) -> Pack | None:
        """Return the pack at `path`; None where it is not there or not whole."""
        head = read_part(path, 0, CHECKSUM_BYTES + _LENGTHS.size)
        if head is None:
            return None
        lengths = _LENGTHS.unpack_from(head, CHECKSUM_BYTES)
        body = read_part(path, len(head), sum(lengths))
        if body is None or checksum(_name(path), head[CHECKSUM_BYTES:], body) != head[:CHECKSUM_BYTES]:
            return None
        table_length, index_length, _ = lengths
        table = _Table(*orjson.loads(body[:table_length]))
        index = body[table_length : table_length + index_length]
        return cls(path, table, index, body[table_length + index_length :], len(head) + len(body))

    def file(self, number: int, recompile: Callable[[CompiledFile], CompiledFile]) -> CompiledFile:
        """Return a file of the pack; `recompile` compiles it again where its records turn out to be lost."""
        return _PackedFile(self, number, recompile)

    def settings(self, number: int) -> tuple[list[list[Any]], dict[str, str]] | None:
        """Return the part of a file that is needed on each load, if it has one."""
        return self._table.settings.get(str(number)) if self._table.settings else None

    def is_current(self, number: int, defaults: str) -> bool:
        """Tell whether the pack holds a file as these defaults of the project make it: compiled with them, or without anything that takes any."""
        ends = self._table.digest_ends
        if number >= len(ends):
            return False
        return self._table.defaults == defaults or ends[number] == (ends[number - 1] if number else 0)

    def defaults_matched(self, number: int) -> int:
        """Return a bit for each of the project's defaults that is for some document of a file."""
        return self._table.defaults_matched[number] if self._table.defaults_matched else 0

    def index(self, number: int) -> Index:
        """Return what linking needs of a file; where many are asked for, all are decoded in one go."""
        if self._decoded is None:
            self._decoded_singly += 1
            if self._decoded_singly <= _MOST_DECODED_SINGLY:
                return decoded_index(orjson.loads(self.index_json(number)))
        return decoded_index(self._all()[number])

    def mentions_any(self, number: int, addresses: AbstractSet[str]) -> bool:
        """Tell whether a file may hold or refer to one of many addresses."""
        _, held, referred_to, *_ = values = self._all()[number]
        moves = values[Index.__slots__.index("moves")]
        return not (addresses.isdisjoint(held) and addresses.isdisjoint(referred_to)) or (
            bool(moves) and not all(map(addresses.isdisjoint, moves.values()))
        )

    def _all(self) -> list[list[Any]]:
        """Return the values of all indexes, decoded in one go."""
        if self._decoded is None:
            self._decoded, self._index = orjson.loads(b"[" + self._index + b"]"), b""
        return self._decoded

    def index_json(self, number: int) -> bytes:
        """Return the same as JSON."""
        if self._decoded is not None:
            return orjson.dumps(self._decoded[number])
        ends = self._table.index_ends
        return self._index[ends[number - 1] + 1 if number else 0 : ends[number]]

    def digests(self, number: int) -> bytes:
        """Return the digests of a file's resources."""
        ends = self._table.digest_ends
        return self._digests[ends[number - 1] if number else 0 : ends[number]]

    def records(self, number: int) -> bytes | None:
        """Return the records of a file; None where they are damaged or the pack has gone."""
        ends = self._table.record_ends
        start = ends[number - 1] if number else 0
        records = read_part(self._path, self._records_offset + start, ends[number] - start)
        is_whole = records is not None and checksum(records).hex() == self._table.record_checksums[number]
        return records if is_whole else None


class _PackedFile(CompiledFile):
    """A compiled file whose parts are taken from a pack as they are asked for."""

    __slots__ = ("_number", "_pack")

    def __init__(self, pack: Pack, number: int, recompile: Callable[[CompiledFile], CompiledFile]) -> None:
        super().__init__()
        self._pack, self._number = pack, number
        self._kept = pack, number, recompile
        self.defaults_matched = pack.defaults_matched(number)
        settings = pack.settings(number)
        if settings is not None:
            self.settings, self.drivers = [Setting(*setting) for setting in settings[0]], settings[1]

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - parts have many types
        if name == "index":
            self.index = self._pack.index(self._number)
            return self.index
        if name == "digests":
            return self._pack.digests(self._number)
        return super().__getattr__(name)

    @property
    def index_json(self) -> bytes:
        return self._pack.index_json(self._number)

    def mentions_any(self, addresses: AbstractSet[str]) -> bool:
        return self._pack.mentions_any(self._number, addresses)


def write_pack(path: str, files: Sequence[CompiledFile], defaults: str = "") -> Pack | None:
    """Write a pack of these files, compiled with these defaults; return it, for their records, or None where that did not work."""
    table = _Table([], [], [], [], {}, defaults, [file.defaults_matched for file in files] if defaults else [])
    indexes, digests = [], []
    index_end, digest_end, record_end = -1, 0, 0
    for number, file in enumerate(files):
        records = file.records
        indexes.append(file.index_json)
        digests.append(file.digests)
        index_end += 1 + len(indexes[-1])
        digest_end += len(digests[-1])
        record_end += len(records)
        table.index_ends.append(index_end)
        table.digest_ends.append(digest_end)
        table.record_ends.append(record_end)
        table.record_checksums.append(checksum(records).hex())
        if file.settings:
            table.settings[str(number)] = [list(setting) for setting in file.settings], file.drivers
    body = (orjson.dumps(list(table)), b",".join(indexes), b"".join(digests))
    lengths = _LENGTHS.pack(*map(len, body))

    def parts() -> Iterator[bytes]:
        yield checksum(_name(path), lengths, *body)
        yield lengths
        yield from body
        for file in files:
            yield file.records

    records_offset = CHECKSUM_BYTES + len(lengths) + sum(map(len, body))
    return Pack(path, table, b"", b"", records_offset) if write_whole(path, parts()) else None


def _name(path: str) -> bytes:
    return os.fsencode(os.path.basename(path))  # noqa: PTH119 - strings, as in all of the cache
