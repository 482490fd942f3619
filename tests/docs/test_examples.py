"""The examples are repositories that `sharectl validate` accepts, and that keep what is theirs to themselves."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tools.sessions import ROOT

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = sorted(
    path.parent.relative_to(ROOT).as_posix()
    for path in ROOT.glob("examples/**/sharectl.yaml")
    if "team" not in path.relative_to(ROOT).parts  # whose state is in a database that has to be started first
)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_valid(example: str, tmp_path: Path) -> None:
    """Without a word of warning, and without any of its secrets."""
    folder = tmp_path / "example"
    shutil.copytree(ROOT / example, folder, ignore=shutil.ignore_patterns(".sharectl", "storage"))
    ended = subprocess.run(
        [sys.executable, "-m", "sharectl", "validate", "-C", str(folder)],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    assert ended.stdout.endswith(", all valid.\n")


def test_the_unit_that_applies_waits_for_disks_and_needs_none() -> None:
    """It comes after the mounts of all pools that are on disks, and is not refused where one of them is missing."""
    folder = ROOT / "examples" / "linux-nas"
    unit = (folder / "systemd" / "sharectl-apply.service").read_text(encoding="utf-8")
    manifest = (folder / "backends.yaml").read_text(encoding="utf-8")
    disks = re.findall(r"type: btrfs\n +path: /(\S+)", manifest)
    (after,) = re.findall(r"^After=(.*)", unit, re.MULTILINE)
    assert {f"{path.replace('/', '-')}.mount" for path in disks} <= set(after.split())
    assert disks
    assert re.search(r"^(Requires|BindsTo|Requisite)\w*=", unit, re.MULTILINE) is None


def test_an_example_of_variables_has_all_that_the_manifests_ask_for() -> None:
    """Whoever copies `.env.example` and fills it in can apply."""
    folder = ROOT / "examples" / "linux-nas"
    lines = (folder / ".env.example").read_text(encoding="utf-8").splitlines()
    named = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    manifest = (folder / "backends.yaml").read_text(encoding="utf-8")
    asked = {part.partition("}")[0].strip() for part in manifest.split("{env:")[1:]}
    assert asked == named
    assert ".env" in (folder / ".gitignore").read_text(encoding="utf-8").splitlines()
