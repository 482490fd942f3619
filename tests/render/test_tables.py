"""Tables of pools, state, history and lock."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.model.canonical import canonical_json
from sharectl.model.records import HistoryEntry, HistoryLine, Holder, LockStatus, RunRecord, StateView
from sharectl.model.settings import SchedulerSettings
from sharectl.model.specs import ShareTypeSpec
from sharectl.render.history import history_lines, history_object
from sharectl.render.output import json_parts, json_text
from sharectl.render.pools import pools_lines, pools_object, simulation_lines, used_share
from sharectl.render.state import lock_lines, lock_object, record_lines, record_object, state_lines, state_object
from sharectl.render.tables import Cell, Column, table_lines
from sharectl.render.text import Look
from sharectl.scheduler.pools import Pool
from sharectl.scheduler.simulation import MOST_COUNTED, parse_pattern, simulate
from tests.render.samples import A_RUN, AN_INTENT, RULES, a_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Golden = Callable[[str, Iterable[str]], None]


def a_pool(
    host: str = "nas1#default",
    *,
    enabled: bool = True,
    up: bool = True,
    zone: str | None = None,
    **capabilities: object,
) -> Pool:
    """Return a pool of 1 TiB with 400 GiB free."""
    facts = {
        "total_capacity_gb": 1024.0,
        "free_capacity_gb": 400.0,
        "provisioned_capacity_gb": 624.0,
        "allocated_capacity_gb": 624.0,
        "storage_protocol": ["NFS"],
        "driver_handles_share_servers": False,
    }
    backend, _, name = host.partition("#")
    return Pool(host, backend, name, zone, enabled, up, {**facts, **capabilities})


POOLS = (
    a_pool(
        zone="az1",
        reserved_percentage=10,
        reserved_snapshot_percentage=5,
        thin_provisioning=True,
        max_over_subscription_ratio=20.0,
        snapshot_support=True,
        create_share_from_snapshot_support="true",
        storage_protocol=["NFS", "CIFS"],
        dedupe=[True, False],
    ),
    a_pool("nas1#fast", free_capacity_gb=50.0, reserved_percentage=5.0, replication_type="dr"),
    a_pool("nas2#a", free_capacity_gb=200.0, thin_provisioning=[True], dedupe=[False], enabled=False),
    a_pool("nas3#a", up=False, total_capacity_gb="unknown", free_capacity_gb="unknown", provisioned_capacity_gb=None),
    a_pool("nas4#a", total_capacity_gb="infinite", free_capacity_gb="infinite", storage_protocol="NFS_CIFS"),
    a_pool("nas5#a", total_capacity_gb=0, free_capacity_gb=-3, storage_protocol=None),
)


def test_pools_have_bars_and_figures(golden: Golden) -> None:
    """Unknown and infinite capacities, disabled and silent backends, thin and thick."""
    golden("pools.txt", pools_lines(POOLS, Look(width=160)))


def test_pools_in_colour(golden: Golden) -> None:
    """A pool that is nearly full is red."""
    golden("pools-color.txt", pools_lines(POOLS, Look(color=True, width=160)))


def test_a_narrow_terminal_gets_no_bars(golden: Golden) -> None:
    """The percentage stays."""
    golden("pools-narrow.txt", pools_lines(POOLS[:2], Look(width=60)))


def test_no_pools_is_said() -> None:
    """With what to look at."""
    (line,) = pools_lines((), Look(width=80))
    assert line.startswith("There are no pools")


def test_pools_as_json_keep_manilas_names() -> None:
    """Capacities in GiB as the scheduler has them."""
    plain = orjson.loads(orjson.dumps(pools_object(POOLS)))
    assert (plain["format"], plain["version"]) == ("sharectl-pools", 1)
    assert plain["pools"][0]["host"] == "nas1#default"
    assert plain["pools"][0]["capabilities"]["free_capacity_gb"] == 400.0
    assert plain["pools"][0]["used_share"] == pytest.approx(1 - 400 / 1024)
    assert plain["pools"][3]["used_share"] is None
    assert "simulation" not in plain


def test_the_used_share_is_between_none_and_all() -> None:
    """Whatever a driver reports."""
    assert used_share(a_pool(free_capacity_gb=5000)) == 0.0
    assert used_share(a_pool(free_capacity_gb=-1)) == 1.0
    assert used_share(a_pool(free_capacity_gb=None)) is None


TYPES = {"gold": ShareTypeSpec("gold", {"snapshot_support": "<is> True"})}


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("some", "100x50GiB type=gold"),
        ("all", "2x50GiB zone=az1"),
        ("none", "1x50TiB"),
        ("one", "9x100GiB type=gold network=t"),
    ],
)
def test_a_simulation_says_how_many_fit_where_and_what_runs_out(golden: Golden, name: str, pattern: str) -> None:
    """In words and a table."""
    pools = (a_pool(snapshot_support=True, zone="az1"), a_pool("nas2#b"))
    found = simulate(pools, SchedulerSettings(), parse_pattern(pattern), TYPES)
    golden(f"simulation-{name}.txt", simulation_lines(found))
    plain = orjson.loads(orjson.dumps(pools_object(pools, found)))["simulation"]
    assert plain["placed"] == found.placed
    assert plain["most_is_bounded"] is True
    assert plain["runs_out"]["refused_by"]


def test_an_endless_pool_takes_more_than_is_counted() -> None:
    """The count ends, and says so."""
    found = simulate(POOLS[:1], SchedulerSettings(), parse_pattern("3x1GiB"), {})
    found = replace(found, most=MOST_COUNTED, runs_out=None, exhausted=())
    assert list(simulation_lines(found))[-1] == "100000 and more would fit in all."
    assert pools_object(POOLS, found)["simulation"]["runs_out"] is None
    assert pools_object(POOLS, found)["simulation"]["most_is_bounded"] is False


def test_without_pools_nothing_runs_out() -> None:
    """There is no nearest pool to be named."""
    found = simulate((), SchedulerSettings(), parse_pattern("3x1GiB"), {})
    assert list(simulation_lines(found)) == ["", "3 shares of 1GiB, NFS: none fits."]


def a_view(*intents: object) -> StateView:
    """Return a state with a share, a protected one on no backend, and a snapshot."""
    records = (
        a_record(),
        a_record("share/aside", backend=None, pool=None, size_bytes=None, protect=True),
        a_record(
            "snapshot/daily",
            kind="snapshot",
            spec=canonical_json({"name": "daily", "share": "home"}),
            attributes=canonical_json(
                {
                    "backend_id": "default/home@daily",
                    "name": "daily",
                    "share_backend_id": "default/home",
                    "share_resource_id": "id",
                }
            ),
        ),
    )
    return StateView("lineage-1", 7, {record.address: record for record in records}, tuple(intents))  # type: ignore[arg-type]


def test_the_state_is_listed_by_address(golden: Golden) -> None:
    """With access rules where they were asked for, and open intents."""
    golden("state.txt", state_lines(a_view(AN_INTENT), {"share/home": RULES}))


def test_the_state_without_rules_has_none() -> None:
    """Neither in text nor in JSON."""
    assert not any("access" in line for line in state_lines(a_view(), None))
    assert "access" not in state_object(a_view(), None)["resources"][0]


def test_an_empty_state_is_said() -> None:
    """In one line."""
    assert list(state_lines(StateView("l", 0, {}, ()), None)) == ["The state holds nothing."]


def test_the_state_as_json() -> None:
    """Specs and attributes are JSON, digests hexadecimal."""
    plain = orjson.loads(orjson.dumps(state_object(a_view(AN_INTENT), {"share/home": RULES})))
    assert (plain["format"], plain["version"], plain["serial"]) == ("sharectl-state", 1, 7)
    home = next(each for each in plain["resources"] if each["address"] == "share/home")
    assert home["spec"]["name"] == "home"
    assert home["digest"] == "00" * 32
    assert home["access"][1] == {
        "access_type": "user",
        "access_to": "CORP\\alice",
        "access_level": "ro",
        "status": "error",
        "reason": "NFS knows no users",
    }
    assert plain["operations"][0]["address"] == "share/half"


def test_one_row_of_the_state(golden: Golden) -> None:
    """What was applied, what the backend answered, and the access rules."""
    golden("record.txt", record_lines(a_record(protect=True), RULES))
    golden("record-bare.txt", record_lines(a_record(size_bytes=None), ()))


def test_one_row_as_json() -> None:
    """As in the list, with its access."""
    plain = orjson.loads(orjson.dumps(record_object(a_record(), RULES)))
    assert (plain["format"], plain["version"]) == ("sharectl-record", 1)
    assert plain["resource"] == state_object(a_view(), {"share/home": RULES})["resources"][1]


def lines_of_history() -> list[HistoryLine]:
    """Return entries of two runs."""
    later = RunRecord("run-2", "state rm share/x\x1b", "bob", "laptop", "2026-01-03T00:00:00+00:00")
    entries = (
        (4, later, HistoryEntry("run-2", "2026-01-03T00:00:01+00:00", "share/x", "forget", "done")),
        (
            3,
            A_RUN,
            HistoryEntry(
                "run-1",
                "2026-01-02T03:04:07+00:00",
                "share/home",
                "extend-share",
                "done",
                canonical_json(
                    {
                        "changes": [
                            ["size", "100GiB", "200GiB"],
                            ["protect", None, True],
                            "odd",
                        ],
                        "reason": "its manifest says so",
                    }
                ),
            ),
        ),
        (
            2,
            A_RUN,
            HistoryEntry(
                "run-1",
                "2026-01-02T03:04:06+00:00",
                "share/b",
                "create-share",
                "failed",
                b'{"changes":7,"error":"no space"}',
            ),
        ),
        (
            1,
            A_RUN,
            HistoryEntry(
                "run-1",
                "2026-01-02T03:04:05+00:00",
                "share/c",
                "create-share",
                "recovered",
                b'{"recovered":"it was there"}',
            ),
        ),
    )
    return [HistoryLine(sequence, entry, run) for sequence, run, entry in entries]


def test_history_is_told_by_run(golden: Golden) -> None:
    """Who, where, from which commit and CI job; then each entry with its changes or error."""
    golden("history.txt", history_lines(lines_of_history()))


def test_an_empty_history_is_said() -> None:
    """In one line."""
    assert list(history_lines([])) == ["The history is empty."]


@pytest.mark.parametrize("count", [0, 1, 500, 501, 1100])
def test_a_list_that_is_drawn_as_it_is_written_makes_the_same_text(count: int) -> None:
    """As one that is there as a whole."""
    items = [{"n": number, "deep": {"text": "a\nb", "list": []}} for number in range(count)]
    whole = {"format": "x", "version": 1, "entries": items}
    assert "".join(json_parts({**whole, "entries": iter(items)})) == json_text(whole, indent=True)


def test_history_as_json() -> None:
    """Each entry with its whole run."""
    plain = orjson.loads("".join(json_parts(history_object(lines_of_history()))))
    assert (plain["format"], plain["version"]) == ("sharectl-history", 1)
    assert plain["entries"][2]["detail"] == {"changes": [7], "error": "no space"}
    changes = plain["entries"][1]["detail"]["changes"]
    assert changes == [
        {"field": "size", "before": "100GiB", "after": "200GiB"},
        {"field": "protect", "before": None, "after": True},
        "odd",
    ]
    assert plain["entries"][2]["run"]["ci_job_url"] == "https://ci.example/jobs/7"


HELD = LockStatus(
    9,
    Holder("ada", "build7", 4711, "apply --yes", "ada-l", "https://ci.example/jobs/7"),
    "2026-01-02T03:04:05+00:00",
    "2026-01-02T03:05:05+00:00",
    expired=False,
    reason="",
)


def test_the_lock_names_its_holder(golden: Golden) -> None:
    """Since when, its last sign of life, and whether it can be taken over."""
    golden("lock.txt", lock_lines([HELD]))


def test_a_lock_that_can_be_taken_over_says_why() -> None:
    """The process is gone, or its lease has run out."""
    dead = LockStatus(9, HELD.holder, HELD.acquired_at, HELD.heartbeat_at, expired=True, reason="its process is gone")
    assert list(lock_lines([dead]))[-1] == "  status       can be taken over: its process is gone"


def test_a_free_lock_is_said() -> None:
    """In text and as null."""
    assert list(lock_lines([])) == ["Nobody holds the lock."]
    assert lock_object([]) == {"format": "sharectl-lock", "version": 1, "lock": None, "locks": []}
    assert lock_object([HELD])["lock"]["holder"]["process_id"] == 4711


def test_columns_that_are_empty_are_left_out_and_no_line_ends_in_spaces() -> None:
    """Numbers stand at the right."""
    columns = (Column("A"), Column("B"), Column("N", right=True), Column("C"))
    rows = [["x", "", "1", ""], [Cell("yy", "done"), "", "22", "end"]]
    assert list(table_lines(columns, rows)) == ["A    N  C", "x    1", "yy  22  end"]


def test_a_table_without_rows_is_its_head() -> None:
    """All columns are there."""
    assert list(table_lines((Column("A"), Column("B")), [])) == ["A  B"]


RULES_OF_SHARES = [
    ["share/projects", "rw", "10.0.0.9", "ip:192.168.10.0/24 rw"],
    ["share/home", "ro", "10.0.0.9", "ip:2001:db8:20:7::/64 ro"],
]
COLUMNS_OF_RULES = (Column("SHARE"), Column("MAY", whole=True), Column("WHO", optional=True), Column("BY"))


def test_words_stay_whole_where_an_optional_column_can_go() -> None:
    """An address that is broken in the middle is not one any more."""
    wide = list(table_lines(COLUMNS_OF_RULES, RULES_OF_SHARES, Look(width=60)))
    assert wide[0].split() == ["SHARE", "MAY", "WHO", "BY"]
    narrow = list(table_lines(COLUMNS_OF_RULES, RULES_OF_SHARES, Look(width=46)))
    assert narrow[0].split() == ["SHARE", "MAY", "BY"]
    for lines in (wide, narrow):
        assert "ip:192.168.10.0/24" in "\n".join(lines).split()
        assert "ip:2001:db8:20:7::/64" in "\n".join(lines).split()


def test_rows_take_several_lines_where_their_words_do_not_fit_beside_each_other() -> None:
    """What a row is about comes first."""
    assert list(table_lines(COLUMNS_OF_RULES, RULES_OF_SHARES, Look(width=38))) == [
        "share/projects",
        "  may  rw",
        "  by   ip:192.168.10.0/24 rw",
        "share/home",
        "  may  ro",
        "  by   ip:2001:db8:20:7::/64 ro",
    ]


def test_one_long_name_takes_no_room_from_other_rows() -> None:
    """It is folded, and the table stays one."""
    rows = [[f"share/{n}", "rw", "", "ip:10.0.0.1 rw"] for n in range(4)]
    rows[2][0] = "share/" + "long-" * 12
    lines = list(table_lines(COLUMNS_OF_RULES, rows, Look(width=40)))
    assert lines[0].split() == ["SHARE", "MAY", "BY"]
    assert max(map(len, lines)) <= 40
    assert "".join(line[:19].strip() for line in lines[3:7]).startswith("share/long-long-")
