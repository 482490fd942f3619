"""Backends that a plan was asked to look at and that could not be read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import Severity, warning
from sharectl.model.kinds import Kind, address_of, name_of
from sharectl.model.plans import UnreadBackend
from sharectl.planner.drift import identity_problem
from sharectl.planner.selection import selector

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sharectl.model.diagnostics import Diagnostic
    from sharectl.planner.draft import Draft
    from sharectl.planner.observed import BackendObservation

ALLOW_OPTION: Final = "--allow-unreadable"
UNREAD_CODES: Final = frozenset({"backend.unknown", "backend.identity", "network.unknown"})
"""Codes of the diagnostics that say that a backend, or its network service, could not be looked at."""


def find_unread(draft: Draft) -> tuple[UnreadBackend, ...]:
    """Say of each backend that could not be read, or is not the one that the state knows, what that means; return those that the plan was asked about.

    A plan of everything is asked about each backend that is enabled or holds something of the state; a narrowed one about the
    backends that it names, and about those that hold what it selects; asked for their pools alone, backends are not looked at. Nothing more is asked of `destroy` than what the state holds.
    """
    unread = []
    for name, seen in sorted(draft.observed.items()):
        problem = _problem(draft, seen, draft.held_by_backend.get(name, 0))
        if problem is None:
            continue
        concerned = _is_asked_for(draft, name)
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


def _is_asked_for(draft: Draft, name: str) -> bool:
    options, selects = draft.options, selector(draft)
    if options.backends and name not in options.backends:
        return False
    asked_ids = draft.observed[name].asked_ids
    if not options.destroy:
        named = selects is None or selects(address_of(Kind.BACKEND, name))
        takes_part = bool(options.backends) or draft.desired.backends[name].enabled
        if address_of(Kind.BACKEND, name) in options.targets or (named and takes_part and asked_ids is None):
            return True
    return any(
        record.backend == name
        and record.kind != Kind.BACKEND
        and (asked_ids is None or record.resource_id in asked_ids)
        and (selects is None or selects(address))
        for address, record in draft.records.items()
    )


def _problem(draft: Draft, seen: BackendObservation, held: int) -> Diagnostic | None:
    other = identity_problem(draft.state, seen)
    if other is not None:
        return other
    name = seen.backend
    if seen.error is not None:
        kept = f" Its {held} resources are planned as the state last knew them; none counts as gone." if held else ""
        return warning(
            "backend.unknown",
            f"backend {name} could not be read",
            detail=f"{seen.error}.{kept}",
            remedy="see to the backend, then plan again",
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
