"""Backends that the state knows and no manifest describes: renamed in the manifests, or gone while something is on them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sharectl.model.diagnostics import warning
from sharectl.model.kinds import Kind, address_of, name_of
from sharectl.model.verbs import Verb

if TYPE_CHECKING:
    from sharectl.planner.draft import Draft


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
            detail=f"{_counted(count)} recorded on {old}; under the new name nothing is known of them.",
            remedy=f"`sharectl state mv {address_of(Kind.BACKEND, old)} {address_of(Kind.BACKEND, name)}` lets them follow; nothing changes on the storage",
            path="metadata.name",
        )


def note_undeclared_backends(draft: Draft) -> None:
    """Tell of each backend that has no manifest while something stays on it, unless an error tells of it already."""
    undeclared = draft.held_by_backend.keys() - draft.desired.backends.keys()
    if not undeclared:
        return
    held = Counter(
        str(record.backend)
        for address, record in draft.records.items()
        if record.backend in undeclared and record.kind != Kind.BACKEND and not draft.has(Verb.FORGET, address)
    )
    told = {found.address for found in draft.diagnostics if found.code == "backend.undeclared"}
    renamed = [found.remedy for found in draft.diagnostics if found.code == "backend.renamed"]
    for name, count in sorted(held.items()):
        address = address_of(Kind.BACKEND, name)
        if address in told or any(f" {address} " in remedy for remedy in renamed):
            continue
        named = draft.options.described_elsewhere(address)
        them = "it is" if count == 1 else "they are"
        draft.diagnostics.append(
            warning(
                "backend.manifest-gone",
                f"backend {name} has no manifest{' in the files named with -f' if named else ''}, and {_counted(count)} on it",
                detail=f"nobody asks that backend: whether {them} there, as recorded, is not known, and no change gets there.",
                remedy=f"name the file with the Backend {name} with -f too, or leave -f out"
                if named
                else f"restore the Backend manifest; if it has another name now, `sharectl state mv {address} backend/NEW-NAME`; "
                "to forget what is on it, `sharectl state rm` each",
                address=address,
            )
        )


def _counted(count: int) -> str:
    return f"{count} {'resource' if count == 1 else 'resources'} of the state {'is' if count == 1 else 'are'}"
