"""Calls, as kinds."""

from __future__ import annotations

from sharectl.executors.calls import Call

_LOOKS = ("Check", "Count", "Describe", "Identify", "List", "Measure")


def test_whatever_only_looks_is_a_question_and_nothing_else_is() -> None:
    """One that hangs holds up no intent, and needs no run that has the lock."""
    kinds = Call.__subclasses__()
    assert {kind.__name__ for kind in kinds if kind.is_question} == {
        kind.__name__ for kind in kinds if kind.__name__.startswith(_LOOKS)
    }
    assert any(kind.__name__ == "CountServers" for kind in kinds)
