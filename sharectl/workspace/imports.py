"""Imports: which shares of a backend are to be taken over, and at which addresses."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from sharectl.manifests.names import NAME_LIMIT, safe_name
from sharectl.model.diagnostics import DiagnosticError, did_you_mean, error, listed, warning
from sharectl.model.frozen import dataclass
from sharectl.model.ignoring import IgnoreList
from sharectl.model.kinds import Kind, address_of, is_of
from sharectl.model.quantities import GIB, format_size
from sharectl.model.records import PutResource
from sharectl.model.specs import Protocol
from sharectl.planner.options import Import, PlanOptions
from sharectl.planner.strays import import_record, importable_shares, snapshot_imports, unfinished_imports
from sharectl.workspace.import_manifests import documents_of, guesses_in, unwritable_rules
from sharectl.workspace.lookup import require_backends
from sharectl.workspace.survey import Question, survey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.manifests.desired import Desired
    from sharectl.manifests.write import ManifestDocument
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.observed import ObservedShare
    from sharectl.model.records import Lease, Record
    from sharectl.state.contract import StateStore
    from sharectl.workspace.backends import Backends
    from sharectl.workspace.survey import Survey


_NAMED_AT_MOST: Final = 8


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What the user asked to import: one share by the backend's id, or everything on a backend.

    `size_bytes` and `protocol` are for manifests of shares whose backend does not know its own.
    """

    address: Address | None
    backend_id: str | None
    backend: str | None
    everything: bool
    size_bytes: int = GIB
    protocol: str = Protocol.NFS


@dataclass(frozen=True, slots=True)
class FoundImports:
    """The options of the plan that takes the shares over, the manifests that have to be written first, and what to know before.

    `left_out` is how many of all that a backend holds cannot be taken over.
    """

    options: PlanOptions
    documents: tuple[ManifestDocument, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    left_out: int = 0


Chosen = dict["Address", "tuple[str, ObservedShare]"]
"""What is to be taken over: by address, the backend and the share on it."""


def find_imports(
    desired: Desired, store: StateStore, backends: Backends, request: ImportRequest, *, writes: bool
) -> FoundImports:
    """Ask the backend (of one share: every backend, unless one is named) and return what is to be taken over.

    Raises DiagnosticError where the request is incomplete, where one share is asked for and not found, and where a backend that has
    to be asked does not answer. A share without a manifest is refused too, unless
    one `writes` it.
    """
    names = _backends_to_ask(desired, request)
    found = survey(desired.backends, backends, {name: Question(lists=True) for name in names})
    with store.read() as reader:
        records = reader.view().records
    ids = frozenset(record.resource_id for record in records.values())
    shares = [
        (name, share)
        for name in names
        for share in importable_shares(ids, found.observed[name])
        if not request.everything or (share.trashed_at is None and not _is_ignored(desired, name, share))
    ]
    left_out = [(name, share) for name, share in shares if share.not_adoptable and request.everything]
    if request.everything:
        wanted = _all(desired, records, [pair for pair in shares if not pair[1].not_adoptable])
    else:
        wanted = _one(shares, request, found, records)
    _require_answers(found, names, wanted)
    imports = {address: Import(backend, share.backend_id) for address, (backend, share) in wanted.items()}
    if request.everything:
        imports |= snapshot_imports(desired, records, wanted, {name: found.observed[name] for name in names})
    options = PlanOptions(imports=imports, targets=frozenset(imports))
    unwritten = {address: wanted[address] for address in sorted(wanted) if address not in desired.digests}
    if unwritten and not writes:
        raise DiagnosticError(_without_manifest(list(unwritten), desired))
    chosen = (*guesses_in(unwritten, request), *unwritable_rules(unwritten, request))
    diagnostics = (*_left_out(left_out), *_differences(desired, wanted), *chosen)
    return FoundImports(options, documents_of(unwritten, request, desired.defaults), diagnostics, len(left_out))


def _is_ignored(desired: Desired, backend: str, share: ObservedShare) -> bool:
    """Tell whether the backend's manifest says that the share belongs to others."""
    ignore = desired.backends[backend].ignore
    return bool(ignore) and IgnoreList.from_plain(ignore).covers_share(share.backend_id)


def _without_manifest(addresses: Sequence[Address], desired: Desired) -> Diagnostic:
    if len(addresses) == 1:
        summary = f"{addresses[0]} has no manifest"
    else:
        summary = f"{len(addresses)} shares have no manifest, the first of them {addresses[0]}"
    near = did_you_mean(addresses[0], list(desired.digests)) if len(addresses) == 1 else ""
    remedy = f"{near} let sharectl write what is missing: --write DIR".strip()
    return error("import.no-manifest", summary, remedy=remedy, address=addresses[0])


def _backends_to_ask(desired: Desired, request: ImportRequest) -> list[str]:
    if request.everything and request.address is not None:
        remedy = "leave out the address, or --all"
        raise DiagnosticError(error("usage.import", f"all of them, or just {request.address}?", remedy=remedy))
    if request.everything and request.backend is None:
        raise DiagnosticError(error("usage.import", "--all of which backend?", remedy="name it with --backend"))
    if not request.everything and (request.address is None or request.backend_id is None):
        remedy = "write `sharectl import share/NAME ID`, or `sharectl import --backend NAME --all --write DIR`"
        raise DiagnosticError(error("usage.import", "import what?", remedy=remedy))
    if request.address is not None and not is_of(Kind.SHARE, request.address):
        raise DiagnosticError(
            error("usage.import", f"{request.address} is not a share", remedy="only shares can be imported")
        )
    if request.backend is None:
        return sorted(desired.backends)
    return list(require_backends([request.backend], desired.backends))


def _require_answers(found: Survey, names: Sequence[str], wanted: Chosen) -> None:
    """Refuse where a backend is silent, unless the share has been found already on one that is not."""
    silent = [(name, found.observed[name].error) for name in names if found.observed[name].shares is None]
    if silent and not wanted:
        raise DiagnosticError(
            *(
                error("import.unreadable", f"backend {name} could not be read: {problem}", remedy="see to it first")
                for name, problem in silent
            )
        )


def _one(
    shares: list[tuple[str, ObservedShare]], request: ImportRequest, found: Survey, records: Mapping[Address, Record]
) -> Chosen:
    ids = {request.backend_id, _escaped(request.backend_id or "")}
    matches = [(backend, share) for backend, share in shares if share.backend_id in ids]
    if len(matches) == 1:
        backend, share = matches[0]
        if share.not_adoptable:
            summary = f"{share.backend_id} on backend {backend} cannot be taken over: {share.not_adoptable}"
            raise DiagnosticError(error("import.unsayable", summary, remedy="rename it on the backend, then import it"))
        return {request.address or "": matches[0]}
    if matches:
        holders = ", ".join(backend for backend, _ in matches)
        summary = f"several backends hold a share {request.backend_id!r}: {holders}"
        raise DiagnosticError(error("import.ambiguous", summary, remedy="name one with --backend"))
    if any(seen.shares is None for seen in found.observed.values() if seen.error is not None):
        return {}
    holder = _holder(request, found, records)
    if holder is not None:
        summary = f"{request.backend_id!r} is {holder} in the state already"
        remedy = f"`sharectl state mv {holder} {request.address}` gives it another address"
        raise DiagnosticError(error("import.managed", summary, remedy=remedy))
    known = sorted(share.backend_id for _, share in shares)
    there = f"there are: {listed(known, _NAMED_AT_MOST) or 'none'}"
    remedy = did_you_mean(request.backend_id or "", known) or there
    raise DiagnosticError(
        error("import.not-found", f"no backend holds an unmanaged share {request.backend_id!r}", remedy=remedy)
    )


def _escaped(backend_id: str) -> str:
    """Return the id as drivers list it: what is not UTF-8, or does not print, as escapes."""
    text = os.fsencode(backend_id).decode(errors="backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _holder(request: ImportRequest, found: Survey, records: Mapping[Address, Record]) -> Address | None:
    """Return the address under which the state holds the share that is to be imported, or None."""
    ids = {
        share.resource_id
        for seen in found.observed.values()
        for share in (seen.shares or {}).values()
        if share.backend_id == request.backend_id
    }
    return next((address for address, record in records.items() if record.resource_id in ids), None)


def _all(desired: Desired, records: Mapping[Address, Record], shares: list[tuple[str, ObservedShare]]) -> Chosen:
    """Give each share an address: that of the manifest of its name which has no share yet, else a free one like its name."""
    wanted: Chosen = {}
    begun = {named: address for address, named in unfinished_imports(records.values()) if address not in records}
    rest = []
    for backend, share in sorted(shares, key=lambda pair: (pair[1].backend_id, pair[0])):
        known = begun.get(Import(backend, share.backend_id))
        if known is not None and _fits(desired, known, share):
            wanted[known] = (backend, share)
        else:
            rest.append((backend, share))
    for backend, share in rest:
        base = safe_name(share.name, share.protocol or "CIFS")
        address = address_of(Kind.SHARE, base)
        number = 2
        while address in wanted or address in records or not _fits(desired, address, share):
            suffix = f"-{number}"
            address = address_of(Kind.SHARE, f"{base[: NAME_LIMIT - len(suffix)]}{suffix}")
            number += 1
        wanted[address] = (backend, share)
    return wanted


def _fits(desired: Desired, address: Address, share: ObservedShare) -> bool:
    """Tell whether the share may stand at the address: no manifest has it, or one that could mean this very share."""
    if address not in desired.digests:
        return True
    spec = desired.share(address)
    return spec.source_snapshot is None and share.protocol in {None, str(spec.protocol)}


def _left_out(shares: Sequence[tuple[str, ObservedShare]]) -> tuple[Diagnostic, ...]:
    """Name what cannot be taken over."""
    if not shares:
        return ()
    named = "; ".join(f"{share.backend_id} ({share.not_adoptable})" for _, share in shares[:_NAMED_AT_MOST])
    more = f"; and {len(shares) - _NAMED_AT_MOST} more" if len(shares) > _NAMED_AT_MOST else ""
    return (
        warning(
            "import.left-out",
            f"{len(shares)} of what backend {shares[0][0]} holds cannot be taken over, and {'is' if len(shares) == 1 else 'are'} left out",
            detail=f"{named}{more}.",
            remedy="mend that on the backend, then import again",
        ),
    )


def begin_imports(store: StateStore, lease: Lease, imports: Mapping[Address, Import]) -> None:
    """Record in the state what is to be taken over, so that nothing new is ever made instead."""
    rows = {
        address: import_record(address, wanted) for address, wanted in imports.items() if is_of(Kind.SHARE, address)
    }
    with store.read() as reader:
        known = reader.view([*rows, *(row.address for row in rows.values())]).records
    changes = []
    for address, row in rows.items():
        if address not in known:
            former = known.get(row.address)
            changes.append(PutResource(row, None if former is None else former.version))
    if changes:
        store.commit(lease, changes)


def _differences(desired: Desired, wanted: Chosen) -> tuple[Diagnostic, ...]:
    """Warn of shares that differ from the manifest that takes them over: the next apply changes them."""
    found = []
    for address, (_, share) in sorted(wanted.items()):
        if address not in desired.digests:
            continue
        spec = desired.share(address)
        parts = []
        if share.size_bytes is not None and share.size_bytes != spec.size_bytes:
            parts.append(f"its size is {format_size(share.size_bytes)}, not {format_size(spec.size_bytes)}")
        if share.trashed_at is None and set(share.access) != set(desired.access(address)):
            parts.append("its access rules are others")
        if parts:
            found.append(
                warning(
                    "import.differs",
                    f"{address} is not as its manifest says: {' and '.join(parts)}",
                    detail="it is taken over as it is; the next apply makes it what the manifest says.",
                    remedy="correct the manifest first if the share is right as it is",
                    address=address,
                    source=desired.source(address),
                )
            )
    return tuple(found)
