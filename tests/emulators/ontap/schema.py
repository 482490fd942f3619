"""Bodies: what a request wants to set, checked against the fields of its resource and made plain."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from tests.emulators.ontap.errors import NOT_SETTABLE, Refused, invalid, unexpected

if TYPE_CHECKING:
    from tests.emulators.ontap.facts import JsonObject, Node, Resource, Version

Mode = Literal["c", "u"]

_WRONG_TYPE: Final = 262201
_ARRAY_EXPECTED: Final = 262254
_GIVEN_TWICE: Final = 262188
_ARRAY_TWICE: Final = 262222

_OWN_LENGTHS: Final = frozenset({("volume", "name"), ("export_policy", "name"), ("cifs_share", "name")})
"""Fields whose length their resource refuses with a code of its own."""
UNITS: Final = {
    "": 1,
    "B": 1,
    **{f"{unit}{end}": 1024**power for power, unit in enumerate("KMGTP", 1) for end in ("B", "")},
}
_SIZE: Final = re.compile(r"(-?\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_BOOLEANS: Final = {"true": True, "false": False}


def size_of(value: object) -> int | None:
    """Return a number of bytes, or any whole number, that is written as a number or as `10`, `10GB` or `1.5TB`."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if not isinstance(value, str):
        return int(value) if value == int(value) else None
    match = _SIZE.fullmatch(value.strip())
    unit = UNITS.get(match[2].upper()) if match else None
    return (
        None
        if match is None or unit is None
        else int(float(match[1]) * unit)
        if "." in match[1]
        else int(match[1]) * unit
    )


def boolean_of(value: object) -> bool | None:
    """Return a boolean that is written as one, or as a word in any case."""
    if isinstance(value, bool):
        return value
    return _BOOLEANS.get(value.lower()) if isinstance(value, str) else None


def moment_of(value: object) -> str | None:
    """Return an ISO 8601 moment."""
    try:
        datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return str(value)


def _text_of(value: object) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else None


def number_of(value: object) -> float | int | None:
    """Return a number, also one in a string."""
    try:
        return None if isinstance(value, bool) or not isinstance(value, int | float | str) else float(value)
    except ValueError:
        return None


_READERS: Final = {
    "bool": boolean_of,
    "size": size_of,
    "number": number_of,
    "datetime": moment_of,
    "str": _text_of,
}


@dataclass(slots=True)
class Reader:
    """Reads one body for one operation."""

    resource: Resource
    mode: Mode
    version: Version
    parameters: frozenset[str]
    """Parameters of the operation, which may stand in the body too."""
    found: dict[str, str] = field(default_factory=dict)
    """Those parameters that did."""

    def read(self, body: Mapping[str, Any]) -> JsonObject:
        """Return the body as one nested object, or refuse it."""
        result: JsonObject = {}
        for name, value in self._own_parameters(body).items():
            self._into(result, self.resource.tree, name.split("."), value, "")
        return result

    def _own_parameters(self, body: Mapping[str, Any]) -> JsonObject:
        """Take the operation's parameters out of a body, dotted or nested, and return the rest."""
        rest: JsonObject = {}
        for name, value in body.items():
            if name in self.parameters and not isinstance(value, Mapping):
                self.found[name] = str(value).lower() if isinstance(value, bool) else str(value)
            elif isinstance(value, Mapping) and any(each.startswith(f"{name}.") for each in self.parameters):
                for inner, leaf in self._own_parameters({f"{name}.{key}": each for key, each in value.items()}).items():
                    rest[inner] = leaf
            else:
                rest[name] = value
        return rest

    def _into(self, result: JsonObject, node: Node, parts: list[str], value: Any, above: str) -> None:  # noqa: ANN401 - JSON
        name, rest = parts[0], parts[1:]
        dotted = f"{above}{name}"
        child = node.children.get(name)
        if child is None or child.since > self.version:
            raise unexpected(dotted)
        if rest and not child.opaque:
            value = {".".join(rest): value}
        read = self._value(child, value, dotted)
        if name in result and isinstance(read, dict) and isinstance(result[name], dict):
            _merge(result[name], read, dotted)
        elif name in result and result[name] != read:
            raise Refused(_GIVEN_TWICE, f'Field "{dotted}" was specified twice with conflicting values.', dotted)
        else:
            result[name] = read

    def _value(self, node: Node, value: Any, dotted: str) -> Any:  # noqa: ANN401 - JSON
        if node.opaque:
            return value
        if node.many:
            return [self._value_of_one(node, each, dotted) for each in _elements(value, dotted)]
        return self._value_of_one(node, value, dotted)

    def _value_of_one(self, node: Node, value: Any, dotted: str) -> Any:  # noqa: ANN401 - JSON
        if node.leaf is not None and not node.children:
            return self._leaf(node.leaf, value, dotted)
        if isinstance(value, str) and "name" in node.children:
            value = {"name": value}
        if not isinstance(value, Mapping):
            raise Refused(_WRONG_TYPE, f'An object is expected for field "{dotted}".', dotted)
        result: JsonObject = {}
        for name, each in value.items():
            self._into(result, node, name.split("."), each, f"{dotted}.")
        return result

    def _leaf(self, leaf: Mapping[str, Any], value: Any, dotted: str) -> Any:  # noqa: ANN401 - JSON
        if self.mode not in leaf["m"] or leaf.get("ro?"):
            raise Refused(NOT_SETTABLE, f'Field "{dotted}" cannot be set in this operation.', dotted)
        if not leaf["t"].endswith("[]"):
            return self._scalar(leaf, value, dotted)
        if not isinstance(value, list):
            raise Refused(_ARRAY_EXPECTED, f'An array is expected for field "{dotted}".', dotted)
        read = [self._scalar({**leaf, "t": leaf["t"].removesuffix("[]")}, each, dotted) for each in value]
        if len(set(read)) < len(read):
            raise Refused(_ARRAY_TWICE, f'Array field "{dotted}" has a duplicate value.', dotted)
        if "maxitems" in leaf and len(read) > int(leaf["maxitems"]):
            raise invalid(value, dotted)
        return read

    def _scalar(self, leaf: Mapping[str, Any], value: Any, dotted: str) -> Any:  # noqa: ANN401 - JSON
        if isinstance(value, dict | list) or value is None:
            raise Refused(_WRONG_TYPE, f'A value of type "{leaf["t"]}" is expected for field "{dotted}".', dotted)
        read = _READERS[leaf["t"]](value)
        if read is None:
            raise invalid(value, dotted)
        if isinstance(leaf.get("enum"), list):
            read = next((each for each in leaf["enum"] if str(each).lower() == str(read).lower()), None)
            if read is None:
                raise invalid(value, dotted, ", ".join(map(str, leaf["enum"])))
        if (self.resource.name, dotted) not in _OWN_LENGTHS:
            _bounded(leaf, read, dotted)
        return read


def _elements(value: Any, dotted: str) -> list[Any]:  # noqa: ANN401 - JSON
    """Return the elements of an array of objects, also of one that was written as `{"name": ["a", "b"]}` or `a.name: [...]`."""
    if isinstance(value, Mapping):
        columns = {name: each if isinstance(each, list) else [each] for name, each in value.items()}
        longest = max((len(each) for each in columns.values()), default=0)
        if all(len(each) == longest for each in columns.values()):
            return [{name: each[number] for name, each in columns.items()} for number in range(longest)]
    if not isinstance(value, list):
        raise Refused(_ARRAY_EXPECTED, f'An array is expected for field "{dotted}".', dotted)
    return value


def _merge(into: JsonObject, more: JsonObject, dotted: str) -> None:
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value, f"{dotted}.{name}")
        elif name in into and into[name] != value:
            raise Refused(_GIVEN_TWICE, f'Field "{dotted}.{name}" was specified twice with conflicting values.', dotted)
        else:
            into[name] = value


def _bounded(leaf: Mapping[str, Any], value: object, dotted: str) -> None:
    """Refuse what is too long, too short, too small or too large."""
    if isinstance(value, str):
        low, high = leaf.get("len", (leaf.get("minlen"), leaf.get("maxlen")))
        measured, text = len(value), "characters"
    elif isinstance(value, bool):
        return
    else:
        low, high = leaf.get("range", (leaf.get("min"), leaf.get("max")))
        measured, text = value, ""  # type: ignore[assignment]
    if (low is not None and measured < float(low)) or (high is not None and measured > float(high)):
        raise invalid(value, dotted, f"<{low}..{high}> {text}".rstrip())


def read_body(
    resource: Resource, mode: Mode, version: Version, parameters: frozenset[str], body: Mapping[str, Any]
) -> tuple[JsonObject, dict[str, str]]:
    """Return a body made plain, and the operation's parameters that stood in it."""
    reader = Reader(resource, mode, version, parameters)
    return reader.read(body), reader.found
