"""Looking at one thing closely: a resource with all that is known of it, the pools, and why a share is where it is."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sharectl.drivers.base import DriverError, MeasuresUsage
from sharectl.engine.calls import share_ref
from sharectl.model.diagnostics import DiagnosticError, did_you_mean, error, warning
from sharectl.model.kinds import Kind, address_of, is_of, kind_of, name_of, split_rule_address
from sharectl.model.quantities import GIB
from sharectl.model.specs import ShareSpec, SnapshotSpec
from sharectl.model.verbs import Verb
from sharectl.planner.backends.unread import UNREAD_CODES
from sharectl.planner.records import backend_id_of
from sharectl.scheduler.decision import Outcome
from sharectl.workspace.differing import last_failure, settings_of, wanted_changes
from sharectl.workspace.survey import Question, survey

_MOST_NAMED = 5
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sharectl.drivers.base import Driver, ObservedShare
    from sharectl.manifests.desired import Desired
    from sharectl.manifests.project import Project
    from sharectl.model.canonical import JsonObject
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.plans import FieldChange, Step
    from sharectl.model.records import HistoryEntry, Record, RuleRecord, StateView
    from sharectl.scheduler import Explanation, Pool, Request
    from sharectl.state.contract import StateReader, StateStore
    from sharectl.workspace.survey import Backends


@dataclass(frozen=True, slots=True)
class ResourceView:
    """What is known of one resource. `spec` is the share's or snapshot's manifest, None where it has none.

    `record` is its row of the state, None where it has not been applied. `observed` is the share as the backend lists it, and
    `used_bytes` what its data occupies; both None where the backend was not asked or did not say. `settings` is the manifest of any other
    kind. `wanted` is what the manifest wants otherwise than the record says, `last_failure` the last thing that failed and has not
    been done since. `manifest_is_unread` where there may be a manifest that could not be read.
    """

    address: Address
    spec: ShareSpec | SnapshotSpec | None
    record: Record | None
    rules: tuple[RuleRecord, ...] = ()
    snapshots: tuple[Record, ...] = ()
    observed: ObservedShare | None = None
    used_bytes: int | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    settings: JsonObject | None = None
    wanted: tuple[FieldChange, ...] = ()
    last_failure: HistoryEntry | None = None
    manifest_is_unread: bool = False


Known = Callable[[], "Sequence[Address]"]
"""Finds every address that there is, so that the one that was meant can be named; called for mistakes only."""


def inspect_resource(  # noqa: PLR0913 - the three that may know of it, and how closely they are asked
    desired: Desired, store: StateStore, backends: Backends, address: Address, *, ask: bool, known: Known
) -> ResourceView:
    """Return what manifests, state and, if `ask`, the backend know of the resource. Raises DiagnosticError where nobody does."""
    with store.read() as reader:
        record = reader.view((address,)).records.get(address)
        rules = reader.rules((address,)).get(address, ())
        is_share = record is not None and record.kind == Kind.SHARE
        snapshots = _snapshots_of(reader.view(), address) if is_share else ()
        pinned = None if record is None else _identity_of(reader, record)
    settings = settings_of(desired, address)
    if record is None and address not in desired.digests and settings is None:
        raise DiagnosticError(_not_inspectable(address, known))
    spec: ShareSpec | SnapshotSpec | None = None
    if address in desired.digests:
        spec = desired.share(address) if kind_of(address) is Kind.SHARE else desired.snapshot(address)
    view = ResourceView(
        address,
        spec,
        record,
        rules,
        snapshots,
        settings=settings,
        wanted=wanted_changes(desired, address, record, rules),
        last_failure=last_failure(store, address),
    )
    if not ask or record is None or record.kind != Kind.SHARE:
        return view
    observed, used_bytes, diagnostics = _ask(backends, record, pinned)
    return replace(view, observed=observed, used_bytes=used_bytes, diagnostics=diagnostics)


def _snapshots_of(view: StateView, address: Address) -> tuple[Record, ...]:
    return tuple(
        record
        for other, record in sorted(view.records.items())
        if record.kind == Kind.SNAPSHOT and address_of(Kind.SHARE, view.snapshot_spec(other).share) == address
    )


def _not_inspectable(address: Address, known: Known) -> Diagnostic:
    remedy = did_you_mean(address, known()) or "`sharectl state list` names what there is"
    return error("show.unknown", f"neither the manifests nor the state have {address}", remedy=remedy)


def require_records(store: StateStore, addresses: Sequence[Address]) -> dict[Address, Record]:
    """Return the rows at these addresses; raises DiagnosticError, with the nearest address, for each that has none."""
    with store.read() as reader:
        records = dict(reader.view(addresses).records)
        missing = [address for address in dict.fromkeys(addresses) if address not in records]
        known = list(reader.view().records) if missing else []
    if missing:
        raise DiagnosticError(*(_not_in_state(address, known) for address in missing))
    return records


def _not_in_state(address: Address, known: Sequence[Address]) -> Diagnostic:
    share_address, key = split_rule_address(address)
    if key is not None and share_address in known:
        remedy = f"an access rule goes with its share: remove it from the manifests, or name {share_address}"
    else:
        remedy = did_you_mean(address, known) or "`sharectl state list` names what there is"
    return error("state.unknown-address", f"the state has no {address}", remedy=remedy, address=address)


def view_of_backends(reader: StateReader, names: frozenset[str]) -> StateView:
    """Return the state of what is on these backends (of an empty set: of all). Raises DiagnosticError for a name it does not know."""
    view = reader.view()
    known = sorted({record.backend for record in view.records.values() if record.backend is not None})
    for name in sorted(names.difference(known)):
        remedy = did_you_mean(name, known) or f"there are: {', '.join(known) or 'none'}"
        raise DiagnosticError(
            error("state.unknown-backend", f"the state has nothing on a backend {name}", remedy=remedy)
        )
    return view.on_backends(names)


def require_name(address: Address) -> None:
    """Refuse an address whose name no manifest could have. Raises DiagnosticError."""
    from sharectl.manifests.names import is_name  # noqa: PLC0415 - only where a name is given by hand

    if not is_name(name_of(address)):
        remedy = (
            "a name has small letters, digits, dots, dashes and underscores, 63 at most, a letter or digit at both ends"
        )
        raise DiagnosticError(error("usage.name", f"{name_of(address)!r} is no name for a resource", remedy=remedy))


def forgotten_note(record: Record, rules: Iterable[RuleRecord] = ()) -> str:
    """Return what follows from a row's removal, for the one who has just removed it; `rules` are those recorded of a share."""
    if record.kind == Kind.BACKEND:
        return (
            f"Forgotten: {record.address}. The next apply takes whatever storage answers under that name as the right one "
            "and pins its identity; shares that are not on it count as gone."
        )
    if record.kind == Kind.SHARE_SERVER:
        return (
            f"Forgotten: {record.address}. It stays on backend {record.backend} with its addresses, and nothing removes it any more; "
            "the next share on its network gets another."
        )
    if record.kind == Kind.NETWORK_ALLOCATION:
        return f"Forgotten: {record.address}. Another share server may get this address now."
    if record.kind != Kind.SHARE:
        return f"Forgotten: {record.address}. It stays on backend {record.backend}; while it has a manifest, the next apply makes a new one."
    return (
        f"Forgotten: {record.address}. It stays on backend {record.backend}; while it has a manifest, plans refuse to make "
        f"an empty share beside it. `sharectl import {record.address} {shlex.quote(backend_id_of(record))}` takes it over again.{_who_stays_in(rules)}"
    )


def _who_stays_in(rules: Iterable[RuleRecord]) -> str:
    """Return the sentence that names who has access to a share which is forgotten as it is."""
    kept = [f"{rule.rule.key} {rule.rule.access_level}" for rule in rules if rule.status == "active"]
    if not kept:
        return ""
    more = f" and {len(kept) - _MOST_NAMED} more" if len(kept) > _MOST_NAMED else ""
    return f" Its access stays: {', '.join(kept[:_MOST_NAMED])}{more}."


def _identity_of(reader: StateReader, record: Record) -> str | None:
    """Return the identity that the state pinned of the resource's backend."""
    address = address_of(Kind.BACKEND, record.backend or "")
    backend = reader.view((address,)).records.get(address)
    return None if backend is None else backend.resource_id


def _ask(
    backends: Backends, record: Record, pinned: str | None
) -> tuple[ObservedShare | None, int | None, tuple[Diagnostic, ...]]:
    try:
        driver = backends.driver(record.backend or "")
        if pinned is not None and driver.report().identity != pinned:
            other = warning(
                "backend.identity",
                f"backend {record.backend} is not the storage that the state knows; nothing that it says is shown",
                remedy="mount or connect the right storage; `sharectl plan` says more",
                address=record.address,
            )
            return None, None, (other,)
        observed = next(iter(driver.list_shares([record.resource_id])), None)
        if observed is None:
            gone = warning(
                "share.gone", f"{record.address} is not on backend {record.backend} any more", address=record.address
            )
            return None, None, (gone,)
        used_bytes = _used_bytes(driver, record)
    except DriverError as problem:
        silent = warning(
            "backend.unknown",
            f"backend {record.backend} could not be asked: {problem}",
            detail="what is shown is what the state last knew.",
            address=record.address,
        )
        return None, None, (silent,)
    return observed, used_bytes, ()


def _used_bytes(driver: Driver, record: Record) -> int | None:
    """Return what the share's data takes; None where the driver cannot say, or not now."""
    try:
        return driver.used_bytes(share_ref(record)) if isinstance(driver, MeasuresUsage) else None
    except DriverError:
        return None


def survey_pools(
    desired: Desired, backends: Backends, names: frozenset[str] = frozenset()
) -> tuple[tuple[Pool, ...], tuple[Diagnostic, ...]]:
    """Return the pools of these backends (of an empty set: of all), and an error for each backend that did not answer."""
    unknown = sorted(names - desired.backends.keys())
    if unknown:
        names_known = sorted(desired.backends)
        remedy = did_you_mean(unknown[0], names_known) or f"there are: {', '.join(names_known) or 'none'}"
        raise DiagnosticError(error("pools.unknown-backend", f"there is no backend named {unknown[0]}", remedy=remedy))
    asked = names or frozenset(desired.backends)
    found = survey(desired.backends, backends, {name: Question(pools=True) for name in asked})
    diagnostics = tuple(
        error(
            "backend.unknown",
            f"backend {name} could not be asked: {seen.error}",
            address=address_of(Kind.BACKEND, name),
        )
        for name, seen in found.observed.items()
        if seen.error is not None
    )
    return found.pools, diagnostics


def pools_of_type(project: Project, desired: Desired, pools: Sequence[Pool], share_type: str) -> tuple[Pool, ...]:
    """Return the pools that shares of the type may use at all. Raises DiagnosticError where there is no such type."""
    from sharectl.scheduler import suitable_pools  # noqa: PLC0415 - only where it is asked for

    if share_type not in desired.share_types:
        known = sorted(desired.share_types)
        remedy = did_you_mean(share_type, known) or f"there are: {', '.join(known) or 'none'}"
        raise DiagnosticError(error("pools.unknown-type", f"there is no share type named {share_type}", remedy=remedy))
    return suitable_pools(pools, project.scheduler, desired.share_types[share_type])


@dataclass(frozen=True, slots=True)
class Forecast:
    """The pools as they will be once the manifests are applied, and what the plan has to say."""

    pools: tuple[Pool, ...]
    diagnostics: tuple[Diagnostic, ...]


def pools_after_plan(
    project: Project, desired: Desired, store: StateStore, backends: Backends, pools: Sequence[Pool]
) -> Forecast:
    """Return what the pools hold after a plan of everything: new shares, growth and shrinkage, and what is deleted.

    Sizes are counted as the scheduler reserves them. Shares that cannot be placed are among the diagnostics, as errors.
    """
    from sharectl.planner.options import PlanOptions  # noqa: PLC0415 - only where a plan is asked for
    from sharectl.scheduler import Scheduler, request_from_share  # noqa: PLC0415 - as above
    from sharectl.workspace.survey import PlanRequest, make_plan  # noqa: PLC0415 - as above

    options = PlanOptions(limits=project.safety)
    plan = make_plan(project, desired, store, backends, PlanRequest(options))
    with store.read() as reader:
        records = reader.view().records
    former = {step.address: step.former for step in plan.steps if step.verb is Verb.MOVE}
    scheduler = Scheduler(pools, project.scheduler)
    for step in plan.steps:
        record = records.get(former.get(step.address) or step.address)
        if step.verb is Verb.CREATE_SHARE and isinstance(step.spec, ShareSpec):
            first = step.candidates[0]
            share_type = desired.share_types.get(step.spec.share_type or "")
            scheduler.reserve(request_from_share(step.spec, share_type), f"{first.backend}#{first.pool}")
        elif record is not None and record.size_bytes is not None:
            after_bytes = _size_after(step, record.size_bytes)
            scheduler.consume(f"{record.backend}#{record.pool}", (after_bytes - record.size_bytes) / GIB)
    return Forecast(scheduler.pools_after(), plan.diagnostics)


def _size_after(step: Step, size_bytes: int) -> int:
    if step.verb in {Verb.EXTEND_SHARE, Verb.SHRINK_SHARE} and isinstance(step.spec, ShareSpec):
        return step.spec.size_bytes
    return 0 if step.verb is Verb.DELETE_SHARE else size_bytes


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
    from sharectl.workspace.survey import PlanRequest, make_plan  # noqa: PLC0415 - as above

    witness = Witness(name_of(address))
    options = PlanOptions(limits=project.safety, backends=limits, witness=witness, allow_empty=True)
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
