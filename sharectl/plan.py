"""The planner: from what is wanted, recorded, observed and free, the graph of steps that apply walks. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.diagnostics import error, warning
from sharectl.model import SchedulerSettings, Verb
from sharectl.planning.draft import Draft, step_id
from sharectl.planning.drift import Deviation, find_deviations, unknown_backends
from sharectl.planning.imports import plan_imports
from sharectl.planning.linking import linked_steps
from sharectl.planning.moves import plan_moves
from sharectl.planning.options import PlanOptions
from sharectl.planning.placement import place_new_shares
from sharectl.planning.report import drift_report, summarize
from sharectl.planning.safety import check_empty, check_kept_snapshots, check_limits
from sharectl.planning.selection import selector, unknown_addresses
from sharectl.planning.shares import plan_changed_share, plan_lost_share, plan_new_share, plan_removed_share
from sharectl.planning.snapshots import plan_changed_snapshot, plan_new_snapshot, plan_removed_snapshot
from sharectl.planning.types import Action, Plan, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sharectl.manifests.desired import Desired
    from sharectl.model import Address
    from sharectl.planning.observed import Observed
    from sharectl.scheduler import Pool
    from sharectl.state.store import StateView

__all__ = ["Action", "Plan", "PlanOptions", "Step", "addresses_with_rules", "plan"]

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
) -> Plan:
    """Return what must be done so that `desired` holds, with every reason why some of it may not be done.

    `observed` has an entry for each backend in `desired`. `state.rules` must hold the access rules of `addresses_with_rules`.
    `deviations` may be passed where `find_deviations` has been called already. A plan with an error among its diagnostics is
    for reading only. The result does not depend on the order of anything in the arguments.
    """
    if deviations is None:
        deviations = find_deviations(state, observed)
    draft = Draft(desired, state, observed, options, deviations, records=dict(state.records))
    draft.diagnostics += unknown_addresses(desired, draft.records, options)
    draft.diagnostics += unknown_backends(state, observed)
    if state.operations:
        _note_open_operations(draft)
    plan_moves(draft)
    draft.recorded_total = sum(1 for record in draft.records.values() if record.kind != "backend")
    unchanged = 0
    if check_empty(draft):
        unchanged = _plan_resources(draft, pools, settings)
        check_limits(draft)
        check_kept_snapshots(draft)
    steps = linked_steps(draft)
    return Plan(
        lineage=state.lineage,
        serial=state.serial,
        steps=steps,
        drift=drift_report(draft),
        diagnostics=tuple(draft.diagnostics),
        summary=summarize(steps, unchanged),
        backends={name: desired.backends[name] for name in _backends_of(steps) if name in desired.backends},
        extra_specs=_extra_specs(desired, steps),
    )


def addresses_with_rules(desired: Desired, state: StateView, deviations: Mapping[Address, Deviation]) -> set[Address]:
    """Return the shares whose recorded access rules the planner will want to see: those that are not as they should be."""
    records = state.records
    wanted = {
        address
        for address, digest in desired.digests.items()
        if (record := records.get(address)) is not None and record.digest != digest
    }
    moved = {former for formers in desired.moves.values() for former in formers if former in records}
    return wanted | moved | {address for address in deviations if address.startswith("share/")}


def _plan_resources(draft: Draft, pools: Sequence[Pool], settings: SchedulerSettings) -> int:
    """Add the steps for all selected shares and snapshots; return how many are as they should be."""
    selects = selector(draft.desired, draft.records, draft.options)
    digests: Mapping[Address, bytes] = {} if draft.options.destroy else draft.desired.digests
    plan_imports(draft)
    unchanged = _sort_out(draft, digests, selects)
    _plan_removals(draft, digests, selects)
    _plan_backends(draft, selects)
    new_shares = [a for a in draft.new if a.startswith("share/")]
    placed = place_new_shares(draft, new_shares, pools, settings)
    for address in sorted(placed):
        reason = "a new share in place of the old one" if address in draft.replaced else "not there yet"
        plan_new_share(draft, address, placed[address], reason)
    for address in sorted(draft.new):
        if address.startswith("snapshot/"):
            plan_new_snapshot(draft, address)
    _check_backends(draft)
    return unchanged


def _sort_out(draft: Draft, digests: Mapping[Address, bytes], selects: Callable[[Address], bool] | None) -> int:
    """Find what is new (into `draft.new`), plan what has changed, and return how many resources are as they should be."""
    records, deviations, options = draft.records, draft.deviations, draft.options
    changed: list[Address] = []
    unchanged = 0
    for address, digest in digests.items():
        record = records.get(address)
        if (
            record is not None
            and record.digest == digest
            and address not in deviations
            and address not in options.replaces
        ):
            unchanged += 1
        elif selects is not None and not selects(address):
            continue
        elif record is not None:
            changed.append(address)
        elif address not in options.imports:
            draft.new.append(address)
    for address in sorted(changed):
        if options.backends and records[address].backend not in options.backends:
            continue
        _plan_existing(draft, address)
    return unchanged


def _plan_existing(draft: Draft, address: Address) -> None:
    deviation = draft.deviations.get(address)
    gone = deviation is not None and deviation.observed is None
    if address.startswith("snapshot/"):
        (plan_new_snapshot if gone else plan_changed_snapshot)(draft, address)
        return
    if gone:
        plan_lost_share(draft, address)
        return
    plan_changed_share(draft, address)
    if address in draft.replaced:
        draft.new.append(address)


def _plan_removals(draft: Draft, digests: Mapping[Address, bytes], selects: Callable[[Address], bool] | None) -> None:
    removed = [
        a for a in draft.records if a not in digests and not a.startswith("backend/") and a not in draft.replaced
    ]
    for address in sorted(removed):
        record = draft.records[address]
        if selects is not None and not selects(address):
            continue
        if draft.options.backends and record.backend not in draft.options.backends:
            continue
        (plan_removed_snapshot if record.kind == "snapshot" else plan_removed_share)(draft, address)


def _plan_backends(draft: Draft, selects: Callable[[Address], bool] | None) -> None:
    """Add a step for each backend that has never been prepared, and for each that nothing needs any more."""
    needed = {record.backend for record in draft.records.values() if record.kind != "backend"}
    for name, spec in sorted(draft.desired.backends.items()):
        address = f"backend/{name}"
        wanted = spec.enabled and not draft.options.destroy and address not in draft.records
        if wanted and (not draft.options.backends or name in draft.options.backends):
            draft.add(
                Step(
                    step_id=step_id(Verb.PREPARE_BACKEND, address),
                    address=address,
                    action=Action.CREATE,
                    verb=Verb.PREPARE_BACKEND,
                    reason=f"never used before; {spec.driver} makes it ready and the state pins its identity",
                    backend=name,
                )
            )
    for address, record in sorted(draft.records.items()):
        unwanted = address.partition("/")[2] not in draft.desired.backends
        if (
            record.kind == "backend"
            and unwanted
            and record.backend not in needed
            and (selects is None or selects(address))
        ):
            draft.add(
                Step(
                    step_id=step_id(Verb.FORGET, address),
                    address=address,
                    action=Action.FORGET,
                    verb=Verb.FORGET,
                    reason="its manifest is gone and nothing of the state is on it",
                    expected_version=record.version,
                )
            )


def _check_backends(draft: Draft) -> None:
    """Refuse steps on a backend that has no manifest: there is no way to reach it."""
    missing: dict[str, list[Address]] = {}
    for step in draft.steps.values():
        if step.backend is not None and step.backend not in draft.desired.backends:
            missing.setdefault(step.backend, []).append(step.address)
    for backend, addresses in sorted(missing.items()):
        draft.diagnostics.append(
            error(
                "backend.undeclared",
                f"backend {backend} has no manifest any more, and {len(addresses)} resources on it need a change",
                detail=f"the first of them is {min(addresses)}.",
                remedy=f"restore the Backend manifest of {backend} until nothing is left on it",
                address=f"backend/{backend}",
            )
        )


def _note_open_operations(draft: Draft) -> None:
    first = draft.state.operations[0]
    draft.diagnostics.append(
        warning(
            "state.open-operations",
            f"{len(draft.state.operations)} operations of an earlier run are unresolved, the first {first.verb} of {first.address}",
            detail="that run was cut short; what it was doing is not known here, so this plan may still change.",
            remedy="the next apply asks the backends first, records what is there, and plans after that",
            address=first.address,
        )
    )


def _backends_of(steps: Sequence[Step]) -> list[str]:
    """Return every backend that a step may run on, by name."""
    tried = {candidate.backend for step in steps for candidate in step.candidates}
    return sorted(tried | {step.backend for step in steps if step.backend is not None})


def _extra_specs(desired: Desired, steps: Sequence[Step]) -> dict[str, Mapping[str, str]]:
    names = {
        name
        for step in steps
        if step.verb is Verb.CREATE_SHARE and (name := getattr(step.spec, "share_type", None)) is not None
    }
    return {name: desired.share_types[name].extra_specs for name in sorted(names)}
