"""The tables of verbs and calls are whole."""

from __future__ import annotations

import pytest

from sharectl.engine.verbs import TABLE, execute, state_only
from sharectl.engine.verbs.base import Runner, Site
from sharectl.executors import answers, calls
from sharectl.executors.calls import Call
from sharectl.model.verbs import Verb

CALLS = [
    each for each in vars(calls).values() if isinstance(each, type) and issubclass(each, Call) and each is not Call
]


@pytest.mark.parametrize("verb", Verb)
def test_each_verb_has_its_entry(verb: Verb) -> None:
    """One that asks a backend says how an intent that was left open ends."""
    entry = TABLE.get(verb) or state_only.TABLE[verb]
    assert entry.runner is Runner.STATE or entry.recover is not None


@pytest.mark.parametrize("call", CALLS)
def test_each_call_is_made_by_one_of_the_modules(call: type[Call[answers.Answer]]) -> None:
    """It is known, and goes to the driver or to the network service."""
    with pytest.raises(AttributeError):
        execute(Site(None, lambda: None), object.__new__(call))  # type: ignore[arg-type,return-value]
