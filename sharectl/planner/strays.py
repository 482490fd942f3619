"""Strays: what backends hold that the state does not know, and new resources whose names it has."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import Capability
from sharectl.manifests.names import safe_name
from sharectl.model.diagnostics import listed, warning
from sharectl.model.kinds import Kind, address_of, name_of
from sharectl.planner.records import backend_id_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sharectl.model.kinds import Address
    from sharectl.model.observed import ObservedShare, ObservedSnapshot
    from sharectl.planner.draft import Draft
    from sharectl.planner.observed import BackendObservation, Observed

    Strays = dict[str, list[tuple[str, ObservedShare]]]

    """By the name that a manifest would have: each backend that holds such a share, and the share."""

_NAMED_AT_MOST: Final = 4


def importable_shares(known_ids: Collection[str], seen: BackendObservation) -> tuple[ObservedShare, ...]:
    """Return the shares on a backend whose resource ids the state does not hold, by the backend's own id."""
    strays = [share for resource_id, share in (seen.shares or {}).items() if resource_id not in known_ids]
    return tuple(sorted((*seen.unmanaged, *strays), key=lambda share: share.backend_id))


def stray_snapshots(seen: BackendObservation, known_ids: Collection[str]) -> list[ObservedSnapshot]:
    """Return the listed snapshots that the state does not know."""
    strays = [snapshot for resource_id, snapshot in (seen.snapshots or {}).items() if resource_id not in known_ids]
    return [*strays, *seen.unmanaged_snapshots]


def strays_by_name(observed: Observed, known_ids: Collection[str]) -> Strays:
    """Return the shares that the state does not know, in reach of clients or in the trash."""
    found: Strays = {}
    for backend, seen in sorted(observed.items()):
        for share in importable_shares(known_ids, seen):
            found.setdefault(safe_name(share.name), []).append((backend, share))
    return found


def refuse_taken_name(draft: Draft, address: Address) -> bool:
    """Tell whether a share may be made; refuse it where storage of its name is somewhere already, which would be left behind.

    What lies in the trash was put there on purpose: it is told, and holds nothing.
    A replacement is another matter: the old share of this state is known, and one that an earlier replacement has left there on purpose
    (its deletionPolicy was retain) does not count.
    """
    names = dict.fromkeys((address, *draft.desired.moves.get(address, ())))
    of_the_name = [stray for name in names for stray in draft.strays_by_name.get(name_of(name), ())]
    found = [(backend, share) for backend, share in of_the_name if share.trashed_at is None]
    if address in draft.replaced:
        found = [(backend, share) for backend, share in found if share.resource_id is None]
    if not found:
        if address not in draft.replaced:
            _note_trash(draft, address, [stray for stray in of_the_name if stray[1].trashed_at is not None])
        return True
    origin = "It is of another state, or was left there when it was forgotten (deletionPolicy retain, `state rm`)."
    if all(share.resource_id is None for _, share in found):
        origin = "sharectl did not make it."
    draft.refuse(
        "share.in-the-way",
        address,
        f"{address} would be made new and empty, and storage of that name is there already: {_places(found)}",
        detail=f"{origin} It would stay behind, out of sight of those who look for it.",
        remedy=_remedy(draft, address, *found[0]),
    )
    return False


def _note_trash(draft: Draft, address: Address, trashed: Sequence[tuple[str, ObservedShare]]) -> None:
    """Warn where a share of this name lies in the trash: a manifest that comes back does not bring its data back."""
    if not trashed:
        return
    backend, newest = max(trashed, key=lambda stray: stray[1].trashed_at or "")
    draft.tell(
        warning,
        "share.in-trash",
        f"{address} would be made new and empty, and {'a share' if len(trashed) == 1 else f'{len(trashed)} shares'}"
        f" of that name {'lies' if len(trashed) == 1 else 'lie'} in the trash: {_places(trashed)}",
        detail="what was in a share does not come back with its manifest.",
        remedy=f"to have the data back, before this is applied: {_ways_back(draft, address, backend, newest)}",
        address=address,
        path="",
    )


def _places(found: Sequence[tuple[str, ObservedShare]]) -> str:
    return listed([f"{share.backend_id} on backend {backend}" for backend, share in found], _NAMED_AT_MOST)


def refuse_taken_snapshot(draft: Draft, address: Address) -> bool:
    """Tell whether a snapshot may be taken; refuse it where its share has one of that name, which the state does not know.

    That one may be what the manifest is about: taken anew, it would hold what is in the share now.
    """
    spec = draft.desired.snapshot(address)
    share = draft.records.get(address_of(Kind.SHARE, spec.share))
    seen = None if share is None else draft.observed.get(share.backend or "")
    if share is None or seen is None:
        return True
    share_id = backend_id_of(share)
    found = [
        snapshot
        for snapshot in stray_snapshots(seen, draft.known_ids)
        if snapshot.name == spec.name and snapshot.share_backend_id == share_id
    ]
    if not found:
        return True
    remedy = "rename the new one, or remove what is there"
    if any(snapshot.resource_id is not None for snapshot in found):
        remedy = f"take it over: `sharectl import --backend {share.backend} --all`; or {remedy}"
    draft.refuse(
        "snapshot.in-the-way",
        address,
        f"{address} would be taken now, and {address_of(Kind.SHARE, spec.share)} has a snapshot of that name already: {found[0].backend_id}",
        detail="the state does not know that one: it was lost, or has forgotten it. A new one would hold what is in the share now.",
        remedy=remedy,
    )
    return False


def _remedy(draft: Draft, address: Address, backend: str, share: ObservedShare) -> str:
    otherwise = "or give the new share another name"
    if share.not_adoptable:
        return f"rename what is there ({share.not_adoptable}), then import it; {otherwise}"
    if not draft.can(backend, Capability.ADOPT):
        return f"move away what is there: the driver of backend {backend} takes over no shares; {otherwise}"
    return f"take it over: {_ways_back(draft, address, backend, share)}; {otherwise}"


def _ways_back(draft: Draft, address: Address, backend: str, share: ObservedShare) -> str:
    first = f"`sharectl state rm {address}`, then " if address in draft.records else ""
    return f"{first}`sharectl import {address} {shlex.quote(share.backend_id)} --backend {backend}`"
