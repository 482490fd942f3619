"""How the calls of a run reach the backends: through drivers and network services that ask a permit before each request."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from sharectl.engine.tenure import Permitted
from sharectl.engine.verbs import execute
from sharectl.engine.verbs.base import Site

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.drivers.base import Driver
    from sharectl.engine.environment import Environment
    from sharectl.executors.base import Executor, Permit
    from sharectl.executors.calls import Answer, Call
    from sharectl.network.base import NetworkPlugin


def executor_for(environment: Environment, permit: Permit, width: Callable[[str], int]) -> Executor:
    """Return an executor that makes calls with the drivers of `environment`."""
    return environment.executor(partial(_made, environment), permit, width, environment.monotonic)


def _made(environment: Environment, backend: str, call: Call[Answer], permit: Permit) -> Answer:
    permit()
    driver = cast("Driver", Permitted(environment.driver(backend), permit))

    def open_network() -> NetworkPlugin:
        return cast("NetworkPlugin", Permitted(environment.network(backend), permit))

    return execute(Site(driver, open_network), call)
