"""The fence of a run: backends that can are told which run is at work, and refuse the calls of earlier ones from then on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.drivers.base import RefusesOldFences

if TYPE_CHECKING:
    from sharectl.drivers.base import Driver
    from sharectl.engine.tenure import Tenure


class Fence:
    """The token of a run's lease, which grows with every run of a state, raised once for each driver that the run opens."""

    def __init__(self, lineage: str, tenure: Tenure) -> None:
        """Stand for the run whose lease `tenure` watches over, of the state called `lineage`."""
        self._lineage = lineage
        self._tenure = tenure
        self._raised: dict[str, Driver] = {}

    def raised_for(self, backend: str, driver: Driver) -> Driver:
        """Return the driver, which works under this fence from now on. Raises what it raises, and what the tenure raises."""
        if self._raised.get(backend) is not driver:
            if isinstance(driver, RefusesOldFences):
                self._tenure.require()  # a run that has lost its lock must not raise its fence over a later one's
                driver.raise_fence(self._lineage, self._tenure.lease.token)
            self._raised[backend] = driver
        return driver
