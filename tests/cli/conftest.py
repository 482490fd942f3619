"""Repositories to work in."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.cli.console import Console

if TYPE_CHECKING:
    from pathlib import Path

SIMULATED = """\
apiVersion: sharectl/v1
kind: Backend
metadata: {name: sim}
spec:
  driver: simulated
  lanes: 2
  config:
    stateFile: sim.db
    pools: [{name: gold1, total: 10TiB}]
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: one, labels: {team: a}}
spec: {size: 1GiB, protocol: NFS, deletionPolicy: trash}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: two, labels: {team: b}}
spec: {size: 2GiB, protocol: NFS, deletionPolicy: trash, access: [{type: ip, to: 10.0.0.1, level: rw}]}
---
apiVersion: sharectl/v1
kind: Snapshot
metadata: {name: two-monday}
spec: {share: two, deletionPolicy: delete}
"""


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No colours, no width, no CI job and no traces from whoever runs the tests."""
    traces = [name for name in os.environ if name.startswith(("OTEL_", "TRACE"))]
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "SHARECTL_DEBUG", "GITHUB_RUN_ID", *traces):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def console(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Console:
    """Return a console in an empty folder."""
    return Console(tmp_path, capsys)


@pytest.fixture
def quickstart(console: Console) -> Console:
    """Return a console in the repository that `init` writes: one share on the directory driver."""
    assert console("init", ".").code == 0
    return console


@pytest.fixture
def simulated(console: Console) -> Console:
    """Return a console in a repository with two shares and a snapshot on the simulated driver."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write("all.yaml", SIMULATED)
    return console


@pytest.fixture
def applied(simulated: Console) -> Console:
    """Return the simulated repository, applied."""
    assert simulated("apply", "--yes").code == 0
    return simulated
