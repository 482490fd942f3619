"""What all tests share: where something is needed that this machine lacks, a laptop skips, and CI fails."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import tempfile
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests import measuring, servers
from tests.postgresql import Server, shared_server
from tests.rabbitmq import Broker, shared_broker

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_LACKING = "needs "
"""A reason for skipping that begins so names something that CI has to provide."""
_KEEPER = pytest.StashKey[subprocess.Popen[bytes]]()


settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")  # how long an example takes is the machine's business, and what else it does


os.environ.pop(
    "COLUMNS", None
)  # whoever runs the tests may have exported it: text would be folded where it is looked into


if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # as nohup leaves it, for all processes that the tests start
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip for want of something into a failure where SHARECTL_TESTS_MUST_RUN is set."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and os.environ.get("SHARECTL_TESTS_MUST_RUN"):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        if reason.startswith(_LACKING):
            report.outcome = "failed"
            report.longrepr = f"this test has to run here, and {reason}"
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return two more than there are cores: many tests wait for servers and processes half of their time."""
    return len(os.sched_getaffinity(0)) + 2


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Keep tests of a module in one process where there are several: they share its servers."""
    if getattr(config.option, "numprocesses", None) and config.option.dist == "no":
        config.option.dist = "worksteal"


def pytest_configure(config: pytest.Config) -> None:
    """Begin a run, in the process that has no other above it."""
    if not hasattr(config, "workerinput"):
        config.stash[_KEEPER] = servers.begin()
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]  # they would lead clients of tests to another server


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Collect without coverage, which would take three times as long, in each worker; no test is garbage before it has run."""
    measuring.begin(session.config)
    gc.disable()
    try:
        with measuring.unmeasured(session.config):
            return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run some tests without coverage, their fixtures with them."""
    if measuring.is_measured(item):
        return (yield)
    with measuring.unmeasured(item.config):
        return (yield)


_numbers = count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Keep the copies of each test's states by themselves: not in the home of whoever runs it, nor where a command would find those of all others."""
    os.environ["XDG_STATE_HOME"] = f"{os.environ[servers.VARIABLE]}/states-{os.getpid()}-{next(_numbers)}"


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the servers of the run."""
    if not hasattr(config, "workerinput"):
        servers.end(config.stash[_KEEPER])


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """Yield a folder in memory, where there is such: what is lost with a process is meant, not with a machine."""
    with tempfile.TemporaryDirectory(prefix="sharectl-", dir=servers.IN_MEMORY) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def postgresql() -> Server:
    """Return the PostgreSQL server of this run; states on it are kept apart by their names."""
    return shared_server()


@pytest.fixture
def own_postgresql() -> Iterator[Server]:
    """Yield a PostgreSQL server that the test may stop as it likes; what it has committed survives that."""
    server = Server.create()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def rabbitmq() -> Broker:
    """Return the RabbitMQ of this run; queues on it are kept apart by their names."""
    return shared_broker()
