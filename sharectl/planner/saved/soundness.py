"""What a saved plan must be before it is applied: whole, with steps that can be done, and showing what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from sharectl.model.access import AccessLevel, AccessType
from sharectl.model.kinds import MANAGED_KINDS, Kind, kind_of
from sharectl.model.plans import ACTIONS, REPLACING, Action, CreateShare, ResizeShare, UpdateAccess
from sharectl.model.quantities import format_size
from sharectl.model.verbs import VERBS, Verb
from sharectl.planner.report import summarize

if TYPE_CHECKING:
    from sharectl.model.plans import Plan, Step

_RECORDED: Final = MANAGED_KINDS | {Kind.SHARE_SERVER, Kind.BACKEND}
_WITHOUT_BACKEND: Final = frozenset({Verb.FORGET, Verb.MOVE, Verb.UPDATE_RECORD, Verb.CREATE_SHARE})


class UnsoundPlanError(ValueError):
    """A plan that sharectl would never have written; `str()` says where and why."""


def check_plan(plan: Plan) -> None:
    """Raise UnsoundPlanError at the first thing that is not as sharectl writes it, types apart. Linear in the steps."""
    for name, backend in plan.backends.items():
        if backend.name != name:
            _fail(f"backend {name}", f"it calls itself {backend.name!r}")
        if backend.step_timeout_seconds <= 0:
            _fail(f"backend {name}", "its timeout is 0")
    known: set[str] = set()
    for step in plan.steps:
        where = f"step {step.step_id}"
        _check_step(step, where)
        if step.step_id in known:
            _fail(where, "occurs twice")
        missing = [name for name in step.waits_for if name not in known]
        if missing:
            _fail(where, f"waits for {missing[0]!r}, which is not a step before it")
        known.add(step.step_id)
        _check_places(step, plan, where)
        _check_shown(step, where)
    expected = summarize(plan.steps, plan.summary.unchanged)
    if plan.summary != expected:
        _fail("summary", f"counts {plan.summary}, and the steps are {expected}")


def _check_step(step: Step, where: str) -> None:
    if step.step_id != f"{step.verb.value}:{step.address}":
        _fail(where, "its id does not say what it does to which address")
    if step.expected_version == 0:
        _fail(where, "it expects version 0, which no row has")
    if step.action not in ACTIONS[step.verb]:
        _fail(where, f"{step.verb.value} is not a part of the action {step.action.word}")
    kind, wanted = _kind(step.address, where), VERBS[step.verb].kind
    if kind not in (_RECORDED if wanted is None else {wanted}):
        _fail(where, f"{step.verb.value} cannot be done to a {kind.value}")
    if step.former is not None and _kind(step.former, where) is not kind:
        _fail(where, f"{step.former} is another kind")
    if isinstance(step.work, UpdateAccess):
        _check_rules(step, step.work, where)


def _kind(address: str, where: str) -> Kind:
    try:
        return kind_of(address)
    except ValueError:
        _fail(where, f"{address!r} is not an address")


def _check_rules(step: Step, work: UpdateAccess, where: str) -> None:
    for rule in work.rules:
        if rule.access_type not in set(AccessType) or rule.access_level not in set(AccessLevel):
            _fail(where, f"nobody can be given {rule.access_level!r} as {rule.access_type!r}")
    levels = {rule.key: rule.access_level for rule in work.rules}
    if len(levels) != len(work.rules):
        _fail(where, "a rule occurs twice")
    shown = {name.removeprefix("access/"): after for name, _, after in step.changes if name.startswith("access/")}
    for key, after in shown.items():
        if levels.get(key) != after:
            _fail(where, f"it shows access/{key} as {after}, and would make it {levels.get(key)}")
    if step.action in {Action.CREATE, *REPLACING} and not work.repairs and levels.keys() - shown:
        _fail(where, f"access/{min(levels.keys() - shown)} is not shown")


def _check_places(step: Step, plan: Plan, where: str) -> None:
    if step.backend is None and step.verb not in _WITHOUT_BACKEND:
        _fail(where, "it names no backend")
    if step.verb is Verb.CREATE_SHARE and not step.candidates:
        _fail(where, "it names no pool for the new share")
    for backend in (*(candidate.backend for candidate in step.candidates), step.backend):
        if backend is not None and backend not in plan.backends:
            _fail(where, f"its backend {backend} is not in the plan")


def _check_shown(step: Step, where: str) -> None:
    """Hold what is printed against what would be done."""
    if isinstance(step.work, CreateShare | ResizeShare):
        wanted = format_size(step.work.spec.size_bytes)
        sizes = [change.after for change in step.changes if change.field == "size"]
        if sizes != [wanted]:
            _fail(where, f"it shows the size {sizes[0] if sizes else 'of nothing'}, and would make it {wanted}")
    if step.former is not None and step.action is Action.MOVE:
        shown = [(change.before, change.after) for change in step.changes if change.field == "address"]
        if shown != [(step.former, step.address)]:
            _fail(where, "it shows another move than it would do")


def _fail(where: str, what: str) -> NoReturn:
    message = f"{where}: {what}"
    raise UnsoundPlanError(message)
