"""Share servers: their addresses are taken before they are made, and given back after they are gone.

At any moment the addresses belong to a server that an intent or the state knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from sharectl.engine.answers import all_expected, expected
from sharectl.engine.verbs.base import (
    Calls,
    Entry,
    Executions,
    Intent,
    Outcome,
    Result,
    Runner,
    Site,
    done,
    put,
    removed,
)
from sharectl.engine.verbs.network_allocation import give_back, take_addresses
from sharectl.executors import answers, calls
from sharectl.executors.answers import CallFailedError, FailureKind
from sharectl.executors.calls import ask
from sharectl.model.observed import ObservedShareServer
from sharectl.model.records import PutResource, Record, RemoveResource
from sharectl.model.requests import ShareServerRef, ShareServerRequest
from sharectl.model.share_networks import ShareServerSpec
from sharectl.model.verbs import Verb
from sharectl.planner.records import share_server_record
from sharectl.planner.share_servers.changes import allocation_ids
from sharectl.state.rows import allocations_of, attributes_of, payload_of, server_spec_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.engine.verbs.base import Task
    from sharectl.executors.answers import Answer
    from sharectl.model.networks import NetworkAllocation

_REFUSALS: Final = frozenset({FailureKind.REFUSED, FailureKind.CONFLICT})


def _make(
    resource_id: str, spec: ShareServerSpec, record: Record | None = None, *, updates: bool = False
) -> Calls[answers.ServerMade]:
    """Take the addresses, and make, repair or update the server."""
    former = () if record is None else allocations_of(record)
    allocations = yield from take_addresses(resource_id, spec, former)
    joined = () if record is None else server_spec_of(record).security_services
    request = ShareServerRequest(
        resource_id, spec.name, spec.share_network, allocations, spec.security_services, joined
    )
    return (yield from ask(calls.MakeServer(request, updates)))


def _remove(resource_id: str, spec: ShareServerSpec, record: Record | None = None) -> Calls[answers.Done]:
    """Remove the server, or what a cut-short creation left of it, and give its addresses back; nothing there is no error."""
    reference = ShareServerRef(resource_id, "", spec.name, security_services=spec.security_services)
    allocations: tuple[NetworkAllocation, ...] = ()
    if record is not None:
        attributes, allocations = attributes_of(record), allocations_of(record)
        reference = ShareServerRef(
            resource_id, attributes["backend_id"], attributes["name"], allocations, spec.security_services
        )
    yield from ask(calls.DeleteServer(reference))
    recorded = (allocation.allocation_id for allocation in allocations)
    return (
        yield from give_back(resource_id, dict.fromkeys((*allocation_ids(resource_id, spec.address_count), *recorded)))
    )


def _wanted(task: Task) -> ShareServerSpec:
    return cast("ShareServerSpec", task.step.spec)


def _made(task: Task, answer: answers.ServerMade) -> Result:
    address, backend = task.step.address, task.backend or ""
    fresh = share_server_record(address, task.resource_id, backend, _wanted(task), answer.server, answer.allocations)
    return put(fresh, version=task.version)


def _remove_leftovers(task: Task) -> Calls[None]:
    if task.record is None:
        yield from _remove(task.resource_id, _wanted(task))


def _deletion(task: Task) -> Calls[Answer]:
    record = task.known_record
    return _remove(record.resource_id, server_spec_of(record), record)


def _is_there(intent: Intent) -> Calls[bool]:
    answer = yield from ask(calls.CountServers((intent.resource_id,)))
    return answer.count > 0


def _spec_of(intent: Intent) -> ShareServerSpec:
    return ShareServerSpec.from_plain(payload_of(intent.operation)["spec"])


def _row(intent: Intent, made: answers.ServerMade, version: int | None) -> PutResource:
    operation = intent.operation
    backend = operation.backend or ""
    fresh = share_server_record(
        operation.address, intent.resource_id, backend, _spec_of(intent), made.server, made.allocations
    )
    return PutResource(fresh, version)


def _recover_creation(intent: Intent) -> Calls[Outcome]:
    there = yield from _is_there(intent)
    spec = _spec_of(intent)
    if not there or intent.record is not None:
        yield from _remove(intent.resource_id, spec)  # also sweeps what is half made, and not listed for that
        return Outcome((), "it was not made, and its addresses have been given back")
    made = yield from _make(intent.resource_id, spec)
    return Outcome((_row(intent, made, None),), "it had been made, and is recorded now")


def _recover_change(intent: Intent) -> Calls[Outcome]:
    """Finish a repair or an update, since half of it may be done; what is refused stays as recorded, and the next plan looks at it."""
    there = yield from _is_there(intent)
    record = intent.own_record
    if record is None or not there:
        return Outcome((), "the share server is not there; the next plan shows it")
    updates = intent.operation.verb == Verb.UPDATE_SHARE_SERVER
    try:
        made = yield from _make(record.resource_id, _spec_of(intent), record, updates=updates)
    except CallFailedError as error:
        if error.failure.kind not in _REFUSALS:
            raise
        return Outcome((), f"it was not finished ({error}); the next plan looks at it again")
    return Outcome((_row(intent, made, record.version),), "it has been finished")


def _recover_deletion(intent: Intent) -> Calls[Outcome]:
    there = yield from _is_there(intent)
    record = intent.own_record
    if record is None:
        return Outcome((), "it had been removed")
    if there:
        return Outcome((), "it had not been removed")
    yield from _remove(record.resource_id, server_spec_of(record), record)
    changes = (RemoveResource(record.address, record.version),)
    return Outcome(changes, "it had been removed, and its addresses have been given back")


TABLE: Final[Mapping[Verb, Entry]] = {
    Verb.CREATE_SHARE_SERVER: Entry(
        Runner.NETWORK,
        lambda task: _make(task.resource_id, _wanted(task), task.record),
        _made,
        _recover_creation,
        leftovers=_remove_leftovers,
    ),
    Verb.REPAIR_SHARE_SERVER: Entry(
        Runner.NETWORK,
        lambda task: _make(task.resource_id, _wanted(task), task.record),
        _made,
        _recover_change,
    ),
    Verb.UPDATE_SHARE_SERVER: Entry(
        Runner.NETWORK,
        lambda task: _make(task.resource_id, _wanted(task), task.record, updates=True),
        _made,
        _recover_change,
    ),
    Verb.DELETE_SHARE_SERVER: Entry(Runner.NETWORK, _deletion, removed, _recover_deletion),
}


def _execute_make(site: Site, call: calls.MakeServer) -> answers.ServerMade:
    make = site.driver.update_share_server if call.updates else site.driver.create_share_server
    observed = expected("create_share_server", ObservedShareServer, make(call.request))
    return answers.ServerMade(observed, call.request.allocations)


def _list(site: Site, call: calls.ListServers) -> answers.ServersListed:
    ids = None if call.resource_ids is None else frozenset(call.resource_ids)
    found = all_expected("list_share_servers", ObservedShareServer, site.driver.list_share_servers(ids))
    return answers.ServersListed(tuple(found))


EXECUTIONS: Final[Executions] = {
    calls.MakeServer: _execute_make,
    calls.ListServers: _list,
    calls.CountServers: lambda site, call: answers.ServersCounted(
        len(site.driver.list_share_servers(list(call.resource_ids)))
    ),
    calls.DeleteServer: lambda site, call: done(site.driver.delete_share_server(call.server)),
}
