"""Sources: files, folders and links, whatever lies in them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import sharectl.manifests.sources as sources_module
from tests.manifests.support import brief, codes, load_folder, share

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_is_read_whole_but_for_what_is_hidden(tmp_path: Path) -> None:
    """Both suffixes, every depth; not the project file, hidden ones or other files."""
    for name in ("a.yaml", "b.yml", "sub/deep/c.yaml", "sharectl.yaml", ".git/d.yaml", "e.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(share(path.name[0] if path.name[0].isalpha() else "hidden"))
    loaded = load_folder(tmp_path)
    assert set(loaded.desired.digests) == {"share/a", "share/b", "share/c"}
    assert str(loaded.desired.source("share/c")) == "sub/deep/c.yaml:3:18"
    assert not load_folder(tmp_path, "sub", "sub/deep/c.yaml", "./sub/../sub").diagnostics


def test_an_empty_folder_wants_nothing(tmp_path: Path) -> None:
    """It is no error here; whoever plans is careful with it."""
    loaded = load_folder(tmp_path)
    assert not loaded.diagnostics
    assert not loaded.desired.addresses


def test_loops_of_links_are_survived(tmp_path: Path) -> None:
    """A folder that holds itself is read once."""
    (tmp_path / "a.yaml").write_text(share("a"))
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "b.yaml").symlink_to("a.yaml")
    loaded = load_folder(tmp_path)
    assert not loaded.diagnostics
    assert list(loaded.desired.digests) == ["share/a"]


def test_a_link_must_not_lead_out_of_the_manifests(tmp_path: Path) -> None:
    """Nothing of the file is shown."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "x").write_text("top: secret")
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "a.yaml").symlink_to(tmp_path / "secret" / "x")
    (folder / "b").symlink_to(tmp_path / "secret")
    (tmp_path / "secret" / "y.yaml").write_text("top: secret")
    loaded = load_folder(folder)
    assert [brief(diagnostic) for diagnostic in loaded.diagnostics] == [
        ("a.yaml:1:1", "manifest.unreadable"),
        ("b:1:1", "manifest.unreadable"),
    ]
    assert "top" not in repr(loaded.diagnostics)


def test_what_is_no_file_is_diagnosed_and_not_waited_for(tmp_path: Path) -> None:
    """A pipe that nobody writes to, a device, a socket, a folder, links to nowhere and in circles, and nothing at all."""
    folder = tmp_path / "m"
    folder.mkdir()
    os.mkfifo(folder / "a.yaml")
    (folder / "b.yaml").mkdir()
    (folder / "c.yaml").symlink_to("nowhere")
    (folder / "d.yaml").symlink_to("d.yaml")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(folder, os.O_RDONLY)
        try:
            server.bind(f"/proc/self/fd/{here}/e.yaml")
        finally:
            os.close(here)
        loaded = load_folder(folder, ".", "/dev/null", "missing.yaml")
    assert codes(loaded) == ["unreadable"] * 7
    reasons = {diagnostic.summary.rpartition(": ")[2] for diagnostic in loaded.diagnostics}
    assert reasons == {
        "it is a pipe, socket or device, not a file",
        "it is a folder",
        "the link leads nowhere",
        "the link leads in a circle",
        "it is a socket or device, not a file",
        "it does not exist",
    }


def test_a_file_beyond_all_measure_is_not_read(tmp_path: Path) -> None:
    """A sparse one here, of a terabyte."""
    with (tmp_path / "a.yaml").open("wb") as file:
        file.truncate(1 << 40)
    (found,) = load_folder(tmp_path).diagnostics
    assert "larger than 64 MiB" in found.summary


def test_a_file_without_permission_is_diagnosed(tmp_path: Path) -> None:
    """Also a folder; tried as an ordinary user, since root may read everything.

    The project's own `.sharectl` may be closed; a folder below it that has such a one may be storage, and is not read.
    """
    (tmp_path / "a.yaml").write_text(share("a"))
    (tmp_path / "a.yaml").chmod(0)
    (tmp_path / "pool" / "projects").mkdir(parents=True)
    (tmp_path / "pool" / "projects" / "of-a-client.yaml").write_text("kind: [")
    closed = [tmp_path / name for name in ("sub", ".sharectl", "pool/.sharectl")]
    for folder in closed:
        folder.mkdir(mode=0)
    program = (
        "import os, pathlib, sys\n"
        "from sharectl.manifests.loader import load\n"
        "from sharectl.manifests.schemas import DriverSchemas\n"
        "import sharectl.manifests.compile, jsonschema_rs, yaml.cyaml\n"
        "os.chdir(sys.argv[1])\n"
        "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "found = load(['.'], base_directory=pathlib.Path('.'), cache=None, drivers=DriverSchemas(lambda name: None, tuple))\n"
        "print([d.summary for d in found.diagnostics])\n"
    )
    for path in (tmp_path, *tmp_path.parents[:2]):
        if path.owner() == tmp_path.owner():
            path.chmod(0o755)
    result = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    for folder in closed:
        folder.chmod(0o755)
    assert (
        result.stdout.strip()
        == "['cannot read a.yaml: permission denied', 'cannot read the folder sub: permission denied']"
    )


@pytest.mark.parametrize("name", ["a.yaml", "sub"])
def test_a_missing_source_is_an_error(tmp_path: Path, name: str) -> None:
    """It is never an empty set of manifests."""
    assert codes(load_folder(tmp_path, name)) == ["unreadable"]


def test_a_file_on_the_inode_of_one_that_has_gone_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout during the run removes one file, and writes another where the first was on the disk: it is not the same file twice."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(share(name))
    original = sources_module.read_regular_file
    first = (tmp_path / "a.yaml").stat()

    def on_one_inode(path: str) -> tuple[os.stat_result, bytes]:
        found, data = original(path)
        times = {"st_ctime_ns": found.st_ctime_ns + path.endswith("b.yaml"), "st_mtime_ns": found.st_mtime_ns}
        return os.stat_result((found.st_mode, first.st_ino, *found[2:]), times), data

    monkeypatch.setattr(sources_module, "read_regular_file", on_one_inode)
    assert sorted(load_folder(tmp_path).desired.digests) == ["share/a", "share/b"]


def test_a_file_with_two_names_is_read_once(tmp_path: Path) -> None:
    """Or else each of its documents would be described twice."""
    (tmp_path / "a.yaml").write_text(share("a"))
    (tmp_path / "b.yaml").hardlink_to(tmp_path / "a.yaml")
    (tmp_path / "c.yaml").symlink_to("a.yaml")
    assert not load_folder(tmp_path).diagnostics
