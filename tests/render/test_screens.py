"""What people see on terminals of 40, 80, 120 and 200 columns: text and styles, cell by cell, and colours that can be read on any ground.

`SHARECTL_UPDATE_GOLDEN=1` writes what is seen now; `python -m tools.pictures DIRECTORY` makes pictures of real commands to look at.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sharectl.model.diagnostics import error, warning
from sharectl.model.events import StepRetried
from sharectl.model.plans import Held
from sharectl.model.specs import ShareSpec
from sharectl.render.formats import Format
from sharectl.render.frame import frame_lines
from sharectl.render.pools import PoolsView
from sharectl.render.tables import _STYLES_OF_RICH
from sharectl.render.text import STYLES, display_width, fitted
from sharectl.workspace.freshness import Freshness
from sharectl.workspace.inspection import ResourceView
from sharectl.workspace.listing import Listing
from tests.render.pages.reports import a_failed_share, a_share
from tests.render.samples import GIB, RULES, a_plan, a_record, rich_plan
from tests.render.screen import drawn
from tests.render.test_diagnostics import several
from tests.render.test_forecast import CREATE, a_tally, done
from tests.render.test_resource import SEEN
from tests.render.test_tables import POOLS, lines_of_history
from tests.render.test_tally import failed, started
from tests.render.test_widths import LONG, listed_trash
from tools.terminal import THEMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sharectl.render.output import Output

    Golden = Callable[[str, Iterable[str]], None]

WIDTHS = (40, 80, 120, 200)
LEAST_CONTRAST = 2.5
"""Of a colour and the ground that it is on: that of the least legible colour which these palettes themselves use for plain text."""


def shows_list(output: Output) -> None:
    """Show shares of which one has a long name, and one has failed."""
    shares = [a_share(number) for number in range(6)] + [a_share(7, name=LONG), a_failed_share()]
    output.show("list", Format.TEXT, Listing(iter([share.listed for share in shares]), Freshness(None)))


def shows_share(output: Output) -> None:
    """Show a share with a long name."""
    spec = ShareSpec(LONG, 100 * GIB, "NFS", share_type="gold", labels={"team": "research", "日本": "größe"})
    view = ResourceView(f"share/{LONG}", spec, a_record(f"share/{LONG}"), RULES, (), SEEN, 30 * GIB)
    output.show("resource", Format.TEXT, view)


def shows_refusal(output: Output) -> None:
    """Show a saved plan of which a part is stale."""
    held = Held("share/home", "changed since the plan was made (version 2 then, 3 now)", "share/home", "plan.stale")
    told = error(
        "plan.stale",
        "the state has changed since this plan was made: share/home",
        detail="1 of 57 steps is not done because of that; the others do not depend on it.",
        remedy="make a new plan with `sharectl plan --out FILE`, look at it, and apply that",
    )
    plan = a_plan(*rich_plan().steps, held=(held,), diagnostics=(told,), by_action={"create": 26})
    output.show("plan", Format.TEXT, plan, brief=True)
    output.diagnostics([told, warning("plan.applied", "4 of 57 steps are done already: share/a, share/b")])


def shows_progress(output: Output) -> None:
    """Show a run on two backends: one is slow, a step hangs, another is tried again, one has failed."""
    tally = a_tally(4, **{"filer-1": {CREATE: 100}, "日本": {CREATE: 12}})
    tally.add(started("projects", "filer-1"), 0.0)
    for number in range(20):
        begun = number // 2 * 8.0
        done(tally, str(number), "filer-1", begun, begun + 8.0)
    tally.add(started(LONG, "filer-1"), 80.0)
    tally.add(started("größe", "日本"), 80.0)
    tally.add(StepRetried("create-share:share/größe", "share/größe", "日本", 1, 20.0, "the array is busy"), 84.0)
    tally.add(replace(failed("home", "filer-1"), error="the pool has no room: 10GiB free, 200GiB asked for"), 85.0)
    output.draw_lines(frame_lines(tally, 90.0, width=output.width, height=9, color=output.color_err))


SCREENS: dict[str, Callable[[Output], object]] = {
    "diagnostics": lambda output: output.diagnostics(several()),
    "history": lambda output: output.show("history", Format.TEXT, lines_of_history()),
    "list": shows_list,
    "plan": lambda output: output.show("plan", Format.TEXT, rich_plan(), hint=True),
    "pools": lambda output: output.show("pools", Format.TEXT, PoolsView(POOLS, len(POOLS))),
    "progress": shows_progress,
    "refusal": shows_refusal,
    "share": shows_share,
    "trash": lambda output: output.draw_lines(listed_trash(output.look)),
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", SCREENS)
def test_a_screen(golden: Golden, name: str, width: int) -> None:
    """Folded between words, columns left out by what matters least, everything in its place and its colour."""
    golden(f"screens/{name}-{width}.txt", drawn(SCREENS[name], columns=width).styled())


@pytest.mark.parametrize("name", SCREENS)
def test_no_word_is_broken(name: str) -> None:
    """Each word of the widest screen is whole on the narrowest, unless it is longer than a line or has been left out."""
    narrow, wide = (" ".join(drawn(SCREENS[name], columns=width).lines) for width in (40, 200))
    known = set(re.findall(r"[\w/.:-]+", wide))
    pieces = [
        word
        for word in re.findall(r"[\w/.:-]+", narrow)
        if word not in known and any(other != word and word in other for other in known) and len(word) > 3
    ]
    assert [word for word in pieces if not any(word in other and len(other) > 24 for other in known)] == []


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_without_colours_there_are_none(environ: dict[str, str]) -> None:
    """The text is the same."""
    plain, coloured = drawn(SCREENS["plan"], columns=80, **environ), drawn(SCREENS["plan"], columns=80)
    assert plain.lines == coloured.lines
    assert list(plain.styled()) == plain.lines


def luminance(color: str) -> float:
    """Return the relative luminance of `#rrggbb`, as WCAG 2 defines it."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


_CODES = ("black", "red", "green", "brown", "blue", "magenta", "cyan", "white")


def colors_in_use() -> dict[str, str]:
    """Return the names of the colours that styles use, by style."""
    found = {}
    for name, sequence in STYLES.items():
        codes = [int(code) for code in re.findall(r"\d+", sequence)]
        assert set(codes) <= {1, 2, *range(30, 38)}, name
        for code in codes:
            if code >= 30:
                found[name] = _CODES[code - 30]
    return found


@pytest.mark.parametrize("theme", THEMES)
def test_each_colour_can_be_read_on_each_ground(theme: str) -> None:
    """On light and on dark, in the palettes that terminals come with."""
    ground, _, palette = THEMES[theme]
    assert {
        name: round(found, 1)
        for name, color in colors_in_use().items()
        if (found := contrast(palette[color], ground)) < LEAST_CONTRAST
    } == {}


def test_nothing_bold_has_a_colour_that_is_light_when_it_is_bright() -> None:
    """Many terminals draw bold text in the bright half of their palette: green, cyan and yellow of that vanish on white."""
    bold = {name for name, sequence in STYLES.items() if re.search(r"\b1;", sequence)}
    assert {colors_in_use()[name] for name in bold if name in colors_in_use()} <= {"red", "magenta"}
    for name, style in _STYLES_OF_RICH.items():
        assert ("bold" in style.split()) == (STYLES[name].startswith("\x1b[1")), name


@pytest.mark.parametrize(
    ("line", "width", "parts"),
    [
        ("one two three", 8, ["one two", "three"]),
        ("  label    one two three", 17, ["  label    one", "    two three"]),
        ("  label  one two three four", 20, ["  label  one two", "         three four"]),
        ("see /a/path/that/is/long now", 12, ["see", "/a/path/that/is/long", "now"]),
        ("\x1b[1mone two\x1b[0m three", 8, ["\x1b[1mone two\x1b[0m", "three"]),
        ("日本 語の 共有", 9, ["日本 語の", "共有"]),
        (
            "  name  10GiB NFS  → nas1#default: gone",
            24,
            ["  name  10GiB NFS", "        → nas1#default:", "        gone"],
        ),
        ("  ~ size  1GiB → 2GiB", 18, ["  ~ size  1GiB", "    → 2GiB"]),
        ("short", None, ["short"]),
    ],
)
def test_a_line_is_folded_between_words(line: str, width: int | None, parts: list[str]) -> None:
    """Below the text that it belongs to; what is longer than a line stays whole; colours take no room."""
    assert list(fitted(line, width)) == parts


def test_no_screen_is_wider_than_its_terminal() -> None:
    """But for a word that is longer than a line."""
    for width in (40, 80):
        for line in rich_lines(width):
            for part in fitted(line, width):
                assert display_width(part) <= width or " " not in part.strip()


def rich_lines(width: int) -> list[str]:
    """Return the lines of a plan as they are before they are folded."""
    from sharectl.render.plan_text import plan_lines  # noqa: PLC0415 - of this test alone
    from sharectl.render.text import Look  # noqa: PLC0415 - of this test alone

    return list(plan_lines(rich_plan(), Look(width=width)))
