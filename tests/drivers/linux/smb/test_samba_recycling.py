"""What SMB clients delete goes to the recycle bin of a share that has one, and comes back from there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.smb import modules
from sharectl.drivers.linux.agent.smb.treatment import RecycleBin, SmbTreatment
from tests.drivers.linux.samba_lab import PASSWORDS, need_samba_modules
from tests.drivers.linux.smb_client import Session, smb

if TYPE_CHECKING:
    from tests.drivers.linux.samba_lab import Lab

pytestmark = pytest.mark.usefixtures("_modules")


@pytest.fixture(name="_modules", scope="module")
def _needed_modules() -> None:
    need_samba_modules()


def share_with(lab: Lab, name: str, recycle_bin: RecycleBin | None) -> Path:
    """Put a share in force that alice may write to and bob may read; return its folder."""
    plain = lab.section(name, writers="alice", readers="bob")
    section = replace(plain, treatment=SmbTreatment(recycle_bin=recycle_bin))
    lab.server.put(section)
    assert lab.server.live()[name] == section
    return Path(section.path)


def do(lab: Lab, share: str, commands: str, user: str = "alice") -> str:
    """Return what smbclient says to commands; its folder holds a file, `client.conf`."""
    return smb(lab.network.client, lab.network.server.ipv4, share, user, PASSWORDS[user], commands).text


def files(folder: Path) -> set[str]:
    """Return the files below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_deleted_file_comes_back_from_the_bin(lab: Lab) -> None:
    """With the folders that it was in, and another of its name beside it; deleted there, it is gone."""
    folder = share_with(lab, "office", RecycleBin())
    do(lab, "office", "mkdir a; put client.conf a/x; del a/x; put client.conf f; del f; put client.conf f; del f")
    assert files(folder) == {".recycle/a/x", ".recycle/f", ".recycle/Copy #1 of f"}
    do(lab, "office", "rename .recycle/a/x a/x; del .recycle/f")
    assert files(folder) == {"a/x", ".recycle/Copy #1 of f"}


def test_a_bin_may_keep_less(lab: Lab) -> None:
    """The last file of a name, without its folders, in a folder of another name."""
    folder = share_with(lab, "less", RecycleBin("Trash", keep_tree=False, versions=False))
    do(lab, "less", "mkdir a; put client.conf a/f; del a/f; put client.conf f; del f")
    assert files(folder) == {"Trash/f"}


def test_who_may_read_the_share_may_read_its_bin(lab: Lab) -> None:
    """And do nothing else there."""
    folder = share_with(lab, "read", RecycleBin())
    do(lab, "read", "put client.conf f; del f")
    assert "getting file" in do(lab, "read", "get .recycle/f got", user="bob")
    do(lab, "read", "del .recycle/f; rename .recycle/f f; rename .recycle bin", user="bob")
    assert files(folder) == {".recycle/f"}


def test_a_bin_that_is_not_visible_is_closed_to_clients(lab: Lab) -> None:
    """They neither list, read, move nor replace it, whatever the case of its name; files go there all the same."""
    folder = share_with(lab, "shut", RecycleBin(visible=False))
    do(lab, "shut", "put client.conf f; del f")
    for name in (".recycle", ".RECYCLE"):
        said = do(lab, "shut", f"ls; ls {name}/*; get {name}/f got; mkdir {name}; rename {name}/f g; rename {name} bin")
        assert "getting file" not in said
        assert f"  {name} " not in said
    assert files(folder) == {".recycle/f"}
    assert folder.joinpath(".recycle").is_dir()


def test_users_of_the_host_stay_out_of_a_bin(lab: Lab) -> None:
    """Although every user may write to the folder of the share."""
    folder = share_with(lab, "host", RecycleBin())
    do(lab, "host", "put client.conf f; del f")
    assert folder.joinpath(".recycle").stat().st_mode & 0o7 == 0


def test_a_session_that_is_open_meets_the_bin_too(lab: Lab) -> None:
    """It has the modules that it began with, so it is cut; what it deletes when it is back is kept."""
    folder = share_with(lab, "late", None)
    address = lab.network.server.ipv4
    with Session(lab.network.client, address, "late", "alice", PASSWORDS["alice"]) as session:
        assert session.write("f").is_ok
        share_with(lab, "late", RecycleBin())
        session.do("del f")
    do(lab, "late", "del f")
    assert files(folder) == {".recycle/f"}


def test_a_link_in_the_place_of_a_bin_is_not_followed(lab: Lab) -> None:
    """It was left by somebody who could write to the share otherwise; smbd would make folders in another one."""
    share_with(lab, "linked", None).joinpath(".recycle").symlink_to(share_with(lab, "target", None))
    with pytest.raises(Problem, match="is a symbolic link") as caught:
        share_with(lab, "linked", RecycleBin())
    assert caught.value.kind is ProblemKind.CONFLICT


def test_a_module_that_is_missing_is_named_with_its_package(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the share is put in force: smbd would let nobody in."""
    monkeypatch.setattr(modules, "_folder", lambda: str(lab.path("private")))
    with pytest.raises(
        Problem, match=r"module recycle is not installed .*; install the package samba-vfs-modules"
    ) as caught:
        share_with(lab, "bare", RecycleBin())
    assert caught.value.kind is ProblemKind.REFUSED
    assert "bare" not in lab.server.stored()
    share_with(lab, "bare", None)
