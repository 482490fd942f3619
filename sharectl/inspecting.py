"""Looking at one thing closely: a resource with all that is known of it, the pools, and why a share is where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sharectl.applying.calls import share_ref
from sharectl.diagnostics import DiagnosticError, did_you_mean, error, warning
from sharectl.drivers.base import DriverError, MeasuresUsage
from sharectl.model import Kind, SnapshotSpec, address_of, kind_of
from sharectl.quantities import GIB
from sharectl.workspace import Question, survey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.diagnostics import Diagnostic
    from sharectl.drivers.base import ObservedShare
    from sharectl.manifests.desired import Desired
    from sharectl.manifests.project import Project
    from sharectl.model import Address, ShareSpec
    from sharectl.scheduler import Explanation, Pool, Request
    from sharectl.state.store import Record, RuleRecord, StateStore
    from sharectl.workspace import Backends


@dataclass(frozen=True, slots=True)
class ResourceView:
    """What is known of one resource. `spec` is the share's or snapshot's manifest, None where it has none.

    `record` is its row of the state, None where it has not been applied. `observed` is the share as the backend lists it, and
    `used_bytes` what its data occupies; both None where the backend was not asked or did not say.
    """

    address: Address
    spec: ShareSpec | SnapshotSpec | None
    record: Record | None
    rules: tuple[RuleRecord, ...] = ()
    snapshots: tuple[Record, ...] = ()
    observed: ObservedShare | None = None
    used_bytes: int | None = None
    diagnostics: tuple[Diagnostic, ...] = ()


def inspect_resource(
    desired: Desired, store: StateStore, backends: Backends, address: Address, *, ask: bool
) -> ResourceView:
    """Return what manifests, state and, if `ask`, the backend know of the resource. Raises DiagnosticError where nobody does."""
    with store.read() as reader:
        view = reader.view()
        rules = reader.rules((address,)).get(address, ())
    record = view.records.get(address)
    if record is None and address not in desired.digests:
        known = [*desired.digests, *view.records]
        remedy = did_you_mean(address, known) or "`sharectl state list` names what there is"
        raise DiagnosticError(
            error("show.unknown", f"neither the manifests nor the state have {address}", remedy=remedy)
        )
    spec: ShareSpec | SnapshotSpec | None = None
    if address in desired.digests:
        spec = desired.share(address) if kind_of(address) is Kind.SHARE else desired.snapshot(address)
    snapshots = tuple(
        other
        for other_address, other in sorted(view.records.items())
        if other.kind == Kind.SNAPSHOT and address_of(Kind.SHARE, view.snapshot_spec(other_address).share) == address
    )
    if not ask or record is None or record.kind != Kind.SHARE:
        return ResourceView(address, spec, record, rules, snapshots)
    observed, used_bytes, diagnostics = _ask(backends, record)
    return ResourceView(address, spec, record, rules, snapshots, observed, used_bytes, diagnostics)


def _ask(backends: Backends, record: Record) -> tuple[ObservedShare | None, int | None, tuple[Diagnostic, ...]]:
    try:
        driver = backends.driver(record.backend or "")
        observed = next(iter(driver.list_shares([record.resource_id])), None)
        if observed is None:
            gone = warning(
                "share.gone", f"{record.address} is not on backend {record.backend} any more", address=record.address
            )
            return None, None, (gone,)
        used_bytes = driver.used_bytes(share_ref(record)) if isinstance(driver, MeasuresUsage) else None
    except DriverError as problem:
        silent = warning(
            "backend.unknown",
            f"backend {record.backend} could not be asked: {problem}",
            detail="what is shown is what the state last knew.",
            address=record.address,
        )
        return None, None, (silent,)
    return observed, used_bytes, ()


def survey_pools(
    desired: Desired, backends: Backends, names: frozenset[str] = frozenset()
) -> tuple[tuple[Pool, ...], tuple[Diagnostic, ...]]:
    """Return the pools of these backends (of an empty set: of all), and an error for each backend that did not answer."""
    unknown = sorted(names - desired.backends.keys())
    if unknown:
        remedy = did_you_mean(unknown[0], sorted(desired.backends))
        raise DiagnosticError(error("pools.unknown-backend", f"there is no backend named {unknown[0]}", remedy=remedy))
    asked = names or frozenset(desired.backends)
    found = survey(desired.backends, backends, {name: Question(pools=True) for name in asked})
    diagnostics = tuple(
        error("backend.unknown", f"backend {name} could not be asked: {seen.error}", address=f"backend/{name}")
        for name, seen in found.observed.items()
        if seen.error is not None
    )
    return found.pools, diagnostics


@dataclass(frozen=True, slots=True)
class Explained:
    """The scheduler's explanation, and where the share is already, if it is anywhere (`backend#pool`)."""

    explanation: Explanation
    placed_on: str | None
    diagnostics: tuple[Diagnostic, ...] = ()


def explain_share(
    project: Project, desired: Desired, store: StateStore, backends: Backends, address: Address
) -> Explained:
    """Return why the share is, or would be, where it is. Raises DiagnosticError where it has no manifest."""
    from sharectl.scheduler import PlacedShare, Scheduler, explain  # noqa: PLC0415 - only where something is placed

    if address not in desired.digests or kind_of(address) is not Kind.SHARE:
        remedy = (
            did_you_mean(address, list(desired.digests)) or "name a share that has a manifest, or pass its file with -f"
        )
        raise DiagnosticError(error("explain.unknown", f"no manifest describes a share {address}", remedy=remedy))
    pools, diagnostics = survey_pools(desired, backends)
    with store.read() as reader:
        records = reader.view().records
    placed = [
        PlacedShare(other.partition("/")[2], f"{record.backend}#{record.pool}", (record.size_bytes or 0) / GIB)
        for other, record in records.items()
        if record.kind == Kind.SHARE and other != address
    ]
    explanation = explain(Scheduler(pools, project.scheduler, placed), _request(desired, records, address))
    record = records.get(address)
    return Explained(explanation, None if record is None else f"{record.backend}#{record.pool}", diagnostics)


def _request(desired: Desired, records: Mapping[Address, Record], address: Address) -> Request:
    from sharectl.scheduler import request_from_share  # noqa: PLC0415 - only where something is placed

    spec = desired.share(address)
    share_type = None if spec.share_type is None else desired.share_types[spec.share_type]
    source = None if spec.source_snapshot is None else records.get(address_of(Kind.SNAPSHOT, spec.source_snapshot))
    if source is None:
        return request_from_share(spec, share_type)
    backend = desired.backends.get(source.backend or "")
    return request_from_share(
        spec,
        share_type,
        snapshot_host=f"{source.backend}#{source.pool}",
        snapshot_availability_zone=None if backend is None else backend.availability_zone,
    )
