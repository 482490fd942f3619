"""Listings on the wire: the names of the fields once, and for each thing its values in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


def table(kind: type[NamedTuple], things: Iterable[NamedTuple]) -> dict[str, Any]:
    """Return things of one kind as they travel."""
    return {"fields": list(kind._fields), "rows": [list(thing) for thing in things]}


def rows_of(travelled: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the values of each thing by name."""
    for row in travelled["rows"]:
        yield dict(zip(travelled["fields"], row, strict=True))
