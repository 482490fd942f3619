"""The names under which shares are exported: each once on a server, and never one with a meaning of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.records import holder_of_export, holders_below
from sharectl.drivers.linux.agent.volumes.names import problem_of_share_name
from sharectl.model.access import BOTH, protocols_in
from sharectl.model.export_names import key, outer_keys, problem

if TYPE_CHECKING:
    import sqlite3

    from sharectl.drivers.linux.agent.rows import ShareRow

ID_PREFIX_LENGTH: Final = 8
"""How much of the id stands behind a name that is taken."""

_SAMBA_NAMES: Final = frozenset({"global", "homes", "printers"})
_KEPT_IN_SLUG: Final = re.compile(r"[^A-Za-z0-9._-]+")


def free_name(connection: sqlite3.Connection, instance: str, name: str, resource_id: str, protocol: str | None) -> str:
    """Return the name under which a share is exported: `name`, or with the start of the id where that is taken."""
    longer = _with_id(name, resource_id)
    for wanted in (name, longer):
        has_meaning = protocol != "NFS" and key(wanted) in _SAMBA_NAMES
        if not has_meaning and _other_holder(connection, instance, wanted, resource_id) is None:
            return wanted
    message = f"both {name!r} and {longer!r} are exported already"
    raise Problem(ProblemKind.CONFLICT, message)


def require_free(connection: sqlite3.Connection, instance: str, name: str, resource_id: str) -> None:
    """Raise CONFLICT where the server exports another share under the name, or above or below it."""
    holder = _other_holder(connection, instance, name, resource_id)
    if holder is not None:
        message = f"the share with the id {holder} is exported as {name!r}, or above or below it, by the same server"
        raise Problem(ProblemKind.CONFLICT, message)


def require_exportable(name: str, protocol: str | None) -> None:
    """Raise REFUSED where no server takes the name."""
    wrong = problem(name, protocols_in(BOTH if protocol is None else protocol))
    if wrong is not None:
        message = f"no share can be exported as {name[:80]!r}: {wrong}"
        raise Problem(ProblemKind.REFUSED, message)


def slug(volume: str, resource_id: str) -> str:
    """Return a name for the export of an existing volume: its own wherever servers of both protocols take that."""
    if problem_of_share_name(volume) is None or problem(volume, ("NFS", "CIFS")) is None:
        return volume
    return _plain(volume, resource_id)


def _plain(volume: str, resource_id: str) -> str:
    """Return a name like the volume's, in letters and digits that need no quotes anywhere."""
    kept = _KEPT_IN_SLUG.sub("-", volume).strip("-._")[:60]
    return _with_id(kept or "share", resource_id)


def is_own(row: ShareRow) -> bool:
    """Tell whether the share is exported under a name that follows from its volume's, and was not asked for."""
    plain = _plain(row.volume, row.resource_id)
    own = {row.volume, plain, _with_id(row.volume, row.resource_id), _with_id(plain, row.resource_id)}
    return row.export_name in own or _with_id(row.export_name, row.resource_id) == row.volume


def _with_id(name: str, resource_id: str) -> str:
    return f"{name}-{resource_id[:ID_PREFIX_LENGTH]}"


def _other_holder(connection: sqlite3.Connection, instance: str, name: str, resource_id: str) -> str | None:
    """Return the id of another share that the server exports under the name, above or below it."""
    found = [holder_of_export(connection, instance, wanted) for wanted in (key(name), *outer_keys(name))]
    found += holders_below(connection, instance, key(name))
    return next((holder for holder in found if holder not in {None, resource_id}), None)
