"""Services of SVMs in the emulator, and the directories that they talk to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.emulators.ontap.surroundings import account_resolved, directory_of, set_directory
from tests.emulators.ontap.svm_records import CifsService

if TYPE_CHECKING:
    from tests.emulators.ontap.client import Client
    from tests.emulators.ontap.server import Emulator

CIFS = "/protocols/cifs/services"
ADMINISTRATOR = {"fqdn": "example.com", "user": "Administrator", "password": "Secret-1"}


@pytest.fixture
def svm(client: Client, emulator: Emulator) -> str:
    """Make an SVM with a LIF and name servers, and return its UUID."""
    made = client.post("/svm/svms?return_timeout=60&return_records=true", {"name": "s1"})
    home = {"home_node": "n1", "home_port": "e0c"}
    lif = {"name": "l1", "svm": "s1", "ip": {"address": "10.0.0.61", "netmask": "24"}, "location": home}
    assert client.post("/network/ip/interfaces", lif).status == 201
    dns = {"svm": "s1", "domains": ["example.com"], "servers": ["10.0.0.2"]}
    assert client.post("/name-services/dns", dns).status == 201
    emulator.world.pass_time(10)
    return str(made.records[0]["uuid"])


def join(client: Client, name: str = "S1", query: str = "", **domain: str) -> Any:  # noqa: ANN401 - an answer
    """Make the CIFS server of the SVM."""
    body = {"svm": "s1", "name": name, "ad_domain": {**ADMINISTRATOR, **domain}}
    return client.post(f"{CIFS}?return_timeout=60{query}", body)


def test_nfs_has_the_defaults_of_the_tables(client: Client, svm: str) -> None:
    """Version 3 is on and version 4 is off unless asked for; there is one NFS server for each SVM."""
    assert client.post("/protocols/nfs/services", {"svm": "s1", "protocol": {"v41_enabled": True}}).status == 201
    record = client.get(f"/protocols/nfs/services/{svm}").body
    assert (record["enabled"], record["protocol"]["v3_enabled"], record["protocol"]["v41_enabled"]) == (
        True,
        True,
        True,
    )
    assert record["access_cache_config"]["ttl_positive"] == 60
    assert client.post("/protocols/nfs/services", {"svm": "s1"}).code == 1
    changed = {"transport.tcp_max_transfer_size": 4096}
    assert client.patch(f"/protocols/nfs/services/{svm}", changed).code == 262197
    assert client.delete(f"/protocols/nfs/services/{svm}").status == 200


def test_cifs_server_joins_and_leaves(client: Client, emulator: Emulator, svm: str) -> None:
    """Its machine account is in the domain until it leaves with credentials."""
    assert join(client, "s1").status == 201
    assert client.get(f"{CIFS}/{svm}").body["name"] == "S1"
    assert "password" not in str(client.get(f"{CIFS}/{svm}?fields=**").body)
    assert "S1" in directory_of(emulator.world).domains[0].machines
    assert join(client).code == 655477
    assert client.delete(f"{CIFS}/{svm}").code == 655525
    wrong = {"ad_domain": {"user": "Administrator", "password": "no"}}
    assert client.delete(f"{CIFS}/{svm}?return_timeout=60", wrong).code == 656464
    right = {"ad_domain": {"user": "EXAMPLE\\Administrator", "password": "Secret-1"}}
    assert client.delete(f"{CIFS}/{svm}?return_timeout=60", right).status == 200
    assert "S1" not in directory_of(emulator.world).domains[0].machines


def test_cifs_server_removed_by_force_leaves_its_machine_account(client: Client, emulator: Emulator, svm: str) -> None:
    """The next server of that name finds it there, and takes it over when told to."""
    join(client)
    assert client.delete(f"{CIFS}/{svm}?return_timeout=60&force=true").status == 200
    assert "S1" in directory_of(emulator.world).domains[0].machines
    assert join(client).code == 656465
    assert join(client, query="&force=true").status == 201


@pytest.mark.parametrize(
    ("name", "domain", "code"),
    [
        ("S1", {"password": "wrong"}, 656464),
        ("S1", {"user": "nobody"}, 656464),
        ("TAKEN", {}, 656465),
        ("S1", {"fqdn": "elsewhere.org"}, 656466),
        ("S1", {"organizational_unit": "OU=Nowhere"}, 656467),
        ("MUCHTOOLONGANAME", {}, 262197),
        ("S 1", {}, 655563),
        ("VS1", {}, 655538),
    ],
)
def test_cifs_server_that_cannot_join(client: Client, svm: str, name: str, domain: dict[str, str], code: int) -> None:
    """Each reason has its code, and leaves no server behind."""
    assert join(client, name, **domain).code == code
    assert client.get(f"{CIFS}?svm.uuid={svm}").body["num_records"] == 0


def test_domain_that_does_not_answer(client: Client, emulator: Emulator, svm: str) -> None:
    """No controller is reached: not without name servers that know it, and not while all of them are down."""
    directory = directory_of(emulator.world)
    set_directory(emulator.world, directory.with_domain(replace(directory.domains[0], is_answering=False)))
    assert join(client).code == 656466
    set_directory(emulator.world, directory)
    client.patch(f"/name-services/dns/{svm}", {"servers": ["10.0.0.77"]})
    assert join(client).code == 656466
    client.patch(f"/name-services/dns/{svm}", {"servers": ["10.0.0.3"]})
    assert join(client).status == 201


def test_accounts_are_spelt_as_the_directory_does(client: Client, emulator: Emulator, svm: str) -> None:
    """Names are found whatever their case, with and without their domain; unknown ones are not."""
    join(client)
    resolved = {
        name: account_resolved(emulator.world, svm, name) for name in ("example\\BOB", "alice", "nobody", "x\\bob")
    }
    assert resolved == {"example\\BOB": "EXAMPLE\\bob", "alice": "EXAMPLE\\alice", "nobody": None, "x\\bob": None}
    assert account_resolved(emulator.world, svm, "administrators") == "BUILTIN\\Administrators"
    assert account_resolved(emulator.world, svm, "bob@example.com") == "EXAMPLE\\bob"


def test_preferred_controllers_may_come_before_the_server(client: Client, svm: str) -> None:
    """They are listed, and removed by domain and address."""
    path = f"/protocols/cifs/domains/{svm}/preferred-domain-controllers"
    assert client.post(path, {"fqdn": "example.com", "server_ip": "10.0.0.2"}).status == 201
    (one,) = client.get(f"{path}?fields=*").records
    assert (one["server_ip"], one["status"]["reachable"]) == ("10.0.0.2", True)
    join(client)
    assert client.patch(f"/protocols/cifs/domains/{svm}", {"server_discovery_mode": "none"}).status == 200
    assert client.delete(f"{path}/example.com/10.0.0.2").status == 200


@pytest.mark.parametrize(
    ("servers", "domains", "code"),
    [
        (["10.0.0.99"], ["a.b"], 8847399),
        (["10.0.0.2"] + [f"10.0.1.{last}" for last in range(3)], ["a.b"], 8847362),
        (["10.0.0.2"], [f"d{number}.org" for number in range(7)], 8847361),
        ([], ["a.b"], 23724157),
    ],
)
def test_name_servers_are_asked(client: Client, svm: str, servers: list[str], domains: list[str], code: int) -> None:
    """One that does not answer is refused, unless it is not to be checked."""
    assert client.patch(f"/name-services/dns/{svm}", {"servers": servers, "domains": domains}).code == code
    unchecked = {"servers": ["10.0.0.99"], "skip_config_validation": True}
    assert client.patch(f"/name-services/dns/{svm}", unchecked).status == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"servers": ["10.0.0.4"], "bind_dn": "cn=reader,dc=example,dc=com", "bind_password": "Secret-3"}, None),
        ({"servers": ["10.0.0.4"], "bind_dn": "cn=reader,dc=example,dc=com", "bind_password": "no"}, 4915265),
        ({"servers": ["10.0.0.77"]}, 4915258),
        ({"servers": ["10.0.0.4"], "ad_domain": "example.com"}, 262186),
        ({"servers": ["10.0.0.4"], "schema": "own"}, 4915203),
        ({"ad_domain": "example.com", "bind_dn": "joiner@example.com", "bind_password": "Secret-2"}, None),
        ({"ad_domain": "elsewhere.org"}, 4915258),
    ],
)
def test_ldap_is_tried(client: Client, svm: str, body: dict[str, Any], code: int | None) -> None:
    """The bind is tried at once; a password is never shown."""
    assert client.post("/name-services/ldap", {"svm": "s1", **body}).code == code
    shown = client.get(f"/name-services/ldap?svm.uuid={svm}&fields=**").body
    assert shown["num_records"] == (code is None)
    assert "Secret" not in str(shown)


def test_kerberos_is_switched_on_each_lif(client: Client, svm: str) -> None:
    """It takes a realm; what is so already is said; NFS stays while it is on."""
    client.post("/protocols/nfs/services", {"svm": "s1"})
    (lif,) = client.get("/network/ip/interfaces?svm.name=s1").records
    path = f"/protocols/nfs/kerberos/interfaces/{lif['uuid']}"
    switched = {"enabled": True, "spn": "nfs/s1.example.com@EXAMPLE.COM", "user": "u", "password": "p"}
    assert client.patch(path, switched).code == 4
    realm = {"svm": "s1", "name": "EXAMPLE.COM", "kdc": {"ip": "10.0.0.2", "vendor": "other"}}
    assert client.post("/protocols/nfs/kerberos/realms", realm).status == 201
    assert client.post("/protocols/nfs/kerberos/realms", realm).code == 1
    assert client.patch(path, switched).status == 200
    assert client.patch(path, switched).code == 3276861
    assert client.get(f"{path}?fields=*").body["spn"] == switched["spn"]
    assert client.delete(f"/protocols/nfs/services/{svm}").code == 3277008
    assert client.patch(path, {"enabled": False}).status == 200
    assert client.delete(f"/protocols/nfs/services/{svm}").status == 200


def test_tables_of_names(client: Client, svm: str) -> None:
    """Hosts, UNIX users and groups, and mappings are added once, changed and removed."""
    host = {"owner": {"name": "s1"}, "address": "10.0.0.9", "hostname": "h1", "aliases": ["h"]}
    assert client.post("/name-services/local-hosts", host).status == 201
    assert client.post("/name-services/local-hosts", host).code == 1
    assert client.patch(f"/name-services/local-hosts/{svm}/10.0.0.9", {"hostname": "h2"}).status == 200
    assert client.get(f"/name-services/local-hosts?owner.uuid={svm}&fields=*").records[0]["hostname"] == "h2"
    assert client.delete(f"/name-services/local-hosts/{svm}/10.0.0.9").status == 200
    user = {"svm": "s1", "name": "bob", "id": 1000, "primary_gid": 100}
    assert client.post("/name-services/unix-users", user).status == 201
    assert client.patch(f"/name-services/unix-users/{svm}/bob", {"full_name": "Bob"}).status == 200
    assert client.delete(f"/name-services/unix-users/{svm}/bob").status == 200
    mapping = {
        "svm": {"name": "s1"},
        "direction": "win_unix",
        "index": 1,
        "pattern": "(.+)\\\\(.+)",
        "replacement": "\\2",
    }
    assert client.post("/name-services/name-mappings", mapping).status == 201
    assert client.patch(f"/name-services/name-mappings/{svm}/win_unix/1?new_index=3", {}).status == 200
    assert client.delete(f"/name-services/name-mappings/{svm}/win_unix/3").status == 200


def test_bodies_of_what_is_in_no_table_may_be_dotted(client: Client, svm: str) -> None:
    """UNIX groups and name mappings take the SVM in each way in which others take it."""
    for number, named in enumerate(({"svm.name": "s1"}, {"svm": "s1"}, {"svm": {"uuid": svm}}), start=1):
        assert client.post("/name-services/unix-groups", {**named, "name": f"g{number}", "id": number}).status == 201
        mapping = {**named, "direction": "krb_unix", "index": number, "pattern": "a", "replacement": "b"}
        assert client.post("/name-services/name-mappings", mapping).status == 201
    assert client.delete(f"/name-services/unix-groups/{svm}/g1").status == 200
    assert client.get(f"/name-services/unix-groups?svm.uuid={svm}").body["num_records"] == 2


def test_local_cifs_users(client: Client, emulator: Emulator, svm: str) -> None:
    """They need a CIFS server, and are accounts of it."""
    body = {"svm": "s1", "name": "guest1", "password": "Secret-9"}
    assert client.post("/protocols/cifs/local-users", body).code == 655399
    join(client)
    assert client.post("/protocols/cifs/local-users", body).status == 201
    (user,) = client.get(f"/protocols/cifs/local-users?svm.uuid={svm}&fields=*").records
    assert (user["name"], "Secret" in str(user)) == ("S1\\guest1", False)
    assert account_resolved(emulator.world, svm, "GUEST1") == "S1\\guest1"
    assert client.delete(f"/protocols/cifs/local-users/{svm}/{user['sid']}").status == 200


def test_fixture_is_joined(emulator: Emulator) -> None:
    """The SVM of the fixture has a CIFS server in the domain."""
    (service,) = emulator.world[CifsService]
    assert (service.name, service.domain) == ("VS1", "EXAMPLE.COM")
