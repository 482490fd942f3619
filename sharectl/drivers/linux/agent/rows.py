"""The rows that the agent keeps of shares, snapshots and share servers, and the form that they have in its file."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sharectl.drivers.linux.agent.database import UNREAD

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LOST: Final = ""
"""The identity in a record that was found without its volume when identities came up: nothing that is made later is it."""


class _OfVolume:
    """What records of shares and of snapshots have in common: whose volume it is, told by its identity and not by its name."""

    __slots__ = ()
    identity: str | None

    def owns(self, found: str | None) -> bool:
        """Tell whether a volume with this identity (None: there is no volume) is the one that the record is about."""
        return found is not None and (self.identity == UNREAD or found in self._identities())

    def _identities(self) -> tuple[str | None, ...]:
        return (self.identity,)


@dataclass(frozen=True, slots=True)
class ShareRow(_OfVolume):
    """A share that the agent made or took over.

    `export_key` is what must be unique among the names that one server exports: the name without case, as Windows clients
    see it; a share in the trash has given its name up and holds its id instead. `options` are export options. `is_made` is
    false until the volume is whole. `suspended` holds what was in force before a revert, a new name or other protocols withdrew it.

    `identity` is that of the volume: None until there is one, UNREAD or LOST in older records. `next_identity` is that of the copy
    which a revert puts in its place. Once `is_removing`, a deletion has begun.
    """

    resource_id: str
    pool: str
    volume: str
    instance: str
    export_name: str
    export_key: str
    export_id: int
    protocol: str | None
    size_bytes: int
    options: Mapping[str, Any]
    is_made: bool = False
    trashed_at: str | None = None
    suspended: Mapping[str, Any] | None = None
    identity: str | None = None
    next_identity: str | None = None
    is_removing: bool = False

    @property
    def backend_id(self) -> str:
        """`POOL/VOLUME`, by which an administrator finds the share on the host."""
        return f"{self.pool}/{self.volume}"

    def _identities(self) -> tuple[str | None, ...]:
        return (self.identity, self.next_identity)


@dataclass(frozen=True, slots=True)
class SnapshotRow(_OfVolume):
    """A snapshot that the agent took; `share_id` is None in older records of a share that is gone, `identity` as of shares."""

    resource_id: str
    pool: str
    name: str
    share_backend_id: str
    size_bytes: int | None
    share_id: str | None = None
    identity: str | None = None
    is_removing: bool = False


@dataclass(frozen=True, slots=True)
class ShareServerRow:
    """A share server. `allocations` are its addresses with what belongs to their network, as `networks.NetworkAllocation` has them."""

    resource_id: str
    name: str
    share_network: str
    allocations: tuple[Mapping[str, Any], ...]
    is_made: bool = False


_ENCODER: Final = json.JSONEncoder(sort_keys=True)
_Row = TypeVar("_Row", ShareRow, SnapshotRow, ShareServerRow)
NAMES: Final = {kind: tuple(field.name for field in fields(kind)) for kind in (ShareRow, SnapshotRow, ShareServerRow)}


def plain_of(row: ShareRow | SnapshotRow | ShareServerRow) -> dict[str, Any]:
    """Return the columns of a row; `asdict` would copy all that is in them too, at ten times the cost."""
    return {name: getattr(row, name) for name in NAMES[type(row)]}


def insertion(table: str, row: ShareRow | SnapshotRow | ShareServerRow, how: str = "") -> str:
    """Return the statement that adds a row to its table; `how` may be what becomes of one that is there."""
    names = NAMES[type(row)]
    values = ", ".join(f":{name}" for name in names)
    return f"INSERT {how} INTO {table} ({', '.join(names)}) VALUES ({values})"  # noqa: S608 - names, from the code


def encoded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as the file has them: what is not text, a number or a boolean as JSON."""
    return {
        name: _ENCODER.encode(value) if isinstance(value, dict | list | tuple) else value
        for name, value in values.items()
    }


def _from_json(text: str | None) -> Any:  # noqa: ANN401 - columns have several types
    return None if text is None else json.loads(text)


_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "options": _from_json,
    "suspended": _from_json,
    "allocations": lambda text: tuple(json.loads(text)),
    "is_made": bool,
    "is_removing": bool,
}

_READ_AT: Final = {
    kind: tuple((place, _READ[name]) for place, name in enumerate(names) if name in _READ)
    for kind, names in NAMES.items()
}


def decoded(kind: type[_Row], row: Sequence[Any]) -> _Row:
    """Return a row of the file, whose columns are the fields in their order."""
    values = list(row)
    for place, read in _READ_AT[kind]:
        values[place] = read(values[place])
    return kind(*values)
