"""The heartbeat of a lease: a thread that renews it for as long as it is needed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sharectl.engine.tenure import Tenure
from sharectl.state.contract import LeaseLostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.model.records import Lease
    from sharectl.state.contract import StateStore

_BEATS_PER_LEASE = 3


class Heartbeat:
    """Renews the lease three times in its duration, from `start` until `stop`; `tenure` says when calls may begin under it."""

    def __init__(
        self,
        store: StateStore,
        lease: Lease,
        lost: Callable[[str], object] | None = None,
        since_seconds: float | None = None,
    ) -> None:
        """Watch over `lease`, which was asked for at `since_seconds` (None: long ago, so that it is renewed before the first call); `lost` as for `on_loss`."""
        self.lease = lease
        self.tenure = Tenure(store, lease, float("-inf") if since_seconds is None else since_seconds)
        self._mutex = threading.Lock()
        self._lost = lost
        self._problem = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for a renewal that is under way."""
        self._ended.set()
        self._thread.join()

    def on_loss(self, lost: Callable[[str], object] | None) -> None:
        """Call `lost(problem)`, once and from any thread, where somebody else has taken the lease over (or has already); None: nobody."""
        with self._mutex:
            self._lost = lost
            problem = self._problem
        if problem and lost is not None:
            lost(problem)

    def _beat(self) -> None:
        while not self._ended.wait(self.lease.duration_seconds / _BEATS_PER_LEASE):
            try:
                self.tenure.renew()
            except LeaseLostError as error:
                self._tell(f"{error}; nothing more is written")
                return
            except BaseException:  # noqa: BLE001, S112 - the next call or commit meets the same trouble, and says so
                continue

    def _tell(self, problem: str) -> None:
        with self._mutex:
            self._problem = problem
            lost = self._lost
        if lost is not None:
            lost(problem)
