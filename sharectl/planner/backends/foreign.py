"""Foreign backends: storage that sharectl has managed and this state does not know, beside which nothing may be made unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import Diagnostic, error
from sharectl.model.kinds import Kind, address_of, is_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from sharectl.model.diagnostics import Source
    from sharectl.model.kinds import Address
    from sharectl.planner.draft import Draft
    from sharectl.planner.observed import BackendObservation

_NAMED_AT_MOST: Final = 3


def find_foreign_backends(draft: Draft) -> tuple[Diagnostic, ...]:
    """Return an error for each backend that carries resources of sharectl, none of which this state knows.

    The state was lost then, or is another project's. A backend that the state has pinned costs one look into a table. Imports are
    the way out, and stop at nothing here: a plan of imports alone makes nothing new.
    """
    if draft.options.only_imports:
        return ()
    strangers = [name for name in sorted(draft.observed) if _is_unknown(draft, name)]
    if not strangers:
        return ()
    pinned = {record.resource_id for record in draft.records.values() if record.kind == Kind.BACKEND}
    found = (_foreign(draft, draft.observed[name], pinned) for name in strangers)
    return tuple(diagnostic for diagnostic in found if diagnostic is not None)


def find_unseen_backends(draft: Draft) -> tuple[Diagnostic, ...]:
    """Return an error for each backend that this state does not know and that could not be read, where a share is to be made.

    What is to be made may be there already.
    """
    if draft.options.only_imports or not any(is_of(Kind.SHARE, address) for address in draft.new):
        return ()
    return tuple(
        error(
            "backend.unseen",
            f"backend {name} could not be read, and this state does not know it",
            detail=f"{seen.error}. Whether it holds what is to be made now is not known; made elsewhere, that would be empty.",
            remedy=f"see to the backend, then plan again; if it is new and holds nothing of yours, pass --allow-shared {name}",
            address=address_of(Kind.BACKEND, name),
            source=_source(draft, address_of(Kind.BACKEND, name)),
        )
        for name, seen in sorted(draft.observed.items())
        if seen.error is not None and seen.shares is None and _is_unknown(draft, name)
    )


def _source(draft: Draft, address: Address) -> Source | None:
    return draft.desired.source(address) if draft.desired.describes(address) else None


def _is_unknown(draft: Draft, name: str) -> bool:
    return address_of(Kind.BACKEND, name) not in draft.records and name not in draft.options.allow_shared


def _foreign(draft: Draft, seen: BackendObservation, pinned: Collection[str]) -> Diagnostic | None:
    identity = None if seen.report is None else seen.report.identity
    shares = [share for share in (seen.shares or {}).values() if share.resource_id is not None]
    servers = [] if seen.servers is None else list((seen.servers.servers or {}).values())
    ids = {share.resource_id for share in shares} | {server.resource_id for server in servers}
    ids |= (seen.snapshots or {}).keys()
    if identity in pinned or not ids or not draft.known_ids.isdisjoint(ids):
        return None
    trashed = sum(1 for share in shares if share.trashed_at is not None)
    counts = (
        (len(shares) - trashed, "share"),
        (trashed, "share in its trash"),
        (len(seen.snapshots or ()), "snapshot"),
        (len(servers), "share server"),
    )
    held = " and ".join(_counted(count, what) for count, what in counts if count)
    named = sorted(share.backend_id for share in shares) or sorted(server.backend_id for server in servers)
    more = ", …" if len(named) > _NAMED_AT_MOST else ""
    first = f"it holds {', '.join(named[:_NAMED_AT_MOST])}{more}. " if named else ""
    address = address_of(Kind.BACKEND, seen.backend)
    return error(
        "backend.foreign",
        f"backend {seen.backend} holds {held} that sharectl made, and this state knows none of it",
        detail=(
            f"{first}The state was lost, or this is another one than the backend was used with. "
            "A share that is made now would be empty, beside the one that holds the data."
        ),
        remedy=(
            f"bring the state back with `sharectl state restore`; or take everything over: `sharectl import --backend {seen.backend} "
            f"--all` (with --write DIR where manifests are missing){_server_words(servers)}; if two projects share this backend on "
            f"purpose, say so once with --allow-shared {seen.backend}"
        ),
        address=address,
        source=_source(draft, address),
    )


def _server_words(servers: Collection[object]) -> str:
    return ", which cannot take over share servers and what is on them" if servers else ""


def _counted(count: int, what: str) -> str:
    noun, space, rest = what.partition(" in ")
    return f"{count} {noun}{'s' if count > 1 else ''}{space}{rest}"
