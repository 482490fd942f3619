"""The planner: from what is wanted, recorded, observed and free, the graph of steps that apply walks. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.kinds import MANAGED_KINDS, Kind, address_of, is_of
from sharectl.model.plans import Action, Plan, Step
from sharectl.model.settings import SchedulerSettings
from sharectl.model.verbs import Verb
from sharectl.planner.access.exports import NO_EXPORTS, unseen_exports
from sharectl.planner.access.revocations import check_revocations
from sharectl.planner.backends.foreign import find_foreign_backends, find_unseen_backends
from sharectl.planner.backends.hindrances import hindrances
from sharectl.planner.backends.steps import backends_of, plan_backends
from sharectl.planner.backends.twins import note_twin_backends
from sharectl.planner.backends.undeclared import refuse_renamed_backends
from sharectl.planner.backends.unread import find_unread
from sharectl.planner.draft import Draft
from sharectl.planner.drift import Deviation, find_deviations, without_own_rules_ignored
from sharectl.planner.elsewhere import left_alone
from sharectl.planner.holds import hold_refused
from sharectl.planner.imports.steps import plan_imports
from sharectl.planner.imports.unfinished import forget_given_up_imports, refuse_unfinished_import
from sharectl.planner.moves import plan_moves
from sharectl.planner.open_operations import note_open_operations, note_writer
from sharectl.planner.options import PlanOptions
from sharectl.planner.order import linked_steps
from sharectl.planner.refusals import refuse_left_out, refuse_lost_sources
from sharectl.planner.report import drift_report, summarize
from sharectl.planner.safety import check_empty, check_kept_snapshots, check_limits
from sharectl.planner.scopes import MAKING, REMOVING
from sharectl.planner.selection import move_selector, selector, unknown_addresses
from sharectl.planner.share_servers.steps import plan_share_servers
from sharectl.planner.shares.in_the_way import refuse_taken_name, refuse_taken_snapshot
from sharectl.planner.shares.placed_checks import may_be_cloned
from sharectl.planner.shares.placement import place_new_shares
from sharectl.planner.shares.renames import undeclared_renames
from sharectl.planner.shares.revert import hold_for_snapshot, is_awaited
from sharectl.planner.shares.steps import (
    plan_beside_refusal,
    plan_changed_share,
    plan_lost_share,
    plan_new_share,
    plan_removed_share,
)
from sharectl.planner.snapshots.steps import plan_changed_snapshot, plan_new_snapshot, plan_removed_snapshot
from sharectl.state.rows import spec_object_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from sharectl.manifests.desired import Desired
    from sharectl.model.kinds import Address
    from sharectl.model.records import StateView
    from sharectl.planner.access.exports import Exports
    from sharectl.planner.observed import Observed
    from sharectl.scheduler import Pool

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
    exports: Exports = NO_EXPORTS,
) -> Plan:
    """Return what must be done so that `desired` holds, with every reason why some of it may not be done.

    `observed` has an entry for each backend in `desired`. `state.rules` must hold the access rules of `addresses_with_rules`.
    `deviations` may be passed where `find_deviations` has been called already. `exports` are the settings of exports, and what of
    them is to change. What is refused is held, with all that depends on it, and the steps are the rest; a plan that is stopped is for reading only. The result does not depend on the order of anything in the arguments.
    """
    if deviations is None:
        deviations = find_deviations(state, observed)
    deviations = without_own_rules_ignored(state, deviations)
    draft = Draft(desired, state, observed, options, deviations, dict(state.records), exports)
    draft.export_changes = dict(exports.changes)
    draft.diagnostics += unknown_addresses(desired, draft.records, options)
    draft.diagnostics += find_foreign_backends(draft)
    if state.writer is not None:
        note_writer(draft, state.writer)
    elif state.operations:
        note_open_operations(draft)
    refuse_renamed_backends(draft)
    note_twin_backends(draft)
    draft.diagnostics += hindrances(draft)
    plan_moves(draft)
    draft.diagnostics += unseen_exports(draft)
    unread = find_unread(draft)
    draft.recorded_total = sum(record.kind in MANAGED_KINDS for record in draft.records.values())
    draft.servers = {r.resource_id: a for a, r in draft.records.items() if is_of(Kind.SHARE_SERVER, a)}
    unchanged = 0
    if check_empty(draft):
        unchanged = _plan_resources(draft, pools, settings)
        draft.diagnostics += undeclared_renames(draft)
        check_limits(draft)
        check_kept_snapshots(draft)
    held = hold_refused(draft)
    for address in sorted(held.kept):
        plan_beside_refusal(draft, address)
    check_revocations(draft)
    steps = linked_steps(draft, move_selector(draft))
    return Plan(
        lineage=state.lineage,
        serial=state.serial,
        steps=steps,
        held=held.report(),
        is_stopped=draft.is_stopped,
        drift=drift_report(draft),
        diagnostics=tuple(draft.diagnostics),
        summary=summarize(steps, unchanged),
        backends={name: desired.backends[name] for name in backends_of(steps) if name in desired.backends},
        extra_specs=_extra_specs(desired, steps),
        unread=unread,
    )


def addresses_with_rules(
    desired: Desired,
    state: StateView,
    deviations: Mapping[Address, Deviation],
    options: PlanOptions = _NO_OPTIONS,
    exports: Exports = NO_EXPORTS,
) -> set[Address]:
    """Return the shares whose recorded access rules the planner will want to see: those that are not as they should be, or are to go."""
    records = state.records
    if options.destroy:
        return {address for address in records if is_of(Kind.SHARE, address)}
    wanted = {
        address
        for address, digest in desired.digests.items()
        if (record := records.get(address)) is not None and not record.is_applied(digest)
    }
    moved = {former for formers in desired.moves.values() for former in formers if former in records}
    removed = {address for address in records if is_of(Kind.SHARE, address) and address not in desired.digests}
    drifted = {address for address in deviations if is_of(Kind.SHARE, address)}
    return wanted | moved | removed | options.replaces | drifted | exports.changes.keys()


def _plan_resources(draft: Draft, pools: Sequence[Pool], settings: SchedulerSettings) -> int:
    """Add the steps for all selected shares and snapshots; return how many are as they should be."""
    selects = selector(draft)
    digests: Mapping[Address, bytes] = {} if draft.options.destroy else draft.desired.digests
    plan_imports(draft)
    unchanged = _sort_out(draft, digests, selects)
    draft.diagnostics += find_unseen_backends(draft)
    draft.new = [address for address in draft.new if _is_free(draft, address)]
    _plan_removals(draft, digests, selects)
    new = sorted(draft.new)
    ordered_pools = sorted(pools, key=lambda pool: pool.host)  # of equal pools, the scheduler takes the first
    placed = place_new_shares(draft, [a for a in new if _can_be_placed(draft, a)], ordered_pools, settings)
    for address in sorted(placed):
        plan_new_share(draft, address, placed[address], _reason_of_new(draft, address))
    _refuse_halves(draft, placed)
    for address in new:
        if is_of(Kind.SNAPSHOT, address):
            plan_new_snapshot(draft, address)
    refuse_lost_sources(draft)
    plan_share_servers(draft, selects)
    forget_given_up_imports(draft, selects)
    plan_backends(draft, selects)
    return unchanged


def _reason_of_new(draft: Draft, address: Address) -> str:
    if address in draft.replaced:
        return "a new share in place of the old one"
    return "gone from its backend; made again where its snapshot is" if address in draft.records else "not there yet"


def _can_be_placed(draft: Draft, address: Address) -> bool:
    """Tell whether this is a share; refuse a clone whose snapshot is not there and will not be."""
    if not is_of(Kind.SHARE, address):
        return False
    source = draft.desired.share(address).source_snapshot
    if source is None:
        return True
    snapshot = address_of(Kind.SNAPSHOT, source)
    if hold_for_snapshot(draft, address, snapshot):
        return False
    if snapshot in draft.records or snapshot in draft.new:
        return may_be_cloned(draft, address)
    refuse_left_out(draft, address, snapshot)
    return False


def _refuse_halves(draft: Draft, placed: Collection[Address]) -> None:
    """Refuse replacements of which only the removal would be left, because the new share belongs on another backend."""
    explained = {diagnostic.address for diagnostic in draft.diagnostics}
    for address in sorted(draft.replaced.keys() - placed - explained):
        draft.refuse(
            "share.half-replaced",
            address,
            f"{address} would be removed, and the new share in its place would be on a backend that this plan leaves out",
            remedy="plan without --backend, or name the new backend too",
            holds=MAKING | REMOVING,
        )


def _sort_out(draft: Draft, digests: Mapping[Address, bytes], selects: Callable[[Address], bool] | None) -> int:
    """Find what is new (into `draft.new`), plan what has changed, and return how many resources are as they should be."""
    records, deviations, options, exported = draft.records, draft.deviations, draft.options, draft.export_changes
    changed: list[Address] = []
    unchanged = 0
    for address, digest in digests.items():
        record = records.get(address)
        if (
            record is not None
            and record.is_applied(digest)
            and address not in deviations
            and address not in exported
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
    if is_of(Kind.SNAPSHOT, address):
        if not gone:
            plan_changed_snapshot(draft, address)
        elif not is_awaited(draft, address):
            draft.new.append(address)  # taken again when it is known where its share will be
    elif gone:
        _plan_lost_share(draft, address)
    else:
        plan_changed_share(draft, address)
        if address in draft.replaced:
            draft.new.append(address)


def _is_free(draft: Draft, address: Address) -> bool:
    """Tell whether a resource may be made; refuse what is to be taken over, or whose name is taken by what the state does not know."""
    if not refuse_unfinished_import(draft, address):
        return False
    if is_of(Kind.SNAPSHOT, address):
        return refuse_taken_snapshot(draft, address)
    return refuse_taken_name(draft, address, draft.strays_by_name)


def _plan_lost_share(draft: Draft, address: Address) -> None:
    """Plan a vanished share in its own place, or, where that would be the wrong one, with the new shares.

    It is the wrong one for a clone whose snapshot will not be there, and for a share that is to be on another network now. A share
    that is listed under its name all the same (put back from a copy, by hand) is not made beside that.
    """
    if not _is_free(draft, address):
        return
    wanted, record = draft.desired.share(address), draft.records[address]
    source = wanted.source_snapshot
    if source is not None and hold_for_snapshot(draft, address, address_of(Kind.SNAPSHOT, source)):
        return
    snapshot = None if source is None else draft.records.get(address_of(Kind.SNAPSHOT, source))
    near_source = source is None or (snapshot is not None and snapshot.backend == record.backend)
    if near_source and spec_object_of(record).get("share_network") == wanted.share_network:
        plan_lost_share(draft, address)
    else:
        draft.recreations.append(address)
        draft.new.append(address)


def _plan_removals(draft: Draft, digests: Mapping[Address, bytes], selects: Callable[[Address], bool] | None) -> None:
    removed = [
        address
        for address, record in draft.records.items()
        if address not in digests
        and record.kind in MANAGED_KINDS
        and address not in draft.replaced
        and (selects is None or selects(address))
        and (not draft.options.backends or record.backend in draft.options.backends)
    ]
    kept = left_alone(draft, (address for address in removed if address not in draft.desired.digests))
    for address in sorted(set(removed) - kept):
        record = draft.records[address]
        (plan_removed_snapshot if record.kind == Kind.SNAPSHOT else plan_removed_share)(draft, address)


def _extra_specs(desired: Desired, steps: Sequence[Step]) -> dict[str, Mapping[str, str]]:
    names = {
        name
        for step in steps
        if step.verb is Verb.CREATE_SHARE and (name := getattr(step.spec, "share_type", None)) is not None
    }
    return {name: desired.share_types[name].extra_specs for name in sorted(names)}
