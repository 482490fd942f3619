"""Mounts as lines of fstab(5), and as an indirect map of autofs(5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sharectl.model.specs import Protocol
from sharectl.render.mounts_values import credentials_file, file_system_type, header, mount_options, remark

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sharectl.mounting.selection import Mount
    from sharectl.render.mounts_values import MountSettings, Origin

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
