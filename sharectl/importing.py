"""Importing: which shares of a backend are to be taken over, and the manifests of those that have none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sharectl.diagnostics import DiagnosticError, did_you_mean, error
from sharectl.model import Kind, Protocol, ShareSpec, address_of, name_of
from sharectl.planning.imports import importable_shares
from sharectl.planning.options import Import, PlanOptions
from sharectl.workspace import Question, survey

if TYPE_CHECKING:
    from pathlib import Path

    from sharectl.drivers.base import ObservedShare
    from sharectl.manifests.desired import Desired
    from sharectl.manifests.write import ManifestDocument
    from sharectl.model import Address
    from sharectl.state.store import StateStore
    from sharectl.workspace import Backends

_NAME_LIMIT = 63
_UNSAFE = re.compile(r"[^a-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked to import: one share by the backend's id, or everything on a backend."""

    address: Address | None
    backend_id: str | None
    backend: str | None
    everything: bool


@dataclass(frozen=True, slots=True)
class Found:
    """The options of the plan that takes the shares over, and the manifests that have to be written first."""

    options: PlanOptions
    documents: tuple[ManifestDocument, ...] = ()


def find_imports(desired: Desired, store: StateStore, backends: Backends, wish: Wish, *, writes: bool) -> Found:
    """Ask the backend (of one share: every backend, unless one is named) and return what is to be taken over.

    Raises DiagnosticError where the wish is incomplete, where nothing is found, and where a manifest is missing and none is to be
    written.
    """
    names = _backends_to_ask(desired, wish)
    found = survey(desired.backends, backends, {name: Question(lists=True) for name in names})
    with store.read() as reader:
        ids = frozenset(record.resource_id for record in reader.view().records.values())
    shares = [
        (name, share)
        for name in names
        for share in importable_shares(ids, found.observed[name])
        if not wish.everything or share.trashed_at is None
    ]
    silent = [found.observed[name].error for name in names if found.observed[name].shares is None]
    if silent:
        raise DiagnosticError(error("import.unreadable", f"the backend could not be read: {silent[0]}"))
    wanted = _all(shares) if wish.everything else _one(shares, wish)
    from sharectl.manifests.write import share_document  # noqa: PLC0415 - only where manifests are written

    documents = tuple(
        share_document(_spec_of(address, share), share.access, comment=_comment(backend, share))
        for address, (backend, share) in sorted(wanted.items())
        if address not in desired.digests and writes
    )
    imports = {address: Import(backend, share.backend_id) for address, (backend, share) in wanted.items()}
    options = PlanOptions(imports=imports, targets=frozenset(imports))
    return Found(options, documents)


def _backends_to_ask(desired: Desired, wish: Wish) -> list[str]:
    if wish.everything and wish.backend is None:
        raise DiagnosticError(error("import.no-backend", "--all of which backend?", remedy="name it with --backend"))
    if not wish.everything and (wish.address is None or wish.backend_id is None):
        raise DiagnosticError(
            error(
                "import.incomplete",
                "import what?",
                remedy="write `sharectl import share/NAME ID`, or `sharectl import --backend NAME --all --write DIR`",
            )
        )
    if not wish.everything and wish.address is not None and not wish.address.startswith("share/"):
        raise DiagnosticError(error("import.kind", f"{wish.address} is no share", remedy="only shares can be imported"))
    if wish.backend is None:
        return sorted(desired.backends)
    if wish.backend not in desired.backends:
        known = sorted(desired.backends)
        remedy = did_you_mean(wish.backend, known) or f"there are {', '.join(known)}"
        raise DiagnosticError(
            error("import.unknown-backend", f"there is no backend named {wish.backend}", remedy=remedy)
        )
    return [wish.backend]


def _one(shares: list[tuple[str, ObservedShare]], wish: Wish) -> dict[Address, tuple[str, ObservedShare]]:
    matches = [(backend, share) for backend, share in shares if share.backend_id == wish.backend_id]
    if len(matches) == 1:
        return {wish.address or "": matches[0]}
    known = sorted(share.backend_id for _, share in shares)
    if matches:
        holders = ", ".join(backend for backend, _ in matches)
        summary = f"several backends hold a share {wish.backend_id!r}: {holders}"
        raise DiagnosticError(error("import.ambiguous", summary, remedy="name one with --backend"))
    remedy = did_you_mean(wish.backend_id or "", known) or f"there are {', '.join(known[:8]) or 'none'}"
    raise DiagnosticError(
        error("import.not-found", f"no backend holds an unmanaged share {wish.backend_id!r}", remedy=remedy)
    )


def _all(shares: list[tuple[str, ObservedShare]]) -> dict[Address, tuple[str, ObservedShare]]:
    """Give each share an address: the one of its manifest if there is one of its name, else a free one like its name."""
    wanted: dict[Address, tuple[str, ObservedShare]] = {}
    for backend, share in sorted(shares, key=lambda pair: pair[1].backend_id):
        base = safe_name(share.name)
        address = address_of(Kind.SHARE, base)
        number = 2
        while address in wanted:
            address = address_of(Kind.SHARE, f"{base[: _NAME_LIMIT - 4]}-{number}")
            number += 1
        wanted[address] = (backend, share)
    return wanted


def safe_name(text: str) -> str:
    """Return a name that a manifest takes, as near to `text` as can be."""
    name = _UNSAFE.sub("-", text.lower()).replace("..", ".").strip("-._")[:_NAME_LIMIT].strip("-._")
    return name or "share"


def _spec_of(address: Address, share: ObservedShare) -> ShareSpec:
    return ShareSpec(
        name=name_of(address),
        size_bytes=share.size_bytes or 1 << 30,
        protocol=share.protocol or Protocol.NFS,
    )


def _comment(backend: str, share: ObservedShare) -> str:
    lines = [f"{share.backend_id} on backend {backend}, pool {share.pool}; as it was found."]
    if share.size_bytes is None:
        lines.append("The backend knows no size for it: write the one that it should have.")
    lines.append("deletionPolicy is retain: should this manifest go, the share and its data stay.")
    return "\n".join(lines)


def write_manifests(directory: Path, wish: Wish, found: Found) -> Path:
    """Write the manifests into one new file in `directory`, and return it. Raises DiagnosticError; no file is overwritten."""
    from sharectl.manifests.write import dump  # noqa: PLC0415 - only where manifests are written

    name = f"imported-{wish.backend}.yaml" if wish.everything else f"{name_of(wish.address or '')}.yaml"
    path = directory / name
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(dump(found.documents))
    except FileExistsError as problem:
        summary = f"{path} exists already"
        raise DiagnosticError(
            error("import.exists", summary, remedy="remove it, or write into another folder")
        ) from problem
    except OSError as problem:
        raise DiagnosticError(
            error("import.unwritable", f"{path} could not be written: {problem.strerror}")
        ) from problem
    return path
