"""A saved plan that the state has moved past: seen as a whole before anything begins, and told in a few lines."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import orjson
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.cli.console import Console

BACKEND = """apiVersion: sharectl/v1
kind: Backend
metadata: {name: sim}
spec:
  driver: simulated
  lanes: 4
  config: {stateFile: sim.db, log: true}
"""


def shares(names: Iterable[str], size: str = "1GiB", spec: str = "") -> str:
    """Return manifests of shares."""
    return "".join(
        f"---\napiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: {name}}}\n"
        f"spec: {{size: {size}, protocol: NFS, deletionPolicy: delete, {spec}}}\n"
        for name in names
    )


def state(console: Console) -> dict[str, object]:
    """Return the state as `state list` has it."""
    return dict(orjson.loads(console("state", "list", "-o", "json").out))


RULE = "access: [{type: ip, to: 10.0.0.0/8, level: rw}]"
ALL = [f"s{number:03}" for number in range(60)]


@pytest.fixture
def planned(console: Console) -> Console:
    """Return a console with a saved first plan of many shares with access."""
    console.write("all.yaml", BACKEND + shares(ALL, spec=RULE))
    assert console("plan", "--out", "first.plan").code == 0
    return console


def test_a_plan_that_was_applied_is_done_and_says_so(planned: Console) -> None:
    """Nothing is left to do of what was asked for: exit 0, in a few lines, and nothing begins."""
    assert planned("apply", "first.plan").code == 0
    before = state(planned)["resources"]
    again = planned("apply", "first.plan")
    assert again.code == 0
    assert "this plan has been applied already" in again.err + again.out
    assert len((again.err + again.out).splitlines()) < 12
    assert state(planned)["resources"] == before


def test_a_plan_of_which_everything_has_changed_begins_nothing(planned: Console) -> None:
    """One error with the first few addresses and a count, and exit 1."""
    assert planned("apply", "--yes").code == 0
    planned.write("all.yaml", BACKEND + shares(ALL, spec=RULE, size="2GiB"))
    assert planned("plan", "--out", "larger.plan").code == 0
    planned.write("all.yaml", BACKEND + shares(ALL, spec=RULE, size="3GiB"))
    assert planned("apply", "--yes").code == 0
    stale = planned("apply", "larger.plan")
    assert stale.code == 1
    assert "error[plan.stale]" in stale.err
    assert "share/s000, share/s001, share/s002 and 57 more" in stale.err
    assert "nothing was begun" in stale.err
    assert len((stale.err + stale.out).splitlines()) < 12


def test_what_has_not_changed_is_done_and_what_has_is_held(planned: Console) -> None:
    """Per address: the others do not depend on it, and the exit code says that something was left out."""
    assert planned("apply", "--yes").code == 0
    planned.write("all.yaml", BACKEND + shares(ALL, spec=RULE, size="2GiB"))
    assert planned("plan", "--out", "larger.plan").code == 0
    planned.write("all.yaml", BACKEND + shares(ALL[:9], spec=RULE, size="3GiB") + shares(ALL[9:], spec=RULE))
    assert planned("apply", "--yes").code == 0
    mixed = planned("apply", "larger.plan")
    assert mixed.code == 1
    said = mixed.out + mixed.err
    assert said.count("changed since the plan was made (version") == 1  # for all of them, and not again at the end
    assert "9 resources are held, as the plan says: share/s000, share/s001, share/s002 and 6 more." in said
    listed = {row["address"]: row for row in orjson.loads(planned("state", "list", "-o", "json").out)["resources"]}
    assert all(listed[f"share/{name}"]["size_bytes"] == 3 << 30 for name in ALL[:9])
    assert all(listed[f"share/{name}"]["size_bytes"] == 2 << 30 for name in ALL[9:])


def test_access_that_goes_on_because_its_share_has_changed_is_named(planned: Console) -> None:
    """Whoever reviewed that somebody is shut out has to know where that was not done."""
    assert planned("apply", "--yes").code == 0
    planned.write("all.yaml", BACKEND + shares(ALL))
    assert planned("plan", "--out", "shut.plan", "--allow-revocations", "60").code == 0
    planned.write("all.yaml", BACKEND + shares(ALL[:1], spec=RULE, size="3GiB") + shares(ALL[1:], spec=RULE))
    assert planned("apply", "--yes").code == 0
    mixed = planned("apply", "shut.plan")
    assert mixed.code == 1
    assert "Access that they would have ended goes on: share/s000." in " ".join(mixed.err.split())
    assert "10.0.0.0/8" in planned("state", "show", "share/s000").out
    assert "10.0.0.0/8" not in planned("state", "show", "share/s001").out


def test_a_plan_that_was_cut_short_can_be_applied_again(planned: Console) -> None:
    """What it did is done; the rest is still as it was reviewed."""
    planned.write("all.yaml", BACKEND + shares(ALL[:7], spec=RULE))
    assert planned("apply", "--yes").code == 0
    rest = planned("apply", "first.plan")
    assert rest.code == 0, rest.err
    assert "15 of 121 steps are done already" in rest.err + rest.out
    planned.write("all.yaml", BACKEND + shares(ALL, spec=RULE))
    assert planned("plan", "--detailed-exitcode").code == 0


def test_a_plan_that_removed_is_done_too(planned: Console) -> None:
    """Also where the shares are no longer there."""
    assert planned("apply", "first.plan").code == 0
    planned.write("all.yaml", BACKEND + shares(ALL[:55], spec=RULE))
    assert planned("plan", "--allow-deletions", "5", "--allow-revocations", "5", "--out", "less.plan").code == 0
    assert planned("apply", "less.plan").code == 0
    again = planned("apply", "less.plan")
    assert again.code == 0
    assert "applied already" in again.err + again.out


def test_a_plan_is_not_taken_for_done_where_the_state_says_otherwise(planned: Console) -> None:
    """The same shares, but other rules are in force."""
    assert planned("apply", "first.plan").code == 0
    other = "access: [{type: ip, to: 10.9.0.0/16, level: rw}]"
    planned.write("all.yaml", BACKEND + shares(ALL, spec=other))
    assert planned("apply", "--yes", "--allow-revocations", "60").code == 0
    stale = planned("apply", "first.plan")
    assert stale.code == 1
    assert "error[plan.stale]" in stale.err


def test_a_plan_is_short_where_other_storage_answers_now(planned: Console) -> None:
    """Each of its steps is bound to fail: nothing is begun, and one error says what answers and both ways out."""
    assert planned("apply", "--yes").code == 0
    planned.write("all.yaml", BACKEND + shares(ALL, spec=RULE, size="2GiB"))
    assert planned("plan", "--out", "larger.plan").code == 0
    (planned.root / "sim.db").rename(planned.root / "former.db")
    before = planned("history", "-o", "json").out
    refused = planned("apply", "larger.plan")
    assert refused.code == 1
    assert refused.err.count("error[backend.identity]: backend sim is not the storage that the state knows") == 1
    assert "share/s000, share/s001, share/s002 and 57 more; nothing was begun" in refused.err
    assert "sharectl state rm backend/sim" in refused.err
    assert len((refused.err + refused.out).splitlines()) < 12
    assert orjson.loads(planned("history", "-o", "json").out)["entries"] == orjson.loads(before)["entries"]
    (planned.root / "former.db").rename(planned.root / "sim.db")
    assert planned("apply", "larger.plan").code == 0


def test_what_is_on_other_storage_is_held_and_the_rest_is_done(console: Console) -> None:
    """A backend whose storage is the one that the state knows is not held up by another."""
    backends = "".join(
        f"---\n{BACKEND}  availabilityZone: {name}\n".replace("name: sim", f"name: {name}").replace(
            "sim.db", f"{name}.db"
        )
        for name in ("near", "far")
    )
    console.write(
        "all.yaml",
        backends + shares(ALL[:3], spec="availabilityZone: near") + shares(ALL[3:9], spec="availabilityZone: far"),
    )
    assert console("apply", "--yes").code == 0
    more = shares(ALL[:3], "2GiB", "availabilityZone: near") + shares(ALL[3:9], "2GiB", "availabilityZone: far")
    console.write("all.yaml", backends + more)
    assert console("plan", "--out", "larger.plan").code == 0
    (console.root / "far.db").unlink()
    mixed = console("apply", "larger.plan")
    assert mixed.code == 1
    assert "error[backend.identity]: backend far" in mixed.err
    assert "share/s003, share/s004, share/s005 and 3 more; the rest of the plan is done" in mixed.err
    listed = {row["address"]: row for row in orjson.loads(console("state", "list", "-o", "json").out)["resources"]}
    assert [listed[f"share/{name}"]["size_bytes"] >> 30 for name in ALL[:9]] == [2] * 3 + [1] * 6


def test_a_plan_that_left_shares_waiting_tells_that_once(planned: Console) -> None:
    """By `plan`, and by `apply` of what it saved, in text and Markdown; the answers count all of them, and programs get each."""
    assert planned("apply", "--yes").code == 0
    (planned.root / "sim.db").rename(planned.root / "away.db")
    planned.write("sim.db", "no database")
    planned.write("more.yaml", shares([f"w{number:02}" for number in range(60)]))
    plan = planned("plan", "--out", "waiting.plan")
    assert plan.code == 1
    for ended in (plan, planned("apply", "waiting.plan")):
        assert ended.err.count("warning[share.held]") == 1
        assert "share/w00 waits" in ended.err
        assert "(the same for share/w01, share/w02, share/w03 and 56 more)" in ended.err
        assert "61 warnings" in ended.err
        assert len((ended.out + ended.err).splitlines()) < 22
    assert planned("plan", "--output", "markdown").out.count("share/w00 waits") == 1
    found = orjson.loads(planned("plan", "--output", "json").out)["diagnostics"]
    assert sum(each["code"] == "share.held" for each in found) == 60


def test_a_plan_that_was_applied_is_short_whatever_it_mended_or_could_not_read(planned: Console) -> None:
    """What had drifted is as it should be by now, and not told again; what was not looked at still makes it no success."""
    other = BACKEND.replace("name: sim", "name: other").replace("sim.db", "other.db")
    planned.write("other.yaml", other)
    assert planned("apply", "--yes").code == 0
    with closing(sqlite3.connect(planned.root / "sim.db")) as database, database:
        database.execute("UPDATE shares SET size_bytes = 2147483648")
    planned.write("all.yaml", BACKEND + shares(ALL, spec=RULE, size="3GiB"))
    (planned.root / "other.db").rename(planned.root / "kept.db")
    planned.write("other.db", "no database")
    drifted = planned("plan", "--out", "larger.plan")
    assert drifted.out.count("was changed on backend sim") > 9
    (planned.root / "kept.db").rename(planned.root / "other.db")
    assert "Drift" in planned("apply", "larger.plan").out
    again = planned("apply", "larger.plan")
    assert (again.code, planned("apply", "larger.plan", "--allow-unreadable", "other").code) == (1, 0)
    assert "this plan has been applied already" in again.err
    assert "No changes. 60 resources are as their manifests say, as far as the backends could be read." in again.out
    assert "was changed on backend" not in again.out + again.err
    assert len((again.out + again.err).splitlines()) < 12
