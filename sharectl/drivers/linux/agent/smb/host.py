"""What an SMB server has on its host: its folders, its configuration, and the programs that work on them."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.host import commands
from sharectl.drivers.linux.agent.host.daemons import is_daemon, running_pid
from sharectl.drivers.linux.agent.smb import modules
from sharectl.drivers.linux.agent.smb.configuration import path_problem
from sharectl.drivers.linux.agent.smb.names import GUEST, server_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.drivers.linux.agent.contract import Instance

_PACKAGES: Final = {
    "smbd": "samba",
    "pdbedit": "samba-common-bin",
    "smbcontrol": "samba-common-bin",
    "smbstatus": "samba",
}
_LIBRARY: Final = "libnss_wrapper.so"
_LIBRARY_FOLDERS: Final = ("/usr/lib/*-linux-gnu*", "/usr/lib64", "/usr/lib", "/usr/local/lib", "/lib64", "/lib")
_FOLDERS: Final = ("private", "lock", "state", "cache", "run", "ncalrpc", "log", "nss")
_MAX_SOCKET_PATH: Final = 107  # sun_path of unix(7), without the final zero
_LONGEST_SOCKET: Final = "private/msg.sock/4194304"
_COMMAND_SECONDS: Final = 60.0
_DISK_FREE_SECONDS: Final = 10  # for which a session believes an answer: clients ask often
_SIGNING: Final = {"required": "mandatory", "optional": "auto"}
_ENCRYPTION: Final = {"required": "required", "optional": "if_required", "off": "off"}
_HELPERS: Final = frozenset({"smbd-notifyd", "notifyd", "smbd-cleanupd", "cleanupd"})  # as versions of Samba call them
NOBODY: Final = 65534
"""The user and the group of the account that works on files, unless another is named."""


class ServerOptions(NamedTuple):
    """What holds for all shares of a server, in the words of the settings.

    What clients have to do against whoever is on the wire, or may; of what they are told the size and what is free; and whether the
    server speaks with Macs as they like it, which holds for all shares or none. With `browsing`, users are listed the shares that they
    may use; with `guests`, who gives no password can be let in as a guest.
    """

    signing: str = "required"
    encryption: str = "optional"
    disk_free: str = "pool"
    macos: bool = False
    browsing: bool = False
    guests: bool = False


DEFAULT_OPTIONS: Final = ServerOptions()


@dataclass(frozen=True, slots=True)
class Host:
    """The place of one SMB server on its host. Files that clients make belong to `uid` and `gid`."""

    instance: Instance
    port: int
    uid: int
    gid: int
    options: ServerOptions = DEFAULT_OPTIONS

    @property
    def server(self) -> str:
        """The NetBIOS name of the server."""
        return server_name(self.instance.name)

    @property
    def account(self) -> str:
        """The name of the account that owns the files."""
        return {0: "root", NOBODY: "nobody"}.get(self.uid, "_files")

    def path(self, name: str) -> str:
        """Return the path of a file of the server."""
        return f"{self.instance.root}/smb/{name}"

    @property
    def disk_free(self) -> str:
        """The program that smbd asks for the size of a share; it runs it as the account, which gets into no other folder of the server."""
        return f"{self.instance.root}/disk-free"

    @property
    def marker(self) -> str:
        """The argument by which the server's own smbd is told from others."""
        return f"--configfile={self.path('smb.conf')}"

    def pid(self) -> int | None:
        """Return the process of smbd, None where it does not run."""
        return running_pid(self.path("run/smbd.pid"), self.marker)

    def last_pid(self) -> int | None:
        """Return the process that smbd was at its last start, whether it runs or not."""
        try:
            return int(Path(self.path("run/smbd.pid")).read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return None

    def sessions(self) -> bool:
        """Tell whether anybody is connected, or may be: whether smbd has children other than its helpers."""
        pid = self.pid()
        if pid is None:
            return False
        children = _children(pid)
        return children is None or any(_is_session(child) for child in children)

    def reload(self) -> None:
        """Have smbd itself read its configuration again, without the processes of its sessions."""
        pid = self.pid()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGHUP)

    def prepare(self) -> None:
        """Make the folders, for root alone: smbd opens all that is in them before it becomes another user."""
        problem = path_problem(self.instance.root)
        if problem is None and len(self.path(_LONGEST_SOCKET)) > _MAX_SOCKET_PATH:
            problem = (
                f"the path {self.instance.root!r} is too long for the sockets of an SMB server; give it a shorter root"
            )
        if problem is not None:
            raise Problem(ProblemKind.REFUSED, problem)
        for name in ("", *_FOLDERS):
            os.makedirs(self.path(name), mode=0o700, exist_ok=True)  # noqa: PTH103 - paths are text everywhere in the agent

    def environment(self) -> dict[str, str]:
        """Return the variables by which Samba knows users without accounts on the host: nss_wrapper(1)."""
        return {
            "LD_PRELOAD": _nss_wrapper(),
            "NSS_WRAPPER_PASSWD": self.path("nss/passwd"),
            "NSS_WRAPPER_GROUP": self.path("nss/group"),
        }

    def smb_conf(self) -> str:
        """Return the configuration of smbd."""
        return "\n".join([*self._globals(), *self._of_smbd(), ""])

    def lets_in_the_same(self, text: str | None) -> bool:
        """Tell whether this is the configuration of smbd, or that of an older version by which the same users come to the same shares.

        Versions before guests named no account for them.
        """
        wanted = self.smb_conf()
        older = wanted.replace(f"    guest account = {GUEST}\n", "")
        return text == wanted or (text == older and not self.options.guests)

    def control_conf(self) -> str:
        """Return the configuration of the other programs: without shares, which they would all read first."""
        return "\n".join([*self._globals(), ""])

    def run(self, program: str, *arguments: str, standard_input: str = "") -> subprocess.CompletedProcess[str]:
        """Run a program of Samba on this server's files, whatever its exit code."""
        try:
            return subprocess.run(  # noqa: S603 - a list of arguments, no shell
                [find(program), f"--configfile={self.path('control.conf')}", *arguments],
                input=standard_input,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                env={**os.environ, **self.environment(), "LC_ALL": "C.UTF-8"},
                cwd="/",
                timeout=_COMMAND_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            message = f"{program} of the SMB server {self.instance.name!r} did not end within {_COMMAND_SECONDS:g} s"
            raise Problem(ProblemKind.TRANSIENT, message) from None

    def _globals(self) -> Sequence[str]:
        """Return the parameters of smb.conf(5) that all programs need: names and places."""
        return [
            "# Written by sharectl; what is changed here by hand is undone.",
            "[global]",
            "    server role = standalone server",
            f"    netbios name = {self.server}",
            "    disable netbios = yes",
            f"    passdb backend = tdbsam:{self.path('private/passdb.tdb')}",
            # Samba takes what the guest owns for the guest's alone: it must not be the account that works on files.
            f"    guest account = {GUEST}",
            f"    private dir = {self.path('private')}",
            f"    lock directory = {self.path('lock')}",
            f"    state directory = {self.path('state')}",
            f"    cache directory = {self.path('cache')}",
            f"    pid directory = {self.path('run')}",
            f"    ncalrpc dir = {self.path('ncalrpc')}",
            f"    binddns dir = {self.path('private')}",
            f"    log file = {self.path('log/smbd.log')}",
        ]

    def _of_smbd(self) -> Sequence[str]:
        """Return the parameters of smbd: what it answers, to whom, and as whom it works on files.

        Who may do what is decided by the lists of the section alone. Behind them all users work as one account (`force
        user`), so that none is refused a file that another one made; files made by others, over NFS, keep their Unix
        permissions. Symbolic links are followed within a share and never out of it.
        """
        addresses = self.instance.addresses
        bind = [f"    interfaces = {' '.join(addresses)}", "    bind interfaces only = yes"] if addresses else []
        return [
            f"    smb ports = {self.port}",
            *bind,
            *self._of_disk_free(),
            *(f"    {line}" for line in (modules.global_lines() if self.options.macos else ())),
            "    server min protocol = SMB2_10",
            f"    server signing = {_SIGNING[self.options.signing]}",
            f"    server smb encrypt = {_ENCRYPTION[self.options.encryption]}",
            # A password is never taken for a guest's, but that of a user who does not exist.
            f"    map to guest = {'Bad User' if self.options.guests else 'never'}",
            "    restrict anonymous = 2",
            f"    force user = {self.account}",
            "    create mask = 0666",
            "    directory mask = 0777",
            "    map archive = no",
            "    acl allow execute always = yes",
            "    follow symlinks = yes",
            "    wide links = no",
            "    usershare path =",
            "    load printers = no",
            "    printing = bsd",
            "    printcap name = /dev/null",
            "    disable spoolss = yes",
            *self._of_browsing(),
            "    multicast dns register = no",
            f"    include = {self.path('shares.conf')}",
            # Else whoever asks for the shares would be the account that works on files, which may use none.
            *(["[IPC$]", "    force user ="] if self.options.browsing else []),
        ]

    def _of_browsing(self) -> Sequence[str]:
        """Return what starts the programs that tell of shares, or keeps smbd from it: then no list of them can be had."""
        if not self.options.browsing:
            return ["    rpc start on demand helpers = no"]
        return ["    rpc start on demand helpers = yes", "    access based share enum = yes"]

    def _of_disk_free(self) -> Sequence[str]:
        if self.options.disk_free != "share":
            return []
        return [f"    dfree command = {self.disk_free}", f"    dfree cache time = {_DISK_FREE_SECONDS}"]


def find(program: str) -> str:
    """Return where a program of Samba is; raises REFUSED with the package to install."""
    path = commands.find(program)
    if path is None:
        message = f"{program} is not installed on the storage host; install the package {_PACKAGES[program]}"
        raise Problem(ProblemKind.REFUSED, message)
    return path


def is_of_session(pid: int, session: int | None) -> bool:
    """Tell whether the process is one of the smbd that leads this session; its arguments may say something else."""
    try:
        return (
            os.getsid(pid) == session
            and Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").startswith("smbd")
            and is_daemon(pid)
        )
    except (FileNotFoundError, ProcessLookupError):
        return False


def _children(pid: int) -> list[int] | None:
    """Return the processes that a process has started; None where it has ended, or the kernel does not list them (CONFIG_PROC_CHILDREN)."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except (FileNotFoundError, ProcessLookupError):
        return None


def _is_session(pid: int) -> bool:
    """Tell whether a child of smbd is not one of its helpers, by the name that it gives itself."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip() not in _HELPERS
    except (FileNotFoundError, ProcessLookupError):
        return False


def _nss_wrapper() -> str:
    for folder in _LIBRARY_FOLDERS:
        for path in sorted(Path("/").glob(f"{folder[1:]}/{_LIBRARY}")):
            return str(path)
    message = (
        f"{_LIBRARY} is not installed on the storage host; install the package libnss-wrapper (nss_wrapper elsewhere)"
    )
    raise Problem(ProblemKind.REFUSED, message)
