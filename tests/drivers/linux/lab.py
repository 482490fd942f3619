"""A small data centre on one machine: a folder for servers, and network namespaces for a server and its clients."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROGRAMS = {
    "mkfs.btrfs": "btrfs-progs",
    "mkfs.xfs": "xfsprogs",
    "mkfs.ext4": "e2fsprogs",
    "ganesha.nfsd": "nfs-ganesha",
    "dbus-daemon": "dbus-daemon",
    "smbd": "samba",
    "pdbedit": "samba-common-bin",
    "testparm": "samba-common-bin",
    "smbclient": "smbclient",
    "nsenter": "util-linux",
    "ip": "iproute2",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "pgrep": "procps",
    "rpcbind": "rpcbind",
    "showmount": "nfs-common",
    "ss": "iproute2",
    "setpriv": "util-linux",
    "systemd-analyze": "systemd",
}
"""What the tests start, and the Debian package that has it."""

_KILL_SECONDS = 300.0


def need(*programs: str, file_system: str | None = None) -> None:
    """Skip the test where this machine lacks something that it needs; in CI that is a failure."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for mounts and network namespaces")
    for program in programs:
        if shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
            pytest.skip(f"needs {program} (Debian package {PROGRAMS[program]})")
    if file_system is not None and f"\t{file_system}\n" not in Path("/proc/filesystems").read_text(encoding="ascii"):
        pytest.skip(f"needs a kernel with {file_system}")


def run(*argv: str, check: bool = True, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command of the test itself, with its output as text, for at most five minutes."""
    return subprocess.run(argv, check=check, capture_output=True, text=True, timeout=300, **options)


@dataclass(frozen=True, slots=True)
class Host:
    """A network namespace with one interface."""

    namespace: str
    ipv4: str
    ipv6: str

    @property
    def namespace_path(self) -> str:
        """The file by which the namespace is entered."""
        return f"/run/netns/{self.namespace}"

    def run(self, *argv: str, **options: object) -> subprocess.CompletedProcess[str]:
        """Run a command in the namespace, whatever its exit code."""
        return run("nsenter", f"--net={self.namespace_path}", "--", *argv, check=False, **options)


@dataclass(frozen=True, slots=True)
class Network:
    """A server, two clients and a stranger on one bridge, with IPv4 and IPv6."""

    server: Host
    client: Host
    other_client: Host
    stranger: Host


def _attach(switch: str, bridge: str, host: Host, port: str) -> None:
    run("ip", "netns", "add", host.namespace)
    run("ip", "-n", host.namespace, "link", "set", "lo", "up")
    run("ip", "-n", switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
    run("ip", "-n", switch, "link", "set", port, "master", bridge, "up")
    run("ip", "-n", host.namespace, "addr", "add", f"{host.ipv4}/24", "dev", "eth0")
    run("ip", "-n", host.namespace, "addr", "add", f"{host.ipv6}/64", "dev", "eth0", "nodad")
    run("ip", "-n", host.namespace, "link", "set", "eth0", "up")


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """Give the network of 10.77.1.0/24 and fd77::/64; the same addresses may be in use by another test at the same time."""
    need("ip", "nsenter")
    mark = uuid.uuid4().hex[:6]
    switch = f"st-{mark}-sw"
    hosts = [
        Host(f"st-{mark}-{name}", f"10.77.1.{last}", f"fd77::{last}")
        for name, last in (("srv", 10), ("c1", 21), ("c2", 22), ("no", 99))
    ]
    try:
        run("ip", "netns", "add", switch)
        run("ip", "-n", switch, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", switch, "link", "set", "br0", "up")
        for number, host in enumerate(hosts):
            _attach(switch, "br0", host, f"p{number}")
        yield Network(*hosts)
    finally:
        for namespace in (*(host.namespace for host in hosts), switch):
            run("ip", "netns", "del", namespace, check=False)


def processes_of(folder: str) -> list[int]:
    """Return every process that has something in the folder among its arguments, but tests, and every rpcbind of a server there."""
    places = [place for pattern in ("*/nfs/rpcbind", "*/servers/*/nfs/rpcbind") for place in Path(folder).glob(pattern)]
    found = [pid for place in places for pid in processes_in(str(place))]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                arguments = (entry / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if f"{folder}/".encode() in arguments and b"pytest" not in arguments:
                found.append(int(entry.name))
    return found


def processes_in(folder: str) -> list[int]:
    """Return every process whose working directory the folder is."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(
            FileNotFoundError, ProcessLookupError, PermissionError
        ):  # the first process is nobody's to look into
            if entry.name.isdigit() and (entry / "cwd").readlink() == Path(folder):
                found.append(int(entry.name))
    return found


def kill_processes_of(folder: str) -> None:
    """Kill them at once, as the kernel would for want of memory, and wait for their end."""
    end = time.monotonic() + _KILL_SECONDS
    while found := processes_of(folder):
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > end:
            message = f"the processes {found} do not end"
            raise TimeoutError(message)
        time.sleep(0.002)


def mounts_under(folder: str) -> Sequence[str]:
    """Return the mount points under the folder, the innermost first."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    return sorted((point for point in points if point.startswith(f"{folder}/")), key=len, reverse=True)


def restart_host(folder: str) -> None:
    """Leave the folder as a restart of its host would: nothing runs there, nothing is mounted."""
    kill_processes_of(folder)
    for point in mounts_under(folder):
        run("umount", "-l", point)


def clean(folder: str) -> None:
    """Kill what works in the folder, unmount what is mounted there, and remove it."""
    kill_processes_of(folder)
    for _ in range(2):  # a bind mount of a mount that was unmounted first shows twice
        for point in mounts_under(folder):
            run("umount", "-l", point, check=False)
    run("chattr", "-R", "-i", folder, check=False)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def lab_directory() -> Iterator[str]:
    """Give an empty folder that every user of the machine can reach (smbd becomes another user); cleaned of mounts and servers later."""
    need("nsenter")
    folder = tempfile.mkdtemp(prefix="sharectl-lab-", dir="/tmp")
    os.chmod(folder, 0o755)  # noqa: PTH101, S103 - smbd becomes another user, who has to reach it
    yield folder
    clean(folder)


@pytest.fixture(scope="module")
def module_directory() -> Iterator[str]:
    """Give such a folder to all tests of a module."""
    need("nsenter")
    folder = tempfile.mkdtemp(prefix="sharectl-lab-", dir="/tmp")
    os.chmod(folder, 0o755)  # noqa: PTH101, S103 - smbd becomes another user, who has to reach it
    yield folder
    clean(folder)
