"""Whether the backends of a saved plan are still as reviewed, where that matters: checked before its first step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.engine.answers import report_of
from sharectl.model.kinds import Kind, address_of
from sharectl.planner.observed import BackendObservation, identity_problem
from sharectl.planner.saved.removals import backends_to_list, part_that_may_remove, rows_of_removals
from sharectl.planner.saved.storage import backends_of, part_on_known_storage
from sharectl.workspace.parallel import ask_each
from sharectl.workspace.survey import Question, survey

if TYPE_CHECKING:
    from collections.abc import Collection

    from sharectl.model.plans import Plan
    from sharectl.state.contract import StateStore
    from sharectl.workspace.backends import Backends

_PATIENCE_SECONDS: Final = 10.0
"""So long is an answer waited for; a backend that takes longer keeps no other waiting, and is looked at before each of its first steps."""


def part_to_apply(plan: Plan, store: StateStore, backends: Backends) -> Plan:
    """Return the plan without what cannot be done because another storage answers now, or would remove what was not reviewed.

    Raises DiagnosticError where nothing is left.
    """
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
    return _part_that_may_remove(part_on_known_storage(plan, problems), store, backends)


def _part_that_may_remove(plan: Plan, store: StateStore, backends: Backends) -> Plan:
    """Return the plan without what would remove more than was reviewed; asks the backends of removals alone. Raises DiagnosticError."""
    asked = backends_to_list(plan)
    if not asked:
        return plan
    specs = {name: plan.backends[name] for name in asked}
    questions = {name: Question(all_snapshots=True, strays=each, pools=each) for name, each in asked.items()}
    found = survey(specs, backends, questions)
    rows = rows_of_removals(plan)
    with store.read() as reader:
        records = reader.view(rows.values()).records

        def known(resource_ids: Collection[str]) -> Collection[str]:
            return {record.resource_id for record in reader.with_ids(resource_ids).values()}

        by_step = {address: records[row] for address, row in rows.items() if row in records}
        return part_that_may_remove(plan, found.observed, found.pools, by_step, known)
