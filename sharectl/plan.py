"""The planner: from what is wanted, recorded, observed and free, the graph of steps that apply walks. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.plans import Plan, backends_of
from sharectl.model.settings import SchedulerSettings
from sharectl.model.verbs import Verb
from sharectl.planner.backends.findings import (
    find_unread,
    note_open_operations,
    note_twin_backends,
    refuse_renamed_backends,
    tell_foreign_backends,
    tell_hindrances,
    tell_open_trash,
)
from sharectl.planner.draft import Draft
from sharectl.planner.exports import NO_EXPORTS, tell_unseen_exports
from sharectl.planner.moves import plan_moves
from sharectl.planner.observed import find_deviations, without_own_rules_ignored
from sharectl.planner.options import PlanOptions
from sharectl.planner.records import DEPOSED_MARK
from sharectl.planner.report import drift_report, summarize
from sharectl.planner.safety import check_empty
from sharectl.planner.selection import find_due, is_quiet, tell_unknown_addresses
from sharectl.planner.snapshots import removes_data

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sharectl.manifests.desired import Desired
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Held, Step
    from sharectl.model.records import StateView
    from sharectl.planner.exports import Exports
    from sharectl.planner.observed import Deviation, Observed
    from sharectl.planner.selection import Comparison
    from sharectl.scheduler.pools import Pool

_NO_OPTIONS = PlanOptions()
_DEFAULT_SETTINGS = SchedulerSettings()


def plan(  # noqa: PLR0913, PLR0917 - the four inputs of the design, and what the user chose
    desired: Desired,
    state: StateView,
    observed: Observed,
    pools: Sequence[Pool],
    options: PlanOptions = _NO_OPTIONS,
    settings: SchedulerSettings = _DEFAULT_SETTINGS,
    deviations: Mapping[Address, Deviation] | None = None,
    compared: Comparison | None = None,
    exports: Exports = NO_EXPORTS,
) -> Plan:
    """Return what must be done so that `desired` holds, with every reason why some of it may not be done.

    `observed` has an entry for each backend in `desired`. `state.rules` must hold the access rules of `addresses_with_rules`.
    `deviations` and `compared` may be passed where `find_deviations` and `compare` have been called already. `exports` are the settings
    of exports, and what of them is to change. What is refused is held, with all that depends on it, and the steps are the rest; a plan
    that is stopped is for reading only. The result does not depend on the order of anything in the arguments.
    """
    if deviations is None:
        deviations = find_deviations(state, observed)
    deviations = without_own_rules_ignored(state, deviations)
    unsnapshotted = frozenset(pool.host for pool in pools if pool.capabilities.get("snapshot_support") is False)
    records = dict(state.records)
    draft = Draft(desired, state, observed, options, deviations, records, exports, unsnapshotted, compared=compared)
    tell_unknown_addresses(draft)
    tell_foreign_backends(draft)
    note_open_operations(draft)
    refuse_renamed_backends(draft)
    note_twin_backends(draft)
    tell_hindrances(draft)
    tell_open_trash(draft)
    plan_moves(draft)
    aside = [] if options.destroy else [a for a in draft.comparison.without_manifest if DEPOSED_MARK in a]
    if aside:
        from sharectl.planner.shares.returns import plan_returns  # noqa: PLC0415 - replacements are rarely cut short

        plan_returns(draft, aside)
    tell_unseen_exports(draft)
    unread = find_unread(draft)
    steps, held, unchanged = _steps(draft, pools, settings)
    return Plan(
        lineage=state.lineage,
        serial=state.serial,
        steps=steps,
        held=held,
        is_stopped=draft.is_stopped,
        drift=drift_report(draft),
        diagnostics=_told(draft),
        summary=summarize(steps, unchanged),
        backends={name: desired.backends[name] for name in backends_of(steps) if name in desired.backends},
        extra_specs=_extra_specs(desired, steps),
        unread=unread,
        overridden=tuple(sorted(_removed(steps) & options.override_protection)) if options.override_protection else (),
    )


def _removed(steps: Iterable[Step]) -> set[Address]:
    """Return the shares that the steps take from their backends, those that are replaced by the name that they had."""
    return {step.address.partition(DEPOSED_MARK)[0] for step in steps if removes_data(step)}


def _steps(
    draft: Draft, pools: Sequence[Pool], settings: SchedulerSettings
) -> tuple[tuple[Step, ...], tuple[Held, ...], int]:
    """Return the steps, what is held, and how many resources are as they should be."""
    due = find_due(draft) if check_empty(draft) else None
    if due is not None and is_quiet(draft, due):
        return (), (), due.unchanged
    from sharectl.planner.steps import plan_due, settled_steps  # noqa: PLC0415 - an empty plan, as most are, needs nothing of it

    if due is not None:
        plan_due(draft, due, pools, settings)
    return *settled_steps(draft), 0 if due is None else due.unchanged


def _told(draft: Draft) -> tuple[Diagnostic, ...]:
    """Return what was found; what many have from one place, once for all of them, unless one share is asked about."""
    if not draft.diagnostics or draft.options.witness is not None:
        return tuple(draft.diagnostics)
    from sharectl.planner.defaults import told_once  # noqa: PLC0415 - an empty plan, as most are, tells nothing

    return told_once(draft.desired, draft.diagnostics)


def _extra_specs(desired: Desired, steps: Sequence[Step]) -> dict[str, Mapping[str, str]]:
    names = {
        name
        for step in steps
        if step.verb is Verb.CREATE_SHARE and (name := getattr(step.spec, "share_type", None)) is not None
    }
    return {name: desired.share_types[name].extra_specs for name in sorted(names)}
