"""Reader of exports(5), by the grammar that exportfs(8) of nfs-utils has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.legacy.findings import Place
from sharectl.model.diagnostics import DiagnosticError, Source, error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.model.diagnostics import Diagnostic

_OCTAL: Final = re.compile(rb"\\([0-3][0-7]{2})")
_WORD: Final = re.compile(r'(?:"[^"\n]*"|[^\s"])+')


class ExportOption(NamedTuple):
    """`anonuid=1000` is ("anonuid", "1000"); without a value, that is empty."""

    name: str
    value: str = ""

    def __str__(self) -> str:
        """As it is written."""
        return f"{self.name}={self.value}" if self.value else self.name


class ExportedTo(NamedTuple):
    """One client of one folder. The options are in the order in which they count, a line's defaults (`-ro`) before the client's own.

    `client` is `*` for everybody, also where the file names nobody; `is_stray` tells of a `(rw)` on its own, as in `host (rw)`, and
    `is_silent` of a folder without any client, which means everybody as well.
    """

    place: Place
    path: str
    client: str
    options: tuple[ExportOption, ...]
    is_stray: bool = False
    is_silent: bool = False


def read_exports(text: str, path: str) -> tuple[ExportedTo, ...]:
    """Return all clients in the text of the file `path`, in its order.

    Raises DiagnosticError for what exportfs cannot read either: it would serve nothing from there on.
    """
    reader = _Reader(path, text.replace("\r\n", "\n").split("\n"))
    found = [client for words in reader.statements() for client in reader.clients(words)]
    if reader.problems:
        raise DiagnosticError(*reader.problems)
    return tuple(found)


class _Word(NamedTuple):
    line: int
    column: int
    text: str


class _Reader:
    """Reads one file, and gathers what is wrong with it."""

    def __init__(self, path: str, lines: list[str]) -> None:
        self._path, self._lines = path, lines
        self.problems: list[Diagnostic] = []

    def statements(self) -> Iterator[list[_Word]]:
        """Yield the words of each statement; a backslash joins a line with the next, except in a comment."""
        words: list[_Word] = []
        for number, line in enumerate(self._lines, start=1):
            continues = self._add_words(words, number, line)
            if words and not (continues and number < len(self._lines)):
                yield words
                words = []

    def _add_words(self, words: list[_Word], number: int, line: str) -> bool:
        """Add the words of a line, and tell whether the next line goes on with it."""
        at = 0
        while at < len(line):
            if line[at].isspace():
                at += 1
                continue
            if line[at] == "#":
                return False
            match = _WORD.match(line, at)
            if match is None or line[match.end() : match.end() + 1] == '"':
                self._complain(_Word(number, at + 1, ""), "a quote on this line is never closed")
                return False
            word, at = match[0], match.end()
            continues = at == len(line) and word.endswith("\\")
            word = word.removesuffix("\\") if continues else word
            if word:
                words.append(_Word(number, match.start() + 1, word))
            if continues:
                return True
        return False

    def clients(self, words: list[_Word]) -> Iterator[ExportedTo]:
        """Yield the clients of a statement."""
        first, *rest = words
        folder, defaults, is_named = _plain(first.text), tuple[ExportOption, ...](), False
        for word in rest:
            text = _plain(word.text)
            if text.startswith("-"):
                defaults += _options(text[1:])
                continue
            client, bracket, options = text.partition("(")
            if bracket and options.find(")") != len(options) - 1:
                self._complain(word, "the options of a client stand in one pair of brackets, without spaces")
                return
            is_named = True
            yield ExportedTo(
                Place(self._path, word.line),
                folder,
                client or "*",
                (*defaults, *_options(options[:-1])),
                is_stray=not client,
            )
        if not is_named:
            yield ExportedTo(Place(self._path, first.line), folder, "*", defaults, is_silent=True)

    def _complain(self, word: _Word, summary: str) -> None:
        self.problems.append(
            error(
                "exports.syntax",
                summary,
                detail="exportfs stops here too: since its last start it has served nothing of what is below.",
                remedy="correct the line, try it with `exportfs -ra`, then import again",
                source=Source(self._path, word.line, word.column, excerpt=self._lines[word.line - 1]),
            )
        )


def _options(text: str) -> tuple[ExportOption, ...]:
    parts = (part.partition("=") for part in text.split(",") if part)
    return tuple(ExportOption(name, value) for name, _, value in parts)


def _plain(word: str) -> str:
    """Return the word without its quotes, and with the bytes that it has in octal."""
    if "\\" not in word and '"' not in word:
        return word
    raw = word.replace('"', "").encode("utf-8", "surrogateescape")
    return _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), raw).decode("utf-8", "surrogateescape")
