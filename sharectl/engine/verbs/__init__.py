"""The table of verbs: one file for each kind, with what is asked for it, how, what the state records, and what is left open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.engine.verbs import access, allocation, backend, share, share_server, snapshot, state_only
from sharectl.model.kinds import Kind, is_of
from sharectl.model.verbs import Verb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.engine.verbs.base import Entry, Executions, Site
    from sharectl.executors.calls import Answer, Call
    from sharectl.model.plans import Step

TABLE: Final[Mapping[Verb, Entry]] = {
    **share.TABLE,
    **access.TABLE,
    **snapshot.TABLE,
    **share_server.TABLE,
    **allocation.TABLE,
    **backend.TABLE,
}
"""Verbs as they are done on a backend; `state_only` has those that need none."""

_EXECUTIONS: Final[Executions] = {
    **share.EXECUTIONS,
    **access.EXECUTIONS,
    **snapshot.EXECUTIONS,
    **share_server.EXECUTIONS,
    **allocation.EXECUTIONS,
    **backend.EXECUTIONS,
}


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
