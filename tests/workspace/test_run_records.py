"""What the history says of a run is that of the checkout and of whoever ran it, whatever their names are made of."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from sharectl.workspace.run import describe_run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def _git(folder: Path, *arguments: str) -> str:
    settings = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    ended = subprocess.run(["git", *settings, *arguments], cwd=folder, check=True, capture_output=True, text=True)  # noqa: S607 - the git of whoever runs the tests
    return ended.stdout.strip()


def test_a_bare_repository_among_the_manifests_is_not_the_checkout(tmp_path: Path) -> None:
    """A pull request can hold one: its commits would stand in the history as those that were applied, by whatever author it names."""
    checkout, folder = tmp_path / "checkout", tmp_path / "checkout" / "nas"
    folder.mkdir(parents=True)
    _git(checkout, "init", "--quiet")
    _git(checkout, "commit", "--quiet", "--allow-empty", "--message=one")
    real = describe_run("apply", folder, {})
    assert (real.git_commit, real.author) == (_git(checkout, "rev-parse", "HEAD"), "Ada <ada@example.org>")
    _git(folder, "init", "--quiet", "--bare", ".")
    forged = _git(
        folder,
        "-c",
        "user.name=Head of Storage",
        "--git-dir=.",
        "commit-tree",
        "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
        "-m",
        "x",
    )
    _git(folder, "--git-dir=.", "update-ref", "HEAD", forged)
    told = describe_run("apply", folder, {})
    assert (told.git_commit, told.author) == (None, None)


def test_names_that_are_not_utf_8_are_recorded_as_far_as_they_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user of another encoding, and a saved plan under such a name: the run is not refused for it."""
    monkeypatch.setenv("LOGNAME", os.fsdecode(b"j\xfcrgen"))
    record = describe_run("apply " + os.fsdecode(b"plan\xff"), tmp_path, {})
    assert (record.user, record.command) == ("j?rgen", "apply plan?")
