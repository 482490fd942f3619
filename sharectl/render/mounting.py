"""How a client reaches an export location: the mount command of its protocol."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.model import Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNC: Final = "\\\\"
_MEANT_BY_CMD: Final = re.compile(r'["%!^]')


class MountCommand(NamedTuple):
    """A command to be typed on a client of the `system`."""

    system: str
    command: str


def mount_commands(protocol: str, location: str, name: str) -> tuple[MountCommand, ...]:
    r"""Return the commands that mount `location` (`HOST:/path`, or `\\HOST\share`), each safe to paste into its shell.

    `name` is the share's and names the mount point. A location of neither form has no command, and a command that its shell
    could not be given safely is left out.
    """
    if not location.isprintable():
        return ()
    if protocol == Protocol.NFS and ":/" in location:
        return tuple(_nfs(location, name))
    if protocol == Protocol.CIFS and location.startswith(_UNC) and location.count("\\") > len(_UNC):
        return tuple(_cifs(location, name))
    return ()


def _nfs(location: str, name: str) -> Iterable[MountCommand]:
    yield MountCommand("Linux", shlex.join(["mount", "-t", "nfs", location, f"/mnt/{name}"]))
    yield MountCommand("macOS", shlex.join(["mount", "-t", "nfs", "-o", "resvport", location, f"/Volumes/{name}"]))


def _cifs(location: str, name: str) -> Iterable[MountCommand]:
    forward = location.replace("\\", "/")
    yield MountCommand("Linux", shlex.join(["mount", "-t", "cifs", forward, f"/mnt/{name}", "-o", "username=USER"]))
    if not _MEANT_BY_CMD.search(location):
        yield MountCommand("Windows", f'net use Z: "{location}" /user:USER')
    host, _, share = forward[2:].partition("/")
    yield MountCommand("macOS", shlex.join(["mount_smbfs", f"//USER@{host}/{_percent(share)}", f"/Volumes/{name}"]))


def _percent(text: str) -> str:
    from urllib.parse import quote  # noqa: PLC0415 - only a share of Windows needs it

    return quote(text)
