"""Short ways to write pools, requests and settings in tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sharectl.model.settings import SchedulerSettings
from sharectl.model.specs import SchedulerHints
from sharectl.scheduler.batch import place_batch
from sharectl.scheduler.pools import Pool, inherited_capabilities
from sharectl.scheduler.request import Request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.scheduler.decision import Decision
    from sharectl.scheduler.engine import Scheduler


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


def pools_of_manila_backend(  # noqa: PLR0913 - what Manila knows of a service, by keyword
    host: str,
    capabilities: Mapping[str, Any],
    pools: Sequence[Mapping[str, Any]] | None,
    *,
    availability_zone: str | None,
    enabled: bool = True,
    up: bool = True,
) -> tuple[Pool, ...]:
    """Return the pools of a Manila backend `host@backend`; a backend without a pool list is one pool of its own numbers."""
    if pools is None:
        pools = [{**capabilities, "pool_name": capabilities.get("share_backend_name") or "_pool0"}]
    return tuple(
        Pool(
            host=f"{host}#{pool['pool_name']}",
            backend=host,
            name=pool["pool_name"],
            availability_zone=availability_zone,
            enabled=enabled,
            up=up,
            capabilities=inherited_capabilities(capabilities, pool),
        )
        for pool in pools
    )


def place_all(scheduler: Scheduler, requests: Sequence[Request]) -> tuple[Decision, ...]:
    """Place the requests together, and return the decisions alone."""
    return place_batch(scheduler, requests).decisions
