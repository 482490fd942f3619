"""A loop that reaches the backends: through drivers and network services that ask a permit before each request."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from sharectl.engine.loop import USUAL_PATIENCE, Loop
from sharectl.engine.tenure import Permitted
from sharectl.engine.verbs import execute
from sharectl.engine.verbs.base import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sharectl.drivers.base import Driver
    from sharectl.engine.environment import Environment
    from sharectl.engine.heartbeat import Heartbeat
    from sharectl.engine.loop import Patience
    from sharectl.executors.base import Permit
    from sharectl.executors.calls import Answer, Call
    from sharectl.model.records import Change
    from sharectl.network.base import NetworkPlugin
    from sharectl.state.contract import StateStore


def loop_for(
    environment: Environment,
    store: StateStore,
    heartbeat: Heartbeat,
    width: Callable[[str], int],
    patience: Patience = USUAL_PATIENCE,
) -> Loop:
    """Return a loop that writes into `store` under the lease of `heartbeat`, and makes calls with the drivers of `environment`."""

    def commit(changes: Sequence[Change]) -> None:
        store.commit(heartbeat.lease, changes)

    permit = heartbeat.tenure.require
    executor = environment.executor(partial(_made, environment), permit, width, environment.monotonic)
    return Loop(executor, commit, environment, patience)


def _made(environment: Environment, backend: str, call: Call[Answer], permit: Permit) -> Answer:
    permit()
    driver = cast("Driver", Permitted(environment.driver(backend), permit))

    def open_network() -> NetworkPlugin:
        return cast("NetworkPlugin", Permitted(environment.network(backend), permit))

    return execute(Site(driver, open_network), call)
