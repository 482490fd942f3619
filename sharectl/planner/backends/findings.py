"""What a plan says of backends: foreign, renamed, twins of each other, out of reach of clients, or not readable; and what is not finished on them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sharectl.model.access import AccessLevel
from sharectl.model.diagnostics import Diagnostic, Severity, counted, error, listed, warning
from sharectl.model.kinds import Kind, address_of, is_of, name_of
from sharectl.model.plans import UnreadBackend
from sharectl.planner.observed import identity_problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sharectl.model.observed import ObservedShare
    from sharectl.model.records import LockStatus
    from sharectl.planner.draft import Draft
    from sharectl.planner.observed import BackendObservation

_NAMED_AT_MOST: Final = 3
ALLOW_OPTION: Final = "--allow-unreadable"
UNREAD_CODES: Final = frozenset({"backend.unknown", "backend.identity", "network.unknown", "backend.pool-unknown"})
"""Codes of the diagnostics that say that a backend, or its network service, could not be looked at."""


_START_WORKER: Final = "see to its worker near the backend, then plan again"


def note_open_operations(draft: Draft) -> None:
    """Tell of a run that is at work, or of the operations that an earlier one left open."""
    if draft.state.writer is not None:
        _note_writer(draft, draft.state.writer)
    elif draft.state.operations:
        _note_left_open(draft)


def _note_left_open(draft: Draft) -> None:
    """Tell of the operations whose end is not recorded, and of the way out where their backend is gone for good."""
    first = min(draft.state.operations, key=lambda operation: (operation.started_at, operation.operation_id))
    gone = sorted({name for o in draft.state.operations if (name := o.backend) and name not in draft.desired.backends})
    retired = f" Backend {gone[0]} has no manifest any more: nobody can ask it." if gone else ""
    draft.tell(
        warning,
        "state.open-operations",
        f"{len(draft.state.operations)} operations of an earlier run are unresolved, the first {first.verb} of {first.address}",
        detail=f"that run was cut short; what it was doing is not known here, so this plan may still change.{retired}",
        remedy="the next apply asks the backends first, records what is there, and plans after that; `sharectl state operations` "
        "lists them, and `sharectl state drop` gives up one whose backend is gone for good",
        address=first.address,
    )


def _note_writer(draft: Draft, writer: LockStatus) -> None:
    """Tell of another run that is at work: what the plan sees may change at any moment."""
    count = len(draft.state.operations)
    begun = f"{count} of its operations {'has' if count == 1 else 'have'} begun and not ended; " if count else ""
    draft.tell(
        warning,
        "state.in-motion",
        f"this state is being changed by {writer.run}",
        detail=f"{begun}what this plan shows, drift too, may have changed already: that run went on while state and backends were read.",
        remedy="wait for it to end, then plan again; `sharectl lock status` shows whether it is still at work",
    )


def tell_foreign_backends(draft: Draft) -> None:
    """Report each backend that holds resources of sharectl of which this state knows none.

    The state was lost, or belongs to another project. A backend that the state has pinned costs one look-up. Imports are the remedy,
    and nothing here stops them: a plan of imports alone makes nothing new.
    """
    if draft.options.only_imports:
        return
    pinned = {draft.records[address].resource_id for address in draft.others.get(Kind.BACKEND, ())}
    for name, seen in sorted(draft.observed.items()):
        if _is_unknown(draft, name):
            _tell_foreign(draft, seen, pinned)


def tell_unseen_backends(draft: Draft) -> None:
    """Tell of each backend that this state does not know and that could not be read, where a share is to be made.

    What is to be made may be there already.
    """
    if draft.options.only_imports or not any(is_of(Kind.SHARE, address) for address in draft.new):
        return
    for name, seen in sorted(draft.observed.items()):
        if seen.error is not None and seen.shares is None and _is_unknown(draft, name):
            draft.tell(
                error,
                "backend.unseen",
                f"backend {name} could not be read, and this state does not know it",
                detail=f"{seen.error}. Whether it holds what is to be made now is not known; made elsewhere, that would be empty.",
                remedy=(
                    _START_WORKER
                    if seen.is_unserved
                    else f"see to the backend, then plan again; if it is new and holds nothing of yours, pass --allow-shared {name}"
                ),
                address=address_of(Kind.BACKEND, name),
                path="",
            )


def _is_unknown(draft: Draft, name: str) -> bool:
    return address_of(Kind.BACKEND, name) not in draft.records and name not in draft.options.allow_shared


def _tell_foreign(draft: Draft, seen: BackendObservation, pinned: Collection[str]) -> None:
    identity = None if seen.report is None else seen.report.identity
    shares = [share for share in (seen.shares or {}).values() if share.resource_id is not None]
    servers = [] if seen.servers is None else list((seen.servers.servers or {}).values())
    ids = {share.resource_id for share in shares} | {server.resource_id for server in servers}
    ids |= (seen.snapshots or {}).keys()
    if identity in pinned or not ids or not draft.known_ids.isdisjoint(ids):
        return
    trashed = sum(1 for share in shares if share.trashed_at is not None)
    counts = (
        (len(shares) - trashed, "share", "shares"),
        (trashed, "share in its trash", "shares in its trash"),
        (len(seen.snapshots or ()), "snapshot", "snapshots"),
        (len(servers), "share server", "share servers"),
    )
    held = " and ".join(counted(*each) for each in counts if each[0])
    named = sorted(share.backend_id for share in shares) or sorted(server.backend_id for server in servers)
    first = f"it holds {listed(named, _NAMED_AT_MOST)}. " if named else ""
    beyond = ", which cannot take over share servers and what is on them" if servers else ""
    draft.tell(
        error,
        "backend.foreign",
        f"backend {seen.backend} holds {held} that sharectl made, and this state knows none of it",
        detail=(
            f"{first}The state was lost, or this is another one than the backend was used with. "
            "A share that is made now would be empty, beside the one that holds the data."
        ),
        remedy=(
            f"bring the state back with `sharectl state restore`; or take everything over: `sharectl import --backend {seen.backend} "
            f"--all` (with --write DIR where manifests are missing){beyond}; if two projects share this backend on "
            f"purpose, say so once with --allow-shared {seen.backend}"
        ),
        address=address_of(Kind.BACKEND, seen.backend),
        path="",
    )


def tell_hindrances(draft: Draft) -> None:
    """Warn of each: by the rules alone, the shares look reachable."""
    for name, seen in sorted(draft.observed.items()):
        for found in () if seen.report is None else seen.report.hindrances:
            summary, address = f"backend {name}: {found.summary}", address_of(Kind.BACKEND, name)
            draft.tell(warning, "backend.hindrance", summary, remedy=found.remedy, address=address, path="")


def tell_open_trash(draft: Draft) -> None:
    """Warn of shares in the trash that somebody may still reach: no manifest is about them any more, so that no step closes them."""
    for name, seen in sorted(draft.observed.items()):
        shares = (seen.shares or {}).values() if identity_problem(draft.state, seen) is None else ()
        opened = [share for share in shares if share.trashed_at is not None and _lets_in(share)]
        if not opened:
            continue
        named = listed([f"{share.backend_id} ({', '.join(_lets_in(share))})" for share in opened], _NAMED_AT_MOST)
        draft.tell(
            warning,
            "trash.open",
            f"{counted(len(opened), 'share')} in the trash of backend {name} can be reached: {named}",
            detail="what is put into the trash is closed to everybody; somebody has opened this since, by other means than sharectl.",
            remedy="close it on the backend, or bring it back with `sharectl import share/NAME ID`, which gives nobody access",
            address=address_of(Kind.BACKEND, name),
            path="",
        )


def _lets_in(share: ObservedShare) -> list[str]:
    return [f"{rule.key} {rule.grant}" for rule in share.access if rule.access_level != AccessLevel.NONE]


def note_twin_backends(draft: Draft) -> None:
    """Warn of each backend that reports the identity of another one, first by name: nothing else tells the two apart."""
    first: dict[str, str] = {}
    for name, seen in sorted(draft.observed.items()):
        identity = None if seen.report is None else seen.report.identity
        if identity is None or name not in draft.desired.backends:
            continue
        other = first.setdefault(identity, name)
        if other == name:
            continue
        address = address_of(Kind.BACKEND, name)
        draft.tell(
            warning,
            "backend.twin",
            f"backend {name} says that it is the same storage as backend {other}",
            detail="it is reached in two ways, and its room is counted twice; or one is a copy of the other. "
            "Where their manifests are mixed up, nothing shows that the shares are those of the copy.",
            remedy="keep one of the two manifests; take the marker off a copy before it is used as storage of its own",
            address=address,
            path="",
        )


def find_unread(draft: Draft) -> tuple[UnreadBackend, ...]:
    """Say of each backend that could not be read, or is not the one that the state knows, what that means; return those that the plan was asked about.

    A plan of everything is asked about each backend that is enabled or holds something of the state; a narrowed one about the
    backends that it names, and about those that hold what it selects; asked for their pools alone, backends are not looked at. `destroy` is asked only about what the state holds.
    """
    unread = []
    for name, seen in sorted(draft.observed.items()):
        problem = _unread_problem(draft, seen, draft.held_by_backend.get(name, 0))
        pools = () if problem is not None or seen.report is None else tuple(seen.report.unreadable_pools)
        if pools:
            problem = _unread_pools(draft, seen)
        if problem is None:
            continue
        concerned = _is_asked_for(draft, name, pools)
        draft.diagnostics.append(_with_option(problem, name) if concerned else problem)
        if concerned:
            unread.append(UnreadBackend(name, allowed=name in draft.options.allow_unreadable))
    return tuple(unread)


def allow_remedy(name: str) -> str:
    """Return how to say that a backend need not be read for the command to succeed."""
    return f"{ALLOW_OPTION} {name} says that it is meant, and lets the command succeed without it"


def unread_findings(
    diagnostics: Iterable[Diagnostic], allowed: Collection[str], backend: str | None = None
) -> tuple[Diagnostic, ...]:
    """Return what a command that only looks says: of a backend that could not be read an error, or a warning where that is `allowed`.

    Diagnostics name their backend by their address, unless all are about `backend`.
    """
    return tuple(_judged(found, allowed, backend) for found in diagnostics)


def _judged(found: Diagnostic, allowed: Collection[str], backend: str | None) -> Diagnostic:
    if found.code not in UNREAD_CODES:
        return found
    name = backend or name_of(found.address or "")
    if name in allowed:
        return replace(found, severity=Severity.WARNING)
    return replace(_with_option(found, name), severity=Severity.ERROR)


def _with_option(problem: Diagnostic, name: str) -> Diagnostic:
    return replace(problem, remedy="; ".join(part for part in (problem.remedy, allow_remedy(name)) if part))


def _is_asked_for(draft: Draft, name: str, pools: Collection[str] = ()) -> bool:
    """Tell whether the plan was asked about the backend; of one of which some `pools` cannot be read, about what is in these."""
    options = draft.options
    if options.backends and name not in options.backends:
        return False
    asked_ids = draft.observed[name].asked_ids
    if not options.destroy and not (pools and options.narrows):
        named = draft.chooses(address_of(Kind.BACKEND, name))
        takes_part = bool(options.backends) or draft.desired.backends[name].enabled
        if address_of(Kind.BACKEND, name) in options.targets or (named and takes_part and asked_ids is None):
            return True
    return any(
        record.backend == name
        and record.kind != Kind.BACKEND
        and (not pools or record.pool in pools)
        and (asked_ids is None or record.resource_id in asked_ids)
        and draft.chooses(address)
        for address, record in draft.records.items()
    )


def _unread_pools(draft: Draft, seen: BackendObservation) -> Diagnostic:
    reasons = {} if seen.report is None else seen.report.unreadable_pools
    held = sum(record.backend == seen.backend and record.pool in reasons for record in draft.records.values())
    kept = f" {recorded_on(held)} there, and planned as recorded." if held else ""
    first = min(reasons)
    return warning(
        "backend.pool-unknown",
        f"backend {seen.backend}: the pool {first} could not be read"
        + (f", nor {len(reasons) - 1} more" if len(reasons) > 1 else ""),
        detail=f"{reasons[first]}.{kept} Other pools are not affected.",
        remedy="see to the pool, then plan again",
        address=address_of(Kind.BACKEND, seen.backend),
    )


def _unread_problem(draft: Draft, seen: BackendObservation, held: int) -> Diagnostic | None:
    other = identity_problem(draft.state, seen)
    if other is not None:
        return other
    name = seen.backend
    if seen.error is not None:
        kept = (
            f" What the state has on it ({counted(held, 'resource')}) is planned as it was last known; none counts as gone."
            if held
            else ""
        )
        return warning(
            "backend.unknown",
            f"backend {name} could not be read",
            detail=f"{seen.error}{'' if seen.error.endswith('?') else '.'}{kept}",
            remedy=_START_WORKER if seen.is_unserved else "see to the backend, then plan again",
            address=address_of(Kind.BACKEND, name),
        )
    if seen.servers is not None and seen.servers.network_error is not None:
        return warning(
            "network.unknown",
            f"the network service of backend {name} could not be read",
            detail=f"{seen.servers.network_error}. Whether its share servers still have their addresses is not known.",
            remedy="see to the network service, then plan again",
            address=address_of(Kind.BACKEND, name),
        )
    return None


def refuse_renamed_backends(draft: Draft) -> None:
    """Refuse to take a renamed backend for a new one: its storage is known under a name that has no manifest any more."""
    former = {
        draft.records[address].resource_id: name_of(address)
        for address in draft.others.get(Kind.BACKEND, ())
        if name_of(address) not in draft.desired.backends
    }
    if not former:
        return
    for name, seen in sorted(draft.observed.items()):
        address = address_of(Kind.BACKEND, name)
        if seen.report is None or address in draft.records or seen.report.identity not in former:
            continue
        old = former[seen.report.identity]
        count = draft.held_by_backend.get(old, 0)
        draft.refuse(
            "backend.renamed",
            address,
            f"backend {name} is the storage that the state knows as backend {old}, which has no manifest any more",
            detail=f"{recorded_on(count)} recorded on {old}; under the new name nothing is known of them.",
            remedy=f"`sharectl state mv {address_of(Kind.BACKEND, old)} {address_of(Kind.BACKEND, name)}` lets them follow; nothing changes on the storage",
            path="metadata.name",
        )


def recorded_on(count: int) -> str:
    """Return `1 resource of the state is`, `2 resources of the state are`."""
    return f"{counted(count, 'resource')} of the state {'is' if count == 1 else 'are'}"
