"""Foreign text on a terminal, and the arithmetic of lines."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharectl.model.diagnostics import counted, listed
from sharectl.render.text import (
    clipped,
    display_width,
    duration,
    encodable,
    harmless,
    padded,
    visible,
    without_commands,
    wrapped,
)

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


@settings(deadline=None)
@given(ANY_TEXT)
def test_visible_text_prints_and_stays_on_one_line(text: str) -> None:
    """Whatever a name holds, what is shown has no control, format or surrogate character and no line end."""
    shown = visible(text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1


@pytest.mark.parametrize("hidden", ["\u3164", "\u115f", "\ufe0f", "\u034f", "\u2800", "\U000e0101"])
def test_what_prints_nothing_is_shown(hidden: str) -> None:
    """Unicode has letters and marks that no terminal and no browser draws."""
    assert hidden.isprintable()
    assert visible(f"alice{hidden}") == f"alice{hidden.encode('unicode_escape').decode()}"


def test_a_byte_of_a_path_is_shown_as_a_shell_takes_it() -> None:
    """And not as the surrogate by which Python keeps it."""
    assert visible(os.fsdecode(b"shares/caf\xe9.yaml")) == r"shares/caf\xe9.yaml"


@settings(deadline=None)
@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_visible_text_keeps_what_prints(text: str) -> None:
    """Letters, digits, punctuation and symbols of any script are left as they are."""
    assert visible(text) == "".join(char if char.isprintable() else visible(char) for char in text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", "a\\nb"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\u202egnp", "\\u202egnp"),
        ("\ud800", "\\ud800"),
        ("naïve 共有", "naïve 共有"),
    ],
)
def test_what_does_not_print_is_written_as_an_escape(text: str, shown: str) -> None:
    """Escapes are those of a Python string."""
    assert visible(text) == shown


@settings(deadline=None)
@given(st.text())
def test_only_colours_pass_to_a_terminal(text: str) -> None:
    """Of control sequences only the selection of colours, tabs and line ends are left."""
    rest = re.sub(r"\x1b\[[0-9;]{0,16}m", "", harmless(text))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", rest)


def test_a_colour_passes_and_a_cursor_movement_does_not() -> None:
    """The renderers' own colours survive."""
    assert harmless("\x1b[1;31mx\x1b[0m\x1b[2Jy\r") == "\x1b[1;31mx\x1b[0m\\x1b[2Jy\\r"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("3 | ##[add-mask]x", "3 | # #[add-mask]x"),
        ("a\n  ::error::x\nb", "a\n  : :error::x\nb"),
        ("###[group]", "## #[group]"),
        ("a::b, # [c], ## d", "a::b, # [c], ## d"),
    ],
)
def test_no_text_is_a_command_to_a_runner(text: str, shown: str) -> None:
    """Neither of today's form, where a line begins, nor of the older one, which is found anywhere in it."""
    assert without_commands(text) == shown


def test_ascii_stands_in_for_symbols_that_a_stream_cannot_say() -> None:
    """Symbols get ASCII counterparts, other characters escapes."""
    assert encodable("± a → b … █░ ä", "ascii") == "+/- a -> b ... #. \\xe4"
    assert encodable("± ä", "latin-1") == "+/- ä"


@settings(deadline=None)
@given(st.text(st.characters(categories=["L", "N", "P", "S"])), st.integers(1, 30))
def test_clipped_text_is_never_wider_than_asked(text: str, width: int) -> None:
    """Wide characters count twice, combining ones not at all."""
    cut = clipped(text, width)
    assert display_width(cut) <= width
    assert cut == text or cut.endswith("…")


def test_widths_are_columns_of_a_terminal() -> None:
    """East Asian characters take two columns, accents that combine none."""
    assert [display_width(text) for text in ("abc", "共有", "e\u0301")] == [3, 4, 1]
    assert padded("共有", 6) == "共有  "


@settings(deadline=None)
@given(st.text("ab →", min_size=1, max_size=60), st.integers(1, 20))
def test_wrapping_loses_no_word(text: str, width: int) -> None:
    """The words of the lines are the words of the text; only a single long word is wider than the width."""
    lines = list(wrapped(text, width))
    assert " ".join(lines).split() == text.split()
    assert all(len(line) <= width or " " not in line.strip() for line in lines)


def test_an_arrow_begins_the_line_of_what_it_leads_to() -> None:
    """Wherever both fit on a line; here the longest pair takes nine columns."""
    for width in range(9, 30):
        lines = list(wrapped("from share/a to → share/b and → c →", width))
        assert not any(line.endswith("→") for line in lines[:-1]), width


def test_text_is_not_wrapped_without_a_width() -> None:
    """None leaves one line."""
    assert list(wrapped("a " * 200, None)) == ["a " * 200]


def test_counts_agree_with_their_noun() -> None:
    """One is singular, all else plural; irregular plurals are given."""
    assert [counted(0, "share"), counted(1, "share"), counted(2, "entry", "entries")] == [
        "0 shares",
        "1 share",
        "2 entries",
    ]


def test_long_lists_name_the_first_and_count_the_rest() -> None:
    """Short ones name all."""
    assert listed(["a", "b"], 2) == "a, b"
    assert listed(["a", "b", "c", "d"], 2) == "a, b and 2 more"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.04, "0.0 s"), (12.34, "12.3 s"), (245, "4m05s"), (3599.6, "1h00m"), (7380, "2h03m")]
)
def test_durations_read_as_people_say_them(seconds: float, shown: str) -> None:
    """Tenths below a minute, then minutes and seconds, then hours and minutes."""
    assert duration(seconds) == shown
