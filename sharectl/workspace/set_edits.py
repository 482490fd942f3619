"""Edits of resources where they stand: in documents of their own, or, as shares may, in ShareSets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.manifests.edits import Edit
from sharectl.manifests.places import SHARES
from sharectl.manifests.share_sets import is_range, names_of
from sharectl.model.kinds import Kind, address_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sharectl.manifests.desired import Desired
    from sharectl.manifests.positions import SetEntry
    from sharectl.model.kinds import Address
    from sharectl.workspace.planned_edits import PlannedEdits


def plan_own(plans: PlannedEdits, desired: Desired, address: Address, edits: Sequence[Edit]) -> None:
    """Plan edits of the document of a resource, or of its entry in a ShareSet; it is left alone if they have to be made by hand."""
    if not edits:
        return
    entry = desired.entry_in_set(address)
    inside = edits if entry is None else _edits_in_set(entry, edits)
    if isinstance(inside, str):
        plans.leave(address, inside)
        return
    place = desired.source(address) if entry is None else entry
    for edit in inside:
        plans.plan((place.path, place.line), {address}, edit)


def plan_removal(plans: PlannedEdits, desired: Desired, address: Address, removed: Collection[Address]) -> None:
    """Plan that the document of a resource goes, or its entry in a ShareSet: the whole set, where all of its shares are among the `removed`."""
    entry = desired.entry_in_set(address)
    edit = None if entry is None else _removal_in_set(entry, removed)
    place = desired.source(address) if entry is None else entry
    if isinstance(edit, str):
        plans.leave(address, edit)
    elif edit is None:
        plans.plan_removal((place.path, place.line), {address})
    else:
        plans.plan((place.path, place.line), {address}, edit)


def _edits_in_set(entry: SetEntry, edits: Iterable[Edit]) -> list[Edit] | str:
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


def _removal_in_set(entry: SetEntry, removed: Collection[Address]) -> Edit | str | None:
    """Return the edit that takes a share out of its set, or why that is made by hand; None where no share would be left: then the set goes."""
    if is_range(entry.key):
        return f"it stands in a ShareSet ({entry.path}:{entry.line}), as one of {entry.key}: take its name out by hand"
    shares = {address_of(Kind.SHARE, name) for key in entry.keys for name in names_of(key)}
    return None if shares <= set(removed) else Edit((*SHARES, entry.key), None)
