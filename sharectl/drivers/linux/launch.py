"""How the agent's process is started: the command and environment, on this machine or by ssh(1) on another."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.drivers.linux.settings import HostSettings, SshSettings

# Isolated from the folder, the variables and the packages of whoever logs in, and whatever their language, names of files are UTF-8.
_PYTHON_OPTIONS: Final = ("-I", "-S", "-X", "utf8", "-c")
_SUDO: Final = ("sudo", "-n", "--")

# ssh_config(5). Whatever else is in ~/.ssh/config (a jump host, an alias) stays in force.
_SSH_OPTIONS: Final[Mapping[str, str]] = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "UpdateHostKeys": "no",
    "ControlMaster": "no",
    "ControlPath": "none",
    "ServerAliveInterval": "15",
    "ServerAliveCountMax": "3",
    "ConnectionAttempts": "1",
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "PermitLocalCommand": "no",
    "RemoteCommand": "none",
    "RequestTTY": "no",
    "EscapeChar": "none",
    "LogLevel": "ERROR",
}


def agent_command(host: HostSettings, code: str) -> list[str]:
    """Return the arguments of the process that runs `code` with the host's Python, as root where `become` says so."""
    python = host.python or (sys.executable if host.ssh is None else "python3")
    command = [python, *_PYTHON_OPTIONS, code]
    if host.ssh is not None:
        if host.become == "sudo":
            command = [*_SUDO, *command]
        return [*ssh_command(host.ssh), f"exec {shlex.join(command)}"]
    return [*_SUDO, *command] if host.become == "sudo" and os.geteuid() != 0 else command


def ssh_command(ssh: SshSettings) -> list[str]:
    """Return the arguments of ssh(1), up to and without the command; `--` keeps an address from being taken for an option."""
    options = {**_SSH_OPTIONS, "ConnectTimeout": str(ssh.connect_timeout_seconds)}
    if ssh.port is not None:
        options["Port"] = str(ssh.port)
    if ssh.user is not None:
        options["User"] = ssh.user
    if ssh.identity_file is not None:
        options |= {"IdentityFile": _configured_path(ssh.identity_file), "IdentitiesOnly": "yes"}
    if ssh.known_hosts_file is not None:
        options |= {"UserKnownHostsFile": _configured_path(ssh.known_hosts_file), "GlobalKnownHostsFile": "none"}
    return [
        "ssh",
        "-T",
        *(word for name, value in options.items() for word in ("-o", f"{name}={value}")),
        "--",
        ssh.address,
    ]


_LOCAL_VARIABLES: Final = ("PATH", "HOME")
_SSH_VARIABLES: Final = (
    *_LOCAL_VARIABLES,
    "USER",
    "LOGNAME",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "KRB5CCNAME",
    "XDG_RUNTIME_DIR",
)


def agent_environment(host: HostSettings) -> dict[str, str]:
    """Return the environment of the process: a short list, for sharectl's own holds passwords.

    The agent on this machine starts servers that live on. ssh may send variables to the host (SendEnv) and hands all of them to a
    ProxyCommand; it needs its agent, a Kerberos ticket and its home. Its complaints are read, so they are in English, and it never
    opens a window to ask.
    """
    names = _LOCAL_VARIABLES if host.ssh is None else _SSH_VARIABLES
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return kept if host.ssh is None else {**kept, "LC_ALL": "C", "SSH_ASKPASS_REQUIRE": "never"}


def _configured_path(path: str) -> str:
    """Return the path in the grammar of ssh_config(5), in which `%` begins a token; settings hold no quotation marks."""
    return '"{}"'.format(path.replace("%", "%%"))
