"""Neutron refusing, slow or gone while share servers are made and removed, and sharectl killed meanwhile: the next apply converges, nothing leaks."""

from __future__ import annotations

import json
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.network.cloud import BACKEND, FROM_THEN_ON
from tests.network.proxy import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.network.cloud import NeutronCloud

SERVER = f"share_server/red-default@{BACKEND}"


def refusal(status: int, kind: str, message: str) -> dict[str, Any]:
    """Return the fields of a fault in which Neutron refuses in its own words."""
    content = {"NeutronError": {"type": kind, "message": message, "detail": ""}}
    return {"effect": "status", "status": status, "content": json.dumps(content).encode()}


FAULTS: dict[str, dict[str, Any]] = {
    "gone from then on": {"effect": "cut", "times": FROM_THEN_ON},
    "answer lost": {"effect": "lose"},
    "quota used up": refusal(409, "OverQuota", "Quota exceeded for resources: ['port']."),
    "forbidden": refusal(403, "PolicyNotAuthorized", "rule:create_port is disallowed by policy"),
    "broken": refusal(500, "HTTPInternalServerError", "Request Failed: internal server error"),
}
"""What befalls a request; only the first kind is tried on those of the planning too, which all end alike."""


@pytest.fixture
def red(cloud: NeutronCloud) -> NeutronCloud:
    """Give a repository with a tenant and a share, not applied yet."""
    cloud.add_tenant()
    cloud.write(a="red")
    return cloud


@pytest.mark.parametrize("kind", FAULTS)
def test_whichever_request_it_befalls_the_next_apply_converges(red: NeutronCloud, kind: str) -> None:
    """Each request of making a share server, and each of removing it: what is left over is accounted for, and gone or used after one more apply."""
    first = 1 if kind == "gone from then on" else 4  # planning a removal takes 3 requests, planning a server 4
    for number in range(first, 100):
        befell = red.upset(Fault("", "", first=number, **FAULTS[kind]), "apply", "--yes")
        red.check_accounted()
        if not befell:
            assert number > 7
            red.check(servers=1)
            return
        red.apply()
        red.check(servers=1)
        befell = red.upset(Fault("", "", first=number, **FAULTS[kind]), "destroy", "--yes")
        red.check_accounted()
        assert befell is (number <= 5)
        if befell:
            red.destroy()
        red.check(servers=0)


@pytest.mark.parametrize("kind", ["answer lost", "quota used up"])
def test_whichever_request_of_a_repair_it_befalls_the_address_stays(red: NeutronCloud, kind: str) -> None:
    """The port was deleted by hand; the share server and its shares stay, and the next apply has the address again."""
    red.apply()
    address = next(iter(red.ports().values()))
    for number in range(2, 100):  # planning takes one request where there are no ports
        for port_id in red.ports():
            red.neutron.api("DELETE", f"/ports/{port_id}")
        befell = red.upset(Fault("", "", first=number, **FAULTS[kind]), "apply", "--yes")
        red.check_accounted()
        if not befell:
            assert number > 6
            return
        red.apply()
        red.check(servers=1)
        assert list(red.ports().values()) == [address]


class Moment(NamedTuple):
    """When a process is killed: before a request is passed on (`cut`), or after Neutron did what it asked for (`lose`)."""

    effect: str
    number: int
    method: str = ""

    def fault(self, kill: Callable[[], None]) -> Fault:
        """Return what kills it then."""
        return Fault(self.method, "", self.effect, first=self.number, action=kill)


MAKING = [Moment("cut", number) for number in range(1, 8)] + [Moment("lose", 1, "POST")]
REMOVING = [Moment("cut", number) for number in range(1, 6)] + [Moment("lose", 1, "DELETE")]


def test_killed_at_any_request_it_is_taken_up_by_the_next_apply(red: NeutronCloud) -> None:
    """Of making a share server, and of removing it; before Neutron has the request, and after it did what changes something."""
    for making, removing in zip_longest(MAKING, REMOVING):
        red.killed(making.fault, "apply", "--yes")
        red.check_accounted()
        red.apply()
        red.check(servers=1)
        if removing is not None:
            red.killed(removing.fault, "destroy", "--yes")
            red.check_accounted()
        red.destroy()
        red.check(servers=0)
    red.apply()
    assert len(red.proxy.requests) == 7, "each of them had its turn"
    red.destroy()
    assert len(red.proxy.requests) == 5, "as above"


def test_neutron_killed_in_the_middle_and_started_again(red: NeutronCloud) -> None:
    """After it made a port: sharectl says what it does not know, and the next apply finds what Neutron kept."""
    red.proxy.add("POST", "/ports", "lose", action=red.neutron.kill)
    try:
        ended = red("apply", "--yes")
        assert ended.code == 1
        assert "Neutron cannot be asked to create a port" in ended.out
        assert "what it may have left could not be removed" in ended.out
        assert red("plan").code == 1
    finally:
        red.neutron.start()
    red.check_accounted()
    (left,) = red.ports()
    red.apply()
    red.check(servers=1)
    assert left not in red.ports(), (
        "the server is made under an id of its own, and what was left for the other one is gone"
    )


def test_a_short_outage_is_sat_out(red: NeutronCloud) -> None:
    """Within one apply, by the attempts that the backend's manifest allows."""
    red.backend["attempts"] = 3
    red.write(a="red")
    red.proxy.add("POST", "/ports", "lose")
    red.proxy.add("POST", "/ports", "status", status=503, headers={"Retry-After": "0"})
    red.apply()
    red.check(servers=1)
    red.proxy.add("DELETE", "/ports", "lose")
    red.destroy()
    red.check(servers=0)


@pytest.mark.parametrize("attempts", [1, 2])
def test_a_slow_neutron_that_makes_the_port_after_it_was_given_up(red: NeutronCloud, attempts: int) -> None:
    """The apply fails, or succeeds by another port; the late one is found by refresh, and removed by the next apply."""
    red.backend["attempts"] = attempts
    red.network_config["timeoutSeconds"] = 10
    red.write(a="red")
    held = red.proxy.add("POST", "/ports", "hold")
    ended = red("apply", "--yes")
    assert ended.code == (1 if attempts == 1 else 0)
    assert "Neutron did not answer within 10 s" in ended.out + ended.err
    red.network_config["timeoutSeconds"] = 30
    red.write(a="red")
    held.released.set()
    assert held.finished.wait(300)
    assert len(red.ports()) == attempts
    red.apply()
    red.check(servers=1)
    assert red.steps() == []


def test_a_quota_that_is_used_up_says_how_to_mend_it(red: NeutronCloud) -> None:
    """Neutron's own; the share waits, nothing is made."""
    used = red.neutron.api("GET", "/quotas/fake_project_id/details.json")["quota"]["port"]["used"]
    red.neutron.api("PUT", "/quotas/fake_project_id", {"quota": {"port": used}})
    try:
        ended = red("apply", "--yes")
    finally:
        red.neutron.api("DELETE", "/quotas/fake_project_id")
    assert ended.code == 1
    assert "openstack quota set --ports" in ended.out + ended.err
    red.check(servers=0)
    red.apply()
    red.check(servers=1)


def test_a_subnet_without_a_free_address_is_said_by_the_plan(cloud: NeutronCloud) -> None:
    """Before anything is made: strangers have them all."""
    subnet = cloud.add_tenant(allocation_pools=[{"start": "10.20.0.10", "end": "10.20.0.12"}])
    cloud.add_strangers(subnet)
    cloud.write(a="red")
    ended = cloud("plan")
    assert ended.code == 1
    assert "10.20.0.0/24 has too few addresses: 0 free of 3, 1 wanted" in ended.out + ended.err


class TestPlanningWithoutNeutron:
    """What Neutron does not tell is unknown, never gone."""

    @pytest.fixture
    def away(self, red: NeutronCloud) -> NeutronCloud:
        """Give the repository, applied, and Neutron gone."""
        red.apply()
        red.proxy.add("", "", "cut", times=FROM_THEN_ON)
        return red

    def test_what_is_there_stays_as_the_state_knows_it(self, away: NeutronCloud) -> None:
        """A warning says that it is unknown, which is no success unless it is meant; nothing is to be done."""
        planned = away("plan")
        assert planned.code == 1
        assert away("plan", "--allow-unreadable", "sim").code == 0
        assert "the network service of backend sim could not be read" in planned.err
        assert "Neutron cannot be asked to list ports" in planned.err
        assert "Whether its share servers still have their addresses is not known" in planned.err
        assert "No changes" in planned.out
        assert "gone" not in planned.out
        refreshed = away("refresh")
        assert refreshed.code == 1, "nobody may take it for a clean bill"
        assert "the network service of backend sim could not be read" in refreshed.err
        away.proxy.faults.clear()
        away.check(servers=1)

    def test_a_new_share_waits_where_it_needs_a_share_server(self, away: NeutronCloud) -> None:
        """The plan says that the network service could not be asked; a share on a server that is there is made."""
        away.write(a="red", b="red")
        made = away("apply", "--yes", "--allow-unreadable", "sim")
        assert (made.code, "1 created" in made.out) == (0, True), made.out + made.err
        away.proxy.faults.clear()
        away.add_tenant("blue", cidr="10.30.0.0/24")
        away.write(a="red", b="red", c="blue")
        away.proxy.add("", "", "cut", times=FROM_THEN_ON)
        planned = away("plan")
        assert planned.code == 1
        assert "the network service could not be asked: Neutron cannot be asked" in planned.err + planned.out
        away.proxy.faults.clear()
        away.apply()
        away.check(servers=2)

    def test_an_unused_server_is_removed_when_neutron_is_back(self, away: NeutronCloud) -> None:
        """Its port cannot be given back now, and is not forgotten."""
        away.write()
        away("destroy", "--yes")
        away.proxy.faults.clear()
        away.check_accounted()
        away.destroy()
        away.check(servers=0)
