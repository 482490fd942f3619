"""Whether a saved plan is still what a plan made now would do, so that what was reviewed is what is applied, or nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import Severity, counted, error, listed, warning
from sharectl.model.kinds import Kind, address_of
from sharectl.model.plans import CreateShare, ResizeShare

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.field_changes import FieldChange
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan, Step, Work

_CODE: Final = "plan.not-current"
_NAMED: Final = 5
_MOST_LINES: Final = 30
_REMEDY: Final = "make a new plan with `sharectl plan --out FILE`, have it reviewed, and apply that"


def agreed_part(saved: Plan, now: Plan) -> Plan:
    """Return the saved plan, stopped with what differs where one made now would do something else at its addresses.

    What would be done now at other addresses is left alone, and counted. Candidates of a new share may come in another order and
    with other weights: their capacities change all the time. But each has to be one still.
    """
    found = [each.summary for each in now.diagnostics if each.severity is Severity.ERROR] if now.is_stopped else []
    found += _differences(saved, now)
    if found:
        return replace(saved, diagnostics=(*saved.diagnostics, _refusal(found)), is_stopped=True)
    further = sorted({step.address for step in now.steps} - {step.address for step in saved.steps})
    if not further:
        return saved
    if saved.is_empty:  # what was unchanged then may be among them
        saved = replace(saved, summary=replace(saved.summary, unchanged=now.summary.unchanged))
    return replace(saved, diagnostics=(*saved.diagnostics, _left_alone(further)))


def _refusal(found: list[str]) -> Diagnostic:
    more = [f"and {len(found) - _MOST_LINES} more"] if len(found) > _MOST_LINES else []
    return error(
        _CODE,
        f"a plan made now would differ from this one ({counted(len(found), 'difference')}); nothing was done",
        detail="\n".join([*found[:_MOST_LINES], *more]),
        remedy=_REMEDY,
    )


def _left_alone(further: list[Address]) -> Diagnostic:
    count = counted(len(further), "resource")
    summary = f"{count} would change that this plan leaves alone: {listed(further, _NAMED)}"
    remedy = "`sharectl plan` shows what; have that reviewed and applied too"
    return warning("plan.further-changes", summary, remedy=remedy)


def _differences(saved: Plan, now: Plan) -> Iterator[str]:
    """Yield what a plan made now would do otherwise, a line for each address, backend and share type."""
    for name, spec in sorted(saved.backends.items()):
        if now.backends.get(name) != spec:
            yield f"{address_of(Kind.BACKEND, name)}: its manifest is another now"
    for name, specs in saved.extra_specs.items():
        if now.extra_specs.get(name, specs) != specs:
            yield f"{address_of(Kind.SHARE_TYPE, name)}: its extra specs are others now"
    held = {each.address: each.reason for each in now.held}
    then, fresh = _by_address(saved), _by_address(now)
    known = {step.step_id for step in saved.steps}
    for address, steps in then.items():
        if address in held:
            yield f"{address}: held now: {held[address]}"
        elif address not in fresh:
            yield f"{address}: nothing would be done now"
        else:
            yield from _at(address, steps, fresh[address], known)


def _by_address(plan: Plan) -> dict[Address, dict[str, Step]]:
    found: dict[Address, dict[str, Step]] = {}
    for step in plan.steps:
        found.setdefault(step.address, {})[step.step_id] = step
    return found


def _at(address: Address, then: Mapping[str, Step], now: Mapping[str, Step], known: set[str]) -> Iterator[str]:
    gone = [step.verb.value for step_id, step in then.items() if step_id not in now]
    new = [step.verb.value for step_id, step in now.items() if step_id not in then]
    if gone or new:
        yield f"{address}: {_verbs('not ', gone)}{' but ' if gone and new else ''}{_verbs('', new)} now"
        return
    for step_id, step in then.items():
        reason = _why_other(step, now[step_id], known)
        if reason:
            yield f"{address}: {step.verb.value}: {reason}"
            return


def _verbs(word: str, verbs: list[str]) -> str:
    return f"{word}{listed(verbs)}" if verbs else ""


def _why_other(then: Step, now: Step, known: set[str]) -> str:
    """Return how the step differs now; an empty text if it is the same."""
    reason = ""
    if then.changes != now.changes:
        reason = f"{_texts(then.changes)} was reviewed, it would be {_texts(now.changes)} now"
    elif (then.action, then.backend, then.expected_version) != (now.action, now.backend, now.expected_version):
        reason = "its action, its backend or the version of its row is another now"
    elif {step_id for step_id in then.waits_for if step_id in known} != {*now.waits_for}:
        reason = "it would wait for other steps now"
    elif isinstance(then.work, CreateShare) and isinstance(now.work, CreateShare):
        lost = {(c.backend, c.pool, c.share_server) for c in then.candidates}
        lost -= {(c.backend, c.pool, c.share_server) for c in now.candidates}
        if lost:
            reason = f"{listed(sorted(f'{backend}#{pool}' for backend, pool, _ in lost))} would not take it now"
        elif replace(then.work, candidates=()) != replace(now.work, candidates=()):
            reason = "it would be made with other settings now"
    elif _deed(then) != _deed(now):
        reason = "it would be done with other settings now"
    return reason


def _deed(step: Step) -> Work | None:
    """Return what the step does, without what its pool lacked: that was said to the reviewer, and changes by the minute."""
    return replace(step.work, shortage=None) if isinstance(step.work, ResizeShare) else step.work


def _texts(changes: tuple[FieldChange, ...]) -> str:
    shown = [f"{name} {before} → {after}" for name, before, after in changes]
    return listed(shown, _NAMED) or "no change"
