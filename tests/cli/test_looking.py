"""Commands that look and change nothing: pools, explain, show, graph, schema, refresh, saved plans."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.drivers.base import DriverError
from sharectl.drivers.registry import UnknownDriverError
from sharectl.manifests.schemas import schema_names
from sharectl.render.outputs import output_names

if TYPE_CHECKING:
    from tests.cli.console import Console


def test_pools(applied: Console) -> None:
    """Capacity and capabilities, as a table and as JSON; --simulate says how many more would fit."""
    assert "sim#gold1" in applied("pools").out
    assert orjson.loads(applied("pools", "-o", "json").out)["pools"][0]["host"] == "sim#gold1"
    assert "all fit" in applied("pools", "--simulate", "3x100GiB").out
    assert orjson.loads(applied("pools", "--simulate", "3x100GiB", "-o", "json").out)["simulation"]["placed"] == 3
    wrong = applied("pools", "--simulate", "many")
    assert wrong.code == 1
    assert "100x50GiB" in wrong.err


def test_explain(applied: Console) -> None:
    """Where a share is, and where it would go; before it is placed, just the latter."""
    placed = applied("explain", "share/two")
    assert "share/two is on sim#gold1 and stays there" in placed.out
    applied.write(
        "more.yaml", "apiVersion: sharectl/v1\nkind: Share\nmetadata: {name: new}\nspec: {size: 1GiB, protocol: NFS}\n"
    )
    assert "stays there" not in applied("explain", "share/new").out
    found = orjson.loads(applied("explain", "share/two", "-o", "json").out)
    assert found["placed_on"] == "sim#gold1"


def test_explain_a_clone(applied: Console) -> None:
    """It has to go to where its snapshot is."""
    applied.write(
        "clone.yaml",
        "apiVersion: sharectl/v1\nkind: Share\nmetadata: {name: copy}\n"
        "spec: {size: 2GiB, protocol: NFS, sourceSnapshot: two-monday}\n",
    )
    assert "sim#gold1" in applied("explain", "share/copy").out


def test_show_a_share(applied: Console) -> None:
    """With access, snapshots and how to mount it; the same in JSON."""
    shown = applied("show", "share/two")
    assert shown.code == 0
    for text in ("ip:10.0.0.1 rw", "snapshot/two-monday", "mount -t nfs"):
        assert text in shown.out
    document = orjson.loads(applied("show", "share/two", "-o", "json").out)
    assert document["format"] == "sharectl-resource"
    assert document["snapshots"] == ["snapshot/two-monday"]


def test_show_what_is_not_applied_yet(simulated: Console) -> None:
    """The manifest is all that there is."""
    assert "not applied yet" in simulated("show", "share/one").out
    assert simulated("show", "snapshot/two-monday").code == 0


def test_show_a_share_that_has_vanished(applied: Console) -> None:
    """What the state last knew, and a warning."""
    with closing(sqlite3.connect(applied.root / "sim.db")) as connection, connection:
        connection.execute("DELETE FROM shares WHERE name = 'one'")
    shown = applied("show", "share/one")
    assert shown.code == 0
    assert "warning[share.gone]" in shown.err
    drifted = applied("refresh", "--detailed-exitcode")
    assert drifted.code == 2
    assert "share/one" in drifted.out
    assert orjson.loads(applied("refresh", "-o", "json").out)["drift"][0]["address"] == "share/one"


def test_show_calls_nothing_gone_on_storage_that_it_does_not_know(applied: Console) -> None:
    """What answers instead of the backend is not asked for the share."""
    (applied.root / "sim.db").unlink()
    shown = applied("show", "share/two")
    assert "backend sim is not the storage that the state knows" in shown.err
    assert "is not on backend" not in shown.err


def test_show_a_share_whose_manifest_is_gone(applied: Console) -> None:
    """The state still knows it, and says how to reach it."""
    applied.write("all.yaml", (applied.root / "all.yaml").read_text(encoding="utf-8").partition("---")[0])
    assert "share/one" in applied("show", "share/one").out


@pytest.mark.parametrize("output", ["text", "json", "markdown"])
def test_a_saved_plan_is_shown(simulated: Console, output: str) -> None:
    """As it would be planned, in each form; -C holds for the file as well."""
    assert simulated("plan", "--out", "p").code == 0
    shown = simulated("show", "p", "-o", output).out
    if output == "json":  # a saved plan knows where it was made, besides
        document = orjson.loads(shown)
        assert document.pop("origin")["state_path"]
        assert document == orjson.loads(simulated("plan", "-o", output).out)
        return
    assert shown == simulated("plan", "-o", output).out.replace(
        "`sharectl apply` does this; `sharectl plan --out FILE` saves it, so that exactly this is applied.\n", ""
    )


def test_only_plan_says_how_to_go_on(simulated: Console) -> None:
    """Whoever saves, shows or applies a plan knows already."""
    hint = "`sharectl apply` does this"
    assert hint in simulated("plan").out
    assert hint not in simulated("plan", "--out", "p").out
    assert hint not in simulated("apply", "p").out
    assert "`sharectl destroy` does this" in simulated("plan", "--destroy").err


def test_a_verbose_plan_tells_the_fields_and_weights_of_what_is_new(simulated: Console) -> None:
    """A plain one tells where it goes."""
    plain, verbose = simulated("plan").out, simulated("plan", "--verbose").out
    assert "CapacityWeigher" not in plain
    assert "CapacityWeigher" in verbose
    assert "+ size  1GiB" not in plain
    assert "+ size  1GiB" in verbose


def test_plan_of_a_part(simulated: Console) -> None:
    """Targets with what they need, labels, exclusions."""
    assert "share/one" not in simulated("plan", "--target", "snapshot/two-monday").out
    assert "share/two" in simulated("plan", "--target", "snapshot/two-monday").out
    assert "share/two" not in simulated("plan", "--label", "team=a").out
    assert "share/one" not in simulated("plan", "--exclude", "share/one").out
    assert simulated("apply", "--yes", "--target", "share/two/access/ip:10.0.0.1").code == 0
    assert simulated("plan", "--refresh", "changed").code == 0
    assert simulated("plan", "--refresh", "none", "--backend", "sim").code == 0


def test_an_apply_in_json_and_markdown(simulated: Console) -> None:
    """Events by the line and the result last, also where nothing is to be done; markdown is for the summary of a job."""
    lines = simulated("apply", "--yes", "-o", "json").out.splitlines()
    assert orjson.loads(lines[-1]) | {"seconds": 0} == {
        "format": "sharectl-result",
        "version": 1,
        "succeeded": True,
        "done": 5,
        "failed": 0,
        "skipped": 0,
        "cancelled": False,
        "seconds": 0,
        "problem": "",
        "exit_code": 0,
        "unreadable": [],
        "failures": [],
        "held": [],
    }
    lines = simulated("apply", "--yes", "-o", "json").out.splitlines()
    assert orjson.loads(lines[-1])["done"] == 0
    assert simulated("apply", "--yes", "-o", "markdown").out.startswith("## ")


def test_an_apply_that_is_refused(applied: Console) -> None:
    """Something is refused, and there is nothing else to do: it is said, in each form."""
    applied.write(
        "all.yaml", (applied.root / "all.yaml").read_text(encoding="utf-8").replace("size: 2GiB", "size: 1GiB")
    )
    for output in ("text", "json"):
        ended = applied("apply", "--yes", "-o", output)
        assert ended.code == 1
        assert "error[share.shrink]" in ended.err
    steps = applied("graph", "--steps")
    assert steps.code == 1
    assert "share/" not in steps.out


def test_a_failed_apply_in_json(simulated: Console) -> None:
    """The result says what failed, and the exit code is 1."""
    text = (simulated.root / "all.yaml").read_text(encoding="utf-8")
    fault = "    faults: [{call: create_share, effect: error, name: one, message: no}]\n"
    simulated.write("all.yaml", text.replace("---\n", f"{fault}---\n", 1))
    ended = simulated("apply", "--yes", "-o", "json")
    assert ended.code == 1
    assert orjson.loads(ended.out.splitlines()[-1])["failures"][0]["address"] == "share/one"


def test_graphs(simulated: Console) -> None:
    """Of the manifests and of the steps, for Graphviz and for Markdown."""
    assert simulated("graph").out.startswith("digraph")
    assert "two-monday" in simulated("graph", "--format", "mermaid").out
    assert "create-share:share/one" in simulated("graph", "--steps").out


def test_schemas(quickstart: Console) -> None:
    """Their names, one of them, or all of them in a folder."""
    assert quickstart("schema").out.split() == [*schema_names(), *output_names()]
    assert orjson.loads(quickstart("schema", "share").out)["$schema"].endswith("2020-12/schema")
    assert quickstart("schema", "--write", "schemas").code == 0
    assert {path.name for path in (quickstart.root / "schemas").iterdir()} == {
        f"{name}.schema.json" for name in schema_names()
    }


def test_a_folder_of_the_command_is_under_that_of_the_whole(applied: Console) -> None:
    """As with git; each path on the line follows."""
    inner = applied.root / "inner"
    inner.mkdir()
    assert applied("plan", "-C", "inner", "--out", "p").code == 0
    assert (inner / "p").exists()
    assert applied("init", "fresh").err == f"Next: sharectl -C {applied.root / 'fresh'} plan\n"
    assert applied("validate", "-C", "fresh").out == "3 resources, all valid.\n"


@pytest.mark.parametrize(
    "error", [UnknownDriverError("simulated", ()), DriverError("cannot be loaded")], ids=["gone", "broken"]
)
def test_a_backend_whose_driver_is_gone(applied: Console, monkeypatch: pytest.MonkeyPatch, error: DriverError) -> None:
    """It counts as silent: its resources are unknown, not gone."""
    from sharectl.workspace import plans, survey  # noqa: PLC0415 - patched here only

    def missing(name: str) -> object:
        raise error

    assert applied("plan").code == 0  # fills the cache of manifests
    for module in (plans, survey):
        monkeypatch.setattr(module, "driver_factory", missing)
    planned = applied("plan")
    assert "Traceback" not in planned.err
    assert "share/one" not in planned.out or "?" in planned.out
