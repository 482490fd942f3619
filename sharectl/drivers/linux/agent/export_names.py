"""The names under which shares are exported: each once on a server, and never one with a meaning of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.records import (
    holder_of_export,
)
from sharectl.drivers.linux.agent.volumes.names import problem_of_share_name

if TYPE_CHECKING:
    import sqlite3


ID_PREFIX_LENGTH: Final = 8
"""How much of the id stands behind a name that is taken."""

_SAMBA_NAMES: Final = frozenset({"global", "homes", "printers"})
_KEPT_IN_SLUG: Final = re.compile(r"[^A-Za-z0-9._-]+")


def free_name(connection: sqlite3.Connection, instance: str, name: str, resource_id: str) -> str:
    """Return the name under which a share is exported: `name`, or with the start of the id where that is taken."""
    longer = f"{name}-{resource_id[:ID_PREFIX_LENGTH]}"
    for wanted in (name, longer):
        holder = holder_of_export(connection, instance, wanted.casefold())
        if holder in {None, resource_id} and wanted.casefold() not in _SAMBA_NAMES:
            return wanted
    message = f"both {name!r} and {longer!r} are exported already"
    raise Problem(ProblemKind.CONFLICT, message)


def slug(volume: str, resource_id: str) -> str:
    """Return a name for the export of an existing volume, whatever that is called."""
    if problem_of_share_name(volume) is None:
        return volume
    kept = _KEPT_IN_SLUG.sub("-", volume).strip("-._")[:60]
    return f"{kept or 'share'}-{resource_id[:ID_PREFIX_LENGTH]}"
