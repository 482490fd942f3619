"""Notes of use in the state: taken from what a plan has seen, and from the pools where their newest sample is old."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sharectl.engine.answers import pools_of
from sharectl.model.diagnostics import warning
from sharectl.model.kinds import Kind
from sharectl.model.usage import SAMPLE_SPACING_SECONDS, BackendUse, PoolSample, sample_of, sound_bytes
from sharectl.planner.observed import identity_problem
from sharectl.state.contract import KeepsUsage, StateError
from sharectl.workspace.parallel import ask_each

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.model.backends import BackendSpec
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.records import StateView
    from sharectl.planner.observed import BackendObservation, Observed
    from sharectl.state.contract import StateStore, UsageNotes
    from sharectl.workspace.backends import Backends

_POOLS_SECONDS: Final = 10.0
"""For so long pools are waited for that nothing but a sample needs."""


class UseSeen:
    """What a plan has seen of use: it is shown that by the planner, and notes it when it is told to."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.backends: dict[str, BackendUse] = {}

    def __call__(self, view: StateView, observed: Observed, is_whole: bool) -> None:  # noqa: FBT001 - see `See`
        """Remember what of it is about use, in place of what was seen before."""
        at = int(time.time())
        trusted = {
            name: seen
            for name, seen in observed.items()
            if seen.report is not None and seen.error is None and identity_problem(view, seen) is None
        }
        shares: dict[str, dict[str, int | None]] = {name: {} for name in trusted}
        for record in view.records.values():
            if record.kind == Kind.SHARE and record.backend in trusted:
                seen = trusted[record.backend]
                if seen.shares is not None and (share := seen.shares.get(record.resource_id)) is not None:
                    shares[record.backend][record.resource_id] = sound_bytes(share.used_bytes)
        self.backends = {
            name: _use(seen, at, shares[name], is_whole=is_whole and seen.asked_ids is None)
            for name, seen in trusted.items()
        }

    def note(self, store: StateStore, backends: Backends, specs: Mapping[str, BackendSpec]) -> tuple[Diagnostic, ...]:
        """Leave it in the state; what stands in the way is a warning, and never a failure."""
        if not isinstance(store, KeepsUsage) or not self.backends:
            return ()
        try:
            notes = store.usage_notes()
            found = _with_pools(self.backends, notes, backends, specs)
            if found:
                notes.take(found)
        except StateError as problem:
            summary = f"what is used could not be noted in the state: {problem.reason}"
            return (warning("state.use-not-noted", summary, remedy=problem.remedy),)
        return ()


def _use(seen: BackendObservation, at: int, shares: Mapping[str, int | None], *, is_whole: bool) -> BackendUse:
    """Return what one backend said of the state's shares; of a driver that says nothing of use, nothing is known."""
    if shares and all(used_bytes is None for used_bytes in shares.values()):
        return BackendUse(seen.backend, at)
    return BackendUse(seen.backend, at, shares, is_whole)


def _with_pools(
    seen: Mapping[str, BackendUse], notes: UsageNotes, backends: Backends, specs: Mapping[str, BackendSpec]
) -> list[BackendUse]:
    """Return what there is to be noted, with the pools of backends that were not asked for them within the spacing of samples."""
    newest: dict[str, int] = {}
    for (backend, _), samples in notes.pool_samples().items():
        newest[backend] = max(newest.get(backend, 0), samples[-1].at)
    due = [
        name
        for name, use in seen.items()
        if name in specs and specs[name].enabled and abs(use.at - newest.get(name, 0)) >= SAMPLE_SPACING_SECONDS
    ]
    pools = _pools(due, backends)
    found = [
        BackendUse(use.backend, use.at, use.shares, use.is_whole, pools.get(name, {})) for name, use in seen.items()
    ]
    return [use for use in found if use.shares or use.is_whole or use.pools]


def _pools(names: list[str], backends: Backends) -> dict[str, dict[str, PoolSample]]:
    """Ask backends for their pools, side by side; one that does not answer has none this time."""

    def ask(name: str) -> dict[str, PoolSample]:
        return {pool.name: sample_of(pool, int(time.time())) for pool in pools_of(backends.driver(name))}

    answers = ask_each(sorted(names), ask, _POOLS_SECONDS)
    return {name: answer.value for name, answer in answers.items() if answer.value is not None}
