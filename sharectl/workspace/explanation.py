"""Why a share is, or would be, where it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sharectl.model.diagnostics import DiagnosticError, did_you_mean, error
from sharectl.model.kinds import Kind, address_of, is_of, name_of
from sharectl.model.quantities import GIB
from sharectl.planner.backends.unread import UNREAD_CODES
from sharectl.scheduler.decision import Outcome
from sharectl.workspace.capacity import survey_pools
from sharectl.workspace.survey import Question, survey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sharectl.manifests.desired import Desired
    from sharectl.manifests.project import Project
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.records import Record, StateView
    from sharectl.planner.elsewhere import Elsewhere
    from sharectl.scheduler import Explanation, Pool, Request
    from sharectl.state.contract import StateReader, StateStore
    from sharectl.workspace.backends import Backends
    from sharectl.workspace.inspection import Known

_MOST_NAMED = 5


def share_meant(desired: Desired, store: StateStore, is_named: Callable[[str], bool]) -> Address:
    """Return the one share that is new, in the files (by their shown paths) that `is_named` tells of.

    Raises DiagnosticError where there is none, or more than one.
    """
    with store.read() as reader:
        records = reader.view().records
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
    decision's host is the plan's. `replaces` is the place at which it is recorded, where a plan makes another in its place.
    """

    explanation: Explanation
    placed_on: str | None
    after: int = 0
    diagnostics: tuple[Diagnostic, ...] = ()
    is_planned: bool = False
    replaces: str | None = None


def explain_share(  # noqa: PLR0913, PLR0917 - the share, and all that it is placed by
    project: Project,
    desired: Desired,
    store: StateStore,
    backends: Backends,
    address: Address,
    known: Known,
    limits: frozenset[str] = frozenset(),
    elsewhere: Elsewhere | None = None,
) -> Explained:
    """Return why the share is, or would be, where it is: what a plan (of the backends in `limits`, if any) does with it, as it does it.

    Raises DiagnosticError where it has no manifest, and for an unknown backend.
    """
    if not is_of(Kind.SHARE, address):
        raise DiagnosticError(error("usage.address", f"{address} is no share", remedy="only shares are placed"))
    if address not in desired.digests:
        shares = [other for other in known() if is_of(Kind.SHARE, other)]
        remedy = did_you_mean(address, shares) or "name a share that has a manifest, or pass its file with -f"
        raise DiagnosticError(error("explain.unknown", f"no manifest describes {address}", remedy=remedy))
    from sharectl.planner.options import PlanOptions  # noqa: PLC0415 - only where something is placed
    from sharectl.planner.shares.witness import Witness  # noqa: PLC0415 - as above
    from sharectl.workspace.plans import PlanRequest, make_plan  # noqa: PLC0415 - as above

    witness = Witness(name_of(address))
    options = PlanOptions(
        limits=project.safety, backends=limits, witness=witness, allow_empty=True, elsewhere=elsewhere
    )
    plan = make_plan(project, desired, store, backends, PlanRequest(options))
    unknown = [found for found in plan.diagnostics if found.code == "plan.unknown-backend"]
    if unknown:
        raise DiagnosticError(*unknown)
    with store.read() as reader:
        record = reader.view((address,)).records.get(address)
    recorded_at = None if record is None else f"{record.backend}#{record.pool}"
    said = tuple(found for found in plan.diagnostics if found.code in UNREAD_CODES or found.address == address)
    explanation = witness.explanation or _placed_anew(project, desired, store, backends, address)
    first = next((s.candidates[0] for s in plan.steps if s.address == address and s.candidates), None)
    if first is None:
        return Explained(explanation, recorded_at, witness.after, said)
    decision = replace(explanation.decision, outcome=Outcome.SCHEDULED, host=f"{first.backend}#{first.pool}")
    explanation = replace(explanation, decision=decision)
    return Explained(explanation, None, witness.after, said, is_planned=True, replaces=recorded_at)


def _placed_anew(
    project: Project, desired: Desired, store: StateStore, backends: Backends, address: Address
) -> Explanation:
    """Return what the pools would say to a share that a plan does not place, were it placed now."""
    from sharectl.scheduler import PlacedShare, Scheduler, explain  # noqa: PLC0415 - only where something is placed

    pools, _ = survey_pools(desired, backends)
    with store.read() as reader:
        view = reader.view()
        records = view.records
        pools = _marked_with_networks(desired, backends, reader, view, address, pools)
    placed = [
        PlacedShare(other.partition("/")[2], f"{record.backend}#{record.pool}", (record.size_bytes or 0) / GIB)
        for other, record in records.items()
        if record.kind == Kind.SHARE and other != address
    ]
    return explain(Scheduler(pools, project.scheduler, placed), _request(desired, records, address))


def _marked_with_networks(  # noqa: PLR0913, PLR0917 - all that share servers depend on
    desired: Desired,
    backends: Backends,
    reader: StateReader,
    view: StateView,
    address: Address,
    pools: tuple[Pool, ...],
) -> tuple[Pool, ...]:
    """Return the pools with the share networks that they can take new shares for, as a plan sees them."""
    new = [other for other in desired.digests if is_of(Kind.SHARE, other) and other not in view.records]
    shares = dict.fromkeys((address, *new))
    if all(desired.share(share).share_network is None for share in shares):
        return pools
    from sharectl.planner.draft import Draft  # noqa: PLC0415 - only where shares have networks
    from sharectl.planner.drift import find_deviations  # noqa: PLC0415 - as above
    from sharectl.planner.options import PlanOptions  # noqa: PLC0415 - as above
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
    draft.servers = {r.resource_id: a for a, r in view.records.items() if r.kind == Kind.SHARE_SERVER}
    return tuple(ServerPlaces.for_shares(draft, shares).marked(pools))


def _request(desired: Desired, records: Mapping[Address, Record], address: Address) -> Request:
    from sharectl.planner.share_servers.places import on_network  # noqa: PLC0415 - only where something is placed
    from sharectl.scheduler import request_from_share  # noqa: PLC0415 - as above

    spec = desired.share(address)
    share_type = None if spec.share_type is None else desired.share_types[spec.share_type]
    source = None if spec.source_snapshot is None else records.get(address_of(Kind.SNAPSHOT, spec.source_snapshot))
    if source is None:
        return on_network(request_from_share(spec, share_type))
    backend = desired.backends.get(source.backend or "")
    return on_network(
        request_from_share(
            spec,
            share_type,
            snapshot_host=f"{source.backend}#{source.pool}",
            snapshot_availability_zone=None if backend is None else backend.availability_zone,
        )
    )
