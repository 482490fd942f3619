"""One core for all lanes: the interpreter runs one thread at a time, and threads on several cores only take it from each other."""

from __future__ import annotations

import os
from contextlib import suppress


def shared_core() -> frozenset[int]:
    """Return the core that the threads of this process's runs share, another for each process; empty where there is no choice."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return frozenset({cores[os.getpid() % len(cores)]} if len(cores) > 1 else ())


def bind_thread(cores: frozenset[int]) -> None:
    """Bind the calling thread to `cores`, if there are any.

    On two cores, 20 lanes of instant steps took twice the time that they take on one. What a thread starts inherits this;
    `os.sched_getaffinity(os.getpid())` still tells all cores, for a driver whose child process needs them.
    """
    if cores:
        with suppress(OSError):  # the cores of a container may change, and it is only slower without
            os.sched_setaffinity(0, cores)
