"""How manifests write the fields of specs: under the names, in the units and at the places that their rules say."""

from __future__ import annotations

from dataclasses import MISSING, fields
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.codec import part_of
from sharectl.model.fields import Unit, camel, rule_of, written_name
from sharectl.model.frozen import NamedTuple
from sharectl.model.kinds import address_of
from sharectl.model.quantities import SizeError, format_size, parse_size
from sharectl.model.table import SPECS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from dataclasses import Field

    from sharectl.manifests.findings import Path
    from sharectl.model.canonical import JsonObject
    from sharectl.model.kinds import Address, Kind

_IN_METADATA: Final = frozenset({"name", "labels"})
_ABSENT: Final = object()
_UNIT_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_MILLISECONDS: Final = 1000


class Written(NamedTuple):
    """A field in a manifest: its name in the plain form, its path below the object of its class, and its default there.

    `read` makes the plain value of what a manifest holds, `write` the reverse; None leaves it as it is. `refers_to` is the kind of
    the resource that it names, or of those in its list. `part` is the class of what it holds, where that has fields of its own.
    """

    name: str
    path: tuple[str, ...]
    default: Any
    read: Callable[[Any], Any] | None = None
    write: Callable[[Any], Any] | None = None
    refers_to: Kind | None = None
    is_prerequisite: bool = False
    part: type | None = None


@cache
def layout_of(cls: type) -> tuple[Written, ...]:
    """Return the fields of a spec's class, or of a part, that manifests write below `spec`, in the order of the class."""
    found: list[Written] = []
    for field in fields(cls):
        name, part = written_name(field), part_of(cls, field)
        if not name or field.name in _IN_METADATA or rule_of(field).is_spread:
            continue
        if part is not None and rule_of(field).is_flat:
            found += [inner._replace(path=(name, *inner.path)) for inner in layout_of(part)]
        else:
            found.append(_written(field, name, part))
    return tuple(found)


def _written(field: Field[Any], name: str, part: type | None) -> Written:
    rule, is_list = rule_of(field), str(field.type).startswith("tuple[")
    read: Callable[[Any], Any] | None = None
    write: Callable[[Any], Any] | None = None
    if rule.unit is Unit.SIZE:
        read, write = parse_size, format_size
    elif rule.unit is Unit.DURATION:
        read, write = parse_duration, format_duration
    elif part is not None and is_list:
        read = lambda items: [plain_of(part, item) for item in items]  # noqa: E731 - one of a few conversions
        write = lambda items: [written_of(part, item) for item in items]  # noqa: E731 - as above
    elif part is not None:
        read = lambda item: plain_of(part, item)  # noqa: E731 - as above
        write = lambda item: written_of(part, item)  # noqa: E731 - as above
    elif str(field.type).startswith("int"):
        read = int
    default = field.default if field.default_factory is MISSING else field.default_factory()
    if is_list and default is not MISSING:
        default = list(default)
    return Written(field.name, (name,), default, read, write, rule.refers_to, rule.is_prerequisite, part)


def plain_of(
    cls: type, written: JsonObject, failed: Callable[[tuple[str, ...], SizeError], None] | None = None
) -> JsonObject:
    """Return the plain form, without its defaults, of what a manifest holds below `spec`, which meets the schema.

    `failed` is told the path of a size that is none; without it the SizeError is raised.
    """
    plain: JsonObject = {}
    for first, field in _by_first_step(cls):
        if first not in written:
            continue
        value: Any = written[first]
        for step in field.path[1:]:
            value = value.get(step, _ABSENT) if value is not _ABSENT else value
        if value is _ABSENT:
            continue
        if field.read is not None:
            try:
                value = field.read(value)
            except SizeError as failure:
                if failed is None:
                    raise
                failed(field.path, failure)
                continue
        if value != field.default:
            plain[field.name] = value
    spread = _spread_of(cls)
    if spread:
        known = {path[0] for _, path, *_ in layout_of(cls)}
        plain[spread] = {_snake(name): value for name, value in written.items() if name not in known}
    return plain


@cache
def _by_first_step(cls: type) -> tuple[tuple[str, Written], ...]:
    """Return the fields, each with the key that it stands under: most are left out of most manifests."""
    return tuple((field.path[0], field) for field in layout_of(cls))


def written_of(cls: type, plain: JsonObject) -> JsonObject:
    """Return what a manifest holds below `spec` for a plain form."""
    written: JsonObject = {}
    for name, path, _, _, write, *_ in layout_of(cls):
        if name in plain:
            place = written
            for step in path[:-1]:
                place = place.setdefault(step, {})
            place[path[-1]] = plain[name] if write is None else write(plain[name])
    spread = _spread_of(cls)
    if spread:
        written |= {camel(name): value for name, value in plain[spread].items()}
    return written


@cache
def _spread_of(cls: type) -> str:
    """Return the field whose keys stand beside the other fields, empty where there is none."""
    return next((field.name for field in fields(cls) if rule_of(field).is_spread), "")


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


class Reference(NamedTuple):
    """What a spec names: the address, and the path of the field in the manifest; a prerequisite has to be there first."""

    address: Address
    path: Path
    is_prerequisite: bool = True


def references_of(kind: Kind, plain: JsonObject) -> Iterator[Reference]:
    """Yield what the plain form of a spec names, with the path of each field in the document."""
    return _references(SPECS[kind], plain, ("spec",))


def may_refer(kind: Kind) -> bool:
    """Tell whether specs of a kind have fields that name other resources."""
    cls: type | None = SPECS.get(kind)
    return cls is not None and bool(_referring(cls))


def _references(cls: type, plain: JsonObject, prefix: Path) -> Iterator[Reference]:
    for field in _referring(cls):
        value = plain.get(field.name)
        if not value:
            continue
        path = (*prefix, *field.path)
        if field.part is not None:
            yield from _references(field.part, value, path)
        elif field.refers_to is None:
            continue
        elif isinstance(value, list):
            for number, name in enumerate(value):
                yield Reference(address_of(field.refers_to, name), (*path, number), field.is_prerequisite)
        else:
            yield Reference(address_of(field.refers_to, value), path, field.is_prerequisite)


@cache
def _referring(cls: type) -> tuple[Written, ...]:
    """Return the fields that name resources, themselves or in their parts."""
    return tuple(
        field
        for field in layout_of(cls)
        if field.refers_to is not None or (field.part is not None and _referring(field.part))
    )


def parse_duration(text: str) -> float:
    """Return the seconds of `300ms`, `30s`, `5m` or `1h`."""
    unit = "ms" if text.endswith("ms") else text[-1]
    return float(text.removesuffix(unit)) * _UNIT_SECONDS[unit]


def format_duration(seconds: float) -> str:
    """Return the text of which `parse_duration` makes these seconds, in the largest unit that fits."""
    milliseconds = round(seconds * _MILLISECONDS)
    for unit, scale in (("h", 3_600_000), ("m", 60_000), ("s", _MILLISECONDS)):
        if milliseconds % scale == 0:
            return f"{milliseconds // scale}{unit}"
    return f"{milliseconds}ms"
