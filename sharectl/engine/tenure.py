"""Tenure: the right to begin calls on backends while the lease of a run is known to hold; the heartbeat that keeps it, and the fence."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, Protocol

from sharectl.drivers.base import FencesEachLease, RefusesOldFences
from sharectl.state.contract import LeaseLostError, StateUnavailableError
from sharectl.state.lock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.drivers.base import Driver
    from sharectl.executors.base import Permit
    from sharectl.model.records import Lease
    from sharectl.network.base import NetworkPlugin
    from sharectl.state.contract import StateStore


USABLE_PART: Final = 0.8
"""The part of a lease in which calls begin; what is left of it is for a call on its way to reach the backend."""
_RENEWALS: Final = 3


class Tenure:
    """Asked last before each call, from any thread: nothing begins under a lease that somebody else may have by now.

    The time of a lease counts from before it was taken or renewed, on a clock that runs on while the machine sleeps: whoever was
    stopped in between believes rather too little. Where the time is over the lease is renewed first, which tells whether it is lost.
    """

    def __init__(
        self,
        store: StateStore,
        lease: Lease,
        since_seconds: float,
        clock: Callable[[], float] = SYSTEM_CLOCK.boottime_seconds,
    ) -> None:
        """Begin with a `lease` that was asked for at `since_seconds` of `clock`."""
        self.lease = lease
        self._store = store
        self._clock = clock
        self._usable_seconds = USABLE_PART * lease.duration_seconds
        self._until_seconds = since_seconds + self._usable_seconds
        self._renewing = threading.Lock()
        self._lost: LeaseLostError | None = None

    @property
    def until_seconds(self) -> float:
        """Until when calls may begin without a renewal, on the clock; minus infinity where the lease is lost."""
        return self._until_seconds

    def left_seconds(self) -> float:
        """Return for how long calls may still begin without a renewal; negative where it is needed now."""
        return self._until_seconds - self._clock()

    def require(self) -> None:
        """Return where a call may begin now. Raises LeaseLostError, and StateError where nobody can tell."""
        if self._clock() < self._until_seconds:
            return
        with self._renewing:
            for _ in range(_RENEWALS):  # a renewal may itself be stopped until it is worth nothing
                if self._clock() < self._until_seconds:
                    return
                self._renew()
            if self._clock() >= self._until_seconds:
                reason = "the lock cannot be renewed as fast as it runs out; nothing is begun without it"
                raise StateUnavailableError(self._store.location, reason)

    def renew(self) -> None:
        """Write a heartbeat; raises as `require`."""
        with self._renewing:
            self._renew()

    def _renew(self) -> None:
        if self._lost is not None:
            raise LeaseLostError(*self._lost.args)
        asked_seconds = self._clock()
        try:
            self._store.renew(self.lease)
        except LeaseLostError as error:
            self._lost, self._until_seconds = error, float("-inf")
            raise
        self._until_seconds = asked_seconds + self._usable_seconds


class Permitted:
    """A driver, or a network service, that asks a permit right before each of its calls, however many a step takes."""

    def __init__(self, driver: Driver | NetworkPlugin, permit: Permit) -> None:
        """Stand for `driver`."""
        self._driver = driver
        self._permit = permit

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - what the driver has
        """Return the driver's method of this name, to be called at once."""
        self._permit()
        return getattr(self._driver, name)


class Right(Protocol):
    """The right to begin calls under a lease."""

    lease: Lease

    def require(self) -> None:
        """Return where a call may begin now; raises where it may not, or nobody can tell."""
        ...


class Fence:
    """The token of a run's lease, which grows with every run of a state, raised once for each driver that the run opens."""

    def __init__(self, lineage: str, tenure: Right) -> None:
        """Stand for the run whose lease `tenure` watches over, of the state called `lineage`."""
        self._lineage = lineage
        self._tenure = tenure
        self._raised: dict[str, Driver] = {}

    def raised_for(self, backend: str, driver: Driver) -> Driver:
        """Return the driver, which works under this fence from now on. Raises what it raises, and what the tenure raises."""
        if self._raised.get(backend) is not driver:
            if isinstance(driver, RefusesOldFences):
                self._tenure.require()  # a run that has lost its lock must not raise its fence over a later one's
                lease = self._tenure.lease
                if isinstance(driver, FencesEachLease):
                    driver.raise_fence_beside(self._lineage, lease.token, lease.beside)
                else:
                    driver.raise_fence(self._lineage, lease.token)
            self._raised[backend] = driver
        return driver


_BEATS_PER_LEASE = 3


class Heartbeat:
    """Renews the lease three times in its duration, from `start` until `stop`; `tenure` says when calls may begin under it."""

    def __init__(self, store: StateStore, lease: Lease, since_seconds: float | None = None) -> None:
        """Watch over `lease`, which was asked for at `since_seconds` (None: long ago, so that it is renewed before the first call)."""
        self.lease = lease
        self.tenure = Tenure(store, lease, float("-inf") if since_seconds is None else since_seconds)
        self._mutex = threading.Lock()
        self._lost: Callable[[str], object] | None = None
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
            except BaseException:  # noqa: BLE001, S112 - the next call or commit meets the same trouble, as does the wait for a worker, and says so
                continue

    def _tell(self, problem: str) -> None:
        with self._mutex:
            self._problem = problem
            lost = self._lost
        if lost is not None:
            lost(problem)
