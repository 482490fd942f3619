"""Two teams apply different addresses of one state at once; what touches the same is told who is there."""

from __future__ import annotations

import itertools
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from sharectl.manifests.project import find_project
from sharectl.model.quantities import GIB
from sharectl.model.records import Scope
from sharectl.model.state_urls import parse_postgresql_url
from sharectl.state.postgresql.store import open_store
from sharectl.state.testing.samples import ALICE
from sharectl.workspace import plans
from tests.cli.console import GATED, PATIENCE_SECONDS, environment
from tests.cli.test_postgresql_state import PROJECT
from tests.cli.test_processes import calls, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.console import Console
    from tests.postgresql import Server

BACKEND = """\
apiVersion: sharectl/v1
kind: Backend
metadata: {name: sim}
spec:
  driver: simulated
  config: {stateFile: sim.db, pools: [{name: gold1, total: 10TiB}], log: true}
"""
SHARE = """\
---
apiVersion: sharectl/v1
kind: Share
metadata: {{name: {name}, labels: {{team: {team}}}}}
spec: {{size: {size}GiB, protocol: NFS, deletionPolicy: delete}}
"""
JOB = "https://ci.example/jobs/41"


def manifests(*shares: tuple[str, str, int]) -> str:
    """Return the manifests of shares of teams."""
    return BACKEND + "".join(SHARE.format(name=n, team=t, size=s) for n, t, s in shares)


@pytest.fixture
def teams(console: Console, postgresql: Server) -> Console:
    """Return a repository with a share of each team, applied, and plans of both: each makes a share, `b` extends one besides."""
    console.write("sharectl.yaml", PROJECT.format(url=postgresql.url()))
    console.write("all.yaml", manifests(("a1", "a", 1), ("b1", "b", 1)))
    assert console("apply", "--yes").code == 0
    console.write("all.yaml", manifests(("a1", "a", 1), ("a2", "a", 1), ("b1", "b", 2), ("b2", "b", 1)))
    assert console("plan", "--label", "team=a", "--out", "a.plan").code == 0
    assert console("plan", "--label", "team=b", "--out", "b.plan").code == 0
    return console


Run = tuple[str, *tuple[str, ...]]
"""The share that a run makes, and the arguments of its command."""


@contextmanager
def at_work(root: Path, *runs: Run, driver: str = "simulated") -> Iterator[list[subprocess.Popen[str]]]:
    """Begin applies in a CI job, and give them when each is just about to make its share; they go on once there is a file `go`."""
    env = environment(CI_JOB_URL=JOB, SHARECTL_ACTOR="ada")
    with ExitStack() as stack:
        processes = []
        for _, *arguments in runs:
            command = [sys.executable, "-c", GATED, driver, *arguments]
            process = subprocess.Popen(
                command, cwd=root, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            processes.append(stack.enter_context(process))
            stack.callback(process.kill)
        for process, (share, *_) in zip(processes, runs, strict=True):
            eventually(lambda at=root / f"at-{share}", begun=process: at.exists() or begun.poll() is not None)
            assert process.poll() is None
        yield processes


@contextmanager
def promised(root: Path, size_bytes: int) -> Iterator[Callable[[], object]]:
    """Hold a lease under which so much of `gold1` is promised, and give what ends the promise."""
    place = parse_postgresql_url(find_project(root).state_url)
    room = {("sim", "gold1"): size_bytes}
    with closing(open_store(place, create=False)) as store:
        lease = store.acquire(ALICE, duration_seconds=600, scope=Scope(frozenset({"sim"}), frozenset({"share/other"})))
        store.promise(lease, room)
        yield lambda: store.promise(lease, {})
        store.release(lease)


def end(root: Path, *processes: subprocess.Popen[str]) -> list[int]:
    """Let them make their shares, and return how they ended."""
    (root / "go").touch()
    for process in processes:
        process.communicate(timeout=PATIENCE_SECONDS)
    return [process.returncode for process in processes]


def locks(console: Console) -> list[dict[str, Any]]:
    """Return the leases that are held."""
    found: list[dict[str, Any]] = orjson.loads(console("lock", "status", "-o", "json").out)["locks"]
    return found


def unlock(console: Console, address: str) -> None:
    """Take the lease of an address away from its holder."""
    [token] = [held["token"] for held in locks(console) if address in held["scope"]["addresses"]]
    assert console("unlock", "--yes", str(token)).code == 0


def shares(root: Path, name: str) -> list[str]:
    """Return the resource ids of the shares of this name on the backend."""
    with closing(sqlite3.connect(root / "sim.db")) as connection:
        return [key for (key,) in connection.execute("SELECT resource_id FROM shares WHERE name = ?", (name,))]


def operations(console: Console) -> list[str]:
    """Return the addresses of what is open."""
    return [each["address"] for each in orjson.loads(console("state", "operations", "-o", "json").out)["operations"]]


def test_a_run_works_beside_one_on_other_addresses(teams: Console) -> None:
    """A saved plan beside one that is narrowed; who wants the same addresses, or all, is told by whom they are held, or waits for them."""
    same = ("apply", "a.plan")
    with at_work(teams.root, ("a2", "apply", "--yes", "--target", "share/a2")) as [first]:
        ended = teams("apply", "b.plan")
        assert ended.code == 0, ended.err
        [held] = locks(teams)
        assert held["scope"] == {"addresses": ["share/a2"], "backends": ["sim"]}
        assert "share/a2" in teams("lock", "status").out
        for wanted in (same, ("apply", "--yes")):
            refused = teams(*wanted)
            told = " ".join(refused.err.split())
            assert refused.code == 75
            assert all(word in told for word in ("share/a2 is locked by", "ada", JOB, held["acquired_at"]))
        (teams.root / "go").touch()
        waited = teams(*same, "--lock-timeout", "60s")
        assert end(teams.root, first) == [0]
    assert waited.code == 0, waited.err
    assert "applied already" in waited.err  # what is done by then is not done again
    assert calls(teams.root, "create_share") == 4
    assert teams("plan", "--detailed-exitcode").code == 0
    history = orjson.loads(teams("history", "-o", "json").out)["entries"]
    assert {each["address"] for each in history} >= {"share/a2", "share/b1", "share/b2"}


def test_a_killed_run_leaves_its_intents_to_whoever_takes_its_addresses(teams: Console) -> None:
    """A run beside it resolves nothing of it; the next of everything finishes it, and takes its lease over."""
    with at_work(teams.root, ("a2", "apply", "a.plan")) as [first]:
        first.kill()
        first.wait()
    assert operations(teams) == ["share/a2"]
    ended = teams("apply", "--yes", "--label", "team=b")
    assert ended.code == 0, ended.err
    assert operations(teams) == ["share/a2"]
    assert teams("apply", "--yes").code == 0
    assert (operations(teams), locks(teams)) == ([], [])
    assert teams("plan", "--detailed-exitcode").code == 0


def test_a_run_that_lost_its_addresses_changes_nothing_while_others_work(teams: Console) -> None:
    """Its call is under way when another takes them over, beside a third: that one's call goes through, its own does not.

    One of several locks is removed by its token, and not without it.
    """
    with at_work(teams.root, ("a2", "apply", "a.plan"), ("b2", "apply", "b.plan")) as [lost, living]:
        assert teams("unlock", "--yes").code == 64
        assert teams("unlock", "--yes", "1").code == 64
        unlock(teams, "share/a2")
        assert [held["scope"]["addresses"] for held in locks(teams)] == [["share/b1", "share/b2"]]
        taken = teams("apply", "--yes", "--target", "share/a2")
        assert taken.code == 0, taken.err
        [made] = shares(teams.root, "a2")
        assert end(teams.root, lost, living) == [1, 0]
    assert operations(teams) == []
    assert shares(teams.root, "a2") == [made]
    assert len(shares(teams.root, "b2")) == 1
    assert teams("plan", "--detailed-exitcode").code == 0
    with closing(sqlite3.connect(teams.root / "sim.db")) as connection:
        outcomes = connection.execute("SELECT outcome FROM calls WHERE call = 'create_share'").fetchall()
    assert sum("later run" in outcome for (outcome,) in outcomes) == 1


def test_a_saved_plan_is_refused_when_its_own_addresses_moved_and_not_for_others(teams: Console) -> None:
    """What another team has done since is no matter of it."""
    teams.write("all.yaml", manifests(("a1", "a", 1), ("b1", "b", 3)))
    assert teams("plan", "--target", "share/b1", "--out", "b-again.plan").code == 0
    assert teams("apply", "a.plan").code == 0
    assert teams("apply", "b.plan").code == 0
    refused = teams("apply", "b-again.plan")
    assert (refused.code, "share/b1" in refused.out + refused.err) == (1, True)
    assert calls(teams.root, "extend_share") == 1


@pytest.fixture
def narrow(teams: Console) -> Console:
    """Return the repository with a pool in which there is room for one of two shares, and plans of both, made while nobody was at work."""
    crowded = manifests(("a1", "a", 1), ("a2", "a", 60), ("b1", "b", 2), ("b2", "b", 60))
    teams.write("all.yaml", crowded.replace("total: 10TiB", "total: 100GiB, thin: false"))
    for team in "ab":
        assert teams("plan", "--label", f"team={team}", "--out", f"{team}.plan").code == 0
    return teams


def test_room_that_another_run_has_promised_is_not_counted_on(narrow: Console) -> None:
    """Neither by a plan that was made before nor by a new one; both say who has it, and what else there is to do is done."""
    with at_work(narrow.root, ("a2", "apply", "a.plan")) as [first]:
        applied = narrow("apply", "b.plan")
        planned = narrow("plan", "--label", "team=b")
        for told in (applied, planned):
            assert told.code == 1
            words = " ".join(told.err.split())
            assert all(word in words for word in ("pool.promised", "promised to", "ada", JOB, "apply a.plan"))
        assert (calls(narrow.root, "extend_share"), calls(narrow.root, "create_share")) == (1, 2)
        assert end(narrow.root, first) == [0]
    assert [len(shares(narrow.root, name)) for name in ("a2", "b2")] == [1, 0]


def test_promised_room_is_shown_wherever_one_looks(narrow: Console) -> None:
    """With the pools, with the place of a share, and with the lock under which it is promised."""
    with promised(narrow.root, 60 * GIB):
        for command in (("pools",), ("explain", "share/b2")):
            told = " ".join(narrow(*command).err.split())
            assert (
                "warning[pool.promised]: 60GiB of pool gold1 on backend sim are promised to alice@one.example" in told
            )
        assert "promised     60GiB of sim#gold1" in narrow("lock", "status").out
        assert [lock["promised"] for lock in locks(narrow)] == [
            [{"backend": "sim", "pool": "gold1", "size_bytes": 60 * GIB}]
        ]
    assert "promised" not in narrow("pools").err + narrow("explain", "share/b2").err + narrow("lock", "status").out


def test_a_share_goes_where_nothing_is_promised(narrow: Console) -> None:
    """To the next of its candidates, as if the first had refused it."""
    crowded = (narrow.root / "all.yaml").read_text(encoding="utf-8")
    narrow.write("all.yaml", crowded.replace("thin: false}", "thin: false}, {name: gold2, total: 100GiB, thin: false}"))
    for team in "ab":
        assert narrow("plan", "--label", f"team={team}", "--out", f"{team}.plan").code == 0
    with promised(narrow.root, 60 * GIB):
        ended = narrow("apply", "b.plan")
        assert ended.code == 0, ended.err
        assert narrow("apply", "a.plan").code == 1  # in gold2 there is none left
    with closing(sqlite3.connect(narrow.root / "sim.db")) as connection:
        pools = connection.execute("SELECT pool FROM shares WHERE name IN ('a2', 'b2')").fetchall()
    assert pools == [("gold2",)]
    assert narrow("apply", "--yes").code == 0
    assert narrow("plan", "--detailed-exitcode").code == 0


OF_B = """\
---
apiVersion: sharectl/v1
kind: Share
metadata: {{name: {name}, labels: {{team: b}}}}
spec:
  size: {size}GiB
  protocol: {protocol}
  deletionPolicy: delete
  replacement: {replacement}
  access: [{access}]
"""


@pytest.mark.parametrize("name", ["b1", "new, annotations: {sharectl/moved-from: b1}"])
def test_access_is_taken_away_though_others_have_promised_the_room_to_grow(narrow: Console, name: str) -> None:
    """What is held is the size alone, also of a share that is renamed."""
    backend = BACKEND.replace("total: 10TiB", "total: 100GiB, thin: false")
    guest, host = "{type: ip, to: 10.0.0.1, level: rw}", "{type: ip, to: 10.0.0.2, level: rw}"
    share = {"protocol": "NFS", "replacement": "refuse"}
    narrow.write("all.yaml", backend + OF_B.format(name="b1", size=1, access=f"{guest}, {host}", **share))
    assert narrow("apply", "--yes", "--allow-deletions", "9").code == 0
    narrow.write("all.yaml", backend + OF_B.format(name=name, size=60, access=host, **share))
    assert narrow("plan", "--out", "b.plan").code == 0
    with promised(narrow.root, 60 * GIB):
        assert narrow("apply", "b.plan").code == 1
    assert f"share/{name.partition(',')[0]}" in narrow("state", "list").out
    with closing(sqlite3.connect(narrow.root / "sim.db")) as connection:
        [(access, size)] = connection.execute("SELECT access, size_bytes FROM shares WHERE name IN ('b1', 'new')")
    assert ("10.0.0.1" in access, "10.0.0.2" in access, size) == (False, True, GIB)
    assert narrow("apply", "--yes").code == 0
    assert calls(narrow.root, "extend_share") == 1


@pytest.mark.parametrize("order", ["createFirst", "deleteFirst"])
def test_a_share_stays_whole_when_others_have_promised_the_room_of_its_replacement(narrow: Console, order: str) -> None:
    """It keeps its address and its snapshots."""
    backend = BACKEND.replace("total: 10TiB", "total: 100GiB, thin: false")
    snapshot = "---\napiVersion: sharectl/v1\nkind: Snapshot\nmetadata: {name: snap}\nspec: {share: b1, deletionPolicy: delete}\n"
    share = {"name": "b1", "replacement": order, "access": ""}
    narrow.write("all.yaml", backend + OF_B.format(size=1, protocol="NFS", **share) + snapshot)
    assert narrow("apply", "--yes", "--allow-deletions", "9").code == 0
    before = {line.split()[0] for line in narrow("state", "list").out.splitlines()}
    narrow.write("all.yaml", backend + OF_B.format(size=60, protocol="CIFS", **share))
    assert narrow("plan", "--out", "b.plan", "--allow-deletions", "9", "--allow-recreations", "9").code == 0
    with promised(narrow.root, 60 * GIB):
        ended = narrow("apply", "b.plan")
    assert (ended.code, "pool.promised" in ended.err) == (1, True)
    assert {line.split()[0] for line in narrow("state", "list").out.splitlines()} == before
    assert (calls(narrow.root, "delete_snapshot"), len(shares(narrow.root, "b1"))) == (0, 1)


def test_room_is_not_counted_on_while_it_is_taken(narrow: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """A promise that ends once pools have been asked counts still: its share is in none of their figures."""
    ask = plans.survey
    with promised(narrow.root, 60 * GIB) as kept:

        def asked_before(*arguments: Any) -> Any:  # noqa: ANN401 - as the survey itself
            found = ask(*arguments)
            kept()
            return found

        monkeypatch.setattr(plans, "survey", asked_before)
        planned = narrow("plan", "--label", "team=b")
    assert (planned.code, "pool.promised" in planned.err) == (1, True)


def test_what_was_reviewed_is_not_done_in_part_when_room_is_promised_to_others(
    narrow: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--if-current` says all or nothing, also where another run promises the room after it has been planned anew."""
    ask, asked = plans.survey, itertools.count(1)
    with ExitStack() as stack:

        def asked_after(*arguments: Any) -> Any:  # noqa: ANN401 - as the survey itself
            if next(asked) == 2:  # under the lease: the first plan says what that is for
                stack.enter_context(promised(narrow.root, 60 * GIB))
            return ask(*arguments)

        monkeypatch.setattr(plans, "survey", asked_after)
        ended = narrow("apply", "b.plan", "--if-current", "--label", "team=b")
    assert (ended.code, "pool.promised" in ended.err, next(asked)) == (1, True, 3)
    assert calls(narrow.root, "extend_share") == 0


def test_what_another_run_makes_while_backends_are_asked_is_no_stranger(
    teams: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state was read before, and does not know it; it does afterwards."""
    ask = plans.survey

    def asked_late(*arguments: Any) -> Any:  # noqa: ANN401 - as the survey itself
        monkeypatch.setattr(plans, "survey", ask)
        assert teams("apply", "a.plan").code == 0
        return ask(*arguments)

    monkeypatch.setattr(plans, "survey", asked_late)
    told = orjson.loads(teams("plan", "-o", "json").out)
    assert [each for each in told["drift"] if each["kind"] in {"unknown", "unmanaged"}] == []
    assert {each["code"] for each in told["diagnostics"]} <= {"state.forgetful", "state.in-motion"}


FOLDERS = """\
apiVersion: sharectl/v1
kind: Backend
metadata: {name: sim}
spec:
  driver: directory
  config: {root: storage, exportHost: nas}
"""


def test_folders_are_fenced_for_each_run_by_itself(console: Console, postgresql: Server) -> None:
    """The `directory` driver keeps its fences in a file of the backend: of three runs the one that lost its lease makes nothing."""
    console.write("sharectl.yaml", PROJECT.format(url=postgresql.url()))
    console.write("all.yaml", FOLDERS)
    assert console("apply", "--yes").code == 0
    console.write("all.yaml", FOLDERS + "".join(SHARE.format(name=f"{team}2", team=team, size=1) for team in "ab"))
    for team in "ab":
        assert console("plan", "--label", f"team={team}", "--out", f"{team}.plan").code == 0
    root = console.root
    runs: list[Run] = [("a2", "apply", "a.plan"), ("b2", "apply", "b.plan")]
    with at_work(root, *runs, driver="directory") as [lost, living]:
        unlock(console, "share/a2")
        taken = console("apply", "--yes", "--target", "share/a2")
        assert taken.code == 0, taken.err
        made = (root / "storage" / "a2").stat().st_ino
        assert end(root, lost, living) == [1, 0]
    assert (root / "storage" / "a2").stat().st_ino == made
    assert (root / "storage" / "b2").is_dir()
    assert console("plan", "--detailed-exitcode").code == 0
