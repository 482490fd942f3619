"""Read documents that are written alike: a few of each form by the parser, and of the others only what differs.

The form of a document is its text without those of its values that are plain words, or such words in double quotes. What the parser makes
of a text does not depend on which word stands in such a place: none holds a sign that means anything to YAML there. So a document of a
form that is known is what the others are, with its own words.

That a word is a value by itself, and not a part of a longer text, is found out by the parser: a form is learned by reading it with other
words, twice, and kept where each of these comes out once, in order, as it is, and nothing else differs. Words in comments come out nowhere.
Documents that merge mappings or repeat them by aliases have no form.
Everything else, and the rest of a file from the document on in which something is wrong, is read by the parser alone.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import orjson

from sharectl.manifests.reader import Document, Reading, read_documents
from sharectl.manifests.scalars import SPECIAL_FIRST, ScalarError, resolve
from sharectl.manifests.syntax import binary_problem
from sharectl.model.frozen import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SIGNS: Final = "[A-Za-z0-9._/+-]"
_WORD: Final = re.compile(rf': ("|)([A-Za-z0-9]{_SIGNS}*+(?:(?: |::?){_SIGNS}++)*+)\1(?=[\n,}}])')
"""A value that is a word: its quote, if it has one, and itself. Blanks and colons stand between its parts only."""
_TRIALS: Final = ("w{}x", "A {}:b::c.d/e_f+g-h")
"""Words that a form is read with while it is learned: of other lengths than each other, and with all that a word may hold."""
_BETWEEN: Final = "\n---\n"
_FOREIGN: Final = ("\r", "\n%", "\n...", "\u2028", "\u2029", "\ufeff")
"""Other ends of lines, what is said to the parser of the next document, and marks of byte order: a file with any of them has no forms."""
_UNREADABLE: Final = re.compile("[\x80-\x9f\ufffe\uffff]")
"""What the parser refuses as soon as it comes into its buffer, before the documents above it are read; and one more end of a line."""
_MOST_CHARACTERS: Final = 1 << 16
"""In a document; a longer one is read by the parser, with all that is behind it in its file."""
_MOST_FORMS: Final = 1_000
_MOST_UNLIKE: Final = 500
"""So many more documents than those of a form that was known are parsed one by one; where all differ, that takes a third longer than together."""


class _Form(NamedTuple):
    """What the documents of a form are: their value as JSON, with `%s` for each word of `words`, by number, and where they begin and have their names.

    Lines count from that in which the text of the document begins, 0.
    """

    json: str
    words: tuple[int, ...]
    line: int
    name_line: int
    name_column: int


class Forms:
    """The forms of the documents that were read so far, in all files of a run."""

    def __init__(self) -> None:
        """Know no form yet."""
        self._met: set[str] = set()
        self._forms: dict[str, _Form | None] = {}
        self._unlike = 0

    def read(self, data: bytes, take: Callable[[Document], None]) -> Reading:
        """Hand each document of a file to `take`; the result is that of `read_documents`."""
        text = "" if binary_problem(data) else data.decode()
        if not text or text.startswith(("%", "...")) or any(map(text.__contains__, _FOREIGN)):
            return read_documents(data, take)
        if not data.isascii() and _UNREADABLE.search(text):
            return read_documents(data, take)
        begin = number = line = 0
        while begin < len(text):
            end = text.find(_BETWEEN, begin) + 1 or len(text)
            part = text[begin:end]
            is_tried = len(part) <= _MOST_CHARACTERS and self._unlike < _MOST_UNLIKE
            documents = self._documents(part, number, line) if is_tried else None
            if documents is None:
                rest = b"\n" * line + text[begin:].encode()
                return read_documents(rest, take, first_document=number, first_line=line + 1)
            for each in documents:
                take(each)
            begin, number, line = end, number + len(documents), line + part.count("\n")
        return Reading()

    def _documents(self, text: str, number: int, line: int) -> Sequence[Document] | None:
        """Return the documents of a part of a file, one as a rule, from this number and line on; None where something is wrong in it."""
        parts = _WORD.split(text)
        quotes, words = parts[1::3], parts[2::3]
        del parts[2::3]
        key = "\0".join(parts)
        form = self._forms.get(key)
        if form is not None:
            with suppress(ScalarError):
                self._unlike -= 1
                return (_of_form(form, quotes, words, number, line),)
        self._unlike += 1
        reading = read_documents(text.encode())
        if reading.problems:
            return None
        if key in self._met and key not in self._forms:
            form = _learned(parts, len(words))
            is_right = form is not None and [_of_form(form, quotes, words)] == reading.documents
            self._forms[key] = form if is_right else None
        elif len(self._met) < _MOST_FORMS:
            self._met.add(key)
        return [_moved(each, number, line) for each in reading.documents]


def _moved(document: Document, number: int, line: int) -> Document:
    """Return the document of a part, which begins with this number in this line of the file."""
    entries = {name: (at + line, column) for name, (at, column) in document.entries.items()}
    return Document(
        document.number + number,
        document.value,
        document.line + line,
        document.name_line + line,
        document.name_column,
        document.sound,
        entries,
    )


def _of_form(form: _Form, quotes: Sequence[str], words: Sequence[str], number: int = 0, line: int = 0) -> Document:
    """Return the document of a form with these words, which has this number and begins in this line. Raises ScalarError for a number that no document may hold."""
    if len(form.words) < len(words):  # the others are comments
        quotes, words = ([texts[each] for each in form.words] for texts in (quotes, words))
    values = [
        f'"{word}"' if quote or word[0] not in SPECIAL_FIRST else _json_of(word)
        for quote, word in zip(quotes, words, strict=True)
    ]
    value = orjson.loads(form.json % tuple(values))
    return Document(number, value, form.line + line, form.name_line + line, form.name_column, sound=True)


@lru_cache(maxsize=10_000)
def _json_of(word: str) -> str:
    value = resolve(word)
    return f'"{word}"' if value.__class__ is str else orjson.dumps(value).decode()


def _learned(parts: Sequence[str], words: int) -> _Form | None:
    """Return the form with these parts around so many words; None where it depends on the words.

    What is merged may hide a word, though not what is wrong with it, and how much aliases stand for depends on the lengths of words.
    """
    around = "".join(parts)
    if "<<" in around or ("&" in around and "*" in around):
        return None
    first, second = (_tried(parts, [trial.format(number) for number in range(words)]) for trial in _TRIALS)
    return first if first == second else None


def _tried(parts: Sequence[str], words: Sequence[str]) -> _Form | None:
    """Return what the parser makes of a form with other words; None where a word becomes a part of something."""
    text = parts[0] + "".join(
        f": {quote}{word}{quote}{part}" for quote, word, part in zip(parts[1::2], words, parts[2::2], strict=True)
    )
    reading = read_documents(text.encode())
    if reading.problems or len(reading.documents) != 1 or reading.documents[0].entries:
        return None
    document, used, at = reading.documents[0], [], 0
    json = orjson.dumps(document.value).decode().replace("%", "%%")
    for number, word in enumerate(words):
        if word in json:
            value = f'"{word}"'
            at = json.find(value, at)
            before, behind = json[:at], json[at + len(value) :]
            if at < 0 or word in before or word in behind or behind.startswith(":"):
                return None
            json = f"{before}%s{behind}"
            used.append(number)
    return _Form(json, tuple(used), document.line, document.name_line, document.name_column)
