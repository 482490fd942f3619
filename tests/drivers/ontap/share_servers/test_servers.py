"""Share servers on an array: made, mended and removed, with nothing left and nothing twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import ConflictError, DriverError, NotFoundError, ShareInUseError
from sharectl.drivers.ontap.share_servers.names import segment_name
from tests.drivers.ontap.share_servers.arrays import array_of, new_request, ref_of, servers_of

if TYPE_CHECKING:
    from sharectl.drivers.ontap.client import Array
    from sharectl.model.observed import ObservedShareServer
    from tests.emulators.ontap.server import Emulator


def ours(emulator: Emulator) -> list[ObservedShareServer]:
    """Return the share servers that sharectl made, as a process that knows nothing of them lists them."""
    return [server for server in servers_of(emulator).list() if server.resource_id is not None]


def vlan_ports(array: Array, tag: int = 1010) -> list[str]:
    """Return the ports of a VLAN, with their nodes and IPspaces."""
    fields = ("name", "node.name", "broadcast_domain.ipspace.name")
    found = array.records("network/ethernet/ports", query={"type": "vlan", "vlan.tag": tag}, fields=fields)
    return sorted(
        f"{port['node']['name']}:{port['name']} {port['broadcast_domain']['ipspace']['name']}" for port in found
    )


def make_svm(array: Array, name: str, ipspace: str) -> str:
    """Make an SVM as an administrator does; return its UUID."""
    array.post("svm/svms", {"name": name, "ipspace": {"name": ipspace}})
    return str(array.records("svm/svms", query={"name": name})[0]["uuid"])


def make_volume(array: Array, svm: str, name: str) -> str:
    """Make a volume as an administrator does; return its UUID."""
    body = {"svm": {"name": svm}, "name": name, "size": 1 << 30, "aggregates": [{"name": "aggr1"}], "style": "flexvol"}
    array.post("storage/volumes", body)
    return str(array.records("storage/volumes", query={"svm.name": svm, "name": name})[0]["uuid"])


def test_a_server_comes_up_whole_by_few_calls(emulator: Emulator) -> None:
    """With DNS 15 at most; its root volume has a policy of its own, and `default` stays empty."""
    request = new_request()
    servers = servers_of(emulator)
    assert servers.list()
    emulator.calls.clear()
    made = servers.create(request)
    polls = emulator.calls.counted()["GET /network/ip/interfaces"]
    assert len(emulator.calls) - polls + 1 <= 14
    assert (made.healthy, made.ip_addresses) == (True, ("10.9.0.10", "10.9.0.11"))
    assert ours(emulator) == [made]
    array = array_of(emulator)
    svm = f"sharectl_{request.resource_id.replace('-', '')}"
    (default,) = array.records(
        "protocols/nfs/export-policies", query={"svm.name": svm, "name": "default"}, fields=("rules",)
    )
    assert not default.get("rules")
    (root,) = array.records("storage/volumes", query={"svm.name": svm}, fields=("nas.export_policy.name",))
    assert root["nas"]["export_policy"]["name"] == "sharectl_root"
    lifs = array.records(
        "network/ip/interfaces", query={"svm.name": svm}, fields=("location.home_node.name", "services")
    )
    assert sorted(lif["location"]["home_node"]["name"] for lif in lifs) == ["n1", "n2"]
    assert all("data_nfs" in lif["services"] for lif in lifs)


@pytest.mark.parametrize("tag", [1010, None])
@pytest.mark.parametrize("family", [4, 6])
def test_what_was_made_is_removed_without_a_trace(emulator: Emulator, tag: int | None, family: int) -> None:
    """On a VLAN and on a flat network, with addresses of either family; removal goes by few calls."""
    before = emulator.dump()
    servers = servers_of(emulator)
    request = new_request(tag=tag, family=family)
    made = servers.create(request)
    assert made.healthy, made.problem
    assert ours(emulator) == [made]
    assert servers.create(request) == made
    emulator.calls.clear()
    servers.delete(ref_of(request, made))
    assert len(emulator.calls) <= 12
    assert emulator.dump() == before
    servers.delete(ref_of(request, made))


def test_networks_on_one_vlan_share_an_ipspace_and_its_ports(emulator: Emulator) -> None:
    """In any order of removal: the last one takes it along."""
    before = emulator.dump()
    servers = servers_of(emulator)
    first, second = new_request(), new_request(number=1)
    made = [servers.create(first), servers.create(second)]
    place = segment_name(1010, first.resource_id)
    assert vlan_ports(array_of(emulator)) == [f"n1:e0d-1010 {place}", f"n2:e0d-1010 {place}"]
    servers.delete(ref_of(first, made[0]))
    assert ours(emulator) == [made[1]]
    assert made[1].healthy
    servers.delete(ref_of(second, made[1]))
    assert emulator.dump() == before


def test_networks_on_one_vlan_have_one_mtu(emulator: Emulator) -> None:
    """A second one that says another is refused; alone, the server gets what is asked for."""
    servers = servers_of(emulator)
    first = new_request()
    servers.create(first)
    with pytest.raises(ConflictError, match="MTU of 1500 for other"):
        servers.create(new_request(number=1, mtu=1400))
    changed = replace(first, allocations=tuple(replace(each, mtu=1400) for each in first.allocations))
    servers.create(changed)
    (found,) = array_of(emulator).records(
        "network/ethernet/broadcast-domains", query={"name": segment_name(1010, first.resource_id)}, fields=("mtu",)
    )
    assert found["mtu"] == 1400


def test_a_vlan_that_somebody_else_has_is_not_touched(emulator: Emulator) -> None:
    """The server is refused, and what was made for it goes again."""
    array = array_of(emulator)
    body = {
        "type": "vlan",
        "node": {"name": "n2"},
        "vlan": {"base_port": {"name": "e0d", "node": {"name": "n2"}}, "tag": 1010},
    }
    array.post(
        "network/ethernet/ports", {**body, "broadcast_domain": {"name": "Default", "ipspace": {"name": "Default"}}}
    )
    before = emulator.dump()
    servers = servers_of(emulator)
    request = new_request()
    with pytest.raises(ConflictError, match="the IPspace Default"):
        servers.create(request)
    servers.delete(ref_of(request))
    assert emulator.dump() == before


def test_six_servers_come_up_at_once(emulator: Emulator) -> None:
    """An array makes five SVMs at a time; some share a VLAN, and an administrator makes SVMs as well."""
    emulator.fault("refuse", "POST", "/svm/svms", code=13434894, message="Too many jobs.", times=3)
    before = emulator.dump()
    servers = servers_of(emulator)
    requests = [new_request(number=number, tag=1010 + number % 2) for number in range(6)]
    with ThreadPoolExecutor(len(requests)) as pool:
        made = list(pool.map(servers.create, requests))
    assert all(server.healthy for server in made)
    assert sorted(ours(emulator)) == sorted(made)
    assert len(vlan_ports(array_of(emulator))) == len(vlan_ports(array_of(emulator), 1011)) == 2
    with ThreadPoolExecutor(len(requests)) as pool:
        list(pool.map(servers.delete, map(ref_of, requests, made)))
    assert emulator.dump() == before


def test_two_processes_that_begin_with_one_vlan_end_in_one_ipspace(emulator: Emulator) -> None:
    """Each has its own locks; the one whose port comes second moves over."""
    before = emulator.dump()
    requests = [new_request(), new_request(number=1)]
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda request: servers_of(emulator).create(request), requests))
    assert len(vlan_ports(array_of(emulator))) == 2
    assert sorted(ours(emulator)) == sorted(made)
    for request, server in zip(requests, made, strict=True):
        servers_of(emulator).delete(ref_of(request, server))
    assert emulator.dump() == before


# Health


def damage(emulator: Emulator, what: str, svm: str) -> None:
    """Do as an administrator who does not know whose the SVM is."""
    array = array_of(emulator)
    lifs = array.records("network/ip/interfaces", query={"svm.name": svm})
    uuid = array.records("svm/svms", query={"name": svm})[0]["uuid"]
    (policy,) = array.records("protocols/nfs/export-policies", query={"svm.name": svm, "name": "sharectl_root"})
    if what == "stopped":
        array.patch(("svm/svms", uuid), {"state": "stopped"})
    elif what == "without NFS":
        array.delete(("protocols/nfs/services", uuid))
    elif what == "NFS off":
        array.patch(("protocols/nfs/services", uuid), {"enabled": False})
    elif what == "LIF disabled":
        array.patch(("network/ip/interfaces", lifs[0]["uuid"]), {"enabled": False})
    elif what == "LIF gone":
        array.delete(("network/ip/interfaces", lifs[0]["uuid"]))
    elif what == "root closed":
        (root,) = array.records("storage/volumes", query={"svm.name": svm, "is_svm_root": True})
        array.patch(("storage/volumes", root["uuid"]), {"nas": {"export_policy": {"name": "default"}}})
    elif what == "root opened":
        rules = [{"clients": [{"match": "0.0.0.0/0"}], "ro_rule": ["any"], "rw_rule": ["any"], "superuser": ["any"]}]
        array.patch(("protocols/nfs/export-policies", policy["id"]), {"rules": rules})


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("stopped", "is stopped"),
        ("without NFS", "NFS server is off"),
        ("NFS off", "NFS server is off"),
        ("LIF disabled", "is disabled"),
        ("LIF gone", "1 of its 2 LIFs"),
        ("root closed", "not under the export policy sharectl_root"),
        ("root opened", "the rules of its export policy sharectl_root were changed"),
    ],
)
def test_what_is_wrong_is_told_and_mended(emulator: Emulator, what: str, said: str) -> None:
    """By the same call that makes a server; its volumes stay."""
    servers = servers_of(emulator)
    request = new_request()
    made = servers.create(request)
    svm = f"sharectl_{request.resource_id.replace('-', '')}"
    make_volume(array_of(emulator), svm, "data")
    whole = emulator.dump()
    damage(emulator, what, svm)
    (seen,) = ours(emulator)
    assert not seen.healthy
    assert said in seen.problem
    assert servers.create(request) == made
    assert ours(emulator) == [made]
    assert emulator.dump().keys() == whole.keys()


def test_a_lif_away_from_home_is_well(emulator: Emulator) -> None:
    """Its node is down, and the other one serves its address."""
    servers = servers_of(emulator)
    made = servers.create(new_request())
    emulator.change("node_down", node="n1")
    (seen,) = ours(emulator)
    assert (seen.healthy, seen.ip_addresses) == (True, made.ip_addresses)


def test_an_svm_that_was_renamed_is_still_the_server(emulator: Emulator) -> None:
    """Its comment says whose it is, and keeps what others wrote there."""
    servers = servers_of(emulator)
    request = new_request()
    made = servers.create(request)
    array = array_of(emulator)
    comment = array.records(
        "svm/svms", query={"name": f"sharectl_{request.resource_id.replace('-', '')}"}, fields=("comment",)
    )[0]["comment"]
    array.patch(("svm/svms", made.backend_id), {"name": "tenant_red", "comment": f"{comment}; ask Bob"})
    assert ours(emulator) == [made]
    assert servers.create(request) == made
    assert array.get(("svm/svms", made.backend_id), fields=("comment",))["comment"].endswith("; ask Bob")


def test_foreign_svms_are_listed_as_nobodys(emulator: Emulator) -> None:
    """With the addresses that they serve data on, and nothing more is said of them."""
    (seen,) = servers_of(emulator).list()
    assert (seen.resource_id, seen.name, seen.healthy) == (None, "vs1", True)
    assert "10.0.0.11" in seen.ip_addresses
    assert servers_of(emulator).list([]) == []
    assert servers_of(emulator).list(["x"]) == []


# Changes


def test_a_server_moves_to_other_addresses(emulator: Emulator) -> None:
    """Also where they are those of each other, and to more of them."""
    servers = servers_of(emulator)
    request = new_request()
    servers.create(request)
    first, second = request.allocations
    swapped = (replace(first, ip_address=second.ip_address), replace(second, ip_address=first.ip_address))
    third = replace(first, allocation_id=f"{request.resource_id}/2", ip_address="10.9.0.99")
    for allocations in (swapped, (*swapped, third), (first,)):
        changed = servers.update(replace(request, allocations=allocations))
        assert changed.ip_addresses == tuple(sorted(each.ip_address for each in allocations))
        assert changed.healthy, changed.problem
        assert ours(emulator) == [changed]


def test_an_address_that_another_svm_has_is_a_conflict(emulator: Emulator) -> None:
    """On a flat network, where all are in one IPspace."""
    request = new_request(tag=None, count=1)
    taken = replace(
        request,
        allocations=(replace(request.allocations[0], ip_address="10.0.0.11", cidr="10.0.0.0/24", gateway=None),),
    )
    with pytest.raises(ConflictError, match=r"10\.0\.0\.11 is in use"):
        servers_of(emulator).create(taken)


def test_a_server_that_is_not_there_is_not_changed(emulator: Emulator) -> None:
    """Nothing is made."""
    before = emulator.dump()
    with pytest.raises(NotFoundError):
        servers_of(emulator).update(new_request())
    assert emulator.dump() == before


def test_a_port_that_is_not_there_is_refused(emulator: Emulator) -> None:
    """The node is named, or the array's own words."""
    from sharectl.drivers.ontap.share_servers.settings import Home  # noqa: PLC0415 - needed here alone

    for tag in (None, 1010):
        with pytest.raises(DriverError, match="e0x"):
            servers_of(emulator, homes=(Home("n1", "e0x"),)).create(new_request(tag=tag, count=1))


# Removal


def test_a_server_with_a_volume_is_not_removed(emulator: Emulator) -> None:
    """Whoever made it; nothing of the server is touched."""
    servers = servers_of(emulator)
    request = new_request()
    made = servers.create(request)
    array = array_of(emulator)
    volume = make_volume(array, f"sharectl_{request.resource_id.replace('-', '')}", "foreign")
    whole = emulator.dump()
    with pytest.raises(ShareInUseError, match=r"1 volume is in the SVM .*: foreign"):
        servers.delete(ref_of(request, made))
    assert emulator.dump() == whole
    array.delete(("storage/volumes", volume))
    servers.delete(ref_of(request, made))
    assert ours(emulator) == []


def test_what_somebody_else_put_on_the_vlan_stays(emulator: Emulator) -> None:
    """The server goes; its ports stay until the other is gone, which is said."""
    before = emulator.dump()
    servers = servers_of(emulator)
    request = new_request()
    made = servers.create(request)
    array = array_of(emulator)
    place = segment_name(1010, request.resource_id)
    stranger = make_svm(array, "stranger", place)
    home = {"home_node": {"name": "n1"}, "home_port": {"name": "e0d-1010", "node": {"name": "n1"}}}
    ip = {"address": "10.9.0.77", "netmask": "24"}
    array.post("network/ip/interfaces", {"name": "x", "svm": {"name": "stranger"}, "ip": ip, "location": home})
    with pytest.raises(ConflictError, match="the SVM stranger, which sharectl did not make"):
        servers.delete(ref_of(request, made))
    assert ours(emulator) == []
    assert len(vlan_ports(array)) == 2
    array.delete(("svm/svms", stranger))
    servers.delete(ref_of(request, made))
    assert emulator.dump() == before


def test_a_foreign_port_in_our_ipspace_is_not_removed(emulator: Emulator) -> None:
    """It is physical: somebody moved it there."""
    servers = servers_of(emulator)
    request = new_request()
    made = servers.create(request)
    array = array_of(emulator)
    place = segment_name(1010, request.resource_id)
    (port,) = array.records("network/ethernet/ports", query={"name": "e0c", "node.name": "n2"})
    for lif in array.records(
        "network/ip/interfaces", query={"location.home_port.name": "e0c", "location.home_node.name": "n2"}
    ):
        array.delete(("network/ip/interfaces", lif["uuid"]))
    array.patch(
        ("network/ethernet/ports", port["uuid"]), {"broadcast_domain": {"name": place, "ipspace": {"name": place}}}
    )
    with pytest.raises(ConflictError, match="e0c of n2"):
        servers.delete(ref_of(request, made))
    array.patch(
        ("network/ethernet/ports", port["uuid"]),
        {"broadcast_domain": {"name": "Default", "ipspace": {"name": "Default"}}},
    )
    servers.delete(ref_of(request, made))
    assert vlan_ports(array) == []
