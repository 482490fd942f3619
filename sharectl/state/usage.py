"""Notes of use as the stores have them: which rows a listing changes, and samples as bytes. They are no part of the state: nothing is decided by them."""

from __future__ import annotations

from collections.abc import (
    Iterable,  # noqa: TC003 - a NamedTuple resolves its annotations at run time
    Mapping,  # noqa: TC003 - as above
    Sequence,  # noqa: TC003 - as above
)
from struct import Struct
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.model.usage import SAMPLE_SPACING_SECONDS, PoolSample, ShareSample, ShareUse, is_ahead, with_sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.model.usage import BackendUse

_SHARE_SAMPLE: Final = Struct(">QQ")
_POOL_SAMPLE: Final = Struct(">QQQQ")
_UNKNOWN: Final = (1 << 64) - 1
MOST_ALIKE: Final = 2_000
"""So many may use as much as the last of the largest."""


class UseRow(NamedTuple):
    """The use of a share: since when it is so, and whether the last whole listing of its backend still said so.

    `is_current` is 1 or 0 where the store says it so. `sampled_at` is the time of the newest of its samples, 0 where there is none.
    """

    resource_id: str
    backend: str
    used_bytes: int
    seen_at: int
    is_current: bool
    sampled_at: int


class ShareNote(NamedTuple):
    """All that is kept of the use of a share."""

    row: UseRow
    samples: tuple[ShareSample, ...] = ()


class PoolNote(NamedTuple):
    """All that is kept of the capacity of a pool: its samples, and what was seen last."""

    backend: str
    pool: str
    last: PoolSample
    samples: tuple[PoolSample, ...] = ()

    @property
    def series(self) -> tuple[PoolSample, ...]:
        """The samples with what was seen last, oldest first."""
        return (*(sample for sample in self.samples if sample.at < self.last.at), self.last)

    def after(self, sample: PoolSample) -> PoolNote:
        """Return the note once this was seen; what was seen last until now becomes a sample, unless the clock ran ahead then."""
        if is_ahead(self.last.at, sample.at):
            return self._replace(last=sample, samples=tuple(each for each in self.samples if each.at < sample.at))
        if sample.at <= self.last.at:
            return self
        return self._replace(last=sample, samples=with_sample(self.samples, self.last))


class Notes(NamedTuple):
    """All notes of a state: of shares by their ids, of pools by backend and name, and when each backend was last listed as a whole."""

    shares: Iterable[ShareNote] = ()
    pools: Sequence[PoolNote] = ()
    listings: Mapping[str, int] = MappingProxyType({})


class Update(NamedTuple):
    """What a listing changes: rows to be written, samples to be added, and shares that are not the state's any more."""

    rows: Sequence[UseRow]
    samples: Mapping[str, ShareSample]
    gone: Sequence[str]


def use_of(row: UseRow, listed_at: int) -> ShareUse:
    """Return what is known of the use of a share; `listed_at` is when its backend was last listed as a whole, 0 if never."""
    return ShareUse(row.used_bytes, max(row.seen_at, listed_at) if row.is_current else row.seen_at)


def series_of(note: ShareNote, listed_at: int) -> tuple[ShareSample, ...]:
    """Return the samples of a share with what is known now, oldest first: since when it is so, and until when."""
    row, last = note.row, use_of(note.row, listed_at)
    now = [ShareSample(at, row.used_bytes) for at in dict.fromkeys((row.seen_at, last.seen_at))]
    return (*(sample for sample in note.samples if sample.at < row.seen_at), *now)


def update_for(seen: BackendUse, rows: Mapping[str, UseRow], listed_at: int) -> Update:
    """Return what changes where `rows` are what is kept of the shares seen, and of all shares of the backend if all were seen.

    Of a share that is used as before nothing is written: the time of the listing tells that it was seen. What was noted by a clock that
    ran ahead gives way to what is seen now.
    """
    changed: list[UseRow] = []
    samples: dict[str, ShareSample] = {}
    for resource_id, used_bytes in seen.shares.items():
        row = rows.get(resource_id)
        if row is None:
            if used_bytes is not None:
                changed.append(UseRow(resource_id, seen.backend, used_bytes, seen.at, is_current=True, sampled_at=0))
        elif used_bytes is None:
            if row.is_current:
                changed.append(row._replace(seen_at=use_of(row, listed_at).seen_at, is_current=False))
        elif is_ahead(row.seen_at, seen.at):
            now = row._replace(backend=seen.backend, used_bytes=used_bytes, seen_at=seen.at, is_current=True)
            changed.append(now._replace(sampled_at=0) if row.sampled_at > seen.at else now)
        elif used_bytes != row.used_bytes or not row.is_current or row.backend != seen.backend:
            if seen.at < row.seen_at:
                continue
            now = row._replace(backend=seen.backend, used_bytes=used_bytes, seen_at=seen.at, is_current=True)
            if row.seen_at - row.sampled_at >= SAMPLE_SPACING_SECONDS:
                samples[resource_id] = ShareSample(row.seen_at, row.used_bytes)
                now = now._replace(sampled_at=row.seen_at)
            changed.append(now)
    gone = [key for key, row in rows.items() if row.backend == seen.backend and key not in seen.shares]
    return Update(changed, samples, gone if seen.is_whole else ())


def is_later_listing(seen: BackendUse, listed_at: int) -> bool:
    """Tell whether the backend was listed as a whole after `listed_at`, or the clock ran ahead then."""
    return seen.is_whole and (seen.at > listed_at or is_ahead(listed_at, seen.at))


def pack_shares(samples: Iterable[ShareSample]) -> bytes:
    """Return samples of a share as bytes."""
    return b"".join(_SHARE_SAMPLE.pack(*sample) for sample in samples)


def unpack_shares(packed: bytes) -> tuple[ShareSample, ...]:
    """Return the samples in bytes; a rest that is none is left out."""
    return tuple(ShareSample(*fields) for fields in _unpacked(_SHARE_SAMPLE.iter_unpack, _SHARE_SAMPLE.size, packed))


def pack_pools(samples: Iterable[PoolSample]) -> bytes:
    """Return samples of a pool as bytes."""
    return b"".join(
        _POOL_SAMPLE.pack(*(_UNKNOWN if value is None else value for value in sample)) for sample in samples
    )


def unpack_pools(packed: bytes) -> tuple[PoolSample, ...]:
    """Return the samples in bytes; a rest that is none is left out."""
    return tuple(
        PoolSample(at, *(None if value == _UNKNOWN else value for value in values))
        for at, *values in _unpacked(_POOL_SAMPLE.iter_unpack, _POOL_SAMPLE.size, packed)
    )


def _unpacked(
    unpack: Callable[[bytes], Iterable[tuple[int, ...]]], size: int, packed: bytes
) -> Iterable[tuple[int, ...]]:
    return unpack(packed[: len(packed) // size * size])
