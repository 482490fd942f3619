"""What a driver is told of the directory services of a share server: those that it is to have, and those that it had."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sharectl.engine.verbs import TABLE
from sharectl.engine.verbs.base import Task
from sharectl.executors import answers, calls
from sharectl.model.networks import NetworkAllocation
from sharectl.model.observed import ObservedShareServer
from sharectl.model.plans import ACTIONS, SetUp, Step
from sharectl.model.share_networks import SecurityServiceSpec, ShareNetworkSubnet, ShareServerSpec
from sharectl.model.verbs import Verb
from sharectl.planner.records import share_server_record

if TYPE_CHECKING:
    from collections.abc import Generator

OLD = SecurityServiceSpec("old", "ldap", {"server": "old.example"})
NEW = SecurityServiceSpec("new", "ldap", {"server": "new.example"})
SPEC = ShareServerSpec("red-default", "red", ShareNetworkSubnet(cidr="10.0.0.0/24"), security_services=(OLD,))
ALLOCATION = NetworkAllocation("id/0", "id", "10.0.0.2", 4, "10.0.0.0/24", None, "vlan", 7, 1500)
SERVER = ObservedShareServer("id", "svm", "red-default", ("10.0.0.2",))
RECORD = share_server_record("share_server/red-default@nas", "id", "nas", SPEC, SERVER, (ALLOCATION,))


def asked(verb: Verb, spec: ShareServerSpec | None) -> list[Any]:
    """Return the calls of a step, each answered as if it had gone well."""
    work = None if spec is None else SetUp(spec)
    step = Step(f"{verb}:x", RECORD.address, ACTIONS[verb], verb, "", backend="nas", work=work)
    task = Task(step, "id", RECORD, backend="nas")
    generator: Generator[Any, Any, Any] = TABLE[verb].calls(task)
    found, answer = [], None
    while True:
        try:
            found.append(generator.send(answer))
        except StopIteration:
            return found
        is_address = isinstance(found[-1], calls.Allocate)
        answer = answers.Allocated(ALLOCATION) if is_address else answers.Done()


def test_a_changed_server_is_told_what_it_had_joined() -> None:
    """So that it can leave a domain with the account that joined it."""
    call = asked(Verb.UPDATE_SHARE_SERVER, replace(SPEC, security_services=(NEW,)))[-1]
    assert (call.request.security_services, call.request.former_security_services) == ((NEW,), (OLD,))


def test_a_server_that_goes_is_told_what_it_had_joined() -> None:
    """For the same reason."""
    call = asked(Verb.DELETE_SHARE_SERVER, None)[0]
    assert (call.server.security_services, call.server.allocations) == ((OLD,), (ALLOCATION,))
