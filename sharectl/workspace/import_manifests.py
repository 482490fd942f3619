"""The manifests of shares that are taken over and have none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sharectl.model.access import protocol_words
from sharectl.model.diagnostics import DiagnosticError, error, warning
from sharectl.model.kinds import name_of
from sharectl.model.quantities import format_size
from sharectl.model.specs import Protocol, ShareSpec
from sharectl.private import draft_of, way_out

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sharectl.manifests.access import FoundAccess
    from sharectl.manifests.defaults import Defaults
    from sharectl.manifests.write import ManifestDocument
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.observed import ObservedShare
    from sharectl.workspace.imports import Chosen, FoundImports, ImportRequest


def documents_of(
    unwritten: Chosen,
    request: ImportRequest,
    defaults: Defaults | None,
    notes: Mapping[Address, Sequence[str]] | None = None,
) -> tuple[ManifestDocument, ...]:
    """Return the manifests of the shares; `notes` are further lines above one.

    Where the project's defaults would have a share be something else than it was found, the manifest says how it was found. What
    protects it is left to them.
    """
    from sharectl.manifests.write import document_of  # noqa: PLC0415 - only where manifests are written

    return tuple(
        document_of(
            spec_of(address, share, request),
            _found_access(share, request).rules,
            comment="\n".join((*_comment(backend, share, request), *(notes or {}).get(address, ()))),
            defaults=defaults,
            by_default=("protect", "retainAccess"),
        )
        for address, (backend, share) in unwritten.items()
    )


def _found_access(share: ObservedShare, request: ImportRequest) -> FoundAccess:
    from sharectl.manifests.access import writable_access  # noqa: PLC0415 - only where manifests are written

    return writable_access(share.access, share.protocol or request.protocol)


def unwritable_rules(unwritten: Chosen, request: ImportRequest) -> tuple[Diagnostic, ...]:
    """Name the rules that no manifest can hold: the share is taken over all the same, and they end with the next apply."""
    return tuple(
        warning(
            "import.rule",
            f"the access rule {rule.key} {rule.grant} of {share.backend_id} on backend {backend} cannot be written in a manifest",
            detail=f"{why}. The manifest of {address} is written without it; who gets in by it does so until the next apply.",
            remedy="add the clients that are meant to the manifest before it is applied",
            address=address,
        )
        for address, (backend, share) in unwritten.items()
        for rule, why in _found_access(share, request).left_out
    )


def spec_of(address: Address, share: ObservedShare, request: ImportRequest) -> ShareSpec:
    """Return what the manifest of a share says."""
    protocol = Protocol(share.protocol or request.protocol)
    return ShareSpec(
        name=name_of(address),
        size_bytes=request.size_bytes if share.size_bytes is None else share.size_bytes,
        protocol=protocol,
        export_name=_export_name(share, protocol),
        snapshot_policy=share.snapshot_policy,
    )


def _export_name(share: ObservedShare, protocol: Protocol) -> str | None:
    """Return the name under which Windows clients know the share, or all clients do, where it is one that no manifest has as its own."""
    from sharectl.manifests.names import is_name  # noqa: PLC0415 - only where manifests are written
    from sharectl.model.export_names import problem  # noqa: PLC0415 - as above

    found = share.name if share.export_name is None and protocol is Protocol.CIFS else share.export_name
    return None if found is None or is_name(found) or problem(found, (protocol,)) is not None else found


def _comment(backend: str, share: ObservedShare, request: ImportRequest) -> list[str]:
    lines = [f"{share.backend_id} on backend {backend}, pool {share.pool}; as it was found."]
    if share.size_bytes is None:
        lines.append("The backend knows no size for it: this one was chosen at the import.")
    if share.protocol is None:
        lines.append("The backend does not export it yet: this protocol was chosen at the import.")
    lines += [
        f"Left out: the access rule {rule.key} {rule.grant} ({why})."
        for rule, why in _found_access(share, request).left_out
    ]
    lines.append("deletionPolicy is retain: should this manifest go, the share and its data stay.")
    return lines


def guesses_in(unwritten: Chosen, request: ImportRequest) -> tuple[Diagnostic, ...]:
    """Say what had to be chosen for shares whose backend does not know it."""
    sizeless = [address for address, (_, share) in unwritten.items() if share.size_bytes is None]
    silent = [address for address, (_, share) in unwritten.items() if share.protocol is None]
    if not sizeless and not silent:
        return ()
    parts = []
    if sizeless:
        parts.append(f"size {format_size(request.size_bytes)} for {len(sizeless)} of them, such as {sizeless[0]}")
    if silent:
        parts.append(f"protocol {protocol_words(request.protocol)} for {len(silent)} of them, such as {silent[0]}")
    return (
        warning(
            "import.chosen",
            "the backend does not know everything about these shares, so that it was chosen",
            detail=f"{'; '.join(parts)}. No data is touched, and nothing is exported by it.",
            remedy="choose with --size and --protocol, or correct the manifests before anything else is applied",
        ),
    )


def manifest_text(found: FoundImports) -> str:
    """Return the manifests that have to be written, as YAML."""
    from sharectl.manifests.write import dump  # noqa: PLC0415 - only where manifests are written

    return dump(found.documents)


def manifest_path(directory: Path, request: ImportRequest) -> Path:
    """Return where the manifests go: a file in `directory` that does not exist yet."""
    base = f"imported-{request.backend}" if request.everything else name_of(request.address or "")
    path = directory / f"{base}.yaml"
    number = 2
    while os.path.lexists(path):
        path = directory / f"{base}-{number}.yaml"
        number += 1
    return path


def write_manifests(path: Path, text: str) -> None:
    """Write the manifests, whole or not at all. Raises DiagnosticError; no file is overwritten."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft_of(path, mode=0o666, is_new=True) as draft:
            draft.write_text(text, encoding="utf-8")
    except OSError as problem:
        summary = f"{path} could not be written: {problem.strerror}"
        remedy = way_out(problem, "name another folder with --write")
        raise DiagnosticError(
            error("import.unwritable", summary, detail="nothing was taken over.", remedy=remedy)
        ) from problem


def outside_warning(path: Path, sources: Sequence[Path]) -> tuple[Diagnostic, ...]:
    """Warn where the file is in none of the files and folders that manifests are read from: the next plan would not see it."""
    target = path.resolve()
    for source in sources:
        root = source.resolve()
        if target == root or (target.is_relative_to(root) and not _is_hidden(target.relative_to(root).parts)):
            return ()
    return (
        warning(
            "import.outside",
            f"{path} is not among the manifests of this repository",
            detail="a plan that does not read it takes these shares for given up, and forgets them (their data stays).",
            remedy=f"add the folder to spec.manifests in sharectl.yaml, or always pass it: `sharectl plan -f … -f {path.parent}`",
        ),
    )


def _is_hidden(parts: Sequence[str]) -> bool:
    return any(part.startswith(".") for part in parts)
