"""What the tests of the engine share: a clock on which the time that a call may take passes when a test says so."""

from __future__ import annotations

from functools import partial
from time import monotonic

import pytest

import sharectl.workspace.run
from sharectl.engine.environment import Environment


class Clock:
    """The clock of runs: it goes as ever, and is put forward where a call hangs. Nobody waits for that, and a busy machine fails no other call."""

    def __init__(self) -> None:
        """Begin with the time as it is."""
        self._ahead_seconds = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return monotonic() + self._ahead_seconds

    def pass_by(self, seconds: float) -> None:
        """Let so much time pass at once."""
        self._ahead_seconds += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock of all runs of the test, and of their recoveries."""
    made = Clock()
    monkeypatch.setattr(sharectl.workspace.run, "Environment", partial(Environment, monotonic=made))
    return made
