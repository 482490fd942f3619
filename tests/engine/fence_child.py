"""Applies in a process of its own that halts in the middle, to be stopped there, and let go on when somebody else has its lock.

Run as `python -m tests.engine.fence_child FOLDER LEASE_SECONDS CALL MOMENT [unfenced]`: it halts at the first call named CALL of the
backend's driver, `before` or `after` that call is made, says `here`, and goes on when it is told something. In the end it prints how
it went. `unfenced` makes the driver one that knows no fences.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sharectl.workspace.run
from sharectl.apply import apply
from sharectl.state.contract import LeaseLostError
from tests.engine.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.model.records import Lease

LATE_SECONDS = 1.0


class Halting:
    """Halts the process at one of its calls. Its renewals come late after that, as over a slow line: nothing may rely on them."""

    def __init__(self, store: Any, driver: Any, moment: str) -> None:  # noqa: ANN401 - whatever they are
        """Halt `before` or `after` the first call."""
        self._store = store
        self._driver = driver
        self._moment = moment
        self._first = threading.Lock()
        self._woken = threading.Event()
        self._another = threading.Event()
        self._renew = store.renew
        store.renew = self._renew_late

    def around(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return `work`, which halts the first time."""

        def wrapped(*arguments: object, **named: object) -> object:
            halts = self._first.acquire(blocking=False)
            if self._woken.is_set():
                self._another.set()
            if halts and self._moment == "before":
                self._halt()
            try:
                return work(*arguments, **named)
            finally:
                if halts and self._moment == "after":
                    self._halt()

        return wrapped

    def _halt(self) -> None:
        with self._store._guard, self._driver.state._lock:  # if a thread were writing, nobody else could after the stop
            print("here", flush=True)  # noqa: T201 - what the test waits for
            sys.stdin.readline()
            self._woken.set()

    def _renew_late(self, lease: Lease) -> None:
        if self._woken.is_set():
            self._another.wait(LATE_SECONDS)
        self._renew(lease)


def main() -> None:
    """Do what the command line says."""
    root, seconds, call, moment = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4]
    sharectl.workspace.run.LEASE_SECONDS = seconds  # type: ignore[misc] - a lease that a test can wait for
    site = Site(root)
    with site.store() as store, site.opened(store) as (backends, planned):
        driver: Any = backends.driver("a")
        if "unfenced" in sys.argv:
            driver.raise_fence = lambda *_: None
        setattr(driver, call, Halting(store, driver, moment).around(getattr(driver, call)))
        try:
            with site.locked(store, backends, []) as run:
                result = apply(
                    planned(),
                    store=store,
                    heartbeat=run.heartbeat,
                    run=run.record,
                    environment=run.environment,
                    observer=lambda _: None,
                )
        except LeaseLostError as lost:
            print(f"lost in recovery: {lost}")  # noqa: T201 - what the test reads
        else:
            print(result.problem or "done")  # noqa: T201 - as above


if __name__ == "__main__":
    main()
