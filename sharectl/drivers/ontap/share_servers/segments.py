"""Who is at work on which VLAN in this process: a network is taken down only while nobody here is making a share server on it."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class SegmentUse:
    """Counts the share servers that are being made on each VLAN. Between processes the array itself refuses what would harm."""

    def __init__(self) -> None:
        """Nobody is at work."""
        self._guard = threading.Lock()
        self._locks: dict[int, threading.Lock] = {}
        self._makers: Counter[int] = Counter()
        self._places: dict[int, str] = {}

    @contextmanager
    def making(self, tag: int | None) -> Iterator[None]:
        """Be one who makes a share server there; several are at once. Untagged networks are never taken down."""
        if tag is None:
            yield
            return
        with self.alone(tag), self._guard:
            self._makers[tag] += 1
        try:
            yield
        finally:
            with self._guard:
                self._makers[tag] -= 1
                if self._makers[tag] <= 0:
                    self._places.pop(tag, None)

    @contextmanager
    def alone(self, tag: int) -> Iterator[bool]:
        """Be the only one who changes the network itself; tells whether nobody makes a share server on it."""
        with self._guard:
            lock = self._locks.setdefault(tag, threading.Lock())
        with lock:
            with self._guard:
                is_free = self._makers[tag] <= 0
            yield is_free

    def place(self, tag: int) -> str | None:
        """Return the IPspace that one who is at work there has made or found."""
        with self._guard:
            return self._places.get(tag)

    def settle(self, tag: int, place: str) -> None:
        """Let others who make servers there know of the IPspace."""
        with self._guard:
            self._places[tag] = place
