"""What is said and left where a result cannot be written because its disk is full: how to mend it, and nothing half written."""

from __future__ import annotations

import errno
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from sharectl.private import way_out

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.console import Console


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Give a disk of its own, which is full."""
    if os.geteuid() != 0:
        pytest.skip("needs root, who may mount")
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", place], check=False).returncode:
        pytest.skip("needs the right to mount")
    try:
        (place / "filler").write_bytes(bytes(4096))
        yield place
    finally:
        subprocess.run(["/bin/umount", "--lazy", place], check=True)


def _give_room(disk: Path, pages: int) -> None:
    subprocess.run(["/bin/mount", "-o", f"remount,size={4 * (pages + 1)}k", disk], check=True)


def test_an_init_that_has_no_room_leaves_nothing_and_says_what_to_do(console: Console, disk: Path) -> None:
    """However far it came."""
    pages, failed = 0, 0
    while True:
        _give_room(disk, pages)
        ended = console("init", str(disk / "new"))
        if ended.code == 0:
            break
        failed += 1
        assert ended.code == 1
        assert "error[init.unwritable]: " in ended.err
        assert "could not be written: No space left on device" in ended.err
        assert "make room on its file system" in ended.err
        assert [path.name for path in disk.iterdir()] == ["filler"]
        pages = pages * 2 or 1
    assert failed > 4
    assert console("validate", "-C", str(disk / "new")).code == 0


def test_an_init_that_was_killed_is_finished_by_the_next(console: Console) -> None:
    """What it left is as it should be; with anything else in it, it is somebody's."""
    assert console("init").code == 0
    (console.root / "sharectl.yaml").unlink()
    (console.root / "shares/projects.yaml").unlink()
    assert [line.rpartition("/")[2] for line in console("init").out.split()] == ["sharectl.yaml", "projects.yaml"]
    (console.root / "sharectl.yaml").unlink()
    (console.root / "backends.yaml").write_text("mine", encoding="utf-8")
    assert "backends.yaml is there already" in console("init").err
    assert not (console.root / "sharectl.yaml").exists()


def test_whatever_has_no_room_says_what_to_do_and_leaves_nothing(quickstart: Console, disk: Path) -> None:
    """The files of a former run stay as they were."""
    place = str(disk)
    assert quickstart("apply", "--yes").code == 0
    assert quickstart("state", "rm", "share/projects").code == 0
    for code, *arguments in (
        ("plan.unwritable", "plan", "--out", f"{place}/plan"),
        ("report.unwritable", "report", "--html", f"{place}/report"),
        ("metrics.not-written", "apply", "--yes", "--metrics", f"{place}/metrics"),
        ("schema.unwritable", "schema", "--write", f"{place}/schemas"),
        ("schema.unwritable", "schema", "--kustomize", f"{place}/component"),
        (
            "import.unwritable",
            "import",
            "--backend",
            "local",
            "--all",
            "--write",
            f"{place}/more",
            "--yes",
            "-f",
            "backends.yaml",
        ),
        ("state.unavailable", "state", "backup", "--to", f"{place}/backup"),
        ("state.unavailable", "state", "migrate", "--to", f"{place}/state.db", "--yes"),
    ):
        ended = quickstart(*arguments)
        assert f"[{code}]" in ended.err, ended.err
        assert "make room" in ended.err or "free space" in ended.err, ended.err
        assert [path for path in disk.rglob("*") if path.is_file()] == [disk / "filler"], arguments
    assert "share/projects" not in quickstart("state", "list").out


def test_what_to_do_follows_from_what_went_wrong() -> None:
    """A read-only file system is not mended by a chmod."""
    said = {way_out(OSError(number, ""), "else") for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)}
    assert len(said) == 4
    assert way_out(PermissionError(errno.EACCES, ""), "else") == "check its permissions, and those of its folder"
    assert way_out(NotADirectoryError(errno.ENOTDIR, ""), "else") == "else"
