"""The life of a Ganesha server: start, change, restart, several side by side."""

from __future__ import annotations

import os
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sharectl.drivers.linux.agent.contract import Instance, Squash
from sharectl.drivers.linux.agent.nfs.ganesha import process
from sharectl.drivers.linux.agent.nfs.ganesha.process import Layout
from sharectl.drivers.linux.agent.nfs.ganesha.server import GaneshaServer
from tests.drivers.linux.ganesha_lab import always, by_hand, export_of, kill, layout_of
from tests.drivers.linux.lab import Network, need
from tests.drivers.linux.nfs_client import nfs

if TYPE_CHECKING:
    import pytest

    from tests.drivers.linux.ganesha_lab import MakeGanesha


def test_a_server_that_runs_is_not_started_again(ganesha: GaneshaServer, lab_directory: str) -> None:
    """The same process goes on."""
    pid = Path(layout_of(lab_directory).pid).read_text(encoding="ascii")
    ganesha.ensure_running(always)
    assert ganesha.is_running()
    assert Path(layout_of(lab_directory).pid).read_text(encoding="ascii") == pid


def test_a_server_that_was_never_started_is_down(make_ganesha: MakeGanesha, lab_directory: str) -> None:
    """It has no exports, and stopping it or removing an export is not an error, and leaves nothing."""
    down = make_ganesha()
    assert not down.is_running()
    assert down.live() == {}
    down.remove(1)
    down.stop()
    assert os.listdir(lab_directory) == []  # noqa: PTH208 - a descriptor, or text as in the agent


def test_put_on_a_server_that_is_down_is_there_after_its_start(
    make_ganesha: MakeGanesha, lab_directory: str, network: Network
) -> None:
    """Nothing is started for it."""
    down = make_ganesha()
    export = export_of(lab_directory)
    down.put(export)
    assert not down.is_running()
    down.ensure_running(always)
    assert down.live() == {1: export}
    assert nfs(network.client, network.server.ipv4, export.pseudo, "ls").is_done


def test_a_restart_keeps_the_exports(ganesha: GaneshaServer, lab_directory: str, network: Network) -> None:
    """And a client that it knew need not wait for a grace period."""
    exports = {number: export_of(lab_directory, number) for number in (1, 2)}
    for export in exports.values():
        ganesha.put(export)
    assert nfs(network.client, network.server.ipv4, "/shares/s1", "put", "a", "b").is_done
    ganesha.stop()
    assert not ganesha.is_running()
    assert ganesha.live() == {}
    ganesha.ensure_running(always)
    assert ganesha.live() == exports
    assert nfs(network.client, network.server.ipv4, "/shares/s1", "put", "c", "d").is_done


def test_what_is_removed_while_the_server_is_down_stays_away(ganesha: GaneshaServer, lab_directory: str) -> None:
    """The next start does not bring it back."""
    ganesha.put(export_of(lab_directory))
    ganesha.stop()
    ganesha.remove(1)
    ganesha.ensure_running(always)
    assert ganesha.live() == {}


def test_a_folder_that_is_not_ready_is_not_exported(
    ganesha: GaneshaServer, lab_directory: str, network: Network
) -> None:
    """It is kept, and exported by a start that finds it ready, or by the next put."""
    exports = {number: export_of(lab_directory, number) for number in (1, 2, 3)}
    for export in exports.values():
        ganesha.put(export)
    ganesha.stop()
    ganesha.ensure_running(lambda export: export.export_id == 3)
    assert ganesha.live() == {3: exports[3]}
    assert "NFS4ERR_NOENT" in nfs(network.client, network.server.ipv4, "/shares/s1", "ls").text
    ganesha.put(exports[2])
    assert ganesha.live().keys() == {2, 3}
    ganesha.stop()
    ganesha.ensure_running(always)
    assert ganesha.live() == exports


def test_a_withheld_export_that_is_removed_is_forgotten(ganesha: GaneshaServer, lab_directory: str) -> None:
    """As any other."""
    ganesha.put(export_of(lab_directory))
    ganesha.stop()
    ganesha.ensure_running(lambda _export: False)
    ganesha.remove(1)
    ganesha.stop()
    ganesha.ensure_running(always)
    assert ganesha.live() == {}


def test_two_servers_with_equal_addresses_live_in_two_namespaces(
    make_ganesha: MakeGanesha, lab_directory: str, network: Network
) -> None:
    """Each serves its own, under the same name, id, address and port."""
    for host in (network.client, network.stranger):
        one = make_ganesha(host.namespace, host=host, address="127.0.0.1")
        one.ensure_running(always)
        path = Path(lab_directory, f"of-{host.namespace}")
        path.mkdir()
        (path / host.namespace).mkdir()
        one.put(replace(export_of(lab_directory), path=str(path)))
    for host in (network.client, network.stranger):
        assert nfs(host, "127.0.0.1", "/shares/s1", "ls").text == host.namespace


def test_two_servers_share_a_namespace_on_other_ports(
    make_ganesha: MakeGanesha, ganesha: GaneshaServer, lab_directory: str, network: Network
) -> None:
    """Stopping one leaves the other."""
    second = make_ganesha("second", port=12049)
    second.ensure_running(always)
    second.put(export_of(lab_directory))
    assert ganesha.live() == {}
    ganesha.stop()
    assert nfs(network.client, network.server.ipv4, "/shares/s1", "ls", port=12049).is_done


def test_a_server_answers_on_an_ipv6_address_alone(
    make_ganesha: MakeGanesha, lab_directory: str, network: Network
) -> None:
    """Where it was given that."""
    one = make_ganesha(address=network.server.ipv6)
    one.ensure_running(always)
    one.put(export_of(lab_directory, 1, ("::/0", "rw"), ("0.0.0.0/0", "rw")))
    assert nfs(network.client, network.server.ipv6, "/shares/s1", "ls").is_done
    assert not nfs(network.client, network.server.ipv4, "/shares/s1", "ls").is_done


def test_another_port_restarts_the_server_there(
    make_ganesha: MakeGanesha, ganesha: GaneshaServer, lab_directory: str, network: Network
) -> None:
    """A server that was started with other settings is not left running with them."""
    export = export_of(lab_directory)
    ganesha.put(export)
    moved = make_ganesha(port=12049)
    moved.ensure_running(always)
    assert nfs(network.client, network.server.ipv4, export.pseudo, "ls", port=12049).is_done
    assert not nfs(network.client, network.server.ipv4, export.pseudo, "ls").is_done


def test_threads_put_and_remove_at_once(ganesha: GaneshaServer, lab_directory: str) -> None:
    """Thirty-two at a time; in the end the live exports are those that were not removed."""
    exports = {number: export_of(lab_directory, number) for number in range(1, 97)}

    def work(number: int) -> None:
        ganesha.put(exports[number])
        if number % 3 == 0:
            ganesha.remove(number)
        else:
            ganesha.put(replace(exports[number], squash=Squash.ALL))

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(work, exports))
    wanted = {number: replace(export, squash=Squash.ALL) for number, export in exports.items() if number % 3}
    assert ganesha.live() == wanted
    ganesha.stop()
    ganesha.ensure_running(always)
    assert ganesha.live() == wanted


def test_many_start_the_server_and_one_is_started(make_ganesha: MakeGanesha, lab_directory: str) -> None:
    """Each from an object of its own, as processes have, while exports are put."""
    exports = {number: export_of(lab_directory, number) for number in range(1, 9)}

    def work(number: int) -> None:
        mine = make_ganesha()
        mine.ensure_running(always)
        mine.put(exports[number])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, exports))
    assert make_ganesha().live() == exports


def test_the_log_is_kept_small(ganesha: GaneshaServer, lab_directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One older part stays; the server goes on with a new one."""
    layout = layout_of(lab_directory)
    monkeypatch.setattr(process, "_MAXIMUM_LOG_BYTES", 100)
    ganesha.put(export_of(lab_directory))
    assert "NFS SERVER INITIALIZED" in Path(f"{layout.log}.1").read_text(encoding="utf-8")
    by_hand(lab_directory, "RemoveExport", "q", 1)
    assert "NFS SERVER INITIALIZED" not in Path(layout.log).read_text(encoding="utf-8")


def test_a_restart_puts_the_log_aside(ganesha: GaneshaServer, lab_directory: str) -> None:
    """So that the reason of a crash is still there to read."""
    before = Path(layout_of(lab_directory).log).read_text(encoding="utf-8")
    kill(layout_of(lab_directory).pid)
    ganesha.ensure_running(always)
    assert Path(f"{layout_of(lab_directory).log}.1").read_text(encoding="utf-8").startswith(before)


def test_the_servers_files_are_private(ganesha: GaneshaServer, lab_directory: str) -> None:
    """Who may reach what is nobody's business, and who reaches the bus commands the ganesha."""
    assert Path(layout_of(lab_directory).folder).stat().st_mode & 0o777 == 0o700


def test_a_folder_too_long_for_a_socket_has_it_in_run(lab_directory: str, network: Network) -> None:
    """And stopping the server takes it away."""
    need("ganesha.nfsd", "dbus-daemon")
    folder = f"{lab_directory}/{'long' * 30}/with space@and:more"
    long = GaneshaServer(Instance("long", folder, (), network.server.namespace_path))
    long.ensure_running(always)
    socket_path = Layout(f"{folder}/nfs").socket
    assert socket_path.startswith("/run/sharectl/")
    assert long.is_running()
    long.stop()
    assert not Path(socket_path).exists()


def test_a_server_with_a_keytab_exports_with_kerberos(lab_directory: str, network: Network) -> None:
    """The flavours are read back from the live export."""
    need("ganesha.nfsd", "dbus-daemon")
    keytab = Path(lab_directory, "keytab")
    keytab.write_bytes(keytab_of("EXAMPLE.ORG", ("nfs", "server.example.org")))
    instance = Instance("krb", f"{lab_directory}/krb", (), network.server.namespace_path)
    server = GaneshaServer(instance, keytab=str(keytab))
    server.ensure_running(always)
    export = replace(export_of(lab_directory), security=("krb5p", "sys"))
    server.put(export)
    assert server.live()[1].security == ("sys", "krb5p")
    server.stop()


def keytab_of(realm: str, principal: tuple[str, ...]) -> bytes:
    """Return a keytab with one key of zeros (the format is MIT Kerberos', version 0x502)."""

    def counted(data: bytes) -> bytes:
        return struct.pack(">H", len(data)) + data

    name_type, timestamp, version, aes256 = 1, 0, 1, 18
    entry = struct.pack(">H", len(principal)) + b"".join(counted(part.encode()) for part in (realm, *principal))
    entry += struct.pack(">IIBH", name_type, timestamp, version, aes256) + counted(bytes(32))
    return b"\x05\x02" + struct.pack(">i", len(entry)) + entry
