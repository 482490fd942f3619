"""The life of an SVM in the emulator: from its job to its teardown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.emulators.ontap.client import Client
    from tests.emulators.ontap.server import Emulator

SVMS = "/svm/svms"
NOW = f"{SVMS}?return_timeout=60"


def svm(name: str = "s1", **more: object) -> dict[str, Any]:
    """Return the body that makes an SVM."""
    return {"name": name, "aggregates": [{"name": "aggr1"}, {"name": "aggr2"}], **more}


def shown(client: Client, name: str = "s1") -> dict[str, Any]:
    """Return the record of an SVM."""
    (record,) = client.get(f"{SVMS}?name={name}&fields=*").records
    return record


def test_svm_is_made_by_a_job(client: Client, emulator: Emulator) -> None:
    """It shows as initializing, may not be used, and then runs with what each SVM has."""
    emulator.world.clock.scale = 0.0
    assert client.post(SVMS, svm(comment="sharectl:1")).status == 202
    assert shown(client)["state"] == "initializing"
    assert (
        client.post("/name-services/dns", {"svm": "s1", "domains": ["a.b"], "servers": ["10.0.0.2"]}).code == 13434916
    )
    emulator.world.pass_time(30)
    record = shown(client)
    assert (record["state"], record["comment"], record["ipspace"]["name"]) == ("running", "sharectl:1", "Default")
    assert [one["name"] for one in record["aggregates"]] == ["aggr1", "aggr2"]
    (root,) = client.get("/storage/volumes?svm.name=s1&fields=is_svm_root,nas.path,nas.export_policy.name").records
    assert (root["name"], root["is_svm_root"], root["nas"]["path"]) == ("s1_root", True, "/")
    (policy,) = client.get("/protocols/nfs/export-policies?svm.name=s1&fields=rules").records
    assert (policy["name"], policy.get("rules", [])) == ("default", [])
    assert client.get("/network/ip/service-policies?svm.name=s1&name=default-data-files").body["num_records"] == 1


def test_svm_is_made_at_once_for_who_waits(client: Client) -> None:
    """With `return_timeout` the answer is 201, with the address of what was made."""
    got = client.post(NOW, svm())
    assert got.status == 201
    assert client.get(got.headers["location"].removeprefix("/api")).body["state"] == "running"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (svm("x" * 48), 13434911),
        (svm("vs1"), 13434908),
        (svm("Default"), 13434908),
        (svm("c1"), 13434908),
        (svm(ipspace="nowhere"), 13434912),
        (svm(aggregates=[{"name": "aggr0_n1"}]), 917597),
        (svm(aggregates=[{"name": "aggr9"}]), 917508),
        (svm(nsswitch={"namemap": ["dns"]}), 23724038),
    ],
)
def test_svm_that_cannot_be(client: Client, body: dict[str, Any], code: int) -> None:
    """Names are taken once among SVMs, IPspaces and the cluster; what an SVM is to stand on has to be there."""
    assert client.post(NOW, body).code == code


def test_no_room_for_the_root_volume(client: Client, emulator: Emulator) -> None:
    """A full aggregate takes no SVM."""
    emulator.world.taken_bytes["aggr1"] = 10 * 2**40
    assert client.post(NOW, svm(aggregates=[{"name": "aggr1"}])).code == 13434914


def test_five_at_once(client: Client, emulator: Emulator) -> None:
    """The sixth creation or deletion at a time is refused, until one of the five has ended."""
    emulator.world.clock.scale = 0.0
    assert [client.post(SVMS, svm(f"s{number}")).status for number in range(5)] == [202] * 5
    assert client.post(SVMS, svm("s5")).code == 13434894
    assert client.post(SVMS, svm("s0")).code == 13434894
    emulator.world.pass_time(30)
    assert client.post(NOW, svm("s5")).status == 201


def test_job_that_failed_before_anything_leaves_nothing(client: Client, emulator: Emulator) -> None:
    """The name is free again."""
    emulator.fault("job_fails", "POST", "/svm/svms", times=1, code=13434889)
    assert client.post(NOW, svm()).code == 13434889
    assert client.get(f"{SVMS}?name=s1").body["num_records"] == 0
    assert client.post(NOW, svm()).status == 201


def test_inline_services(client: Client) -> None:
    """Interfaces, routes, DNS and NFS may be asked for together with the SVM."""
    lif = {
        "name": "l1",
        "ip": {"address": "10.0.0.60", "netmask": "24"},
        "location": {"home_node": {"name": "n1"}, "broadcast_domain": {"name": "Default"}},
        "service_policy": "default-data-files",
    }
    services = {"dns": {"domains": ["example.com"], "servers": ["10.0.0.2"]}, "nfs": {"enabled": True}}
    assert client.post(NOW, svm(ip_interfaces=[lif], routes=[{"gateway": "10.0.0.254"}], **services)).status == 201
    record = shown(client)
    assert (record["nfs"]["enabled"], record["dns"]["servers"]) == (True, ["10.0.0.2"])
    assert record["ip_interfaces"][0]["ip"]["address"] == "10.0.0.60"


def test_changes(client: Client) -> None:
    """Name, comment, aggregates and what it runs are changed by PATCH; a stopped SVM serves nothing."""
    client.post(NOW, svm())
    uuid = shown(client)["uuid"]
    body = {"name": "s2", "comment": "c", "aggregates": [{"name": "aggr2"}], "nsswitch.passwd": ["ldap", "files"]}
    assert client.patch(f"{SVMS}/{uuid}?return_timeout=10", body).status == 200
    record = shown(client, "s2")
    assert [one["name"] for one in record["aggregates"]] == ["aggr2"]
    assert (record["nsswitch"]["passwd"], record["comment"]) == (["ldap", "files"], "c")
    client.patch(f"{SVMS}/{uuid}?return_timeout=10", {"state": "stopped"})
    assert shown(client, "s2")["state"] == "stopped"
    assert client.post("/protocols/nfs/services", {"svm": "s2"}).code == 3276916
    assert client.patch(f"{SVMS}/{uuid}", {"retention_period": 12}).code == 262179


def test_teardown(client: Client, emulator: Emulator) -> None:
    """Volumes and a joined CIFS server are in the way; all else goes with the SVM."""
    before = emulator.dump()
    client.post(NOW, svm())
    uuid = shown(client)["uuid"]
    home = {"home_node": "n1", "home_port": "e0c"}
    lif = {"name": "l1", "svm": "s1", "ip": {"address": "10.0.0.61", "netmask": "24"}, "location": home}
    assert client.post("/network/ip/interfaces", lif).status == 201
    client.post("/network/ip/routes", {"svm": "s1", "gateway": "10.0.0.254"})
    client.post("/name-services/dns", {"svm": "s1", "domains": ["example.com"], "servers": ["10.0.0.2"]})
    client.post("/name-services/local-hosts", {"owner": {"name": "s1"}, "address": "10.0.0.9", "hostname": "h"})
    emulator.world.pass_time(10)
    domain = {"fqdn": "example.com", "user": "Administrator", "password": "Secret-1"}
    joined = client.post("/protocols/cifs/services?return_timeout=60", {"svm": "s1", "name": "S1", "ad_domain": domain})
    assert joined.status == 201
    volume = {"svm": "s1", "name": "v", "style": "flexvol", "aggregates": ["aggr1"], "size": "1GB"}
    assert client.post("/storage/volumes?return_timeout=60", volume).status == 201
    assert client.delete(f"{SVMS}/{uuid}?return_timeout=60").code == 2621525
    leaving = {"ad_domain": {"user": "Administrator", "password": "Secret-1"}}
    assert client.delete(f"/protocols/cifs/services/{uuid}?return_timeout=60", leaving).status == 200
    assert client.delete(f"{SVMS}/{uuid}?return_timeout=60").code == 917531
    (made,) = client.get("/storage/volumes?name=v&svm.name=s1").records
    assert client.delete(f"/storage/volumes/{made['uuid']}?return_timeout=60").status == 200
    assert shown(client)["number_of_volumes_in_recovery_queue"] == 1
    assert client.delete(f"{SVMS}/{uuid}?return_timeout=60").status == 200
    assert emulator.dump() == before


def test_svm_that_is_being_deleted(client: Client, emulator: Emulator) -> None:
    """It says so, and cannot be deleted twice."""
    client.post(NOW, svm())
    uuid = shown(client)["uuid"]
    emulator.world.clock.scale = 0.0
    assert client.delete(f"{SVMS}/{uuid}").status == 202
    assert shown(client)["state"] == "deleting"
    assert client.delete(f"{SVMS}/{uuid}").code == 13434915
    emulator.world.pass_time(30)
    assert client.delete(f"{SVMS}/{uuid}").code == 4
