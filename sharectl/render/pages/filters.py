"""How values are written in the pages: sizes, times, how something grows. What is markup already is escaped here."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from sharectl.model.diagnostics import counted
from sharectl.model.quantities import approximate_size
from sharectl.render.text import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.model.growth import Forecast
    from sharectl.workspace.listing import ListedShare
    from sharectl.workspace.report import ShareReport

_TIME: Final = Markup('<time datetime="{}">{}</time>')
_FINE: Final = Markup('<span class="fine">{}</span>')
_WRONG: Final = Markup('<span class="wrong">{}</span>')
_REMEMBERED: Final = 4096
_STAMP: Final = re.compile(r"(\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)")


def about(size_bytes: int | None) -> str:
    """Return a size to one decimal; nothing where it is not known."""
    return "" if size_bytes is None else approximate_size(size_bytes)


def moment(value: str | datetime) -> str:
    """Return a time as people read it, in UTC to the minute; what is no time stays as it is."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return str(value)
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


@lru_cache(maxsize=_REMEMBERED)
def when(value: str) -> Markup:
    """Return a time as an element that says it to people and to programs. Many resources share one: it is made once."""
    return _TIME.format(visible(value), visible(moment(value)))


def timed(text: str) -> Markup:
    """Return a sentence with the times in it as all other times of the pages are written."""
    parts = _STAMP.split(text)
    return Markup().join(when(part) if number % 2 else visible(part) for number, part in enumerate(parts))


def clock(seconds: int) -> str:
    """Return the time that is so many seconds after the beginning of 1970, as JSON has it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def used(listed: ListedShare) -> str:
    """Return what is used of a share, and how full it is; nothing where that is not known."""
    percent = "" if listed.full_percent is None else f" ({listed.full_percent:.0f} %)"
    return "" if listed.used_bytes is None else f"{approximate_size(listed.used_bytes)}{percent}"


def label_words(labels: Mapping[str, str]) -> str:
    """Return labels as they are written for `--label`."""
    return ", ".join([f"{name}={value}" for name, value in labels.items()])


def condition(share: ShareReport) -> Markup:
    """Return the condition of a share, marked by whether it is well."""
    return (_FINE if share.is_well else _WRONG).format(share.listed.condition.value)


def outlook(found: Forecast) -> str:
    """Return how something grows and when it will be full, in words."""
    growth = found.growth
    pace = (
        ""
        if growth is None or growth.bytes_per_day < 1
        else f"grows {approximate_size(int(growth.bytes_per_day))} a day"
    )
    if found.full_in_days is None:
        return f"{pace}; {found.reason}" if pace else found.reason
    end = (
        "it is full"
        if found.full_in_days <= 0
        else f"full in about {counted(max(1, round(found.full_in_days)), 'day')}"
    )
    return f"{end}; {pace}" if pace else end
