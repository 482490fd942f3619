"""The trace of a command: a span for the command, for each backend that is asked, for each step, and for each call of a step.

A step becomes spans when it has ended, with its calls: nothing is held of it afterwards. Of what is in a span nothing is secret, and
nothing more is said than the history says.
"""

from __future__ import annotations

import os
from dataclasses import replace
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context

from sharectl.executors.watched import CallSeen, watched
from sharectl.model.diagnostics import warning
from sharectl.model.events import (
    CandidateFailed,
    OperationRecovered,
    RunFinished,
    RunStarted,
    StepFailed,
    StepFinished,
    StepRetried,
    StepStarted,
    StepTaken,
    worker_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

    from sharectl.engine.environment import Environment
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.events import Event
    from sharectl.model.kinds import Address
    from sharectl.model.records import RunRecord
    from sharectl.workspace.survey import Asked

    Attributes = dict[str, str | int | float | bool]

_LONGEST_ERROR: Final = 500
_MOST_OF_A_STEP: Final = 100
"""So many events, and so many calls, are kept of one step; the first ones."""
_FAILED: Final = "failed"


class _Step:
    """What is known of a step that has not ended."""

    __slots__ = ("began_ns", "calls", "events", "failure_kind", "retries", "worker")

    def __init__(self, began_ns: int) -> None:
        self.began_ns = began_ns
        self.calls: list[CallSeen] = []
        self.events: list[tuple[str, int, Attributes]] = []
        self.failure_kind = ""
        self.retries = 0
        self.worker: str | None = None


class Trace:
    """Turns what a command tells of itself into spans. Whatever goes wrong here is kept as its `problem`, and ends the trace, never the command."""

    def __init__(self, tracer: Tracer, parent: Context | None, command: str) -> None:
        """Begin the span of the command, below `parent`."""
        self._tracer = tracer
        self._steps: dict[Address, _Step] = {}
        self.problem = ""
        self._command: Span = tracer.start_span(
            f"sharectl {command}",
            parent,
            kind=SpanKind.INTERNAL,
            attributes={
                "process.executable.name": "sharectl",
                "process.pid": os.getpid(),
                "sharectl.command": command,
            },
        )
        self._within = set_span_in_context(self._command)

    def asked(self, asked: Asked) -> None:
        """Take note that a backend was asked what it holds."""
        self._guarded(self._asked, asked)

    def began(self, run: RunRecord) -> None:
        """Take note of the run that the command has become."""
        self._command.set_attribute("sharectl.run.id", run.run_id)
        if run.git_commit:
            self._command.set_attribute("vcs.ref.head.revision", run.git_commit)
        if run.ci_job_url:
            self._command.set_attribute("cicd.pipeline.run.url.full", run.ci_job_url)

    def watching(self, environment: Environment) -> Environment:
        """Return the environment with its calls watched."""
        return replace(environment, executor=watched(environment.executor, self._see))

    def observing(self, show: Callable[[Event], None]) -> Callable[[Event], None]:
        """Return an observer of a run that tells `show` of each event, after this trace."""

        def observe(event: Event) -> None:
            self._guarded(self._observe, event)
            show(event)

        return observe

    def end(self, code: int, error_type: str) -> None:
        """End the span of the command with its exit code, and what class of error that is, if it is one."""
        self._guarded(self._end, code, error_type)

    def found(self) -> Diagnostic | None:
        """Return a warning where the trace has ended before the command."""
        if not self.problem:
            return None
        summary = f"the traces are not whole: sharectl failed to make a span: {self.problem}"
        return warning("traces.broken", summary, remedy="report it; the command itself did what it says")

    def _guarded(self, note: Callable[..., None], *values: Any) -> None:  # noqa: ANN401 - whatever it takes
        if self.problem:
            return
        try:
            note(*values)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with tracing, the command goes on
            self.problem = f"{type(error).__name__}: {error}"
            self._steps.clear()

    def _asked(self, asked: Asked) -> None:
        span = self._tracer.start_span(
            "refresh",
            self._within,
            kind=SpanKind.CLIENT,
            attributes={"sharectl.backend": asked.backend},
            start_time=asked.began_ns,
        )
        if asked.error:
            _set_error(span, "unread", asked.error)
        span.end(asked.ended_ns)

    def _see(self, call: CallSeen) -> None:
        self._guarded(self._seen, call)

    def _seen(self, call: CallSeen) -> None:
        operation = call.submission.operation
        if operation is None:  # a question, before there is an intent
            self._call_span(call, self._within)
            return
        step = self._steps.get(operation.address)
        if step is None:
            step = self._steps[operation.address] = _Step(call.began_ns)
        step.began_ns = min(step.began_ns, call.began_ns)
        if call.failure is not None:
            step.failure_kind = call.failure.kind.value
        if len(step.calls) < _MOST_OF_A_STEP:
            step.calls.append(call)

    def _call_span(self, call: CallSeen, within: Context) -> None:
        attributes: Attributes = {"sharectl.backend": call.submission.backend}
        if call.worker is not None:
            attributes["sharectl.worker"] = worker_name(call.worker)
        name = type(call.submission.call).__name__
        span = self._tracer.start_span(
            name, within, kind=SpanKind.CLIENT, attributes=attributes, start_time=call.began_ns
        )
        if call.failure is not None:
            _set_error(span, call.failure.kind.value, call.failure.message)
        span.end(call.ended_ns)

    def _observe(self, event: Event) -> None:
        match event:
            case StepStarted():
                self._step(event.address).worker = event.worker
            case StepTaken():
                step = self._step(event.address)
                step.worker = event.worker
                if event.lost is not None:
                    self._add(step, "worker-lost", {"sharectl.worker": worker_name(event.lost)})
            case StepRetried():
                step = self._step(event.address)
                step.retries += 1
                self._add(step, "retry", {"sharectl.attempt": event.attempt, "error.message": _cut(event.error)})
            case CandidateFailed():
                where: Attributes = {"sharectl.backend": event.backend, "sharectl.pool": event.pool}
                self._add(self._step(event.address), "pool-failed", {**where, "error.message": _cut(event.error)})
            case StepFinished():
                self._step_span(event, event.pool, "done")
            case StepFailed():
                self._step_span(event, None, "unresolved" if event.unresolved else _FAILED, event.error)
            case _:
                self._observe_run(event)

    def _observe_run(self, event: Event) -> None:
        match event:
            case OperationRecovered():
                recovered = {"sharectl.address": event.address, "sharectl.outcome": _cut(event.outcome)}
                self._command.add_event("recovered", recovered)
            case RunStarted():
                self._command.set_attribute("sharectl.run.steps", event.steps)
            case RunFinished():
                self._command.set_attributes(
                    {
                        "sharectl.run.done": event.done,
                        "sharectl.run.failed": event.failed,
                        "sharectl.run.skipped": event.skipped,
                        "sharectl.run.cancelled": event.cancelled,
                    }
                )
            case _:  # the rest is about the view, or counted in the end
                return

    def _step(self, address: Address) -> _Step:
        step = self._steps.get(address)
        if step is None:
            step = self._steps[address] = _Step(time_ns())
        return step

    @staticmethod
    def _add(step: _Step, name: str, attributes: Attributes) -> None:
        if len(step.events) < _MOST_OF_A_STEP:
            step.events.append((name, time_ns(), attributes))

    def _step_span(self, event: StepFinished | StepFailed, pool: str | None, outcome: str, error: str = "") -> None:
        step = self._steps.pop(event.address, None) or _Step(time_ns())
        attributes: Attributes = {
            "sharectl.address": event.address,
            "sharectl.verb": event.verb.value,
            "sharectl.outcome": outcome,
            "sharectl.retries": step.retries,
        }
        worker = event.worker or step.worker
        optional = {
            "sharectl.backend": event.backend,
            "sharectl.pool": pool,
            "sharectl.worker": None if worker is None else worker_name(worker),
        }
        attributes.update({name: value for name, value in optional.items() if value is not None})
        span = self._tracer.start_span(event.verb.value, self._within, attributes=attributes, start_time=step.began_ns)
        within = set_span_in_context(span)
        for call in step.calls:
            self._call_span(call, within)
        for name, at_ns, values in step.events:
            span.add_event(name, values, at_ns)
        if error:
            _set_error(span, step.failure_kind or outcome, error)
        span.end()

    def _end(self, code: int, error_type: str) -> None:
        self._command.set_attribute("process.exit.code", code)
        if error_type:
            self._command.set_attribute("error.type", error_type)
            self._command.set_status(Status(StatusCode.ERROR))
        self._command.end()


def _set_error(span: Span, error_type: str, message: str) -> None:
    span.set_attribute("error.type", error_type)
    span.set_status(Status(StatusCode.ERROR, _cut(message)))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_ERROR else f"{text[: _LONGEST_ERROR - 1]}…"
