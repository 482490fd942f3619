"""`--metrics FILE`: what node_exporter reads, as Prometheus' own parser understands it, whatever became of the command."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sharectl.model.usage import PoolSample, ShareUse
from sharectl.render.metrics import metrics_lines
from sharectl.state.testing.samples import make_record
from sharectl.workspace.metrics import Measured, Stock

if TYPE_CHECKING:
    from tests.cli.console import Console

Values = dict[tuple[str, ...], float]


def parsed(text: str) -> dict[str, Values]:
    """Return the values of each metric by the values of its labels in their order, but for that of the state."""
    found: dict[str, Values] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(value for name, value in sample.labels.items() if name != "state")
            assert labels not in found.setdefault(sample.name.removeprefix("sharectl_"), {})
            found[sample.name.removeprefix("sharectl_")][labels] = sample.value
    return found


def measured(console: Console, *arguments: str) -> tuple[int, dict[str, Values]]:
    """Run a command with metrics, and return its code and what it wrote."""
    ended = console(*arguments, "--metrics", "sharectl.prom")
    return ended.code, parsed((console.root / "sharectl.prom").read_text(encoding="utf-8"))


def test_an_apply_tells_how_it_went_and_what_there_is(simulated: Console) -> None:
    """Its steps, its backends, pools, and shares."""
    code, found = measured(simulated, "apply", "--yes")
    assert code == 0
    assert found["run_succeeded"] == {("apply",): 1}
    assert found["run_steps"] == {("done",): 5, ("failed",): 0, ("skipped",): 0}
    assert found["plan_steps"]["create",] == 5
    assert found["backend_up"] == {("sim",): 1}
    assert found["pool_total_bytes"] == {("sim", "gold1"): 10 << 40}
    assert found["share_size_bytes"] == {("one", "sim", "gold1"): 1 << 30, ("two", "sim", "gold1"): 2 << 30}
    assert "share_used_bytes" not in found


def test_a_refresh_tells_of_drift_and_of_use(applied: Console) -> None:
    """As it is noted in the state."""
    with closing(sqlite3.connect(applied.root / "sim.db")) as filer:
        filer.execute("UPDATE shares SET used_bytes = 7, size_bytes = 3000000000 WHERE name = 'one'")
        filer.commit()
    code, found = measured(applied, "refresh")
    assert code == 0
    assert found["share_used_bytes"] == {("one", "sim", "gold1"): 7, ("two", "sim", "gold1"): 0}
    assert found["drift"]["changed",] == 1
    assert found["drift"]["gone",] == 0


def test_a_backend_that_is_down_is_told_and_so_is_the_failure(applied: Console) -> None:
    """What the state knows is there all the same."""
    text = (applied.root / "all.yaml").read_text(encoding="utf-8")
    faults = "    faults: [{call: list_shares, effect: unavailable}]\n"
    applied.write("all.yaml", text.replace("    stateFile: sim.db\n", f"    stateFile: sim.db\n{faults}"))
    code, found = measured(applied, "refresh")
    assert code == 1
    assert found["run_succeeded"] == {("refresh",): 0}
    assert found["backend_up"] == {("sim",): 0}
    assert found["shares"] == {(): 2}


def test_a_command_that_fails_early_says_so(applied: Console) -> None:
    """In place of what an earlier one has written: nothing old passes for the present."""
    assert measured(applied, "refresh")[0] == 0
    applied.write("broken.yaml", "kind: [")
    code, found = measured(applied, "apply", "--yes")
    assert code == 1
    assert found["run_succeeded"] == {("apply",): 0}
    assert "shares" not in found


def test_the_file_is_for_others_to_read_and_whole(applied: Console) -> None:
    """node_exporter runs as somebody else; no draft is left."""
    measured(applied, "refresh")
    assert (applied.root / "sharectl.prom").stat().st_mode & 0o444 == 0o444
    assert [path.name for path in applied.root.iterdir() if path.name.endswith((".draft", ".tmp"))] == []


@pytest.mark.parametrize("path", ["nowhere/sharectl.prom", "."])
def test_a_file_that_cannot_be_is_refused_before_anything_is_done(simulated: Console, path: str) -> None:
    """With what to do instead."""
    ended = simulated("apply", "--yes", "--metrics", path)
    assert ended.code == 64
    assert "name a file in a folder that is there" in ended.err
    assert not (simulated.root / "sim.db").exists()


def test_names_stay_what_they_are() -> None:
    """Pools are called as their filer likes: no name ends a label, or makes a line."""
    hostile = 'gold"} 1\nsharectl_run_succeeded{command="\\x'
    counted = Measured("refresh")
    sample = PoolSample(0, 5, None, None)
    share = make_record("one", pool=hostile)
    use = {share.resource_id: ShareUse(1, 2)}
    counted.stock = Stock('lin"eage', {share.address: share}, use, {("filer", hostile): [sample]})
    counted.end(has_succeeded=False)
    found = parsed("\n".join(metrics_lines(counted)) + "\n")
    assert found["run_succeeded"] == {("refresh",): 0}
    assert found["pool_total_bytes"] == {("filer", hostile): 5}
    assert found["share_used_bytes"] == {("one", "filer", hostile): 1}


@pytest.mark.parametrize("path", ["all.yaml", ".sharectl/state.db", "pipe"])
def test_nothing_but_metrics_is_replaced(applied: Console, path: str) -> None:
    """And nothing is done: a manifest or the state would be lost."""
    file = applied.root / path
    if path == "pipe":
        os.mkfifo(file)
    before = file.lstat()
    ended = applied("refresh", "--metrics", path)
    after = file.lstat()
    assert (ended.code, after.st_ino, after.st_size) == (64, before.st_ino, before.st_size)
    assert f"error[usage.metrics]: {path} is not replaced: it holds no metrics of sharectl" in ended.err
