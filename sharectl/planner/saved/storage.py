"""What is left of a saved plan if a backend has other storage behind it than the state knows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sharectl.model.candidates import backends_in
from sharectl.model.diagnostics import DiagnosticError, Severity, listed
from sharectl.planner.saved.checks import held_by, rest_of, with_replacements

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan, Step

_NAMED: Final = 3


def backends_of(step: Step) -> AbstractSet[str]:
    """Return the backends that a step may be done on."""
    return backends_in(step.candidates) or ({step.backend} if step.backend is not None else set())


def part_on_known_storage(plan: Plan, problems: Mapping[str, Diagnostic]) -> Plan:
    """Return the plan without the steps that are bound to fail, and what depends on them; `problems` are those of storage by backend.

    A step that may be done on another backend, too, is left in. Raises DiagnosticError where nothing is left.
    """
    reasons: dict[Address, str] = {}
    refused: dict[str, list[Address]] = {name: [] for name in problems}
    for step in plan.steps:
        names = backends_of(step)
        if names and names <= problems.keys():
            name = min(names)
            if reasons.setdefault(step.address, problems[name].summary) is problems[name].summary:
                refused[name].append(step.address)
    if not reasons:
        return plan
    reasons = with_replacements(plan.steps, reasons)
    kept, entries = held_by(plan.steps, reasons, next(iter(problems.values())).code)
    begun = "the rest of the plan is done" if kept else "nothing was begun"
    found = tuple(
        replace(
            problem,
            severity=Severity.ERROR,
            detail=f"{problem.detail}\nNot done: {listed(list(dict.fromkeys(refused[name])), _NAMED)}; {begun}.",
        )
        for name, problem in problems.items()
        if refused[name]
    )
    if not kept:
        raise DiagnosticError(*found)
    return rest_of(plan, kept, entries, found)
