"""Mounts for the tables of a client (fstab, autofs, units of systemd), as commands to type, and what all formats have in common."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.model.diagnostics import listed
from sharectl.model.frozen import dataclass
from sharectl.model.specs import Protocol
from sharectl.mounting.locations import parse_location
from sharectl.render.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sharectl.mounting.locations import Location
    from sharectl.mounting.selection import Mount

SMB_VERSION: Final = "vers=3.1.1"
CREDENTIALS: Final = "/etc/smb-credentials"
_NAMED_RULES: Final = 10


@dataclass(frozen=True, slots=True)
class MountSettings:
    """What is the client's own: where it mounts, and where it keeps the name and password for SMB.

    `mount_root` and `credentials` are absolute paths of letters, digits and `._/@+-` alone, since neither options of mount(8) nor the
    master map of autofs can be quoted. `namespace` is the one of Kubernetes.
    """

    mount_root: str = "/mnt"
    credentials: str = CREDENTIALS
    namespace: str = "default"


@dataclass(frozen=True, slots=True)
class Origin:
    """What the mounts were made from: the state with its serial, by which command."""

    lineage: str
    serial: int
    command: str


def file_system_type(mount: Mount) -> str:
    """Return the type as mount(8) knows it."""
    return "cifs" if mount.location.protocol is Protocol.CIFS else "nfs"


def mount_options(mount: Mount, settings: MountSettings) -> list[str]:
    """Return the options of nfs(5) or mount.cifs(8). For NFS, client and server agree on the newest version that both have."""
    level = "ro" if mount.read_only else "rw"
    if mount.location.protocol is Protocol.CIFS:
        return [level, "guest" if mount.is_for_guests else f"credentials={settings.credentials}", SMB_VERSION]
    return [level]


def header(mounts: Sequence[Mount], origin: Origin, hints: Sequence[str], secret: str) -> Iterator[str]:
    """Yield the remarks at the top: what it was made from, how it is used, and where SMB has its `secret` from."""
    yield f"# Made by `{visible(origin.command)}` from the state {visible(origin.lineage)}, serial {origin.serial}."
    yield from (f"# {hint}" for hint in hints)
    if any(mount.location.protocol is Protocol.CIFS for mount in mounts):
        yield f"# {secret}"


def credentials_file(settings: MountSettings) -> str:
    """Return the remark on the file of mount.cifs(8) that holds the password."""
    return f"SMB: {settings.credentials} holds username=, password= and domain= on lines of their own, readable by root alone."


def remark(mount: Mount) -> str:
    """Return a line on the mount: whose it is, who may reach it, and where else it is."""
    # The rules stand last: a location may end in a backslash, with which some readers continue even a remark on the next line.
    also = f" (also at {', '.join(other.source for other in mount.others)})" if mount.others else ""
    rules = listed([f"{rule.key} {rule.grant}" for rule in mount.access], _NAMED_RULES)
    return visible(f"# {mount.address}{also}: {rules}")


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
    return tuple(_cifs_commands(parsed, name) if parsed.protocol is Protocol.CIFS else _nfs_commands(parsed, name))


def _nfs_commands(location: Location, name: str) -> Iterable[MountCommand]:
    source = location.source
    yield MountCommand("Linux", shlex.join(["mount", "-t", "nfs", source, f"/mnt/{name}"]))
    # Servers take requests from privileged ports alone by default; macOS uses others unless told.
    yield MountCommand("macOS", shlex.join(["mount_nfs", "-o", "vers=4,resvport", source, f"/Volumes/{name}"]))


def _cifs_commands(location: Location, name: str) -> Iterable[MountCommand]:
    options = f"credentials={CREDENTIALS},{SMB_VERSION}"
    yield MountCommand("Linux", shlex.join(["mount", "-t", "cifs", "-o", options, location.source, f"/mnt/{name}"]))
    url = f"//USER@{location.url_host}/{_percent(location.path)}"
    yield MountCommand("macOS", shlex.join(["mount_smbfs", url, f"/Volumes/{name}"]))
    if not _MEANT_BY_CMD.search(location.windows_path):
        yield MountCommand("Windows", f'net use Z: "{location.windows_path}" /user:USER')


def _percent(text: str) -> str:
    from urllib.parse import quote  # noqa: PLC0415 - only a share of Windows needs it

    return quote(text)


_AT_BOOT: Final = ("_netdev", "nofail", "x-systemd.automount")
_BLANK_OR_BACKSLASH: Final = re.compile(r"[ \t\n\\]")
_PLAIN_IN_MAP: Final = re.compile(r"[A-Za-z0-9._/@+=,-]*:[A-Za-z0-9._/@+=,-]+|\[[0-9a-f:.]+\]:[A-Za-z0-9._/@+=,-]+")


def fstab_lines(mounts: Sequence[Mount], settings: MountSettings, origin: Origin) -> Iterator[str]:
    """Yield lines for /etc/fstab; what is mounted is so when it is first used, and never holds a boot up."""
    hints = (
        "Lines for /etc/fstab; after a change of it: systemctl daemon-reload && systemctl restart remote-fs.target",
    )
    yield from header(mounts, origin, hints, credentials_file(settings))
    for mount in mounts:
        yield remark(mount)
        options = ",".join((*mount_options(mount, settings), *_AT_BOOT))
        fields = (mount.location.source, mount.point(settings.mount_root), file_system_type(mount), options)
        yield f"{' '.join(map(fstab_field, fields))} 0 0"


def fstab_field(text: str) -> str:
    r"""Return `text` as one field: what would end it, and the backslash, as `\ooo` (fstab(5), getmntent(3))."""
    return _BLANK_OR_BACKSLASH.sub(lambda match: f"\\{ord(match[0]):03o}", text)


def autofs_lines(mounts: Sequence[Mount], settings: MountSettings, origin: Origin) -> Iterator[str]:
    """Yield an indirect map; the line of the master map that names it stands in the remarks."""
    hints = (
        "An indirect map of autofs: save it as /etc/auto.sharectl, and have this line in /etc/auto.master.d/sharectl.autofs:",
        f"  {settings.mount_root} /etc/auto.sharectl",
    )
    yield from header(mounts, origin, hints, credentials_file(settings))
    for mount in mounts:
        yield remark(mount)
        options = ",".join((f"fstype={file_system_type(mount)}", *mount_options(mount, settings)))
        yield f"{mount.name} -{options} {_map_location(mount)}"


def map_problem(mount: Mount) -> str | None:
    """Return why there can be no entry of the mount in a map, or None where there can."""
    return "a map of autofs has no way to write a double quote" if '"' in mount.location.path else None


def map_word(text: str) -> str:
    """Return `text` as one word of a map, which must be without double quotes: in them nothing has a meaning.

    Backslashes are not used: autofs 5.1.8 takes them away once when it reads a map from a file, and once more when it parses the entry.
    """
    return text if _PLAIN_IN_MAP.fullmatch(text) else f'"{text}"'


def _map_location(mount: Mount) -> str:
    # What begins with a slash has a colon before it.
    return map_word(f":{mount.location.source}" if mount.location.protocol is Protocol.CIFS else mount.location.source)


UNIT_MARK: Final = "# Written by sharectl mounts; a change made here by hand is lost when they are written again."
"""The first line of a unit: by it a file is known as one that may be replaced."""
FILE_MARK: Final = "# file: "
"""Before the name of a file, on a line of its own, where several are written one after the other."""

_LONGEST_NAME: Final = 255
_NOT_PLAIN_IN_NAME: Final = re.compile(rb"[^A-Za-z0-9:_.]|\A\.")
_SUFFIXES: Final = (".mount", ".automount")


class UnitFile(NamedTuple):
    """A unit: the name of its file, and what is in it."""

    name: str
    text: str


def unit_files(mounts: Iterable[Mount], settings: MountSettings) -> Iterator[UnitFile]:
    """Yield two units for each mount, of which the automount is the one to be enabled."""
    for mount in mounts:
        point = mount.point(settings.mount_root)
        for suffix, sections in zip(
            _SUFFIXES, (_mount_sections(mount, point, settings), _automount_sections(mount, point)), strict=True
        ):
            text = "\n".join((UNIT_MARK, remark(mount), *sections, ""))
            yield UnitFile(unit_name(point) + suffix, text)


def unit_lines(mounts: Sequence[Mount], settings: MountSettings, origin: Origin) -> Iterator[str]:
    """Yield the units one after the other, each after a line `# file: NAME`."""
    hints = (
        f"Units of systemd, each from its line `{FILE_MARK}NAME` on; --directory /etc/systemd/system writes them as files.",
        "After that: systemctl daemon-reload && systemctl enable --now NAME.automount",
    )
    yield from header(mounts, origin, hints, credentials_file(settings))
    for file in unit_files(mounts, settings):
        yield ""
        yield f"{FILE_MARK}{file.name}"
        yield from file.text.splitlines()


def unit_name(path: str) -> str:
    r"""Return the name of the unit of the absolute `path`, without its suffix, as `systemd-escape --path` does.

    systemd.unit(5), "String escaping for inclusion in unit names": slashes become dashes, and each byte that is neither ASCII letter,
    digit, `:`, `_` nor `.` becomes `\xNN`, as does a dot at the beginning; the root is `-`.
    """
    plain = "/".join(part for part in path.split("/") if part).encode()
    return _NOT_PLAIN_IN_NAME.sub(_escaped_byte, plain).decode() or "-"


def unit_problem(mount: Mount, settings: MountSettings) -> str | None:
    """Return why there can be no unit of the mount, or None where there can."""
    longest = unit_name(mount.point(settings.mount_root)) + max(_SUFFIXES, key=len)
    if len(longest) > _LONGEST_NAME:
        return f"the name of its unit would be longer than {_LONGEST_NAME} characters"
    if mount.location.source[-1] in " \\":
        return "systemd cannot read a location that ends in a blank or a backslash"
    return None


def _mount_sections(mount: Mount, point: str, settings: MountSettings) -> Iterator[str]:
    yield from ("", "[Unit]", f"Description={_unit_value(mount.address)} of sharectl")
    yield from ("", "[Mount]", f"What={_unit_value(mount.location.source)}", f"Where={_unit_value(point)}")
    yield f"Type={file_system_type(mount)}"
    yield f"Options={_unit_value(','.join((*mount_options(mount, settings), '_netdev')))}"


def _automount_sections(mount: Mount, point: str) -> Iterator[str]:
    yield from ("", "[Unit]", f"Description={_unit_value(mount.address)} of sharectl, mounted when it is first used")
    yield from ("", "[Automount]", f"Where={_unit_value(point)}")
    yield from ("", "[Install]", "WantedBy=remote-fs.target")


def _unit_value(text: str) -> str:
    """Return `text` as a value: nothing but `%` has a meaning there, to the end of the line (systemd.unit(5), "Specifiers")."""
    return text.replace("%", "%%")


def _escaped_byte(match: re.Match[bytes]) -> bytes:
    return b"-" if match[0] == b"/" else b"\\x%02x" % match[0][0]
