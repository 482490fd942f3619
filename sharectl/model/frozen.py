"""Frozen dataclasses whose methods are compiled when they are called again, and named tuples whose annotations never are.

To compile them all took a third of a command's start.
"""

from __future__ import annotations

import dataclasses
import sys
from collections import namedtuple
from dataclasses import field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from dataclasses import dataclass
    from typing import NamedTuple

__all__ = ["NamedTuple", "dataclass", "field"]


_CALLS_UNCOMPILED: Final = 3
"""So often a method is called without being compiled, which takes as long as thirty calls; most classes of a short command have few values."""


class _Late:
    """A method that is compiled, and takes its own place in the class, when it is looked up for the fourth time."""

    __slots__ = ("_cls", "_left", "_name")

    def __init__(self, cls: Any, name: str) -> None:  # noqa: ANN401 - a dataclass
        self._cls, self._name = cls, name
        self._left = _CALLS_UNCOMPILED

    def __get__(self, value: object, owner: type) -> Any:  # noqa: ANN401 - a method of any signature
        if value is not None and self._left and self._name in _UNCOMPILED:
            self._left -= 1
            return partial(_UNCOMPILED[self._name], self, value)
        return self.compiled().__get__(value, owner)  # of this class, whatever one below it says

    def compiled(self) -> Any:  # noqa: ANN401 - as above
        """Return the method, in whose place it is from now on."""
        made = _initializer(self._cls) if self._name == "__init__" else _compiled(self._cls, self._name)
        setattr(self._cls, self._name, made)
        return made

    def fields(self) -> Sequence[dataclasses.Field[Any]]:
        """Return the fields of the class."""
        return dataclasses.fields(self._cls)

    def set(self, value: object, values: Mapping[str, object]) -> None:
        """Set the fields of a value."""
        for name, each in values.items():
            getattr(self._cls, name).__set__(value, each)


def _initialize(late: _Late, value: object, /, *given: object, **named: object) -> None:
    """Set the fields; what does not fit is left to the compiled method, which says so."""
    declared = late.fields()
    values = dict(zip([each.name for each in declared], given, strict=False))
    is_twice = len(given) > len(declared) or not named.keys().isdisjoint(values)
    values |= named
    for each in declared:
        if each.name not in values and each.default is not dataclasses.MISSING:
            values[each.name] = each.default
        elif each.name not in values and each.default_factory is not dataclasses.MISSING:
            values[each.name] = each.default_factory()
    if is_twice or values.keys() != {each.name for each in declared}:
        late.compiled()(value, *given, **named)
        return
    late.set(value, values)
    if hasattr(value, "__post_init__"):
        value.__post_init__()


def _equals(late: _Late, value: object, other: object, /) -> object:
    if type(other) is not type(value):
        return NotImplemented
    names = [each.name for each in late.fields() if each.compare]
    return [getattr(value, name) for name in names] == [getattr(other, name) for name in names]


def _hash(late: _Late, value: object, /) -> int:
    hashed = [each.name for each in late.fields() if (each.compare if each.hash is None else each.hash)]
    return hash(tuple(getattr(value, name) for name in hashed))


_UNCOMPILED: Final[Mapping[str, Callable[..., Any]]] = {"__init__": _initialize, "__eq__": _equals, "__hash__": _hash}


class _Factory:
    """Stands for what a factory makes, in the signature of `__init__`."""

    def __repr__(self) -> str:
        return "<factory>"


_FACTORY: Final = _Factory()


def _initializer(cls: Any) -> Any:  # noqa: ANN401 - a dataclass, and its `__init__`
    """Return an `__init__` that sets the slots by their descriptors.

    It runs as fast as the standard library's, which compiles two methods that refuse changes with it.
    """
    scope: dict[str, Any] = {"_factory": _FACTORY}
    parameters, lines = ["self"], []
    for each in dataclasses.fields(cls):
        name, value = each.name, each.name
        scope[f"_set_{name}"] = getattr(cls, name).__set__
        scope[f"_default_{name}"] = each.default
        default = "" if each.default is dataclasses.MISSING else f" = _default_{name}"
        if each.default_factory is not dataclasses.MISSING:
            scope[f"_make_{name}"] = each.default_factory
            default, value = " = _factory", f"_make_{name}() if {name} is _factory else {name}"
        parameters.append(f"{name}{default}")
        lines.append(f"_set_{name}(self, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    inner = f"def __init__({', '.join(parameters)}): {'; '.join(lines) or 'pass'}"
    local: dict[str, Any] = {}
    exec(  # noqa: S102 - made of the names of fields
        f"def make({', '.join(scope)}):\n {inner}\n return __init__", vars(sys.modules[cls.__module__]), local
    )
    made = local["make"](**scope)
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__annotations__ = {each.name: each.type for each in dataclasses.fields(cls)} | {"return": None}
    return made


def _compiled(cls: Any, name: str) -> Any:  # noqa: ANN401 - a dataclass, and a method of any signature
    """Return the method of that name, from a class with the same fields."""
    declared = dataclasses.fields(cls)
    body: dict[str, Any] = {each.name: each for each in declared}
    body["__annotations__"] = {each.name: each.type for each in declared}
    body["__module__"], body["__doc__"] = cls.__module__, cls.__doc__
    twin: Any = type(cls.__name__, (), body)
    made = dataclasses.dataclass(
        init=False, repr=name == "__repr__", eq=name != "__repr__", unsafe_hash=name == "__hash__"
    )
    return vars(made(twin))[name]


def _refuse(self: object, name: str, *_value: object) -> None:
    message = f"cannot assign to field {name!r} of a {type(self).__name__}"
    raise dataclasses.FrozenInstanceError(message)


def _state(self: Any) -> list[Any]:  # noqa: ANN401 - any dataclass
    return [getattr(self, each.name) for each in dataclasses.fields(self)]


def _restore(self: Any, state: list[Any]) -> None:  # noqa: ANN401 - any dataclass
    for declared, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, declared.name, value)


@dataclasses.dataclass(init=False, repr=False, eq=False)
class _Example:
    """Without a docstring it would be given its signature, and for that Python compiles the grammar of its tokens: 1 ms of every start."""

    value: object


_Example.__dataclass_params__.frozen = True  # type: ignore[attr-defined]
_FIELD: Final = dataclasses.fields(_Example)[0]._field_type  # type: ignore[attr-defined]  # noqa: SLF001 - what makes a field one has no public name


def _fields_of(cls: type, body: dict[str, Any]) -> dict[str, dataclasses.Field[Any]]:
    """Return the fields of a class and those above it, and take the defaults of its own out of `body`."""
    found: dict[str, dataclasses.Field[Any]] = {}
    for base in reversed(cls.__mro__[1:]):
        found |= vars(base).get("__dataclass_fields__", {})
    for name, annotation in cls.__annotations__.items():
        if annotation.startswith("ClassVar"):
            continue
        default = body.pop(name, dataclasses.MISSING)
        each: Any = default if isinstance(default, dataclasses.Field) else field(default=default)
        each.name, each.type, each.kw_only, each._field_type = name, annotation, False, _FIELD  # noqa: SLF001 - as above
        found[name] = each
    return found


def _slotted(cls: type) -> Any:  # noqa: ANN401 - a dataclass
    """Return the class as a frozen, slotted dataclass without methods of its own, as the standard library makes it in twice the time."""
    body = dict(vars(cls))
    declared = _fields_of(cls, body)
    above = {name for base in cls.__mro__[1:] for name in vars(base).get("__slots__", ())}
    body.pop("__dict__", None)
    body.pop("__weakref__", None)
    body |= {
        "__dataclass_fields__": declared,
        "__dataclass_params__": vars(_Example)["__dataclass_params__"],
        "__match_args__": tuple(declared),
        "__slots__": tuple(name for name in declared if name not in above),
    }
    made = type(cls)(cls.__name__, cls.__bases__, body)
    made.__qualname__ = cls.__qualname__
    return made


if not TYPE_CHECKING:

    def dataclass(*, frozen: bool, slots: bool, eq: bool = True) -> Callable[[type], type]:
        """As `dataclasses.dataclass`, for classes that are frozen and slotted."""
        if not (frozen and slots):
            message = "only for frozen, slotted classes"
            raise TypeError(message)
        late = ("__init__", "__repr__", "__eq__", "__hash__") if eq else ("__init__", "__repr__")

        def made(cls: type) -> type:
            own, made = vars(cls).keys(), _slotted(cls)
            for name in late:
                if name not in own:
                    setattr(made, name, _Late(made, name))
            made.__setattr__ = made.__delattr__ = _refuse
            made.__getstate__, made.__setstate__ = _state, _restore
            return made

        return made

    class _NamedTupleType(type):
        """Makes a named tuple of the body of a class."""

        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
            if not bases:
                return super().__new__(cls, name, bases, body)
            fields = body.get("__annotations__", {})
            defaults = [body[each] for each in fields if each in body]
            made = namedtuple(name, fields, defaults=defaults)  # noqa: PYI024 - typing's compiles the annotations
            for each, value in body.items():
                if each not in fields:
                    setattr(made, each, value)
            return made

    class NamedTuple(metaclass=_NamedTupleType):
        """As `typing.NamedTuple`, for classes that have fields with defaults last and are not generic."""
