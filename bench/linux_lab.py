"""A storage host on this machine for a benchmark: a folder, a network namespace with one address, an sshd in it; all of it goes again."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import time
import uuid
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS: Final = "10.77.1.10"
SSH_PORT: Final = 2222
_SSHD: Final = "/usr/sbin/sshd"
_SYSTEM_PATH: Final = "/usr/sbin:/sbin:/usr/bin:/bin"
_SECONDS: Final = 30.0
_PACKAGES: Final = {
    "ip": "iproute2",
    "nsenter": "util-linux",
    "chattr": "e2fsprogs",
    "mkfs.btrfs": "btrfs-progs",
    "ganesha.nfsd": "nfs-ganesha nfs-ganesha-vfs",
    "dbus-daemon": "dbus-daemon",
}
_PACKAGES_OF_SSH: Final = {"ssh": "openssh-client", "ssh-keygen": "openssh-client", "sshd": "openssh-server"}
_PACKAGES_OF_SMB: Final = {"smbd": "samba", "pdbedit": "samba-common-bin", "testparm": "samba-common-bin"}


def require(*, ssh: bool, smb: bool) -> None:
    """End the program with a message where this machine cannot be the storage host."""
    if os.geteuid() != 0:
        message = "bench/linux.py mounts file systems and makes network namespaces: run it as root"
        raise SystemExit(message)
    if "\tbtrfs\n" not in Path("/proc/filesystems").read_text(encoding="ascii"):
        message = "this kernel has no btrfs: load its module (modprobe btrfs)"
        raise SystemExit(message)
    packages = {**_PACKAGES, **(_PACKAGES_OF_SSH if ssh else {}), **(_PACKAGES_OF_SMB if smb else {})}
    path = f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}"
    missing = sorted({package for name, package in packages.items() if shutil.which(name, path=path) is None})
    if missing:
        message = f"programs are missing: apt-get install {' '.join(missing)}"
        raise SystemExit(message)


@dataclass(frozen=True, slots=True)
class Lab:
    """A storage host. `folder` is all that it writes to, `namespace` the file of the network namespace of its servers."""

    folder: Path
    namespace: str

    def config(self, name: str, *, smb: bool = False, ssh: bool = False, supervisor: str = "none") -> dict[str, Any]:
        """Return `spec.config` of a Backend of its own: a loop pool of 8 GiB, NFS, or where asked for SMB with users `alice` and `bob`."""
        config: dict[str, Any] = {
            "root": str(self.folder / name / "root"),
            "addresses": [ADDRESS],
            "namespace": self.namespace,
            "supervisor": supervisor,
            "pools": {
                "fast": {
                    "type": "loop",
                    "path": str(self.folder / name / "pool"),
                    "image": str(self.folder / name / "pool.img"),
                    "size": "8GiB",
                }
            },
        }
        if smb:
            config["nfs"] = {"server": "none"}
            config["smb"] = {
                "users": {name: {"password": {"env": f"{name.upper()}_PASSWORD"}} for name in ("alice", "bob")}
            }
        if ssh:
            config["host"] = {
                "ssh": {
                    "address": ADDRESS,
                    "port": SSH_PORT,
                    "user": "root",
                    "identityFile": str(self.folder / "ssh" / "client_key"),
                    "knownHostsFile": str(self.folder / "ssh" / "known_hosts"),
                },
                "python": shutil.which("python3"),
            }
        return config

    def daemons(self, instance: str) -> list[int]:
        """Return the NFS-Ganesha and the bus of an instance below the folder of the lab."""
        folder = self.folder / instance / "nfs"
        return [int((folder / name).read_text(encoding="ascii")) for name in ("pid", "bus.pid")]

    def restart(self, name: str) -> None:
        """Leave what is in a folder of the lab as a restart of the host would: no process, no mount."""
        folder = self.folder / name
        _end_processes(f"{folder}/")
        for point in _mounts(f"{folder}/"):
            _run("umount", "-l", point, check=False)

    def clear(self, name: str) -> None:
        """End what works in a folder of the lab, unmount what is mounted there, and remove it."""
        folder = self.folder / name
        self.restart(name)
        _run("chattr", "-R", "-f", "-i", str(folder), check=False)
        shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def ssh_server(self) -> Iterator[None]:
        """Run an sshd in the namespace; the `ssh` in the PATH is one that reaches it."""
        folder = self.folder / "ssh"
        (folder / "bin").mkdir(parents=True)
        for key in ("host_key", "client_key"):
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key))
        shutil.copy(folder / "client_key.pub", folder / "authorized_keys")
        kind, public, *_ = (folder / "host_key.pub").read_text(encoding="ascii").split()
        (folder / "known_hosts").write_text(f"[{ADDRESS}]:{SSH_PORT} {kind} {public}\n", encoding="ascii")
        (folder / "sshd_config").write_text(
            f"Port {SSH_PORT}\nListenAddress {ADDRESS}\nHostKey {folder}/host_key\n"
            f"AuthorizedKeysFile {folder}/authorized_keys\nPidFile none\nUsePAM no\nStrictModes no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n",
            encoding="ascii",
        )
        enter = f"nsenter --net={self.namespace} -- "
        wrapper = folder / "bin" / "ssh"
        ssh = shlex.quote(shutil.which("ssh") or "ssh")
        wrapper.write_text(f'#!/bin/sh\nexec {enter}{ssh} -F none "$@"\n', encoding="ascii")
        wrapper.chmod(0o755)
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd wants it, empty
        path = os.environ["PATH"]
        log = folder / "log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                [*enter.split(), _SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stdout=output, stderr=output
            )
        try:
            _wait_for(lambda: b"Server listening" in log.read_bytes(), "sshd")
            os.environ["PATH"] = f"{folder / 'bin'}:{path}"
            yield
        finally:
            os.environ["PATH"] = path
            server.kill()
            server.wait(_SECONDS)


@contextmanager
def storage_host() -> Iterator[Lab]:
    """Give a storage host, and take everything away at the end."""
    name = f"sharectl-bench-{uuid.uuid4().hex[:6]}"
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        folder.chmod(0o755)  # smbd becomes another user
        lab = Lab(folder, f"/run/netns/{name}")
        stack.callback(lab.clear, "")
        _run("ip", "netns", "add", name)
        stack.callback(_run, "ip", "netns", "del", name, check=False)
        _run("ip", "-n", name, "link", "set", "lo", "up")
        _run("ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
        _run("ip", "-n", name, "addr", "add", f"{ADDRESS}/24", "dev", "eth0")
        for link in ("eth1", "eth0"):
            _run("ip", "-n", name, "link", "set", link, "up")
        yield lab


def _run(*argv: str, check: bool = True) -> None:
    subprocess.run(argv, check=check, capture_output=not check, timeout=300)


def _wait_for(condition: Any, what: str) -> None:  # noqa: ANN401 - any function
    end = time.monotonic() + _SECONDS
    while not condition():
        if time.monotonic() > end:
            message = f"{what} does not start"
            raise SystemExit(message)
        time.sleep(0.01)


def _end_processes(words: str) -> None:
    """Kill the processes that have a path below the folder among their arguments."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if words.encode() in (entry / "cmdline").read_bytes():
                    os.kill(int(entry.name), 9)


def _mounts(folder: str) -> list[str]:
    """Return the mount points below the folder, the last one first."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    points = [line.split()[4] for line in lines]
    return [point for point in reversed(points) if f"{point}/".startswith(folder)]
