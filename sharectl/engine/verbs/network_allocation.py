"""Addresses of share servers: taken one by one under ids that follow from the server's own, and given back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.engine.answers import network_errors_translated
from sharectl.engine.verbs.base import Calls, Entry, Executions, Intent, Outcome, Result, Runner, Site
from sharectl.executors.answers import Allocated, AllocationsListed, Done, SubnetChecked
from sharectl.executors.calls import Allocate, CheckSubnet, Deallocate, ListAllocations, ask
from sharectl.model.kinds import name_of
from sharectl.model.networks import AllocationRequest
from sharectl.model.verbs import Verb
from sharectl.planner.share_servers.changes import allocation_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sharectl.engine.verbs.base import Task
    from sharectl.executors.answers import Answer
    from sharectl.model.networks import NetworkAllocation
    from sharectl.model.share_networks import ShareServerSpec


def take_addresses(
    server_id: str, spec: ShareServerSpec, former: Iterable[NetworkAllocation]
) -> Calls[tuple[NetworkAllocation, ...]]:
    """Return the addresses of a share server, each taken now or before; a lost one of the `former` is taken again if it is free."""
    known = {allocation.allocation_id: allocation.ip_address for allocation in former}
    allocations: list[NetworkAllocation] = []
    for allocation_id in allocation_ids(server_id, spec.address_count):
        request = AllocationRequest(
            allocation_id,
            server_id,
            spec.share_network,
            spec.subnet,
            preferred_address=known.get(allocation_id),
        )
        answer = yield from ask(Allocate(request))
        allocations.append(answer.allocation)
    return tuple(allocations)


def give_back(server_id: str, allocation_ids: Iterable[str]) -> Calls[Done]:
    """Give addresses of a share server back; those that are gone already are no error."""
    for allocation_id in allocation_ids:
        yield from ask(Deallocate(allocation_id, server_id))
    return Done()


def _release(allocation_id: str) -> Calls[Done]:
    return give_back(allocation_id.rpartition("/")[0], (allocation_id,))


def _released(_task: Task, _answer: Answer) -> Result:
    """Record nothing: the network service keeps the account."""
    return Result((), None)


def _recover_release(intent: Intent) -> Calls[Outcome]:
    yield from _release(name_of(intent.operation.address))
    return Outcome((), "the address has been given back")


TABLE: Final[Mapping[Verb, Entry]] = {
    Verb.RELEASE_ALLOCATION: Entry(
        Runner.NETWORK,
        lambda task: _release(task.resource_id),
        _released,
        _recover_release,
    ),
}


def _allocate(site: Site, call: Allocate) -> Allocated:
    with network_errors_translated():
        return Allocated(site.open_network().allocate(call.request))


def _deallocate(site: Site, call: Deallocate) -> Done:
    with network_errors_translated():
        site.open_network().deallocate(call.allocation_id, call.share_server_id)
    return Done()


def _list(site: Site, call: ListAllocations) -> AllocationsListed:
    with network_errors_translated():
        return AllocationsListed(tuple(site.open_network().list_allocations(call.allocation_ids)))


def _check(site: Site, call: CheckSubnet) -> SubnetChecked:
    from sharectl.engine.subnets import subnet_findings  # noqa: PLC0415 - plans of workers alone ask it

    with network_errors_translated():
        return SubnetChecked(subnet_findings(site.open_network(), site.driver, call.subnet, call.addresses))


EXECUTIONS: Final[Executions] = {
    Allocate: _allocate,
    Deallocate: _deallocate,
    ListAllocations: _list,
    CheckSubnet: _check,
}
