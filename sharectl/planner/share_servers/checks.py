"""What drivers say of share servers before anything is called: subnets and directory services that they cannot use."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from sharectl.drivers.base import DriverError
from sharectl.drivers.registry import driver_factory
from sharectl.drivers.share_checks import ChecksShareServers
from sharectl.model.kinds import Kind, address_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from sharectl.manifests.desired import Desired
    from sharectl.model.checks import ShareServerProblem
    from sharectl.model.share_networks import ShareServerSpec


def problems_of_server(
    desired: Desired, backend: str, server: ShareServerSpec, protocols: Collection[str]
) -> tuple[ShareServerProblem, ...]:
    """Return what the backend's driver would refuse of a share server; nothing where it cannot tell, or its manifest has mistakes."""
    spec = desired.backends.get(backend)
    is_sound = desired.flaws.is_sound(address_of(Kind.BACKEND, backend), "driver", "config", "shareServers")
    if spec is None or not spec.share_servers or not is_sound:
        return ()
    with suppress(DriverError):
        factory = driver_factory(spec.driver)
        if isinstance(factory, ChecksShareServers):
            return tuple(factory.share_server_problems(spec, server, protocols))
    return ()
