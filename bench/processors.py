"""Processor time of this process and of others: what a piece of work costs, however busy the machine is."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_SCHEDULER = 2  # CPUCLOCK_SCHED in the kernel: what the scheduler counted, to the nanosecond


class Processors:
    """A watch over this process and others, with all their threads: `seconds` is what they took while it was entered."""

    def __init__(self, others: Iterable[int]) -> None:
        """Take the ids of the others, which live until the last measurement."""
        self._processes = [os.getpid(), *others]
        self._started = 0.0
        self.seconds = 0.0

    def __enter__(self) -> None:
        """Begin to count."""
        self._started = self._now()

    def __exit__(self, *_error: object) -> None:
        """Count until now."""
        self.seconds += self._now() - self._started

    def _now(self) -> float:
        return sum(time.clock_gettime((~process << 3) | _SCHEDULER) for process in self._processes)


def children() -> list[int]:
    """Return the processes that this one has started and that live."""
    tasks = Path("/proc/self/task").iterdir()
    return [int(word) for task in tasks for word in (task / "children").read_text(encoding="ascii").split()]


def cpu_seconds(processes: Iterable[int]) -> float:
    """Return the CPU time of these processes so far, without their children; none of one that has ended and been waited for."""
    found = 0.0
    for process in processes:
        with suppress(OSError):
            found += time.clock_gettime((~process << 3) | _SCHEDULER)
    return found


def tree(root: int) -> float:
    """Return the CPU time of a process so far with all its children, those that have ended among them."""
    words = Path(f"/proc/{root}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    ended = sum(map(int, words[13:15])) / os.sysconf("SC_CLK_TCK")
    tasks = Path(f"/proc/{root}/task").iterdir()
    live = [int(word) for task in tasks for word in (task / "children").read_text(encoding="ascii").split()]
    return ended + cpu_seconds([root, *live])
