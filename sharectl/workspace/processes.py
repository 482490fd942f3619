"""Processes of this machine that make the calls of a run: how a run starts them, and what one of them does.

    python -P -m sharectl.workspace.processes SOCKET HOLD

with the numbers of two descriptors. Each opens the drivers of its backends itself, and takes their secrets from where the run would.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from sharectl.engine.tenure import Fence, Permitted
from sharectl.engine.verbs import execute
from sharectl.engine.verbs.base import Site
from sharectl.executors.lanes import Lanes
from sharectl.executors.processes.executor import Processes
from sharectl.executors.processes.link import Lent, Link, SharedHold
from sharectl.executors.processes.service import ORPHAN_STATUS, LentRight, serve
from sharectl.executors.several import Several
from sharectl.model.frozen import NamedTuple
from sharectl.state.contract import LeaseLostError, StateError
from sharectl.state.lock import SYSTEM_CLOCK
from sharectl.workspace.backends import Backends

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sharectl.drivers.base import Driver
    from sharectl.engine.tenure import Heartbeat
    from sharectl.executors.answers import Answer
    from sharectl.executors.base import Execute, Executor, MakeExecutor, Permit
    from sharectl.executors.calls import Call
    from sharectl.model.backends import BackendSpec
    from sharectl.model.records import Lease
    from sharectl.network.base import NetworkPlugin

_POLL_SECONDS: Final = 0.01
_PR_SET_PDEATHSIG: Final = 1


class Beginning(NamedTuple):
    """What a process is told first: its backends, and the run that it works for, whose process it may not outlive."""

    process_id: int
    specs: Mapping[str, BackendSpec]
    base_directory: str
    lineage: str
    lease: Lease
    location: str


def in_processes(
    make_here: MakeExecutor, backends: Backends, lineage: str, heartbeat: Heartbeat, location: str
) -> MakeExecutor:
    """Return what makes an executor with further processes, for the backends that need this one for nothing; calls on others `make_here` is for."""
    specs, base_directory = backends.without_network()
    beginning = Beginning(os.getpid(), specs, base_directory, lineage, heartbeat.lease, location)

    def make(execute: Execute, permit: Permit, width: Callable[[str], int], clock: Callable[[], float]) -> Executor:
        processes = Processes(
            backends.processes, partial(_started, beginning), partial(_lent, heartbeat), width, backends.warn, clock
        )
        return Several(make_here(execute, permit, width, clock), processes, specs.__contains__, _POLL_SECONDS)

    return make


def _lent(heartbeat: Heartbeat) -> Lent:
    """Return until when calls may begin; where that is over, the lease is renewed first."""
    tenure = heartbeat.tenure
    try:
        tenure.require()
    except StateError as problem:
        return Lent(float("-inf"), problem.reason)
    except LeaseLostError as problem:
        return Lent(float("-inf"), str(problem))
    return Lent(tenure.until_seconds)


def _started(beginning: Beginning, hold: SharedHold) -> tuple[subprocess.Popen[bytes], Link]:
    """Start a process. Raises OSError."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        words = (__name__, str(theirs.fileno()), str(hold.descriptor))
        process = subprocess.Popen(  # noqa: S603 - this program
            [sys.executable, "-P", "-m", *words],
            pass_fds=(theirs.fileno(), hold.descriptor),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # that of a run is what it has to say
            start_new_session=True,  # Ctrl-C in the terminal is for the run, which lets running steps finish
        )
        link = Link(ours.detach())
    try:
        link.send(beginning)
    except OSError:
        process.kill()
        process.wait()
        link.close()
        raise
    return process, link


def main(words: Sequence[str]) -> None:
    """Be such a process."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # whoever sends them to a whole job means the run
        signal.signal(number, lambda *_: None)  # what drivers start has the usual again, as it would not with SIG_IGN
    link, hold = Link(int(words[0])), SharedHold(int(words[1]))
    try:
        beginning: Beginning = link.receive()
    except (EOFError, OSError):  # the run is gone
        os._exit(ORPHAN_STATUS)
    _end_with(beginning.process_id)
    right = LentRight(beginning.lease, beginning.location, SYSTEM_CLOCK.boottime_seconds)
    backends = Backends(beginning.specs, beginning.base_directory)
    fence = Fence(beginning.lineage, right)

    def make_call(backend: str, call: Call[Answer], permit: Permit) -> Answer:
        permit()
        driver = fence.raised_for(backend, backends.driver(backend))
        return execute(Site(cast("Driver", Permitted(driver, permit)), _no_network), call)

    serve(link, right, lambda permit: Lanes(make_call, permit, backends.width, hold=hold), backends.close)


def _no_network() -> NetworkPlugin:
    raise AssertionError  # such a backend is left to the run


def _end_with(process_id: int) -> None:
    """Have the kernel end this process together with the one that started it: nobody else may then find a call under way."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != process_id:
        os._exit(ORPHAN_STATUS)


if __name__ == "__main__":
    main(sys.argv[1:])
