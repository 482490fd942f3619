"""The network service as the engine meets it: addresses for share servers, with its errors told as a driver's are."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sharectl.drivers.base import BackendUnavailableError, DriverError, TransientError
from sharectl.network.base import (
    AllocationRequest,
    NetworkError,
    NetworkTransientError,
    NetworkUnavailableError,
)
from sharectl.planner.share_servers.subnets import allocation_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sharectl.engine.tenure import Permit
    from sharectl.model.networks import NetworkAllocation
    from sharectl.model.share_networks import ShareServerSpec
    from sharectl.network.base import NetworkPlugin


@contextmanager
def network_errors_translated() -> Iterator[None]:
    """Raise what a network service says as the DriverError of the same meaning, so that it is retried and reported like one."""
    try:
        yield
    except NetworkUnavailableError as error:
        message = f"the network service: {error}"
        raise BackendUnavailableError(message, error.retry_after_seconds) from error
    except NetworkTransientError as error:
        message = f"the network service: {error}"
        raise TransientError(message, error.retry_after_seconds) from error
    except NetworkError as error:
        message = f"the network service: {error}"
        raise DriverError(message) from error


def allocate(
    plugin: NetworkPlugin,
    server_id: str,
    spec: ShareServerSpec,
    former: Iterable[NetworkAllocation] = (),
    *,
    permit: Permit,
) -> tuple[NetworkAllocation, ...]:
    """Return the addresses of a share server, each taken now or before under the id that follows from the server's.

    One of the `former` that was lost is had again where it is still free. Raises DriverError, and what `permit` raises, which is
    asked before each address.
    """
    known = {allocation.allocation_id: allocation.ip_address for allocation in former}
    allocations: list[NetworkAllocation] = []
    with network_errors_translated():
        for allocation_id in allocation_ids(server_id, spec.address_count):
            preferred = known.get(allocation_id)
            request = AllocationRequest(
                allocation_id, server_id, spec.share_network, spec.subnet, preferred_address=preferred
            )
            permit()
            allocations.append(plugin.allocate(request))
    return tuple(allocations)


def give_back(plugin: NetworkPlugin, server_id: str, ids: Iterable[str], *, permit: Permit) -> None:
    """Give addresses of a share server back; those that are gone already are no error. Raises as `allocate`."""
    with network_errors_translated():
        for allocation_id in ids:
            permit()
            plugin.deallocate(allocation_id, server_id)
