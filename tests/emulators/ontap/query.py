"""Reading: which records, which fields of them, in which order and on which page."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cmp_to_key
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from tests.emulators.ontap.errors import INVALID_VALUE, Refused, unexpected
from tests.emulators.ontap.schema import boolean_of, size_of

if TYPE_CHECKING:
    from tests.emulators.ontap.facts import JsonObject, Node, Resource, Version
    from tests.emulators.ontap.operations import Row

Values = list[Any]
Test = Callable[[Values], bool]

_ANY: Final = "\0any\0"
_BOUND: Final = re.compile(r"(<=|>=|<|>)(.*)", re.DOTALL)


def node_of(resource: Resource | None, name: str, version: Version) -> Node | None:
    """Return the node of a dotted name in this release, None where the resource has no table; refuse a name that it lacks."""
    if resource is None:
        return None
    node = resource.tree
    for part in name.split("."):
        if node.opaque:
            return node
        child = node.children.get(part)
        if child is None or child.since > version:
            raise unexpected(name)
        node = child
    return node


def values_at(record: Any, dotted: str) -> Values:  # noqa: ANN401 - JSON
    """Return what a record holds under a dotted name, in all elements of the arrays on the way."""
    found = [record]
    for part in dotted.split("."):
        found = [each[part] for each in found if isinstance(each, Mapping) and part in each]
        found = [inner for each in found for inner in (each if isinstance(each, list) else [each])]
    return [each for each in found if each is not None]


def has(body: Mapping[str, Any], dotted: str) -> bool:
    """Say whether something stands in a body under a dotted name, be it an empty list."""
    above, _, last = dotted.rpartition(".")
    holders = values_at(body, above) if above else [body]
    return any(isinstance(each, Mapping) and each.get(last) is not None for each in holders)


# --- filters


def _split(text: str) -> list[list[tuple[str, bool]]]:
    """Split a filter into alternatives, each a run of pieces that are literal or not."""
    alternatives: list[list[tuple[str, bool]]] = [[]]
    position, plain = 0, ""

    def close(*, literal: bool = False, piece: str = "") -> None:
        nonlocal plain
        if plain:
            alternatives[-1].append((plain, False))
            plain = ""
        if literal:
            alternatives[-1].append((piece, True))

    while position < len(text):
        char = text[position]
        end = {'"': '"', "{": "}"}.get(char)
        if end is not None and (closing := text.find(end, position + 1)) >= 0:
            close(literal=True, piece=text[position + 1 : closing])
            position = closing + 1
        elif char in "|,":
            close()
            alternatives.append([])
            position += 1
        else:
            plain += char
            position += 1
    close()
    return alternatives


def _comparable(value: Any, like: Any) -> tuple[Any, Any] | None:  # noqa: ANN401 - JSON
    if isinstance(like, bool):
        return None
    if isinstance(like, int | float):
        number = size_of(value)
        return None if number is None else (like, number)
    return str(like), str(value)


def _bound_test(operator: str, text: str) -> Test:
    if not text:
        raise Refused(262194, f'The query expression "{operator}" lacks a value.')
    compare = {
        "<": lambda pair: pair[0] < pair[1],
        ">": lambda pair: pair[0] > pair[1],
        "<=": lambda pair: pair[0] <= pair[1],
        ">=": lambda pair: pair[0] >= pair[1],
    }[operator]
    return lambda values: any((pair := _comparable(text, each)) is not None and compare(pair) for each in values)


def _equal_test(pieces: Sequence[tuple[str, bool]]) -> Test:
    text = "".join(piece for piece, _ in pieces)
    pattern = "".join(
        re.escape(piece) if literal else ".*".join(map(re.escape, piece.split("*"))) for piece, literal in pieces
    )
    compiled = re.compile(pattern, re.DOTALL)

    def equal(value: Any) -> bool:  # noqa: ANN401 - JSON
        if isinstance(value, bool):
            return boolean_of(text) is value
        if isinstance(value, int | float):
            return size_of(text) == value or compiled.fullmatch(str(value)) is not None
        return compiled.fullmatch(str(value)) is not None

    return lambda values: any(equal(each) for each in values)


def _one_test(pieces: Sequence[tuple[str, bool]]) -> Test:
    first, literal = pieces[0] if pieces else ("", True)
    alone = len(pieces) == 1 and not literal
    if alone and first == "null":
        return lambda values: not values
    if alone and (match := _BOUND.fullmatch(first)):
        return _bound_test(match[1], match[2])
    if len(pieces) == 2 and not literal and first in {"<", ">", "<=", ">="}:
        return _bound_test(first, pieces[1][0])
    if alone and ".." in first:
        low, _, high = first.partition("..")
        above, below = _bound_test(">=", low), _bound_test("<=", high)
        return lambda values: any(above([each]) and below([each]) for each in values)
    return _equal_test(pieces)


def filter_test(text: str) -> Test:
    """Return the test that a filter's value stands for; negative alternatives must all hold."""
    positive: list[Test] = []
    negative: list[Test] = []
    for pieces in _split(text):
        if pieces and not pieces[0][1] and pieces[0][0].startswith("!"):
            rest = [(pieces[0][0][1:], False), *pieces[1:]]
            negative.append(_one_test([piece for piece in rest if piece[0] or piece[1]]))
        else:
            positive.append(_one_test(pieces))
    return lambda values: (
        (not positive or any(test(values) for test in positive)) and not any(test(values) for test in negative)
    )


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition: some of these fields have a value that passes."""

    names: tuple[str, ...]
    test: Test

    def passes(self, record: Mapping[str, Any]) -> bool:
        """Say whether a record does."""
        return any(self.test(values_at(record, name)) for name in self.names)


def filter_of(resource: Resource | None, name: str, text: str, version: Version) -> Filter:
    """Return the filter `name=text`; the name of an object stands for its `name`."""
    node = node_of(resource, name, version)
    if node is not None and node.children and "name" in node.children:
        name = f"{name}.name"
    elif node is not None and node.children:
        raise unexpected(name)
    return Filter((name,), filter_test(text))


# --- fields


@dataclass(frozen=True, slots=True)
class Selection:
    """The fields that were asked for."""

    standard: bool = False
    expensive: bool = False
    named: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()


def _expanded(text: str) -> list[str]:
    """Return the names in `a,b.{c,d}`."""
    match = re.match(r"^(.*?)\{([^{}]*)\}(.*)$", text, re.DOTALL)
    if match is None:
        return [name.strip() for name in text.split(",") if name.strip()]
    before, _, prefix = match[1].rpartition(",")
    suffix, _, after = match[3].partition(",")
    inner = [f"{prefix}{name}{suffix}" for name in match[2].split(",")]
    return [*_expanded(before), *inner, *_expanded(after)]


def selection_of(resource: Resource | None, text: str, version: Version, *, ignore_unknown: bool = False) -> Selection:
    """Return what `fields=text` asks for."""
    named, without = set(), set()
    standard = expensive = False
    for name in _expanded(text):
        if name in {"*", "**"}:
            standard, expensive = True, expensive or name == "**"
            continue
        plain = name.removeprefix("!").removesuffix(".*").removesuffix(".**")
        try:
            node_of(resource, plain, version)
        except Refused:
            if ignore_unknown:
                continue
            raise Refused(
                INVALID_VALUE, f'The value "{plain}" is invalid for field "fields" (<field,...>)', "fields"
            ) from None
        (without if name.startswith("!") else named).add(plain)
    return Selection(standard, expensive, frozenset(named), frozenset(without))


def _covers(names: Container[str], dotted: str) -> bool:
    """Say whether a name, or an object that it is in, is among these."""
    while dotted:
        if dotted in names:
            return True
        dotted = dotted.rpartition(".")[0]
    return False


def wanted_by(selection: Selection, expensive: Iterable[str]) -> Callable[[str], bool]:
    """Return what says of a dotted name whether it is asked for."""
    dear = frozenset(expensive)

    @cache
    def wanted(dotted: str) -> bool:
        if _covers(selection.without, dotted):
            return False
        if _covers(selection.named, dotted):
            return True
        return selection.standard and (selection.expensive or not _covers(dear, dotted))

    return wanted


def chosen(record: JsonObject, wanted: Callable[[str], bool], prefix: str = "") -> JsonObject:
    """Return the part of a record that is wanted."""
    picked: JsonObject = {}
    for name, value in record.items():
        dotted = prefix + name
        if isinstance(value, dict):
            inner = chosen(value, wanted, f"{dotted}.")
            if inner:
                picked[name] = inner
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            elements = [chosen(each, wanted, f"{dotted}.") for each in value]
            if any(elements):
                picked[name] = elements
        elif value is not None and wanted(dotted):
            picked[name] = value
    return picked


# --- order and pages


def order_of(resource: Resource | None, text: str, version: Version) -> list[tuple[str, bool]]:
    """Return what `order_by=text` names, each with whether it is descending."""
    order = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, direction = part.partition(" ")
        if direction.strip().lower() not in {"", "asc", "desc"}:
            raise Refused(262268, f'The value "{part}" is invalid for "order_by".', "order_by")
        try:
            node_of(resource, name, version)
        except Refused:
            raise Refused(262268, f'Field "{name}" cannot be used in "order_by".', "order_by") from None
        order.append((name, direction.strip().lower() == "desc"))
    return order


def _sort_value(values: Values) -> tuple[int, Any]:
    if not values:
        return (2, "")
    value = values[0]
    return (0, value) if isinstance(value, int | float) else (1, str(value))


Cursor = tuple[tuple[int, Any], ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A record that passed the filters, with its place in the order."""

    row: Row
    record: JsonObject
    cursor: Cursor


def entry_of(row: Row, record: JsonObject, order: Sequence[tuple[str, bool]]) -> Entry:
    """Return a record with its place: the fields of the order, then its keys."""
    cursor = [_sort_value(values_at(record, name)) for name, _ in order]
    cursor += [_sort_value([value]) for value in row.keys.values()]
    return Entry(row, record, tuple(cursor))


def in_order(entries: Iterable[Entry], order: Sequence[tuple[str, bool]]) -> list[Entry]:
    """Return them sorted."""
    if not any(descending for _, descending in order):
        return sorted(entries, key=lambda entry: entry.cursor)
    return sorted(entries, key=cmp_to_key(lambda one, other: _compare(one.cursor, other.cursor, order)))


def _compare(one: Cursor, other: Cursor, order: Sequence[tuple[str, bool]]) -> int:
    for number, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            descending = number < len(order) and order[number][1]
            return 1 if (left > right) != descending else -1
    return 0


def _written(part: tuple[int, Any]) -> str:
    rank, value = part
    plain = str(value)
    if rank == 1 and (plain.isdigit() or plain == "null" or plain.startswith('"')):
        return f'"{plain}"'
    return plain if rank < 2 else "null"


def _read(text: str) -> tuple[int, Any]:
    if text == "null":
        return (2, "")
    if text.startswith('"') and text.endswith('"'):
        return (1, text[1:-1])
    return (0, int(text)) if text.isdigit() else (1, text)


def _start_names(entry: Entry, order: Sequence[tuple[str, bool]]) -> list[str]:
    return [f"start.{name}" for name in [*(name for name, _ in order), *entry.row.keys]]


def start_of(entry: Entry, order: Sequence[tuple[str, bool]]) -> dict[str, str]:
    """Return the parameters that say where the page begins whose first record this is."""
    return {name: _written(part) for name, part in zip(_start_names(entry, order), entry.cursor, strict=True)}


def split_at(
    entries: Sequence[Entry], start: Mapping[str, str], order: Sequence[tuple[str, bool]]
) -> tuple[Sequence[Entry], Sequence[Entry]]:
    """Return the entries before and from where such parameters say; the one that they name may have gone meanwhile."""
    if not entries or not start:
        return (), entries
    cursor = tuple(_read(start.get(name, "null")) for name in _start_names(entries[0], order))
    first = next((n for n, each in enumerate(entries) if _compare(each.cursor, cursor, order) >= 0), len(entries))
    return entries[:first], entries[first:]


def next_link(path: str, parameters: Sequence[tuple[str, str]], start: Mapping[str, object]) -> str:
    """Return the address of the next page."""
    kept = [(name, value) for name, value in parameters if not name.startswith("start.") and name != "offset"]
    pairs = [(name, str(value)) for name, value in start.items()] + list(kept)
    written = "&".join(f"{quote(name, safe='.*')}={quote(value, safe='*,')}" for name, value in pairs)
    return f"{path}?{written}" if written else path
