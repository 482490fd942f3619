"""Requests: what the scheduler is asked for a share, without the backends whose drivers would refuse it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sharectl.model.candidates import Candidate
from sharectl.model.kinds import Kind, address_of
from sharectl.model.specs import ShareTypeSpec
from sharectl.planner.records import wanted_policy
from sharectl.planner.share_servers.places import on_network
from sharectl.planner.shares.checks import needs_of
from sharectl.planner.shares.unfit import diagnostics_of
from sharectl.scheduler.request import request_from_share

if TYPE_CHECKING:
    from sharectl.model.kinds import Address
    from sharectl.model.records import Record
    from sharectl.planner.draft import Draft
    from sharectl.planner.shares.checks import Verdict
    from sharectl.scheduler.request import Request

_SNAPSHOT_SUPPORT = "snapshot_support"
Placement = dict[str, Sequence[Candidate]]
"""The candidates of new shares, by address."""


def request_of_new(draft: Draft, address: Address, placement: Placement) -> Request | None:
    """Return the request of a new share; None where it is made from a snapshot that has no place, which is said there."""
    snapshot = draft.desired.share(address).source_snapshot
    if snapshot is None:
        return _request_near(draft, address, None)
    place = snapshot_place(draft, snapshot, placement)
    if place is None:
        source = address_of(Kind.SNAPSHOT, snapshot)
        draft.awaited[address] = source  # it could not be placed, which is said there
        if source in draft.desired.digests:
            draft.awaited.setdefault(source, address_of(Kind.SHARE, draft.desired.snapshot(source).share))
        return None
    return _request_near(draft, address, place)


def checked(draft: Draft, address: Address, request: Request) -> Request | None:
    """Return the request without the backends whose drivers would refuse it; None, with the share refused, where that is all of them."""
    verdict = verdict_of(draft, address, request)
    for found in diagnostics_of(draft.desired, address, verdict.certain):
        draft.refuse(found.code, address, found.summary, remedy=found.remedy, source=found.source)
    if verdict.certain:
        return None
    return replace(request, unfit=verdict.unfit) if verdict.unfit else request


def verdict_of(draft: Draft, address: Address, request: Request) -> Verdict:
    """Return what drivers say of the share. One with snapshots goes where these can be taken, if there is such a place."""
    spec, rules = draft.desired.share(address), draft.access(address)
    only = None if request.snapshot_host is None else request.snapshot_host.partition("#")[0]
    has_snapshots = address in draft.snapshotted
    verdict = draft.checks.verdict(
        spec, rules, needs_of(spec, draft.desired, has_snapshots=has_snapshots), draft.able, only
    )
    if has_snapshots and verdict.certain:
        return draft.checks.verdict(spec, rules, needs_of(spec, draft.desired), draft.able, only)
    return verdict


def request_of_placed(draft: Draft, address: Address) -> Request:
    """Return the request of a share that has its place, were it placed now: without the backends whose drivers would refuse it."""
    snapshot = draft.desired.share(address).source_snapshot
    record = None if snapshot is None else draft.records.get(address_of(Kind.SNAPSHOT, snapshot))
    request = _request_near(draft, address, None if record is None else _place_of(record))
    return replace(request, unfit=verdict_of(draft, address, request).unfit)


def _request_near(draft: Draft, address: Address, place: tuple[str, str] | None) -> Request:
    """Return the request of a share; `place` is the backend and pool of the snapshot that it is made from, where that is known."""
    spec = draft.desired.share(address)
    share_type = None if spec.share_type is None else draft.desired.share_types[spec.share_type]
    if wanted_policy(draft.desired, spec) is not None:
        share_type = _with_snapshots(share_type)
    if place is None:
        return on_network(request_from_share(spec, share_type))
    backend, pool = place
    seen = draft.observed.get(backend)
    if seen is not None and seen.clones_within == "pool":
        spec = replace(spec, hints=replace(spec.hints, only_host=f"{backend}#{pool}"))
    zone = draft.desired.backends[backend].availability_zone if backend in draft.desired.backends else None
    return on_network(
        request_from_share(spec, share_type, snapshot_host=f"{backend}#{pool}", snapshot_availability_zone=zone)
    )


def _with_snapshots(share_type: ShareTypeSpec | None) -> ShareTypeSpec:
    """Return the type of a share that has a snapshot policy: only pools that can take snapshots may hold it."""
    specs = {_SNAPSHOT_SUPPORT: "<is> True", **({} if share_type is None else share_type.extra_specs)}
    return ShareTypeSpec("", specs) if share_type is None else replace(share_type, extra_specs=specs)


def snapshot_place(draft: Draft, snapshot: str, placement: Placement) -> tuple[str, str] | None:
    """Return the backend and the pool in which the snapshot is, or will be; None where that is not known."""
    address = address_of(Kind.SNAPSHOT, snapshot)
    record = draft.records.get(address)
    if record is None:
        share_address = address_of(Kind.SHARE, draft.desired.snapshot(address).share)
        if share_address in placement:
            first = placement[share_address][0]
            return first.backend, first.pool
        record = draft.records.get(share_address)
    return None if record is None else _place_of(record)


def _place_of(record: Record) -> tuple[str, str] | None:
    return None if record.backend is None or record.pool is None else (record.backend, record.pool)
