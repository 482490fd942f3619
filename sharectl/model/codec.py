"""Specs as plain JSON objects and back, by the declarations of their fields."""

from __future__ import annotations

import re
import sys
from dataclasses import MISSING, fields
from functools import lru_cache, partial
from itertools import compress
from operator import attrgetter, ne
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Self, TypeVar

from sharectl.model.canonical import canonical_json
from sharectl.model.fields import ANY, Policy, rule_of
from sharectl.model.frozen import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from dataclasses import Field

    from sharectl.model.fields import Rule


class Spec:
    """What a manifest or the planner asks for: a frozen dataclass whose fields have rules.

    Its plain form is a JSON object without the fields that have their default.
    """

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    name: str

    def as_plain(self) -> dict[str, Any]:
        """Return the JSON object from which `from_plain` makes an equal value."""
        return codec_of(type(self)).plain(self)

    @classmethod
    def checked(cls, plain: object) -> Self:
        """Return the spec of a JSON object from an untrusted source; raises ValueError with what is wrong with it."""
        fault = codec_of(cls).fault(plain)
        if fault or not isinstance(plain, dict):
            words = _CAPITAL.sub(" ", cls.__name__.removesuffix("Spec")).lower()
            message = f"a {words} that {fault}"
            raise ValueError(message)
        return cls.from_plain(plain)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Return the spec that `as_plain` wrote, which is not checked (see `Codec.fault`)."""
        made: Self = codec_of(cls).value(plain)
        return made


Named = TypeVar("Named", bound=Spec)
_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")
_MOST_LIKES: Final = 10_000
_NAME: Final = re.compile(rb'"name":"([ !#-\[\]-~]*)"')
"""A name in JSON of which no character stands for another."""
_UNNAMED: Final = b"\0"
"""Stands for the name; no JSON holds it."""


class Shape(NamedTuple):
    """What a field holds: the test of its JSON value, and how the value is written to and read from JSON (None: unchanged).

    Every value of the type `any_of` fits, so that most are not tested further.
    """

    fits: Callable[[Any], bool]
    write: Callable[[Any], Any] | None = None
    read: Callable[[Any], Any] | None = None
    any_of: type | None = None


class Shapes(NamedTuple):
    """The fields that a JSON object may have, and those that it must have; `is_open` to further ones."""

    fields: Mapping[str, Shape]
    needed: Collection[str]
    is_open: bool = False

    def fault(self, plain: object) -> str:
        """Return what is wrong with an object (`has size_bytes 0`), empty where nothing is."""
        if type(plain) is not dict:
            return "is not an object"
        fields, needed, is_open = self
        for name, value in plain.items():
            shape = fields.get(name)
            if shape is None:
                if not is_open:
                    return f"has an unknown field {name!r}"
            elif type(value) is not shape.any_of and not shape.fits(value):
                return f"has {name} {value!r}"
        for name in needed:
            if name not in plain:
                return f"lacks {name}"
        return ""


class Codec:
    """Writes, reads and checks the values of one dataclass; `rules` are those of the fields of its plain form."""

    __slots__ = ("_cls", "_defaults", "_flat", "_readers", "_values", "_writers", "names", "rules", "shapes")

    def __init__(self, cls: type) -> None:
        """Take the declarations of its fields."""
        self._cls = cls
        declared = [field for field in fields(cls) if not rule_of(field).is_flat]
        self._flat = tuple(
            (field.name, field.default, codec_of(_class_named(cls, field.type)))
            for field in fields(cls)
            if rule_of(field).is_flat
        )
        self.names = tuple(field.name for field in declared)
        self._defaults = tuple(MISSING if rule_of(field).is_always_kept else _default_of(field) for field in declared)
        self._values: Callable[[Any], tuple[Any, ...]] = attrgetter(*self.names)
        self.rules: dict[str, Rule] = {field.name: rule_of(field) for field in declared}
        shapes = {field.name: _shape(str(field.type), cls, rule_of(field)) for field in declared}
        self._writers = {name: shape.write for name, shape in shapes.items() if shape.write is not None}
        self._readers = {name: shape.read for name, shape in shapes.items() if shape.read is not None}
        for _, _, part in self._flat:
            shapes |= part.shapes.fields
            self.rules |= part.rules
        self.shapes: Shapes = Shapes(shapes, tuple(field.name for field in declared if _is_needed(field)))

    def plain(self, value: Any) -> dict[str, Any]:  # noqa: ANN401 - of the class that the codec was made for
        """Return the JSON object of a value."""
        values = zip(self.names, self._values(value), self._defaults, strict=True)
        plain = {name: held for name, held, default in values if held != default}
        for name, write in self._writers.items():
            if name in plain:
                plain[name] = write(plain[name])
        for name, default, part in self._flat:
            held = getattr(value, name)
            if held is not default:
                plain.update(part.plain(held))
        return plain

    def differences(self, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:  # noqa: ANN401 - as above
        """Yield the fields of the plain form that differ, with both values; None stands for one that is left out."""
        olds, news = self._values(before), self._values(after)
        for number in compress(range(len(olds)), map(ne, olds, news)):
            name, default, old, new = self.names[number], self._defaults[number], olds[number], news[number]
            write = self._writers.get(name, _as_it_is)
            yield name, None if old == default else write(old), None if new == default else write(new)
        for name, _, part in self._flat:
            old, new = getattr(before, name), getattr(after, name)
            if old is not new:
                yield from part.differences(old, new)

    def value(self, plain: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as above
        """Return the value of a JSON object."""
        values = dict(plain)
        for name, held in plain.items():
            if held is not None and (read := self._readers.get(name)) is not None:
                values[name] = read(held)
        for name, _, part in self._flat:
            if not plain.keys().isdisjoint(part.names):
                values[name] = part.value({key: values.pop(key) for key in part.names if key in plain})
        return self._cls(**values)

    def fault(self, plain: object) -> str:
        """Return what keeps a JSON object from being a value's (`has size_bytes 0`), empty where nothing does."""
        return self.shapes.fault(plain)


_CODECS: Final[dict[type, Codec]] = {}


def codec_of(cls: type) -> Codec:
    """Return the codec of a dataclass, made when it is first asked for."""
    codec = _CODECS.get(cls)
    if codec is None:
        codec = _CODECS[cls] = Codec(cls)
    return codec


class Like(Generic[Named]):
    """What specs have in common that differ in their names alone: one of them as an `example`, after which the others are made.

    Each is equal to itself alone. One that is not `shared` is of a single spec.
    """

    __slots__ = ("_around", "_make", "_values", "example")

    def __init__(self, example: Named, make: Callable[..., Named], values: tuple[Any, ...] | None) -> None:
        """Know one of them, and the `values` of its fields after the name, which all share; None where there is just this one."""
        self.example: Final = example
        self._make, self._values = make, values
        self._around: tuple[bytes, bytes] | None = None

    @property
    def is_shared(self) -> bool:
        """Tell whether there may be others like it."""
        return self._values is not None

    def named(self, name: str) -> Named:
        """Return the one of that name."""
        return self.example if self._values is None else self._make(name, *self._values)

    def json_named(self, name: str) -> bytes:
        """Return the canonical JSON of the one of that name, of those that are shared: around the name it is the same for all."""
        if self._around is None:
            text = canonical_json(self.example.as_plain())
            head, field, tail = text.partition(b'"name":')  # there is no other of that name (see `Likes.like`)
            self._around = head + field, tail.removeprefix(canonical_json(self.example.name))
        return canonical_json(name).join(self._around)


class Likes(Generic[Named]):
    """Reads specs of one class from canonical JSON: of those that differ in nothing but their names, one is decoded, the others are made after it.

    Thousands of shares are alike, and what was checked of one holds for all of them.
    """

    __slots__ = ("_known", "_make", "_most", "_values")

    def __init__(self, cls: type[Named], most: int = _MOST_LIKES) -> None:
        """Know none yet, and never more than `most`. The first field of the class is the name."""
        self._most = most
        self._make: Callable[..., Named] = cls
        self._values: Callable[[Named], tuple[Any, ...]] = attrgetter(*[field.name for field in fields(cls)][1:])
        self._known: dict[bytes, Like[Named]] = {}

    def read(self, text: bytes, decode: Callable[[], Named]) -> Named:
        """Return the spec in `text`; `decode` reads it where none like it is known."""
        like = self.like(text, decode)
        named = _NAME.search(text) if like.is_shared else None
        return like.example if named is None else like.named(named[1].decode())

    def like(self, text: bytes, decode: Callable[[], Named]) -> Like[Named]:
        """Return what the same spec has in common with others."""
        named = _NAME.search(text)
        if named is None:
            return Like(decode(), self._make, None)
        start, end = named.span()
        rest = text[:start] + _UNNAMED + text[end:]
        known = self._known.get(rest)
        if known is not None:
            return known
        spec = decode()
        is_named_once = spec.name.encode() == named[1] and b'"name":' not in rest  # a label may be called so too
        if not is_named_once or len(self._known) >= self._most:
            return Like(spec, self._make, None)
        like = self._known[rest] = Like(spec, self._make, self._values(spec))
        return like


_OPTIONAL: Final = " | None"
_TUPLE: Final = "tuple["
_MAPPING: Final = "Mapping[str, "
_TOO_LARGE: Final = 1 << 63


def part_of(cls: type, field: Field[Any]) -> type | None:
    """Return the dataclass of which a field holds one or several; None where it holds plain values."""
    annotation = str(field.type).removesuffix(_OPTIONAL).removeprefix(_TUPLE).removesuffix(", ...]")
    is_plain = annotation.startswith(_MAPPING) or annotation in {*_PLAIN, "int"}
    return None if is_plain else _class_named(cls, annotation)


def _default_of(field: Field[Any]) -> Any:  # noqa: ANN401 - whatever the field holds
    return field.default if field.default_factory is MISSING else field.default_factory()


def _class_named(cls: type, name: object) -> type:
    found: type = vars(sys.modules[cls.__module__])[str(name)]
    return found


def shapes_of(annotations: Mapping[str, str], of: type) -> Shapes:
    """Return the shapes of an object with these fields, which further ones may join; one that may be None need not be there."""
    needed = [name for name, annotation in annotations.items() if not annotation.endswith(_OPTIONAL)]
    return Shapes({name: _shape(annotation, of) for name, annotation in annotations.items()}, needed, is_open=True)


def _is_needed(field: Field[Any]) -> bool:
    has_default = field.default is not MISSING or field.default_factory is not MISSING
    return rule_of(field).is_always_kept or not (has_default or str(field.type).endswith(_OPTIONAL))


def _shape(annotation: str, cls: type, rule: Rule = ANY) -> Shape:
    """Return the shape that an annotation in the module of `cls` stands for, within the rule of its field."""
    inner = annotation.removesuffix(_OPTIONAL)
    if rule.choices is not None:
        shape = Shape(partial(_is_choice, frozenset(map(str, rule.choices))), str, sys.intern)
    elif inner == "int":
        shape = Shape(partial(_is_count, rule.minimum or 0))
    elif inner == "str" and (rule.refers_to is not None or rule.policy is Policy.IDENTITY):
        shape = Shape(_is_name, read=None if rule.refers_to is None else sys.intern)
    elif inner in _PLAIN:
        shape = Shape(_PLAIN[inner], any_of=_TYPES.get(inner))
    elif inner.startswith(_TUPLE):
        shape = _sequence(_shape(inner.removeprefix(_TUPLE).removesuffix(", ...]"), cls))
    elif inner.startswith(_MAPPING):
        value = inner.removeprefix(_MAPPING).removesuffix("]")
        read = _shared_mapping if value == "str" else None
        shape = Shape(partial(_is_mapping, _shape(value, cls).fits), _as_dict, read)
    else:
        shape = _part(_class_named(cls, inner))
    return shape if inner == annotation else _optional(shape)


def _optional(shape: Shape) -> Shape:
    fits, write = shape.fits, shape.write
    return shape._replace(
        fits=lambda value: value is None or fits(value),
        write=write and (lambda value: None if value is None else write(value)),
    )


def _part(cls: type) -> Shape:
    return Shape(
        lambda plain: not codec_of(cls).fault(plain),
        lambda value: codec_of(cls).plain(value),
        lambda plain: codec_of(cls).value(plain),
    )


def _as_it_is(value: Any) -> Any:  # noqa: ANN401 - whatever a field holds
    return value


def _as_dict(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping as a dictionary, itself where it is one: what is written is not changed."""
    return value if type(value) is dict else dict(value)


def _shared_mapping(plain: Mapping[str, str]) -> Mapping[str, str]:
    """Return a mapping that is equal: many resources have the same labels."""
    return _mapping_of(tuple(plain.items()))


@lru_cache(maxsize=10_000)
def _mapping_of(items: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    return dict(items)


def _sequence(item: Shape) -> Shape:
    fits, write, read, _ = item
    return Shape(
        lambda plain: type(plain) is list and all(map(fits, plain)),
        list if write is None else lambda value: [write(each) for each in value],
        tuple if read is None else lambda plain: tuple(read(each) for each in plain),
    )


def _is_choice(choices: frozenset[str], value: object) -> bool:
    return type(value) is str and value in choices


def _is_count(minimum: int, value: object) -> bool:
    return type(value) is int and minimum <= value < _TOO_LARGE


def _is_name(value: object) -> bool:
    return type(value) is str and value != ""


def _is_mapping(fits: Callable[[Any], bool], value: object) -> bool:
    return type(value) is dict and all(map(fits, value.values()))


_TYPES: Final[Mapping[str, type]] = {"str": str, "float": float, "bool": bool}
_PLAIN: Final[Mapping[str, Callable[[Any], bool]]] = {
    "Any": lambda _: True,
    "str": lambda value: type(value) is str,
    "float": lambda value: type(value) in {int, float},
    "bool": lambda value: type(value) is bool,
}
