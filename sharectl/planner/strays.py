"""Strays: what backends hold that the state does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.manifests.names import safe_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from sharectl.model.observed import ObservedShare, ObservedSnapshot
    from sharectl.planner.observed import BackendObservation, Observed

    Strays = dict[str, list[tuple[str, ObservedShare]]]
    """By the name that a manifest would have: each backend that holds such a share, and the share."""


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
