"""Backends that say they are one storage: reached in two ways, or a copy of it beside the original."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.diagnostics import warning
from sharectl.model.kinds import Kind, address_of

if TYPE_CHECKING:
    from sharectl.planner.draft import Draft


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
        draft.diagnostics.append(
            warning(
                "backend.twin",
                f"backend {name} says that it is the same storage as backend {other}",
                detail="it is reached in two ways, and its room is counted twice; or one is a copy of the other. "
                "Where their manifests are mixed up, nothing shows that the shares are those of the copy.",
                remedy="keep one of the two manifests; take the marker off a copy before it is used as storage of its own",
                address=address,
                source=draft.desired.source(address),
            )
        )
