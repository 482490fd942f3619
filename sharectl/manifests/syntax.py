"""Say in plain words why a file is not YAML, or not text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from sharectl.model.diagnostics import error

if TYPE_CHECKING:
    from sharectl.manifests.positions import FilePositions
    from sharectl.model.diagnostics import Diagnostic

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


class Problem(NamedTuple):
    """Something wrong with the YAML itself; `line` and `column` count from 1, `document` from 0."""

    code: str
    summary: str
    remedy: str
    line: int
    column: int
    document: int

    def diagnostic(self, positions: FilePositions) -> Diagnostic:
        """Return the diagnostic, with its place in the file."""
        positions = positions.in_document(self.document, self.line)
        return error(
            self.code,
            self.summary,
            remedy=self.remedy,
            source=positions.place(self.line, self.column, self.document),
        )


def without_byte_order_marks(data: bytes) -> bytes:
    """Return the text without the marks that YAML allows before each document, at the beginning of a line."""
    return data.replace(b"\n" + _MARK, b"\n") if b"\n" + _MARK in data else data


def foreign_problem(data: bytes) -> Problem | None:
    """Return what else than manifests `data` is: something in their place, which stands for them until somebody has put them back."""
    for beginning, tool, remedy in _ENCRYPTED:
        if data.startswith(beginning):
            return Problem("manifest.encrypted", f"the file is encrypted with {tool}", remedy, 1, 1, 0)
    if data.startswith(_LFS_POINTER):
        remedy = "run `git lfs pull` (in CI: check out with LFS)"
        return Problem("manifest.lfs", "the file is a Git LFS pointer: its content is not here", remedy, 1, 1, 0)
    if data.startswith(_PACKED):
        return Problem("manifest.binary", "the file is compressed", "unpack it", 1, 1, 0)
    if b"<<<<<<< " in data and b">>>>>>> " in data:
        found = _CONFLICT.search(data)
        if found is not None:
            remedy = "resolve the conflict, and remove the lines <<<<<<<, ======= and >>>>>>>"
            place = _line_and_column(data, found.start())
            return Problem("manifest.conflict", "git has left a merge conflict here", remedy, *place, 0)
    return None


def binary_problem(data: bytes) -> Problem | None:
    """Return why `data` is not UTF-8 text, or None where it is."""
    remedy = "save the file as UTF-8 text"
    foreign = foreign_problem(data)
    if foreign is not None:
        return foreign
    marked = None if data.isascii() else _MARK_WITHIN_LINE.search(data)
    if marked is not None:
        summary = "a byte order mark stands within a line, where one file was put behind another that does not end its last line"
        return Problem(
            "manifest.binary", summary, "end each file with a line end", *_line_and_column(data, marked.start()), 0
        )
    if data.startswith(_BOMS):
        return Problem("manifest.binary", "the file is UTF-16, not UTF-8", remedy, 1, 1, 0)
    found = _BINARY.search(data)
    if found is not None:
        summary = f"the file holds the control character 0x{found[0][0]:02x}: it is not text"
        return Problem("manifest.binary", summary, remedy, *_line_and_column(data, found.start()), 0)
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as failure:
            return Problem(
                "manifest.binary", "the file is not valid UTF-8", remedy, *_line_and_column(data, failure.start), 0
            )
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
