"""Habits of clients that others wrote, each seen with Manila's client, Ansible's modules or Trident."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.emulators.ontap.client import Client
    from tests.emulators.ontap.server import Emulator


def test_all_of_an_object_may_be_asked_for_with_a_star(client: Client) -> None:
    """`fields=transport.*` is `fields=transport`."""
    (record,) = client.get("/protocols/nfs/services?svm.name=vs1&fields=transport.*").records
    assert record["transport"]["tcp_max_transfer_size"] == 65536


def test_job_has_its_link_whatever_the_client_accepts(client: Client) -> None:
    """Some clients know a job by its link alone, and accept plain JSON."""
    got = client.send("POST", "/svm/svms", {"name": "s1"}, Accept="application/json")
    assert client.get(got.body["job"]["_links"]["self"]["href"].removeprefix("/api")).status == 200


def test_root_aggregates_are_asked_for_on_the_command_line(client: Client) -> None:
    """REST does not say which aggregates are for the nodes' own volumes."""
    assert [one["aggregate"] for one in client.get("/private/cli/aggr?root=true").records] == ["aggr0_n1", "aggr0_n2"]
    details = "/private/cli/network/interface/capacity/details?fields=limit_for_node,count_for_node"
    assert [one["count_for_node"] for one in client.get(details).records] == [2, 1]


def test_snapshot_directory_of_old_releases(client: Client) -> None:
    """Before 9.13.1 it is hidden on the command line only."""
    path = "/private/cli/volume?vserver=vs1&volume=vs1_root"
    assert client.patch(path, {"snapdir_access": "false"}).status == 200
    (root,) = client.get("/storage/volumes?name=vs1_root&fields=snapshot_directory_access_enabled").records
    assert root["snapshot_directory_access_enabled"] is False
    assert client.patch(path, {"pizza": "true"}).code == 262197
    assert client.patch("/private/cli/volume?vserver=vs1&volume=none", {"snapdir_access": "false"}).code == 4


def test_offline_volume_is_found_by_its_error_state(client: Client) -> None:
    """What clients look a volume up by before they delete it."""
    body = {"svm": "vs1", "name": "v", "style": "flexvol", "aggregates": ["aggr1"], "size": "1GB"}
    assert client.post("/storage/volumes?return_timeout=60", body).status == 201
    assert client.patch("/storage/volumes?name=v&return_timeout=60", {"state": "offline"}).status == 200
    found = client.get("/storage/volumes/?style=flex*&error_state.is_inconsistent=false&name=v&fields=name,style")
    assert found.body["num_records"] == 1


def test_lif_may_be_named_again_where_the_path_names_it(client: Client) -> None:
    """Kerberos on a LIF: its name in the body is fine as long as it is the right one."""
    (lif,) = client.get("/network/ip/interfaces?name=vs1_nas_1").records
    path = f"/protocols/nfs/kerberos/interfaces/{lif['uuid']}"
    assert client.patch(path, {"interface.name": "vs1_nas_1", "enabled": False}).code == 3276861
    assert client.patch(path, {"interface.name": "vs1_nas_2", "enabled": False}).code == 262196


@pytest.mark.parametrize(("gets_domain", "shown"), [(False, "bob"), (True, "EXAMPLE\\bob")])
def test_account_without_its_domain(client: Client, emulator: Emulator, shown: str, *, gets_domain: bool) -> None:
    """It is shown as it was named, or with its domain by switch; either way there is one entry for it."""
    emulator.world.settings.accounts_get_domain = gets_domain
    acl = {"user_or_group": "BOB", "type": "windows", "permission": "read"}
    share = {"svm": "vs1", "name": "s", "path": "/", "acls": [acl]}
    assert client.post("/protocols/cifs/shares", share).status == 201
    (record,) = client.get("/protocols/cifs/shares?name=s&fields=acls").records
    assert [one["user_or_group"] for one in record["acls"]] == [shown]
    path = f"/protocols/cifs/shares/{record['svm']['uuid']}/s/acls"
    assert client.post(path, {**acl, "user_or_group": "example\\bob"}).code == 1


def test_first_key_alone_stands_for_all_that_have_it(client: Client) -> None:
    """`/protocols/cifs/shares/{svm.uuid}?name=…` is how some clients remove one share; without a condition nothing is removed."""
    (svm,) = client.get("/svm/svms?name=vs1").records
    mine = f"/protocols/cifs/shares/{svm['uuid']}"
    assert {one["name"] for one in client.get(mine).records} == {"admin$", "c$", "ipc$"}
    assert client.post("/protocols/cifs/shares", {"svm": "vs1", "name": "s", "path": "/", "acls": []}).status == 201
    assert client.delete(mine).code == 262212
    assert client.delete(f"{mine}?name=s").status == 200
    assert client.delete(f"{mine}?name=s").code == 4


def test_command_line_knows_svms(client: Client) -> None:
    """The largest number of volumes is set there by clients of old releases."""
    assert client.patch("/private/cli/vserver?vserver=vs1", {"max_volumes": "200"}).status == 200
    (shown,) = client.get("/private/cli/vserver?vserver=vs1&fields=max_volumes,ipspace").records
    assert (shown["max_volumes"], shown["ipspace"]) == ("200", "Default")
    assert client.patch("/private/cli/vserver?vserver=vs9", {"max_volumes": "1"}).code == 4
    assert client.get("/private/cli/version?fields=version").records[0]["version"]["major"] == 16


def test_ports_leave_a_broadcast_domain_on_the_command_line(client: Client) -> None:
    """REST moves a port to another domain, and takes it out of none."""
    path = "/private/cli/network/port/broadcast-domain/remove-ports?ipspace=Default&broadcast-domain"
    assert client.patch(f"{path}=Default", {"ports": ["n1:e0c"]}).code == 1377608
    assert client.patch(f"{path}=Default", {"ports": ["n1:e9z"]}).code == 4
    assert client.patch(f"{path}=none", {"ports": []}).code == 4
    assert client.patch(f"{path}=Default", {"ports": ["n1:e0d"]}).status == 200
    assert "broadcast_domain" not in client.get("/network/ethernet/ports?name=e0d&node.name=n1&fields=*").records[0]


def test_no_fields_at_all_may_be_asked_for(client: Client) -> None:
    """`fields=` gives what a collection shows by itself."""
    got = client.get("/svm/svms?name=vs1&fields=")
    assert got.records == client.get("/svm/svms?name=vs1").records


def test_administrator_of_an_svm_may_write_to_the_event_log(client: Client) -> None:
    """Clients tell the array about themselves, whatever they are logged in to."""
    client.login = "vsadmin"
    fields = ("app_version", "category", "computer_name", "event_description", "event_source")
    body = {**dict.fromkeys(fields, "x"), "event_id": 1, "severity": "notice", "autosupport_required": False}
    assert client.post("/support/ems/application-logs", body).status == 201
