"""Why a share is, or would be, where it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sharectl.model.diagnostics import DiagnosticError, error, has_errors
from sharectl.model.frozen import dataclass, field
from sharectl.model.kinds import Kind, address_of, is_of, name_of
from sharectl.model.quantities import GIB
from sharectl.model.settings import SchedulerSettings
from sharectl.planner.backends.findings import UNREAD_CODES, unread_findings
from sharectl.planner.options import PlanOptions
from sharectl.planner.promises import PROMISED
from sharectl.scheduler.decision import Outcome
from sharectl.workspace.lookup import allowed_backends
from sharectl.workspace.survey import Question, survey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sharectl.manifests.desired import Desired
    from sharectl.model.diagnostics import Diagnostic, Source
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan
    from sharectl.model.records import StateView
    from sharectl.model.specs import ShareSpec
    from sharectl.planner.shares.placement import Witness
    from sharectl.scheduler.explanation import Explanation
    from sharectl.scheduler.pools import Pool
    from sharectl.state.contract import StateReader, StateStore
    from sharectl.workspace.backends import Backends
    from sharectl.workspace.repository import Repository

_MOST_NAMED = 5


def only_new_share(desired: Desired, store: StateStore, is_named: Callable[[str], bool]) -> Address:
    """Return the one share that is new, in the files (by their shown paths) that `is_named` tells of.

    Raises DiagnosticError where there is none, or more than one.
    """
    with store.read() as reader:
        records = frozenset(reader.addresses(address_of(Kind.SHARE, "")))
    new = []
    for address in desired.digests:
        if is_of(Kind.SHARE, address) and address not in records:
            source = desired.source(address)
            if source is not None and is_named(source.path):
                new.append(address)
                if len(new) > _MOST_NAMED:
                    break
    if len(new) == 1:
        return new[0]
    summary = "which share is meant? there are several new ones" if new else "no new share is described there"
    names = ", ".join(sorted(new[:_MOST_NAMED])) + (", …" if len(new) > _MOST_NAMED else "")
    remedy = f"name one of {names}" if new else "name a share: `sharectl explain share/NAME`"
    raise DiagnosticError(error("explain.which", summary, remedy=remedy))


@dataclass(frozen=True, slots=True)
class Explained:
    """The scheduler's explanation, and where the share is already, if it is anywhere (`backend#pool`).

    `after` counts the other new shares whose places were reserved before. `is_planned` where a plan makes the share: then the
    decision's host is the plan's. `replaces` is the place at which it is recorded, where a plan makes another in its place. `by_default` are the fields that the project's defaults give it, with their places.
    """

    address: Address
    explanation: Explanation
    placed_on: str | None
    after: int = 0
    diagnostics: tuple[Diagnostic, ...] = ()
    is_planned: bool = False
    replaces: str | None = None
    by_default: Mapping[str, Source | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What is to be explained: a share (None: the one that is new), as a plan of the backends in `limits` (of all) places it.

    `allowed` are backends that need not be read.
    """

    address: Address | None = None
    limits: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Case:
    """The share that is explained, and where all that is known of it comes from."""

    repository: Repository
    desired: Desired
    store: StateStore
    backends: Backends
    address: Address


def explain_share(repository: Repository, store: StateStore, inquiry: Inquiry) -> Explained:
    """Return why the share is, or would be, where it is, from what a plan does with it.

    A share that a plan of it alone leaves as it is depends on nothing else; for any other a plan of everything is made. Raises
    DiagnosticError where the share has no manifest, and for an unknown backend.
    """
    address = inquiry.address
    if address is not None and not is_of(Kind.SHARE, address):
        raise DiagnosticError(error("usage.address", f"{address} is not a share", remedy="only shares are placed"))
    settled = None if address is None else _settled(repository, store, address, inquiry)
    if settled is not None:
        return settled
    desired, is_named = repository.desired_beside()
    allowed = allowed_backends(inquiry.allowed, desired.backends)
    if address is None:
        address = only_new_share(desired, store, is_named)
    elif address not in desired.digests:
        remedy = (
            repository.nearest(address, store, Kind.SHARE)
            or "name a share that has a manifest, or pass its file with -f"
        )
        raise DiagnosticError(error("explain.unknown", f"no manifest describes {address}", remedy=remedy))
    with repository.backends(desired.backends) as backends:
        case = _Case(repository, desired, store, backends, address)
        plan, witness = _witnessed(case, PlanOptions(backends=inquiry.limits))
        explanation = witness.explanation or _placed_anew(case, witness)
    explained = Explained(
        address,
        explanation,
        _recorded_place(store, address),
        witness.after,
        _said_of(plan, address, allowed),
        by_default=desired.by_default(address),
    )
    first = next((s.candidates[0] for s in plan.steps if s.address == address and s.candidates), None)
    if first is None:
        return explained
    decision = replace(explanation.decision, outcome=Outcome.SCHEDULED, host=f"{first.backend}#{first.pool}")
    return replace(
        explained,
        explanation=replace(explanation, decision=decision),
        placed_on=None,
        is_planned=True,
        replaces=explained.placed_on,
    )


def _settled(repository: Repository, store: StateStore, address: Address, inquiry: Inquiry) -> Explained | None:
    """Return the explanation of a share that a plan of it alone leaves as it is; None for any other."""
    place = _recorded_place(store, address)
    if place is None:
        return None
    loaded, _ = repository.beside({address})
    desired = loaded.desired
    if has_errors(loaded.diagnostics) or address not in desired.digests:
        return None
    if desired.share(address).share_network is not None:
        return None  # its pools depend on the other new shares on networks
    allowed = allowed_backends(inquiry.allowed, desired.backends)
    with repository.backends(desired.backends) as backends:
        case = _Case(repository, desired, store, backends, address)
        plan, witness = _witnessed(case, PlanOptions(backends=inquiry.limits, targets=frozenset((address,))))
        if plan.steps or plan.held or plan.is_stopped or witness.explanation is not None:
            return None
        explanation = _placed_anew(case, witness)
    if loaded.diagnostics:
        repository.tell(loaded.diagnostics)
    said, by_default = _said_of(plan, address, allowed), desired.by_default(address)
    return Explained(address, explanation, place, 0, said, by_default=by_default)


def _witnessed(case: _Case, options: PlanOptions) -> tuple[Plan, Witness]:
    """Return a plan, and what the placement of the share looked like in it. Raises DiagnosticError for an unknown backend."""
    from sharectl.planner.shares.placement import Witness  # noqa: PLC0415 - only where something is placed
    from sharectl.workspace.plans import PlanRequest, make_plan  # noqa: PLC0415 - as above

    project, witness = case.repository.project, Witness(name_of(case.address))
    elsewhere = case.repository.elsewhere()
    options = replace(options, limits=project.safety, witness=witness, allow_empty=True, elsewhere=elsewhere)
    plan = make_plan(project, case.desired, case.store, case.backends, PlanRequest(options))
    unknown = [found for found in plan.diagnostics if found.code == "plan.unknown-backend"]
    if unknown:
        raise DiagnosticError(*unknown)
    return plan, witness


def _recorded_place(store: StateStore, address: Address) -> str | None:
    with store.read() as reader:
        record = reader.view((address,)).records.get(address)
    return None if record is None else f"{record.backend}#{record.pool}"


def _said_of(plan: Plan, address: Address, allowed: frozenset[str]) -> tuple[Diagnostic, ...]:
    said = (found for found in plan.diagnostics if found.code in {*UNREAD_CODES, PROMISED} or found.address == address)
    return unread_findings(said, allowed)


def _placed_anew(case: _Case, witness: Witness) -> Explanation:
    """Return what the pools that a plan was told of would say to a share that it does not place, were it placed now."""
    from sharectl.planner.draft import Draft  # noqa: PLC0415 - only where something is placed
    from sharectl.planner.shares.requests import request_of_placed  # noqa: PLC0415 - only where something is placed
    from sharectl.scheduler.engine import Scheduler  # noqa: PLC0415 - only where something is placed
    from sharectl.scheduler.explanation import explain  # noqa: PLC0415 - only where something is placed
    from sharectl.scheduler.request import PlacedShare  # noqa: PLC0415 - only where something is placed

    settings, spec = case.repository.project.scheduler, case.desired.share(case.address)
    pools, observed = witness.pools, witness.observed
    with case.store.read() as reader:
        view = reader.view(None if _needs_all_shares(pools, settings, spec) else _rows_needed(spec))
        pools = _marked_with_networks(case, reader, view, pools)
    placed = [
        PlacedShare(name_of(other), f"{record.backend}#{record.pool}", (record.size_bytes or 0) / GIB)
        for other, record in view.records.items()
        if record.kind == Kind.SHARE and other != case.address
    ]
    draft = Draft(case.desired, view, observed, PlanOptions(), {}, dict(view.records))
    return explain(Scheduler(pools, settings, placed), request_of_placed(draft, case.address))


def _needs_all_shares(pools: Iterable[Pool], settings: SchedulerSettings, spec: ShareSpec) -> bool:
    """Tell whether the answer may depend on shares that the share does not name.

    Filters of others may look at them, share servers are shared, and they stand in for what a thin pool does not report.
    """
    from sharectl.scheduler.values import is_thin  # noqa: PLC0415 - only where something is placed

    return (
        settings != SchedulerSettings()
        or spec.share_network is not None
        or any(
            is_thin(pool.capabilities.get("thin_provisioning", False))
            and pool.capabilities.get("provisioned_capacity_gb") is None
            for pool in pools
        )
    )


def _rows_needed(spec: ShareSpec) -> set[Address]:
    names = (spec.name, *spec.hints.same_host, *spec.hints.different_host)
    needed = {address_of(Kind.SHARE, name) for name in names}
    if spec.source_snapshot is not None:
        needed.add(address_of(Kind.SNAPSHOT, spec.source_snapshot))
    return needed


def _marked_with_networks(
    case: _Case, reader: StateReader, view: StateView, pools: tuple[Pool, ...]
) -> tuple[Pool, ...]:
    """Return the pools with the share networks that they can take new shares for, as a plan sees them."""
    desired, backends = case.desired, case.backends
    new = [other for other in desired.digests if is_of(Kind.SHARE, other) and other not in view.records]
    shares = dict.fromkeys((case.address, *new))
    if all(desired.share(share).share_network is None for share in shares):
        return pools
    from sharectl.planner.draft import Draft  # noqa: PLC0415 - only where shares have networks
    from sharectl.planner.observed import find_deviations  # noqa: PLC0415 - as above
    from sharectl.planner.share_servers.places import ServerPlaces  # noqa: PLC0415 - as above
    from sharectl.workspace.share_servers import subnets_to_check  # noqa: PLC0415 - as above

    backends.networks.attach_for_reading(reader, view.lineage)
    subnets = subnets_to_check(desired, view)
    questions = {
        name: Question(lists=True, subnets=subnets.get(name, {}))
        for name, spec in desired.backends.items()
        if spec.share_servers
    }
    observed = survey(desired.backends, backends, questions).observed
    draft = Draft(desired, view, observed, PlanOptions(), find_deviations(view, observed), dict(view.records))
    return tuple(ServerPlaces.for_shares(draft, shares).marked(pools))
