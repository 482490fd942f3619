"""What the engine takes from the world: drivers, clocks, chance and new ids."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from functools import lru_cache
from time import monotonic, time_ns
from typing import TYPE_CHECKING

from sharectl.drivers.base import DriverError
from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.drivers.base import Driver
    from sharectl.executors.base import Execute, Executor, MakeExecutor, Permit
    from sharectl.network.base import NetworkPlugin


def utc_now() -> str:
    """Return the time as ISO 8601 in UTC, to the millisecond."""
    return _utc_text(time_ns() // 1_000_000)


@lru_cache(maxsize=1)
def _utc_text(milliseconds: int) -> str:
    """Return this time; many steps ask within one millisecond."""
    text = datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def uniform(low: float, high: float) -> float:
    """Return a random number between two others."""
    from random import SystemRandom  # noqa: PLC0415 - only where something is tried again

    return SystemRandom().uniform(low, high)


def new_resource_id() -> str:
    """Return an id that nobody else has."""
    return str(uuid.uuid4())


def no_network(backend: str) -> NetworkPlugin:
    """Return nothing: where share servers are not spoken of, no backend has a network service. Raises DriverError."""
    message = f"backend {backend} has no network service"
    raise DriverError(message)


def lanes(execute: Execute, permit: Permit, width: Callable[[str], int], clock: Callable[[], float]) -> Executor:
    """Return the executor of this process."""
    from sharectl.executors.lanes import Lanes  # noqa: PLC0415 - most runs change nothing

    return Lanes(execute, permit, width, clock)


@dataclass(frozen=True, slots=True)
class Environment:
    """`driver` opens the driver of a backend once and returns the same one afterwards; it may raise DriverError.

    `network` does the same with the backend's network service.

    `executor` makes the calls of a run; `watch_interval_seconds` is how often overdue ones are looked for and events handed on.
    """

    driver: Callable[[str], Driver]
    network: Callable[[str], NetworkPlugin] = no_network
    now: Callable[[], str] = utc_now
    monotonic: Callable[[], float] = monotonic
    new_id: Callable[[], str] = new_resource_id
    uniform: Callable[[float, float], float] = uniform
    watch_interval_seconds: float = 0.05
    executor: MakeExecutor = lanes
