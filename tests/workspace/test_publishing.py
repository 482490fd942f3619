"""A folder that is written anew as a whole: in one step, with nothing of others lost."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from sharectl.model.diagnostics import DiagnosticError
from sharectl.workspace.publishing import CONTENTS, Page, publish

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = (Page("index.html", b"one"), Page("share/a.html", b"a"), Page("assets/report.css", b"b"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return where the report goes."""
    return tmp_path / "site"


def _files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def _refusal(folder: Path) -> str:
    with pytest.raises(DiagnosticError) as refused:
        publish(folder, PAGES)
    return refused.value.diagnostics[0].code


def test_a_new_folder_holds_the_pages(folder: Path) -> None:
    """Folders above it are made, and nothing else is left there."""
    published = publish(folder / "below", PAGES)
    assert published.pages == len(PAGES)
    assert _files(folder) == {f"below/{page.path}": page.content for page in PAGES} | {
        f"below/{CONTENTS}": (folder / "below" / CONTENTS).read_bytes()
    }
    assert [each.name for each in folder.iterdir()] == ["below"]


def test_the_next_report_replaces_all_of_the_former(folder: Path) -> None:
    """A page that is not written any more is gone."""
    publish(folder, PAGES)
    publish(folder, [Page("index.html", b"two")])
    assert set(_files(folder)) == {"index.html", CONTENTS}
    assert (folder / "index.html").read_bytes() == b"two"
    assert [each.name for each in folder.parent.iterdir()] == ["site"]


def test_readers_see_the_former_report_until_the_new_one_is_whole(folder: Path) -> None:
    """Not one file of it is changed, nor missing, while pages are made; the folder itself is another afterwards."""
    publish(folder, PAGES)
    before, number = _files(folder), folder.stat().st_ino
    seen: list[dict[str, bytes]] = []

    def pages() -> Iterator[Page]:
        yield Page("index.html", b"two")
        seen.append(_files(folder))
        yield Page("other.html", b"two")
        seen.append(_files(folder))

    publish(folder, pages())
    assert seen == [before, before]
    assert folder.stat().st_ino != number


def test_a_report_that_fails_leaves_the_former_one(folder: Path) -> None:
    """And no part of itself."""
    publish(folder, PAGES)
    before = _files(folder)

    def pages() -> Iterator[Page]:
        yield Page("index.html", b"two")
        message = "no more"
        raise ValueError(message)

    with pytest.raises(ValueError, match="no more"):
        publish(folder, pages())
    assert _files(folder) == before
    assert [each.name for each in folder.parent.iterdir()] == ["site"]


@pytest.mark.parametrize("name", ["notes.txt", "share/notes.txt", "deep/er/notes.txt", ".htaccess"])
def test_a_folder_that_holds_something_else_is_refused(folder: Path, name: str) -> None:
    """Beside a report, within its folders, or in one of its own: all of it stays."""
    publish(folder, PAGES)
    other = folder / name
    other.parent.mkdir(parents=True, exist_ok=True)
    other.write_text("mine", encoding="utf-8")
    before = _files(folder)
    assert _refusal(folder) == "report.holds-others"
    assert _files(folder) == before


def test_a_folder_without_a_report_is_refused(folder: Path) -> None:
    """Also where a file has the name of a page."""
    folder.mkdir()
    (folder / "index.html").write_text("mine", encoding="utf-8")
    assert _refusal(folder) == "report.holds-others"
    assert _files(folder) == {"index.html": b"mine"}


def test_an_empty_folder_is_taken(folder: Path) -> None:
    """It holds nothing that could be lost."""
    folder.mkdir()
    assert publish(folder, PAGES).left is None


def test_a_link_is_refused_and_what_it_leads_to_stays(folder: Path, tmp_path: Path) -> None:
    """The folder itself is named in the remedy."""
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to("elsewhere")
    with pytest.raises(DiagnosticError) as refused:
        publish(folder, PAGES)
    assert str(tmp_path / "elsewhere") in refused.value.diagnostics[0].remedy
    assert folder.is_symlink()
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("name", ["share/a.html", "share", CONTENTS])
def test_a_link_in_place_of_a_page_is_not_followed(folder: Path, tmp_path: Path, name: str) -> None:
    """It is something else, whatever its name, and what it leads to stays."""
    publish(folder, PAGES)
    place = folder / name
    kept = tmp_path / "kept"
    if place.is_dir():
        (place / "a.html").unlink()
        place.rmdir()
        kept.mkdir()
        (kept / "a.html").write_text("kept", encoding="utf-8")
    else:
        place.unlink()
        kept.write_text("kept", encoding="utf-8")
    place.symlink_to(kept)
    before = _files(tmp_path)
    assert _refusal(folder) == "report.holds-others"
    assert _files(tmp_path) == before


def test_a_file_is_not_a_folder(folder: Path) -> None:
    """It stays as it is."""
    folder.write_text("mine", encoding="utf-8")
    assert _refusal(folder) == "report.not-a-folder"
    assert folder.read_text(encoding="utf-8") == "mine"


def test_what_comes_into_the_folder_while_pages_are_made_stays(folder: Path) -> None:
    """The report is refused then, and the former one with the new file is where it was."""
    publish(folder, PAGES)

    def pages() -> Iterator[Page]:
        (folder / "notes.txt").write_text("mine", encoding="utf-8")
        yield Page("index.html", b"two")

    with pytest.raises(DiagnosticError) as refused:
        publish(folder, pages())
    assert refused.value.diagnostics[0].code == "report.holds-others"
    assert (folder / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert (folder / "index.html").read_bytes() == b"one"
    assert [each.name for each in folder.parent.iterdir()] == ["site"]


def test_modes_are_as_the_umask_has_them_and_those_of_a_folder_stay(folder: Path) -> None:
    """A web server may read what others may; who has closed the folder keeps it closed."""
    former = os.umask(0o022)
    try:
        publish(folder, PAGES)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o755
        assert stat.S_IMODE((folder / "share").stat().st_mode) == 0o755
        assert stat.S_IMODE((folder / "share/a.html").stat().st_mode) == 0o644
        folder.chmod(0o750)
        publish(folder, PAGES)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    finally:
        os.umask(former)


def test_what_a_killed_report_left_is_removed(folder: Path) -> None:
    """A draft that nobody holds, and nothing with another name."""
    draft = folder.with_name(".site.0123456789abcdef.draft")
    draft.mkdir()
    (draft / ".sharectl-draft").touch()
    (draft / "index.html").write_text("half", encoding="utf-8")
    other = folder.with_name(".site.notes.draft")
    other.mkdir()
    publish(folder, PAGES)
    assert sorted(each.name for each in folder.parent.iterdir()) == [".site.notes.draft", "site"]


def test_a_list_of_somebody_else_removes_nothing_outside_of_the_folder(folder: Path, tmp_path: Path) -> None:
    """Whoever may write into the folder could name any file there, and `sharectl report` may run as root."""
    folder.mkdir()
    publish(folder, PAGES)
    others = (tmp_path / "beside.txt", tmp_path / "absolute.txt")
    for other in others:
        other.write_text("mine", encoding="utf-8")
    with (folder / CONTENTS).open("a", encoding="utf-8") as listing:
        listing.write(f"../beside.txt\nshare/../../beside.txt\n{others[1]}\n")
    assert publish(folder, PAGES).left is None
    assert [other.read_text(encoding="utf-8") for other in others] == ["mine", "mine"]


def test_what_came_into_a_former_report_at_its_end_is_never_removed(folder: Path) -> None:
    """Neither by the report that told of it, nor by those after it; what is of a report goes at last."""
    publish(folder, PAGES)
    former = folder.with_name(".site.0123456789abcdef.draft")
    folder.rename(former)
    note = former / "share/notes.txt"
    note.write_text("mine", encoding="utf-8")
    for _ in range(3):
        publish(folder, PAGES)
        assert set(_files(former)) == {"share/notes.txt", CONTENTS}
    note.unlink()
    publish(folder, PAGES)
    assert [each.name for each in folder.parent.iterdir()] == ["site"]


def test_a_folder_that_was_let_go_of_empty_and_is_not_any_more_stays(folder: Path) -> None:
    """Without the mark of a draft it is none, though it has the name of one."""
    former = folder.with_name(".site.0123456789abcdef.draft")
    (former / "deep").mkdir(parents=True)
    (former / "notes.txt").write_text("mine", encoding="utf-8")
    publish(folder, PAGES)
    assert sorted(each.name for each in former.iterdir()) == ["deep", "notes.txt"]


def test_a_pipe_in_place_of_the_list_is_refused(folder: Path) -> None:
    """It is not read: nobody may ever write into it."""
    folder.mkdir()
    os.mkfifo(folder / CONTENTS)
    assert _refusal(folder) == "report.holds-others"


def test_nobody_else_reads_in_a_report_before_it_has_its_place(folder: Path) -> None:
    """Who has closed the folder keeps it closed, also while the next report is written."""
    publish(folder, PAGES)
    folder.chmod(0o700)
    seen: list[int] = []

    def pages() -> Iterator[Page]:
        (draft,) = (each for each in folder.parent.iterdir() if each != folder)
        seen.append(stat.S_IMODE(draft.stat().st_mode))
        yield Page("index.html", b"two")

    publish(folder, pages())
    assert seen == [0o700]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to a group of others")
def test_the_group_of_a_folder_stays(folder: Path) -> None:
    """What is open to a group is not opened to that of whoever writes the report, and it reads all of it, also where the umask shuts out others."""
    publish(folder, PAGES)
    os.chown(folder, -1, 12345)
    folder.chmod(0o750)
    former = os.umask(0o027)
    try:
        publish(folder, PAGES)
    finally:
        os.umask(former)
    assert (folder.stat().st_gid, stat.S_IMODE(folder.stat().st_mode)) == (12345, 0o750)
    inside = [path.stat() for path in folder.rglob("*")]
    assert {(each.st_gid, stat.S_IMODE(each.st_mode)) for each in inside} == {(12345, 0o750), (12345, 0o640)}


def test_a_group_that_cannot_be_kept_is_not_replaced_by_another(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where more is open to it than to all; else the group does not matter."""
    publish(folder, PAGES)
    before = _files(folder)

    def chown(*_: object, **_words: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.chown", chown)
    monkeypatch.setattr("sharectl.workspace.publishing._group_of", lambda path: int(path == folder))
    folder.chmod(0o750)
    assert _refusal(folder) == "report.group"
    assert _files(folder) == before
    assert [each.name for each in folder.parent.iterdir()] == ["site"]
    folder.chmod(0o755)
    assert publish(folder, PAGES).left is None


def test_a_report_beside_another_leaves_its_draft(folder: Path) -> None:
    """Of two reports at once into one folder both end, and the later one is there."""

    def pages() -> Iterator[Page]:
        yield Page("index.html", b"slow")
        publish(folder, PAGES)
        yield Page("slow.html", b"slow")

    publish(folder, pages())
    assert set(_files(folder)) == {"index.html", "slow.html", CONTENTS}
    assert [each.name for each in folder.parent.iterdir()] == ["site"]


def test_where_names_cannot_be_exchanged_the_folder_is_replaced_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A C library without such a call is enough."""
    publish(folder, PAGES)
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: object())
    publish(folder, [Page("index.html", b"two")])
    assert set(_files(folder)) == {"index.html", CONTENTS}
    assert [each.name for each in folder.parent.iterdir()] == ["site"]
