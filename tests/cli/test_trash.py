"""The trash: listed, brought back, and purged for good, but never a share that the state holds."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.state.sqlite.reader import SqliteReader
from tests.cli.conftest import SIMULATED
from tests.cli.console import Terminal
from tests.cli.test_import import stray

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sharectl.model.records import Record
    from tests.cli.console import Console


@pytest.fixture
def trashed(applied: Console) -> Console:
    """Return the simulated repository after both shares went to the trash, one of them long ago."""
    assert applied("destroy", "--yes").code == 0
    sql(applied, "UPDATE shares SET trashed_at = '2020-01-01T00:00:00' WHERE name = 'one'")
    return applied


def sql(console: Console, statement: str) -> list[tuple[object, ...]]:
    """Do something to the simulated backend behind the driver's back."""
    with closing(sqlite3.connect(console.root / "sim.db")) as connection, connection:
        return connection.execute(statement).fetchall()


def names(console: Console) -> list[str]:
    """Return the addresses in the trash."""
    found = orjson.loads(console("trash", "list", "-o", "json").out)
    assert (found["format"], found["version"]) == ("sharectl-trash", 1)
    return [share["address"] for share in found["shares"]]


def test_list_shows_the_oldest_first(trashed: Console) -> None:
    """With what `import` needs to bring it back."""
    ended = trashed("trash", "list")
    assert ended.code == 0
    head, first, second = ended.out.splitlines()
    assert head.split() == ["SINCE", "ADDRESS", "BACKEND", "ID", "SIZE"]
    assert first.split() == ["2020-01-01T00:00:00", "share/one", "sim", "gold1/one", "1GiB"]
    assert "share/two" in second


def test_who_looks_for_a_share_in_the_trash_is_led_to_import(simulated: Console) -> None:
    """Nothing of sharectl is called restore, but for the state."""
    ended = simulated("trash", "restore", "share/one")
    assert ended.code == 64
    assert "`sharectl import share/NAME ID` brings a share back" in " ".join(ended.err.split())


def test_an_empty_trash(applied: Console) -> None:
    """Says so."""
    assert applied("trash", "list").out == "The trash is empty.\n"
    assert applied("trash", "list", "--backend", "sim").code == 0
    assert "Nothing in the trash" in applied("trash", "purge", "--all", "--yes").err


def test_a_trash_that_cannot_be_looked_into_is_not_called_empty(applied: Console) -> None:
    """What is in it is not known."""
    (applied.root / "sim.db").unlink()
    (applied.root / "sim.db").mkdir()
    ended = applied("trash", "list")
    assert ended.code == 1
    assert ended.out == "Nothing is known to be in the trash: not all of it could be looked into.\n"
    assert "backend sim could not be looked into" in ended.err


def test_a_share_comes_back_by_import(trashed: Console) -> None:
    """Under its old address, with its data and without access, which the next apply gives back."""
    identifier = orjson.loads(trashed("trash", "list", "-o", "json").out)["shares"][0]["backend_id"]
    assert trashed("import", "share/one", identifier, "--yes").code == 0
    assert names(trashed) == ["share/two"]


@pytest.mark.parametrize("words", [(), ("--refresh", "none"), ("--target", "share/one")], ids=" ".join)
def test_a_manifest_that_comes_back_makes_no_second_share(trashed: Console, words: tuple[str, ...]) -> None:
    """The plan refuses it, and says how to have what lies in the trash instead; once it is back, nothing is said."""
    planned = trashed("plan", *words)
    assert planned.code == 1
    assert (
        "error[share.in-trash]: share/one would be made new and empty, and a share of that name lies in the trash"
        in planned.err
    )
    assert "`sharectl import share/one gold1/one --backend sim`" in planned.err
    assert trashed("apply", "--yes", *words).code == 1
    assert sql(trashed, "SELECT count(*) FROM shares WHERE name = 'one'") == [(1,)]
    assert trashed("import", "share/one", "gold1/one", "--backend", "sim", "--yes").code == 0
    assert "share/one would be made new" not in trashed("plan", *words).err


def test_an_empty_share_is_made_beside_the_trash_where_that_is_allowed(trashed: Console) -> None:
    """By the number of such shares, and with a warning; one too many is refused."""
    assert trashed("plan", "--allow-recreations", "1").code == 1
    applied = trashed("apply", "--yes", "--allow-recreations", "2")
    assert applied.code == 0
    assert "warning[share.in-trash]: share/one would be made new and empty" in applied.err
    assert trashed("plan", "--detailed-exitcode").code == 0
    assert sql(trashed, "SELECT count(*) FROM shares WHERE name = 'one'") == [(2,)]


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (("share/one",), ["share/two"]),
        (("gold1/one",), ["share/two"]),
        (("--older-than", "7d"), ["share/two"]),
        (("--all",), []),
        (("share/two", "--older-than", "7d"), ["share/one", "share/two"]),
        (("--all", "--backend", "sim"), []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_purge_removes_what_was_meant(trashed: Console, arguments: tuple[str, ...], left: list[str]) -> None:
    """By address, by id, by age, or everything; nothing else is touched, and each is in the history."""
    ended = trashed("trash", "purge", *arguments, "--yes")
    assert ended.code == 0, ended.err
    assert names(trashed) == left
    purged = [line for line in trashed("history").out.splitlines() if "delete-share" in line]
    assert len(purged) == 2 - len(left)
    assert orjson.loads(trashed("state", "list", "-o", "json").out)["operations"] == []


@pytest.mark.parametrize("words", [("--all",), ("--older-than", "0s")])
def test_what_another_project_put_there_goes_by_its_name_alone(trashed: Console, words: tuple[str, ...]) -> None:
    """Several states may share a backend, which has one trash: a purge of everything is of what this state put there."""
    shutil.move(trashed.root / ".sharectl", trashed.root / "other")
    assert "put there by another than this state" in trashed("trash", "list").out
    purged = trashed("trash", "purge", *words, "--yes")
    assert (purged.code, names(trashed)) == (0, ["share/one", "share/two"])
    assert (
        "Left alone: 2 shares that this state did not put into the trash: gold1/one on sim, gold1/two on sim"
        in purged.err
    )
    assert trashed("trash", "purge", "gold1/two", "--yes").code == 0
    assert names(trashed) == ["share/one"]


def test_on_a_backend_that_others_use_history_says_what_is_whose(applied: Console) -> None:
    """A share that is in use and that the state does not know is the sign of another state."""
    assert applied("destroy", "--yes", "--target", "share/one").code == 0
    sql(applied, "UPDATE shares SET resource_id = 'elsewhere-1', trashed_at = '2020-01-01T00:00:00' WHERE name = 'two'")
    stray(applied, "live")
    sql(applied, "UPDATE shares SET resource_id = 'elsewhere-2' WHERE name = 'live'")
    assert "Left alone: 1 share" in applied("trash", "purge", "--all", "--yes").err
    assert names(applied) == ["share/two"]


def test_the_trash_of_another_state_is_left_also_where_that_has_nothing_else_there(applied: Console) -> None:
    """That this state knows all shares in use on a backend does not make the trash its own: the last share of another may lie there."""
    assert applied("destroy", "--yes", "--target", "share/one").code == 0
    sql(applied, "UPDATE shares SET resource_id = 'elsewhere', trashed_at = '2020-01-01T00:00:00' WHERE name = 'one'")
    purged = applied("trash", "purge", "--all", "--yes")
    assert "Left alone: 1 share" in purged.err
    assert names(applied) == ["share/one"]


def test_a_share_that_was_replaced_is_one_that_this_state_put_there(applied: Console) -> None:
    """Its step had an address of its own."""
    applied.write("all.yaml", SIMULATED.replace("protocol: NFS, deletionPolicy", "protocol: CIFS, deletionPolicy", 1))
    assert applied("apply", "--yes", "--replace", "share/one").code == 0
    assert names(applied) == ["share/one"]
    assert applied("trash", "purge", "--all", "--yes").code == 0
    assert names(applied) == []


def test_purge_asks_first(trashed: Console) -> None:
    """What is to go is listed; without consent nothing goes."""
    refused = trashed("trash", "purge", "--all")
    assert refused.code == 64
    assert "share/one" in refused.out
    asked = Terminal("trash", "purge", "--all", cwd=trashed.root)
    asked.wait_for("Remove these 2 shares and all data in them?")
    asked.type("y")
    assert asked.end() == 1
    assert names(trashed) == ["share/one", "share/two"]


def test_an_unreadable_time_is_no_age(trashed: Console) -> None:
    """What is not known to be old is not purged for its age."""
    sql(trashed, "UPDATE shares SET trashed_at = 'long ago'")
    assert "Nothing in the trash" in trashed("trash", "purge", "--older-than", "1s", "--yes").err


def test_a_share_that_the_state_holds_is_never_purged(applied: Console) -> None:
    """Put into the trash behind the state's back it is shown so, refused by name, and left out of --all."""
    sql(applied, "UPDATE shares SET trashed_at = '2020-01-01T00:00:00' WHERE name = 'one'")
    assert "held by the state: share/one" in applied("trash", "list").out
    refused = applied("trash", "purge", "share/one", "--yes")
    assert refused.code == 1
    assert "error[trash.held]" in refused.err
    assert "Nothing in the trash" in applied("trash", "purge", "--all", "--yes").err
    assert sql(applied, "SELECT count(*) FROM shares WHERE name = 'one'") == [(1,)]


def test_the_state_is_asked_once_about_all_that_lies_there(trashed: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question about ids goes through the whole table; what an open intent is about is known without one."""
    asked: list[int] = []
    plain = SqliteReader.with_ids

    def with_ids(reader: SqliteReader, resource_ids: Collection[str]) -> Mapping[str, Record]:
        asked.append(len(resource_ids))
        return plain(reader, resource_ids)

    monkeypatch.setattr(SqliteReader, "with_ids", with_ids)
    with_fault(trashed, "transient")
    assert trashed("trash", "purge", "share/one", "--yes").code == 1
    assert "held by the state: share/one" in trashed("trash", "list").out
    assert asked == [2, 2]


def with_fault(console: Console, effect: str) -> None:
    """Let the next deletion of `one` go wrong, whichever of several comes first."""
    fault = f"    faults: [{{call: delete_share, name: one, effect: {effect}, first: 1, message: stuck}}]\n"
    console.write("all.yaml", SIMULATED.replace("---\n", f"{fault}---\n", 1))


def test_a_purge_that_the_backend_refuses(trashed: Console) -> None:
    """Is a failure with its reason; the others go all the same."""
    with_fault(trashed, "error")
    ended = trashed("trash", "purge", "--all", "--yes")
    assert ended.code == 1
    assert "failed   gold1/one on sim: stuck" in ended.err
    assert "1 of 2 purged." in ended.err
    assert names(trashed) == ["share/one"]
    assert "failed" in trashed("history").out


@pytest.mark.parametrize(("effect", "left"), [("transient", ["share/one"]), ("crash-after", [])])
def test_a_purge_with_an_unknown_end(trashed: Console, effect: str, left: list[str]) -> None:
    """Its intent stays open, and the next run that holds the lock finds out what became of it."""
    with_fault(trashed, effect)
    ended = trashed("trash", "purge", "share/one", "--yes")
    assert ended.code == 1
    assert "the next apply finds out" in ended.err
    assert len(orjson.loads(trashed("state", "list", "-o", "json").out)["operations"]) == 1
    again = trashed("trash", "purge", "--older-than", "7d", "--yes")
    assert again.code == 0, again.err
    assert orjson.loads(trashed("state", "list", "-o", "json").out)["operations"] == []
    assert names(trashed) == ["share/two"]
    assert left is not None
