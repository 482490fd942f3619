"""A share server whose making or removal was cut short anywhere: the next call finishes it, or leaves no trace, knowing its id alone."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from sharectl.drivers.base import TransientError
from tests.drivers.ontap.share_servers.arrays import domain, new_request, ref_of, servers_of

if TYPE_CHECKING:
    from sharectl.model.requests import ShareServerRequest
    from tests.emulators.ontap.server import Emulator

MAKING: Final = 14
"""IPspace, broadcast domain, two ports, SVM, the policy of closed shares, that of its root, its root volume, two LIFs, route, NFS, DNS, CIFS."""
REMOVING: Final = 6
"""CIFS, SVM, two ports, broadcast domain, IPspace."""

ONE_SERVER: Final = {
    "Ipspace": 1,
    "BroadcastDomain": 1,
    "Port": 2,
    "Svm": 1,
    "Volume": 1,
    "ExportPolicy": 3,
    "Lif": 2,
    "Route": 1,
    "NfsService": 1,
    "DnsService": 1,
    "CifsService": 1,
}


def changes(emulator: Emulator) -> int:
    """Return how many changes were asked for."""
    return sum(asked.method != "GET" for asked in emulator.calls.all())


def shape(emulator: Emulator) -> dict[str, int]:
    """Return how many objects of each kind there are."""
    return {kind: len(rows) for kind, rows in emulator.dump().items()}


def cut(emulator: Emulator, method: str, step: int, *, done: bool) -> None:
    """Let the connection end at one of the changes, before it was made or after; who is killed there leaves the same."""
    emulator.fault("cut", method, "/*", where="before", done=done, skip=step, times=1)


def make(emulator: Emulator, request: ShareServerRequest) -> None:
    """Make the server as a process does that is killed at the first failure."""
    with suppress(TransientError):
        servers_of(emulator).create(request)


def test_these_are_all_the_changes(emulator: Emulator) -> None:
    """So that the tests below meet every one."""
    request = new_request(domain())
    made = servers_of(emulator).create(request)
    assert changes(emulator) == MAKING
    emulator.calls.clear()
    servers_of(emulator).delete(ref_of(request, made))
    assert changes(emulator) == REMOVING


@pytest.mark.parametrize("step", range(MAKING))
def test_a_creation_that_was_cut_short_is_finished_or_swept(emulator: Emulator, step: int) -> None:
    """Repeated it ends as if nothing had happened; removed by its id it leaves nothing, also no account in the domain."""
    before, empty = emulator.dump(), shape(emulator)
    request = new_request(domain())
    cut(emulator, "P*", step, done=True)
    make(emulator, request)
    assert emulator.faults.met["cut"] == 1
    made = servers_of(emulator).create(request)
    assert made.healthy, made.problem
    added = {kind: number - empty.get(kind, 0) for kind, number in shape(emulator).items()}
    assert {kind: added[kind] for kind in ONE_SERVER} == ONE_SERVER
    servers_of(emulator).delete(ref_of(request, made))
    assert emulator.dump() == before
    cut(emulator, "P*", step, done=True)
    make(emulator, request)
    servers_of(emulator).delete(ref_of(request))
    assert emulator.dump() == before


@pytest.mark.parametrize("step", range(REMOVING))
def test_a_removal_that_was_cut_short_is_finished(emulator: Emulator, step: int) -> None:
    """Also where the VLAN's IPspace has the id of a server that went before it."""
    before = emulator.dump()
    first, second = new_request(), new_request(domain(), number=1)
    gone = servers_of(emulator).create(first)
    made = servers_of(emulator).create(second)
    servers_of(emulator).delete(ref_of(first, gone))
    cut(emulator, "DELETE", step, done=True)
    with suppress(TransientError):
        servers_of(emulator).delete(ref_of(second, made))
    assert emulator.faults.met["cut"] == 1
    servers_of(emulator).delete(ref_of(second, made))
    assert emulator.dump() == before


@pytest.mark.parametrize("step", [0, 1, 3])
def test_what_a_creation_left_before_its_svm_is_listed(emulator: Emulator, step: int) -> None:
    """As a server that is not well, so that a state which lost it sees it; not where another server is there."""
    empty, request = shape(emulator)["Ipspace"], new_request()
    cut(emulator, "P*", step, done=True)
    make(emulator, request)
    (seen,) = [server for server in servers_of(emulator).list() if server.resource_id is not None]
    assert (seen.resource_id, seen.healthy) == (request.resource_id, False)
    assert "cut short" in seen.problem
    other = new_request(number=1)
    made = servers_of(emulator).create(other)
    ours = {server.resource_id: server for server in servers_of(emulator).list() if server.resource_id is not None}
    assert ours[other.resource_id] == made
    servers_of(emulator).delete(ref_of(request))
    servers_of(emulator).delete(ref_of(other, made))
    assert shape(emulator)["Ipspace"] == empty


def test_killed_after_any_change_it_is_finished_by_another_process(emulator: Emulator) -> None:
    """The maker, and the remover: real processes, and SIGKILL."""
    before = emulator.dump()
    script = Path(__file__).with_name("killed_child.py")
    arguments = (str(emulator.port), str(emulator.ca_file), emulator.login.password, str(MAKING))
    answer = subprocess.run(
        [sys.executable, "-m", f"{__package__}.{script.stem}", *arguments], check=True, capture_output=True, text=True
    )
    told = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [each["maker"] for each in told] == [True] * MAKING
    assert [each["remover"] for each in told] == [step < REMOVING for step in range(MAKING)]
    assert all(each["healthy"] and each["left"] == [] for each in told)
    assert emulator.dump() == before
