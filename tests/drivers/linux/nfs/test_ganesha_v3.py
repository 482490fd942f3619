"""NFSv3 beside NFSv4: its own rpcbind, and the same rules; real clients in network namespaces of their own."""

from __future__ import annotations

import itertools
import os
import signal
import struct
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.linux.agent.contract import Client, Export, Instance, Problem, ProblemKind, Squash
from sharectl.drivers.linux.agent.host import daemons, mounts
from sharectl.drivers.linux.agent.nfs.ganesha.server import GaneshaServer
from tests.drivers.linux.lab import Network, need, processes_in, run
from tests.drivers.linux.nfs_client import V3, held, nfs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.drivers.linux.lab import Host
    from tests.drivers.linux.nfs_client import Answer

_IDS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Lab:
    """A server of NFSv3 and NFSv4 on all addresses of its namespace, and a folder for what it exports."""

    server: GaneshaServer
    network: Network
    folder: str

    def export(self, *clients: tuple[str, str], squash: Squash = Squash.NONE) -> Export:
        """Export a new folder to the clients."""
        number = next(_IDS)
        path = Path(self.folder, f"data-{number}")
        path.mkdir()
        path.chmod(0o777)
        them = frozenset(Client(*client) for client in clients)
        export = Export(number, str(path), f"/shares/s{number}", them, squash)
        self.server.put(export)
        return export

    def nfs(
        self, export: Export, *words: str, host: str = "client", user: tuple[int, int] = (0, 0), port: int = V3
    ) -> Answer:
        """Let a host do something on the export."""
        client = getattr(self.network, host)
        return nfs(client, self.network.server.ipv4, export.pseudo, *words, user=user, port=port)


@pytest.fixture(scope="module")
def lab(network: Network, module_directory: str) -> Iterator[Lab]:
    """Give a running server."""
    need("ganesha.nfsd", "dbus-daemon", "rpcbind", "ss", "showmount")
    instance = Instance("main", f"{module_directory}/main", (), network.server.namespace_path)
    server = GaneshaServer(instance, minor_versions=(0, 1, 2), mount_port=20048)
    server.ensure_running(lambda _export: True)
    yield Lab(server, network, module_directory)
    server.stop()
    assert not mounts.is_mount_point(f"{module_directory}/main/exports")


def test_both_versions_see_the_same_files(lab: Lab) -> None:
    """What one writes the other reads."""
    export = lab.export((lab.network.client.ipv4, "rw"))
    assert lab.nfs(export, "write", "file", "100000").is_done
    assert lab.nfs(export, "put", "note", "hello").is_done
    assert lab.nfs(export, "cat", "note", port=2049).text == "hello"
    assert Path(export.path, "file").stat().st_size == 100000
    assert lab.server.live([export.export_id]) == {export.export_id: export}


@pytest.mark.parametrize("host", ["stranger", "other_client"])
def test_who_has_no_rule_or_is_kept_out_mounts_nothing(lab: Lab, host: str) -> None:
    """And is told the same as of a share that does not exist."""
    export = lab.export(
        ("10.77.1.0/24", "rw"), (lab.network.other_client.ipv4, "none"), (lab.network.stranger.ipv4, "none")
    )
    assert lab.nfs(export, "put", "note", "hello").is_done
    denied = lab.nfs(export, "ls", host=host)
    missing = nfs(getattr(lab.network, host), lab.network.server.ipv4, "/shares/nothing", "ls", port=V3)
    assert "MNT3ERR_ACCES" in denied.text
    assert denied.text.replace(export.pseudo, "/shares/nothing") == missing.text


def test_a_client_with_ro_reads_and_is_refused_the_write(lab: Lab) -> None:
    """With the error that says why."""
    export = lab.export((lab.network.client.ipv4, "ro"))
    Path(export.path, "note").write_text("hello", encoding="utf-8")
    assert lab.nfs(export, "cat", "note").text == "hello"
    for words in (("put", "file", "1"), ("rm", "note"), ("mkdir", "folder")):
        assert "NFS3ERR_ROFS" in lab.nfs(export, *words).text
    assert [entry.name for entry in Path(export.path).iterdir()] == ["note"]


def test_root_is_squashed_and_a_user_of_a_client_does_not_speak_for_it(lab: Lab) -> None:
    """As over NFSv4: what a rule says of one client holds for that alone."""
    options = (("insecure", "true"), ("squash", "none"))
    export = lab.export((lab.network.client.ipv4, "rw"), squash=Squash.ROOT)
    mixed = replace(export, clients=export.clients | {Client(lab.network.other_client.ipv4, "rw", options)})
    lab.server.put(mixed)
    assert lab.nfs(mixed, "mkdir", "squashed").is_done
    assert lab.nfs(mixed, "mkdir", "root", host="other_client").is_done
    owners = {name: Path(export.path, name).stat().st_uid for name in ("squashed", "root")}
    assert owners == {"squashed": 65534, "root": 0}
    assert not lab.nfs(mixed, "ls", user=(1000, 0)).is_done
    assert lab.nfs(mixed, "ls", host="other_client", user=(1000, 0)).is_done


def test_a_right_that_is_taken_away_ends_for_who_has_mounted(lab: Lab) -> None:
    """With the file handles that the client has: each request is looked at."""
    export = lab.export((lab.network.client.ipv4, "rw"))
    with held(lab.network.client, lab.network.server.ipv4, export.pseudo, "file", port=V3) as file:
        assert file.write().is_done
        lab.server.put(replace(export, clients=frozenset({Client(lab.network.client.ipv4, "ro")})))
        assert not file.write().is_done  # libnfs has no words for this error of this version
        lab.server.put(replace(export, clients=frozenset()))
        assert not file.write().is_done


def test_a_client_is_listed_only_what_it_may_mount(lab: Lab) -> None:
    """Though with the addresses of all rules of it."""
    mine = lab.export((lab.network.client.ipv4, "ro"), ("10.9.0.0/16", "rw"))
    other = lab.export((lab.network.other_client.ipv4, "rw"))
    listed = lab.network.client.run("showmount", "--no-headers", "-e", lab.network.server.ipv4).stdout
    assert mine.pseudo in listed
    assert other.pseudo not in listed.split()
    assert lab.network.stranger.run("showmount", "--no-headers", "-e", lab.network.server.ipv4).stdout == ""


def test_nothing_else_is_open(lab: Lab) -> None:
    """No UDP, no ports for locks and quotas, nothing by chance."""
    lines = lab.network.server.run("ss", "-H", "-l", "-n", "-t", "-u").stdout.splitlines()
    assert {(line.split()[0], int(line.split()[4].rpartition(":")[2])) for line in lines} == {
        ("tcp", 111),
        ("tcp", 2049),
        ("tcp", 20048),
    }


_RPC = """
import socket, struct, sys
address, *words = sys.argv[1:]
body = bytes.fromhex(words.pop())
program, version, procedure = map(int, words)
call = struct.pack(">10I", 7, 0, 2, program, version, procedure, 0, 0, 0, 0) + body
then = struct.pack(">10I", 8, 0, 2, program, version, 0, 0, 0, 0, 0)
with socket.socket() as asked:
    for port in range(1023, 600, -1):
        try:
            asked.bind(("", port))
        except OSError:
            continue
        break
    asked.settimeout(20)
    asked.connect((address, 111))
    for each in (call, then):
        asked.sendall(struct.pack(">I", 1 << 31 | len(each)) + each)
    answers, stream = {}, asked.makefile("rb")
    while 8 not in answers:
        (length,) = struct.unpack(">I", stream.read(4))
        answer = stream.read(length & 0x7FFFFFFF)
        answers[int.from_bytes(answer[:4])] = answer[8:]
print(answers.get(7, b"").hex())
"""


def _call(host: Host, address: str, version: int, procedure: int, body: bytes) -> bytes:
    """Call rpcbind from a port below 1024; return its reply from its kind on: reply_stat, then what depends on it.

    Nothing is returned where it goes on to the next call of the connection without one.
    """
    argv = [sys.executable, "-c", _RPC, address, "100000", str(version), str(procedure), body.hex()]
    done = host.run(*argv)
    assert done.returncode == 0, done.stderr
    return bytes.fromhex(done.stdout.strip())


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">I", len(data)) + data + bytes(-len(data) % 4)


ACCEPTED_AND_DONE = bytes(16)


def test_nobody_in_the_network_changes_what_rpcbind_tells_or_calls_others_through_it(lab: Lab) -> None:
    """Of all three versions of its protocol: neither a port for a program, nor one fewer, nor a call that it passes on."""
    export = lab.export((lab.network.stranger.ipv4, "ro"))
    attacker, server = lab.network.stranger, lab.network.server.ipv4
    mine = struct.pack(">II", 100003, 3) + _text("tcp") + _text("10.77.1.99.8.1") + _text("superuser")
    gone = struct.pack(">II", 100003, 3) + _text("tcp") + _text("") + _text("superuser")
    attempts = [
        (2, 1, struct.pack(">4I", 100024, 1, 6, 666)),
        (2, 2, struct.pack(">4I", 100003, 3, 6, 0)),
        (2, 5, struct.pack(">4I", 100005, 3, 5, 0)),
        *((version, 1, mine) for version in (3, 4)),
        *((version, 2, gone) for version in (3, 4)),
        *((version, 5, struct.pack(">4I", 100005, 3, 5, 0)) for version in (3, 4)),
        (4, 10, struct.pack(">4I", 100005, 3, 5, 0)),
    ]
    for version, procedure, body in attempts:
        answer = _call(attacker, server, version, procedure, body)
        is_true = answer.startswith(ACCEPTED_AND_DONE) and answer[16:] not in (b"", bytes(4))
        assert not is_true, (version, procedure, answer.hex())
    assert lab.nfs(export, "ls", host="stranger").is_done
    asked = _call(attacker, server, 2, 3, struct.pack(">4I", 100003, 3, 6, 0))
    assert asked == ACCEPTED_AND_DONE + struct.pack(">I", 2049)


def _rpcbind_of(lab: Lab) -> int:
    """Return the process of the server's rpcbind."""
    folder = f"{lab.folder}/main/nfs/rpcbind"
    (pid,) = processes_in(folder)
    return pid


def test_a_killed_rpcbind_is_an_ended_server_and_comes_back(lab: Lab) -> None:
    """With everything that it told of."""
    export = lab.export((lab.network.client.ipv4, "rw"))
    pid = _rpcbind_of(lab)
    os.kill(pid, signal.SIGKILL)
    daemons.wait_until(lab.server.has_ended, "it does not end")
    assert not lab.server.is_running()
    assert lab.server.live([export.export_id]) == {export.export_id: export}, "clients of NFSv4 are served"
    assert lab.nfs(export, "put", "before", "hello", port=2049).is_done
    lab.server.ensure_running(lambda _export: True)
    assert _rpcbind_of(lab) != pid
    assert lab.nfs(export, "put", "note", "hello").is_done


def test_the_server_holds_no_mounts_of_the_host(lab: Lab) -> None:
    """What the host unmounts later would live on there: a volume with its device, or a network of a tenant."""
    pid = int(Path(lab.folder, "main/nfs/pid").read_text(encoding="ascii"))
    for process in (pid, _rpcbind_of(lab)):
        points = {mount.point for mount in mounts.parse_mounts(Path(f"/proc/{process}/mountinfo").read_bytes())}
        assert not {point for point in points if point.startswith("/run/netns")}
        assert "/run" in points


def test_what_is_bound_later_is_seen_and_let_go(lab: Lab) -> None:
    """A volume that is made while the server runs, over both versions."""
    source, target = Path(lab.folder, "volume"), Path(lab.folder, "main/exports/late")
    source.mkdir()
    run("mount", "-t", "tmpfs", "none", str(source))
    Path(source, "note").write_text("hello", encoding="utf-8")
    source.chmod(0o777)
    mounts.make_mount_point(str(target))
    mounts.bind(str(source), str(target))
    export = Export(next(_IDS), str(target), "/shares/late", frozenset({Client(lab.network.client.ipv4, "rw")}))
    lab.server.put(export)
    assert lab.nfs(export, "cat", "note").text == "hello"
    assert lab.nfs(export, "cat", "note", port=2049).text == "hello"
    lab.server.remove(export.export_id)
    mounts.unbind(str(target))
    mounts.remove_mount_point(str(target))
    run("umount", str(source))
    pid = Path(lab.folder, "main/nfs/pid").read_text(encoding="ascii").strip()
    seen = mounts.parse_mounts(Path(f"/proc/{pid}/mountinfo").read_bytes())
    assert not {mount.point for mount in seen} & {str(source), str(target)}


def test_nothing_of_it_is_in_the_hosts_own_run(lab: Lab) -> None:
    """Where a host's rpcbind would be found."""
    assert lab.server.is_running()
    pid = _rpcbind_of(lab)
    sockets = Path("/run/rpcbind.sock"), Path("/run/rpcbind.lock")
    assert all(not path.exists() or not path.samefile(f"/proc/{pid}/root{path}") for path in sockets)


def test_without_version_3_there_is_no_rpcbind(network: Network, lab_directory: str) -> None:
    """And a server that no longer speaks it stops the one that it had."""
    need("ganesha.nfsd", "dbus-daemon", "rpcbind")
    host = network.stranger
    instance = Instance("main", f"{lab_directory}/main", (), host.namespace_path)
    first = GaneshaServer(instance, 12049, mount_port=12050)
    first.ensure_running(lambda _export: True)
    assert _rpcbind_of(Lab(first, network, lab_directory))
    second = GaneshaServer(instance, 12049)
    second.ensure_running(lambda _export: True)
    try:
        lines = host.run("ss", "-H", "-l", "-n", "-t").stdout.splitlines()
        assert {int(line.split()[3].rpartition(":")[2]) for line in lines} == {12049}
    finally:
        second.stop()


def test_a_port_that_is_taken_is_told_with_who_has_it(network: Network, lab_directory: str) -> None:
    """Be it the one of rpcbind or the one of MOUNT; nothing runs then."""
    need("ganesha.nfsd", "dbus-daemon", "rpcbind")
    instance = Instance("main", f"{lab_directory}/main", (), network.other_client.namespace_path)
    server = GaneshaServer(instance, mount_port=20048)
    listener = (
        "import socket, sys; s = socket.create_server(('', int(sys.argv[1]))); print(flush=True); sys.stdin.read()"
    )
    for port, words in ((111, "NFSv3 needs a port 111"), (20048, "port 20048 on any address")):
        argv = ["nsenter", f"--net={network.other_client.namespace_path}", "--", sys.executable, "-c", listener]
        with subprocess.Popen([*argv, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as taken:
            assert taken.stdout is not None
            taken.stdout.readline()
            with pytest.raises(Problem, match=words) as caught:
                server.ensure_running(lambda _export: True)
            assert f"(process {taken.pid})" in str(caught.value)
            assert caught.value.kind is ProblemKind.CONFLICT
            assert server.has_ended()
            taken.kill()
    server.stop()
