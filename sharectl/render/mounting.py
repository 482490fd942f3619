"""How a person mounts a share by hand: the command of each system that speaks its protocol."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.model.specs import Protocol
from sharectl.mounting.locations import parse_location
from sharectl.render.mounts_values import CREDENTIALS, NFS_VERSION, SMB_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sharectl.mounting.locations import Location

_MEANT_BY_CMD: Final = re.compile(r'["%!^]')


class MountCommand(NamedTuple):
    """A command to be typed on a client of the `system`."""

    system: str
    command: str


def mount_commands(protocol: str, location: str, name: str) -> tuple[MountCommand, ...]:
    r"""Return the commands that mount `location` (`HOST:/path`, or `\\HOST\share`), each safe to paste into its shell.

    `name` is the share's and names the mount point. A location of neither form has no command, and a command that its shell
    could not be given safely is left out. Windows has no client for NFSv4.
    """
    parsed = parse_location(protocol, location)
    if parsed is None:
        return ()
    return tuple(_cifs(parsed, name) if parsed.protocol is Protocol.CIFS else _nfs(parsed, name))


def _nfs(location: Location, name: str) -> Iterable[MountCommand]:
    source = location.source
    yield MountCommand("Linux", shlex.join(["mount", "-t", "nfs", "-o", NFS_VERSION, source, f"/mnt/{name}"]))
    # Servers take requests from privileged ports alone by default; macOS uses others unless told.
    yield MountCommand("macOS", shlex.join(["mount_nfs", "-o", "vers=4,resvport", source, f"/Volumes/{name}"]))


def _cifs(location: Location, name: str) -> Iterable[MountCommand]:
    options = f"credentials={CREDENTIALS},{SMB_VERSION}"
    yield MountCommand("Linux", shlex.join(["mount", "-t", "cifs", "-o", options, location.source, f"/mnt/{name}"]))
    url = f"//USER@{location.url_host}/{_percent(location.path)}"
    yield MountCommand("macOS", shlex.join(["mount_smbfs", url, f"/Volumes/{name}"]))
    if not _MEANT_BY_CMD.search(location.windows_path):
        yield MountCommand("Windows", f'net use Z: "{location.windows_path}" /user:USER')


def _percent(text: str) -> str:
    from urllib.parse import quote  # noqa: PLC0415 - only a share of Windows needs it

    return quote(text)
