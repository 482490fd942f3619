"""FlexGroups: shares over several aggregates, in pools of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.quantities import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sharectl.drivers.ontap.pools import FlexGroupPool
    from sharectl.model.canonical import JsonObject


def placement_fields(pool: str, flexgroups: Iterable[FlexGroupPool]) -> JsonObject:
    """Return where a new volume goes: to the aggregate called as the pool, or over those of a FlexGroup's."""
    found = next((each for each in flexgroups if each.name == pool), None)
    if found is None:
        return {"style": "flexvol", "aggregates": [{"name": pool}]}
    return {
        "style": "flexgroup",
        "aggregates": [{"name": name} for name in found.aggregates],
        "constituents_per_aggregate": found.members,
    }


def pool_of(aggregates: Sequence[str], style: str, flexgroups: Iterable[FlexGroupPool]) -> str:
    """Return the pool of a volume; that of a FlexGroup that is laid in no known way is called by its aggregates."""
    if style != "flexgroup":
        return aggregates[0] if aggregates else ""
    found = next((each.name for each in flexgroups if set(each.aggregates) == set(aggregates)), None)
    return found or " ".join(aggregates)


def size_problem(pool: str | None, size_bytes: int, flexgroups: Iterable[FlexGroupPool]) -> str | None:
    """Return why a share of this size cannot be a FlexGroup in the pool, None where it can or the pool is an aggregate."""
    found = next((each for each in flexgroups if each.name == pool), None)
    if found is None or size_bytes >= found.least_bytes:
        return None
    return (
        f"a FlexGroup in {found.name} has {found.members * len(found.aggregates)} members of 100GiB at least, and a share of "
        f"{format_size(size_bytes)} has no room for {format_size(found.least_bytes)}"
    )
