"""How an apply ended: what is done, what failed and why, what was left out because of it, and what to do next."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import counted, listed
from sharectl.model.verbs import Verb
from sharectl.planner.backends.findings import allow_remedy
from sharectl.planner.saved.document import held_to_list, unread_to_list
from sharectl.render.formats import document, named_fields
from sharectl.render.frame import place
from sharectl.render.sentences import done_sentence, held_lines
from sharectl.render.text import PLAIN, duration, paint, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sharectl.apply import RunResult
    from sharectl.model.canonical import JsonObject
    from sharectl.model.events import StepFailed
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan, Step
    from sharectl.render.text import Look

_MOST_FAILURES: Final = 50
_NAMED_SKIPS: Final = 5


def result_lines(plan: Plan, result: RunResult, look: Look = PLAIN) -> Iterator[str]:
    """Yield what happened to the plan, and what to do next."""
    color = look.color
    if result.succeeded:
        done = done_sentence(plan) or "nothing to do"
        yield f"{paint('Applied', 'done', color)} in {duration(result.seconds)}: {done}."
        yield from held_lines(plan, color=color)
        return
    yield from _failure_lines(result.failures, color=color)
    yield from _skip_lines(skipped_by_cause(plan, result), result, color=color)
    if result.failures or result.problem:
        yield ""
    yield from held_lines(plan, color=color)
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


def _failure_lines(failures: Sequence[StepFailed], *, color: bool) -> Iterator[str]:
    if failures:
        yield paint("Failed", "error", color)
    for failure in failures[:_MOST_FAILURES]:
        open_intent = "  (its outcome on the backend is unknown)" if failure.unresolved else ""
        what = f"{visible(failure.address)}  {failure.verb.value}{place(failure.backend)}"
        yield f"  {paint('✗', 'error', color)} {what}: {visible(failure.error)}{open_intent}"
    if len(failures) > _MOST_FAILURES:
        yield f"  and {len(failures) - _MOST_FAILURES} more; `sharectl history` has them all"


def _skip_lines(skipped: Mapping[Address, Sequence[Step]], result: RunResult, *, color: bool) -> Iterator[str]:
    if skipped:
        yield paint("Skipped", "warning", color)
    for cause, steps in list(skipped.items())[:_MOST_FAILURES]:
        named = listed([f"{step.verb.value} {visible(step.address)}" for step in steps], _NAMED_SKIPS)
        yield f"  because {visible(cause)} failed: {named}"
    if len(skipped) > _MOST_FAILURES:
        yield f"  and because of {len(skipped) - _MOST_FAILURES} more failures"
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
