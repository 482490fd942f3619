"""Split a file into the parts that are parsed in one go: after an error, reading goes on with the next document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sharectl.manifests.syntax import SYNTAX, Problem, explain_syntax, position_of, without_byte_order_marks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.manifests.syntax import Mark

MAX_VALUES_PER_DOCUMENT: Final = 100_000
MAX_EVENTS_PER_DOCUMENT: Final = 2 * MAX_VALUES_PER_DOCUMENT  # of a key and its value
_MAX_RESUMES: Final = 100


class FatalError(Exception):
    """The rest of this document cannot be read."""

    def __init__(self, mark: Mark, summary: str, remedy: str, code: str = SYNTAX) -> None:
        """Say what is wrong at the mark."""
        super().__init__(summary)
        self.mark, self.summary, self.remedy, self.code = mark, summary, remedy, code


class Segment:
    """A part of a file that is parsed in one go; what lies before it is blanked, so that lines keep their numbers."""

    def __init__(self, data: bytes, first_document: int, first_line: int = 1) -> None:
        """Start at document `first_document`, which begins in `first_line`; whatever is before that is blank."""
        self.first_line = first_line
        self.data = data
        self.first_document = first_document
        self.documents_seen = 0
        self.problem: Problem | None = None

    def resume_line(self, problem_line: int) -> int:
        """Return after how many lines the next document may begin: in the very line that shows the last one to be broken, or below it."""
        return problem_line - 1 if problem_line > self.first_line else problem_line

    def events(self) -> Iterator[Any]:
        """Return the parser's events, which raise YAMLError; whoever reads them counts `documents_seen`."""
        from yaml.cyaml import CParser  # type: ignore[attr-defined]  # noqa: PLC0415 - reading unchanged files does without it

        return iter(CParser(self.data).get_event, None)

    def read(self, consume: Any) -> None:  # noqa: ANN401 - any consumer of the events
        """Hand the events to `consume`, and keep the problem that ended them early, if one did."""
        from yaml import YAMLError  # noqa: PLC0415 - reading unchanged files does without it

        try:
            consume(self)
        except FatalError as fatal:
            self.problem = self._problem(fatal.code, fatal.summary, fatal.remedy, fatal.mark.line, fatal.mark.column)
        except YAMLError as failure:
            code, summary, remedy = explain_syntax(failure)
            line, column = position_of(failure, self.data)
            self.problem = self._problem(code, summary, remedy, line, column)

    def _problem(self, code: str, summary: str, remedy: str, line: int, column: int) -> Problem:
        return Problem(
            code, summary, remedy, line + 1, column + 1, self.first_document + max(0, self.documents_seen - 1)
        )


def segments(
    data: bytes, problems: list[Problem] | None = None, unread: list[bytes] | None = None
) -> Iterator[Segment]:
    """Yield the file as one segment, and after each segment that could not be read to its end, the rest from the next `---`.

    The caller reads each segment before it asks for the next. What could not be read is added to `problems`, and its text to `unread`.
    """
    segment = Segment(without_byte_order_marks(data), 0)
    for _ in range(_MAX_RESUMES):
        yield segment
        problem = segment.problem
        if problem is None:
            return
        begin, rest = _next_document(segment.data, segment.resume_line(problem.line))
        if problems is not None and unread is not None:
            problems.append(problem)
            lines = segment.data[:begin].split(b"\n")
            start = max((i for i, line in enumerate(lines[: problem.line - 1]) if line.startswith(b"---")), default=0)
            unread.append(b"\n".join(lines[start:]))
        if rest is None:
            return
        segment = Segment(
            rest, segment.first_document + max(1, segment.documents_seen), segment.data.count(b"\n", 0, begin) + 1
        )


def _next_document(data: bytes, line: int) -> tuple[int, bytes | None]:
    r"""Return where the first `---` after `line` (from 1) begins, and the data with everything before it blanked."""
    offset = 0
    for _ in range(line):
        offset = data.find(b"\n", offset) + 1
        if offset == 0:
            return len(data), None
    found = offset if data.startswith(b"---", offset) else data.find(b"\n---", max(0, offset - 1)) + 1
    if found == 0 and not data.startswith(b"---", offset):
        return len(data), None
    return found, b"\n" * data.count(b"\n", 0, found) + data[found:]


def too_large(mark: Mark) -> Exception:
    """Return what ends the reading of a document that is beyond all measure; the next is read on."""
    summary = f"this document holds more than {MAX_VALUES_PER_DOCUMENT:,} values"
    return FatalError(mark, summary, "split it; no manifest needs so many", "manifest.too-large")
