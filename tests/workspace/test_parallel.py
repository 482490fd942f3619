"""Asking many side by side."""

from __future__ import annotations

import threading

from sharectl.workspace.parallel import ask_each


def test_answers_come_in_the_order_of_the_names() -> None:
    """Whoever answers first."""
    assert [(name, answer.value) for name, answer in ask_each(["b", "a"], str.upper, 10).items()] == [
        ("b", "B"),
        ("a", "A"),
    ]


def test_all_are_asked_at_once() -> None:
    """Each waits for the other, and both answer."""
    barrier = threading.Barrier(2, timeout=300)

    def ask(name: str) -> int:
        del name
        return barrier.wait()

    assert {answer.value for answer in ask_each(["a", "b"], ask, 60).values()} == {0, 1}


def test_an_error_is_an_answer() -> None:
    """It is handed over, and keeps nobody else from answering."""

    def ask(name: str) -> str:
        if name == "bad":
            message = "refused"
            raise OSError(message)
        return name

    answers = ask_each(["bad", "good"], ask, 60)
    assert str(answers["bad"].error) == "refused"
    assert (answers["bad"].value, answers["good"].value, answers["good"].in_time) == (None, "good", True)


def test_who_does_not_answer_in_time_is_told_apart_and_holds_nobody_up() -> None:
    """Neither a value nor an error."""
    leave = threading.Event()

    def ask(name: str) -> str:
        if name == "hangs":
            leave.wait(300)
        return name

    answers = ask_each(["hangs", "quick"], ask, 3.0)
    leave.set()
    assert (answers["hangs"].in_time, answers["hangs"].value, answers["hangs"].error) == (False, None, None)
    assert answers["quick"].value == "quick"


def test_nobody_asked_is_nobody_answering() -> None:
    """No threads, no waiting."""
    assert ask_each([], str.upper, 10) == {}


def test_what_would_end_a_thread_is_an_answer_too() -> None:
    """Nobody waits for one whose driver has called `exit`."""

    def ask(name: str) -> str:
        raise SystemExit(name)

    answer = ask_each(["a"], ask, 60)["a"]
    assert isinstance(answer.error, SystemExit)
    assert answer.in_time
