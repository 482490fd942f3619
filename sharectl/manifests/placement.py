"""What is said of a share whose type rules out where it is to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sharectl.model.canonical import JsonObject


class Misplacement(NamedTuple):
    """The field to change, what is wrong with it, and how to mend it."""

    field: str
    summary: str
    remedy: str


def misplacement(field: str, plain: JsonObject) -> Misplacement:
    """Return what is to be said of a share of which this field is ruled out."""
    share_type = plain.get("share_type")
    if field == "availabilityZone":
        summary = f"the type {share_type!r} is not offered in the zone {plain['availability_zone']!r}"
        return Misplacement(field, summary, "choose a zone among the type's availability_zones, or another type")
    if plain.get("share_network") is None:
        summary = f"the type {share_type!r} is for backends with share servers, and the share names no shareNetwork"
        return Misplacement("type", summary, "add shareNetwork, or choose another type")
    summary = f"the type {share_type!r} is for backends without share servers, and the share names a shareNetwork"
    return Misplacement(field, summary, "remove shareNetwork, or choose another type")
