"""The kernel's NFS server: what exportfs makes of our file, and, where a kernel has the server, its life with a client."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.linux.agent.contract import Client, Export, Instance, Problem, ProblemKind, Squash
from sharectl.drivers.linux.agent.nfs.kernel.server import KernelNfsServer, KernelPaths
from tests.drivers.linux.lab import need, run

if TYPE_CHECKING:
    from collections.abc import Iterator

KERNEL_CLIENTS = frozenset(
    {Client("10.0.0.0/8", "ro"), Client("10.1.2.3", "rw"), Client("fd77::/64", "rw"), Client("::/0", "ro")}
)


def always(_export: Export) -> bool:
    """Every folder is ready."""
    return True


@dataclass(frozen=True, slots=True)
class Host:
    """The files of nfs-utils in a folder of their own, the real exportfs working on them, and a server that seems to run."""

    folder: str

    def path(self, name: str) -> str:
        """Return the path of a file of the host."""
        return f"{self.folder}/{name}"

    @property
    def table(self) -> str:
        """What exportfs made of our file."""
        return Path(self.path("nfs/etab")).read_text(encoding="utf-8")

    def server(self, exportfs: tuple[str, ...] = ()) -> KernelNfsServer:
        """Return the server of the instance, as each process of the agent makes it."""
        kernel = KernelPaths(
            exportfs=exportfs or (self.path("exportfs"),),
            table=self.path("nfs/etab"),
            threads=self.path("threads"),
            unlock=self.path("unlock"),
        )
        return KernelNfsServer(Instance("main", self.path("root")), self.path("main.exports"), kernel)

    def turn(self, threads: int) -> None:
        """Let the kernel's server have so many threads."""
        Path(self.path("threads")).write_text(f"{threads}\n", encoding="ascii")

    def export(self, number: int = 1, **fields: object) -> Export:
        """Return an export of a folder that is there."""
        path = Path(self.path(f"data {number}"))
        path.mkdir(exist_ok=True)
        return replace(Export(number, str(path), f"/shares/s{number}", KERNEL_CLIENTS), **fields)


@pytest.fixture
def host(lab_directory: str) -> Host:
    """Give such a host; exportfs sees its files in the places of the real ones, in a mount namespace of its own."""
    need("nsenter")
    if not Path("/usr/sbin/exportfs").exists() or not Path("/etc/exports").exists():
        pytest.skip("needs exportfs (Debian package nfs-kernel-server)")
    made = Host(lab_directory)
    Path(made.path("nfs")).mkdir()
    Path(made.path("unlock")).touch()
    made.turn(8)
    script = Path(made.path("exportfs"))
    script.write_text(
        "#!/bin/sh\n"
        "exec unshare --mount --propagation private sh -c '"
        f"mount --bind {lab_directory}/nfs /var/lib/nfs && mount --bind {lab_directory}/main.exports /etc/exports && "
        'exec /usr/sbin/exportfs "$@"\' sh "$@"\n',
        encoding="utf-8",
    )
    script.chmod(0o755)
    return made


@pytest.mark.parametrize("squash", list(Squash))
@pytest.mark.parametrize("security", [("sys",), ("sys", "krb5", "krb5p")])
def test_exportfs_reads_what_was_meant(host: Host, squash: Squash, security: tuple[str, ...]) -> None:
    """Clients of both families, everybody, squash and flavours, for a folder with a space in its name."""
    export = host.export(squash=squash, security=security)
    host.server().put(export)
    assert host.server().live() == {1: export}


@pytest.mark.parametrize("name", ["ü", "a#b", "(rw)", "'x'", "{};$*?", "a\u3000b"])
def test_a_folder_with_a_strange_name_is_exported(host: Host, name: str) -> None:
    """Nothing of it is taken for the grammar."""
    path = Path(host.folder, name)
    path.mkdir()
    export = host.export(path=str(path))
    host.server().put(export)
    assert host.server().live() == {1: export}


def test_put_again_replaces_the_clients(host: Host) -> None:
    """Those that are not named any more are gone from the server's table."""
    host.server().put(host.export())
    narrow = host.export(clients=frozenset({Client("10.1.2.3", "ro")}))
    host.server().put(narrow)
    assert host.server().live() == {1: narrow}
    assert "10.0.0.0/8" not in host.table


def test_an_export_without_clients_reaches_nobody(host: Host) -> None:
    """It is not exported to the world, as a line without clients would be."""
    host.server().put(host.export())
    nobody = host.export(clients=frozenset())
    host.server().put(nobody)
    assert host.table == ""
    assert host.server().live() == {1: nobody}


def test_the_longest_prefix_stands_first(host: Host) -> None:
    """Of two networks the first takes precedence (exports(5))."""
    host.server().put(
        host.export(
            clients=frozenset({Client("0.0.0.0/0", "rw"), Client("10.0.0.0/8", "ro"), Client("10.1.0.0/16", "rw")})
        )
    )
    networks = [row.partition("\t")[2].partition("(")[0] for row in host.table.splitlines()]
    assert networks == ["10.1.0.0/16", "10.0.0.0/8", "128.0.0.0/1", "0.0.0.0/1"]


def test_a_folder_is_exported_only_while_something_is_mounted_there(host: Host) -> None:
    """So that a server that starts before the mounts after a reboot does not export what is below them."""
    host.server().put(host.export())
    assert all(",mountpoint," in row for row in host.table.splitlines())


def test_a_removed_export_is_gone_and_lets_go_of_its_files(host: Host) -> None:
    """The others stay; removing it twice is not an error."""
    exports = {number: host.export(number) for number in (1, 2)}
    for export in exports.values():
        host.server().put(export)
    for _ in range(2):
        host.server().remove(1)
        assert host.server().live() == {2: exports[2]}
    assert "data\\0401" not in host.table
    assert Path(host.path("unlock")).read_text(encoding="utf-8") == f"{exports[1].path}\n"


def test_live_can_be_asked_for_some(host: Host) -> None:
    """Ids that are not there are left out."""
    for number in (1, 2):
        host.server().put(host.export(number))
    assert host.server().live([2, 3]).keys() == {2}


def test_a_server_that_is_down_has_no_exports_and_is_told_nothing(host: Host) -> None:
    """What is put meanwhile is in force when it runs."""
    host.turn(0)
    export = host.export()
    host.server().put(export)
    assert not host.server().is_running()
    assert host.server().live() == {}
    assert not Path(host.path("nfs/etab")).exists()
    host.turn(8)
    assert host.server().live() == {}
    host.server().ensure_running(always)
    assert host.server().live() == {1: export}


def test_the_server_is_not_started_for_the_admin(host: Host) -> None:
    """The error says how to."""
    Path(host.path("threads")).unlink()
    with pytest.raises(Problem, match="systemctl enable --now nfs-server") as raised:
        host.server().ensure_running(always)
    assert raised.value.kind is ProblemKind.REFUSED


def test_a_folder_that_is_not_ready_is_withheld_until_it_is(host: Host) -> None:
    """It stays stored."""
    exports = {number: host.export(number) for number in (1, 2)}
    for export in exports.values():
        host.server().put(export)
    run(host.path("exportfs"), "-ua")
    host.server().ensure_running(lambda export: export.export_id == 2)
    assert host.server().live() == {2: exports[2]}
    host.server().ensure_running(always)
    assert host.server().live() == exports


def test_a_server_that_is_as_it_should_be_is_not_told_again(host: Host) -> None:
    """A look is enough."""
    host.server().put(host.export())
    before = Path(host.path("nfs/etab")).stat().st_mtime_ns
    host.server().ensure_running(always)
    assert Path(host.path("nfs/etab")).stat().st_mtime_ns == before


def test_exports_that_stay_withheld_change_nothing(host: Host) -> None:
    """Who watches over the server looks again and again, for as long as a disk is missing."""
    for number in (1, 2):
        host.server().put(host.export(number))

    def is_first(export: Export) -> bool:
        return export.export_id == 1

    host.server().stop()
    host.server().ensure_running(is_first)
    files = [Path(host.path(name)) for name in ("nfs/etab", "main.exports")]
    before = [file.stat().st_mtime_ns for file in files]
    host.server().ensure_running(is_first)
    assert [file.stat().st_mtime_ns for file in files] == before
    run(host.path("exportfs"), "-o", "ro", f"10.9.9.9:{host.export(2).path}")
    host.server().ensure_running(is_first)
    assert host.server().live().keys() == {1}, "one that is not ready is closed again"
    host.server().ensure_running(always)
    assert host.server().live().keys() == {1, 2}


def test_what_somebody_unexported_by_hand_is_not_live_and_is_repaired(host: Host) -> None:
    """As drift."""
    export = host.export()
    host.server().put(export)
    run(host.path("exportfs"), "-ua")
    assert host.server().live() == {}
    host.server().ensure_running(always)
    assert host.server().live() == {1: export}


def test_what_somebody_exported_by_hand_differs(host: Host) -> None:
    """A client too many, with other rights; another folder is none of ours."""
    export = host.export()
    host.server().put(export)
    run(host.path("exportfs"), "-o", "rw,all_squash", f"10.9.9.9:{export.path}")
    run(host.path("exportfs"), "-o", "rw", f"10.9.9.9:{host.folder}")
    live = host.server().live()
    assert live.keys() == {1}
    assert live[1].clients != export.clients
    host.server().put(export)
    assert host.server().live() == {1: export}


def test_stop_withdraws_the_exports_and_keeps_them_stored(host: Host) -> None:
    """The host's own exports go on."""
    export = host.export()
    host.server().put(export)
    host.server().stop()
    assert host.server().live() == {}
    assert host.table == ""
    host.server().ensure_running(always)
    assert host.server().live() == {1: export}


def test_stop_of_a_server_without_exports_does_nothing(host: Host) -> None:
    """No file is made."""
    host.server().stop()
    assert not Path(host.path("main.exports")).exists()


def test_a_folder_that_is_missing_is_refused(host: Host) -> None:
    """The program exportfs would take it, for something may be mounted there later."""
    with pytest.raises(Problem, match=r"no folder .*missing"):
        host.server().put(host.export(path=f"{host.folder}/missing"))
    assert not Path(host.path("main.exports")).exists()


def test_a_refusal_of_exportfs_is_told_in_its_words(host: Host) -> None:
    """On one line."""
    with pytest.raises(Problem, match=r"does not export .*: exportfs: no; not at all") as raised:
        host.server(exportfs=("sh", "-c", "printf 'exportfs: no\\n\\nnot at all\\n' >&2")).put(host.export())
    assert raised.value.kind is ProblemKind.REFUSED
    assert "\n" not in str(raised.value)


def test_a_path_that_stays_exported_by_others_is_said(host: Host) -> None:
    """It is in a file of the admin's: sharectl touches nothing of it."""
    export = host.export()
    host.server().put(export)
    server = host.server(exportfs=("true",))
    with pytest.raises(Problem, match="another file exports it too") as raised:
        server.remove(1)
    assert raised.value.kind is ProblemKind.CONFLICT


def test_a_file_that_was_edited_beyond_reading_is_not_overwritten(host: Host) -> None:
    """The exports of other shares are in it."""
    host.server().put(host.export())
    file = Path(host.path("main.exports"))
    file.write_text(file.read_text(encoding="utf-8").replace('"clients"', "clients"), encoding="utf-8")
    before = file.read_bytes()
    with pytest.raises(Problem, match="changed by hand"):
        host.server().put(host.export(2))
    assert file.read_bytes() == before


def test_nfs_utils_that_are_missing_are_named(host: Host) -> None:
    """With the package."""
    with pytest.raises(Problem, match="install the package nfs-kernel-server"):
        host.server(exportfs=("/nowhere/exportfs",)).put(host.export())


def test_exportfs_that_hangs_has_an_end(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that does not answer must not hold an apply for ever."""
    monkeypatch.setattr("sharectl.drivers.linux.agent.nfs.kernel.server._EXPORTFS_SECONDS", 0.1)
    with pytest.raises(Problem, match="does not end") as raised:
        host.server(exportfs=("sh", "-c", "exec tail -f /dev/null")).put(host.export())
    assert raised.value.kind is ProblemKind.TRANSIENT


def test_a_share_server_is_not_of_the_kernels_kind() -> None:
    """Its namespace has no server."""
    with pytest.raises(Problem, match="needs Ganesha"):
        KernelNfsServer(Instance("net", "/srv/net", namespace="/run/netns/net"))


def test_two_instances_of_one_name_have_two_files() -> None:
    """Two backends of one host both call theirs `main`; and no name leads out of the folder."""
    files = {
        KernelNfsServer(Instance(name, root))._file
        for name, root in (("main", "/srv/a"), ("main", "/srv/b"), ("../x", "/srv/c"))
    }
    assert len(files) == 3
    assert all(os.path.dirname(file) == "/etc/exports.d" and file.endswith(".exports") for file in files)  # noqa: PTH120 - text as in the agent


@pytest.fixture
def mounted(lab_directory: str) -> Iterator[str]:
    """Give the mount point of a file system of its own that the kernel's server can export; the server is started if it was down."""
    need("mkfs.ext4")
    threads = Path("/proc/fs/nfsd/threads")
    if not threads.exists():
        run("mount", "-t", "nfsd", "nfsd", "/proc/fs/nfsd", check=False)
    if not threads.exists():
        pytest.skip("the kernel of this machine has no NFS server")
    was_down = int(threads.read_text(encoding="ascii")) == 0
    image, point = f"{lab_directory}/image", f"{lab_directory}/data"
    Path(point).mkdir()
    run("truncate", "-s", "16M", image)
    run("mkfs.ext4", "-q", image)
    run("mount", "-o", "loop", image, point)
    if was_down:
        run("rpc.nfsd", "2")
    yield point
    if was_down:
        run("rpc.nfsd", "0")


def test_the_kernels_own_server_exports_and_withdraws(mounted: str, lab_directory: str) -> None:
    """With its real files: what it shows in force is what it was told, and the folder can be unmounted after the removal."""
    server = KernelNfsServer(Instance("main", f"{lab_directory}/root"))
    export = Export(1, mounted, "/shares/s1", frozenset({Client("127.0.0.1", "rw"), Client("10.0.0.0/8", "ro")}))
    server.ensure_running(always)
    server.put(export)
    assert server.live() == {1: export}
    server.remove(1)
    assert server.live() == {}
    run("umount", mounted)
