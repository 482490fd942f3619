"""Share servers of the simulated driver: limits, faults, and state files from before there were any."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.base import ConflictError, DriverError, TransientError
from sharectl.model.networks import NetworkAllocation
from sharectl.model.requests import ShareServerRequest
from tests.drivers.opening import FullDriver, new_request, open_driver

if TYPE_CHECKING:
    from pathlib import Path


def opened(folder: Path, **config: Any) -> FullDriver:  # noqa: ANN401 - parts of documents have many types
    """Open a prepared backend with share servers."""
    driver = open_driver("simulated", {"stateFile": "backend.db", **config}, folder, share_servers=True)
    driver.prepare()
    return driver


def server(server_id: str, ip_address: str = "10.0.0.2") -> ShareServerRequest:
    """Return a request for a share server with one address."""
    allocation = NetworkAllocation(f"{server_id}/0", server_id, ip_address, 4, "10.0.0.0/24", None, "vlan", 7, 1500)
    return ShareServerRequest(server_id, "red-default", "red", (allocation,))


def test_there_are_no_more_servers_than_there_may_be(tmp_path: Path) -> None:
    """The report says how many, and the next one is refused; an existing one can be made again."""
    driver = opened(tmp_path, shareServers={"max": 1})
    assert driver.report().max_share_servers == 1
    driver.create_share_server(server("a"))
    driver.create_share_server(server("a"))
    with pytest.raises(DriverError, match="1 is the most"):
        driver.create_share_server(server("b", "10.0.0.3"))


def test_two_servers_on_one_segment_cannot_have_one_address(tmp_path: Path) -> None:
    """Somebody has given it twice."""
    driver = opened(tmp_path)
    driver.create_share_server(server("a"))
    with pytest.raises(ConflictError, match="same address"):
        driver.create_share_server(server("b"))


def test_nothing_is_made_on_a_server_that_is_not_well(tmp_path: Path) -> None:
    """It may be well later, when it was repaired."""
    driver = opened(tmp_path)
    driver.create_share_server(server("a"))
    with closing(sqlite3.connect(tmp_path / "backend.db")) as connection, connection:
        connection.execute("UPDATE share_servers SET problem = 'no power'")
    (seen,) = driver.list_share_servers()
    assert (seen.healthy, seen.problem) == (False, "no power")
    with pytest.raises(TransientError, match="no power"):
        driver.create_share(new_request("home", "pool", share_server_id="a"))
    assert driver.create_share_server(server("a")).healthy
    assert driver.create_share(new_request("home", "pool", share_server_id="a")).share_server_id == "a"


def test_a_server_without_its_own_row_exports_nothing(tmp_path: Path) -> None:
    """Its shares are there, and nobody reaches them; IPv6 addresses stand in brackets."""
    driver = opened(tmp_path)
    driver.create_share_server(server("a", "2001:db8::2"))
    made = driver.create_share(new_request("home", "pool", share_server_id="a"))
    assert made.export_locations == ("[2001:db8::2]:/pool/home",)
    with closing(sqlite3.connect(tmp_path / "backend.db")) as connection, connection:
        connection.execute("DELETE FROM share_servers")
    assert driver.list_shares()[0].export_locations == ()


@pytest.mark.parametrize(
    "call", ["create_share_server", "update_share_server", "delete_share_server", "list_share_servers"]
)
def test_every_call_can_fail(tmp_path: Path, call: str) -> None:
    """By its name, and narrowed to a server's name where it is about one."""
    name = {} if call == "list_share_servers" else {"name": "red-*"}
    fault = {"call": call, "effect": "error", "message": "ordered", **name}
    driver = opened(tmp_path, faults=[fault])
    calls = {
        "create_share_server": lambda: driver.create_share_server(server("a")),
        "update_share_server": lambda: driver.update_share_server(server("a")),
        "delete_share_server": lambda: driver.delete_share_server(server("a")),  # type: ignore[arg-type]
        "list_share_servers": driver.list_share_servers,
    }
    with pytest.raises(DriverError, match="ordered"):
        calls[call]()


def test_a_lie_about_a_server_leaves_none(tmp_path: Path) -> None:
    """The answer is that of the real thing."""
    driver = opened(tmp_path, faults=[{"call": "*", "effect": "lie", "name": "red-*"}])
    assert driver.create_share_server(server("a")).ip_addresses == ("10.0.0.2",)
    assert driver.update_share_server(server("a")).ip_addresses == ("10.0.0.2",)
    assert list(driver.list_share_servers()) == []


def test_a_state_file_from_before_there_were_share_servers_is_used_as_it_is(tmp_path: Path) -> None:
    """It gets what is missing, and keeps its shares."""
    plain = open_driver("simulated", {"stateFile": "backend.db"}, tmp_path)
    plain.prepare()
    plain.create_share(new_request("home", "pool"))
    plain.close()
    with closing(sqlite3.connect(tmp_path / "backend.db")) as connection, connection:
        connection.execute("DROP TABLE share_servers")
        connection.execute("ALTER TABLE shares DROP COLUMN share_server_id")
    again = open_driver("simulated", {"stateFile": "backend.db"}, tmp_path)
    assert [share.name for share in again.list_shares()] == ["home"]
    assert list(again.list_share_servers()) == []
