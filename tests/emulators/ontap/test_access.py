"""Who may do what: passwords and certificates, roles, and calls confined to an SVM."""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING

import pytest
import urllib3

from tests.emulators.ontap.client import Client
from tests.emulators.ontap.logins import LEAST_PRIVILEGE, LEAST_PRIVILEGED

if TYPE_CHECKING:
    from pathlib import Path

    from tests.emulators.ontap.server import Emulator

SVM = {"X-Dot-SVM-Name": "vs1"}


def account(name: str, role: str, **more: object) -> dict[str, object]:
    """Return the body that makes an account."""
    applications = [{"application": "http", "authentication_methods": ["password"]}]
    return {"name": name, "password": f"Emulated-{name}-1", "role": role, "applications": applications, **more}


@pytest.mark.parametrize("header", ["Basic d3Jvbmc6d3Jvbmc=", "Basic ???", "Bearer abc", ""])
def test_a_wrong_login_is_refused(emulator: Emulator, client: Client, header: str) -> None:
    """401 with the array's code, whatever was asked for."""
    got = client.send("GET", "/cluster", authorization=header)
    assert (got.status, got.code) == (401, 6691623)
    assert emulator.calls.codes() == {"6691623": 1}


def test_no_login_at_all_is_refused(emulator: Emulator) -> None:
    """Nothing may be read without one."""
    with urllib3.PoolManager(ca_certs=str(emulator.ca_file)) as pool:
        response = pool.request("GET", f"{emulator.url}/cluster")
    assert (response.status, json.loads(response.data)["error"]["code"]) == (401, "6691623")


def test_a_client_certificate_is_a_login(emulator: Emulator, tmp_path: Path) -> None:
    """Its common name is the account, which must allow certificates."""
    statuses = {}
    for name in ("admin", "monitor", "nobody"):
        file = tmp_path / f"{name}.pem"
        emulator.ca.issue_cert("client", common_name=name).private_key_and_cert_chain_pem.write_to_path(str(file))
        context = ssl.create_default_context(cafile=str(emulator.ca_file))
        context.load_cert_chain(str(file))
        with urllib3.PoolManager(ssl_context=context) as pool:
            statuses[name] = pool.request("GET", f"{emulator.url}/cluster/nodes").status
    assert statuses == {"admin": 200, "monitor": 401, "nobody": 401}


def test_a_role_is_held_to(client: Client, emulator: Emulator) -> None:
    """The longest prefix decides; what is not listed is refused; the release may be read by all."""
    privileges = [
        {"path": "/api/network", "access": "readonly"},
        {"path": "/api/network/ipspaces", "access": "read_create"},
        {"path": "/api/network/ip/routes", "access": "none"},
    ]
    assert client.post("/security/roles", {"name": "net", "privileges": privileges}).status == 201
    assert client.post("/security/accounts", account("nettie", "net")).status == 201
    nettie = Client(emulator, "nettie")
    assert nettie.get("/cluster").status == 200
    assert nettie.get("/network/ethernet/ports").status == 200
    assert nettie.post("/network/ipspaces", {"name": "i1"}).status == 201
    for got in (
        nettie.delete("/network/ipspaces?name=i1"),
        nettie.get("/network/ip/routes"),
        nettie.get("/svm/svms"),
        nettie.patch("/cluster", {"name": "x"}),
    ):
        assert (got.status, got.code) == (403, 6)


def test_privileges_change_at_once(client: Client, emulator: Emulator) -> None:
    """By their own path, whose slashes are escaped in it."""
    client.post("/security/roles", {"name": "net", "privileges": [{"path": "/api/network", "access": "readonly"}]})
    client.post("/security/accounts", account("nettie", "net"))
    role = client.get("/security/roles?name=net").records[0]
    where = f"/security/roles/{role['owner']['uuid']}/net/privileges"
    assert client.post(where, {"path": "/api/svm/svms", "access": "readonly"}).status == 201
    assert Client(emulator, "nettie").get("/svm/svms").status == 200
    assert client.patch(f"{where}/%2Fapi%2Fsvm%2Fsvms", {"access": "none"}).status == 200
    assert Client(emulator, "nettie").get("/svm/svms").status == 403
    assert client.delete(f"{where}/%2Fapi%2Fsvm%2Fsvms").status == 200
    assert [each["path"] for each in client.get(where).records] == ["/api/network"]
    assert client.patch(f"{where}/%2Fapi%2Fnetwork", {"access": "some"}).code == 262197


def test_an_account_can_be_locked_and_its_password_changed(client: Client, emulator: Emulator) -> None:
    """And nobody ever reads a password."""
    client.post("/security/accounts", account("bob", "readonly"))
    assert Client(emulator, "bob").get("/cluster").status == 200
    assert "password" not in client.get("/security/accounts?name=bob&fields=**").records[0]
    client.patch("/security/accounts?name=bob", {"locked": True})
    assert Client(emulator, "bob").get("/cluster").status == 401
    client.patch("/security/accounts?name=bob", {"locked": False, "password": "another-one"})
    assert Client(emulator, "bob").get("/cluster").status == 401
    client.delete("/security/accounts?name=bob")
    assert client.get("/security/accounts?name=bob").body["num_records"] == 0


def test_what_is_tunnelled_sees_one_svm(client: Client) -> None:
    """By the name or the UUID in the header; another SVM in the body is refused, as is one that does not exist."""
    client.post("/svm/svms?return_timeout=30", {"name": "vs2"})
    uuid = client.get("/svm/svms?name=vs1").records[0]["uuid"]
    for headers in (SVM, {"X-Dot-SVM-UUID": uuid}):
        records = client.send("GET", "/svm/svms", **headers).records
        assert [each["name"] for each in records] == ["vs1"]
    policy = {"name": "p1", "svm": {"name": "vs2"}}
    assert client.send("POST", "/protocols/nfs/export-policies", policy, **SVM).code == 262188
    assert client.send("POST", "/protocols/nfs/export-policies", {"name": "p1"}, **SVM).status == 201
    assert client.send("GET", "/svm/svms", **{"X-Dot-SVM-Name": "nobody"}).code == 2621462
    other = {"X-Dot-SVM-Name": "vs1", "X-Dot-SVM-UUID": client.get("/svm/svms?name=vs2").records[0]["uuid"]}
    assert client.send("GET", "/svm/svms", **other).code == 2621706


def test_an_svm_login_is_confined_to_its_svm(client: Client, emulator: Emulator) -> None:
    """It sees its own, may not look at the cluster, and may not tunnel elsewhere."""
    client.post("/svm/svms?return_timeout=30", {"name": "vs2"})
    vsadmin = Client(emulator, "vsadmin")
    assert [each["name"] for each in vsadmin.get("/svm/svms").records] == ["vs1"]
    assert vsadmin.send("GET", "/svm/svms", **SVM).status == 200
    assert vsadmin.send("GET", "/svm/svms", **{"X-Dot-SVM-Name": "vs2"}).code == 6
    assert vsadmin.post("/protocols/nfs/export-policies", {"name": "p", "svm": {"name": "vs2"}}).code == 6
    for path in ("/cluster/nodes", "/storage/aggregates", "/network/ipspaces", "/network/ethernet/ports"):
        assert (vsadmin.get(path).status, vsadmin.get(path).code) == (403, 6)
    assert vsadmin.get("/cluster").status == 200


def test_an_svm_login_sees_only_its_own_jobs(client: Client, emulator: Emulator) -> None:
    """Those of other SVMs are not there."""
    client.post("/svm/svms?return_timeout=30", {"name": "vs2"})
    vsadmin = Client(emulator, "vsadmin")
    own = vsadmin.patch(f"/svm/svms/{vsadmin.get('/svm/svms').records[0]['uuid']}?return_timeout=5", {"comment": "a"})
    assert own.status == 200
    assert [each["uuid"] for each in vsadmin.get("/cluster/jobs").records] == [own.body["job"]["uuid"]]
    assert client.get("/cluster/jobs").body["num_records"] == 2


@pytest.mark.parametrize("column", [0, 1, 2])
def test_the_accounts_of_least_privilege_have_exactly_the_table(emulator: Emulator, column: int) -> None:
    """Each path that their column lists may be read, and no other one."""
    client = Client(emulator, LEAST_PRIVILEGED[column])
    paths = [path.removeprefix("/api") for path in LEAST_PRIVILEGE if "private" not in path]
    for path in paths:
        collection = {
            "/storage/quota": "/storage/quota/rules",
            "/protocols/nfs/kerberos": "/protocols/nfs/kerberos/realms",
        }
        may = LEAST_PRIVILEGE[f"/api{path}"][column] != "none"
        assert (path, client.get(collection.get(path, path)).status != 403) == (path, may)
    assert client.get("/security/accounts").status == 403
    assert client.get("/network/ip/subnets").status == 403
