"""The table of verbs: a module for each kind, named as it is, with what is asked for it, how, what the state records, and what is left open."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sharectl.engine.verbs import snapshot, state_only
from sharectl.model.kinds import KINDS, Kind, is_of
from sharectl.model.verbs import Verb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.engine.verbs.base import Entry, Executions, Site
    from sharectl.executors.answers import Answer
    from sharectl.executors.calls import Call
    from sharectl.model.plans import Step

_NAMES: Final = sorted(each.stem for each in Path(__file__).parent.glob("*.py"))
_MODULES: Final = [import_module(f"{__name__}.{name}") for name in _NAMES if name in KINDS]
TABLE: Final[Mapping[Verb, Entry]] = {verb: entry for each in _MODULES for verb, entry in each.TABLE.items()}
"""Verbs as they are done on a backend; `state_only` has those that need none."""
_EXECUTIONS: Final[Executions] = {call: made for each in _MODULES for call, made in each.EXECUTIONS.items()}


def entry_of(step: Step) -> Entry:
    """Return the entry of the table for a step."""
    if step.backend is None and step.verb in state_only.TABLE:
        return state_only.TABLE[step.verb]
    if step.verb is Verb.ADOPT and is_of(Kind.SNAPSHOT, step.address):
        return snapshot.ADOPTION
    return TABLE[step.verb]


def execute(site: Site, call: Call[Answer]) -> Answer:
    """Make the call, with as many requests as it takes. Raises DriverError, and whatever else a driver raises."""
    return _EXECUTIONS[type(call)](site, call)
