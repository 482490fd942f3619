"""How long steps are said to have taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from tests.cli.console import run

if TYPE_CHECKING:
    from pathlib import Path

_BACKEND = """apiVersion: sharectl/v1
kind: Backend
metadata: {name: sim}
spec: {driver: simulated, lanes: 1, config: {pools: [{name: p, total: 1TiB}], stateFile: sim.db, latency: {create_share: 50ms}}}
"""
_SHARE = "---\napiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: s{}}}\nspec: {{size: 1GiB, protocol: NFS}}\n"


def test_what_waits_for_a_lane_has_not_begun(tmp_path: Path) -> None:
    """Steps one after the other take together no longer than the run."""
    (tmp_path / "a.yaml").write_text(_BACKEND + "".join(map(_SHARE.format, range(6))))
    ended = run("apply", "--yes", "--output", "json", cwd=tmp_path)
    assert ended.code == 0, ended.err
    events = [orjson.loads(line) for line in ended.out.splitlines()]
    steps = [each["seconds"] for each in events if each.get("event") == "step-finished"]
    (whole,) = (each["seconds"] for each in events if each.get("event") == "run-finished")
    assert len(steps) == 7
    assert sum(steps) <= whole
