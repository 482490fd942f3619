"""What cannot be done for the shares and snapshots in the manifests, from them and the state alone: no backend is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.drivers.base import Capability
from sharectl.model.diagnostics import error
from sharectl.model.field_changes import size_change
from sharectl.model.kinds import Kind, address_of, is_of
from sharectl.planner.shares.checks import Found, ShareChecks, clone_problem
from sharectl.planner.shares.unfit import diagnostics_of
from sharectl.state.rows import share_spec_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.manifests.desired import Desired
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.records import Record, StateView


def share_findings(desired: Desired, view: StateView) -> tuple[Diagnostic, ...]:
    """Return an error for everything that drivers would refuse of the shares and snapshots, told without a connection.

    A share that has its place is held against its backend. One that has none is wrong only in what every backend would refuse that it
    may go to; the others are no candidates, which is for the plan to say. Of what has mistakes, only the rest is checked.
    """
    checks = ShareChecks(desired)
    found: list[Diagnostic] = []
    for address in sorted(desired.digests):
        if is_of(Kind.SHARE, address):
            found += diagnostics_of(desired, address, _problems_of_share(checks, desired, view, address))
        elif is_of(Kind.SNAPSHOT, address) and address not in view.records:
            found += _problems_of_snapshot(checks, desired, view, address)
    return tuple(found)


def _problems_of_share(checks: ShareChecks, desired: Desired, view: StateView, address: Address) -> tuple[Found, ...]:
    spec, rules, record = desired.share(address), desired.access(address), view.records.get(address)
    if record is None:
        only = _backend_of_snapshot(desired, view, spec.source_snapshot)
        certain = checks.certain(spec, rules, only)
        is_sized = desired.flaws.is_sound(address, "size", "sourceSnapshot")
        problem = clone_problem(spec, _bytes_of_snapshot(desired, view, spec.source_snapshot)) if is_sized else None
        return certain if problem is None else (*certain, Found(problem, ()))
    if record.backend is None or record.backend not in desired.backends:
        return ()
    is_resized = (
        not record.has_spec(desired.digests[address])
        and desired.flaws.is_sound(address, "size")
        and spec.size_bytes != share_spec_of(record).size_bytes
    )
    is_checked = desired.flaws.is_sound(address, "protocol", "type")
    lacking = checks.lacking_policy(record.backend, spec)
    return (
        *(Found(problem, (record.backend,)) for problem in lacking if is_checked),
        *(
            Found(problem, (record.backend,))
            for problem in checks.problems(record.backend, checks.wanted(spec, rules, record.pool), spec.share_type)
            if is_checked
            and (problem.path[0] in {"access", "snapshot_policy"} or (problem.path == ("size",) and is_resized))
        ),
    )


def _problems_of_snapshot(
    checks: ShareChecks, desired: Desired, view: StateView, address: Address
) -> Iterator[Diagnostic]:
    share = address_of(Kind.SHARE, desired.snapshot(address).share)
    record, backends = view.records.get(share), tuple[str, ...]()
    if not desired.flaws.is_sound(address, "share"):
        return
    if record is not None:
        backends = tuple(name for name in desired.backends if name == record.backend)
    elif share in desired.digests and checks.knows_candidates(desired.share(share)):
        backends = checks.possible(desired.share(share))
    if backends and not any(Capability.SNAPSHOT in checks.capabilities(name) for name in backends):
        yield error(
            "snapshot.unsupported",
            f"{address} cannot be taken: no backend that {share} may be on takes snapshots ({', '.join(backends)})",
            remedy="remove the manifest of the snapshot, or place the share on a backend that takes snapshots",
            address=address,
            source=desired.source(address),
        )


def _backend_of_snapshot(desired: Desired, view: StateView, snapshot: str | None) -> str | None:
    """Return the backend that the snapshot is or will be on, None where there is no snapshot, or it is not known yet."""
    record = _record_of_source(desired, view, snapshot)
    return None if record is None else record.backend


def _bytes_of_snapshot(desired: Desired, view: StateView, snapshot: str | None) -> int | None:
    record = _record_of_source(desired, view, snapshot)
    if snapshot is None or (record is not None and record.kind == Kind.SNAPSHOT):
        return None if record is None else record.size_bytes
    address = address_of(Kind.SNAPSHOT, snapshot)
    if address not in desired.digests:
        return None
    share = address_of(Kind.SHARE, desired.snapshot(address).share)
    if not (desired.flaws.is_sound(address, "share") and desired.flaws.is_sound(share, "size")):
        return None
    sizes = [desired.share(share).size_bytes if share in desired.digests else None, record and record.size_bytes]
    return min((size for size in sizes if size is not None), default=None)


def _record_of_source(desired: Desired, view: StateView, snapshot: str | None) -> Record | None:
    """Return the row of the snapshot, or of the share that it will be taken of."""
    if snapshot is None:
        return None
    address = address_of(Kind.SNAPSHOT, snapshot)
    if address in view.records or address not in desired.digests:
        return view.records.get(address)
    return view.records.get(address_of(Kind.SHARE, desired.snapshot(address).share))


def state_findings(desired: Desired, view: StateView) -> tuple[Diagnostic, ...]:
    """Return an error for each share that would shrink without having been allowed to."""
    findings = []
    for address, digest in sorted(desired.digests.items()):
        record = view.records.get(address)
        if record is None or record.has_spec(digest) or record.kind != Kind.SHARE:
            continue
        old = share_spec_of(record)
        new = desired.share(address)
        is_sound = desired.flaws.is_sound(address, "size", "allowShrink")
        if is_sound and new.size_bytes < old.size_bytes and not new.allow_shrink:
            change = size_change(old.size_bytes, new.size_bytes)
            from sharectl.planner.shares.changes import would_shrink  # noqa: PLC0415 - hardly any share shrinks

            findings.append(would_shrink(desired, address, change, desired.field_source(address, "spec", "size")))
    return tuple(findings)
