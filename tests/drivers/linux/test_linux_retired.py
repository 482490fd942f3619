"""What becomes of a server that the settings turn off: stopped by the next change, and nothing of it comes back by itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.linux.agent.contract import Client, Export, Instance
from sharectl.drivers.linux.agent.nfs.ganesha.server import GaneshaServer
from sharectl.drivers.linux.agent.nfs.kernel import server as kernel_server
from sharectl.drivers.linux.agent.nfs.kernel.server import KernelNfsServer, KernelPaths
from sharectl.drivers.linux.agent.records import Records
from sharectl.drivers.linux.agent.retired import retire_unused
from sharectl.drivers.linux.agent.rows import ShareServerRow
from sharectl.drivers.linux.agent.servers import ServerRoom
from sharectl.drivers.linux.agent.smb.server import SambaServer
from tests.drivers.linux.lab import need
from tests.drivers.linux.operations_lab import ALICE, ANYBODY, BOB, MIB, ref

if TYPE_CHECKING:
    from pathlib import Path

    from sharectl.drivers.linux.driver import LinuxDriver
    from tests.drivers.linux.operations_lab import OperationsLab


def smb_server(backend: OperationsLab) -> SambaServer:
    """Return the SMB server as the first settings made it."""
    server = backend.driver._agent.backend._room.servers("main").smb  # type: ignore[attr-defined]
    assert isinstance(server, SambaServer)
    return server


def nfs_server(backend: OperationsLab) -> GaneshaServer:
    """Return the NFS server as the first settings made it."""
    server = backend.driver._agent.backend._room.servers("main").nfs  # type: ignore[attr-defined]
    assert isinstance(server, GaneshaServer)
    return server


def change_nothing(driver: LinuxDriver) -> None:
    """Ask for all that has no effect."""
    driver.report()
    driver.pools()
    for listed in (driver.list_shares(), driver.list_snapshots(), driver.list_share_servers()):
        list(listed)


@pytest.mark.parametrize("call", ["trash", "update_access"])
def test_an_smb_server_that_is_turned_off_ends_with_the_next_change(own_backend: OperationsLab, call: str) -> None:
    """Listing leaves it alone; the share whose server it was can be put in the trash, or lose its access."""
    share = own_backend.share("office", ALICE, BOB, protocol="CIFS")
    driver = own_backend.open(smb={"enabled": False})
    change_nothing(driver)
    assert smb_server(own_backend).is_running()
    if call == "trash":
        driver.trash_share(ref(share))
    else:
        assert driver.update_access(ref(share), [], [], [ALICE, BOB]) == {}
    assert not smb_server(own_backend).is_running()
    assert smb_server(own_backend).stored() == {}
    assert own_backend.listed(share).access == ()


def test_an_smb_server_that_is_turned_on_again_serves_what_it_is_told_from_then_on(own_backend: OperationsLab) -> None:
    """Not what it served before."""
    shares = [own_backend.share(name, ALICE, protocol="CIFS") for name in ("one", "two")]
    own_backend.open(smb={"enabled": False}).trash_share(ref(shares[0]))
    again = own_backend.open()
    assert again.update_access(ref(shares[1]), [BOB], [BOB], [])[BOB].status == "active"
    assert smb_server(own_backend).live().keys() == {"two"}
    assert own_backend.access_of(shares[1]) == {BOB}


def test_an_nfs_server_that_is_turned_off_ends_with_the_next_change(own_backend: OperationsLab) -> None:
    """Turned on again, it exports nothing that it was not told to since."""
    shares = [own_backend.share(name, ANYBODY) for name in ("one", "two")]
    driver = own_backend.open(nfs={"server": "none"})
    change_nothing(driver)
    assert nfs_server(own_backend).is_running()
    driver.extend_share(ref(shares[0]), 32 * MIB)
    assert not nfs_server(own_backend).is_running()
    driver.trash_share(ref(shares[0]))
    own_backend.open().update_access(ref(shares[1]), [ANYBODY], [ANYBODY], [])
    assert [export.pseudo for export in nfs_server(own_backend).live().values()] == ["/shares/two"]


def test_exports_of_the_kernel_end_where_ganesha_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of exports goes, and the kernel's table is made anew without them."""
    need("true")
    instance = Instance("main", str(tmp_path / "main"))
    file, data, threads = tmp_path / "main.exports", tmp_path / "data", tmp_path / "threads"
    data.mkdir()
    threads.write_text("0")
    paths = KernelPaths(exportfs=("true",), table=str(tmp_path / "etab"), threads=str(threads))
    KernelNfsServer(instance, str(file), paths).put(
        Export(1, str(data), "/shares/data", frozenset({Client("10.0.0.0/8", "rw")}))
    )
    assert file.exists()
    monkeypatch.setattr(kernel_server, "_default_file", lambda _: str(file))
    monkeypatch.setattr(kernel_server, "KernelPaths", lambda: paths)
    retire_unused(instance, "kernel", has_smb=True)
    assert file.exists()
    for _ in range(2):
        retire_unused(instance, "ganesha", has_smb=True)
        assert not file.exists()


def test_the_servers_of_an_instance_are_told_while_the_records_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another thread, which waits for the servers in its turn; and what changed while they were made is seen."""
    settings: dict[str, Any] = {"addresses": [], "namespace": None, "export_hosts": ["nas"]}
    settings |= {"nfs": {"server": "none"}, "smb": {"enabled": False}}
    records = Records(str(tmp_path / "records.sqlite"))
    records.create()
    row = ShareServerRow("7b7b", "tenant", "net", ({"ip_address": "10.0.0.1"},), is_made=True)
    records.put_share_server(row)
    room = ServerRoom(str(tmp_path), settings, records)
    read, is_read, go_on = records.share_server, Event(), Event()

    def slow(resource_id: str) -> ShareServerRow | None:
        found = read(resource_id)
        is_read.set()
        assert go_on.wait(300)
        return found

    monkeypatch.setattr(records, "share_server", slow)
    with ThreadPoolExecutor(2) as threads:
        waiting = threads.submit(room.servers, "7b7b")
        assert is_read.wait(300)
        assert threads.submit(room.servers, "main").result(timeout=300).hosts == ("nas",)
        records.put_share_server(ShareServerRow("7b7b", "tenant", "net", ({"ip_address": "10.0.0.2"},), is_made=True))
        room.forget("7b7b")
        go_on.set()
        assert waiting.result().hosts == ("10.0.0.2",)
    records.close()
