"""Progress of an apply on a terminal, in a log and for programs."""

from __future__ import annotations

import io
import os
import pty
import re
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.model.events import (
    CancelRequested,
    CandidateFailed,
    RunFinished,
    RunStarted,
    StepFinished,
    StepRetried,
    StepStarted,
    StepTaken,
)
from sharectl.model.verbs import Verb
from sharectl.render.frame import frame_lines
from sharectl.render.output import Output
from sharectl.render.progress import event_object, progress_view
from sharectl.render.tally import Tally
from tests.render.test_tally import EVENTS, START, failed, finished, skipped, started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sharectl.model.events import Event

    Golden = Callable[[str, Iterable[str]], None]

END = RunFinished("run-1", done=2, failed=1, skipped=1, cancelled=False, seconds=1.5)


def shown(mode: str, *events: Event, **environ: str) -> tuple[str, str]:
    """Return what the events write to standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    output = Output.for_streams(out, err, environ=environ)
    with progress_view(output, mode=mode) as observe:  # type: ignore[arg-type]
        for event in events:
            observe(event)
    return out.getvalue(), err.getvalue()


def test_a_log_gets_a_line_for_each_step_that_ends(golden: Golden) -> None:
    """Starts are not written; retries and refusals are; what is skipped for one cause shares a line."""
    refused = CandidateFailed("create-share:share/c", "share/c", "nas2", "default", "full")
    cancelled = (
        CancelRequested(immediate=False),
        *(skipped(name, "", "cancelled") for name in "efgh"),
        CancelRequested(immediate=True),
    )
    out, err = shown("auto", *EVENTS, refused, *cancelled, END)
    assert out == ""
    golden("progress.txt", err.splitlines())


def test_skips_of_two_causes_are_two_lines() -> None:
    """Also where they follow each other, and at the end of the run."""
    _, err = shown("plain", START, skipped("a", "share/x"), skipped("b", "share/x"), skipped("c", "share/y"))
    assert err.splitlines() == [
        "[ 2/12] skipped  2 steps, because share/x failed: update-access share/a, update-access share/b",
        "[ 3/12] skipped  1 step, because share/y failed: update-access share/c",
    ]


def test_a_hundred_thousand_skips_are_one_line() -> None:
    """A cancel does not flood the log."""
    _, err = shown(
        "plain",
        replace(START, steps_by_backend={"nas1": 100_000}),
        *(skipped(str(n), "", "cancelled") for n in range(100_000)),
    )
    assert (
        err
        == "[100000/100000] skipped  100000 steps, cancelled: update-access share/0, update-access share/1, update-access share/2 and 99997 more\n"
    )


def test_a_log_may_be_coloured() -> None:
    """Where colours are on."""
    assert "\x1b[32mdone    \x1b[0m" in shown("plain", START, finished("a"), FORCE_COLOR="1")[1]


def test_programs_get_one_object_for_each_event() -> None:
    """On standard output, with format, version, name and time; nothing is written to standard error."""
    out, err = shown("json", *EVENTS, CancelRequested(immediate=True), END)
    objects = [orjson.loads(line) for line in out.splitlines()]
    assert err == ""
    assert len(objects) == len(EVENTS) + 2
    assert {(plain["format"], plain["version"]) for plain in objects} == {("sharectl-events", 1)}
    assert objects[0]["event"] == "run-started"
    assert objects[0]["steps_by_backend"] == {"nas1": 6, "nas2": 5, "": 1}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", plain["at"]) for plain in objects)


def test_an_event_has_its_own_name_and_fields() -> None:
    """The verb is written as its value."""
    plain = event_object(finished("a"), "2026-01-02T03:04:05.678+00:00")
    assert orjson.loads(orjson.dumps(plain)) == {
        "format": "sharectl-events",
        "version": 1,
        "event": "step-finished",
        "at": "2026-01-02T03:04:05.678+00:00",
        "step_id": "create-share:share/a",
        "address": "share/a",
        "verb": "create-share",
        "backend": "nas1",
        "pool": "default",
        "seconds": 0.25,
        "worker": None,
    }
    assert event_object(CancelRequested(immediate=True), "now")["event"] == "cancel-requested"


def test_who_makes_a_call_is_told() -> None:
    """By the name of a worker, as `sharectl workers` has it, and whom it replaces where that one was lost; nothing where it is this process."""
    step_id, first, second = "create-share:share/a", "nas1@store-17-4711-0123abcd", "nas1@store-18-12-89abcdef"
    lost = "the worker nas1@store-17-4711 was lost while it made the call"
    _, err = shown(
        "plain",
        RunStarted("run-1", 1, {"nas1": 1}),
        StepStarted(step_id, "share/a", Verb.CREATE_SHARE, "nas1", "default", first),
        StepRetried(step_id, "share/a", "nas1", 1, 0.2, lost),
        StepTaken(step_id, "share/a", "nas1", second, first),
        StepFinished(step_id, "share/a", Verb.CREATE_SHARE, "nas1", "default", 91.0, second),
    )
    assert err.splitlines() == [
        f"      again    share/a on nas1 in 0.2 s, after attempt 1: {lost}",
        "      taken    share/a again by nas1@store-18-12, in place of nas1@store-17-4711",
        "[1/1] done     create-share share/a on nas1#default (1m31s) by nas1@store-18-12",
    ]
    _, quiet = shown("plain", StepTaken(step_id, "share/a", "nas1", second))
    assert quiet == ""


def test_a_picture_before_the_run_has_begun_counts_no_time() -> None:
    """Else it would show how long the machine has been up."""
    assert frame_lines(Tally(), 67_740.0, width=80, height=20, color=False) == ["0 of 0 steps, 0.0 s"]


class Seat:
    """Somebody who sits before a terminal and reads all that is drawn."""

    def __init__(self, encoding: str = "utf-8") -> None:
        """Open the terminal, to which the program writes in `encoding`."""
        self.seat, line = pty.openpty()
        self.stream = os.fdopen(line, "w", encoding=encoding)
        self.text = ""
        self._grown = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self.seat, 65536)
            except OSError:
                return  # the other side is closed
            with self._grown:
                self.text += data.decode(errors="replace")
                self._grown.notify_all()

    def wait_for(self, word: str) -> None:
        """Wait until the word has been drawn."""
        with self._grown:
            assert self._grown.wait_for(lambda: word in self.text, timeout=300), (
                f"{word!r} was never drawn: {self.text!r}"
            )

    def leave(self) -> str:
        """Close the terminal and return all that was drawn."""
        self.stream.close()
        self._reader.join()
        os.close(self.seat)
        return self.text


@pytest.mark.parametrize("environ", [{"TERM": "xterm-256color"}, {"TERM": "xterm", "NO_COLOR": "1"}])
def test_a_terminal_gets_a_picture_that_is_gone_at_the_end(environ: dict[str, str]) -> None:
    """It is drawn anew as events come, notes stand above it, and it clears itself; results stay untouched."""
    seat, out = Seat(), io.StringIO()
    output = Output.for_streams(out, seat.stream, environ=environ)
    with progress_view(output, mode="auto") as observe:
        for event in EVENTS:
            observe(event)
        seat.wait_for("share/d")
        observe(failed("d", "nas2", "evil \x1b]0;title\x07"))
        seat.wait_for("evil \\x1b]0;title\\x07")
        output.note("a remark")
        seat.wait_for("a remark")
    output.note("after")
    seat.wait_for("after")
    text = seat.leave()
    assert out.getvalue() == ""
    assert "\x1b[2K" in text
    assert "\x1b]0;" not in text
    assert ("\x1b[31m" in text or "\x1b[1;31m" in text) == ("NO_COLOR" not in environ)
    assert text.rstrip().endswith("after")
    assert "\x1b[?25h" in text.rpartition("\x1b[?25l")[2]


def test_a_terminal_that_speaks_ascii_gets_an_ascii_picture() -> None:
    """Bars, marks and names; nothing fails in the thread that draws."""
    seat = Seat("ascii")
    output = Output.for_streams(io.StringIO(), seat.stream, environ={"TERM": "xterm"})
    with progress_view(output, mode="auto") as observe:
        for event in EVENTS:
            observe(event)
        seat.wait_for("####")
        output.note("nö\x1b[2J")
        seat.wait_for("n\\xf6\\x1b[2J")
    assert "x share/b: no space" in seat.leave()


def test_a_dumb_terminal_gets_lines() -> None:
    """Nothing is drawn that could not be erased."""
    seat = Seat()
    output = Output.for_streams(seat.stream, seat.stream, environ={"TERM": "dumb"})
    with progress_view(output, mode="auto") as observe:
        observe(START)
        observe(started("a"))
        observe(finished("a"))
    assert seat.leave() == "[ 1/12] done     create-share share/a on nas1#default (0.2 s)\r\n"
