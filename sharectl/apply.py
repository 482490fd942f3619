"""Apply: do what a plan says, every intent durable before its effect, every result as soon as it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.engine.cancel import Cancellation
from sharectl.engine.run import PlanRun, RunResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.engine.environment import Environment
    from sharectl.engine.tenure import Heartbeat
    from sharectl.model.events import Event
    from sharectl.model.plans import Plan
    from sharectl.model.records import RunRecord
    from sharectl.state.contract import StateStore

__all__ = ["RunResult", "apply"]


def apply(  # noqa: PLR0913 - the plan, where it is recorded, what it runs on, and who watches
    plan: Plan,
    *,
    store: StateStore,
    heartbeat: Heartbeat,
    run: RunRecord,
    environment: Environment,
    observer: Callable[[Event], None],
    cancellation: Cancellation | None = None,
) -> RunResult:
    """Do what the plan says, under the lease of `heartbeat`, and return how it went.

    `observer` is called in this thread, with every event. While it blocks (a pipe that nobody reads), calls under way go on, and
    their results are recorded when it returns. Where it raises, running steps finish and are recorded as after a cancel, and the
    exception is passed on. A step is refused where its row in the state has changed since the plan was made, or
    where an earlier operation on its address is unresolved. A failed step takes along only what waits for it.
    """
    return PlanRun(plan, store, heartbeat, run, environment, cancellation or Cancellation()).run(observer)
