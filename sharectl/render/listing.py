"""All shares, for people and programs: tables, CSV, names, JSON; written as they are drawn."""

from __future__ import annotations

import csv
import io
import re
from itertools import chain
from typing import TYPE_CHECKING, Final

from sharectl.model.access import protocol_words
from sharectl.model.quantities import approximate_size, format_size
from sharectl.render.formats import document
from sharectl.render.freshness import freshness_object, time_text
from sharectl.render.tables import Cell, Column, streamed_lines
from sharectl.render.text import PLAIN, visible
from sharectl.workspace.listing import Condition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.model.canonical import JsonObject
    from sharectl.render.text import Look
    from sharectl.workspace.listing import ListedShare, Listing

_COLUMNS: Final = (
    Column("SHARE"),
    Column("STATE", whole=True),
    Column("USED", right=True, optional=True),
    Column("SIZE", right=True),
    Column("FULL", right=True, optional=True),
    Column("OVER", optional=True, whole=True),
    Column("PLACE", optional=True),
    Column("LABELS", optional=True),
)
_WIDE: Final = (
    *_COLUMNS,
    Column("TYPE", optional=True),
    Column("SEEN", optional=True, whole=True),
    Column("EXPORT", optional=True),
    Column("RESOURCE ID", optional=True),
    Column("NOTE", optional=True),
)
_STYLES: Final = {Condition.FAILED: "error", Condition.HALF_DONE: "warning", Condition.REFUSED: "warning"}
_WORDS: Final = {condition: condition.value for condition in Condition}
_UNKNOWN: Final = "unknown"
_FORMULA: Final = r"(?:^|(?<=;))\s*(?=[=+@-]|[\uff1d\uff0b\uff20\uff0d])"
"""Before what a spreadsheet reads as a formula: also behind a semicolon, at which many of them end a field, and in the wide forms of East Asia."""


def list_lines(listing: Listing, look: Look = PLAIN) -> Iterator[str]:
    """Yield a table of the shares; under it, why those are not well that are not."""
    notes: list[str] = []
    yield from _table(listing, _COLUMNS, look, notes)
    if notes:
        yield ""
        yield from notes


def list_wide(listing: Listing, look: Look = PLAIN) -> Iterator[str]:
    """Yield the same with all columns."""
    return _table(listing, _WIDE, look, [])


def list_names(listing: Listing) -> Iterator[str]:
    """Yield the addresses."""
    return (visible(share.address) for share in listing.shares)


def _table(listing: Listing, columns: tuple[Column, ...], look: Look, notes: list[str]) -> Iterator[str]:
    shares = listing.shares
    first = next(shares, None)
    if first is None:
        yield "No share in the state matches." if listing.is_narrow else "The state has no shares."
        return
    is_wide = columns is _WIDE

    def rows() -> Iterator[list[Cell | str]]:
        for share in chain((first,), shares):
            if share.note:
                _note(share, notes)
            yield [*_row(share), *_more(share)] if is_wide else _row(share)

    yield from streamed_lines(columns, rows(), look)


def _note(share: ListedShare, notes: list[str]) -> None:
    if len(notes) < _MOST_NOTES:
        notes.append(f"{visible(share.address)}: {visible(share.note)}")


_MOST_NOTES: Final = 50


def _row(share: ListedShare) -> list[Cell | str]:
    percent, style = share.full_percent, _STYLES.get(share.condition)
    return [
        visible(share.address),
        _WORDS[share.condition] if style is None else Cell(_WORDS[share.condition], style),
        _UNKNOWN if share.used_bytes is None else approximate_size(share.used_bytes),
        "" if share.size_bytes is None else format_size(share.size_bytes),
        "" if percent is None else f"{percent:.0f} %",
        protocol_words(share.protocol),
        visible(f"{share.backend}#{share.pool}" if share.backend and share.pool else share.backend or share.pool or ""),
        _labels(share),
    ]


def _more(share: ListedShare) -> list[Cell | str]:
    return [
        visible(share.share_type or ""),
        _seen(share) or "",
        visible(share.export_locations[0]) if share.export_locations else "",
        visible(share.resource_id or ""),
        visible(share.note),
    ]


def _labels(share: ListedShare) -> str:
    return visible(",".join([f"{key}={value}" for key, value in sorted(share.labels.items())]))


def _seen(share: ListedShare) -> str | None:
    """Return when its use was told, in UTC."""
    if share.seen_at is None:
        return None
    return time_text(share.seen_at)


_CSV: Final = (
    *("address", "state", "used_bytes", "size_bytes", "full_percent", "protocol", "backend", "pool"),
    *("labels", "share_type", "seen_at", "resource_id", "note"),
)


def list_csv(listing: Listing) -> Iterator[str]:
    """Yield lines of CSV, the first with the names of the columns; what is not known is empty."""
    yield ",".join(_CSV)
    for share in listing.shares:
        percent = share.full_percent
        values = (
            *(share.address, share.condition.value, share.used_bytes, share.size_bytes),
            *("" if percent is None else f"{percent:.1f}", share.protocol, share.backend, share.pool, _labels(share)),
            *(share.share_type, _seen(share), share.resource_id, share.note),
        )
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow([_field(value) for value in values])
        yield line.getvalue()


def _field(value: object) -> object:
    """Return a value that no spreadsheet takes for a formula."""
    if not isinstance(value, str):
        return value
    return re.sub(_FORMULA, r"\g<0>'", visible(value))


def list_object(listing: Listing) -> JsonObject:
    """Return the shares as a JSON object, `sharectl-list` version 1; they are made as they are drawn."""
    return document("list", view=freshness_object(listing.freshness), shares=map(_object, listing.shares))


def _object(share: ListedShare) -> JsonObject:
    plain = {**share._asdict(), "seen_at": _seen(share), "full_percent": share.full_percent}
    plain["state"] = plain.pop("condition")
    return plain
