"""Opening once by name, and closing all: a slow one, a failing one and a late one each spoil nothing but themselves."""

from __future__ import annotations

import threading

import pytest

from sharectl.workspace.parallel import OpenedOnce

PATIENCE_SECONDS = 300.0


class Thing:
    """Something that is opened and closed."""

    def __init__(self, name: str) -> None:
        """Be open."""
        self.name = name
        self.closed = threading.Event()


def close(thing: Thing) -> None:
    """Close a thing, as its name says."""
    if thing.name == "fails":
        message = "the line is dead"
        raise OSError(message)
    if thing.name == "exits":
        raise SystemExit
    if thing.name == "hangs":
        threading.Event().wait(PATIENCE_SECONDS)
    thing.closed.set()


def test_each_is_opened_once_whoever_asks() -> None:
    """Two threads at the same moment too."""
    barrier = threading.Barrier(2, timeout=PATIENCE_SECONDS)
    things: OpenedOnce[Thing] = OpenedOnce(Thing, close)
    found: list[Thing] = []

    def ask() -> None:
        barrier.wait()
        found.append(things.get("a"))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert found[0] is found[1]


def test_one_that_opens_slowly_holds_up_no_other() -> None:
    """The healthy one is there while the slow one still is not."""
    going_on = threading.Event()
    began = threading.Event()

    def open_one(name: str) -> Thing:
        if name == "slow":
            began.set()
            going_on.wait(PATIENCE_SECONDS)
        return Thing(name)

    things: OpenedOnce[Thing] = OpenedOnce(open_one, close)
    slow = threading.Thread(target=things.get, args=("slow",))
    slow.start()
    assert began.wait(PATIENCE_SECONDS)
    assert things.get("healthy").name == "healthy"
    assert slow.is_alive()
    going_on.set()
    slow.join(PATIENCE_SECONDS)


def test_one_that_could_not_be_opened_is_tried_again() -> None:
    """Whatever was raised."""
    answers: list[BaseException | None] = [SystemExit(3), None]

    def open_one(name: str) -> Thing:
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        return Thing(name)

    things: OpenedOnce[Thing] = OpenedOnce(open_one, close)
    with pytest.raises(SystemExit):
        things.get("a")
    assert things.get("a").name == "a"


def test_all_are_closed_although_some_fail_or_hang() -> None:
    """Those are told of, and waited for no longer than said."""
    things: OpenedOnce[Thing] = OpenedOnce(Thing, close)
    opened = {name: things.get(name) for name in ("a", "fails", "exits", "hangs", "z")}
    problems = things.close(3.0)
    assert problems == {
        "fails": "OSError: the line is dead",
        "exits": "SystemExit",
        "hangs": "it was not done within 3 s",
    }
    assert opened["a"].closed.is_set()
    assert opened["z"].closed.is_set()


def test_one_that_was_still_being_opened_is_closed_when_it_is_there() -> None:
    """Nobody else would close it."""
    going_on, began = threading.Event(), threading.Event()

    def open_one(name: str) -> Thing:
        began.set()
        going_on.wait(PATIENCE_SECONDS)
        return Thing(name)

    things: OpenedOnce[Thing] = OpenedOnce(open_one, close)
    found: list[Thing] = []
    late = threading.Thread(target=lambda: found.append(things.get("late")))
    late.start()
    assert began.wait(PATIENCE_SECONDS)
    assert things.close(0.2) == {}
    going_on.set()
    late.join(PATIENCE_SECONDS)
    assert found[0].closed.is_set()
