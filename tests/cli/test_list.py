"""`sharectl list`: the shares in the state, chosen and in order, with what is not well."""

from __future__ import annotations

import csv
from contextlib import closing
from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.cli import main
from sharectl.model.canonical import canonical_json
from sharectl.model.records import BeginOperation, PutResource, PutRun
from sharectl.model.usage import BackendUse
from sharectl.state.sqlite.store import open_store
from sharectl.state.testing.samples import ALICE, RUN, make_operation, make_record
from sharectl.workspace.listing import ListWanted, Order, list_shares
from tests.cli.conftest import SIMULATED
from tests.cli.console import Console

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from sharectl.model.canonical import JsonObject

FAULTS = (
    "    faults:\n      - {call: extend_share, effect: error, message: the array says no}\n"
    "      - {call: create_share, effect: error, message: no room}\n---\n"
)
NEW = "---\napiVersion: sharectl/v1\nkind: Share\nmetadata: {name: new}\nspec: {size: 1GiB, protocol: NFS}\n"


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository in which an apply has failed in part, for tests that leave it as it is."""
    root = tmp_path_factory.mktemp("list")
    (root / "sharectl.yaml").write_text("apiVersion: sharectl/v1\nkind: Project\n", encoding="utf-8")
    (root / "all.yaml").write_text(SIMULATED, encoding="utf-8")
    assert main(["-C", str(root), "apply", "--yes"]) == 0
    text = SIMULATED.replace("---\n", FAULTS, 1).replace("size: 1GiB", "size: 3GiB")
    (root / "all.yaml").write_text(text + NEW, encoding="utf-8")
    assert main(["-C", str(root), "apply", "--yes"]) == 1
    return root


@pytest.fixture
def look(broken: Path, capsys: pytest.CaptureFixture[str]) -> Console:
    """Return a console in that repository."""
    return Console(broken, capsys)


def shares(console: Console, *words: str) -> list[JsonObject]:
    """Return the shares as JSON."""
    ended = console("list", *words, "-o", "json")
    assert ended.code == 0, ended
    found: list[JsonObject] = orjson.loads(ended.out)["shares"]
    return found


def names(console: Console, *words: str) -> list[str]:
    """Return the addresses, which all formats name alike."""
    ended = console("list", *words, "-o", "name")
    assert ended.code == 0, ended
    assert sorted(each["address"] for each in shares(console, *words)) == sorted(ended.out.split())
    return ended.out.split()


def test_what_is_not_well_is_told_with_its_error(look: Console) -> None:
    """Also of a share that could not be made, of which the state has no row; --broken shows nothing else."""
    failed = {each["address"]: each["note"] for each in shares(look, "--broken")}
    assert failed.keys() == {"share/new", "share/one"}
    assert "no room" in failed["share/new"]
    assert "the array says no" in failed["share/one"]
    shown = look("list", "--broken")
    assert "the array says no" in shown.out
    assert "share/two" not in shown.out
    assert "`sharectl apply" in shown.err


def test_shares_are_chosen_by_label_and_backend(look: Console) -> None:
    """By all of the labels; a part of a value, or of another label, is not it."""
    assert names(look, "--label", "team=a", "--backend", "sim") == ["share/one"]
    assert names(look, "--label", "team=a", "--label", "team=b") == ["share/two"]
    assert names(look, "--label", "eam=a") == names(look, "--label", 'team=a","x') == []
    assert names(look, "--full-above", "90") == []


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--full-above", "nan", "nan is not a number that anything could be compared with."),
        ("--full-above", "inf", "inf is not in the range 0<=x<=1000."),
        ("--full-above", "-1", "-1.0 is not in the range 0<=x<=1000."),
        ("-o", "xml", "'xml' is not one of 'text', 'json', 'wide', 'csv', 'name'."),
        ("-o", "sarif", "'sarif' is not one of 'text', 'json', 'wide', 'csv', 'name'."),
    ],
)
def test_what_no_list_can_be_made_by_is_refused(look: Console, option: str, value: str, said: str) -> None:
    """With what can be, and no more than that."""
    ended = look("list", option, value)
    assert (ended.code, ended.out) == (64, "")
    assert ended.err.endswith(f"{said}\n")


def test_the_largest_come_first(look: Console) -> None:
    """No more than are asked for."""
    by_size = [each["address"] for each in shares(look, "--sort", "size") if each["size_bytes"] is not None]
    assert by_size == ["share/two", "share/one"]
    assert [each["address"] for each in shares(look, "--sort", "size", "--label", "team=a")] == ["share/one"]
    assert len(shares(look, "--limit", "1")) == 1


def test_the_first_few_by_use_are_the_first_of_all_by_use(tmp_path: Path) -> None:
    """Whether uses are equal, not known, or those of shares that are no more."""
    noted = {"a": 5, "b": 9, "c": 5, "d": 5, "e": None, "gone": 7}
    with closing(open_store(tmp_path / "state.db", create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        store.commit(lease, [PutRun(RUN), *(PutResource(make_record(name), None) for name in noted if name != "gone")])
        uses = {make_record(name).resource_id: used for name, used in noted.items()}
        store.usage_notes().take([BackendUse(make_record("a").backend or "", 1_770_000_000, uses, is_whole=False)])
        with store.read() as reader:
            by_use = [
                [each.address for each in list_shares(store, reader, ListWanted(order=Order.USED, limit=limit)).shares]
                for limit in (None, 1, 2, 3, 4, 5)
            ]
    assert by_use[0] == ["share/b", "share/a", "share/c", "share/d", "share/e"]
    assert by_use[1:] == [by_use[0][:limit] for limit in (1, 2, 3, 4, 5)]


def test_csv_has_one_row_for_each_share(look: Console) -> None:
    """With a heading, by which each value is known."""
    rows = {row["address"]: row for row in csv.DictReader(look("list", "-o", "csv").out.splitlines())}
    assert rows["share/two"]["size_bytes"] == str(2 << 30)
    assert rows["share/two"]["labels"] == "team=b"
    assert rows["share/one"]["state"] == "failed"


@pytest.mark.parametrize("width", ["40", "80", "200"])
def test_a_narrow_terminal_keeps_what_matters(look: Console, monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    """Names, state and size; the rest goes first."""
    monkeypatch.setenv("COLUMNS", width)
    head, *rows = look("list", "--backend", "sim").out.splitlines()
    assert {"SHARE", "STATE", "USED", "SIZE"} <= set(head.split())
    assert all(len(row) <= int(width) for row in rows[:2])


@pytest.mark.parametrize("words", [("--backend", "sum"), ("--label", "team"), ("-o", "markdown"), ("--sort", "age")])
def test_what_names_nothing_is_refused(look: Console, words: tuple[str, ...]) -> None:
    """With what was meant, or what there is."""
    ended = look("list", *words)
    assert ended.code in {1, 2, 64}
    assert ended.out == ""
    assert words[0] != "--backend" or 'did you mean "sim"?' in ended.err


def test_hostile_labels_stay_on_their_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In each format; a spreadsheet takes nothing for a formula."""
    labels = {"team": "a\n\x1b[31mshare/x ok", "=cmd()": "1;=cmd()"}
    spec = canonical_json({"name": "projects", "protocol": "NFS", "size_bytes": 1 << 30, "labels": labels})
    with closing(open_store(tmp_path / ".sharectl" / "state.db", create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        store.commit(lease, [PutResource(make_record(spec=spec), None)])
        store.release(lease)
    console = Console(tmp_path, capsys)
    for style in ("text", "wide", "csv", "name"):
        out = console("list", "-o", style).out
        assert "\x1b" not in out
        assert out.count("\n") == (1 if style == "name" else 2)
    assert "'=cmd()=1;'=cmd()" in console("list", "-o", "csv").out


def test_a_page_is_read_with_few_statements_however_many_there_are(tmp_path: Path) -> None:
    """And of those that are not meant no row is decoded."""
    path = tmp_path / "state.db"
    with closing(open_store(path, create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        rows = [make_record(f"s{number:05}", spec=canonical_json(_spec(number))) for number in range(3000)]
        store.commit(lease, [PutResource(row, None) for row in rows])
        store.release(lease)
        statements: list[str] = []
        with store.read() as reader:
            connection: sqlite3.Connection = reader._snapshot.connection  # type: ignore[attr-defined]
            connection.set_trace_callback(statements.append)
            found = list(list_shares(store, reader, ListWanted({"team": "7"})).shares)
            connection.set_trace_callback(None)
    assert [share.address for share in found] == ["share/s00007"]
    assert len(statements) < 12
    assert sum("resource.spec," in statement for statement in statements) == 1


def _spec(number: int) -> JsonObject:
    return {"name": f"s{number:05}", "protocol": "NFS", "size_bytes": 1 << 30, "labels": {"team": str(number)}}


def test_a_share_that_is_being_made_is_half_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The state has no row of it yet."""
    operation = make_operation(name="new")
    (tmp_path / "sharectl.yaml").write_text("apiVersion: sharectl/v1\nkind: Project\n", encoding="utf-8")
    with closing(open_store(tmp_path / ".sharectl/state.db", create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        store.commit(lease, [PutRun(RUN), BeginOperation(operation)])
        store.release(lease)
    console = Console(tmp_path, capsys)
    [found] = shares(console, "--broken")
    assert (found["address"], found["state"], found["backend"]) == ("share/new", "half-done", "filer")
    assert found["resource_id"] == operation.resource_id
    assert "create-share began at" in found["note"]
    shown = console("list").out.splitlines()
    assert shown[1].split() == ["share/new", "half-done", "unknown", "filer"]
    assert shown[3].startswith("share/new: create-share began at")


def test_a_state_without_shares_says_so(console: Console) -> None:
    """And not that none matches, unless something was asked of them."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    open_store(console.root / ".sharectl/state.db", create=True).close()
    assert console("list").out == console("list", "-o", "wide").out == "The state has no shares.\n"
    assert console("list", "--broken").out == "No share in the state matches.\n"
    assert console("list", "--label", "a=b").out == "No share in the state matches.\n"
