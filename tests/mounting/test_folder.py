"""Generated files in a folder of somebody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.model.diagnostics import DiagnosticError
from sharectl.mounting.folder import Written, write_marked_files

if TYPE_CHECKING:
    from pathlib import Path

MARK = "# Written by a test."


def marked(text: str) -> str:
    """Return a text with the mark."""
    return f"{MARK}\n{text}\n"


def test_files_are_written_and_replaced(tmp_path: Path) -> None:
    """One that is so already is not touched; all may be read by everybody, as units have to be."""
    assert write_marked_files(tmp_path, {"a": marked("1"), "b": marked("1")}, MARK) == Written(2, 0, ())
    before = (tmp_path / "a").stat()
    assert write_marked_files(tmp_path, {"a": marked("1"), "b": marked("ü")}, MARK) == Written(1, 1, ())
    assert (tmp_path / "a").stat().st_ino == before.st_ino
    assert (tmp_path / "b").read_text(encoding="utf-8") == marked("ü")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o644}
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_a_file_of_somebody_else_is_never_overwritten(tmp_path: Path) -> None:
    """Nor a link or a folder, or a file that only begins alike; and then nothing is written."""
    (tmp_path / "target").write_text(marked("x"), encoding="utf-8")
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text(f"{MARK} not\n", encoding="utf-8")
    (tmp_path / "empty").touch()
    names = ["new", "link", "folder", "file", "empty"]
    with pytest.raises(DiagnosticError) as caught:
        write_marked_files(tmp_path, {name: marked("1") for name in names}, MARK)
    found = caught.value.diagnostics
    assert {diagnostic.code for diagnostic in found} == {"mounts.foreign-file"}
    assert [diagnostic.summary.split()[0] for diagnostic in found] == sorted(str(tmp_path / name) for name in names[1:])
    assert not (tmp_path / "new").exists()
    assert (tmp_path / "target").read_text(encoding="utf-8") == marked("x")


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else writes it between the look at the folder and the writing."""

    def appears(descriptor: int) -> None:
        (tmp_path / "a").write_text("mine", encoding="utf-8")

    monkeypatch.setattr("sharectl.mounting.folder.os.fsync", appears)
    with pytest.raises(DiagnosticError, match="File exists"):
        write_marked_files(tmp_path, {"a": marked("1")}, MARK)
    assert [(path.name, path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()] == [("a", "mine")]


def test_files_of_before_are_named_and_stay(tmp_path: Path) -> None:
    """Whether a unit is still in use is for its administrator to say."""
    write_marked_files(tmp_path, {"a": marked("1"), "b": marked("1")}, MARK)
    (tmp_path / "mine").write_text("x", encoding="utf-8")
    assert write_marked_files(tmp_path, {"b": marked("1")}, MARK) == Written(0, 1, ("a",))
    assert (tmp_path / "a").exists()


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """It is not made: a slip of the pen would make it somewhere."""
    with pytest.raises(DiagnosticError, match="No such file or directory"):
        write_marked_files(tmp_path / "none", {"a": marked("1")}, MARK)


def test_a_failure_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full: what was there is there, and nothing beside it."""
    write_marked_files(tmp_path, {"a": marked("1")}, MARK)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sharectl.mounting.folder.os.fsync", full)
    with pytest.raises(DiagnosticError, match="No space left on device"):
        write_marked_files(tmp_path, {"a": marked("2")}, MARK)
    assert [(path.name, path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()] == [("a", marked("1"))]
