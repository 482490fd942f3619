"""`sharectl who`: what a client or a user may reach, from the state, with the places of the rules in the manifests."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.cli import main
from sharectl.model.records import PutResource, PutRules
from sharectl.mounting.inquiry import find_access, shares_about
from sharectl.mounting.who import parse_subject
from sharectl.state.sqlite.store import open_store
from sharectl.state.testing.samples import ALICE, make_record, make_rule
from tests.cli.console import Console

if TYPE_CHECKING:
    from pathlib import Path

    from sharectl.model.canonical import JsonObject

MANIFESTS = r"""\
apiVersion: sharectl/v1
kind: Backend
metadata: {name: sim}
spec:
  driver: simulated
  config: {stateFile: sim.db, pools: [{name: gold1, total: 10TiB}]}
---
apiVersion: sharectl/v1
kind: ClientList
metadata: {name: lab}
spec: {clients: [10.0.3.0/24]}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: listed}
spec: {size: 1GiB, protocol: NFS, access: [{type: clients, to: lab, level: ro}]}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: shut}
spec:
  size: 1GiB
  protocol: NFS
  access:
    - {type: ip, to: 10.0.0.0/8, level: rw}
    - {type: ip, to: 10.0.3.5, level: none}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: people}
spec: {size: 1GiB, protocol: CIFS, access: [{type: user, to: 'CORP\alice', level: rw}]}
---
apiVersion: sharectl/v1
kind: AccessRule
metadata: {name: staff}
spec: {share: people, type: group, to: staff, level: ro}
""".removeprefix("\\\n")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository that has been applied, for tests that leave it as it is."""
    root = tmp_path_factory.mktemp("who")
    (root / "sharectl.yaml").write_text("apiVersion: sharectl/v1\nkind: Project\n", encoding="utf-8")
    (root / "all.yaml").write_text(MANIFESTS, encoding="utf-8")
    assert main(["-C", str(root), "apply", "--yes"]) == 0
    return root


@pytest.fixture
def look(asked: Path, capsys: pytest.CaptureFixture[str]) -> Console:
    """Return a console in that repository."""
    return Console(asked, capsys)


def answer(console: Console, *words: str) -> JsonObject:
    """Return the answer as JSON."""
    ended = console("who", *words, "-o", "json")
    assert ended.code == 0, ended
    plain: JsonObject = orjson.loads(ended.out)
    return plain


def test_it_names_the_rule_with_its_file_and_line(look: Console) -> None:
    """Of a client in a list the line of the client there; what shuts it out comes last."""
    shown = look("who", "10.0.3.5")
    assert shown.code == 0
    rows = [line.split() for line in shown.out.splitlines()[1:]]
    lines = MANIFESTS.splitlines()
    assert [row[:2] for row in rows] == [["share/listed", "ro"], ["share/shut", "none"]]
    assert f"all.yaml:{1 + lines.index('spec: {clients: [10.0.3.0/24]}')}" in rows[0]
    assert "(client_list/lab)" in shown.out
    assert f"all.yaml:{1 + lines.index('    - {type: ip, to: 10.0.3.5, level: none}')}" in rows[1]
    assert "`sharectl apply" in shown.err
    assert " ago." in shown.err


def test_a_rule_in_a_document_of_its_own_is_placed_there(look: Console) -> None:
    """And not in the share's."""
    (verdict,) = answer(look, "group:STAFF")["verdicts"]
    assert (verdict["address"], verdict["access_level"]) == ("share/people", "ro")
    line = 1 + MANIFESTS.splitlines().index("metadata: {name: staff}")
    assert (verdict["source"]["path"], verdict["source"]["line"]) == ("all.yaml", line)


def test_a_user_is_found_whatever_the_case_of_the_name(look: Console) -> None:
    """As Windows finds them; a group counts where the user is said to be in it."""
    assert [each["access_level"] for each in answer(look, r"corp\ALICE")["verdicts"]] == ["rw"]
    assert answer(look, "bob")["verdicts"] == []
    assert [each["access_level"] for each in answer(look, "bob", "--group", "staff")["verdicts"]] == ["ro"]
    assert "--group" in look("who", "bob").err


@pytest.mark.parametrize(
    ("asked_for", "is_told"), [(r"CORP\alice", True), ("10.0.3.5", False), ("guest", False), ("group:staff", False)]
)
def test_of_a_user_it_says_that_shares_open_to_all_from_some_addresses_are_not_listed(
    look: Console,
    asked_for: str,
    is_told: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Such a share has no rule that is about a user, and yet the user may reach it."""
    assert ("Shares of SMB with address rules alone" in look("who", asked_for).err) is is_told


@pytest.mark.parametrize(("slip", "meant"), [(r"CORP\alise", r"CORP\\?alice"), ("group:stuff", "staff")])
def test_a_name_that_is_nearly_right_is_refused(look: Console, slip: str, meant: str) -> None:
    """With the one that was probably meant."""
    ended = look("who", slip)
    assert ended.code == 1
    assert "did you mean" in ended.err
    assert meant.replace("\\\\?", "\\") in ended.err


def test_it_answers_without_manifests(look: Console, tmp_path: Path) -> None:
    """From the state alone; places are not known then."""
    (tmp_path / ".sharectl").mkdir()
    with closing(sqlite3.connect(look.root / ".sharectl" / "state.db")) as state:
        state.execute("VACUUM INTO ?", (str(tmp_path / ".sharectl" / "state.db"),))
    found = answer(Console(tmp_path, look.capture), "10.0.3.5")["verdicts"]
    assert [(each["address"], each["source"]) for each in found] == [("share/listed", None), ("share/shut", None)]


def test_what_the_manifests_want_and_is_not_applied_is_told(look: Console, tmp_path: Path) -> None:
    """The answer stays that of the state."""
    (tmp_path / "sharectl.yaml").write_text("apiVersion: sharectl/v1\nkind: Project\n", encoding="utf-8")
    (tmp_path / "all.yaml").write_text(
        MANIFESTS.replace("10.0.3.5, level: none", "10.0.3.5, level: rw"), encoding="utf-8"
    )
    (tmp_path / ".sharectl").mkdir(mode=0o700)
    with closing(sqlite3.connect(look.root / ".sharectl" / "state.db")) as state:
        state.execute("VACUUM INTO ?", (str(tmp_path / ".sharectl" / "state.db"),))
    found = answer(Console(tmp_path, look.capture), "10.0.3.5")
    assert found["unapplied"] == ["share/shut"]
    assert [each["access_level"] for each in found["verdicts"]] == ["ro", "none"]


@pytest.mark.parametrize("width", ["40", "80", "200"])
def test_a_narrow_terminal_breaks_no_level(look: Console, monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    """What may be done stays whole, and no line is longer than the terminal."""
    monkeypatch.setenv("COLUMNS", width)
    lines = look("who", "10.0.3.5").out.splitlines()
    words = " ".join(lines).split()
    assert {"share/listed", "ro", "share/shut", "none"} <= set(words)
    assert max(map(len, lines)) <= int(width)


def test_the_answer_costs_what_it_returns(tmp_path: Path) -> None:
    """Of thousands of shares with rules, the rows of those alone that have one about the client are read, by an index."""
    with closing(open_store(tmp_path / "state.db", create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        names = [f"s{number:04}" for number in range(2000)]
        rules = [
            PutRules(f"share/{name}", (make_rule(f"10.1.{int(name[1:]) // 250}.{int(name[1:]) % 250}"),))
            for name in names
        ]
        store.commit(lease, [*(PutResource(make_record(name), None) for name in names), *rules])
        store.release(lease)
        statements: list[str] = []
        with store.read() as reader:
            connection: sqlite3.Connection = reader._snapshot.connection  # type: ignore[attr-defined]
            connection.set_trace_callback(statements.append)
            for subject in ("10.1.2.3", "10.1.2.0/30"):
                meant = parse_subject(subject, (), lambda _: ())
                assert len(shares_about(reader, meant)) <= 250
            connection.set_trace_callback(None)
            found = find_access(store, parse_subject("10.1.2.3", (), lambda _: ()))
            plans = [
                connection.execute(f"EXPLAIN QUERY PLAN {each}").fetchall()
                for each in statements
                if "access_rule" in each
            ]
    assert list(found.records) == ["share/s0503"]
    assert len(statements) <= 4
    assert all("access_rule_by_client" in str(plan) for plan in plans)
