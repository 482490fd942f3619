"""Faults: which call is befallen, decided by the seed and by counts that are kept in the state file."""

from __future__ import annotations

import hashlib
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from sharectl.drivers.simulated.settings import Fault

_COUNT: Final = (
    "INSERT INTO fault_matches(fault, matches) VALUES (?, 1) "
    "ON CONFLICT(fault) DO UPDATE SET matches = matches + 1 RETURNING matches"
)
_DRAW_RANGE: Final = float(1 << 64)


class Subject(NamedTuple):
    """What a call is about, as far as it is known."""

    call: str
    resource_id: str | None = None
    pool: str | None = None
    name: str | None = None


def candidates(faults: Iterable[Fault], subject: Subject) -> list[tuple[int, Fault]]:
    """Return the faults that match the call itself, with their numbers in the configuration."""
    return [
        (number, fault)
        for number, fault in enumerate(faults)
        if fault.call in {subject.call, "*"}
        and (fault.pool is None or fault.pool == subject.pool)
        and (fault.name is None or (subject.name is not None and fnmatchcase(subject.name, fault.name)))
    ]


def choose(connection: sqlite3.Connection, matching: Iterable[tuple[int, Fault]], seed: int) -> Fault | None:
    """Count the call for each fault that it matches, and return the first that befalls it."""
    chosen: Fault | None = None
    for number, fault in matching:
        (count,) = connection.execute(_COUNT, (number,)).fetchone()
        if chosen is None and _befalls(fault, number, count, seed):
            chosen = fault
    return chosen


def _befalls(fault: Fault, number: int, count: int, seed: int) -> bool:
    return (
        (fault.nth is None or count == fault.nth)
        and (fault.first is None or count <= fault.first)
        and (fault.every is None or count % fault.every == 0)
        and (fault.probability is None or _draw(seed, number, count) < fault.probability)
    )


def _draw(seed: int, number: int, count: int) -> float:
    """Return a number from 0 up to 1 that depends on nothing but the seed and the counts."""
    digest = hashlib.blake2b(f"{seed}/{number}/{count}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / _DRAW_RANGE
