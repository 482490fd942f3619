"""What coverage does not look at, since it makes Python several times slower: what others cover too, or what covers nothing.

A test that is not measured runs all the same, with the processes that it starts. Nothing happens here without `--cov`.
"""

from __future__ import annotations

import copy
import importlib
import os
import pkgutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sharectl

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest
    from coverage.config import CoverageConfig

ROOT: Final = Path(__file__).parent.parent
_OF_CHILDREN: Final = "COVERAGE_PROCESS_CONFIG"
"""By this variable a process learns that it is to measure itself."""

UNMEASURED: Final = (
    "tests/bench/",  # looks at the benchmarks
    "tests/cli/test_takeover.py::test_ten_thousand_lines",  # the same few lines over and over
    "tests/cli/test_workflows.py",  # the commands of tests/cli, some thirty processes for each workflow
    "tests/docs/",  # commands of the pages, which tests/cli runs too
    "tests/drivers/linux/nfs/test_ganesha_crashes.py",  # the same calls over and over, in processes that are killed
    "tests/drivers/linux/test_linux_crashes.py",
    "tests/drivers/linux/test_linux_share_server_crashes.py",
    "tests/drivers/ontap/scenarios/test_killed_applies.py",
    "tests/drivers/ontap/share_servers/test_killed_applies.py",
    "tests/emulators/",  # looks at what stands in for an array, and not at sharectl
    "tests/engine/test_crash.py",  # the same applies over and over
    "tests/engine/test_server_crash.py",
    "tests/executors/workers/test_chaos.py",
    "tests/manila/",  # many documents for what tests/scheduler has one by one
    "tests/state/postgresql/test_pgbouncer.py",  # the suite of test_conformance.py, through another door
)
"""Tests that are not measured, by how their names begin."""


def is_measured(item: pytest.Item) -> bool:
    """Tell whether coverage looks at a test: not at properties, whose hundred examples take the ways that single ones take."""
    is_property = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    return not is_property and not item.nodeid.startswith(UNMEASURED)


@contextmanager
def unmeasured(config: pytest.Config) -> Iterator[None]:
    """Measure nothing in the block, nor in processes that are started in it."""
    plugin = config.pluginmanager.getplugin("_cov")
    controller = plugin and plugin.cov_controller
    if not controller or not controller.started:
        yield
        return
    told = os.environ.pop(_OF_CHILDREN, None)
    controller.pause()
    try:
        yield
    finally:
        controller.resume()
        if told is not None:
            os.environ[_OF_CHILDREN] = told


def begin(config: pytest.Config) -> None:
    """Prepare a process that runs tests: what it collects is to be measured, and so is what tests start."""
    plugin = config.pluginmanager.getplugin("_cov")
    controller = plugin and plugin.cov_controller
    if controller and controller.started:
        _import_everything()
        _tell_children(controller.cov.config)


def _tell_children(settings: CoverageConfig) -> None:
    """Have processes that tests start look at the files that they run, and not for those that nobody has run, when they end.

    The latter takes each a tenth of a second, and this process has imported all.
    """
    if _OF_CHILDREN in os.environ and settings.source:
        of_children = copy.copy(settings)
        of_children.source = None
        of_children.run_include = [f"{Path(source).absolute()}/*" for source in settings.source]
        os.environ[_OF_CHILDREN] = of_children.serialize()


def _import_everything() -> None:
    """Import all of sharectl, so that its definitions are measured before collecting imports some of it unmeasured."""
    for module in pkgutil.walk_packages(sharectl.__path__, "sharectl."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
