"""What GET gives: collections, fields, filters and pages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.emulators.ontap.facts import version_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.emulators.ontap.client import Client
    from tests.emulators.ontap.server import Emulator


@pytest.fixture
def oldest(emulator: Emulator) -> Iterator[None]:
    """Let the array have the oldest release that clients support."""
    newer, emulator.world.version = emulator.world.version, version_of("9.12.1")
    yield
    emulator.world.version = newer


@pytest.fixture
def spaces(client: Client) -> list[str]:
    """Make seven IPspaces, and return their names."""
    names = [f"space{number}" for number in range(7)]
    for name in names:
        assert client.post("/network/ipspaces", {"name": name}).status == 201
    return names


def test_the_release_can_be_read(client: Client) -> None:
    """Every client begins with it."""
    got = client.get("/cluster?fields=version")
    assert (got.status, got.body["version"]["generation"]) == (200, 9)


def test_answers_look_like_the_arrays(client: Client) -> None:
    """Its headers, indented JSON unless told otherwise, links unless plain JSON is asked for."""
    got = client.send("GET", "/cluster/nodes")
    assert (got.headers["server"], got.headers["content-type"]) == ("libzapid-httpd", "application/hal+json")
    assert re.match(r"/api/cluster/nodes/[-0-9a-f]{36}$", got.records[0]["_links"]["self"]["href"])
    plain = client.send("GET", "/cluster/nodes?max_records=1", accept="application/json").body
    assert "_links" not in plain["records"][0]
    assert list(plain["_links"]) == ["next"]


def test_options_name_the_methods(client: Client) -> None:
    """Of one address."""
    assert client.send("OPTIONS", "/storage/volumes").headers["allow"] == "OPTIONS, GET, POST, PATCH, DELETE"
    assert client.send("OPTIONS", "/network/ip/routes").headers["allow"] == "OPTIONS, GET, POST, DELETE"


def test_head_is_get_without_a_body(client: Client) -> None:
    """The status says it all."""
    assert client.send("HEAD", "/cluster/nodes").status == 200
    assert client.send("HEAD", "/cluster/nodes/nobody").status == 404


def test_without_fields_there_are_keys_and_what_was_filtered_by(client: Client, spaces: list[str]) -> None:
    """And nothing else."""
    shown = client.send("GET", "/cluster/nodes?state=up", accept="application/json").records
    assert [sorted(each) for each in shown] == [["name", "state", "uuid"]] * 2
    assert spaces


def test_what_was_filtered_by_is_shown_beside_the_fields_that_are_named(client: Client, spaces: list[str]) -> None:
    """Clients look into records for what they have asked for: Trident does so for the parent of a clone."""
    (found,) = client.get(f"/network/ipspaces?name={spaces[0]}&fields=uuid").records
    assert found.keys() >= {"uuid", "name"}
    domains = client.get("/network/ethernet/broadcast-domains?ipspace.name=Default&fields=name").records
    assert domains
    assert all(each["ipspace"]["name"] == "Default" for each in domains)


def test_an_object_alone_shows_its_standard_fields(client: Client) -> None:
    """As `fields=*` does in a collection."""
    one = client.get("/svm/svms?name=vs1&fields=*").records[0]
    assert client.get(f"/svm/svms/{one['uuid']}").body == one
    assert client.get(f"/svm/svms/{one['uuid']}?fields=state").body["state"] == "running"


@pytest.mark.usefixtures("oldest")
def test_an_older_release_neither_knows_nor_shows_later_fields(client: Client) -> None:
    """A client that asks for one is refused."""
    where = f"/svm/svms/{client.get('/svm/svms?name=vs1').records[0]['uuid']}"
    assert "number_of_volumes_in_recovery_queue" not in client.get(f"{where}?fields=**").body
    assert client.get(f"{where}?fields=number_of_volumes_in_recovery_queue").code == 262197
    assert client.get("/svm/svms?number_of_volumes_in_recovery_queue=0").code == 262179
    assert client.get("/cluster?fields=version").body["version"]["major"] == 12


def test_a_page_is_followed_to_the_next(client: Client, spaces: list[str]) -> None:
    """`next` leads from record to record, with the parameters of the first call, and is in a header too."""
    pages = list(client.pages("/network/ipspaces?max_records=3&name=space*&fields=name"))
    assert [page.body["num_records"] for page in pages] == [3, 3, 1]
    assert sorted(each["name"] for page in pages for each in page.records) == spaces
    assert 'rel="next"' in pages[0].headers["link"]
    assert "link" not in pages[2].headers


def test_pages_hold_together_when_objects_come_and_go(client: Client, spaces: list[str]) -> None:
    """The record that the next page begins with may have been deleted meanwhile."""
    first = client.get("/network/ipspaces?max_records=3&name=space*&order_by=name")
    client.delete("/network/ipspaces?name=space0|space3")
    client.post("/network/ipspaces", {"name": "space1a"})
    rest = [
        each["name"]
        for page in client.pages(first.body["_links"]["next"]["href"].removeprefix("/api"))
        for each in page.records
    ]
    assert rest == [spaces[4], spaces[5], spaces[6]]


@pytest.mark.parametrize("order", ["name", "name desc"])
def test_an_order_holds_over_pages(client: Client, spaces: list[str], order: str) -> None:
    """Either way."""
    pages = client.pages(f"/network/ipspaces?max_records=2&name=space*&order_by={order.replace(' ', '%20')}")
    names = [each["name"] for page in pages for each in page.records]
    assert names == (spaces[::-1] if order.endswith("desc") else spaces)


def test_records_can_be_counted_and_passed_over(client: Client, spaces: list[str]) -> None:
    """`return_records=false` gives the number alone; `offset` leaves the first ones out."""
    counted = client.get("/network/ipspaces?name=space*&return_records=false").body
    assert (counted["num_records"], "records" in counted) == (len(spaces), False)
    assert client.get("/network/ipspaces?name=space*&order_by=name&offset=5").records[0]["name"] == spaces[5]


def test_several_fields_can_be_searched(client: Client, spaces: list[str]) -> None:
    """By one expression."""
    found = client.get("/network/ipspaces?query_fields=name,uuid&query=*ace3").records
    assert [each["name"] for each in found] == [spaces[3]]


def test_a_plus_and_percent_signs_are_decoded(client: Client, spaces: list[str]) -> None:
    """In names and values."""
    assert client.get("/network/ipspaces?name=space1%7Cspace2&order_by=name+desc").body["num_records"] == 2
    assert spaces


def test_a_collection_inside_of_nothing_is_not_there(client: Client) -> None:
    """An unknown parent is 404 with its key; any parent may be named by a star."""
    got = client.get("/storage/volumes/nobody/snapshots")
    assert (got.status, got.code, got.body["error"]["target"]) == (404, 4, "volume.uuid")
    assert client.get("/storage/volumes/*/snapshots?svm.name=vs1").status == 200


def test_what_nobody_has_is_empty(client: Client) -> None:
    """And what clients look into is there."""
    svm = client.get("/svm/svms?name=vs1").records[0]["uuid"]
    for path in (
        "/svm/peers",
        "/snapmirror/policies",
        f"/protocols/fpolicy/{svm}/policies",
        "/protocols/cifs/sessions",
    ):
        assert client.get(path).body["num_records"] == 0
    log = ("computer_name", "event_source", "app_version", "event_description")
    assert client.post("/support/ems/application-logs", dict.fromkeys(log, "sharectl")).status == 201


def test_schedules_can_be_looked_up(client: Client) -> None:
    """By name."""
    found = client.get("/cluster/schedules?name=hourly&fields=cron").records
    assert [(each["name"], each["cron"]) for each in found] == [("hourly", {"minutes": [5]})]


def test_counters_tell_how_busy_a_node_is(client: Client) -> None:
    """A table names its denominators, its rows hold values for each node."""
    schemas = client.get("/cluster/counter/tables/system%3Anode").body["counter_schemas"]
    assert {"name": "cpu_elapsed_time"} in [each.get("denominator") for each in schemas]
    rows = client.get("/cluster/counter/tables/system%3Anode/rows?fields=*").records
    assert len(rows) == 2
    assert {"labels", "values"} <= {key for each in rows[0]["counters"] for key in each}


def test_what_is_not_written_is_named(client: Client) -> None:
    """An operation of the array that the emulator lacks is 501, never a wrong answer."""
    got = client.post("/storage/aggregates", {"name": "a"})
    assert (got.status, "POST /storage/aggregates" in got.body["error"]["message"]) == (501, True)


def test_requests_are_counted(client: Client, emulator: Emulator) -> None:
    """By operation, and by the code that they were refused with."""
    client.get("/cluster/nodes/nobody")
    client.get("/cluster/nodes?name=n1")
    client.get("/cluster/nodes?name=n2")
    assert emulator.calls.counted() == {"GET /cluster/nodes": 2, "GET /cluster/nodes/{uuid}": 1}
    assert emulator.calls.codes() == {"4": 1}
