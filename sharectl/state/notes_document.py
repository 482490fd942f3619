"""Notes of use in the document of a state: written one a line, and checked where a document is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sharectl.model.usage import MOST_SAMPLES, PoolSample, ShareSample, sound_bytes
from sharectl.state.usage import Notes, PoolNote, ShareNote, UseRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sharectl.model.canonical import JsonObject

    Complain = Callable[[str, str], object]

NOTES: Final = ("pool_use", "share_use", "use_listings")
"""The fields of a document that hold notes; each is left out where there are none."""
_SHARE: Final = ("resource_id", "backend", "used_bytes", "seen_at", "is_current", "samples")
_POOL: Final = ("backend", "pool", "samples")
_LISTING: Final = ("backend", "listed_at")


def plain_notes(section: str, notes: Notes) -> Iterator[JsonObject]:
    """Yield the notes of a section as JSON has them."""
    if section == "share_use":
        yield from map(_plain_share, notes.shares)
    elif section == "pool_use":
        yield from map(_plain_pool, notes.pools)
    else:
        yield from ({"backend": backend, "listed_at": at} for backend, at in sorted(notes.listings.items()))


def _plain_share(note: ShareNote) -> JsonObject:
    """Return the note of a share; the time of the newest sample says itself."""
    plain = note.row._asdict()
    del plain["sampled_at"]
    plain["is_current"] = bool(plain["is_current"])
    return {**plain, "samples": [list(sample) for sample in note.samples]}


def _plain_pool(note: PoolNote) -> JsonObject:
    """Return the note of a pool: the last of its samples is what was seen last."""
    samples = [list(sample) for sample in (*note.samples, note.last)]
    return {"backend": note.backend, "pool": note.pool, "samples": samples}


def notes_in(plain: Mapping[str, Any], complain: Complain) -> Notes | None:
    """Return the notes of a document, None where it has none; `complain` is told where something is wrong, and what must be."""
    shares = [
        ShareNote(_row_of(item, samples), samples)
        for where, item in _items(plain, "share_use", _SHARE, complain)
        for samples in _share_samples(item, where, complain)
    ]
    pools = [
        PoolNote(item["backend"], item["pool"], samples[-1], samples[:-1])
        for where, item in _items(plain, "pool_use", _POOL, complain)
        for samples in _pool_samples(item, where, complain)
    ]
    listings = {item["backend"]: item["listed_at"] for _, item in _items(plain, "use_listings", _LISTING, complain)}
    _expect_once([note.row.resource_id for note in shares], "share_use", complain)
    _expect_once([f"{note.backend}#{note.pool}" for note in pools], "pool_use", complain)
    if not (shares or pools or listings):
        return None
    return Notes(
        tuple(sorted(shares, key=lambda note: note.row.resource_id)),
        tuple(sorted(pools, key=lambda note: (note.backend, note.pool))),
        listings,
    )


def _items(
    plain: Mapping[str, Any], section: str, fields: Sequence[str], complain: Complain
) -> Iterator[tuple[str, JsonObject]]:
    found = plain.get(section, [])
    if not isinstance(found, list):
        complain(section, "must be a list")
        return
    for index, item in enumerate(found):
        where = f"{section}[{index}]"
        if not isinstance(item, dict) or item.keys() != {*fields}:
            complain(where, f"must be an object with {', '.join(fields)}")
            continue
        wrong = [name for name in fields if not _fits(name, item[name])]
        for name in wrong:
            complain(f"{where}.{name}", "is not what a note has there")
        if not wrong:
            yield where, item


def _fits(name: str, value: object) -> bool:
    if name == "samples":
        return isinstance(value, list) and len(value) <= MOST_SAMPLES + 1
    if name == "is_current":
        return isinstance(value, bool)
    return isinstance(value, str) if name in {"resource_id", "backend", "pool"} else sound_bytes(value) is not None


def _row_of(item: JsonObject, samples: Sequence[ShareSample]) -> UseRow:
    row = {name: item[name] for name in _SHARE if name != "samples"}
    return UseRow(**row, sampled_at=samples[-1].at if samples else 0)


def _share_samples(item: JsonObject, where: str, complain: Complain) -> Iterable[tuple[ShareSample, ...]]:
    """Return the samples, once; nothing where one of them is none."""
    found = item["samples"]
    if all(isinstance(each, list) and len(each) == len(ShareSample._fields) and _are_sound(each) for each in found):
        return [tuple(ShareSample(*each) for each in found)]
    complain(f"{where}.samples", "must be pairs of whole numbers")
    return []


def _pool_samples(item: JsonObject, where: str, complain: Complain) -> Iterable[tuple[PoolSample, ...]]:
    """Return the samples, once; nothing where one of them is none."""
    found = item["samples"]
    if found and all(
        isinstance(each, list)
        and len(each) == len(PoolSample._fields)
        and _are_sound([each[0], *(value for value in each[1:] if value is not None)])
        for each in found
    ):
        return [tuple(PoolSample(*each) for each in found)]
    complain(f"{where}.samples", "must be lists of four whole numbers, at least one")
    return []


def _are_sound(values: Sequence[object]) -> bool:
    return all(sound_bytes(value) is not None for value in values)


def _expect_once(keys: Sequence[str], section: str, complain: Complain) -> None:
    if len(set(keys)) < len(keys):
        complain(section, "has something more than once")
