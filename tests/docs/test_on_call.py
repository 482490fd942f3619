"""The page for whoever is on call: each of its commands answers, in a repository as the page supposes it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest

from sharectl.cli import main
from tests.docs.test_printed_commands import commands_of
from tools.sessions import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PAGE: Final = (ROOT / "docs/on-call.md").read_text(encoding="utf-8")
COMMANDS: Final = [*dict.fromkeys(tuple(words) for words in commands_of(PAGE))]
MANIFESTS: Final = r"""
apiVersion: sharectl/v1
kind: Backend
metadata: {name: nas1}
spec:
  driver: simulated
  config: {stateFile: sim.db, pools: [{name: gold1, total: 10TiB}]}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: projects, labels: {team: research}}
spec: {size: 2GiB, protocol: NFS, access: [{type: ip, to: 10.0.0.0/16, level: rw}]}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: people}
spec: {size: 1GiB, protocol: CIFS, access: [{type: user, to: 'CORP\alice', level: rw}, {type: group, to: staff, level: ro}]}
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository that alice has applied, and grown a share in."""
    root = tmp_path_factory.mktemp("on-call")
    (root / "sharectl.yaml").write_text("apiVersion: sharectl/v1\nkind: Project\n", encoding="utf-8")
    before = dict(os.environ)
    os.environ["LOGNAME"] = "alice"
    try:
        for text in (MANIFESTS.replace("2GiB", "1GiB"), MANIFESTS):
            (root / "all.yaml").write_text(text, encoding="utf-8")
            assert main(["-C", str(root), "apply", "--yes"]) == 0
    finally:
        os.environ.clear()
        os.environ.update(before)
    return root


def test_the_page_asks_its_five_questions() -> None:
    """With commands for each."""
    questions = [line for line in PAGE.splitlines() if line.startswith("## ")]
    assert len(questions) == 5
    assert all("```sh" in PAGE.split(question)[1].split("\n## ")[0] for question in questions)
    assert {command[0] for command in COMMANDS} >= {"list", "history", "show", "diff", "who", "undo"}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_command_of_the_page_answers(
    repository: Path, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """And leaves everything as it was."""
    assert main(["-C", str(repository), *command]) == 0
    seen = capsys.readouterr()
    assert seen.out
    if command[0] == "who" and command[1] != "guest":
        assert "all.yaml:" in seen.out
    if command == ("undo", "last"):
        assert "-spec: {size: 2GiB" in seen.out
        assert "+spec: {size: 1GiB" in seen.out
    assert (repository / "all.yaml").read_text(encoding="utf-8") == MANIFESTS
