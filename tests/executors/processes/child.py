"""A process that makes calls for the tests, as one of a run does: on a backend that is a folder, where each call tells of itself and waits."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING

from sharectl.drivers.base import DriverError
from sharectl.executors.answers import Done, Identity
from sharectl.executors.lanes import Lanes
from sharectl.executors.processes.link import Link, SharedHold
from sharectl.executors.processes.service import LentRight, serve
from sharectl.model.diagnostics import warning
from sharectl.model.records import Holder, Lease
from sharectl.state.lock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.executors.answers import Answer
    from sharectl.executors.base import Permit
    from sharectl.executors.calls import Call
    from sharectl.model.diagnostics import Diagnostic

PATIENCE_SECONDS = 300.0
LEASE = Lease(1, Holder("user", "host", 1, "apply"), 60.0)


class Unreadable:
    """What can be sent, but not read."""

    def __reduce__(self) -> tuple[type[int], tuple[str]]:
        """Have it made from what it cannot be made from."""
        return int, ("x",)


def make_call(folder: Path, backend: str, permit: Permit) -> Answer:
    """Say that the call has begun, wait until the backend is `open`, and answer; what the backend's name says is done as well."""
    permit()
    (folder / f"{backend}-{os.getpid()}-{monotonic()}").touch()
    until = monotonic() + PATIENCE_SECONDS
    while not (folder / "open").exists() and monotonic() < until:
        sleep(0.002)
    permit()
    if backend == "refuses":
        message = "no"
        raise DriverError(message)
    if backend == "dies":
        os._exit(1)
    if backend == "unreadable":
        return Identity(Unreadable())  # type: ignore[arg-type] # what can be pickled, and not be read
    if backend == "odd":
        return Identity(lambda: None)  # type: ignore[arg-type] # what cannot be pickled
    return Done() if backend == "quiet" else Identity(backend)


def close() -> Sequence[Diagnostic]:
    """Tell of a driver that could not be closed."""
    return (warning("backend.not-closed", "the driver of backend a could not be closed", remedy="look there"),)


def main(folder: Path, socket: str, hold: str) -> None:
    """Serve until it is over."""
    link, shared = Link(int(socket)), SharedHold(int(hold))
    right = LentRight(LEASE, "the state", SYSTEM_CLOCK.boottime_seconds)

    def execute(backend: str, _: Call[Answer], permit: Permit) -> Answer:
        return make_call(folder, backend, permit)

    serve(link, right, lambda permit: Lanes(execute, permit, lambda _: 2, hold=shared), close)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
