"""Lines over time, as SVG that stands in a page: drawn by pygal, without its own styles and script, which a page would not let in."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from xml.etree import ElementTree as ET

from sharectl.model.quantities import approximate_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

_SVG: Final = "{http://www.w3.org/2000/svg}"
SPARK_WIDTH: Final = 240
SPARK_HEIGHT: Final = 48
_WIDTH: Final = 720
_HEIGHT: Final = 240
_DATES: Final = 4
_STEPS: Final = 5
_UNITS: Final = tuple(1 << power for power in (50, 40, 30, 20, 10, 0))
_ROUND: Final = tuple(factor * ten for ten in (0.1, 1, 10, 100, 1000) for factor in (1, 2, 5))
_DAY_SECONDS: Final = 86400
_UNWANTED: Final = frozenset(f"{_SVG}{name}" for name in ("defs", "desc", "title", "script", "style"))
_KEPT_ATTRIBUTES: Final = frozenset({"class", "viewBox", "x", "y", "d", "width", "height", "transform"})


class Line(NamedTuple):
    """A line: what it shows, and bytes by the time in seconds since 1970."""

    label: str
    points: Sequence[tuple[int, int]]


def chart(label: str, lines: Sequence[Line]) -> Markup:
    """Return the picture of the lines, for whom `label` says what it shows where it is not seen; at least one line has points."""
    from markupsafe import Markup  # noqa: PLC0415 - comes with the template engine

    pygal = _pygal()
    times = sorted({at for line in lines for at, _ in line.points})
    config = pygal.Config(
        css=[],
        js=[],
        width=_WIDTH,
        height=_HEIGHT,
        margin=4,
        margin_right=40,
        show_legend=False,
        show_x_guides=False,
        truncate_label=-1,
        x_label_rotation=0,
        include_x_axis=True,
        show_dots=False,
        value_formatter=lambda value: approximate_size(int(value)),
        x_value_formatter=_date_words(times),
        no_prefix=True,
    )
    drawn = pygal.DateTimeLine(config)
    drawn.y_labels = _scale(max(value for line in lines for _, value in line.points))
    drawn.x_labels = [_moment(at) for at in _spread(times)]
    for line in lines:
        drawn.add(line.label, [(_moment(at), value) for at, value in line.points])
    root = ET.fromstring(drawn.render())  # noqa: S314 - what pygal has drawn just now
    _clean(root)
    root.set("role", "img")
    root.set("aria-label", label)
    ET.register_namespace("", _SVG.strip("{}"))
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704 - text in it is escaped by ElementTree


def _pygal() -> Any:  # noqa: ANN401 - it has no types
    """Return pygal, without what it adds to the imports of the whole process to find plugins: an old form, of which Python 3.11 warns.

    What the packages that it uses add stays: without it no installed package, and so no driver of another one, is found any more.
    """
    import pygal  # noqa: PLC0415 - an extra

    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != pygal.__name__]
    return pygal


def spark(points: Sequence[tuple[int, int]], top: int) -> str:
    """Return a line through the points as the path of a picture that is `SPARK_WIDTH` wide and `SPARK_HEIGHT` high, which `top` bytes would fill."""
    first, length = points[0][0], max(1, points[-1][0] - points[0][0])
    top = max(top, 1, *(value for _, value in points))
    places = (
        f"{SPARK_WIDTH * (at - first) / length:.1f} {SPARK_HEIGHT * (1 - value / top):.1f}" for at, value in points
    )
    return f"M{' L'.join(places)}"


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _scale(largest: int) -> list[int]:
    """Return round sizes from nothing to a little over the largest."""
    unit = next(unit for unit in _UNITS if largest >= unit or unit == 1)
    wanted = largest / unit / _STEPS
    step = next((round_ for round_ in _ROUND if round_ >= wanted), _ROUND[-1])
    whole = max(1, round(step * unit))
    return list(range(0, largest + whole, whole))


def _spread(times: Sequence[int]) -> list[int]:
    """Return some moments from the first to the last, at which a label fits."""
    first, last = times[0], times[-1]
    return sorted({first + (last - first) * number // (_DATES - 1) for number in range(_DATES)})


def _date_words(times: Sequence[int]) -> Any:  # noqa: ANN401 - as pygal calls it
    pattern = "%Y-%m-%d" if times[-1] - times[0] > 2 * _DAY_SECONDS else "%m-%d %H:%M"
    return lambda when: when.strftime(pattern)


def _clean(element: ET.Element) -> None:
    """Take away styles, scripts, and what is there for them."""
    for name in [name for name in element.attrib if name not in _KEPT_ATTRIBUTES]:
        del element.attrib[name]
    for child in list(element):
        if child.tag in _UNWANTED:
            element.remove(child)
        else:
            _clean(child)
