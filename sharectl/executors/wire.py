"""The JSON form of calls and answers, as they travel to a worker elsewhere and back.

    {"version": 1, "type": "ListShares", "value": {"resource_ids": ["…"]}}

Values are written field by field, except those that equal their defaults: so an older sharectl, which refuses what it does not know,
accepts everything that does not use a later field. What is read is checked against the types of the fields, and anything else is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import orjson

from sharectl.executors import answers, calls
from sharectl.executors.answers import Answer, Failure
from sharectl.executors.calls import Call
from sharectl.model import observed, requests, specs
from sharectl.model.access import AccessRule, ExportSettings
from sharectl.model.diagnostics import Diagnostic
from sharectl.model.networks import AllocationRequest, NetworkAllocation
from sharectl.model.share_networks import SecurityServiceSpec, ShareNetworkSubnet

VERSION: Final = 1
_NAMES: Final = {
    **vars(observed),
    **vars(requests),
    **vars(specs),
    **{
        kind.__name__: kind
        for kind in (
            AccessRule,
            SecurityServiceSpec,
            ShareNetworkSubnet,
            AllocationRequest,
            NetworkAllocation,
            Diagnostic,
        )
    },
    "ExportSettings": ExportSettings,
    "Field": Field,
    "Mapping": Mapping,
}
TYPES: Final = {
    kind.__name__: kind
    for kind in (*vars(answers).values(), *vars(calls).values())
    if isinstance(kind, type) and is_dataclass(kind) and issubclass(kind, Call | Answer | Failure)
}


class WireError(ValueError):
    """What was received is not a call or an answer that this version knows."""


def encode(value: Call[Answer] | Answer | Failure) -> bytes:
    """Return the JSON form."""
    return orjson.dumps({"version": VERSION, "type": type(value).__name__, "value": _plain(value)})


def decode(data: bytes) -> Call[Answer] | Answer | Failure:
    """Return the value that `encode` wrote. Raises WireError."""
    try:
        document = orjson.loads(data)
        version = document["version"]
        found = _read(TYPES[document["type"]], document["value"]) if version == VERSION else None
    except WireError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        message = f"not a call or an answer: {error}"
        raise WireError(message) from error
    if found is None:
        message = f"version {version!r} is not known here"
        raise WireError(message)
    read: Call[Answer] | Answer | Failure = found
    return read


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value of a field
    if is_dataclass(value):
        return {
            field.name: _plain(found)
            for field in fields(value)
            if (found := getattr(value, field.name)) != field.default  # without a default it equals nothing
        }
    if isinstance(value, tuple | list):
        return [_plain(one) for one in _said(value)]
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return value


def _said(values: Any) -> Any:  # noqa: ANN401 - a list, or any named tuple
    """Return the values of a named tuple up to the last that differs from its default; of anything else all."""
    defaults = getattr(values, "_field_defaults", None)
    if not defaults:
        return values
    number = len(values)
    while (
        number and values._fields[number - 1] in defaults and values[number - 1] == defaults[values._fields[number - 1]]
    ):
        number -= 1
    return values[:number]


def _read(kind: Any, plain: Any) -> Any:  # noqa: ANN401, PLR0911 - any type of a field; one case for each
    origin = get_origin(kind)
    if kind is Any:
        return plain
    if origin in {Union, UnionType}:
        return _read_union(get_args(kind), plain)
    if origin is Literal:
        return _expect(plain in get_args(kind), plain, kind)
    if origin is tuple:
        return _read_tuple(get_args(kind), _expect(isinstance(plain, list), plain, kind))
    if origin is Mapping:
        value_kind = get_args(kind)[1]
        return {key: _read(value_kind, one) for key, one in _expect(isinstance(plain, dict), plain, kind).items()}
    if isinstance(kind, type) and is_dataclass(kind):
        hints = hints_of(kind)
        for name in sorted(plain.keys() - hints.keys()):
            message = f"a {kind.__name__} with {name}, which this version of sharectl does not know"
            raise WireError(message)
        return kind(**{name: _read(hints[name], one) for name, one in plain.items()})
    if issubclass(kind, tuple):
        kinds = tuple(hints_of(kind).values())
        least = len(kinds) - len(kind._field_defaults)
        return kind(*map(_read, kinds, _expect(least <= len(plain) <= len(kinds), plain, kind)))
    if issubclass(kind, StrEnum):
        return kind(plain)
    return _expect(type(plain) is kind or (kind is float and type(plain) is int), plain, kind)


def _read_union(kinds: tuple[Any, ...], plain: Any) -> Any:  # noqa: ANN401 - as above
    for kind in kinds:
        try:
            return _read(kind, plain)
        except (WireError, TypeError, KeyError, AttributeError):
            continue
    return _expect(False, plain, kinds)  # noqa: FBT003 - nothing fits


def _read_tuple(kinds: tuple[Any, ...], plain: list[Any]) -> tuple[Any, ...]:
    if kinds[-1] is Ellipsis:
        return tuple(_read(kinds[0], one) for one in plain)
    return tuple(map(_read, kinds, _expect(len(plain) == len(kinds), plain, kinds)))


def _expect(fits: bool, plain: Any, kind: Any) -> Any:  # noqa: ANN401, FBT001 - as above
    if not fits:
        message = f"{plain!r:.80} is not {kind}"
        raise WireError(message)
    return plain


@cache
def hints_of(kind: type) -> dict[str, Any]:
    """Return the types of the fields of a dataclass or a named tuple, in their order."""
    names = [field.name for field in fields(kind)] if is_dataclass(kind) else list(kind.__annotations__)
    hints = get_type_hints(kind, localns=_NAMES)
    return {name: hints[name] for name in names}
