"""Diagnostics as a good compiler shows them (what, where with the line and a caret, why, and how to mend it), and as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import Severity, counted, has_errors, listed
from sharectl.model.frozen import NamedTuple
from sharectl.render.formats import document
from sharectl.render.text import PLAIN, display_width, paint, visible, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sharectl.model.canonical import JsonObject
    from sharectl.model.diagnostics import Diagnostic, Source
    from sharectl.render.text import Look

MOST_IN_FULL: Final = 50
EXCERPT_WIDTH: Final = 100
_LEAST_TEXT_WIDTH: Final = 20
_CUT: Final = "…"
_MOST_APART: Final = 3
"""So few alike warnings are shown one by one."""
_NAMED: Final = 3


def diagnostics_lines(
    diagnostics: Sequence[Diagnostic], *, color: bool, width: int | None = None, most: int = MOST_IN_FULL
) -> Iterator[str]:
    """Yield the diagnostics, errors first and otherwise in their order, the first `most` in full, and how many there are.

    Of alike warnings one is shown, with the names of the others. Detail and remedy are folded at `width` columns; None leaves each
    on one line. Yields nothing for no diagnostics.
    """
    if not diagnostics:
        return
    ordered = worst_first(diagnostics)
    groups = _alike(ordered)
    for group in groups[:most]:
        yield from _block(_together(group), color=color, width=width)
        yield ""
    hidden = [each for group in groups[most:] for each in group]
    if hidden:
        yield f"… and {_counts(hidden)} more, not shown"
    worst = ordered[0].severity
    yield paint(_counts(ordered), worst.value, color)


def worst_first(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Return errors, then warnings, then notes, each in their order."""
    return sorted(diagnostics, key=lambda diagnostic: _RANK[diagnostic.severity])


def told_once(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Return the same for people: of alike warnings the first one, with the names of the others. Programs get each of them at its place."""
    return [_together(group) for group in _alike(worst_first(diagnostics))]


def _alike(ordered: Sequence[Diagnostic]) -> list[list[Diagnostic]]:
    """Return the diagnostics, with those warnings together that differ in nothing but their address; an error is mended at its own place."""
    groups: dict[object, list[Diagnostic]] = {}
    for each in ordered:
        key: object = id(each)
        if each.severity is not Severity.ERROR and each.address is not None and each.address in each.summary:
            key = (each.code, each.summary.replace(each.address, ""), each.detail, each.remedy)
        groups.setdefault(key, []).append(each)
    return [part for group in groups.values() for part in ([group] if len(group) > _MOST_APART else _apart(group))]


def _apart(group: Iterable[Diagnostic]) -> list[list[Diagnostic]]:
    return [[each] for each in group]


def _together(group: Sequence[Diagnostic]) -> Diagnostic:
    first, others = group[0], [each.address or "" for each in group[1:]]
    return replace(first, summary=f"{first.summary} (the same for {listed(others, _NAMED)})") if others else first


_RANK: Final = {severity: rank for rank, severity in enumerate(Severity)}


def _block(diagnostic: Diagnostic, *, color: bool, width: int | None) -> Iterator[str]:
    label = f"{diagnostic.severity.value}[{diagnostic.code}]"
    yield f"{paint(label, diagnostic.severity.value, color)}: {paint(visible(diagnostic.summary), 'heading', color)}"
    margin = 2
    source = diagnostic.source
    if source is not None:
        margin = max(2, len(str(source.line)))
        arrow = paint(f"{' ' * margin}-->", "accent", color)
        yield f"{arrow} {visible(str(source))}"
        if source.excerpt is not None:
            room = EXCERPT_WIDTH if width is None else min(EXCERPT_WIDTH, max(width - margin - 5, _LEAST_TEXT_WIDTH))
            yield from _excerpt(source, margin, diagnostic.severity, room=room, color=color)
    for label, text in (("", diagnostic.detail), ("help: ", diagnostic.remedy)):
        if text:
            yield from _remark(label, text, margin, color=color, width=width)


def _excerpt(source: Source, margin: int, severity: Severity, *, room: int, color: bool) -> Iterator[str]:
    text, caret = _window(source.excerpt or "", source.column, room)
    bar = paint("|", "accent", color)
    number = paint(f"{source.line:>{margin}}", "accent", color)
    yield f"{' ' * margin} {bar}"
    yield f"{number} {bar} {text}"
    yield f"{' ' * margin} {bar} {' ' * caret}{paint('^', severity.value, color)}"


def _remark(label: str, text: str, margin: int, *, color: bool, width: int | None) -> Iterator[str]:
    room = None if width is None else max(width - margin - 3 - len(label), _LEAST_TEXT_WIDTH)
    lines = (line for paragraph in text.splitlines() for line in wrapped(visible(paragraph), room))
    for number, line in enumerate(lines):
        lead = paint("=", "accent", color) if number == 0 else " "
        shown = paint(label, "note", color) if number == 0 else " " * len(label)
        yield f"{' ' * margin} {lead} {shown}{line}"


def _window(excerpt: str, column: int, room: int) -> tuple[str, int]:
    """Return the excerpt, cut to about `room` characters around `column` (from 1) where it is long, and the columns before its caret.

    A tab becomes two spaces, another control character its escape; the caret stays under the character that it names, or under the mark
    of what is cut where the excerpt does not reach it.
    """
    at = min(max(column - 1, 0), len(excerpt))
    start = 0 if at < room * 3 // 4 else at - room // 2
    end = start + room
    before = (_CUT if start else "") + _shown(excerpt[start:at])
    after = _shown(excerpt[at:end]) + (_CUT if end < len(excerpt) or column - 1 > len(excerpt) else "")
    return before + after, display_width(before)


def _shown(text: str) -> str:
    return visible(text.replace("\t", "  "))


def _counts(diagnostics: Sequence[Diagnostic]) -> str:
    counts = Counter(diagnostic.severity for diagnostic in diagnostics)
    return ", ".join(counted(counts[severity], severity.value) for severity in Severity if counts[severity])


class Verdict(NamedTuple):
    """How many resources were looked at, and everything that is wrong with them."""

    resources: int
    diagnostics: tuple[Diagnostic, ...]


def validation_lines(verdict: Verdict, look: Look = PLAIN) -> Iterator[str]:
    """Yield that all is well; nothing where it is not, for the diagnostics say so."""
    del look
    if not has_errors(verdict.diagnostics):
        yield f"{counted(verdict.resources, 'resource')}, {'' if verdict.resources == 1 else 'all '}valid."


def validation_object(verdict: Verdict) -> JsonObject:
    """Return the verdict as a JSON object, `sharectl-validation` version 1."""
    return document("validation", valid=not has_errors(verdict.diagnostics), diagnostics=_objects(verdict.diagnostics))


def failure_object(diagnostics: Sequence[Diagnostic], exit_code: int) -> JsonObject:
    """Return why there is no other answer as a JSON object, `sharectl-error` version 1."""
    return document("error", exit_code=int(exit_code), diagnostics=_objects(diagnostics))


def _objects(diagnostics: Iterable[Diagnostic]) -> list[JsonObject]:
    from sharectl.planner.saved.document import diagnostic_to_object  # noqa: PLC0415 - text needs no document

    return [diagnostic_to_object(found) for found in diagnostics]
