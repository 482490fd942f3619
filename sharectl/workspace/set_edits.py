"""Edits of shares, as edits of the ShareSets that they stand in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.manifests.edits import Edit
from sharectl.manifests.places import SHARES
from sharectl.manifests.share_sets import is_range, names_of
from sharectl.model.kinds import Kind, address_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sharectl.manifests.positions import SetEntry
    from sharectl.model.kinds import Address


def edits_in_set(entry: SetEntry, edits: Iterable[Edit]) -> list[Edit] | str:
    """Return the edits of a share's document as those of its entry, or why they are made by hand: others may take the same from the template."""
    found = []
    for edit in edits:
        rest = edit.path[1:]
        field = str(rest[0])
        is_own = field in entry.fields and (edit.value is not None or field not in entry.template)
        if is_range(entry.key) or not is_own:
            place = f"{entry.path}:{entry.line}"
            whose = "comes from its template"
            if field in entry.fields:
                several = f"is given to {entry.key} as a whole"
                whose = several if is_range(entry.key) else "stands in its template, too"
            return f"it stands in a ShareSet ({place}), and `{field}` {whose}: change it there by hand"
        found.append(Edit((*SHARES, entry.key, *rest), edit.value))
    return found


def removal_in_set(entry: SetEntry, removed: Collection[Address]) -> Edit | str | None:
    """Return the edit that takes a share out of its set, or why that is made by hand; None where no share would be left: then the set goes."""
    if is_range(entry.key):
        return f"it stands in a ShareSet ({entry.path}:{entry.line}), as one of {entry.key}: take its name out by hand"
    shares = {address_of(Kind.SHARE, name) for key in entry.keys for name in names_of(key)}
    return None if shares <= set(removed) else Edit((*SHARES, entry.key), None)
