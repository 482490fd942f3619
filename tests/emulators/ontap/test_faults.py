"""What goes wrong when it is told to: each fault as a client meets it."""

from __future__ import annotations

import email.utils
import http.client
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import urllib3

from tests.emulators.ontap.faults import KINDS
from tests.emulators.ontap.server import serving
from tests.emulators.ontap.surroundings import directory_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.emulators.ontap.client import Client
    from tests.emulators.ontap.server import Emulator

BROKEN = (urllib3.exceptions.ProtocolError, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError)
IPSPACE = {"name": "i1"}


def made(client: Client) -> int:
    """Count the IPspaces that the test made."""
    return int(client.get("/network/ipspaces?name=i*").body["num_records"])


def vs1(client: Client) -> str:
    """Return the address of the SVM of the fixture."""
    return f"/svm/svms/{client.get('/svm/svms?name=vs1').records[0]['uuid']}"


def test_a_call_can_be_slow(emulator: Emulator, client: Client) -> None:
    """On the paths and methods that match alone."""
    emulator.fault("latency", "GET", "/network/*", seconds=0.2)
    began = time.monotonic()
    client.get("/network/ipspaces")
    assert time.monotonic() - began >= 0.2
    client.get("/cluster")
    assert emulator.faults.met == {"latency": 1}


def test_requests_at_once_are_counted(emulator: Emulator, client: Client) -> None:
    """The most that there were."""
    emulator.fault("latency", seconds=0.5)
    client.pool = urllib3.HTTPSConnectionPool(
        "127.0.0.1", emulator.port, ca_certs=str(emulator.ca_file), maxsize=3, retries=False
    )
    with ThreadPoolExecutor(3) as threads:
        assert [got.status for got in threads.map(client.get, ["/cluster"] * 3)] == [200] * 3
    assert 1 <= emulator.calls.most_at_once <= 3
    client.pool.close()


@pytest.mark.parametrize(("status", "code"), [(503, 7), (429, 262160)])
def test_the_array_can_be_busy(emulator: Emulator, client: Client, status: int, code: int) -> None:
    """`Retry-After` in seconds; only so many calls are met, and none of them is done."""
    emulator.fault("unavailable", "POST", status=status, retry_after=7, times=2)
    for _ in range(2):
        got = client.post("/network/ipspaces", IPSPACE)
        assert (got.status, got.code, got.headers["retry-after"]) == (status, code, "7")
    assert made(client) == 0
    assert client.post("/network/ipspaces", IPSPACE).status == 201


def test_a_gateway_can_answer_without_json(emulator: Emulator, client: Client) -> None:
    """And give a date after which to try again."""
    emulator.fault("unavailable", json=False, retry_after=120, as_date=True, times=1)
    response = client.pool.request("GET", "/api/cluster")
    assert (response.status, response.data[:6]) == (503, b"<html>")
    assert email.utils.parsedate_to_datetime(response.headers["retry-after"]).timestamp() > time.time() + 60


@pytest.mark.parametrize("where", ["before", "headers", "middle"])
def test_a_connection_can_be_cut(emulator: Emulator, client: Client, where: str) -> None:
    """Before the headers, after them, and in the body; a read is none the worse when it is sent again."""
    emulator.fault("cut", "GET", where=where, times=1)
    with pytest.raises(BROKEN):
        client.get("/cluster")
    assert client.get("/cluster").status == 200


def test_headers_that_end_in_the_middle_look_like_an_empty_answer(emulator: Emulator, client: Client) -> None:
    """To a client that does not ask whether there is JSON in it, with the status that was read before the cut."""
    emulator.fault("cut", "POST", where="head", done=False, times=1)
    basic = urllib3.make_headers(basic_auth="admin:" + emulator.login.password)
    response = client.pool.request("POST", "/api/network/ipspaces", body=b'{"name": "i1"}', headers=basic)
    assert (response.status, response.data, made(client)) == (200, b"", 0)


@pytest.mark.parametrize("done", [True, False])
def test_an_answer_can_be_lost(emulator: Emulator, client: Client, done: bool) -> None:  # noqa: FBT001 - a parameter
    """The client cannot tell whether the call was done."""
    emulator.fault("cut", "POST", "/network/ipspaces", done=done, times=1)
    with pytest.raises(BROKEN):
        client.post("/network/ipspaces", IPSPACE)
    assert made(client) == int(done)


def test_a_kept_connection_can_be_closed_under_a_request(emulator: Emulator, client: Client) -> None:
    """Nothing is done; a new connection is served."""
    client.get("/cluster")
    emulator.fault("close_kept", "POST")
    with pytest.raises(BROKEN):
        client.post("/network/ipspaces", IPSPACE)
    assert client.post("/network/ipspaces", IPSPACE).status == 201
    assert made(client) == 1


def test_a_connection_serves_a_hundred_requests(client: Client) -> None:
    """The last answer says that it closes."""
    answers = [client.get("/cluster").headers.get("connection") for _ in range(100)]
    assert answers == [None] * 99 + ["close"]
    assert client.get("/cluster").headers["keep-alive"] == "timeout=5, max=100"
    assert client.get("/cluster").status == 200


def test_an_idle_connection_is_closed(tmp_path: Path) -> None:
    """After some seconds, as the array says it does."""
    with (
        serving(tmp_path) as emulator,
        socket.create_connection(("127.0.0.1", emulator.port)) as raw,
        ssl.create_default_context(cafile=str(emulator.ca_file)).wrap_socket(raw, server_hostname="127.0.0.1") as kept,
    ):
        kept.settimeout(300)
        kept.sendall(b"OPTIONS /api/cluster HTTP/1.1\r\nHost: x\r\n\r\n")
        assert kept.recv(65_536).startswith(b"HTTP/1.1 401")
        while kept.recv(65_536):
            pass


@pytest.mark.parametrize("done", [True, False])
def test_a_job_can_fail(emulator: Emulator, client: Client, done: bool) -> None:  # noqa: FBT001 - a parameter
    """After its work, or having done nothing."""
    path = vs1(client)
    emulator.fault("job_fails", "PATCH", "/svm/svms/*", code=917536, message="it failed", done=done, times=1)
    got = client.patch(f"{path}?return_timeout=15", {"comment": "a"})
    assert (got.status, got.code, got.body["error"]["message"]) == (500, 917536, "it failed")
    assert client.get(path).body["comment"] == ("a" if done else "")


def test_a_job_can_run_on(emulator: Emulator, client: Client) -> None:
    """Longer than anybody waits."""
    path = vs1(client)
    emulator.fault("job_runs", "PATCH", seconds=200, times=1)
    got = client.patch(f"{path}?return_timeout=120", {"comment": "a"})
    job = f"/cluster/jobs/{got.body['job']['uuid']}"
    assert (got.status, client.get(job).body["state"], client.get(path).body["comment"]) == (202, "running", "")
    emulator.world.pass_time(100)
    assert (client.get(job).body["state"], client.get(path).body["comment"]) == ("success", "a")


def test_the_record_of_a_job_can_be_gone_at_once(emulator: Emulator, client: Client) -> None:
    """Which says nothing of how it went."""
    path = vs1(client)
    emulator.fault("job_gone", "PATCH", times=1)
    got = client.patch(path, {"comment": "a"})
    emulator.world.pass_time(30)
    assert client.get(f"/cluster/jobs/{got.body['job']['uuid']}").code == 4
    assert client.get(path).body["comment"] == "a"


def test_a_lock_can_last_a_while(emulator: Emulator, client: Client) -> None:
    """Writes are refused until it is over."""
    emulator.fault("refuse", "P*", code=2621573, message="temporarily locked", for_seconds=60)
    assert client.post("/network/ipspaces", IPSPACE).code == 2621573
    assert client.get("/network/ipspaces").status == 200
    emulator.world.pass_time(60)
    assert client.post("/network/ipspaces", IPSPACE).status == 201


def test_a_page_can_end_early(emulator: Emulator, client: Client) -> None:
    """Even with nothing on it; what follows `next` brings the rest."""
    emulator.fault("page_short", "GET", "/network/ethernet/ports", times=1)
    emulator.fault("page_short", "GET", "/network/ethernet/ports", records=1, times=1)
    pages = list(client.pages("/network/ethernet/ports"))
    whole = client.get("/network/ethernet/ports").records
    assert [len(page.records) for page in pages] == [0, 1, len(whole) - 1]
    assert [each for page in pages for each in page.records] == whole


def test_pages_can_be_out_of_order_and_overlap(emulator: Emulator, client: Client) -> None:
    """No record is left out, and some come twice."""
    emulator.fault("page_mixed", "GET")
    records = [each["uuid"] for page in client.pages("/network/ethernet/ports?max_records=2") for each in page.records]
    emulator.faults.clear()
    whole = [each["uuid"] for each in client.get("/network/ethernet/ports").records]
    assert set(records) == set(whole)
    assert len(records) > len(whole)


def test_the_world_can_change_just_before_a_call(emulator: Emulator, client: Client) -> None:
    """Another's room is taken, a licence is withdrawn, a role loses a path."""
    emulator.fault("change", "POST", "/network/ipspaces", name="take_space", aggregate="aggr1", size=2**30, times=1)
    emulator.fault("change", "POST", "/network/ipspaces", name="remove_license", package="snaprestore", times=1)
    client.post("/network/ipspaces", IPSPACE)
    assert emulator.world.taken_bytes == {"aggr1": 2**30}
    assert client.get("/cluster/licensing/licenses?name=snaprestore&fields=state").records[0]["state"] == "unlicensed"


def test_a_node_can_be_down(emulator: Emulator, client: Client) -> None:
    """Its LIFs are at its partner's, and come home with it."""
    lifs = "/network/ip/interfaces?services=data_nfs&location.home_node.name=n1&fields=location"
    emulator.change("node_down", node="n1")
    assert client.get("/cluster/nodes?state=down").records[0]["name"] == "n1"
    assert {(each["location"]["node"]["name"], each["location"]["is_home"]) for each in client.get(lifs).records} == {
        ("n2", False)
    }
    emulator.change("node_up", node="n1")
    assert {(each["location"]["node"]["name"], each["location"]["is_home"]) for each in client.get(lifs).records} == {
        ("n1", True)
    }


def test_an_svm_can_be_stopped(emulator: Emulator, client: Client) -> None:
    """By somebody else."""
    emulator.change("svm_state", svm="vs1", state="stopped")
    assert client.get(f"{vs1(client)}?fields=state").body["state"] == "stopped"


def test_a_role_can_lose_a_path(emulator: Emulator, client: Client) -> None:
    """Of a named account."""
    client.login = "sharectl"
    assert client.get("/storage/aggregates").status == 200
    emulator.change("deny_path", account="sharectl", path="/api/storage/aggregates")
    assert client.get("/storage/aggregates").status == 403


def test_an_account_can_be_unknown_to_the_directory(emulator: Emulator) -> None:
    """Where it was known before, whatever the case; a whole domain can be silent."""
    domain = directory_of(emulator.world).domains[0]
    name = domain.accounts[0].name
    emulator.change("forget_account", account=name.upper())
    assert name not in {each.name for each in directory_of(emulator.world).domains[0].accounts}
    emulator.change("domain_answers", fqdn=domain.fqdn, answers=False)
    assert not directory_of(emulator.world).domains[0].is_answering


def test_dates_can_be_wrong(emulator: Emulator, client: Client) -> None:
    """By as much as is said."""
    before = client.get("/storage/snaplock/compliance-clocks?fields=time").records[0]["time"]
    emulator.change("skew_clock", seconds=-86_400)
    assert client.get("/storage/snaplock/compliance-clocks?fields=time").records[0]["time"] < before


def test_the_array_can_restart(emulator: Emulator, client: Client) -> None:
    """For a while nothing is JSON, then all is as it was."""
    client.post("/network/ipspaces", IPSPACE)
    emulator.change("restart", seconds=30)
    assert client.pool.request("GET", "/api/cluster").status == 503
    emulator.world.pass_time(30)
    assert made(client) == 1


@pytest.mark.parametrize("status", [400, 500])
def test_codes_of_unknown_status_get_the_one_that_is_told(emulator: Emulator, client: Client, status: int) -> None:
    """Those that somebody has seen keep theirs."""
    emulator.world.settings.unmapped_status = status
    client.post("/network/ipspaces", IPSPACE)
    assert client.post("/network/ipspaces", IPSPACE).status == status
    assert client.get("/network/ipspaces/nobody").status == 404


def test_faults_of_another_name_do_not_exist(emulator: Emulator) -> None:
    """A test that misspells one fails."""
    with pytest.raises(ValueError, match="no such fault"):
        emulator.fault("latencies")
    assert "latency" in KINDS
