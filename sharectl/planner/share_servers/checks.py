"""What drivers say of share servers before anything is called: subnets and directory services that they cannot use."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from sharectl.drivers.base import DriverError
from sharectl.drivers.registry import driver_factory
from sharectl.drivers.share_checks import ChecksServerChanges, ChecksShareServers
from sharectl.model.kinds import Kind, address_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from sharectl.manifests.desired import Desired
    from sharectl.model.checks import ShareServerProblem
    from sharectl.model.share_networks import ShareServerSpec


def problems_of_server(
    desired: Desired,
    backend: str,
    server: ShareServerSpec,
    protocols: Collection[str],
    before: ShareServerSpec | None = None,
) -> tuple[ShareServerProblem, ...]:
    """Return what the backend's driver would refuse of a share server; nothing where it cannot tell, or its manifest has mistakes.

    `before` is what it has been made from, where it is there: then shares of these protocols are on it.
    """
    spec = desired.backends.get(backend)
    is_sound = desired.flaws.is_sound(address_of(Kind.BACKEND, backend), "driver", "config", "shareServers")
    if spec is None or not spec.share_servers or not is_sound:
        return ()
    with suppress(DriverError):
        factory = driver_factory(spec.driver)
        found: list[ShareServerProblem] = []
        if isinstance(factory, ChecksShareServers):
            found += factory.share_server_problems(spec, server, protocols)
        if before is not None and isinstance(factory, ChecksServerChanges):
            found += factory.share_server_change_problems(spec, before, server, protocols)
        return tuple(found)
    return ()
