"""Checks of manifests against the state that need no backend, for `sharectl validate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.diagnostics import error
from sharectl.quantities import format_size

if TYPE_CHECKING:
    from sharectl.diagnostics import Diagnostic
    from sharectl.manifests.desired import Desired
    from sharectl.state.store import StateView


def state_findings(desired: Desired, view: StateView) -> tuple[Diagnostic, ...]:
    """Return an error for each share that would shrink without having been allowed to."""
    findings = []
    for address, digest in sorted(desired.digests.items()):
        record = view.records.get(address)
        if record is None or record.digest[:16] == digest[:16] or record.kind != "share":
            continue
        old = view.share_spec(address)
        new = desired.share(address)
        if new.size_bytes < old.size_bytes and not new.allow_shrink:
            findings.append(
                error(
                    "share.shrink",
                    f"{address} would shrink from {format_size(old.size_bytes)} to {format_size(new.size_bytes)}",
                    detail="a smaller share may not hold what is in it, and whoever uses it may count on the room.",
                    remedy=f"write size: {format_size(old.size_bytes)}, or set allowShrink: true",
                    address=address,
                    source=desired.field_source(address, "spec", "size"),
                )
            )
    return tuple(findings)
