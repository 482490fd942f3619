"""What each verb about share servers asks of the driver and of the network service, and what the state records of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, cast

from sharectl.engine.calls import Result
from sharectl.engine.networking import allocate, give_back
from sharectl.model.kinds import Address, name_of
from sharectl.model.records import PutResource, Record, RemoveResource
from sharectl.model.requests import ShareServerRef, ShareServerRequest
from sharectl.model.verbs import Verb
from sharectl.planner.share_servers.records import share_server_record
from sharectl.planner.share_servers.subnets import allocation_ids
from sharectl.state.rows import allocations_of, attributes_of, server_spec_of

if TYPE_CHECKING:
    from sharectl.drivers.base import Driver
    from sharectl.drivers.share_servers import HandlesShareServers, UpdatesShareServers
    from sharectl.engine.calls import Task
    from sharectl.engine.tenure import Permit
    from sharectl.model.networks import NetworkAllocation
    from sharectl.model.share_networks import ShareServerSpec
    from sharectl.network.base import NetworkPlugin

SERVER_VERBS: Final = frozenset(
    {
        Verb.CREATE_SHARE_SERVER,
        Verb.REPAIR_SHARE_SERVER,
        Verb.UPDATE_SHARE_SERVER,
        Verb.DELETE_SHARE_SERVER,
        Verb.RELEASE_ALLOCATION,
    }
)
"""Verbs that need the network service beside the driver."""


def perform_on_server(driver: Driver, plugin: NetworkPlugin, task: Task, permit: Permit) -> Result:
    """Make the calls of the task's verb, and return what they have done. Raises DriverError, and what `permit` raises, asked before each.

    A server's addresses are taken before it is made, and given back after it is gone: at any moment they belong to a server that the
    intent or the state knows, under ids that follow from the server's own.
    """
    if task.step.verb is Verb.RELEASE_ALLOCATION:
        release(plugin, name_of(task.step.address), permit)
        return Result((), None)
    if task.step.verb is Verb.DELETE_SHARE_SERVER:
        record = task.known_record
        remove_server(driver, plugin, record.resource_id, server_spec_of(record), record, permit=permit)
        return Result((RemoveResource(record.address, record.version),), None)
    updates = task.step.verb is Verb.UPDATE_SHARE_SERVER
    spec = cast("ShareServerSpec", task.step.spec)
    server = Server(task.step.address, task.resource_id, task.backend or "", task.record)
    fresh = make_server(driver, plugin, server, spec, permit, updates=updates)
    version = None if task.record is None else task.record.version
    return Result((PutResource(fresh, version),), fresh._replace(version=(version or 0) + 1))


class Server(NamedTuple):
    """Which share server a call is about; `record` is its row, None where it has none yet."""

    address: Address
    resource_id: str
    backend: str
    record: Record | None = None


def make_server(  # noqa: PLR0913 - which one, how it is to be, and with what
    driver: Driver,
    plugin: NetworkPlugin,
    server: Server,
    spec: ShareServerSpec,
    permit: Permit,
    *,
    updates: bool = False,
) -> Record:
    """Take the addresses, make the server (or make it well, or update it), and return its row."""
    former = () if server.record is None else allocations_of(server.record)
    allocations = allocate(plugin, server.resource_id, spec, former, permit=permit)
    request = ShareServerRequest(server.resource_id, spec.name, spec.share_network, allocations, spec.security_services)
    permit()
    if updates:
        observed = cast("UpdatesShareServers", driver).update_share_server(request)
    else:
        observed = cast("HandlesShareServers", driver).create_share_server(request)
    return share_server_record(server.address, server.resource_id, server.backend, spec, observed, allocations)


def remove_server(  # noqa: PLR0913 - which one, and with what
    driver: Driver,
    plugin: NetworkPlugin,
    resource_id: str,
    spec: ShareServerSpec,
    record: Record | None = None,
    *,
    permit: Permit,
) -> None:
    """Remove the server, or what a cut-short creation left of it, and give its addresses back; nothing there is no error."""
    reference = ShareServerRef(resource_id, "", spec.name)
    allocations: tuple[NetworkAllocation, ...] = ()
    if record is not None:
        attributes, allocations = attributes_of(record), allocations_of(record)
        reference = ShareServerRef(resource_id, attributes["backend_id"], attributes["name"], allocations)
    permit()
    cast("HandlesShareServers", driver).delete_share_server(reference)
    recorded = (allocation.allocation_id for allocation in allocations)
    ids = dict.fromkeys((*allocation_ids(resource_id, spec.address_count), *recorded))
    give_back(plugin, resource_id, ids, permit=permit)


def release(plugin: NetworkPlugin, allocation_id: str, permit: Permit) -> None:
    """Give back an address that no share server has."""
    give_back(plugin, allocation_id.rpartition("/")[0], (allocation_id,), permit=permit)
