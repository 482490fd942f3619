"""Specs as plain JSON objects and back, by the declarations of their fields."""

from __future__ import annotations

import sys
from dataclasses import MISSING, fields
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Self

from sharectl.model.fields import ANY, rule_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from dataclasses import Field

    from sharectl.model.fields import Rule


class Spec:
    """What a manifest or the planner asks for: a frozen dataclass whose fields have rules.

    Its plain form is a JSON object without the fields that have their default.
    """

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def as_plain(self) -> dict[str, Any]:
        """Return the JSON object from which `from_plain` makes an equal value."""
        return codec_of(type(self)).plain(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Return the spec that `as_plain` wrote; raises TypeError or ValueError for anything else."""
        made: Self = codec_of(cls).value(plain)
        return made


class Shape(NamedTuple):
    """What a field may hold: what is wrong with a value (empty: nothing), how it is written as JSON, and read (None: as it is)."""

    problem: Callable[[Any], str]
    write: Callable[[Any], Any] | None = None
    read: Callable[[Any], Any] | None = None


class Codec:
    """Writes, reads and checks the values of one dataclass."""

    __slots__ = ("_cls", "_defaults", "_flat", "_readers", "_shapes", "_values", "_writers", "names")

    def __init__(self, cls: type) -> None:
        """Take the declarations of its fields."""
        self._cls = cls
        declared = [field for field in fields(cls) if not rule_of(field).is_flat]
        self._flat = tuple(
            (field.name, field.default, _class_named(cls, field.type))
            for field in fields(cls)
            if rule_of(field).is_flat
        )
        self.names = tuple(field.name for field in declared)
        self._defaults = tuple(MISSING if rule_of(field).is_always_kept else _default_of(field) for field in declared)
        self._values: Callable[[Any], tuple[Any, ...]] = attrgetter(*self.names)
        self._shapes = {field.name: _shape(cls, str(field.type), rule_of(field)) for field in declared}
        self._writers = tuple((name, shape.write) for name, shape in self._shapes.items() if shape.write is not None)
        self._readers = tuple((name, shape.read) for name, shape in self._shapes.items() if shape.read is not None)

    def plain(self, value: Any) -> dict[str, Any]:  # noqa: ANN401 - of the class that the codec was made for
        """Return the JSON object of a value."""
        values = zip(self.names, self._values(value), self._defaults, strict=True)
        plain = {name: held for name, held, default in values if held != default}
        for name, write in self._writers:
            if name in plain:
                plain[name] = write(plain[name])
        for name, default, part in self._flat:
            held = getattr(value, name)
            if held is not default:
                plain.update(codec_of(part).plain(held))
        return plain

    def value(self, plain: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as above
        """Return the value of a JSON object."""
        values = dict(plain)
        for name, read in self._readers:
            if values.get(name) is not None:
                values[name] = read(values[name])
        for name, _, part in self._flat:
            codec = codec_of(part)
            found = {key: values.pop(key) for key in codec.names if key in values}
            if found:
                values[name] = codec.value(found)
        return self._cls(**values)

    def problems(self, value: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - as above
        """Yield the fields that hold something else than they declare, each with what is wrong."""
        for name, shape in self._shapes.items():
            problem = shape.problem(getattr(value, name))
            if problem:
                yield name, problem
        for name, _, part in self._flat:
            yield from codec_of(part).problems(getattr(value, name))


_CODECS: Final[dict[type, Codec]] = {}


def codec_of(cls: type) -> Codec:
    """Return the codec of a dataclass, made when it is first asked for."""
    codec = _CODECS.get(cls)
    if codec is None:
        codec = _CODECS[cls] = Codec(cls)
    return codec


_OPTIONAL: Final = " | None"
_TUPLE: Final = "tuple["
_MAPPING: Final = "Mapping[str, "
_TOO_LARGE: Final = 1 << 63


def part_of(cls: type, field: Field[Any]) -> type | None:
    """Return the dataclass of which a field holds one or several; None where it holds plain values."""
    annotation = str(field.type).removesuffix(_OPTIONAL).removeprefix(_TUPLE).removesuffix(", ...]")
    is_plain = annotation.startswith(_MAPPING) or annotation in _PLAIN
    return None if is_plain else _class_named(cls, annotation)


def _default_of(field: Field[Any]) -> Any:  # noqa: ANN401 - whatever the field holds
    return field.default if field.default_factory is MISSING else field.default_factory()


def _class_named(cls: type, name: object) -> type:
    found: type = vars(sys.modules[cls.__module__])[str(name)]
    return found


def _shape(cls: type, annotation: str, rule: Rule = ANY) -> Shape:
    """Return the shape that an annotation in the module of `cls` stands for, within the rule of its field."""
    inner = annotation.removesuffix(_OPTIONAL)
    if rule.choices is not None:
        shape = Shape(partial(_choice_problem, tuple(rule.choices)), str)
    elif rule.minimum is not None:
        shape = Shape(partial(_number_problem, rule.minimum))
    elif inner.startswith(_TUPLE):
        shape = _sequence(_shape(cls, inner.removeprefix(_TUPLE).removesuffix(", ...]")))
    elif inner.startswith(_MAPPING):
        values = _shape(cls, inner.removeprefix(_MAPPING).removesuffix("]"))
        shape = Shape(partial(_mapping_problem, values.problem), dict)
    elif inner in _PLAIN:
        shape = Shape(_PLAIN[inner])
    else:
        shape = _part(_class_named(cls, inner))
    return shape if inner == annotation else _optional(shape)


def _optional(shape: Shape) -> Shape:
    write = shape.write
    return shape._replace(
        problem=lambda value: "" if value is None else shape.problem(value),
        write=write and (lambda value: None if value is None else write(value)),
    )


def _part(cls: type) -> Shape:
    return Shape(
        partial(_part_problem, cls), lambda value: codec_of(cls).plain(value), lambda plain: codec_of(cls).value(plain)
    )


def _sequence(item: Shape) -> Shape:
    write, read = item.write, item.read
    return Shape(
        lambda value: (
            next((f"holds what {found}" for found in map(item.problem, value) if found), "")
            if isinstance(value, tuple)
            else "is not a list"
        ),
        list if write is None else lambda value: [write(each) for each in value],
        tuple if read is None else lambda plain: tuple(read(each) for each in plain),
    )


def _choice_problem(choices: tuple[str, ...], value: object) -> str:
    is_one = isinstance(value, str) and value in choices
    return "" if is_one else f"is {value!r}, not one of {', '.join(choices)}"


def _number_problem(minimum: int, value: object) -> str:
    is_one = type(value) is int and minimum <= value < _TOO_LARGE
    return "" if is_one else f"is {value!r}, not a whole number of {minimum} or more"


def _mapping_problem(problem: Callable[[Any], str], value: object) -> str:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        return "is not a mapping"
    return next((f"holds what {found}" for found in map(problem, value.values()) if found), "")


def _part_problem(part: type, value: object) -> str:
    if not isinstance(value, part):
        return f"is not a {part.__name__}"
    return next((f"has a {name} that {problem}" for name, problem in codec_of(part).problems(value)), "")


def _plain_problem(types: tuple[type, ...], what: str, value: object) -> str:
    return "" if type(value) in types else f"is {value!r}, not {what}"


_PLAIN: Final[Mapping[str, Callable[[Any], str]]] = {
    "Any": lambda _: "",
    "str": lambda value: "" if isinstance(value, str) else f"is {value!r}, not text",
    "int": partial(_plain_problem, (int,), "a whole number"),
    "float": partial(_plain_problem, (int, float), "a number"),
    "bool": partial(_plain_problem, (bool,), "true or false"),
}
