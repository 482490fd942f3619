"""The heartbeat of a lease: a thread that renews it as long as the run lasts."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sharectl.state.store import LeaseLostError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.state.store import Lease, StateStore


class Heartbeat:
    """Renews the lease three times in its duration, and calls `lost` where somebody else has taken it over."""

    def __init__(self, store: StateStore, lease: Lease, lost: Callable[[str], None]) -> None:
        """Watch over `lease`."""
        self._store = store
        self._lease = lease
        self._lost = lost
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for a renewal that is under way."""
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._ended.wait(self._lease.duration_seconds / 3):
            try:
                self._store.renew(self._lease)
            except LeaseLostError:
                self._lost("the lock has passed to somebody else; nothing more is written")
                return
            except StateError:
                continue  # the next commit meets the same trouble, and says so
