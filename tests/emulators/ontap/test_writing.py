"""How writes are answered: at once or as jobs, one or many, and what is refused before any handler is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.emulators.ontap.jobs import JobRecord

if TYPE_CHECKING:
    from tests.emulators.ontap.client import Client
    from tests.emulators.ontap.server import Emulator


def vs1(client: Client) -> str:
    """Return the address of the SVM of the fixture."""
    return f"/svm/svms/{client.get('/svm/svms?name=vs1').records[0]['uuid']}"


def names(client: Client) -> list[str]:
    """Return the names of the IPspaces that the test made."""
    return sorted(each["name"] for each in client.get("/network/ipspaces?name=i*").records)


def job_of(body: Any) -> str:  # noqa: ANN401 - JSON
    """Return the address of the job in an answer."""
    return f"/cluster/jobs/{body['job']['uuid']}"


def test_a_synchronous_post_says_where_its_object_is(client: Client) -> None:
    """201, an empty body, and a Location that can be read at once; `return_records` shows the object."""
    got = client.post("/network/ipspaces", {"name": "i1"})
    assert (got.status, got.body) == (201, {})
    assert client.get(got.headers["location"].removeprefix("/api")).body["name"] == "i1"
    shown = client.post("/network/ipspaces?return_records=true&return_timeout=30", {"name": "i2"})
    assert (shown.status, shown.body["num_records"], shown.records[0]["name"]) == (201, 1, "i2")


def test_a_job_is_awaited_as_long_as_the_caller_wants(client: Client) -> None:
    """Without `return_timeout` 202 at once; with it, 200 that still names its job."""
    at_once = client.patch(vs1(client), {"comment": "a"})
    assert (at_once.status, list(at_once.body)) == (202, ["job"])
    awaited = client.patch(vs1(client) + "?return_timeout=15", {"comment": "b"})
    assert (awaited.status, list(awaited.body)) == (200, ["job"])
    assert client.get(job_of(awaited.body)).body["state"] == "success"
    assert client.get(vs1(client)).body["comment"] == "b"


@pytest.mark.parametrize("value", ["121", "-1", "x"])
def test_a_timeout_out_of_range_is_refused(client: Client, value: str) -> None:
    """It names the parameter."""
    got = client.patch(f"{vs1(client)}?return_timeout={value}", {"comment": "a"})
    assert (got.status, got.code, got.body["error"]["target"]) == (400, 262197, "return_timeout")


def test_a_job_that_fails_in_time_is_an_error_and_a_later_one_a_job_that_failed(
    emulator: Emulator, client: Client
) -> None:
    """The code of a job is a number, that of its error a string."""
    path = vs1(client)
    emulator.fault("job_fails", "PATCH", code=917536, message="busy", times=2)
    got = client.patch(f"{path}?return_timeout=15", {"comment": "a"})
    assert (got.status, got.code) == (500, 917536)
    begun = client.patch(path, {"comment": "a"})
    emulator.world.pass_time(30)
    job = client.get(job_of(begun.body)).body
    assert (job["state"], job["code"], job["error"]) == ("failure", 917536, {"message": "busy", "code": "917536"})
    assert client.get(path).body["comment"] == ""


def test_the_record_of_a_job_goes_away(emulator: Emulator, client: Client) -> None:
    """Some minutes after its end it is 404 with code 4."""
    begun = client.patch(vs1(client), {"comment": "a"})
    emulator.world.pass_time(30)
    assert client.get(job_of(begun.body)).status == 200
    emulator.world.pass_time(300)
    gone = client.get(job_of(begun.body))
    assert (gone.status, gone.code) == (404, 4)
    assert len(emulator.world[JobRecord]) == 0


def test_a_call_waits_in_real_time_where_time_is_not_skipped(emulator: Emulator, client: Client) -> None:
    """The answer comes when the job has ended."""
    emulator.world.clock.skips, emulator.world.clock.scale = False, 50.0
    got = client.patch(vs1(client) + "?return_timeout=15", {"comment": "a"})
    assert (got.status, client.get(vs1(client)).body["comment"]) == (200, "a")
    emulator.fault("job_runs", "PATCH", seconds=100)
    assert client.patch(vs1(client) + "?return_timeout=1", {"comment": "b"}).status == 202


def test_a_job_cannot_be_cancelled(emulator: Emulator, client: Client) -> None:
    """Nor after its end."""
    begun = client.patch(vs1(client), {"comment": "a"})
    assert client.patch(job_of(begun.body) + "?action=cancel").code == 458784
    emulator.world.pass_time(30)
    assert client.patch(job_of(begun.body) + "?action=cancel").code == 458762


def test_a_query_changes_all_that_match(client: Client) -> None:
    """Synchronous ones are counted, those that take a while have jobs; no query, or one that matches nothing, is refused."""
    for name in ("i1", "i2", "j1"):
        client.post("/network/ipspaces", {"name": name})
    assert client.delete("/network/ipspaces?name=i*").body == {"num_records": 2}
    assert names(client) == []
    begun = client.patch("/svm/svms?name=vs*&return_timeout=0", {"comment": "q"})
    assert (begun.status, begun.body["num_records"], len(begun.body["jobs"])) == (202, 1, 1)
    assert client.patch("/svm/svms?name=vs*", {"comment": "q"}).status == 200
    assert client.delete("/network/ipspaces").code == 262212
    assert client.delete("/network/ipspaces?name=zz").code == 4


def test_a_query_that_matches_nothing_may_be_fine(emulator: Emulator, client: Client) -> None:
    """By a switch, as nobody could tell."""
    emulator.world.settings.empty_query_status = 200
    got = client.delete("/network/ipspaces?name=zz")
    assert (got.status, got.body) == (200, {"num_records": 0})


def test_a_list_of_records_is_done_wholly_or_not_at_all(client: Client) -> None:
    """Unless it may go on after a failure."""
    twice = {"records": [{"name": "i1"}, {"name": "i2"}, {"name": "i1"}]}
    assert client.post("/network/ipspaces?return_timeout=30", twice).code == 1377261
    assert names(client) == []
    client.post("/network/ipspaces?return_timeout=30&continue_on_failure=true", twice)
    assert names(client) == ["i1", "i2"]
    uuids = [{"uuid": each["uuid"]} for each in client.get("/network/ipspaces?name=i*").records]
    assert client.delete("/network/ipspaces?return_timeout=30", {"records": uuids}).status == 200
    assert names(client) == []


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", "/network/ipspaces", b"{", 262199),
        ("POST", "/network/ipspaces", b"[]", 262200),
        ("POST", "/network/ipspaces", {}, 262212),
        ("POST", "/network/ipspaces?name=i1", {"name": "i1"}, 262211),
        ("POST", "/network/ipspaces?nonsense=1", {"name": "i1"}, 262179),
        ("PATCH", "/svm/svms/{vs1}", {}, 262190),
        ("PATCH", "/svm/svms/{vs1}?nonsense=1", {"comment": "a"}, 262179),
        ("PATCH", "/svm/svms/{vs1}?name=other", {"comment": "a"}, 4),
        ("PATCH", "/svm/svms/nobody", {"comment": "a"}, 4),
        ("DELETE", "/network/ipspaces/nobody", None, 4),
        ("DELETE", "/network/ipspaces/nobody", {"nonsense": 1}, 4),
        ("PATCH", "/cluster/counter/tables", {}, 3),
        ("GET", "/network/ipspaces/a/b", None, 262179),
        ("GET", "/nonsense", None, 3),
        ("GET", "/network/ipspaces?return_timeout=600", None, 262197),
        ("GET", "/network/ipspaces?max_records=0", None, 262197),
        ("GET", "/network/ipspaces?nonsense=1", None, 262179),
        ("GET", "/name-services/ldap?bind_password=x", None, 262202),
        ("GET", "/network/ipspaces?query=x", None, 262272),
        ("GET", "/private/cli/aggr?fields=*", None, 262220),
    ],
)
def test_what_makes_no_sense_is_refused(client: Client, method: str, path: str, body: Any, code: int) -> None:  # noqa: ANN401 - JSON
    """Before any handler is asked."""
    got = client.send(method, path.replace("/svm/svms/{vs1}", vs1(client)), body)
    assert (got.code, got.status) == (code, {4: 404, 3: got.status}.get(code, got.status))
    assert got.status >= 400


def test_an_empty_body_and_one_of_known_fields_may_come_with_a_delete(client: Client) -> None:
    """Clients send them."""
    client.post("/network/ipspaces", {"name": "i1"})
    uuid = client.get("/network/ipspaces?name=i1").records[0]["uuid"]
    assert client.delete(f"/network/ipspaces/{uuid}", {"nonsense": 1}).code == 262198
    assert client.delete(f"/network/ipspaces/{uuid}", {}).status == 200


def test_trailing_slashes_and_dots_do_not_matter(client: Client) -> None:
    """Paths are cleaned."""
    assert client.get("/cluster/").status == 200
    assert client.send("GET", "/network/../cluster/nodes/").body["num_records"] == 2


def test_an_object_may_stay_unseen_for_a_while(emulator: Emulator, client: Client) -> None:
    """By a switch: a GET just after a POST does not find it yet."""
    emulator.world.settings.hidden_after_post_seconds = 60
    got = client.post("/network/ipspaces", {"name": "i1"})
    where = got.headers["location"].removeprefix("/api")
    assert (client.get(where).status, names(client)) == (404, [])
    emulator.world.pass_time(60)
    assert (client.get(where).status, names(client)) == (200, ["i1"])


def test_a_change_by_query_that_runs_out_of_time_says_where_to_go_on(client: Client, emulator: Emulator) -> None:
    """The same method at that address does the rest: at once, and as jobs."""
    for number in range(5):
        assert client.post("/network/ipspaces", {"name": f"i{number}"}).status == 201
    emulator.fault("page_short", "DELETE", "/network/ipspaces", records=2, times=2)
    following: str | None = "/network/ipspaces?name=i*"
    numbers, left = [], []
    while following is not None:
        got = client.delete(following)
        assert got.status == 200
        numbers.append(got.body["num_records"])
        left.append(names(client))
        following = got.body.get("_links", {}).get("next", {}).get("href", "").removeprefix("/api") or None
    assert numbers == [2, 2, 1]
    assert [len(each) for each in left] == [3, 1, 0]
    for name in ("v1", "v2"):
        body = {"svm": {"name": "vs1"}, "name": name, "aggregates": [{"name": "aggr1"}], "size": 1 << 30}
        client.post("/storage/volumes?return_timeout=15", body)
    emulator.fault("page_short", "PATCH", "/storage/volumes", times=1)
    got = client.patch("/storage/volumes?name=v*&svm.name=vs1&is_svm_root=false", {"comment": "both"})
    assert (len(got.body["jobs"]), got.body["num_records"]) == (1, 1)
    got = client.patch(got.body["_links"]["next"]["href"].removeprefix("/api"), {"comment": "both"})
    assert (len(got.body["jobs"]), "_links" in got.body) == (1, False)
    assert client.get("/storage/volumes?comment=both").body["num_records"] == 2
