"""The steps of a plan, of all kinds of resources: what is due becomes steps, and what is refused is taken out again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.candidates import backends_in
from sharectl.model.kinds import Kind, address_of, is_of, kind_of, of_kind
from sharectl.model.plans import CreateShare, UpdateAccess
from sharectl.model.verbs import Verb
from sharectl.planner.backends.findings import tell_unseen_backends
from sharectl.planner.backends.steps import plan_backends
from sharectl.planner.draft import MAKING, REMOVING, REVERTING, refuse_left_out, step_id
from sharectl.planner.holds import hold_refused
from sharectl.planner.kinds import planner_of
from sharectl.planner.moves import tell_undeclared_renames
from sharectl.planner.order import linked_steps
from sharectl.planner.safety import check_kept_snapshots, check_limits, check_revocations
from sharectl.planner.share_servers.steps import plan_share_servers
from sharectl.planner.shares.changes import hold_for_snapshot, may_be_cloned
from sharectl.planner.shares.steps import plan_beside_refusal, plan_new_share
from sharectl.planner.strays import forget_given_up_imports, plan_imports, refuse_unfinished_import

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.model.candidates import Candidate
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Held, Step
    from sharectl.model.settings import SchedulerSettings
    from sharectl.planner.draft import Draft
    from sharectl.planner.selection import Due
    from sharectl.planner.shares.requests import Placement
    from sharectl.scheduler.pools import Pool


def plan_due(draft: Draft, due: Due, pools: Sequence[Pool], settings: SchedulerSettings) -> None:
    """Add the steps for all that is due, and refuse what must not or cannot be done."""
    plan_imports(draft)
    draft.new += due.new
    for address in due.changed:
        deviation, planner = draft.deviations.get(address), planner_of(kind_of(address))
        is_gone = deviation is not None and deviation.observed is None
        (planner.lost if is_gone else planner.changed)(draft, address)
    tell_unseen_backends(draft)
    seen_to = frozenset(draft.recreations)  # a lost share was looked at where it was found to be lost
    draft.new = sorted(address for address in draft.new if address in seen_to or _is_free(draft, address))
    for address in due.removed:
        if address not in draft.replaced:
            planner_of(kind_of(address)).removed(draft, address)
    placed = _placed(draft, pools, settings)
    for address in [address for address in draft.new if address in placed]:
        plan_new_share(draft, address, placed[address], _reason_of_new(draft, address))
    _refuse_halves(draft, placed)
    for address in draft.new:
        planner_of(kind_of(address)).new(draft, address)
    _refuse_lost_sources(draft)
    if draft.options.narrows:
        _refuse_reverts_before_snapshots(draft)
    plan_share_servers(draft)
    forget_given_up_imports(draft)
    plan_backends(draft)
    tell_undeclared_renames(draft)
    check_limits(draft)
    check_kept_snapshots(draft)
    if draft.desired.defaults is not None:
        from sharectl.planner.defaults import tell_changed_defaults  # noqa: PLC0415 - most projects have none

        tell_changed_defaults(draft)
    if not all(map(_names_in_ascii, draft.steps.values())):
        from sharectl.planner.names import tell_misleading_names  # noqa: PLC0415 - most plans name nobody so

        tell_misleading_names(draft)
    if Verb.EXTEND_SHARE in draft.verbs:
        from sharectl.planner.shares.room import note_room  # noqa: PLC0415 - most plans extend nothing

        note_room(draft, pools, settings)
    draft.let_go()


def _placed(draft: Draft, pools: Sequence[Pool], settings: SchedulerSettings) -> Placement:
    """Return the candidates of each new share that has a place."""
    addresses = [address for address in draft.new if _can_be_placed(draft, address)]
    if not addresses:
        return {}
    from sharectl.planner.shares.placement import place_new_shares  # noqa: PLC0415 - most plans need no scheduler

    ordered_pools = sorted(pools, key=lambda pool: pool.host)  # of equal pools, the scheduler takes the first
    return place_new_shares(draft, addresses, ordered_pools, settings)


def settled_steps(draft: Draft) -> tuple[tuple[Step, ...], tuple[Held, ...]]:
    """Return the steps in their order, without those that refusals hold, and what is held."""
    held = hold_refused(draft)
    for address in sorted(held.kept):
        plan_beside_refusal(draft, address)
    check_revocations(draft)
    return linked_steps(draft), held.report()


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


def _names_in_ascii(step: Step) -> bool:
    """Tell whether whoever the step lets in has a name that cannot mislead. What follows from its work is not spelled out for that."""
    if step.stated_changes is not None:
        return all(change.field.isascii() for change in step.stated_changes)
    return not isinstance(step.work, UpdateAccess) or all(rule.access_to.isascii() for rule in step.work.rules)


def _refuse_halves(draft: Draft, placed: Placement) -> None:
    """Refuse replacements of which only the removal would be left, unless a refusal keeps the new share from being made, which holds both."""
    if not draft.replaced:
        return
    refused = {each.address for each in draft.refusals if each.verbs is None or Verb.CREATE_SHARE in each.verbs}
    explained = {diagnostic.address for diagnostic in draft.diagnostics} | draft.awaited.keys()
    for address in sorted(draft.replaced.keys() - refused):
        unread = _unread_backends(draft, placed[address]) if address in placed else None
        if unread == "":
            continue
        why, remedy = (
            "would be on a backend that this plan leaves out",
            "plan without --backend, or name the new backend too",
        )
        if unread is not None:
            why, remedy = f"would be on backend {unread}, which cannot be read", "see to the backend, then plan again"
        elif address in explained:
            why, remedy = "cannot be made yet", "mend what it waits for first"
        draft.refuse(
            "share.half-replaced",
            address,
            f"{address} would be removed, and the new share in its place {why}",
            remedy=remedy,
            holds=MAKING | REMOVING,
        )


def _unread_backends(draft: Draft, candidates: Sequence[Candidate]) -> str:
    """Return the backends of candidates where none of these can be read, for a sentence; nothing where one can."""
    names = backends_in(candidates)
    seen = [draft.observed[name] for name in names]
    return " or ".join(sorted(names)) if all(each.error is not None and each.shares is None for each in seen) else ""


def _is_free(draft: Draft, address: Address) -> bool:
    """Tell whether a resource may be made; refuse what is to be taken over, or whose name is taken by what the state does not know."""
    return refuse_unfinished_import(draft, address) and planner_of(kind_of(address)).is_free(draft, address)


def _refuse_lost_sources(draft: Draft) -> None:
    """Refuse snapshots of shares, and clones of snapshots, that are gone or will be elsewhere when they are needed."""
    if draft.verbs.isdisjoint({Verb.CREATE_SNAPSHOT, Verb.CREATE_SHARE}):
        return
    for step in tuple(draft.steps.values()):
        if step.verb is Verb.CREATE_SNAPSHOT:
            share = address_of(Kind.SHARE, draft.desired.snapshot(step.address).share)
            _refuse_lost_source(draft, step, share, Verb.CREATE_SHARE)
        elif isinstance(step.work, CreateShare) and step.work.spec.source_snapshot:
            source = address_of(Kind.SNAPSHOT, step.work.spec.source_snapshot)
            _refuse_lost_source(draft, step, source, Verb.CREATE_SNAPSHOT)
            taken = draft.steps.get(step_id(Verb.CREATE_SNAPSHOT, source))
            holder = draft.records[source].backend if taken is None else taken.backend
            if holder != step.backend:
                draft.refuse(
                    "share.source-elsewhere",
                    step.address,
                    f"{step.address} would be made on backend {step.backend}, and {source} will be on {holder}",
                    detail="a clone is made where its snapshot is.",
                    remedy=f"apply the changes of {source} and its share first",
                    path="spec.sourceSnapshot",
                )


def _refuse_reverts_before_snapshots(draft: Draft) -> None:
    """Refuse to revert a share while the plan leaves out a snapshot of it in the manifests, which is meant to keep what would be lost."""
    if Verb.REVERT_SHARE not in draft.verbs:
        return
    for snapshot in sorted(of_kind(Kind.SNAPSHOT, draft.desired.digests)):
        if snapshot not in draft.records and not draft.chooses(snapshot):
            share = address_of(Kind.SHARE, draft.desired.snapshot(snapshot).share)
            if draft.has(share, Verb.REVERT_SHARE):
                refuse_left_out(draft, share, snapshot, REVERTING)


def _refuse_lost_source(draft: Draft, step: Step, needed: Address, maker: Verb) -> None:
    deviation = draft.deviations.get(needed)
    if deviation is not None and deviation.observed is None and not draft.has(needed, maker):
        refuse_left_out(draft, step.address, needed)
