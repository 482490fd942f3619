"""A storage host that is reached by SSH: a real sshd in the server's namespace, and an ssh that runs in the client's."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.linux.settings import HostSettings, SshSettings
from tests.drivers.linux.agents import wait_for
from tests.drivers.linux.lab import need, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.drivers.linux.lab import Network

PORT = 2222
SSHD = "/usr/sbin/sshd"
ORIGINAL = '"$SSH_ORIGINAL_COMMAND"'
"""The command that the client asked for, as a word of shell."""


@dataclass
class SshHost:
    """The storage host of the fixture `ssh_host`; `folder` holds its keys and its configuration."""

    network: Network
    folder: Path
    _server: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """Its IPv4 address."""
        return self.network.server.ipv4

    @property
    def identity_file(self) -> str:
        """The private key that may log in as root."""
        return str(self.folder / "client_key")

    @property
    def known_hosts_file(self) -> str:
        """The file with the host's key."""
        return str(self.folder / "known_hosts")

    def ssh_config(self, **changes: object) -> dict[str, Any]:
        """Return `spec.config.host.ssh` of a Backend on this host."""
        return {
            "address": self.address,
            "port": PORT,
            "user": "root",
            "identityFile": self.identity_file,
            "knownHostsFile": self.known_hosts_file,
            **changes,
        }

    def settings(self, *, python: str | None = None, become: Any = "none", **changes: Any) -> HostSettings:  # noqa: ANN401 - parts of documents have many types
        """Return the same as settings; `changes` are fields of SshSettings."""
        values: dict[str, Any] = {
            "address": self.address,
            "port": PORT,
            "user": "root",
            "identity_file": self.identity_file,
            "known_hosts_file": self.known_hosts_file,
            **changes,
        }
        return HostSettings(SshSettings(**values), python or sys.executable, become)

    def allow(self, key: str = "client_key", *, line: str = "") -> None:
        """Let this key alone log in; what it asks for is done by this line of shell, in which ORIGINAL is that."""
        public = (self.folder / f"{key}.pub").read_text(encoding="ascii")
        quoted = line.replace("\\", "\\\\").replace('"', '\\"')
        forced = f'command="{quoted}" ' if line else ""
        (self.folder / "authorized_keys").write_text(f"{forced}{public}", encoding="ascii")

    def trust(self, key: str = "host_key") -> None:
        """Let this be the host's key as the client knows it."""
        kind, public, *_ = (self.folder / f"{key}.pub").read_text(encoding="ascii").split()
        lines = [f"[{address}]:{PORT} {kind} {public}\n" for address in (self.address, self.network.server.ipv6)]
        Path(self.known_hosts_file).write_text("".join(lines), encoding="ascii")

    def make_key(self, name: str) -> None:
        """Make a key pair."""
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name))

    def start(self) -> None:
        """Start sshd and wait until it listens."""
        log = self.folder / "sshd.log"
        log.write_bytes(b"")
        with log.open("ab") as output:
            self._server = subprocess.Popen(
                [
                    *("nsenter", f"--net={self.network.server.namespace_path}", "--"),
                    *(SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_for(lambda: log.read_text(encoding="utf-8").count("Server listening") == 2, "sshd")

    def stop(self) -> None:
        """Stop sshd as if it had crashed, with all its sessions."""
        if self._server is not None:
            for pid in [self._server.pid, *self.session_pids()]:
                run("kill", "-9", str(pid), check=False)
            self._server.wait(300)
            self._server = None

    def session_pids(self) -> list[int]:
        """Return the processes of sshd that serve a session: its children that still are sshd."""
        assert self._server is not None
        found = run("pgrep", "--parent", str(self._server.pid), "sshd", check=False).stdout
        return [int(word) for word in found.split()]


@pytest.fixture
def ssh_host(network: Network, lab_directory: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshHost]:
    """Give a storage host; `ssh` in the PATH of the test is in the client's namespace from now on."""
    need("sshd", "ssh", "nsenter", "pgrep")
    folder = Path(lab_directory)
    host = SshHost(network, folder)
    for key in ("host_key", "client_key"):
        host.make_key(key)
    host.allow()
    host.trust()
    # StrictModes looks at the folders above as well, and everybody may write to /tmp.
    settings = (
        f"Port {PORT}",
        f"ListenAddress {network.server.ipv4}",
        f"ListenAddress {network.server.ipv6}",
        f"HostKey {folder}/host_key",
        f"AuthorizedKeysFile {folder}/authorized_keys",
        "PidFile none",
        "UsePAM no",
        "StrictModes no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin prohibit-password",
        "MaxStartups 100",
    )
    (folder / "sshd_config").write_text("\n".join((*settings, "")), encoding="ascii")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd wants it, empty
    programs = folder / "bin"
    programs.mkdir()
    wrapper = programs / "ssh"
    ssh = shlex.quote(shutil.which("ssh") or "ssh")
    wrapper.write_text(
        f'#!/bin/sh\nexec nsenter --net={network.client.namespace_path} -- {ssh} -F none "$@"\n', encoding="ascii"
    )
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    host.start()
    yield host
    host.stop()
