"""Whether the storage behind the backends of a saved plan is still the one that the state knows, asked before its first step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.engine.answers import report_of
from sharectl.model.kinds import Kind, address_of
from sharectl.planner.observed import BackendObservation, identity_problem
from sharectl.planner.saved.storage import backends_of, part_on_known_storage
from sharectl.workspace.parallel import ask_each

if TYPE_CHECKING:
    from sharectl.model.plans import Plan
    from sharectl.state.contract import StateStore
    from sharectl.workspace.backends import Backends

_PATIENCE_SECONDS: Final = 10.0
"""So long is an answer waited for; a backend that takes longer keeps no other waiting, and is looked at before each of its first steps."""


def part_to_apply(plan: Plan, store: StateStore, backends: Backends) -> Plan:
    """Return the plan without what cannot be done because another storage answers now. Raises DiagnosticError where nothing is left."""
    names = sorted({name for step in plan.steps for name in backends_of(step)})
    with store.read() as reader:
        view = reader.view([address_of(Kind.BACKEND, name) for name in names])
    pinned = [name for name in names if address_of(Kind.BACKEND, name) in view.records]
    answers = ask_each(pinned, lambda name: report_of(backends.driver(name)), _PATIENCE_SECONDS, backends.tell)
    problems = {}
    for name, answer in answers.items():
        if answer.value is not None:
            problem = identity_problem(view, BackendObservation(name, frozenset(), answer.value))
            if problem is not None:
                problems[name] = problem
    return part_on_known_storage(plan, problems)
