"""What requests and answers are made of: paths and queries, in which every value is quoted here, so that none can name more than it means."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import quote

from sharectl.drivers.base import DriverError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Path = str | tuple[str | int, ...]
"""A path below `/api`, as text where it holds no values, else its first part and then one segment after the other:
`("storage/volumes", uuid, "snapshots")`."""

QueryValue: TypeAlias = "str | int | bool | Pattern | Sequence[str]"

_PLAIN_VALUE: Final = re.compile(r"[A-Za-z0-9_:/@-]+(\.[A-Za-z0-9_:/@-]+)*")
_KEYS: Final = ("uuid", "id", "name", "index", "user_or_group", "type")
_PARENTS: Final = ("svm", "volume", "share", "policy", "node", "interface")
_LONGEST_WAIT_SECONDS: Final = 600.0
_NULL: Final = "null"
_MEANS_MORE: Final = frozenset('*|"<>?')
"""What means more than itself in a key of a path; no name that an array has for anything holds it."""


class Pattern(str):
    """A filter that is meant as one: `sharectl:*`, `!null`, `>5`."""

    __slots__ = ()


def target_of(path: Path) -> str:
    """Return the path as it is sent, from `/api` on. Raises DriverError for a value that is no name of one thing."""
    first, *segments = (path,) if isinstance(path, str) else path
    return "/".join(("/api", str(first).strip("/"), *map(_segment, segments)))


def shown(path: Path) -> str:
    """Return the path for people."""
    return path if isinstance(path, str) else "/".join(map(str, path))


def _segment(value: str | int) -> str:
    text = str(value)
    if not text or text in {".", ".."} or not text.isprintable() or not _MEANS_MORE.isdisjoint(text):
        message = f"{text!r} cannot be the name of one object of an array; nothing was asked"
        raise DriverError(message)
    return quote(text, safe="")


def query_text(query: Mapping[str, QueryValue], fields: Iterable[str] = ()) -> str:
    """Return a query string."""
    parts = [f"{quote(name, safe='.*')}={quote(_value(value), safe='')}" for name, value in query.items()]
    wanted = ",".join(fields)
    if wanted:
        parts.append(f"fields={quote(wanted, safe=',.*')}")
    return "&".join(parts)


def _value(value: QueryValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Pattern | int):
        return str(value)
    if isinstance(value, str):
        return literal(value)
    return "|".join(map(literal, value))


def literal(text: str) -> str:
    """Return a filter that means this text alone, whatever characters are in it."""
    if _PLAIN_VALUE.fullmatch(text) and text.lower() != _NULL:
        return text
    if '"' not in text:
        return f'"{text}"'
    if "{" not in text and "}" not in text:
        return f"{{{text}}}"
    message = f"{text!r} cannot be asked for: it holds both quotation marks and braces"
    raise DriverError(message)


def key_of(record: Mapping[str, object]) -> tuple[object, ...]:
    """Return what tells the records of one list apart: their keys, or all of them where they have none."""
    parents = (record.get(parent) for parent in _PARENTS)
    found = (
        *map(record.get, _KEYS),
        *(each.get("uuid", each.get("name")) if isinstance(each, dict) else each for each in parents),
    )
    return found if any(each is not None for each in found) else tuple(sorted((k, repr(v)) for k, v in record.items()))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer asks to wait, which it may give as a time by the array's own clock."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST_WAIT_SECONDS)
    then = _date(text)
    if then is None:
        return None
    now = _date(headers.get("Date", "")) or datetime.now(UTC)
    return min(max((then - now).total_seconds(), 0.0), _LONGEST_WAIT_SECONDS)


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
