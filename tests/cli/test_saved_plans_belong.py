"""A saved plan is for one project and one state, and is refused everywhere else before anything is made."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import SIMULATED
from tests.cli.console import Console

if TYPE_CHECKING:
    from pathlib import Path


def elsewhere(console: Console, name: str) -> Console:
    """Return a console in a copy of the repository, without its state."""
    folder = console.root.with_name(name)
    shutil.copytree(console.root, folder, ignore=shutil.ignore_patterns(".sharectl", "*.db*"))
    return Console(folder, console.capture)


@pytest.fixture
def console(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Console:
    """Return a console in a folder of its own, so that there is room beside it."""
    (tmp_path / "here").mkdir()
    return Console(tmp_path / "here", capsys)


def git(folder: Path, *words: str) -> None:
    """Run git, with a name for what it commits."""
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org"}
    who |= {key.replace("AUTHOR", "COMMITTER"): value for key, value in who.items()}
    program = shutil.which("git") or "git"
    subprocess.run([program, "-C", str(folder), *words], check=True, capture_output=True, env={**os.environ, **who})


def test_a_first_plan_makes_no_second_state_in_another_folder(simulated: Console) -> None:
    """Neither in one that is no project at all, nor in a copy of the project."""
    assert simulated("plan", "--out", "p").code == 0
    (simulated.root.parent / "empty").mkdir()
    for other in (Console(simulated.root.parent / "empty", simulated.capture), elsewhere(simulated, "copy")):
        ended = other("apply", str(simulated.root / "p"))
        assert ended.code == 1
        assert "error[plan.other-project]" in ended.err
        assert not (other.root / ".sharectl" / "state.db").exists()
        assert not (other.root / "sim.db").exists()
    assert simulated("apply", "p").code == 0


def test_a_first_plan_is_good_in_another_checkout_of_the_same_commit(simulated: Console) -> None:
    """As where one job of a pipeline plans and another applies; at another commit it is refused."""
    git(simulated.root, "init", "-q")
    git(simulated.root, "add", "all.yaml", "sharectl.yaml")
    git(simulated.root, "commit", "-qm", "first")
    checkout = simulated.root.with_name("checkout")
    git(simulated.root, "clone", "-q", str(simulated.root), str(checkout))
    assert simulated("plan", "--out", "p").code == 0
    other = Console(checkout, simulated.capture)
    git(checkout, "commit", "-q", "--allow-empty", "-m", "second")
    assert other("apply", str(simulated.root / "p")).code == 1
    git(checkout, "reset", "-q", "--hard", "HEAD~1")
    assert other("apply", str(simulated.root / "p")).code == 0


def test_a_plan_of_one_state_is_refused_by_another_and_by_none(applied: Console) -> None:
    """Before the first step, and without making a state."""
    other = elsewhere(applied, "copy")
    other.write("all.yaml", SIMULATED)
    assert other("apply", "--yes").code == 0
    applied.write("all.yaml", SIMULATED.replace("size: 1GiB", "size: 3GiB"))
    assert applied("plan", "--out", "p").code == 0
    refused = other("apply", str(applied.root / "p"))
    assert refused.code == 1
    assert "error[plan.other-state]" in refused.err
    shutil.rmtree(applied.root / ".sharectl")
    refused = applied("apply", "p")
    assert refused.code == 1
    assert "there is none at" in refused.err
    assert not (applied.root / ".sharectl" / "state.db").exists()


@pytest.mark.parametrize("path", ["all.yaml", ".sharectl/state.db", "pipe"])
def test_a_saved_plan_replaces_nothing_but_a_saved_plan(applied: Console, path: str) -> None:
    """Neither a manifest, nor the state, nor a pipe or a device, as root could."""
    file = applied.root / path
    if path == "pipe":
        os.mkfifo(file)
    before = file.lstat()
    ended = applied("plan", "--out", path)
    after = file.lstat()
    assert (ended.code, after.st_ino, after.st_size) == (1, before.st_ino, before.st_size)
    assert f"error[plan.taken]: {file} is not replaced: it is no saved plan" in ended.err


def test_a_saved_plan_replaces_an_earlier_one_and_an_empty_file(applied: Console) -> None:
    """As `mktemp` makes one."""
    (applied.root / "p").touch()
    assert [applied("plan", "--out", "p").code for _ in range(2)] == [0, 0]
    assert applied("apply", "p").code == 0
