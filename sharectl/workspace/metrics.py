"""What a command measured, for a monitoring system: how it went, what the plan said, and what is used by the state's notes."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from sharectl.model.frozen import dataclass
from sharectl.model.growth import forecast, points_of_pool
from sharectl.model.kinds import Kind
from sharectl.state.contract import KeepsUsage, StateError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from sharectl.apply import RunResult
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan
    from sharectl.model.records import Record
    from sharectl.model.usage import PoolSample, ShareUse
    from sharectl.state.contract import StateStore


@dataclass(frozen=True, slots=True)
class Stock:
    """What the state holds: its lineage, its shares, what is used of them by their resource ids, and the samples of pools by backend and name."""

    lineage: str
    shares: Mapping[Address, Record]
    use: Mapping[str, ShareUse]
    pools: Mapping[tuple[str, str], Sequence[PoolSample]]

    def full_in_days(self) -> Iterator[tuple[str, str, float]]:
        """Yield backend, name and days of each pool of which it can be said when it will be full."""
        for (backend, pool), samples in self.pools.items():
            days = forecast(points_of_pool(samples), samples[-1].total_bytes).full_in_days
            if days is not None:
                yield backend, pool, days


class Measured:
    """One command: what is known of it by its end. `plan`, `result` and `stock` stay None where it did not come so far.

    A plan is not `is_plan_whole` where manifests could not be read: only what it says of the backends is to be trusted then.
    """

    def __init__(self, command: str) -> None:
        """Begin now."""
        self.command = command
        self.began_seconds = time.time()
        self.ended_seconds = self.began_seconds
        self.has_succeeded = False
        self.backends: Collection[str] = ()
        self.plan: Plan | None = None
        self.is_plan_whole = True
        self.result: RunResult | None = None
        self.stock: Stock | None = None

    def look(self, store: StateStore) -> None:
        """Take what the state holds now; where it cannot be read, the command says so itself."""
        with suppress(StateError):
            with store.read() as reader:
                lineage, shares = reader.view(()).lineage, reader.find(kind=Kind.SHARE)
            notes = store.usage_notes() if isinstance(store, KeepsUsage) else None
            use, pools = ({}, {}) if notes is None else (notes.usage(), notes.pool_samples())
            self.stock = Stock(lineage, shares, use, pools)

    def end(self, *, has_succeeded: bool) -> None:
        """Note that the command has ended now, and how."""
        self.ended_seconds = time.time()
        self.has_succeeded = has_succeeded
