"""Who is waited for while backends are asked: on a terminal at once, in a log now and then."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING

from sharectl.render.output import Output
from sharectl.render.waiting import WaitingView, waiting_text
from sharectl.workspace.parallel import Unanswered, ask_each
from tests.render.screen import drawn

if TYPE_CHECKING:
    from sharectl.render.output import Output as Shown

SLOW = Unanswered(("filer-2",), 12.0, 60.0)


def test_a_terminal_shows_who_is_waited_for_until_nobody_is() -> None:
    """The line is drawn over; what comes after it stands where it was."""

    def show(output: Shown) -> None:
        view = WaitingView(output)
        view(None)  # nothing was drawn, and nothing is to be wiped out
        view(SLOW)
        view(SLOW._replace(seconds=13.0))
        view(None)
        output.note("after")

    assert drawn(show, columns=40).lines == ["after"]

    def stay(output: Shown) -> None:
        WaitingView(output)(SLOW)

    assert drawn(stay, columns=40).lines == ["Waiting for filer-2, 12 s"]
    assert drawn(stay, columns=80).lines == ["Waiting for filer-2, 12 s of at most 60 s"]


def test_a_log_says_it_now_and_then() -> None:
    """After ten seconds, then every half minute; of the next question anew."""
    err = io.StringIO()
    view = WaitingView(Output.for_streams(io.StringIO(), err, environ={}))
    for second in range(1, 60):
        view(SLOW._replace(seconds=float(second)))
    view(None)
    view(SLOW._replace(seconds=11.0))
    assert err.getvalue().splitlines() == [
        "Waiting for filer-2, 10 s of at most 60 s",
        "Waiting for filer-2, 40 s of at most 60 s",
        "Waiting for filer-2, 11 s of at most 60 s",
    ]


def test_many_are_counted_where_there_is_no_room_to_name_them() -> None:
    """No name is broken."""
    waiting = Unanswered(tuple(f"filer-{number}" for number in range(9)), 12.0, 60.0)
    assert waiting_text(waiting) == "Waiting for filer-0, filer-1, filer-2 and 6 more, 12 s of at most 60 s"
    assert waiting_text(waiting, 40) == "Waiting for 9 backends, 12 s"


def test_who_asks_is_told_who_has_not_answered() -> None:
    """And that it is over, in its own thread."""
    may_answer, told = threading.Event(), []

    def ask(name: str) -> str:
        if name == "slow":
            may_answer.wait(300)
        return name

    def tell(waiting: Unanswered | None) -> None:
        told.append((None if waiting is None else waiting.names, threading.current_thread()))
        may_answer.set()

    answers = ask_each(("fast", "slow"), ask, {"fast": 30.0, "slow": 60.0}, tell)
    assert [answer.value for answer in answers.values()] == ["fast", "slow"]
    assert told == [(("slow",), threading.current_thread()), (None, threading.current_thread())]


def test_nobody_is_told_of_answers_that_come_at_once() -> None:
    """Not even that it is over."""
    told: list[Unanswered | None] = []
    ask_each(("a", "b"), str.upper, 30.0, told.append)
    assert told == []
