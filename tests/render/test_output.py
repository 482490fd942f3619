"""The streams: colours, terminals, encodings, and readers that go away."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharectl.model.diagnostics import warning
from sharectl.render.output import Output, json_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TextIO


def buffered(**environ: str) -> tuple[Output, io.StringIO, io.StringIO]:
    """Return an output on two buffers."""
    out, err = io.StringIO(), io.StringIO()
    return Output.for_streams(out, err, environ=environ), out, err


@contextmanager
def terminal() -> Iterator[tuple[TextIO, int]]:
    """Yield a stream that is a terminal, and the descriptor at which somebody sits before it."""
    seat, line = pty.openpty()
    try:
        with os.fdopen(line, "w", encoding="utf-8") as stream:
            yield stream, seat
    finally:
        os.close(seat)


def test_text_is_no_command_to_the_runner_that_reads_it() -> None:
    """On both streams, in notes, diagnostics and results; elsewhere it stays as it is, and JSON means the same."""
    output, out, err = buffered(GITHUB_ACTIONS="true")
    output.note("::error::a")
    output.diagnostics([warning("x.y", "##[add-mask]b")])
    output.write_lines(["##[group]c"])
    output.write_json({"d": "##[endgroup]"})
    assert "##[" not in out.getvalue() + err.getvalue()
    assert "\n::" not in f"\n{err.getvalue()}"
    assert orjson.loads(out.getvalue().partition("\n")[2]) == {"d": "##[endgroup]"}
    output, out, _ = buffered()
    output.write_lines(["##[group]c"])
    assert out.getvalue() == "##[group]c\n"


@pytest.mark.parametrize(
    ("environ", "colored"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
)
def test_a_terminal_is_coloured_unless_the_user_objects(environ: Mapping[str, str], colored: bool) -> None:  # noqa: FBT001 - a parameter
    """NO_COLOR (not empty) and TERM=dumb are respected."""
    with terminal() as (stream, _):
        output = Output.for_streams(stream, stream, environ=environ)
        assert (output.color_out, output.color_err, output.is_terminal) == (colored, colored, True)


def test_what_is_no_terminal_has_no_colour_unless_forced() -> None:
    """FORCE_COLOR is for logs that can show colours; 0 is no."""
    assert not buffered()[0].color_out
    assert not buffered(FORCE_COLOR="0")[0].color_out
    assert buffered(FORCE_COLOR="1")[0].color_err


def test_the_width_is_that_of_the_terminal_now() -> None:
    """A resize is seen; COLUMNS wins; without a terminal it is 100."""
    import fcntl  # noqa: PLC0415 - beside its only use
    import struct  # noqa: PLC0415 - beside its only use
    import termios  # noqa: PLC0415 - beside its only use

    with terminal() as (stream, seat):
        output = Output.for_streams(io.StringIO(), stream, environ={})
        for columns in (72, 144):
            fcntl.ioctl(seat, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
            assert output.width == columns
        fcntl.ioctl(seat, termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
        assert output.width == 100
    assert buffered(COLUMNS="60")[0].width == 60
    assert buffered(COLUMNS="0")[0].width == 100


def test_a_terminal_that_cannot_be_asked_is_a_hundred_columns_wide() -> None:
    """A stream that says it is a terminal and has no descriptor."""

    class Pretender(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert Output.for_streams(Pretender(), Pretender(), environ={}).width == 100


def test_results_go_out_and_notes_go_to_standard_error() -> None:
    """The two never mix."""
    output, out, err = buffered()
    output.write("text\n")
    output.write("")
    output.write_lines(["one", "two"])
    output.note("remark")
    assert (out.getvalue(), err.getvalue()) == ("text\none\ntwo\n", "remark\n")


def test_a_view_may_take_the_notes() -> None:
    """While a live picture stands on standard error, notes go above it."""
    output, _, err = buffered()
    taken: list[str] = []
    output.divert_notes(taken.append)
    output.note("above")
    output.divert_notes(None)
    output.note("below")
    assert (taken, err.getvalue()) == (["above"], "below\n")


def test_diagnostics_go_to_standard_error() -> None:
    """Nothing is written where there are none."""
    output, out, err = buffered()
    output.diagnostics([])
    assert err.getvalue() == ""
    output.diagnostics([warning("x.y", "look")])
    assert out.getvalue() == ""
    assert err.getvalue().startswith("warning[x.y]: look\n")


def test_json_is_indented_as_a_document_and_compact_as_a_line() -> None:
    """Both end with one line end."""
    output, out, _ = buffered()
    output.write_json({"a": [1]})
    output.write_json_line({"a": [1]})
    assert out.getvalue() == '{\n  "a": [\n    1\n  ]\n}\n{"a":[1]}\n'


@settings(deadline=None)
@given(st.dictionaries(st.text(), st.text() | st.integers(-(2**53), 2**53) | st.none()))
def test_json_holds_its_value_and_no_control_character(value: dict[str, object]) -> None:
    """What a terminal could act upon is written as an escape of JSON, which means the same."""
    text = json_text(value, indent=False)
    assert orjson.loads(text) == value
    assert not any(char in text for char in "\x1b\x7f\x9b\u202e\u2028")


def test_a_terminal_gets_no_control_sequence_from_a_result() -> None:
    """What a command writes by itself is made harmless too; a file gets it as it is."""
    with terminal() as (stream, seat):
        Output.for_streams(stream, stream, environ={}).write("a\x1b[2Jb\n")
        seen = b""
        while not seen.endswith(b"\n"):  # a terminal may hand a line over in parts
            seen += os.read(seat, 100)
        assert seen == b"a\\x1b[2Jb\r\n"
    output, out, _ = buffered()
    output.write('{"name":"\x7f"}\n')
    assert out.getvalue() == '{"name":"\x7f"}\n'


def test_a_stream_that_speaks_ascii_gets_ascii() -> None:
    """An arrow becomes `->`; nothing fails."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Output.for_streams(stream, stream, environ={}).write_lines(["1 → 2 ä"])
    assert raw.getvalue() == b"1 -> 2 \\xe4\n"


def test_lines_are_drawn_as_they_are_written() -> None:
    """A long result does not wait in memory for its end."""
    output, out, _ = buffered()
    seen: list[int] = []

    def lines() -> Iterator[str]:
        for number in range(3000):
            seen.append(len(out.getvalue()))
            yield "x"
            del number

    output.write_lines(lines())
    assert seen[0] == 0
    assert seen[-1] > 0
    assert out.getvalue().count("\n") == 3000


def test_streams_that_were_closed_from_the_start_are_no_trouble() -> None:
    """As after `>&-`: nothing is written, nothing fails."""
    output = Output.for_streams(None, None, environ={})
    output.write_json({})
    output.note("not heard")
    assert (output.is_terminal, output.color_err, output.width, output.stderr) == (False, False, 100, None)


FULL_DISK = """
import os, sys
from sharectl.model.diagnostics import DiagnosticError
from sharectl.render.output import Output
output = Output.for_streams(sys.stdout, sys.stderr, environ=os.environ)
output.write_json_line({"event": "an apply goes on"})
try:
    output.write_lines(["a result"])
except DiagnosticError as failure:
    output.diagnostics(failure.diagnostics)
    raise SystemExit(1)
"""


def test_a_result_that_cannot_be_written_is_an_error_and_an_event_is_not() -> None:
    """A full disk must not stop an apply, and must not pass for a plan."""
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device, not a path of the project
        ended = subprocess.run(
            [sys.executable, "-c", FULL_DISK], stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith("error[output.failed]: standard output cannot be written: No space left on device\n")
    assert "Traceback" not in ended.stderr


PROGRAM = """
import os, sys
from sharectl.render.output import Output
output = Output.for_streams(sys.stdout, sys.stderr, environ=os.environ)
drawn = 0
def lines():
    global drawn
    while drawn < 10_000_000:
        drawn += 1
        yield "line " * 20
output.write_lines(lines())
output.write("not heard")
output.note(f"early={drawn < 10_000_000}")
"""


def test_a_reader_that_goes_away_ends_the_output_quietly() -> None:
    """As with `| head`: no traceback, no more lines are drawn, the program goes on and ends with 0."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(300) == 0
    assert errors == "early=True\n"
