"""How old the state's knowledge is: when it was last changed, by which run, and who is at work on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.frozen import dataclass
from sharectl.state.contract import KeepsUsage

if TYPE_CHECKING:
    from sharectl.model.records import LockStatus, RunRecord
    from sharectl.state.contract import StateStore


@dataclass(frozen=True, slots=True)
class Freshness:
    """When something was last recorded of what was done, and the run that did it; None where nothing ever was. `writer` is at work now.

    `asked_at` is when it was last noted how full the pools of a backend are, in seconds since 1970; None where it never was. That is done once an
    hour at most, and so is not when backends were last asked.
    """

    changed_at: str | None = None
    run: RunRecord | None = None
    writer: LockStatus | None = None
    asked_at: int | None = None


def freshness_of(store: StateStore) -> Freshness:
    """Return how old the view of a state is that is read now."""
    newest = next(iter(store.history(limit=1)), None)
    status = store.lock_status()
    writer = None if status is None or status.expired else status
    if newest is None:
        return Freshness(writer=writer, asked_at=_asked_at(store))
    return Freshness(newest.entry.at, newest.run, writer, _asked_at(store))


def _asked_at(store: StateStore) -> int | None:
    if not isinstance(store, KeepsUsage):
        return None
    samples = store.usage_notes().pool_samples().values()
    return max((of_pool[-1].at for of_pool in samples if of_pool), default=None)
