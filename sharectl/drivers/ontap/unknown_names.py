"""Names in a configuration that the array does not know: said with what it has, and the one that may be meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.diagnostics import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable


def unknown(setting: str, what: str, name: str, there: Iterable[str]) -> tuple[str, str]:
    """Return what is said of a name in a setting, and what to do about it."""
    known = sorted(there)
    listed = f"it has {', '.join(known)}" if known else "it has none"
    summary = f"{setting} of the backend names the {what} {name!r}, which the array does not have; {listed}"
    return summary, did_you_mean(name, known) or f"correct {setting}"
