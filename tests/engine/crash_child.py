"""Applies the scenario over and over, each time killed at another instant, and checks what the next applies make of it.

Run as `python -m tests.engine.crash_child FOLDER DRIVER enumerate SHARD SHARDS` or `... random SEED ROUNDS`. Every apply is a process
of its own: this one has a single thread, and forks. It prints how many applies were killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import traceback
from itertools import count
from pathlib import Path
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Any

from sharectl.apply import apply
from tests.engine import scenario as plain_scenario
from tests.engine import server_scenario
from tests.engine.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.state.contract import StateStore
    from sharectl.workspace.backends import Backends

_NEVER = 1 << 30
scenario: Any = server_scenario if sys.argv[2:3] == ["servers"] else plain_scenario


class Killer:
    """Kills its process at the n-th instant that it is told of."""

    def __init__(self, target: int) -> None:
        """Kill at instant `target`, counted from 1."""
        self._target = target
        self._count = count(1)

    def around(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return `work` with an instant before it and one after it."""

        def wrapped(*args: object, **kwargs: object) -> object:
            self._pass()
            try:
                return work(*args, **kwargs)
            finally:
                self._pass()

        return wrapped

    def _pass(self) -> None:
        if next(self._count) == self._target:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, store: StateStore, backends: Backends) -> None:
        """Make every commit of the store and every call of a driver an instant, recovery and planning included."""
        setattr(store, "commit", self.around(store.commit))  # noqa: B010 - mypy refuses to see a method replaced
        opened, watched = backends.driver, set()

        def driver(name: str) -> object:
            found = opened(name)
            if name not in watched:
                watched.add(name)
                for method in (m for m in dir(found) if not m.startswith("_") and m not in {"close", "call"}):
                    if callable(getattr(found, method)) and not isinstance(
                        getattr(type(found), method, None), property
                    ):
                        setattr(found, method, self.around(getattr(found, method)))
            return found

        setattr(backends, "driver", driver)  # noqa: B010 - as above
        self._watch_networks(backends)

    def _watch_networks(self, backends: Backends) -> None:
        """Make every call of a network service an instant too."""
        opened, watched = backends.networks.plugin, set()

        def plugin(name: str) -> object:
            found = opened(name)
            if name not in watched:
                watched.add(name)
                for method in ("allocate", "deallocate", "list_allocations"):
                    setattr(found, method, self.around(getattr(found, method)))
            return found

        setattr(backends.networks, "plugin", plugin)  # noqa: B010 - as above


def _apply(root: Path, target: int) -> None:
    site = Site(root)
    options = scenario.options(site)
    killer = Killer(target)
    with site.store() as store, site.opened(store) as (backends, planned):
        killer.watch(store, backends)
        with site.locked(store, backends, []) as run:
            plan = planned(options)
            result = apply(
                plan,
                store=store,
                heartbeat=run.heartbeat,
                run=run.record,
                environment=run.environment,
                observer=lambda _event: None,
            )
    assert not run.unresolved
    assert result.succeeded, result


def _in_process(work: Callable[[], object], kill_after_seconds: float | None = None) -> bool:
    """Run `work` in a process of its own; return whether that was killed. Raises where it failed."""
    child = os.fork()
    if child == 0:
        status = 1
        if kill_after_seconds is not None:  # by the kernel, as abruptly as SIGKILL; nothing in the process handles it
            signal.setitimer(signal.ITIMER_REAL, kill_after_seconds)
        try:
            work()
            status = 0
        except BaseException:  # noqa: BLE001 - whatever it is, it is told of, and the child ends
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in {0, -signal.SIGKILL, -signal.SIGALRM}:
        message = f"an apply ended with {status}"
        raise SystemExit(message)
    return status != 0


def _finish(root: Path) -> None:
    _apply(root, _NEVER)
    if any(address in scenario.TAKEN_OVER for address in (step.address for step in Site(root).plan().steps)):
        _apply(root, _NEVER)  # a share is taken over as it is, and the next plan makes it what its manifest says
    if scenario.asks_again(Site(root)):
        _apply(root, _NEVER)
    scenario.check(Site(root))


def _enumerate(base: Path, root: Path, shard: int, shards: int) -> int:
    """Kill at every `shards`-th instant until one is never reached; the apply after it is killed at some instant too."""
    for number in count(shard, shards):
        shutil.copytree(base, root, symlinks=True)
        if not _in_process(lambda: _apply(root, number)):  # noqa: B023 - it runs before the next round
            return (number - shard) // shards
        _in_process(lambda: _apply(root, 1 + number * 7 % 40))  # noqa: B023 - as above
        _in_process(lambda: _finish(root))
        shutil.rmtree(root)
    raise AssertionError


def _kill_at_random(base: Path, root: Path, seed: int, rounds: int) -> int:
    """Kill two applies, one after the other, at random times; return how many were killed."""
    random = Random(seed)  # noqa: S311 - a repeatable test
    shutil.copytree(base, root, symlinks=True)
    whole_seconds = _seconds_of(lambda: _finish(root))
    killed = 0
    for _ in range(rounds):
        shutil.rmtree(root)
        shutil.copytree(base, root, symlinks=True)
        for _attempt in range(2):
            started = monotonic()
            if _in_process(lambda: _apply(root, _NEVER), random.uniform(0.0, whole_seconds)):
                killed += 1
            else:  # it takes less than the one that was measured: the machine is not as busy as it was
                whole_seconds = min(whole_seconds, monotonic() - started)
        whole_seconds = _seconds_of(lambda: _finish(root))
    return killed


def _seconds_of(work: Callable[[], object]) -> float:
    started = monotonic()
    _in_process(work)
    return monotonic() - started


def main() -> None:
    """Do what the command line says."""
    folder, driver, mode, first, second = Path(sys.argv[1]), *sys.argv[2:4], int(sys.argv[4]), int(sys.argv[5])
    base = folder / "base"
    scenario.prepare(base, driver)  # here, so that every process that is forked finds the modules loaded
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join()
    work = _enumerate if mode == "enumerate" else _kill_at_random
    print(work(base, folder / "work", first, second))  # noqa: T201 - what the test reads


if __name__ == "__main__":
    main()
