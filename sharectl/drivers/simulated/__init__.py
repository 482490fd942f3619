"""The simulated driver: any number of pools and shares in one file, with latency and faults, for tests and rehearsals."""

from sharectl.drivers.simulated.factory import FACTORY

__all__ = ["FACTORY"]
