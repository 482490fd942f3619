"""Short ways to write pools, requests and settings in tests."""

from __future__ import annotations

from typing import Any

from sharectl.model.settings import SchedulerSettings
from sharectl.model.specs import SchedulerHints
from sharectl.scheduler.pools import Pool
from sharectl.scheduler.request import Request


def pool(host: str = "b#p", *, zone: str | None = None, enabled: bool = True, **capabilities: Any) -> Pool:  # noqa: ANN401
    """Return a thick pool of 100 GiB, all free, unless the capabilities say otherwise."""
    backend, _, name = host.partition("#")
    figures = {
        "pool_name": name,
        "total_capacity_gb": 100,
        "free_capacity_gb": 100,
        "allocated_capacity_gb": 0,
        "reserved_percentage": 0,
        "storage_protocol": "NFS",
        "driver_handles_share_servers": False,
    }
    return Pool(host, backend, name, zone, enabled, capabilities={**figures, **capabilities})


def request(name: str = "s", size_gib: float = 10, specs: dict[str, str] | None = None, **fields: Any) -> Request:  # noqa: ANN401
    """Return a request for an NFS share."""
    return Request(name, size_gib, "NFS", specs or {}, **fields)


def apart(*names: str) -> SchedulerHints:
    """Return the hint to be on another host than these shares."""
    return SchedulerHints(different_host=names)


def together(*names: str) -> SchedulerHints:
    """Return the hint to be on the host of these shares."""
    return SchedulerHints(same_host=names)


DEFAULTS = SchedulerSettings()
