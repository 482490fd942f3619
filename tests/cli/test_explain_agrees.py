"""`explain` says what `plan` does, in whatever world."""

from __future__ import annotations

import random
import re
import sqlite3
from contextlib import closing
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import orjson
import pytest

if TYPE_CHECKING:
    from tests.cli.console import Console


def backend(name: str, chance: random.Random) -> str:
    """Return a backend with a few pools of odd sizes."""
    pools = ", ".join(f"{{name: p{number}, total: {chance.choice((8, 12, 20, 40))}GiB}}" for number in range(3))
    return (
        f"apiVersion: sharectl/v1\nkind: Backend\nmetadata: {{name: {name}}}\n"
        f"spec: {{driver: simulated, config: {{stateFile: {name}.db, pools: [{pools}]}}}}\n"
    )


def share(name: str, chance: random.Random, others: list[str], snapshots: list[str]) -> str:
    """Return a share of an odd size, perhaps near another or far from it, or made from a snapshot."""
    fields = [f"size: {chance.randint(1, 9)}GiB", "protocol: NFS"]
    kind = chance.random()
    if snapshots and kind < 0.2:
        fields[0] = "size: 9GiB"
        fields.append(f"sourceSnapshot: {chance.choice(snapshots)}")
    elif others and kind < 0.5:
        hint = chance.choice(("sameHost", "differentHost"))
        fields.append(f"schedulerHints: {{{hint}: [{chance.choice(others)}]}}")
    return f"apiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: {name}}}\nspec: {{{', '.join(fields)}}}\n"


def host_of(plan: dict[str, Any], address: str) -> str | None:
    """Return where the plan makes the share."""
    for step in plan["steps"]:
        if step["address"] == address and step.get("candidates"):
            first = step["candidates"][0]
            return f"{first['backend']}#{first['pool']}"
    return None


def agree(console: Console, names: list[str], *limits: str) -> int:
    """Compare what plan and explain say of each share; return how many a plan makes."""
    plan = orjson.loads(console("plan", "-o", "json", *limits).out)
    recorded = {
        r["address"]: r for r in orjson.loads(console("state", "list", "-o", "json").out or "{}").get("resources", [])
    }
    made = 0
    for name in names:
        address = f"share/{name}"
        explained = orjson.loads(console("explain", address, "-o", "json", *limits).out)
        host = host_of(plan, address)
        assert explained["planned"] is (host is not None)
        if host is not None:
            assert (name, explained["host"], explained["placed_on"]) == (name, host, None)
            made += 1
        elif address in recorded:
            place = f"{recorded[address]['backend']}#{recorded[address]['pool']}"
            assert (name, explained["placed_on"]) == (name, place)
    return made


@pytest.mark.parametrize("seed", range(5))
def test_explain_and_plan_name_the_same_pool(console: Console, seed: int) -> None:
    """New shares that compete, hints, clones, shares that are there, shares that were lost, and a plan of one backend."""
    chance = random.Random(seed)  # noqa: S311 - a world, not a secret
    algorithm = "pack" if seed == 4 and find_spec("ortools") else "manila"
    project = f"apiVersion: sharectl/v1\nkind: Project\nspec: {{scheduler: {{algorithm: {algorithm}}}}}\n"
    console.write("sharectl.yaml", project)
    console.write("backends.yaml", backend("a", chance) + "---\n" + backend("b", chance))
    first = [f"old{number}" for number in range(4)]
    console.write("old.yaml", "---\n".join(share(name, chance, [], []) for name in first))
    console.write("snap.yaml", "apiVersion: sharectl/v1\nkind: Snapshot\nmetadata: {name: snap}\nspec: {share: old0}\n")
    console("apply", "--yes")
    new: list[str] = []
    documents = []
    for number in range(6):
        documents.append(share(f"new{number}", chance, first + new, ["snap"]))
        new.append(f"new{number}")
    console.write("new.yaml", "---\n".join(documents))
    if console("validate").code:  # a hint or a clone that cannot be
        pytest.fail(console("validate").err)
    assert agree(console, first + new)
    agree(console, first + new, "--backend", "b")
    for name in ("a", "b"):
        with closing(sqlite3.connect(console.root / f"{name}.db")) as connection, connection:
            connection.execute("DELETE FROM shares WHERE name IN ('old1', 'old2')")
    agree(console, first + new)


@pytest.mark.parametrize("seed", range(3))
def test_a_share_that_stays_is_explained_as_by_a_plan_of_everything(
    console: Console, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """One that a plan of it alone leaves as it is needs no plan of the others; a silent backend is told all the same."""
    chance = random.Random(seed)  # noqa: S311 - a world, not a secret
    console.write("backends.yaml", backend("a", chance) + "---\n" + backend("b", chance))
    names: list[str] = []
    for number in range(4):
        console.write(f"s{number}.yaml", share(f"s{number}", chance, names, []))
        names.append(f"s{number}")
    console("apply", "--yes")
    console.write("new.yaml", share("new", chance, names, []))
    if seed == 1:
        console.write("b.db", "not a database of the driver")
    said = [console("explain", f"share/{name}", "-o", style) for name in names for style in ("json", "text")]
    monkeypatch.setattr("sharectl.workspace.explanation._settled", lambda *_: None)
    expected = [console("explain", f"share/{name}", "-o", style) for name in names for style in ("json", "text")]
    assert [(one.code, one.out) for one in said] == [(one.code, one.out) for one in expected]
    assert [one.err.count("error[") for one in said] == [one.err.count("error[") for one in expected]


def test_explain_says_in_words_where_the_plan_makes_a_share(console: Console) -> None:
    """Also of shares that are to be together, of which a plan places some before others."""
    for name in ("a", "b"):
        config = f"{{stateFile: {name}.db, pools: [{{name: p, total: 12GiB}}]}}"
        head = f"apiVersion: sharectl/v1\nkind: Backend\nmetadata: {{name: {name}}}\n"
        console.write(f"{name}.yaml", f"{head}spec: {{driver: simulated, config: {config}}}\n")
    beside = {"one": "", "two": "one", "three": "two"}
    for size, (name, other) in enumerate(beside.items(), start=5):
        hint = f", schedulerHints: {{sameHost: [{other}]}}" if other else ""
        head = f"apiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: {name}}}\n"
        console.write(f"{name}.yaml", f"{head}spec: {{size: {size}GiB, protocol: NFS{hint}}}\n")
    planned = re.findall(r"\+ share/(\w+) .*→ (\S+)", console("plan").out)
    explained = [
        found
        for name in beside
        for found in re.findall(r"share/(\w+) goes to (.*)\.", console("explain", f"share/{name}").out)
    ]
    assert sorted(planned) == sorted(explained)
    assert planned


def test_a_share_that_is_there_has_the_candidates_that_it_had_when_it_was_new(console: Console) -> None:
    """Those alone that a plan would take: by what its driver can do, by its limits, and in the pool of its snapshot."""
    pools = "[{name: p, total: 99GiB}, {name: q, total: 99GiB}]"
    settings = {"all": "clonesWithin: pool", "untrashing": "without: [trash]", "small": "limits: {sizeMultiple: 2GiB}"}
    for name, setting in settings.items():
        head = f"apiVersion: sharectl/v1\nkind: Backend\nmetadata: {{name: {name}}}\n"
        config = f"{{stateFile: {name}.db, pools: {pools}, {setting}}}"
        console.write(f"{name}.yaml", f"{head}spec: {{driver: simulated, config: {config}}}\n")
    head = "apiVersion: sharectl/v1\nkind: Share\nmetadata: {name: "
    near = "schedulerHints: {onlyHost: 'all#p'}"
    console.write("origin.yaml", f"{head}origin}}\nspec: {{size: 1GiB, protocol: NFS, {near}}}\n")
    console.write(
        "snap.yaml", "apiVersion: sharectl/v1\nkind: Snapshot\nmetadata: {name: snap}\nspec: {share: origin}\n"
    )
    assert console("apply", "--yes").code == 0
    console.write("bin.yaml", f"{head}bin}}\nspec: {{size: 3GiB, protocol: NFS, deletionPolicy: trash}}\n")
    console.write("odd.yaml", f"{head}odd}}\nspec: {{size: 3GiB, protocol: NFS}}\n")
    console.write("clone.yaml", f"{head}clone}}\nspec: {{size: 2GiB, protocol: NFS, sourceSnapshot: snap}}\n")
    fitting = {
        "bin": {"all#p", "all#q"},
        "odd": {"all#p", "all#q", "untrashing#p", "untrashing#q"},
        "clone": {"all#p"},
    }
    assert {name: candidates_of(console, name) for name in fitting} == fitting
    assert console("apply", "--yes").code == 0
    assert {name: candidates_of(console, name) for name in fitting} == fitting


def candidates_of(console: Console, name: str) -> set[str]:
    """Return the pools that `explain` does not call refused."""
    explained = orjson.loads(console("explain", f"share/{name}", "-o", "json").out)
    return {pool["host"] for pool in explained["pools"] if pool["refused_by"] is None}
