"""Parse a file in parts, so that reading goes on behind a broken document, and say in plain words why it is not YAML, or not text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Protocol

from sharectl.manifests.findings import Finding
from sharectl.manifests.proposals import NO_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterator


SYNTAX: Final = "manifest.syntax"
_BINARY: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")
_MARK: Final = b"\xef\xbb\xbf"
_MARK_WITHIN_LINE: Final = re.compile(rb"(?<=[^\n])\xef\xbb\xbf(?=---|apiVersion|%YAML|\r?\n)")
_ENCRYPTED: Final = (
    (b"\0GITCRYPT\0", "git-crypt", "run `git-crypt unlock`"),
    (b"age-encryption.org/", "age", "decrypt it first"),
    (b"-----BEGIN AGE ENCRYPTED", "age", "decrypt it first"),
    (b"-----BEGIN PGP MESSAGE", "PGP", "decrypt it first"),
    (b"$ANSIBLE_VAULT;", "ansible-vault", "decrypt it first: `ansible-vault view FILE | sharectl plan -f -`"),
)
_PACKED: Final = (b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ", b"BZh")
_LFS_POINTER: Final = b"version https://git-lfs.github.com/spec/"
_CONFLICT: Final = re.compile(rb"^(?:<{7}|>{7}) .*$", re.MULTILINE)


class Mark(Protocol):
    """A place as the YAML parser tells it; all three count from 0, in characters."""

    line: int
    column: int
    index: int


def _problem(code: str, summary: str, remedy: str, data: bytes = b"", offset: int = 0) -> Finding:
    """Return the finding that a file is not YAML, at a place in it."""
    line, column = _line_and_column(data, offset)
    return Finding(f"manifest.{code}", summary, remedy=remedy, line=line, column=column)


def _foreign_problem(data: bytes) -> Finding | None:
    """Return why `data` stands in for manifests that are elsewhere: encrypted, compressed, or as git has left them."""
    for beginning, tool, remedy in _ENCRYPTED:
        if data.startswith(beginning):
            return _problem("encrypted", f"the file is encrypted with {tool}", remedy)
    if data.startswith(_LFS_POINTER):
        remedy = "run `git lfs pull` (in CI: check out with LFS)"
        return _problem("lfs", "the file is a Git LFS pointer: its content is not here", remedy)
    if data.startswith(_PACKED):
        return _problem("binary", "the file is compressed", "unpack it")
    found = _CONFLICT.search(data) if b"<<<<<<< " in data and b">>>>>>> " in data else None
    if found is not None:
        remedy = "resolve the conflict, and remove the lines <<<<<<<, ======= and >>>>>>>"
        return _problem("conflict", "git has left a merge conflict here", remedy, data, found.start())
    return None


def binary_problem(data: bytes) -> Finding | None:
    """Return why `data` is not UTF-8 text, or None where it is."""
    foreign = _foreign_problem(data)
    if foreign is not None:
        return foreign
    remedy = "save the file as UTF-8 text"
    marked = None if data.isascii() else _MARK_WITHIN_LINE.search(data)
    if marked is not None:
        summary = "a byte order mark stands within a line, where one file was put behind another that does not end its last line"
        return _problem("binary", summary, "end each file with a line end", data, marked.start())
    if data.startswith(_BOMS):
        return _problem("binary", "the file is UTF-16, not UTF-8", remedy)
    found = _BINARY.search(data)
    if found is not None:
        summary = f"the file holds the control character 0x{found[0][0]:02x}: it is not text"
        return _problem("binary", summary, remedy, data, found.start())
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as failure:
            return _problem("binary", "the file is not valid UTF-8", remedy, data, failure.start)
    return None


def _line_and_column(data: bytes, offset: int) -> tuple[int, int]:
    before = data[:offset].decode(errors="replace")
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def position_of(failure: Any, data: bytes) -> tuple[int, int]:  # noqa: ANN401 - any of PyYAML's errors
    """Return line and column, from 0, of an error of the YAML parser in `data`."""
    mark = getattr(failure, "problem_mark", None) or getattr(failure, "context_mark", None)
    if mark is not None:
        return mark.line, mark.column
    line, column = _line_and_column(data, getattr(failure, "position", 0) or 0)
    return line - 1, column - 1


_EXPLANATIONS: Final = (
    (
        "expected node content",
        "a value is missing here, or a bracket before it is not closed",
        "complete the value, or close the bracket",
    ),
    (
        "mapping values are not allowed",
        "a `key: value` cannot begin here",
        "check the indentation, and put text that holds `: ` in quotes",
    ),
    (
        "cannot start any token",
        "this character cannot begin a value",
        "indent with spaces, not tabs; put text that begins with @, ` or % in quotes",
    ),
    (
        "could not find expected ':'",
        "this line is not `key: value`",
        "add the colon and a space, or check the indentation",
    ),
    ("tab character", "a tab indents this line", "indent with spaces"),
    ("did not find expected key", "a key of this mapping was expected here", "check the indentation and the quotes"),
    (
        "did not find expected '-' indicator",
        "an item of this list was expected here",
        "begin it with `- `, at the indentation of the others",
    ),
    ("did not find expected ',' or ']'", "a list in brackets is not closed", "add the missing `,` or `]`"),
    ("did not find expected ',' or '}'", "a mapping in braces is not closed", "add the missing `,` or `}`"),
    ("unexpected end of stream", "a text in quotes is not closed", "add the closing quote"),
    (
        "invalid Unicode character escape",
        "the text in double quotes holds an escape that stands for no character, such as half of a pair (`\\ud83d`)",
        "write the character itself",
    ),
    (
        "escape",
        "the text in double quotes holds an escape that YAML does not know",
        "double the backslash, or use single quotes",
    ),
    ("undefined tag handle", "the tag is not known", "leave the tag out; manifests are plain data"),
    (
        "<document start>",
        "something stands between the end of a document and the next `---`",
        "separate documents with a line `---`",
    ),
    (
        "incompatible YAML document",
        "the document asks for another version of YAML",
        "leave the %YAML line out, or write %YAML 1.2",
    ),
    ("block sequence entries are not allowed", "a list cannot begin here", "begin it on a line of its own"),
    ("control characters are not allowed", "the text holds a control character", "remove it"),
)


def explain_syntax(failure: object) -> tuple[str, str, str]:
    """Return code, summary and remedy for an error of the YAML parser, in words for people who do not write parsers."""
    text = str(getattr(failure, "problem", None) or failure).partition("\n")[0]
    if "maximum nesting depth" in text:  # newer parsers look ahead, and stop before the limit of manifests is seen
        return "manifest.too-deep", "more levels are nested here than the parser takes", "flatten it"
    for words, summary, remedy in _EXPLANATIONS:
        if words in text:
            return SYNTAX, summary, remedy
    return SYNTAX, f"this is not valid YAML: {text}", "check the indentation, the quotes and the brackets around here"


MAX_VALUES_PER_DOCUMENT: Final = 100_000
MAX_DEPTH: Final = 64
MAX_EVENTS_PER_DOCUMENT: Final = 2 * MAX_VALUES_PER_DOCUMENT  # of a key and its value
MAX_EVENTS_PER_SET: Final = 10 * MAX_VALUES_PER_DOCUMENT  # a ShareSet stands for many documents
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
        self.problem: Finding | None = None

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
            self.problem = self._end(fatal.code, fatal.summary, fatal.remedy, fatal.mark.line, fatal.mark.column)
        except YAMLError as failure:
            code, summary, remedy = explain_syntax(failure)
            line, column = position_of(failure, self.data)
            if self._is_variable(line, column):
                summary, remedy = "`${` begins a mapping here, as any brace does in braces and brackets", NO_VARIABLES
            self.problem = self._end(code, summary, remedy, line, column)

    def _is_variable(self, line: int, column: int) -> bool:
        """Tell whether a brace that the parser met is that of a variable of a shell."""
        lines = self.data.split(b"\n", line + 1)
        return len(lines) > line and lines[line].decode(errors="replace")[max(column - 1, 0) : column + 1] == "${"

    def _end(self, code: str, summary: str, remedy: str, line: int, column: int) -> Finding:
        number = self.first_document + max(0, self.documents_seen - 1)
        return Finding(code, summary, remedy=remedy, document=number, line=line + 1, column=column + 1)


def segments(
    data: bytes,
    problems: list[Finding] | None = None,
    unread: list[bytes] | None = None,
    first_document: int = 0,
    first_line: int = 1,
) -> Iterator[Segment]:
    """Yield the file as one segment, and after each segment that could not be read to its end, the rest from the next `---`.

    The caller reads each segment before it asks for the next. What could not be read is added to `problems`, and its text to `unread`.
    """
    # YAML allows a byte order mark before each document, at the beginning of a line.
    segment = Segment(data.replace(b"\n" + _MARK, b"\n") if b"\n" + _MARK in data else data, first_document, first_line)
    for _ in range(_MAX_RESUMES):
        yield segment
        problem = segment.problem
        if problem is None:
            return
        # The next document may begin in the very line that shows the last one to be broken.
        resume = problem.line - 1 if problem.line > segment.first_line else problem.line
        begin, rest = _next_document(segment.data, resume)
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


def too_large(mark: Mark, most_events: int = MAX_EVENTS_PER_DOCUMENT) -> Exception:
    """Return what ends the reading of a document with too many values; reading goes on with the next."""
    summary = f"this document holds more than {most_events // 2:,} values"
    return FatalError(mark, summary, "split it; no manifest needs so many", "manifest.too-large")
