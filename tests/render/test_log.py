"""Progress in a log: a few lines for a long run, and one now and then while nothing happens."""

from __future__ import annotations

import io
import threading
from collections import Counter
from typing import TYPE_CHECKING

from sharectl.model.events import OperationRecovered, RecoveryStarted, RunFinished, RunStarted, StepRetried
from sharectl.model.verbs import Verb
from sharectl.render.log import PlainView, logged
from sharectl.render.output import Output
from sharectl.render.tally import Outline, Tally
from tests.render.test_tally import failed, finished, started

if TYPE_CHECKING:
    from sharectl.model.events import Event

MANY = 10_000


class Log:
    """A log that is written by the clock of a test."""

    def __init__(self, steps: int) -> None:
        """Begin a run of so many steps."""
        self.now = 0.0
        self._err = io.StringIO()
        output = Output.for_streams(io.StringIO(), self._err, environ={})
        tally = Tally(Outline({"nas1": 2}, {"nas1": Counter({Verb.CREATE_SHARE: steps})}))
        self.view = PlainView(output, tally, lambda: self.now)
        self(RunStarted("r", steps, {"nas1": steps}))

    def __call__(self, *events: Event) -> None:
        """Let these come."""
        for event in events:
            self.view.observe(event)

    @property
    def lines(self) -> list[str]:
        """What has been written."""
        return self._err.getvalue().splitlines()


def test_a_long_run_is_told_in_tenths() -> None:
    """With what is left, and the slowest steps."""
    log = Log(MANY)
    log(started("slow"))
    for number in range(MANY - 1):
        log.now = number * 0.01
        log(started(str(number)), finished(str(number)))
    log(finished("slow"), RunFinished("r", MANY, 0, 0, False, 100.0))  # noqa: FBT003 - the event's field
    log.view.finish()
    assert len(log.lines) == 10
    assert log.lines[4].startswith("[ 5000/10000] so far   50.0 s, ")
    assert "share/slow on nas1#default: creating, 50.0 s, usually 0.2 s" in log.lines[4]
    assert log.lines[-1].startswith("[10000/10000] so far ")


def test_silence_is_broken_every_half_minute() -> None:
    """Also in a short run: a log says what it waits for."""
    log = Log(3)
    log(started("a"))
    for second in range(1, 95):
        log.now = float(second)
        log.view.tick()
    assert log.lines == [
        "[0/3] so far   30.0 s; share/a on nas1#default: creating, 30.0 s",
        "[0/3] so far   1m00s; share/a on nas1#default: creating, 1m00s",
        "[0/3] so far   1m30s; share/a on nas1#default: creating, 1m30s",
    ]


def test_what_is_resolved_alike_shares_a_line() -> None:
    """After the kill of a large run: once all is resolved, or after half a minute of it; few are told one by one."""
    log = Log(0)
    log(RecoveryStarted(103, {"nas1": 103}))
    log(*(OperationRecovered(f"share/s{n}", "create-share", "nas1", "it had been made") for n in range(100)))
    assert len(log.lines) == 1
    log.now = 31.0
    log.view.tick()
    assert log.lines[1].endswith(
        "resolved create-share of 100 resources on nas1: it had been made: share/s0, share/s1, share/s2 and 97 more"
    )
    log(OperationRecovered("share/a", "create-share", "nas1", "it had been made"))
    log(OperationRecovered("share/b", "create-share", "nas1", "it had not been made"))
    log(OperationRecovered("share/c", "create-share", "nas1", "it had been made"))
    log.view.finish()
    assert [line.partition("create-share ")[2] for line in log.lines[-3:]] == [
        "share/a on nas1: it had been made",
        "share/c on nas1: it had been made",
        "share/b on nas1: it had not been made",
    ]


def test_a_flood_of_one_kind_is_cut_off() -> None:
    """A backend that is busy ten thousand times, or a run that fails throughout, fills no log; the sums go on."""
    log = Log(MANY)
    for number in range(MANY // 2):
        log(started(str(number)))
        log(StepRetried(f"create-share:share/{number}", f"share/{number}", "nas1", 1, 0.1, "busy"), failed(str(number)))
    log(started("x"), finished("x"))
    assert len(log.lines) < 110
    assert sum("further lines of this kind are left out" in line for line in log.lines) == 2
    assert "5000 failed, 5000 retried" in log.lines[-1]


def test_the_view_is_asked_by_itself() -> None:
    """By a thread that ends with the run."""
    asked = threading.Event()

    class View(PlainView):
        def tick(self) -> None:
            asked.set()

    view = View(Output.for_streams(io.StringIO(), io.StringIO(), environ={}), Tally(), lambda: 0.0)
    with logged(view, 0.01):
        assert asked.wait(300)
    assert not any(thread.name == "progress" for thread in threading.enumerate())
