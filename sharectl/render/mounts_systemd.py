"""Mounts as units of systemd: a mount and an automount each, under the names that systemd asks for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.render.mounts_values import credentials_file, file_system_type, header, mount_options, remark

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sharectl.mounting.selection import Mount
    from sharectl.render.mounts_values import MountSettings, Origin

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
        for suffix, sections in zip(_SUFFIXES, (_mount(mount, point, settings), _automount(mount, point)), strict=True):
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
    return _NOT_PLAIN_IN_NAME.sub(_escape, plain).decode() or "-"


def unit_problem(mount: Mount, settings: MountSettings) -> str | None:
    """Return why there can be no unit of the mount, or None where there can."""
    longest = unit_name(mount.point(settings.mount_root)) + max(_SUFFIXES, key=len)
    if len(longest) > _LONGEST_NAME:
        return f"the name of its unit would be longer than {_LONGEST_NAME} characters"
    if mount.location.source[-1] in " \\":
        return "systemd cannot read a location that ends in a blank or a backslash"
    return None


def _mount(mount: Mount, point: str, settings: MountSettings) -> Iterator[str]:
    yield from ("", "[Unit]", f"Description={_value(mount.address)} of sharectl")
    yield from ("", "[Mount]", f"What={_value(mount.location.source)}", f"Where={_value(point)}")
    yield f"Type={file_system_type(mount)}"
    yield f"Options={_value(','.join((*mount_options(mount, settings), '_netdev')))}"


def _automount(mount: Mount, point: str) -> Iterator[str]:
    yield from ("", "[Unit]", f"Description={_value(mount.address)} of sharectl, mounted when it is first used")
    yield from ("", "[Automount]", f"Where={_value(point)}")
    yield from ("", "[Install]", "WantedBy=remote-fs.target")


def _value(text: str) -> str:
    """Return `text` as a value: nothing but `%` has a meaning there, to the end of the line (systemd.unit(5), "Specifiers")."""
    return text.replace("%", "%%")


def _escape(match: re.Match[bytes]) -> bytes:
    return b"-" if match[0] == b"/" else b"\\x%02x" % match[0][0]
