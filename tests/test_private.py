"""Files are written whole or not at all; the folder `.sharectl` is private whatever the umask, and never taken into git by mistake."""

from __future__ import annotations

import os
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from sharectl.cli import main
from sharectl.private import draft_of, make_private, mend_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Take no right from anything that is made."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode_of(path: Path) -> int:
    """Return the permissions."""
    return stat.S_IMODE(path.stat().st_mode)


def git(folder: Path, *arguments: str) -> list[str]:
    """Run git there; return the words that it printed."""
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


@pytest.mark.usefixtures("open_umask")
@pytest.mark.parametrize("command", [["plan"], ["validate"], ["apply", "--yes"]])
def test_whatever_a_command_makes_in_it_belongs_to_its_owner_alone(tmp_path: Path, command: list[str]) -> None:
    """Folders 0700 and files 0600, under umask 000."""
    assert main(["init", str(tmp_path)]) == 0
    assert main(["-C", str(tmp_path), *command]) == 0
    ours = tmp_path / ".sharectl"
    assert mode_of(ours) == 0o700
    found = list(ours.rglob("*"))
    assert {mode_of(path) for path in found if path.is_dir()} <= {0o700}
    assert {mode_of(path) for path in found if path.is_file()} == {0o600}


def test_one_that_stood_open_is_closed_by_the_next_command(tmp_path: Path) -> None:
    """An earlier version made it as the umask said."""
    assert main(["init", str(tmp_path)]) == 0
    (tmp_path / ".sharectl").mkdir(exist_ok=True)
    (tmp_path / ".sharectl").chmod(0o777)
    assert main(["-C", str(tmp_path), "validate"]) == 0
    assert mode_of(tmp_path / ".sharectl") == 0o700


def test_one_that_a_team_shares_keeps_what_the_team_needs(tmp_path: Path) -> None:
    """Who has widened the mode of the state file wants others to read it; only the right of everybody to write goes."""
    ours = tmp_path / ".sharectl"
    ours.mkdir()
    ours.chmod(0o2777)
    (ours / "state.db").touch(0o660)
    (ours / "state.db").chmod(0o660)
    mend_private(ours, ours / "state.db")
    assert mode_of(ours) == 0o2775


def test_a_link_in_its_place_is_left_alone(tmp_path: Path) -> None:
    """What it leads to is nobody's that sharectl knows."""
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (tmp_path / "elsewhere").chmod(0o755)
    (tmp_path / ".sharectl").symlink_to(tmp_path / "elsewhere")
    mend_private(tmp_path / ".sharectl", tmp_path / ".sharectl" / "state.db")
    assert mode_of(tmp_path / "elsewhere") == 0o755


@pytest.mark.parametrize("state", [".sharectl/state.db", "kept/here/state.db"])
def test_git_add_takes_neither_state_nor_cache_along(tmp_path: Path, state: str) -> None:
    """Without `init`, hence without a .gitignore of the repository; wherever sharectl makes the folder of the state."""
    git(tmp_path, "init", "-q")
    (tmp_path / "sharectl.yaml").write_text(
        f"apiVersion: sharectl/v1\nkind: Project\nspec: {{state: {{file: {state}}}}}\n"
    )
    (tmp_path / "b.yaml").write_text(
        "apiVersion: sharectl/v1\nkind: Backend\nmetadata: {name: b}\nspec: {driver: directory, config: {root: data}}\n"
    )
    assert main(["-C", str(tmp_path), "apply", "--yes"]) == 0
    assert (tmp_path / state).exists()
    git(tmp_path, "add", "-A")
    assert [name for name in git(tmp_path, "ls-files") if not name.startswith("data/")] == ["b.yaml", "sharectl.yaml"]


def test_an_ignore_file_of_the_user_is_kept(tmp_path: Path) -> None:
    """Whatever it says."""
    ours = tmp_path / ".sharectl"
    ours.mkdir()
    (ours / ".gitignore").write_text("!state.db\n")
    make_private(ours)
    assert (ours / ".gitignore").read_text() == "!state.db\n"


def test_a_file_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    """It takes the place of what was there, with mode 0600 unless another was asked for."""
    target = tmp_path / "file"
    target.write_bytes(b"before")
    with draft_of(target) as draft:
        draft.write_bytes(b"after")
        assert target.read_bytes() == b"before"
    assert target.read_bytes() == b"after"
    assert target.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [target]


def test_of_a_file_that_cannot_be_finished_nothing_is_left(tmp_path: Path) -> None:
    """What was there stays."""
    target = tmp_path / "file"
    target.write_bytes(b"before")
    with pytest.raises(UnicodeEncodeError), draft_of(target) as draft:
        draft.write_text("half \udcff", encoding="utf-8")
    assert target.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [target]


def test_a_new_file_does_not_replace_one_that_came_meanwhile(tmp_path: Path) -> None:
    """Whoever was first keeps the name."""
    target = tmp_path / "file"
    with pytest.raises(FileExistsError), draft_of(target, is_new=True):
        target.write_bytes(b"first")
    assert target.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [target]


def test_a_name_as_long_as_names_may_be_can_be_written(tmp_path: Path) -> None:
    """The draft beside it has a shorter one."""
    target = tmp_path / ("x" * 255)
    with draft_of(target) as draft:
        draft.write_bytes(b"content")
    assert target.read_bytes() == b"content"


_LEFT = ("", "-wal", "-shm", "-journal")
_RANDOM = ".0123456789abcdef.draft"


@pytest.mark.parametrize(
    ("command", "drafts"),
    [
        (["plan", "--out", "p"], [f".p{_RANDOM}"]),
        (["apply", "--yes", "--metrics", "m"], [f".m{_RANDOM}"]),
        (
            ["state", "backup", "--to", "."],
            [f"{name}{end}" for name in (f".backup{_RANDOM}", f"..backup{_RANDOM * 2}") for end in _LEFT],
        ),
    ],
    ids=["plan", "metrics", "backup"],
)
def test_what_a_killed_command_left_half_written_is_removed_by_the_next(
    tmp_path: Path, command: list[str], drafts: list[str]
) -> None:
    """After an hour: until then it may be at work. What has another name is somebody else's."""
    assert main(["init", str(tmp_path)]) == 0
    assert main(["-C", str(tmp_path), "apply", "--yes"]) == 0
    others = [name.replace("0123", "wxyz") for name in drafts] + [f".other{_RANDOM}"]
    young = [name.replace("0123", "3210") for name in drafts]
    for name in (*drafts, *others, *young):
        (tmp_path / name).touch()
        if name not in young:
            os.utime(tmp_path / name, (0, 0))
    assert main(["-C", str(tmp_path), *command]) == 0
    assert {path.name for path in tmp_path.glob(".*.draft*")} == {*others, *young}
