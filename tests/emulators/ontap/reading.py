"""GET: collections and single objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from tests.emulators.ontap import query
from tests.emulators.ontap.errors import Refused, gone, invalid
from tests.emulators.ontap.facts import JsonObject, Operation, Resource, Version, operations, shape_of
from tests.emulators.ontap.operations import ROW_OF, ROWS, Row

if TYPE_CHECKING:
    from tests.emulators.ontap.routing import Route
    from tests.emulators.ontap.world import World

Pairs = Sequence[tuple[str, str]]

META: Final = frozenset(
    {
        *("fields", "max_records", "return_timeout", "return_records", "order_by", "offset", "query", "query_fields"),
        *("pretty", "ignore_unknown_fields", "continue_on_failure", "serial_records", "return_metadata"),
    }
)
"""Parameters that are no filters, whatever the resource."""
SHARED: Final = frozenset(
    {
        *("/cluster", "/cluster/schedules", "/cluster/licensing/licenses", "/security/key-managers"),
        *("/storage/snapshot-policies", "/storage/volume-efficiency-policies"),
        "/storage/snapshot-policies/{snapshot_policy.uuid}/schedules",
    }
)
"""Collections whose cluster-wide objects are seen from inside an SVM as well."""
LONGEST_WAIT: Final = 120


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: a status, the JSON, and headers beside the usual ones."""

    status: int
    body: JsonObject = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()


class NotWritten(Exception):  # noqa: N818 - said to the developer, not a failure
    """The array has this operation and the emulator does not."""

    def __init__(self, operation: str) -> None:
        """Take the operation's name."""
        super().__init__(f"The emulator does not have {operation}.")


def parameter(pairs: Pairs, name: str, default: str | None = None) -> str | None:
    """Return the last value of a parameter."""
    return next((value for key, value in reversed(pairs) if key == name), default)


def flag(pairs: Pairs, name: str, *, default: bool) -> bool:
    """Return a boolean parameter."""
    text = parameter(pairs, name)
    if text is None:
        return default
    read = query.boolean_of(text)
    if read is None:
        raise invalid(text, name)
    return read


def whole_number(pairs: Pairs, name: str, default: int, low: int, high: int) -> int:
    """Return a numeric parameter within its bounds."""
    text = parameter(pairs, name)
    if text is None:
        return default
    if not text.isdigit() or not low <= int(text) <= high:
        raise invalid(text, name, f"<{low}..{high}>")
    return int(text)


def candidates(route: Route, world: World) -> Iterable[Row]:
    """Return all rows of the collection that a call is about, or some that the one it names is among."""
    operation = route.operation
    shape = shape_of(operation.collection)
    reader = ROWS.get(shape)
    if reader is None:
        raise NotWritten("GET " + operation.collection)
    if shape in ROW_OF and operation.on_instance and len(route.keys) == 1:
        return ROW_OF[shape](world, next(iter(route.keys.values())))
    return reader(world)


def rows_at(world: World, route: Route, scope: str | None, *, constituents: bool = False) -> Iterator[Row]:
    """Return the rows that the address and the SVM of a call leave; members of FlexGroups, or all but these."""
    operation = route.operation
    shared = operation.collection in SHARED
    tests = {name: _key_test(value) for name, value in route.keys.items()}
    for row in candidates(route, world):
        if scope is not None and row.svm != scope and not (row.svm is None and shared):
            continue
        if bool(row.keys.get("is_constituent")) != constituents:
            continue
        if all(test(row.keys.get(name)) for name, test in tests.items()):
            yield row


def _key_test(text: str) -> Any:  # noqa: ANN401 - a function of a key
    if "*" in text:
        test = query.filter_test(text)
        return lambda value: test([value])
    wanted = text.casefold()
    return lambda value: str(value).casefold() == wanted


@cache
def _parents() -> Mapping[str, Operation]:
    """Return the operations that show the object which a collection is inside of, by the collection's shape."""
    shown = {shape_of(each.path): each for each in operations().values() if each.method == "GET" and each.on_instance}
    return {
        shape_of(each.collection): shown[shape_of(each.collection.rpartition("/")[0])]
        for each in operations().values()
        if shape_of(each.collection.rpartition("/")[0]) in shown
    }


def demand_parent(world: World, route: Route, scope: str | None) -> None:
    """Refuse an address inside of an object that is not there."""
    parent = _parents().get(shape_of(route.operation.collection))
    values = list(route.keys.values())[: len(parent.keys)] if parent else []
    if parent is None or any("*" in value for value in values) or shape_of(parent.collection) not in ROWS:
        return
    inside = dataclasses.replace(route, operation=parent, keys=dict(zip(parent.keys, values, strict=True)))
    demand_parent(world, inside, scope)
    if next(rows_at(world, inside, scope), None) is None:
        raise gone(list(route.keys)[len(parent.keys) - 1])


def filters_of(route: Route, pairs: Pairs, version: Version) -> list[query.Filter]:
    """Return the conditions among the parameters of a call."""
    found = []
    for name, value in pairs:
        if name in META or name in route.operation.query or name.startswith("start."):
            continue
        if name in route.operation.keys and name not in _names(route.operation.resource):
            found.append(query.Filter((name,), query.filter_test(value)))
        else:
            _refuse_secret(route.operation.resource, name)
            found.append(query.filter_of(route.operation.resource, name, value, version))
    return [*found, *_search(route, pairs, version)]


def _refuse_secret(resource: Resource | None, name: str) -> None:
    if resource is not None and name in resource.names and name.rpartition(".")[2] in {"password", "bind_password"}:
        raise Refused(262202, f'Field "{name}" may not be used in a query.', name)


def _names(resource: Resource | None) -> frozenset[str]:
    return frozenset() if resource is None else resource.names


def _search(route: Route, pairs: Pairs, version: Version) -> list[query.Filter]:
    text, names = parameter(pairs, "query"), parameter(pairs, "query_fields")
    if text is None and names is None:
        return []
    if not text or not names or route.operation.method != "GET":
        raise Refused(262272, 'Parameters "query" and "query_fields" must be given together.', "query")
    found = [query.filter_of(route.operation.resource, name.strip(), text, version) for name in names.split(",")]
    return [query.Filter(tuple(name for each in found for name in each.names), query.filter_test(text))]


@cache
def _too_new(resource: Resource, version: Version) -> frozenset[str]:
    """Return the names that this release does not know yet."""

    def collect(node: query.Node, prefix: str) -> Iterator[str]:
        for name, child in node.children.items():
            if child.since > version:
                yield prefix + name
            else:
                yield from collect(child, f"{prefix}{name}.")

    return frozenset(collect(resource.tree, ""))


def _nested(values: Mapping[str, object]) -> JsonObject:
    result: JsonObject = {}
    for dotted, value in values.items():
        *above, last = dotted.split(".")
        place = result
        for part in above:
            place = place.setdefault(part, {})
        place[last] = value
    return result


def _merged(one: JsonObject, other: Mapping[str, Any]) -> JsonObject:
    result = dict(one)
    for name, value in other.items():
        both = isinstance(value, dict) and isinstance(result.get(name), dict)
        result[name] = _merged(result[name], value) if both else value
    return result


@dataclass(frozen=True, slots=True)
class View:
    """How the records of one GET are shown."""

    operation: Operation
    wanted: Callable[[str], bool]
    links: bool

    def show(self, row: Row, record: JsonObject) -> JsonObject:
        """Return a record as it goes out."""
        picked = query.chosen(record, self.wanted)
        names = _names(self.operation.resource)
        keys = {name: value for name, value in row.keys.items() if not names or name in names}
        shown = _merged(_nested(keys), picked)
        return {**shown, "_links": {"self": {"href": href_of(self.operation, row)}}} if self.links else shown


def href_of(operation: Operation, row: Row) -> str:
    """Return the address of an object."""
    template = instance_of(operation)
    path = template.path if template else operation.collection
    for name in template.keys if template else operation.keys:
        path = path.replace(f"{{{name}}}", quote(str(row.keys.get(name, "*")), safe=""), 1)
    return f"/api{path}"


@cache
def _instances() -> Mapping[tuple[str, str], Operation]:
    return {(each.method, shape_of(each.collection)): each for each in operations().values() if each.on_instance}


def instance_of(operation: Operation, method: str = "GET") -> Operation | None:
    """Return the operation that does something with one object of the collection that an operation is about."""
    return _instances().get((method, shape_of(operation.collection)))


def view_of(route: Route, pairs: Pairs, version: Version, *, links: bool, filters: Sequence[query.Filter] = ()) -> View:
    """Return how a GET wants its records shown."""
    resource = route.operation.resource
    text = parameter(pairs, "fields")
    ignore = flag(pairs, "ignore_unknown_fields", default=False)
    if text is None and is_single(route.operation):
        text = "*"
    selection = query.selection_of(resource, text or "", version, ignore_unknown=ignore)
    named = frozenset(name for each in filters for name in each.names)
    selection = dataclasses.replace(selection, named=selection.named | named)
    if resource is not None:
        selection = dataclasses.replace(selection, without=selection.without | _too_new(resource, version))
    return View(route.operation, query.wanted_by(selection, route.operation.expensive), links)


def is_single(operation: Operation) -> bool:
    """Whether a GET of it answers with one object rather than a list."""
    return operation.on_instance or operation.collection == "/cluster"


def _visible(world: World, rows: Iterable[Row], operation: Operation) -> Iterator[Row]:
    """Leave out what was made so short a time ago that a GET does not show it yet."""
    shape, now = shape_of(operation.collection), world.clock.now()
    for row in rows:
        if not world.hidden or world.hidden.get(hidden_key(shape, row.keys), 0.0) <= now:
            yield row


def hidden_key(shape: str, keys: Mapping[str, object]) -> tuple[str, tuple[str, ...]]:
    """Return what names an object in `World.hidden`: the last of its keys that is unique."""
    return shape, (str(keys.get("uuid", keys.get("id", keys.get("name")))),)


def _known(row: Row, one: query.Filter) -> Mapping[str, object] | None:
    """Return where a row holds what a filter asks for without a record being made, if it does."""
    name = one.names[0]
    if len(one.names) > 1:
        return None
    return row.keys if name in row.keys else row.known if name in row.known else None


def _may_pass(row: Row, filters: Sequence[query.Filter]) -> bool:
    """Tell whether a row passes those conditions that are cheap to look at."""
    for each in filters:
        held = _known(row, each)
        if held is not None:
            value = held[each.names[0]]
            if not each.test([] if value is None else [value]):
                return False
    return True


def matching(rows: Iterable[Row], filters: Sequence[query.Filter]) -> Iterator[tuple[Row, JsonObject | None]]:
    """Return the rows that pass, with the record where one had to be made for it; cheap conditions are looked at first."""
    for row in rows:
        if not _may_pass(row, filters):
            continue
        rest = [each for each in filters if _known(row, each) is None]
        record = row.record() if rest else None
        if record is None or all(each.passes(record) for each in rest):
            yield row, record


def read(world: World, route: Route, pairs: Pairs, scope: str | None, *, links: bool) -> Answer:
    """Answer a GET."""
    operation, version = route.operation, world.version
    whole_number(pairs, "return_timeout", 15, 0, LONGEST_WAIT)
    demand_parent(world, route, scope)
    filters = filters_of(route, pairs, version)
    constituents = "is_constituent" in operation.query and flag(pairs, "is_constituent", default=False)
    rows = _visible(world, rows_at(world, route, scope, constituents=constituents), operation)
    if not is_single(operation):
        return _page(world, route, pairs, filters, rows, links=links)
    found = next(matching(rows, filters), None)
    if found is None:
        raise gone(operation.keys[-1] if operation.keys else "uuid")
    view = view_of(route, pairs, version, links=links)
    return Answer(200, view.show(found[0], found[1] or found[0].record()))


def _page(  # noqa: PLR0913 - all that a page depends on
    world: World, route: Route, pairs: Pairs, filters: Sequence[query.Filter], rows: Iterable[Row], *, links: bool
) -> Answer:
    view = view_of(route, pairs, world.version, links=links, filters=filters)
    order = query.order_of(route.operation.resource, parameter(pairs, "order_by", "") or "", world.version)
    start = {name: value for name, value in pairs if name.startswith("start.")}
    before, rest = around(rows, filters, start, order)
    rest = islice(rest, whole_number(pairs, "offset", 0, 0, 2**31), None)
    limit = whole_number(pairs, "max_records", 10_000, 1, 2**31)
    cut = world.faults.take("page_short", "GET", route.path, world.clock.now())
    if cut is not None:
        limit = min(limit, int(cut.values.get("records", 0)))
    page, left = list(islice(rest, limit)), next(rest, None)
    mixed = world.faults.take("page_mixed", "GET", route.path, world.clock.now())
    if mixed is not None:
        page = [*page[::-1], *islice(before, 1)]
    body: JsonObject = {"num_records": len(page)}
    if flag(pairs, "return_records", default=True):
        body = {"records": [view.show(each.row, each.record or each.row.record()) for each in page], **body}
    following = None if left is None else query.start_of(left, order)
    return _linked(route, pairs, body, following, links=links)


def around(
    rows: Iterable[Row], filters: Sequence[query.Filter], start: Mapping[str, str], order: Sequence[tuple[str, bool]]
) -> tuple[Iterator[query.Entry], Iterator[query.Entry]]:
    """Return what is before a page, backwards, and what is from its start on; in the order of the keys no more is made than is read."""
    if order:
        found = ((row, record or row.record()) for row, record in matching(rows, filters))
        before, rest = query.split_at(
            query.in_order((query.entry_of(row, record, order) for row, record in found), order), start, order
        )
        return iter(before[::-1]), iter(rest)
    placed = (query.entry_of(row, {}, ()) for row in rows if _may_pass(row, filters))
    before, rest = query.split_at(query.in_order(placed, ()), start, ())
    return _passing(before[::-1], filters), _passing(rest, filters)


def _passing(entries: Iterable[query.Entry], filters: Sequence[query.Filter]) -> Iterator[query.Entry]:
    for entry in entries:
        for row, record in matching((entry.row,), filters):
            yield query.Entry(row, record or {}, entry.cursor)


def _linked(
    route: Route, pairs: Pairs, body: JsonObject, following: Mapping[str, str] | None, *, links: bool
) -> Answer:
    path = f"/api{route.path}"
    shown: JsonObject = {"self": {"href": query.next_link(path, pairs, {})}} if links else {}
    headers: tuple[tuple[str, str], ...] = ()
    if following is not None:
        address = query.next_link(path, pairs, following)
        shown["next"] = {"href": address}
        headers = (("link", f'<{address}>; rel="next"'),)
    return Answer(200, {**body, "_links": shown} if shown else body, headers)
