"""What keeps clients out of the shares of a backend, as it reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.diagnostics import warning
from sharectl.model.kinds import Kind, address_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.model.diagnostics import Diagnostic
    from sharectl.planner.draft import Draft


def hindrances(draft: Draft) -> Iterator[Diagnostic]:
    """Warn of each: whoever only looks at the rules takes the shares for reachable."""
    for name, seen in sorted(draft.observed.items()):
        address = address_of(Kind.BACKEND, name)
        for found in () if seen.report is None else seen.report.hindrances:
            yield warning(
                "backend.hindrance",
                f"backend {name}: {found.summary}",
                remedy=found.remedy,
                address=address,
                source=draft.desired.source(address),
            )
