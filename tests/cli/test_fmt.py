"""`sharectl fmt`: files are put into order, whole or not at all, and only those."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.cli.console import run
from tools.sessions import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.console import Console

MESSY = "kind: Share\napiVersion: sharectl/v1\nspec:\n  protocol: NFS  # kept\n  size: 1GiB\nmetadata: {name: a}\n"
ORDERLY = "apiVersion: sharectl/v1\nkind: Share\nmetadata: {name: a}\nspec:\n  size: 1GiB\n  protocol: NFS  # kept\n"


def test_files_are_put_into_order_and_named(tmp_path: Path) -> None:
    """Modes and links stay; a second run has nothing to do."""
    real = tmp_path / "real.yaml"
    real.write_text(MESSY, encoding="utf-8")
    real.chmod(0o640)
    (tmp_path / "link.yaml").symlink_to("real.yaml")
    looked = run("fmt", "--check", "link.yaml", cwd=tmp_path)
    assert (looked.code, looked.out) == (2, "link.yaml\n")
    assert real.read_text(encoding="utf-8") == MESSY
    done = run("fmt", "link.yaml", cwd=tmp_path)
    assert (done.code, done.out) == (0, "link.yaml\n")
    assert real.read_text(encoding="utf-8") == ORDERLY
    assert real.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "link.yaml").is_symlink()
    again = run("fmt", "--check", cwd=tmp_path)
    assert (again.code, again.out) == (0, "")
    assert "1 file is in order." in again.err
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".yaml") == ["link.yaml", "real.yaml"]


def test_standard_input_becomes_standard_output(tmp_path: Path) -> None:
    """For editors."""
    done = run("fmt", "-", cwd=tmp_path, stdin=MESSY.encode())
    assert (done.code, done.out) == (0, ORDERLY)


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_put_into_order(tmp_path: Path) -> None:
    """With the place of the mistake; the exit code says that not all was done."""
    (tmp_path / "bad.yaml").write_text("kind: [Share\n", encoding="utf-8")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "good.yaml").write_text(MESSY, encoding="utf-8")
    done = run("fmt", cwd=tmp_path)
    assert done.code == 1
    assert done.out == "good.yaml\n"
    assert "bad.yaml:2:1" in done.err
    assert "binary.yaml:1:1" in done.err
    assert (tmp_path / "good.yaml").read_text(encoding="utf-8") == ORDERLY
    assert (tmp_path / "bad.yaml").read_text(encoding="utf-8") == "kind: [Share\n"


def test_the_project_file_is_among_them(console: Console) -> None:
    """Whatever folders hold the manifests."""
    console.write("sharectl.yaml", "kind: Project\napiVersion: sharectl/v1\nspec: {manifests: [shares]}\n")
    console.write("shares/a.yaml", ORDERLY)
    assert console("fmt").out == "sharectl.yaml\n"


def test_a_file_that_is_left_for_its_aliases_is_not_called_in_order(console: Console) -> None:
    """Nobody has looked at its order; an anchor that nothing refers to is no hindrance."""
    aliased = "kind: Share\napiVersion: sharectl/v1\nmetadata: {name: &a b, labels: {x: *a}}\n"
    console.write("aliased.yaml", aliased)
    console.write("orderly.yaml", ORDERLY.replace("spec:", "spec: &a"))
    ended = console("fmt")
    assert (ended.code, ended.out) == (0, "")
    assert (
        "Left as they are, for they use YAML aliases, whose order matters: aliased.yaml.\n1 file is in order.\n"
        in ended.err
    )
    assert "in order." not in console("fmt", "aliased.yaml").err
    assert (console.root / "aliased.yaml").read_text(encoding="utf-8") == aliased


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_full_disk_is_not_taken_for_missing_permissions(tmp_path: Path) -> None:
    """The file is as it was, and nothing lies beside it."""
    if os.system(f"mount -t tmpfs -o size=64k tmpfs {tmp_path}") != 0:  # noqa: S605 - a path of this test
        pytest.skip("needs the right to mount")
    try:
        long = MESSY + "# and so on\n" * 3500
        (tmp_path / "a.yaml").write_text(long, encoding="utf-8")
        ended = run("fmt", "a.yaml", cwd=tmp_path)
        assert ended.code == 1
        assert "error[fmt.unwritable]: a.yaml could not be written: No space left on device" in ended.err
        assert "make room" in ended.err
        assert "permissions" not in ended.err
        assert (tmp_path / "a.yaml").read_text(encoding="utf-8") == long
        assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]
    finally:
        os.system(f"umount --lazy {tmp_path}")  # noqa: S605 - as above


def test_hooks_for_pre_commit_are_some() -> None:
    """As pre-commit itself reads them, and their commands are here."""
    clientlib = pytest.importorskip("pre_commit.clientlib", reason="needs pre-commit (pip install sharectl[test])")
    hooks = clientlib.load_manifest(str(ROOT / ".pre-commit-hooks.yaml"))
    assert [hook["id"] for hook in hooks] == ["sharectl-validate", "sharectl-fmt"]
    for hook in hooks:
        program, command, *_ = hook["entry"].split()
        assert program == "sharectl"
        assert run(command, "--help", cwd=ROOT).code == 0
