"""The one way out: results to standard output, notes and diagnostics to standard error."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import orjson

from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.render.diagnostics import diagnostics_lines
from sharectl.render.formats import Format, writer
from sharectl.render.text import Look, encodable, fitted, harmless, without_commands

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sharectl.model.diagnostics import Diagnostic

WIDTH_WITHOUT_TERMINAL: Final = 100
_LINES_PER_WRITE: Final = 1000
_ITEMS_PER_PART: Final = 500
_UNSAFE_IN_JSON: Final = r"[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]"


class Output:
    """Two streams, and what is known of them.

    A reader that goes away (`| head`) ends the output on that stream quietly: the program goes on, because an apply must.
    A result that cannot be written for another reason (a full disk) raises DiagnosticError; a note or an event does not.
    In a job of GitHub Actions, whose runner reads both, text holds no command to it.
    A terminal gets no control characters but line ends, tabs and colours. A stream that cannot say a character gets ASCII.
    """

    def __init__(self, stdout: TextIO | None, stderr: TextIO | None, *, environ: Mapping[str, str]) -> None:
        """Look at the streams and at `NO_COLOR`, `FORCE_COLOR`, `TERM` and `COLUMNS`; see for_streams()."""
        self._out = _Stream(stdout)
        self._err = _Stream(stderr)
        self._columns = environ.get("COLUMNS", "")
        self.is_dumb = environ.get("TERM") == "dumb"
        self.err_is_terminal = self._err.is_terminal
        self.is_terminal = self._out.is_terminal and self._err.is_terminal
        self.color_out = self._colored(self._out, environ)
        self.color_err = self._colored(self._err, environ)
        self._note_sink: Callable[[str], None] | None = None
        self._summary = environ.get("GITHUB_STEP_SUMMARY", "")
        self._is_read_by_runner = bool(environ.get("GITHUB_ACTIONS"))
        self.directory: Path | None = None

    @classmethod
    def for_streams(cls, stdout: TextIO | None, stderr: TextIO | None, *, environ: Mapping[str, str]) -> Output:
        """Return the output on these streams (None: it was closed before the program began); colours on a terminal unless `NO_COLOR` is set or `TERM` is `dumb`.

        `FORCE_COLOR` (other than `0`) colours the output even without a terminal; `NO_COLOR` is stronger.
        """
        return cls(stdout, stderr, environ=environ)

    @property
    def stderr(self) -> TextIO | None:
        """The stream of progress and diagnostics, for a view that draws on it; None where it was closed from the start."""
        return self._err.stream

    @property
    def draws(self) -> bool:
        """Tell whether something may be drawn on standard error that is drawn over later."""
        return self.stderr is not None and self.err_is_terminal and not self.is_dumb

    @property
    def width(self) -> int:
        """Columns of the terminal now (it may be resized): `COLUMNS` where it is set, 100 where there is no terminal."""
        if self._columns.isdecimal() and int(self._columns) > 0:
            return int(self._columns)
        for stream in (self._out, self._err):
            if stream.stream is not None and stream.is_terminal:
                try:
                    columns = os.get_terminal_size(stream.stream.fileno()).columns
                except (OSError, ValueError):
                    continue
                if columns > 0:
                    return columns
        return WIDTH_WITHOUT_TERMINAL

    @property
    def look(self) -> Look:
        """How text is drawn on standard output: for its width on a terminal, or where `COLUMNS` is set."""
        return Look(self.color_out, self.width if self._out.is_terminal or self._columns.isdecimal() else None)

    def show(self, document: str, style: Format, *values: object, on_one_line: bool = False, **choices: object) -> None:
        """Write a document of `render.formats` in the format; `choices` are those of its text, JSON may be `on_one_line`."""
        write = writer(document, style)
        if style.is_for_a_forge:
            from sharectl.render.places import in_repository  # noqa: PLC0415 - a forge's alone

            values = tuple(in_repository(value, self.directory) for value in values)
        if style in {Format.TEXT, Format.WIDE}:
            self.draw_lines(write(*values, look=self.look, **choices))
        elif style is Format.JSON and on_one_line:
            self.write_json_line(write(*values))
        elif style in {Format.JSON, Format.SARIF}:
            self.write_json(write(*values))
        elif style is Format.GITHUB:
            self._out.write_lines(write(*values))  # which are commands
            self._out.check()
        else:
            self.write_lines(write(*values))
        if style is Format.GITHUB and self._summary:
            from sharectl.render.job_summary import add_to_summary  # noqa: PLC0415 - as above

            if not add_to_summary(Path(self._summary), writer(document, Format.MARKDOWN)(*values)):
                self.note("The summary of the job could not be written, or has no room left.")

    def write(self, text: str) -> None:
        """Write rendered text to standard output as it is; it brings its own line ends."""
        self._out.write(text)
        self._out.check()

    def write_lines(self, lines: Iterable[str]) -> None:
        """Write the lines to standard output, each with a line end; stops drawing from `lines` once nobody reads."""
        self._out.write_lines(self._told(lines))
        self._out.check()

    def draw_lines(self, lines: Iterable[str]) -> None:
        """Write lines for people to standard output, on a terminal folded between words."""
        width = self.look.width
        self.write_lines(lines if width is None else (part for line in lines for part in fitted(line, width)))

    def write_json(self, value: object) -> None:
        """Write one JSON document, indented by 2, and a line end; see json_parts()."""
        for part in json_parts(value):
            self.write(part)
        self.write("\n")

    def write_json_line(self, value: object) -> None:
        """Write one JSON document on one line."""
        self._out.write(json_text(value, indent=False) + "\n")

    def note(self, text: str) -> None:
        """Write a remark for people to standard error, with a line end; on a terminal it is folded between words."""
        self._say([text])

    def diagnostics(self, diagnostics: Sequence[Diagnostic]) -> None:
        """Write diagnostics to standard error; nothing where there are none."""
        width = self.width if self.err_is_terminal else None
        self._say(diagnostics_lines(diagnostics, color=self.color_err, width=width))

    def _say(self, lines: Iterable[str]) -> None:
        if self.err_is_terminal:
            width = self.width
            lines = (part for text in lines for line in text.split("\n") for part in fitted(line, width))
        if self._note_sink is None:
            self._err.write_lines(self._told(lines))
            return
        for line in lines:
            self._note_sink(line)

    def divert_notes(self, sink: Callable[[str], None] | None) -> None:
        """Give notes to `sink` while a view draws on standard error; None ends that."""
        self._note_sink = sink

    def _told(self, lines: Iterable[str]) -> Iterable[str]:
        return map(without_commands, lines) if self._is_read_by_runner else lines

    def _colored(self, stream: _Stream, environ: Mapping[str, str]) -> bool:
        if environ.get("NO_COLOR"):
            return False
        if environ.get("FORCE_COLOR", "0") not in {"", "0"}:
            return True
        return stream.is_terminal and not self.is_dumb


def json_parts(value: object) -> Iterator[str]:
    """Yield the text of a JSON document, indented by 2: the items of an iterator in its last field as they are drawn, some hundred in a part."""
    *_, (name, items) = value.items() if isinstance(value, dict) and value else [("", None)]
    if not isinstance(value, dict) or not isinstance(items, Iterator):
        yield json_text(value, indent=True)
        return
    before, brackets, after = json_text({**value, name: []}, indent=True).rpartition("[]")
    separator = "[\n    "
    while part := list(islice(items, _ITEMS_PER_PART)):
        texts = (json_text(item, indent=True).replace("\n", "\n    ") for item in part)
        yield before + separator + ",\n    ".join(texts)
        before, separator, brackets = "", ",\n    ", "\n  ]"
    yield before + brackets + after


def json_text(value: object, *, indent: bool) -> str:
    r"""Return `value` as JSON; what a terminal or a runner could take for a command is written as `\u009b`, which means the same."""
    data = orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else 0)
    text = data.decode().replace("##[", r"##\u005b")
    if data.isascii() and b"\x7f" not in data:
        return text
    return re.sub(_UNSAFE_IN_JSON, lambda match: f"\\u{ord(match[0]):04x}", text)


class _Stream:
    """A text stream whose reader may go away, and which may fail."""

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream
        self.is_terminal = stream is not None and stream.isatty()
        self.is_gone = stream is None
        self._problem = ""

    def write(self, text: str) -> None:
        if self.stream is None or self.is_gone or not text:
            return
        if self.is_terminal:
            text = harmless(text)
        try:
            try:
                self.stream.write(text)
            except UnicodeEncodeError:
                self.stream.write(encodable(text, self.stream.encoding))
            self.stream.flush()
        except BrokenPipeError:
            self._give_up(self.stream)
        except OSError as problem:
            self._problem = problem.strerror or str(problem)
            self._give_up(self.stream)

    def check(self) -> None:
        """Raise DiagnosticError where the stream has failed, other than by its reader going away."""
        if self._problem:
            raise DiagnosticError(
                error(
                    "output.failed",
                    f"standard output cannot be written: {self._problem}",
                    remedy="check where it is written to, then run the command again",
                )
            )

    def write_lines(self, lines: Iterable[str]) -> None:
        remaining = iter(lines)
        while not self.is_gone and (batch := list(islice(remaining, _LINES_PER_WRITE))):
            batch.append("")
            self.write("\n".join(batch))

    def _give_up(self, stream: TextIO) -> None:
        """Point the file descriptor nowhere, so that what is still in a buffer does not fail again at the end of the process."""
        self.is_gone = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
