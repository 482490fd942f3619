"""Where resources register what they can do, and the words in which they are asked and answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.emulators.ontap.facts import OPERATIONS, RESOURCES, JsonObject, shape_of

if TYPE_CHECKING:
    from tests.emulators.ontap.world import World


@dataclass(frozen=True, slots=True)
class Login:
    """Who asks: an account of the cluster, or of the SVM `svm` (a UUID)."""

    name: str
    role: str
    svm: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One request, checked and made plain; nothing in it is HTTP."""

    operation: str
    keys: Mapping[str, str]
    """The keys in the path, decoded, by the names that operations.json gives them."""
    query: Mapping[str, str]
    """Parameters of the operation (`force`, `new_index`), whether they stood in the query or in the body; never filters."""
    body: JsonObject
    """Nested, with every value of its field's type, and `{"name": …}` where a name stood for an object."""
    login: Login
    svm: str | None = None
    """The UUID of the SVM that the login or the tunnelling header confines the call to."""

    def flag(self, name: str) -> bool:
        """Return a boolean parameter."""
        return self.query.get(name, "").lower() in {"true", "1", "yes"}


@dataclass(frozen=True, slots=True)
class Done:
    """The call took effect at once; `keys` are those of the object that a POST made, by the names of its instance path."""

    keys: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """The call takes effect when `seconds` of the array's time have passed; `work` may still be Refused.

    A job that is a `functools.partial` of a function goes on after a restart that keeps the state; any other is interrupted by it.
    """

    seconds: float
    work: Callable[[World], object]
    keys: Mapping[str, object] = field(default_factory=dict)
    svm: str | None = None


Outcome = Done | Job
Handler = Callable[["World", Call], Outcome]


class Row(NamedTuple):
    """One object as GET shows it.

    `keys` are cheap and dotted: what a collection shows when it is asked for no fields, and every key of the instance's path by
    the name that operations.json gives it. Their order is the order of the listing. `record` gives the whole nested record, keys
    included; names of other objects are looked up in it, so that a rename shows everywhere. `svm` is the UUID of the SVM that
    the object belongs to, or None for the cluster's own. `known` are values beside the keys that filters find without the record.
    """

    keys: Mapping[str, object]
    record: Callable[[], JsonObject]
    svm: str | None = None
    known: Mapping[str, object] = MappingProxyType({})


Rows = Callable[["World"], Iterable[Row]]
RowOf = Callable[["World", str], Iterable[Row]]

HANDLERS: Final[dict[str, Handler]] = {}
ROWS: Final[dict[str, Rows]] = {}
"""By the shape of the collection's path."""
ROW_OF: Final[dict[str, RowOf]] = {}
"""Short ways to one row, likewise."""


def operation(name: str) -> Callable[[Handler], Handler]:
    """Register what a POST, PATCH or DELETE does, by its key in operations.json; PATCH and DELETE of a collection are the core's."""
    assert name in OPERATIONS or " /private/cli/" in name, f"no such operation: {name}"
    assert name not in HANDLERS, f"registered twice: {name}"

    def register(handler: Handler) -> Handler:
        HANDLERS[name] = handler
        return handler

    return register


def rows(*names: str) -> Callable[[Rows], Rows]:
    """Register what GET shows, by the resource's name in fields.json, or by its collection's path where the table has no fields."""

    def register(reader: Rows) -> Rows:
        for name in names:
            shape = shape_of(RESOURCES[name].path if name in RESOURCES else name)
            assert shape not in ROWS, f"registered twice: {name}"
            ROWS[shape] = reader
        return reader

    return register


def row_of(name: str) -> Callable[[RowOf], RowOf]:
    """Register a short way to the row with a key, for a resource of which there are thousands; it may give none, or too many."""

    def register(reader: RowOf) -> RowOf:
        ROW_OF[shape_of(RESOURCES[name].path)] = reader
        return reader

    return register


def rows_of(world: World, name: str) -> Iterable[Row]:
    """Return the rows of a resource, whether or not anything registered them."""
    reader = ROWS.get(shape_of(RESOURCES[name].path if name in RESOURCES else name))
    return () if reader is None else reader(world)


def get(record: Mapping[str, Any], dotted: str, default: Any = None) -> Any:  # noqa: ANN401 - JSON
    """Return what stands in a nested object under `a.b.c`, or `default`."""
    value: Any = record
    for part in dotted.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return default
        value = value[part]
    return value
