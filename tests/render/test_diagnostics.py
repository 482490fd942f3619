"""Diagnostics in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from sharectl.model.diagnostics import Diagnostic, Severity, Source, error, warning
from sharectl.render.diagnostics import diagnostics_lines, told_once, worst_first
from sharectl.render.text import display_width, visible
from tests.render.samples import shrink_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Golden = Callable[[str, Iterable[str]], None]


def several() -> list[Diagnostic]:
    """Return findings of each severity, with and without a place."""
    return [
        Diagnostic(Severity.NOTE, "cache.cold", "nothing was cached"),
        warning("backend.unknown", "backend nas3 could not be read", remedy="see to the backend\nthen plan again"),
        shrink_error(),
        error("manifest.tab", "a tab", source=Source("a.yaml", 12345, 4, excerpt="\tx:\ty\x1b")),
        error("manifest.gone", "no excerpt", source=Source("b.yaml", 1, 1)),
    ]


def test_findings_look_like_those_of_a_good_compiler(golden: Golden) -> None:
    """Errors first; place, line, caret, reason, help; the last line counts."""
    golden("diagnostics.txt", diagnostics_lines(several(), color=False))


def test_findings_in_colour(golden: Golden) -> None:
    """Severity, places and help are painted; text is not."""
    golden("diagnostics-color.txt", diagnostics_lines(several(), color=True))


def test_remarks_are_folded_at_the_width_of_a_terminal(golden: Golden) -> None:
    """The continuation stands under the text."""
    golden("diagnostics-folded.txt", diagnostics_lines([shrink_error()], color=False, width=50))


def test_no_findings_say_nothing() -> None:
    """There is no line at all."""
    assert list(diagnostics_lines([], color=False)) == []


def test_many_findings_are_shown_in_part_and_counted() -> None:
    """The first fifty in full, errors before all; the rest by number."""
    found = [warning("a.b", f"w{n}") for n in range(70)] + [error("a.c", "e")]
    lines = list(diagnostics_lines(found, color=False))
    assert lines[0] == "error[a.c]: e"
    assert sum(line.startswith("warning[") for line in lines) == 49
    assert lines[-2:] == ["… and 21 warnings more, not shown", "1 error, 70 warnings"]


def test_alike_warnings_are_told_once_with_a_count_and_names() -> None:
    """Alike is what differs in its address alone; each of them counts, and one of other words stands by itself."""
    found = [warning("a.b", f"share/s{n} waits", "why", address=f"share/s{n}") for n in range(9)]
    found.append(warning("a.b", "share/t waits", "another reason", address="share/t"))
    lines = list(diagnostics_lines(found, color=False))
    assert [line for line in lines if line.startswith("warning[")] == [
        "warning[a.b]: share/s0 waits (the same for share/s1, share/s2, share/s3 and 5 more)",
        "warning[a.b]: share/t waits",
    ]
    assert lines[-1] == "10 warnings"
    assert list(diagnostics_lines(found, color=False, most=1))[-2:] == [
        "… and 1 warning more, not shown",
        "10 warnings",
    ]


def test_few_alike_warnings_and_all_errors_are_told_each_at_its_place() -> None:
    """Whoever mends an error needs to know every place."""
    few = [warning("a.b", f"share/s{n} waits", address=f"share/s{n}") for n in range(3)]
    errors = [error("a.b", f"share/s{n} cannot", address=f"share/s{n}") for n in range(9)]
    assert told_once([*few, *errors]) == [*errors, *few]


def test_worst_first_keeps_the_order_within_a_severity() -> None:
    """Sorting is stable."""
    assert [found.summary for found in worst_first([warning("a", "1"), error("a", "2"), warning("a", "3")])] == [
        "2",
        "1",
        "3",
    ]


@settings(deadline=None)
@given(
    st.text(st.characters(exclude_characters="\n"), max_size=400),
    st.integers(0, 500),
    st.sampled_from(["", "共有", "x" * 300]),
)
def test_the_caret_stands_under_the_column(excerpt: str, column: int, lead: str) -> None:
    """However long the line and whatever is in it, the caret is under the character that the finding names."""
    text = lead + excerpt
    source = Source("f.yaml", 7, column, excerpt=text)
    lines = list(diagnostics_lines([error("a.b", "c", source=source)], color=False))
    shown, caret = lines[3].removeprefix(" 7 | "), lines[4].removeprefix("   | ")
    assert shown.isprintable()
    at = min(max(column - 1, 0), len(text))
    if at < len(text):
        char = "  " if text[at] == "\t" else visible(text[at])
        position = next(
            n
            for n in range(len(shown) + 1)
            if display_width(shown[:n]) == len(caret) - 1 and shown[n:].startswith(char)
        )
        assert shown[position:].startswith(char)
    assert caret.endswith("^")


def test_a_caret_beyond_the_excerpt_stands_under_the_mark_of_what_is_cut() -> None:
    """And not under a character that has nothing to do with the finding; one that is missing at the end has its place."""
    for column, mark in ((250, "…"), (201, "")):
        source = Source("f.yaml", 1, column, excerpt="a" * 200)
        lines = list(diagnostics_lines([error("a.b", "c", source=source)], color=False))
        assert lines[3].endswith(f"a{mark}")
        assert lines[4].index("^") == len(lines[3]) - len(mark)


def test_a_long_line_is_cut_around_the_column() -> None:
    """What is left out on either side is marked."""
    source = Source("f.yaml", 1, 300, excerpt="a" * 299 + "X" + "b" * 300)
    lines = list(diagnostics_lines([error("a.b", "c", source=source)], color=False))
    shown = lines[3].removeprefix(" 1 | ")
    assert (shown[0], shown[-1], display_width(shown)) == ("…", "…", 102)
    assert lines[4].index("^") == lines[3].index("X")
