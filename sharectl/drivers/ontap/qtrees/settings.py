"""Pools whose shares are qtrees, as the configuration of a backend has them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.model.checks import ConfigProblem
from sharectl.model.quantities import SIZE_HINT, SizeError, parse_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sharectl.model.canonical import JsonObject

DEFAULT_VOLUME_SIZE: Final = "16TiB"
LEAST_VOLUME_BYTES: Final = 1 << 30
MOST_VOLUME_BYTES: Final = 100 << 40

QTREES_SCHEMA: Final[JsonObject] = {
    "type": "object",
    "description": "Pools whose shares are qtrees, each with a quota, by the names of the pools: for many small shares. sharectl makes the "
    "volumes that they are in.",
    "propertyNames": {"pattern": "^[A-Za-z][A-Za-z0-9_]{0,62}$"},
    "additionalProperties": {
        "type": "object",
        "required": ["aggregate"],
        "additionalProperties": False,
        "properties": {
            "aggregate": {
                "type": "string",
                "pattern": "^[A-Za-z_][A-Za-z0-9_]*$",
                "description": "Aggregate that their volumes are on.",
            },
            "volumeSize": {
                "type": "string",
                "minLength": 2,
                "maxLength": 32,
                "description": "Size of each such volume, thinly provisioned: when the quotas in it add up to so much, another is made. "
                f"Default: {DEFAULT_VOLUME_SIZE}.",
            },
        },
    },
}


class QtreePool(NamedTuple):
    """A pool whose shares are qtrees in volumes of `volume_bytes` on an aggregate."""

    name: str
    aggregate: str
    volume_bytes: int


def qtrees_in(config: Mapping[str, Any]) -> tuple[QtreePool, ...]:
    """Return the pools of qtrees of a configuration without problems."""
    return tuple(
        QtreePool(name, pool["aggregate"], _size_of(pool) or parse_size(DEFAULT_VOLUME_SIZE))
        for name, pool in config.get("qtrees", {}).items()
    )


def pool_called(name: str | None, pools: Iterable[QtreePool]) -> QtreePool | None:
    """Return the pool of qtrees of this name, None where it is no pool of qtrees."""
    return next((pool for pool in pools if pool.name == name), None)


def pool_problems(config: Mapping[str, Any]) -> Iterator[ConfigProblem]:
    """Yield what keeps pools of qtrees from working although they meet the schema."""
    homes: dict[str, str] = {}
    for name, pool in config.get("qtrees", {}).items():
        if name in config.get("flexGroups", {}):
            yield ConfigProblem(
                ("qtrees", name), f"`flexGroups` has a pool {name!r} too", "give one of them another name"
            )
        if name == pool["aggregate"]:
            summary = f"{name!r} is the aggregate, which is a pool already"
            yield ConfigProblem(("qtrees", name), summary, "give the pool another name")
        if (other := homes.setdefault(pool["aggregate"], name)) != name:
            summary = f"the pool {other} has its volumes on the aggregate {pool['aggregate']} already"
            yield ConfigProblem(("qtrees", name, "aggregate"), summary, "keep one pool of qtrees for each aggregate")
        if _size_of(pool) is None:
            summary = f"{pool['volumeSize']!r} is no size that such a volume can have"
            yield ConfigProblem(("qtrees", name, "volumeSize"), summary, f"{SIZE_HINT}, from 1GiB to 100TiB")


def _size_of(pool: Mapping[str, Any]) -> int | None:
    text = pool.get("volumeSize", DEFAULT_VOLUME_SIZE)
    try:
        size_bytes = parse_size(text) if re.fullmatch(r"[0-9.]{1,22} ?[A-Za-z]{1,3}", text) else 0
    except SizeError:
        return None
    is_possible = LEAST_VOLUME_BYTES <= size_bytes <= MOST_VOLUME_BYTES and size_bytes % 4096 == 0
    return size_bytes if is_possible else None
