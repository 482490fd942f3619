"""The example of a filer: one command starts an emulated array and applies to it, and goes on there after a stop."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import servers
from tools.sessions import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = ROOT / "examples" / "ontap"
SHARECTL = Path(sys.executable).with_name("sharectl")


def called(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one of its commands with the interpreter of the tests."""
    variables = {**os.environ, "SHARECTL": str(SHARECTL), "PYTHON": sys.executable}
    return subprocess.run(
        [str(EXAMPLE / command), str(folder)],
        env=variables,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=500,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start it, and end it with its own command."""
    folder = tmp_path_factory.mktemp("example") / "filer"
    servers.keep(folder, [str(EXAMPLE / "stop"), str(folder)])
    try:
        started = called("start", folder)
        assert started.returncode == 0, started.stdout + started.stderr
        (folder / "printed").write_text(started.stdout, encoding="utf-8")
        yield folder
    finally:
        subprocess.run([str(EXAMPLE / "stop"), str(folder)], check=True)
        servers.forget(folder)


def test_it_applies_all_and_says_what_to_type_next(folder: Path) -> None:
    """Each command as it stands there works, and there is nothing left to do."""
    printed = (folder / "printed").read_text(encoding="utf-8")
    assert "Held" not in printed
    script = "\n".join(
        re.findall(r"^    (.*)$", printed.partition("Go on with")[2].partition("and end it")[0], re.MULTILINE)
    )
    ended = subprocess.run(["/bin/bash", "-ec", script], check=False, capture_output=True, text=True, timeout=500)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "/projects" in ended.stdout
    assert "No changes." in ended.stdout


def test_it_goes_on_where_it_was_stopped(folder: Path) -> None:
    """The array is the same one, under another port, and has what was applied."""
    assert called("stop", folder).returncode == 0
    assert not (folder / "pid").exists()
    again = called("start", folder)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "No changes." in again.stdout


def test_it_leaves_a_folder_of_somebody_else_alone(tmp_path: Path) -> None:
    """What is in it is no example."""
    (tmp_path / "mine").touch()
    refused = called("start", tmp_path)
    assert refused.returncode == 1
    assert "something else" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
