"""Strays: what backends hold that the state does not know. It is in the way of new resources of its name, or is imported.

The state has a row `import/NAME` for an import, from the moment that it is agreed to until it is done: meanwhile nothing is made new and empty in its place.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import Capability
from sharectl.manifests.names import safe_name
from sharectl.model.access import BOTH, protocol_words
from sharectl.model.diagnostics import did_you_mean, listed, warning
from sharectl.model.field_changes import FieldChange
from sharectl.model.kinds import MANAGED_KINDS, Kind, address_of, is_of, kind_of, name_of
from sharectl.model.plans import Adopt
from sharectl.model.quantities import format_size
from sharectl.model.verbs import Verb
from sharectl.planner.observed import identity_problem
from sharectl.planner.options import Import
from sharectl.planner.records import backend_id_of, bare_record
from sharectl.state.rows import server_spec_of, spec_object_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from sharectl.manifests.desired import Desired
    from sharectl.model.kinds import Address
    from sharectl.model.observed import ObservedShare, ObservedSnapshot
    from sharectl.model.records import Record
    from sharectl.planner.draft import Draft
    from sharectl.planner.observed import BackendObservation, Observed

    Strays = dict[str, list[tuple[str, ObservedShare]]]

    """By the name that a manifest would have: each backend that holds such a share, and the share."""

_NAMED_AT_MOST: Final = 4
IN_THE_WAY: Final = "share.in-the-way"
"""The code of what is told where storage of its name hinders that a share is made."""


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

    A share that lies in the trash is in the way as well, until it is brought back or purged, or an empty one is allowed beside it.
    A replacement is another matter: the old share of this state is known, and one that an earlier replacement has left there on purpose
    (its deletionPolicy was retain) does not count.
    """
    names = dict.fromkeys((address, *draft.desired.moves.get(address, ())))
    of_the_name = [stray for name in names for stray in draft.strays_by_name.get(name_of(name), ())]
    found = [(backend, share) for backend, share in of_the_name if share.trashed_at is None]
    if address in draft.replaced:
        found = [(backend, share) for backend, share in found if share.resource_id is None]
    if not found:
        trashed = [stray for stray in of_the_name if stray[1].trashed_at is not None]
        return not trashed or address in draft.replaced or _is_allowed_beside(draft, address, trashed)
    origin = (
        "It is of another state, was left there when it was forgotten (deletionPolicy retain, `state rm`), "
        "or was made after the backup that this state was restored from."
    )
    if all(share.resource_id is None for _, share in found):
        origin = "sharectl did not make it."
    draft.refuse(
        IN_THE_WAY,
        address,
        f"{address} would be made new and empty, and storage of that name is there already: {places_of(found)}",
        detail=f"{origin} It would stay behind, out of sight of those who look for it.",
        remedy=_remedy(draft, address, *found[0]),
    )
    return False


def _is_allowed_beside(draft: Draft, address: Address, trashed: Sequence[tuple[str, ObservedShare]]) -> bool:
    """Tell whether a share may be made although one of its name lies in the trash, which is not what a manifest that comes back means."""
    backend, newest = max(trashed, key=lambda stray: stray[1].trashed_at or "")
    is_one = len(trashed) == 1
    shares = "a share of that name lies" if is_one else f"{len(trashed)} shares of that name lie"
    summary = f"{address} would be made new and empty, and {shares} in the trash: {places_of(trashed)}"
    detail = "what was in a share does not come back with its manifest."
    back = ways_back(draft, address, backend, newest)
    if len(draft.recreations) < draft.options.allow_recreations:
        if address not in draft.records:
            draft.recreations.append(address)
        remedy = f"to have the data back, before this is applied: {back}"
        draft.tell(warning, "share.in-trash", summary, detail=detail, remedy=remedy, address=address, path="")
        return True
    draft.refuse(
        "share.in-trash",
        address,
        summary,
        detail=detail,
        remedy=(
            f"bring the data back: {back}; or remove it for good: `sharectl trash purge {address}`; or, for an empty share beside it, "
            "pass --allow-recreations with the number of such shares"
        ),
    )
    return False


def places_of(found: Sequence[tuple[str, ObservedShare]]) -> str:
    """Return where shares were found, each with its backend."""
    return listed([f"{share.backend_id} on backend {backend}" for backend, share in found], _NAMED_AT_MOST)


def refuse_taken_snapshot(draft: Draft, address: Address) -> bool:
    """Tell whether a snapshot may be taken; refuse it where its share has one of that name, which the state does not know.

    That one may be what the manifest means: taken again, it would hold what is in the share now.
    """
    spec = draft.desired.snapshot(address)
    share = draft.records.get(address_of(Kind.SHARE, spec.share))
    if share is None or share.backend is None or share.backend not in draft.observed:
        return True
    strays = draft.stray_snapshots_of(share.backend, backend_id_of(share))
    found = [snapshot for snapshot in strays if snapshot.name == spec.name]
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
    or_else = "or give the new share another name"
    if share.not_adoptable:
        return f"change what is there ({share.not_adoptable}), then import it; {or_else}"
    if not draft.can(backend, Capability.ADOPT):
        return f"move away what is there: the driver of backend {backend} takes over no shares; {or_else}"
    return f"take it over: {ways_back(draft, address, backend, share)}; {or_else}"


def ways_back(draft: Draft, address: Address, backend: str, share: ObservedShare) -> str:
    """Return the commands that put a share which was found under an address."""
    first = f"`sharectl state rm {address}`, then " if address in draft.records else ""
    return f"{first}`sharectl import {address} {shlex.quote(share.backend_id)} --backend {backend}`"


def import_address(address: Address) -> Address:
    """Return the address of the row that remembers the import of the share or snapshot at `address`."""
    kind = address.partition("/")[0]
    return address_of(Kind.IMPORT, name_of(address) if kind == Kind.SHARE else f"{kind}.{name_of(address)}")


def import_record(address: Address, wanted: Import) -> Record:
    """Return the row that remembers an import."""
    spec = {"address": address, "backend": wanted.backend, "backend_id": wanted.backend_id}
    remembered = import_address(address)
    return bare_record(Kind.IMPORT, remembered, remembered, wanted.backend, spec, {})


def unfinished_imports(records: Iterable[Record]) -> Iterator[tuple[Address, Import]]:
    """Yield what is to be taken over, by the address under which it is to be."""
    for record in records:
        if record.kind == Kind.IMPORT:
            plain = spec_object_of(record)
            yield plain["address"], Import(record.backend or plain["backend"], plain["backend_id"])


def refuse_unfinished_import(draft: Draft, address: Address) -> bool:
    """Tell whether a share or snapshot may be made; refuse one that is to be taken over."""
    record = draft.records.get(import_address(address))
    if record is None:
        return True
    [(_, wanted)] = unfinished_imports([record])
    command = f"sharectl import {address} {shlex.quote(wanted.backend_id)} --backend {wanted.backend}"
    draft.refuse(
        "import.unfinished",
        address,
        f"{address} is to be taken over from backend {wanted.backend} ({wanted.backend_id}), which has not happened yet",
        detail="an import of it was begun, and refused or cut short. Made now, it would be new and empty.",
        remedy=f"`{command}` finishes it; `sharectl state rm {record.address}` gives it up",
    )
    return False


def forget_given_up_imports(draft: Draft) -> None:
    """Add a step for each import that was begun and is no longer wanted: the manifest is gone, or the share is there by other means."""
    for row in draft.others.get(Kind.IMPORT, ()):
        record = draft.records[row]
        [(address, wanted)] = unfinished_imports([record])
        given_up = address not in draft.desired.digests or address in draft.records
        if not given_up or not draft.chooses(address, wanted.backend):
            continue
        draft.add(
            Verb.FORGET,
            record.address,
            f"the import of {wanted.backend_id} as {address} is no longer wanted",
            record=record,
        )


def snapshot_imports(
    desired: Desired,
    records: Mapping[Address, Record],
    shares: Mapping[Address, tuple[str, ObservedShare]],
    observed: Observed,
) -> dict[Address, Import]:
    """Return the snapshots that have a manifest and no row: of shares in the state, or of those that are taken over now."""
    known_ids = {record.resource_id for record in records.values()}
    there = {
        (backend, snapshot.share_backend_id, snapshot.name): snapshot
        for backend, seen in observed.items()
        for snapshot in stray_snapshots(seen, known_ids)
        if snapshot.resource_id is not None
    }
    found: dict[Address, Import] = {}
    for address in desired.digests if there else ():
        if not is_of(Kind.SNAPSHOT, address) or address in records:
            continue
        spec = desired.snapshot(address)
        share = address_of(Kind.SHARE, spec.share)
        record = records.get(share)
        if share in shares:
            place = shares[share][0], shares[share][1].backend_id
        elif record is not None:
            place = record.backend or "", backend_id_of(record)
        else:
            continue
        snapshot = there.get((*place, spec.name))
        if snapshot is not None:
            found[address] = Import(place[0], snapshot.backend_id)
    return found


def plan_imports(draft: Draft) -> None:
    """Add a step for each import that can be done, and say of the others why not."""
    takers: dict[Import, Address] = {}
    found: dict[str, dict[str, ObservedShare]] = {}
    for address, wanted in sorted(draft.options.imports.items()):
        taker, seen = takers.setdefault(wanted, address), draft.observed.get(wanted.backend)
        if kind_of(address) not in MANAGED_KINDS:
            draft.refuse("import.kind", address, f"{address} is not a share", remedy="only shares can be imported")
        elif taker != address:
            draft.refuse(
                "import.twice",
                address,
                f"{wanted.backend_id} on backend {wanted.backend} is to become both {taker} and {address}",
                remedy="import it once",
            )
        elif address in draft.records:
            draft.refuse(
                "import.managed",
                address,
                f"{address} is in the state already",
                remedy="nothing is left to import; `sharectl plan` shows how it differs from its manifest",
            )
        elif address not in draft.desired.digests:
            remedy = "write one, or let sharectl write it: --write DIR"
            draft.refuse("import.no-manifest", address, f"{address} has no manifest", remedy=remedy)
        elif seen is None or seen.shares is None:
            reason = "there is no such backend" if seen is None else seen.error or "it was not asked"
            draft.refuse("import.unreadable", address, f"backend {wanted.backend} could not be read: {reason}")
        elif (problem := identity_problem(draft.state, seen)) is not None:
            draft.refuse("import.identity", address, problem.summary, detail=problem.detail, remedy=problem.remedy)
        elif is_of(Kind.SNAPSHOT, address):
            _plan_snapshot_import(draft, address, wanted, seen)
        else:
            if wanted.backend not in found:
                strays = importable_shares(draft.known_ids, seen)
                found[wanted.backend] = {share.backend_id: share for share in strays}
            _plan_share_import(draft, address, wanted, seen, found[wanted.backend])
    _tell_of_others(draft)


def _tell_of_others(draft: Draft) -> None:
    """Warn of shares that another state made, or this one in an earlier form: only people know whether it still has them."""
    names = [
        f"{step.work.backend_id} on backend {step.backend}"
        for step in draft.steps.values()
        if step.verb is Verb.ADOPT
        and is_of(Kind.SHARE, step.address)
        and isinstance(step.work, Adopt)
        and step.work.resource_id is not None
    ]
    if not names:
        return
    what, them = ("is a share", "it") if len(names) == 1 else (f"are {len(names)} shares", "them")
    draft.tell(
        warning,
        "import.of-a-state",
        f"{listed(names, _NAMED_AT_MOST)} {what} that sharectl has made, and this state does not know {them}",
        detail=(
            f"This state has lost or forgotten {them}, or another state has {them}. Two states that have one share undo each other's "
            "changes, and the one that removes it takes the data from the other."
        ),
        remedy=f"if another state has {them}, say there `sharectl state rm ADDRESS` before this is agreed to",
    )


def _plan_snapshot_import(draft: Draft, address: Address, wanted: Import, seen: BackendObservation) -> None:
    """Add the step that records a snapshot of sharectl's which the state does not know any more."""
    strays = stray_snapshots(seen, draft.known_ids)
    snapshot = next((found for found in strays if found.backend_id == wanted.backend_id), None)
    if snapshot is None or snapshot.resource_id is None:
        summary = f"backend {wanted.backend} holds no snapshot {wanted.backend_id!r} that sharectl took and the state does not know"
        draft.refuse("import.not-found", address, summary, remedy="`sharectl refresh` shows what is there")
        return
    draft.add(
        Verb.ADOPT,
        address,
        f"{wanted.backend_id} on backend {wanted.backend} is taken over as it is",
        backend=wanted.backend,
        work=Adopt(draft.desired.snapshot(address), wanted.backend_id, snapshot.resource_id),
    )


def _plan_share_import(
    draft: Draft, address: Address, wanted: Import, seen: BackendObservation, found: Mapping[str, ObservedShare]
) -> None:
    share, spec = found.get(wanted.backend_id), draft.desired.share(address)
    if share is None:
        there = f"it holds: {', '.join(sorted(found)[:8]) or 'none'}"
        draft.refuse(
            "import.not-found",
            address,
            f"backend {wanted.backend} holds no unmanaged share {wanted.backend_id!r}",
            remedy=did_you_mean(wanted.backend_id, sorted(found)) or there,
        )
    elif _may_be_taken(draft, address, wanted, seen, share):
        size_bytes = spec.size_bytes if share.size_bytes is None else share.size_bytes
        what = "is taken over as it is" if share.trashed_at is None else "comes back from the trash, without access"
        draft.add(
            Verb.ADOPT if share.trashed_at is None else Verb.RESTORE_SHARE,
            address,
            f"{wanted.backend_id} on backend {wanted.backend} {what}",
            backend=wanted.backend,
            work=Adopt(spec, wanted.backend_id, share.resource_id),
            changes=(FieldChange("size", None, format_size(size_bytes)), FieldChange("pool", None, share.pool)),
        )


def _may_be_taken(
    draft: Draft, address: Address, wanted: Import, seen: BackendObservation, share: ObservedShare
) -> bool:
    """Tell whether a share is what its manifest says of it, as far as nothing can change that; refuse it where not."""
    spec, backend = draft.desired.share(address), wanted.backend
    code = summary = detail = remedy = path = ""
    if share.protocol not in {None, spec.protocol}:
        code, path, remedy = "import.protocol", "spec.protocol", f"write protocol: {share.protocol}"
        if share.protocol == BOTH:
            remedy = "write protocols: [NFS, CIFS]"
        there = protocol_words(share.protocol)
        summary = f"{address} is {protocol_words(spec.protocol)} in its manifest and {there} on backend {backend}"
    elif share.trashed_at is None and Capability.ADOPT not in seen.capabilities:
        code, summary = "import.unsupported", f"the driver of backend {backend} cannot take over shares"
    elif share.trashed_at is not None and Capability.TRASH not in seen.capabilities:
        code, summary = "import.unsupported", f"the driver of backend {backend} has no trash to bring shares back from"
    elif not _is_on_its_network(draft, share.share_server_id, spec.share_network):
        code, path = "import.share-network", "spec.shareNetwork"
        there = "no share server" if share.share_server_id is None else "a share server that the state does not know"
        server = draft.servers.get(share.share_server_id or "", there)
        summary = f"{share.backend_id} on backend {backend} is on {server}"
        network = address_of(Kind.SHARE_NETWORK, spec.share_network) if spec.share_network else "none"
        detail = f"its manifest wants it on {network}."
        remedy = "write shareNetwork as it is there; a share server itself cannot be imported"
    if code:
        draft.refuse(code, address, summary, detail=detail, remedy=remedy, path=path)
    return not code


def _is_on_its_network(draft: Draft, server_id: str | None, network: str | None) -> bool:
    """Tell whether a share on this share server (None: on none) is where its manifest wants it."""
    if server_id is None or server_id not in draft.servers:
        return server_id is None and network is None
    return server_spec_of(draft.records[draft.servers[server_id]]).share_network == network
