"""How an apply ended: what is done, what failed and why, what was left out because of it, and what to do next."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import counted, listed
from sharectl.model.verbs import Verb
from sharectl.planner.backends.findings import allow_remedy
from sharectl.planner.saved.document import held_to_list, unread_to_list
from sharectl.render.formats import document, named_fields
from sharectl.render.frame import place
from sharectl.render.sentences import done_sentence, held_sentence
from sharectl.render.text import PLAIN, duration, paint, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sharectl.apply import RunResult
    from sharectl.model.canonical import JsonObject
    from sharectl.model.events import StepFailed
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan, Step
    from sharectl.render.text import Look

_MOST_FAILURES: Final = 50
_NAMED_SKIPS: Final = 5
_FEWEST_TOGETHER: Final = 3


def result_lines(plan: Plan, result: RunResult, look: Look = PLAIN) -> Iterator[str]:
    """Yield what happened to the plan, and what to do next."""
    color = look.color
    if result.succeeded:
        done = done_sentence(plan) or "nothing to do"
        yield f"{paint('Applied', 'done', color)} in {duration(result.seconds)}: {done}."
        if plan.held:
            yield held_sentence(plan)
        return
    yield from _failure_lines(result.failures, color=color)
    yield from _skip_lines(plan, result, color=color)
    if result.failures or result.problem:
        yield ""
    if plan.held:
        yield held_sentence(plan)
    yield paint(_verdict(plan, result), "heading", color)
    yield from _advice_lines(plan, result)


def left_out_lines(unread: Sequence[str]) -> Iterator[str]:
    """Yield what was asked for and not looked at, for the end of a run whose plan has scrolled away."""
    for backend in unread:
        yield f"Not looked at: backend {visible(backend)}. {allow_remedy(backend)}."


def result_object(plan: Plan, result: RunResult, exit_code: int) -> JsonObject:
    """Return the result as a JSON object, `sharectl-result` version 1; `exit_code` is the one that the command ends with."""
    return document(
        "result",
        succeeded=result.succeeded,
        done=result.done,
        failed=len(result.failures),
        skipped=result.skipped,
        cancelled=result.cancelled,
        seconds=result.seconds,
        problem=result.problem,
        exit_code=int(exit_code),
        unreadable=unread_to_list(plan),
        failures=[
            named_fields(failure, "step_id", "address", "verb", "backend", "error", "unresolved")
            for failure in result.failures
        ],
        held=held_to_list(plan.held),
    )


def skipped_by_cause(plan: Plan, result: RunResult) -> dict[Address, list[Step]]:
    """Return, for each failed address, the steps that could not run because of it."""
    dependants: dict[str, list[Step]] = {}
    if result.failures:
        for step in plan.steps:
            for needed in step.waits_for:
                dependants.setdefault(needed, []).append(step)
    causes: dict[Address, list[Step]] = {}
    seen = {failure.step_id for failure in result.failures}
    for failure in result.failures:
        waiting = deque([failure.step_id])
        while waiting:
            for step in dependants.get(waiting.popleft(), ()):
                if step.step_id not in seen:
                    seen.add(step.step_id)
                    waiting.append(step.step_id)
                    causes.setdefault(failure.address, []).append(step)
    return causes


def _alike(failures: Sequence[StepFailed]) -> Iterator[Sequence[StepFailed]]:
    """Yield the failures of one step each, and together those of which the same is to be said, if there are several."""
    groups: dict[tuple[object, ...], list[StepFailed]] = {}
    for failure in failures:
        groups.setdefault((failure.verb, failure.backend, failure.error, failure.unresolved), []).append(failure)
    for group in groups.values():
        if len(group) < _FEWEST_TOGETHER:
            yield from ((failure,) for failure in group)
        else:
            yield group


def _failure_lines(failures: Sequence[StepFailed], *, color: bool) -> Iterator[str]:
    if failures:
        yield paint("Failed", "error", color)
    shown = 0
    for group in islice(_alike(failures), _MOST_FAILURES):
        failure, count = group[0], len(group)
        shown += count
        open_intent = "  (its outcome on the backend is unknown)" if failure.unresolved else ""
        who = visible(failure.address) if count == 1 else f"{count} steps"
        what = f"{who}  {failure.verb.value}{place(failure.backend)}"
        yield f"  {paint('✗', 'error', color)} {what}: {visible(failure.error)}{open_intent}"
        if count > 1:
            yield f"    {listed([visible(each.address) for each in group], _NAMED_SKIPS)}"
    if len(failures) > shown:
        yield f"  and {len(failures) - shown} more; `sharectl history` has them all"


def _skip_lines(plan: Plan, result: RunResult, *, color: bool) -> Iterator[str]:
    skipped = skipped_by_cause(plan, result)
    if skipped:
        yield paint("Skipped", "warning", color)
    shown = set()
    lines = 0
    for group in _alike(result.failures):
        causes = [failure.address for failure in group if failure.address in skipped and failure.address not in shown]
        if not causes:
            continue
        lines += 1
        if lines > _MOST_FAILURES:
            break
        shown.update(causes)
        steps = [f"{step.verb.value} {visible(step.address)}" for cause in causes for step in skipped[cause]]
        why = f"{visible(causes[0])} failed" if len(causes) == 1 else f"these {len(causes)} failed"
        yield f"  because {why}: {listed(steps, _NAMED_SKIPS)}"
    if len(skipped) > len(shown):
        yield f"  and because of {len(skipped) - len(shown)} more failures"
    if result.problem:
        yield f"{paint('Stopped', 'error', color)}: {visible(result.problem)}"


def _verdict(plan: Plan, result: RunResult) -> str:
    counts = f"{result.done} of {counted(len(plan.steps), 'step')} done in {duration(result.seconds)}"
    if result.failures:
        counts += f", {len(result.failures)} failed"
    if result.skipped:
        counts += f", {result.skipped} not started"
    return f"{'Cancelled: ' if result.cancelled else ''}{counts}."


def _advice_lines(plan: Plan, result: RunResult) -> Iterator[str]:
    unresolved = sum(failure.unresolved for failure in result.failures)
    if unresolved:
        them = "it" if unresolved == 1 else "them"
        yield (
            f"The outcome of {counted(unresolved, 'step')} is unknown. The next `sharectl apply` asks the backends about {them} "
            "first and records what is there; nothing is made twice."
        )
    if result.problem:
        yield "See to the state first. What was done is recorded, or will be found by the next `sharectl apply`."
    if result.cancelled:
        yield "What is done is recorded. `sharectl apply` goes on from here."
    elif any(not failure.unresolved for failure in result.failures):
        imports = {Verb.ADOPT, Verb.RESTORE_SHARE}
        is_import = any(step.verb in imports for step in plan.steps)
        if is_import and all(failure.verb in imports | {Verb.PREPARE_BACKEND} for failure in result.failures):
            yield "Fix what failed, then import it again; what is done is recorded, and what is not is made new by no apply."
        else:
            yield "Fix what failed, then `sharectl apply` does the rest; what is done is recorded and not done again."
