"""The simulated driver: faults that come as they were ordered, capabilities that can be left out, a file to look into."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from sharectl.drivers.base import (
    BackendUnavailableError,
    Capability,
    ConflictError,
    DriverError,
    NotFoundError,
    PoolError,
    ShareInUseError,
    TransientError,
    capabilities_of,
)
from sharectl.drivers.testing import new_id, ref, snapshot_ref
from sharectl.model.access import AccessRule
from sharectl.model.quantities import GIB
from sharectl.model.requests import ShareRef

from .opening import FullDriver, names_in, new_request, open_driver

RULE = AccessRule("ip", "10.0.0.0/8", "rw")


def simulated(tmp_path: Path, **config: Any) -> FullDriver:  # noqa: ANN401 - whatever the schema allows
    """Give a prepared simulated backend."""
    driver = open_driver("simulated", {"stateFile": "backend.db", **config}, tmp_path)
    with suppress(DriverError):
        driver.prepare()
    return driver


def rows(tmp_path: Path, query: str) -> list[Any]:
    """Look into the state file from outside."""
    with closing(sqlite3.connect(tmp_path / "backend.db")) as connection, connection:
        return connection.execute(query).fetchall()


def fault(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of a fault
    """Return a configuration with this one fault."""
    return {"faults": [fields]}


def outcomes(driver: FullDriver, count: int) -> str:
    """Make shares and return a letter for each: a dot where it was made, an E where it was refused."""
    letters = ""
    for _ in range(count):
        try:
            driver.create_share(new_request("a", "pool"))
            letters += "."
        except DriverError:
            letters += "E"
    return letters


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"stateFile": 3}, "does not meet the schema"),
        ({"pools": [{"name": "a"}, {"name": "a"}]}, "same name"),
        ({"pools": [{"total": "much"}]}, "much"),
        ({"faults": [{"call": "*"}]}, "does not meet the schema"),
        ({"without": ["wings"]}, "wings"),
        ({"latency": {"default": "soon"}}, "soon"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(tmp_path: Path, config: dict[str, Any], reason: str) -> None:
    """Before anything is touched."""
    with pytest.raises(DriverError, match=reason):
        simulated(tmp_path, **config)
    assert names_in(tmp_path) == []


def test_nothing_is_made_before_prepare(tmp_path: Path) -> None:
    """Reports, pools and lists are empty; what changes something is refused."""
    driver = open_driver("simulated", {"stateFile": "x/backend.db"}, tmp_path)
    assert driver.report().identity is None
    assert list(driver.list_shares()) == list(driver.list_snapshots()) == []
    assert driver.pools()[0].allocated_bytes == 0
    with pytest.raises(BackendUnavailableError, match="prepared"):
        driver.create_share(new_request("a", "pool"))
    with pytest.raises(NotFoundError):
        driver.used_bytes(ShareRef(new_id(), "pool/a", "a", "pool", "NFS", GIB))
    assert names_in(tmp_path) == []


def test_pools_are_reported_as_configured(tmp_path: Path) -> None:
    """Many of a kind by count; unknown, infinite, thick and full."""
    driver = simulated(
        tmp_path,
        pools=[
            {"name": "many", "count": 3, "total": "1TiB", "reservedPercentage": 10, "capabilities": {"ssd": True}},
            {"name": "u", "total": "unknown"},
            {"name": "i", "total": "infinite"},
            {"name": "f", "total": "10TiB", "free": "1TiB"},
            {"name": "thick", "total": "2GiB", "thin": False},
        ],
    )
    driver.create_share(new_request("a", "many1"))
    pools = {pool.name: pool for pool in driver.pools()}
    assert list(pools) == ["many1", "many2", "many3", "u", "i", "f", "thick"]
    assert (pools["many1"].total_bytes, pools["many1"].free_bytes) == (1024 * GIB, 1024 * GIB)
    assert pools["many1"].allocated_bytes == GIB
    assert pools["many2"].reserved_percentage == 10
    assert pools["many2"].capabilities == {"ssd": True}
    assert (pools["u"].free_bytes, pools["i"].free_bytes, pools["f"].free_bytes) == ("unknown", "infinite", 1024 * GIB)
    driver.create_share(new_request("a", "thick", size_bytes=2 * GIB))
    with pytest.raises(PoolError, match="full"):
        driver.create_share(new_request("b", "thick"))


def test_protocols_that_are_not_configured_are_refused(tmp_path: Path) -> None:
    """And reported as missing."""
    driver = simulated(tmp_path, protocols=["CIFS"], capabilities={"dedupe": True})
    assert driver.report().protocols == ("CIFS",)
    assert driver.report().capabilities == {"dedupe": True}
    with pytest.raises(DriverError, match="NFS"):
        driver.create_share(new_request("a", "pool"))
    assert driver.create_share(new_request("a", "pool", protocol="CIFS")).export_locations


@pytest.mark.parametrize("count", [999, 1_000, 2_001])
def test_each_of_many_shares_and_snapshots_is_listed_once(tmp_path: Path, count: int) -> None:
    """Whatever their names hold, all of them and those that are asked for."""
    driver = simulated(tmp_path)
    names = [f'{number} "ä"\n\t\\' for number in range(count)]
    with closing(sqlite3.connect(tmp_path / "backend.db")) as connection, connection:
        columns = "backend_id, resource_id, name, pool, size_bytes, protocol"
        shares = [(f"pool/{name}", f"id of {name}", name, "pool", 7, "NFS") for name in names]
        connection.executemany(f"INSERT INTO shares({columns}) VALUES (?, ?, ?, ?, ?, ?)", shares)  # noqa: S608 - a constant
        snapshots = [(f"id of {name}", name, "id of a share", f"pool/{name}", "pool", 7, 0, "") for name in names]
        connection.executemany("INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?, ?, ?)", snapshots)
    for wanted in (names, names[::2]):
        ids = None if wanted is names else [f"id of {name}" for name in wanted] + ["none"]
        found = driver.list_shares(ids)
        assert sorted(share.name for share in found) == sorted(wanted)
        assert {share.size_bytes for share in found} == {7}
        assert sorted(snapshot.name for snapshot in driver.list_snapshots(ids)) == sorted(wanted)


@pytest.mark.parametrize("capability", sorted(set(Capability) - {Capability.SNAPSHOT_POLICY}))
def test_each_capability_can_be_left_out(tmp_path: Path, capability: Capability) -> None:
    """The driver's type then does not have its methods."""
    driver = simulated(tmp_path, without=[str(capability)])
    assert capabilities_of(driver) == frozenset(Capability) - {capability, Capability.SNAPSHOT_POLICY}


def test_without_clones_a_clone_is_refused(tmp_path: Path) -> None:
    """Other shares are made."""
    driver = simulated(tmp_path, without=["clone"])
    share = driver.create_share(new_request("a", "pool"))
    snapshot = driver.create_snapshot(ref(share), new_id(), "s")
    with pytest.raises(DriverError, match="from snapshots"):
        driver.create_share(new_request("b", "pool", snapshot=snapshot_ref(snapshot, share)))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"nth": 3}, "..E..."),
        ({"first": 2}, "EE...."),
        ({"every": 2}, ".E.E.E"),
        ({}, "EEEEEE"),
        ({"pool": "pool"}, "EEEEEE"),
        ({"pool": "other"}, "......"),
        ({"name": "a*"}, "EEEEEE"),
        ({"name": "b*"}, "......"),
        ({"probability": 0.0}, "......"),
        ({"probability": 1.0}, "EEEEEE"),
    ],
)
def test_a_fault_befalls_just_the_calls_that_it_says(tmp_path: Path, condition: dict[str, Any], expected: str) -> None:
    """Counted among the calls that match."""
    driver = simulated(tmp_path, **fault(call="create_share", effect="error", **condition))
    assert outcomes(driver, 6) == expected
    assert list(driver.pools())


def test_counts_survive_the_process_and_the_seed_decides(tmp_path: Path) -> None:
    """Two runs of three calls are one of six; another seed is another history."""
    config = fault(call="create_share", effect="error", probability=0.5)
    histories = []
    for number, seed in enumerate([1, 1, 2, 3]):
        folder = tmp_path / str(number)
        folder.mkdir()
        whole = simulated(folder, seed=seed, **config)
        if number == 1:
            histories.append(outcomes(whole, 7))
            whole.close()
            histories[-1] += outcomes(simulated(folder, seed=seed, **config), 13)
        else:
            histories.append(outcomes(whole, 20))
    assert histories[0] == histories[1]
    assert len({*histories}) == 3


@pytest.mark.parametrize(
    ("effect", "error"),
    [
        ("error", DriverError),
        ("transient", TransientError),
        ("pool-error", PoolError),
        ("unavailable", BackendUnavailableError),
    ],
)
def test_errors_come_without_effect(tmp_path: Path, effect: str, error: type[DriverError]) -> None:
    """Of the type and with the message that were ordered."""
    driver = simulated(tmp_path, **fault(call="create_share", effect=effect, message="out of cheese"))
    with pytest.raises(error, match="out of cheese") as caught:
        driver.create_share(new_request("a", "pool"))
    assert type(caught.value) is error
    assert list(driver.list_shares()) == []


def test_a_lie_is_an_answer_without_effect(tmp_path: Path) -> None:
    """For each call it looks like the truth."""
    honest = simulated(tmp_path)
    share = honest.create_share(new_request("kept", "pool"))
    snapshot = honest.create_snapshot(ref(share), new_id(), "s")
    rows(tmp_path, "INSERT INTO shares(backend_id, name, pool) VALUES ('pool/legacy', 'legacy', 'pool')")
    before = rows(tmp_path, "SELECT * FROM shares UNION ALL SELECT *, 0, 0, 0, 0, 0 FROM snapshots")
    liar = simulated(tmp_path, **fault(call="*", effect="lie"))
    request = new_request("a", "pool")
    assert liar.create_share(request).resource_id == request.resource_id
    assert liar.update_access(ref(share), [RULE], [RULE], [])[RULE].status == "active"
    assert liar.create_snapshot(ref(share), "x", "t").resource_id == "x"
    assert liar.adopt_share("pool/legacy", "y", 5).resource_id == "y"
    assert liar.restore_share(share.resource_id).trashed_at is None
    with pytest.raises(NotFoundError):
        liar.restore_share(new_id())
    liar.extend_share(ref(share), 5)
    liar.shrink_share(ref(share), 5)
    liar.revert_share(ref(share), snapshot_ref(snapshot, share))
    liar.trash_share(ref(share))
    liar.delete_snapshot(snapshot_ref(snapshot, share))
    liar.delete_share(ref(share))
    assert liar.used_bytes(ref(share)) == 0
    assert liar.report().identity is None
    assert list(liar.list_shares()) == list(liar.list_snapshots()) == list(liar.pools()) == []
    assert rows(tmp_path, "SELECT * FROM shares UNION ALL SELECT *, 0, 0, 0, 0, 0 FROM snapshots") == before


def test_a_loss_takes_the_share_after_the_answer(tmp_path: Path) -> None:
    """The call succeeds, and the share is gone."""
    driver = simulated(tmp_path, **fault(call="update_access", effect="lose"))
    share = driver.create_share(new_request("a", "pool"))
    driver.update_access(ref(share), [RULE], [RULE], [])
    assert list(driver.list_shares()) == []


def test_a_crash_after_has_its_effect(tmp_path: Path) -> None:
    """The caller cannot know, and asks again."""
    driver = simulated(tmp_path, **fault(call="create_share", effect="crash-after", nth=1))
    request = new_request("a", "pool")
    with pytest.raises(TransientError):
        driver.create_share(request)
    (share,) = driver.list_shares()
    assert driver.create_share(request) == share._replace(used_bytes=None)


def test_half_a_list_claims_to_be_whole(tmp_path: Path) -> None:
    """A backend that lies about completeness; of one share nothing but the half is left."""
    driver = simulated(tmp_path, **fault(call="list_shares", effect="half-list"))
    for number in range(5):
        driver.create_share(new_request(str(number), "pool"))
    assert len(driver.list_shares()) == 3


def test_a_hanging_call_hangs_until_its_time_is_over(tmp_path: Path) -> None:
    """Then it is transient."""
    driver = simulated(tmp_path, hangSeconds=0.05, **fault(call="create_share", effect="hang"))
    with pytest.raises(TransientError):
        driver.create_share(new_request("a", "pool"))


def test_closing_frees_a_hanging_call(tmp_path: Path) -> None:
    """So that a program can end."""
    driver = simulated(tmp_path, log=True, **fault(call="create_share", effect="hang"))
    raised: list[BaseException] = []

    def hang() -> None:
        try:
            driver.create_share(new_request("a", "pool"))
        except DriverError as error:
            raised.append(error)

    thread = threading.Thread(target=hang)
    thread.start()
    while not rows(tmp_path, "SELECT 1 FROM calls WHERE call = 'create_share'"):
        continue
    driver.close()
    thread.join(timeout=300)
    assert [type(error) for error in raised] == [TransientError]


def test_latency_is_by_call(tmp_path: Path) -> None:
    """Of the call, or the default."""
    driver = simulated(tmp_path, latency={"default": "0ms", "create_share": "80ms", "pools": "0.02s"})
    started = time.monotonic()
    driver.create_share(new_request("a", "pool"))
    created = time.monotonic()
    driver.pools()
    assert created - started >= 0.08
    assert time.monotonic() - created >= 0.02


def test_the_log_shows_who_called_when_and_how_it_ended(tmp_path: Path) -> None:
    """So that tests can see concurrency."""
    driver = simulated(tmp_path, log=True, latency={"create_share": "60s"})
    threads = [threading.Thread(target=driver.create_share, args=(new_request("a", "pool"),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    while rows(tmp_path, "SELECT count(*) FROM calls WHERE call = 'create_share'") != [(2,)]:
        continue
    driver.close()  # which ends the wait of both
    for thread in threads:
        thread.join()
    failing = simulated(tmp_path, log=True, **fault(call="create_share", effect="error"))
    with pytest.raises(DriverError):
        failing.create_share(new_request("a", "pool"))
    log = rows(tmp_path, "SELECT thread, started_ns, finished_ns, outcome FROM calls WHERE call = 'create_share'")
    assert len({thread for thread, *_ in log}) == 3
    assert max(started for _, started, _, _ in log[:2]) < min(finished for _, _, finished, _ in log[:2])
    assert [outcome for *_, outcome in log] == ["done", "done", "DriverError: simulated fault: error in create_share"]


def test_a_delta_that_names_half_of_the_rules_is_applied_as_a_delta(tmp_path: Path) -> None:
    """What is in the file by other hands stays, as on a backend that only gets changes."""
    driver = simulated(tmp_path)
    share = driver.create_share(new_request("a", "pool"))
    rows(tmp_path, """UPDATE shares SET access = '[["ip","192.0.2.1","rw"],["ip","10.0.0.0/8","ro"]]'""")
    driver.update_access(ref(share), [RULE], [RULE], [])
    assert set(driver.list_shares()[0].access) == {RULE, AccessRule("ip", "192.0.2.1", "rw")}
    driver.update_access(ref(share), [RULE], [], [])
    assert set(driver.list_shares()[0].access) == {RULE}


def test_a_share_is_not_shrunk_below_its_use(tmp_path: Path) -> None:
    """`used_bytes` in the file is what counts."""
    driver = simulated(tmp_path)
    share = driver.create_share(new_request("a", "pool"))
    rows(tmp_path, "UPDATE shares SET used_bytes = size_bytes")
    assert driver.used_bytes(ref(share)) == GIB
    with pytest.raises(ShareInUseError):
        driver.shrink_share(ref(share), GIB - 1)


def test_an_id_has_one_share(tmp_path: Path) -> None:
    """Adoption under the id of another share is a conflict; so is making a trashed one again."""
    driver = simulated(tmp_path)
    request = new_request("a", "pool")
    share = driver.create_share(request)
    rows(tmp_path, "INSERT INTO shares(backend_id, name, pool) VALUES ('pool/legacy', 'legacy', 'pool')")
    with pytest.raises(ConflictError):
        driver.adopt_share("pool/legacy", share.resource_id, None)
    driver.trash_share(ref(share))
    with pytest.raises(DriverError, match="trash"):
        driver.create_share(request)


def test_a_file_that_is_no_database_is_an_unavailable_backend(tmp_path: Path) -> None:
    """It is left as it is."""
    (tmp_path / "backend.db").write_text("hello" * 1000)
    driver = open_driver("simulated", {"stateFile": "backend.db"}, tmp_path)
    with pytest.raises(BackendUnavailableError, match="not a database"):
        driver.prepare()
    assert (tmp_path / "backend.db").read_text() == "hello" * 1000


def test_a_removed_file_is_an_empty_backend(tmp_path: Path) -> None:
    """Even for a driver that had it open."""
    driver = simulated(tmp_path)
    driver.create_share(new_request("a", "pool"))
    for path in tmp_path.glob("backend.db*"):
        path.unlink()
    assert list(driver.list_shares()) == []
    assert driver.report().identity is None
    driver.prepare()
    assert list(driver.list_shares()) == []


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    """Of the process, at any moment."""
    simulated(tmp_path)
    code = (
        "import sys; from pathlib import Path; from tests.drivers.opening import new_request, open_driver;"
        "d = open_driver('simulated', {'stateFile': 'backend.db'}, Path(sys.argv[1]))\n"
        "while True: print(d.create_share(new_request('a', 'pool')).resource_id, flush=True)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    with process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline().strip() for _ in range(20)]
        process.send_signal(signal.SIGKILL)
    assert set(acknowledged) <= {share.resource_id for share in simulated(tmp_path).list_shares()}
