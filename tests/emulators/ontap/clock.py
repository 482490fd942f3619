"""The array's time, which passes faster than ours, and what is due in it."""

from __future__ import annotations

import heapq
import itertools
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.emulators.ontap.world import World

_ZONE: Final = timezone(timedelta(hours=1))


@dataclass(slots=True)
class Clock:
    """Seconds since the array was switched on: `scale` of them for each of ours, and those that a waiting caller lets pass.

    `skips`: who asks the array to wait (`return_timeout`) finds that the time has passed; else the call does wait.
    """

    scale: float = 20.0
    skips: bool = True
    skew_seconds: float = 0.0
    """How wrong the dates are that the array shows."""
    _gained: float = 0.0
    _started: float = field(default_factory=time.monotonic)

    def now(self) -> float:
        """Return the seconds that have passed."""
        return self._gained + (time.monotonic() - self._started) * self.scale

    def skip(self, seconds: float) -> None:
        """Let time pass at once."""
        self._gained += max(seconds, 0.0)

    def slow_down(self) -> None:
        """Let time pass as fast as ours from now on, so that what takes the array minutes is under way for a whole test."""
        now = self.now()
        self.scale = 1.0
        self.set(now)

    def set(self, seconds: float) -> None:
        """Go on from a moment that was kept."""
        self._gained, self._started = seconds, time.monotonic()

    def stamp(self, at: float | None = None) -> str:
        """Return a moment, now by default, as the array writes it."""
        seconds = (self.now() if at is None else at) + self.skew_seconds
        return (datetime(2026, 11, 2, 8, tzinfo=UTC) + timedelta(seconds=int(seconds))).astimezone(_ZONE).isoformat()


@dataclass(slots=True)
class Schedule:
    """What is to happen later, in the order in which it is due."""

    _waiting: list[tuple[float, int, Callable[[World], object]]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def add(self, at: float, work: Callable[[World], object]) -> None:
        """Have `work` done when the clock shows `at`."""
        heapq.heappush(self._waiting, (at, next(self._numbers), work))

    def due(self, now: float) -> Callable[[World], object] | None:
        """Take out the next thing that is due, or return None."""
        return heapq.heappop(self._waiting)[2] if self._waiting and self._waiting[0][0] <= now else None

    def works(self) -> list[Callable[[World], object]]:
        """Return what is still to come, in no order."""
        return [work for _, _, work in self._waiting]

    def waiting(self) -> list[tuple[float, Callable[[World], object]]]:
        """Return what is still to come."""
        return [(at, work) for at, _, work in sorted(self._waiting, key=lambda each: each[:2])]
