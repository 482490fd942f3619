"""The room that a run promises to its new shares, so that others do not count on it: until each is made, or the run ends."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import DriverError
from sharectl.model.events import CandidateFailed, StepFailed, StepFinished, StepSkipped
from sharectl.planner.promises import extended_rows, keep_to_room, needs_of, total_of
from sharectl.state.contract import KeepsPromises, LeaseLostError, StateError
from sharectl.workspace.survey import pools_on

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sharectl.model.events import Event
    from sharectl.model.plans import Plan
    from sharectl.model.records import Lease, Promise
    from sharectl.planner.promises import Need
    from sharectl.scheduler.pools import Pool
    from sharectl.workspace.backends import Backends
    from sharectl.workspace.run import LockedRun

_ROUNDS: Final = 5
"""How often a plan gives way to promises that others make at the same moment."""
_INTERVAL_SECONDS: Final = 2.0


class Promises:
    """What a run has promised under its lease, as its events go by."""

    def __init__(self, lease: Lease, store: KeepsPromises, needs: dict[str, Need]) -> None:
        """Begin with what `needs` say, which the store has."""
        self._lease = lease
        self._store = store
        self._needs = needs
        self._total = total_of(needs)
        self._told_seconds = time.monotonic()

    def watching(self, observer: Callable[[Event], None]) -> Callable[[Event], None]:
        """Return the observer, which lets go of what is made or given up first."""

        def observe(event: Event) -> None:
            self._see(event)
            observer(event)

        return observe

    def _see(self, event: Event) -> None:
        if isinstance(event, CandidateFailed):
            need = self._needs.get(event.step_id)
            if need is not None and len(need.places) > 1:
                self._total[need.places[0]] -= need.size_bytes
                self._total[need.places[1]] += need.size_bytes
                self._needs[event.step_id] = need._replace(places=need.places[1:])
                self._tell()
        elif isinstance(event, StepFinished | StepFailed | StepSkipped):
            need = self._needs.pop(event.step_id, None)
            if need is not None:
                self._total[need.places[0]] -= need.size_bytes
                if not self._needs or time.monotonic() - self._told_seconds >= _INTERVAL_SECONDS:
                    self._tell()

    def _tell(self) -> None:
        with suppress(
            StateError, LeaseLostError
        ):  # the next commit meets the same, and says so; too much is promised until then
            self._store.promise(self._lease, self._total)
        self._told_seconds = time.monotonic()


def promise_room(
    run: LockedRun, plan: Plan, backends: Backends, default_ratio: float
) -> tuple[Plan, Callable[[Callable[[Event], None]], Callable[[Event], None]] | None]:
    """Promise what the plan needs, as far as there is room beside what others have promised; return that part, and what keeps track of it.

    Of two runs that do so at the same moment, the later one sees the earlier one's.
    """
    store = run.store
    if not isinstance(store, KeepsPromises):
        return plan, None
    with store.read() as reader:
        records = reader.view(set(extended_rows(plan).values())).records
    needs = needs_of(plan, records)
    if not needs:
        return plan, None
    wanted = {place for need in needs.values() for place in need.places}
    part, kept = plan, needs
    before: list[Promise] = []
    for _ in range(_ROUNDS):
        others = [each for each in store.promise(run.lease, total_of(kept)) if (each.backend, each.pool) in wanted]
        if [each[:3] for each in others] == [each[:3] for each in before]:
            break
        contended = {promise.backend for promise in others}
        part, kept = keep_to_room(plan, needs, _pools_on(backends, plan, contended), others, default_ratio)
        before = others
    else:
        store.promise(run.lease, total_of(kept))
    return part, Promises(run.lease, store, dict(kept)).watching


def _pools_on(backends: Backends, plan: Plan, names: Collection[str]) -> list[Pool]:
    """Return the pools of these backends as they are now; of one that cannot be asked, none."""
    found: list[Pool] = []
    for name in sorted(names & plan.backends.keys()):
        with suppress(DriverError):
            found += pools_on(plan.backends[name], backends)
    return found
