"""The mounts of a client in the format that it reads: fstab, autofs, systemd, Kubernetes or Ansible."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import counted, listed
from sharectl.render.mounts_tables import autofs_lines, fstab_lines, map_problem, unit_lines, unit_problem
from sharectl.render.mounts_yaml import ansible_lines, kubernetes_lines, kubernetes_problem
from sharectl.render.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sharectl.mounting.folder import Written
    from sharectl.mounting.selection import Mount, Selected
    from sharectl.render.mounts_tables import MountSettings, Origin

_NAMED_LEFT_OUT = 5


class MountFormat(StrEnum):
    """Who reads the mounts."""

    FSTAB = "fstab"
    AUTOFS = "autofs"
    SYSTEMD = "systemd"
    KUBERNETES = "kubernetes"
    ANSIBLE = "ansible"


_WRITERS: Final[Mapping[MountFormat, Callable[[Sequence[Mount], MountSettings, Origin], Iterator[str]]]] = {
    MountFormat.FSTAB: fstab_lines,
    MountFormat.AUTOFS: autofs_lines,
    MountFormat.SYSTEMD: unit_lines,
    MountFormat.KUBERNETES: kubernetes_lines,
    MountFormat.ANSIBLE: ansible_lines,
}
_PROBLEMS: Final[Mapping[MountFormat, Callable[[Mount], str | None]]] = {
    MountFormat.AUTOFS: map_problem,
    MountFormat.KUBERNETES: kubernetes_problem,
}


def mounts_lines(style: MountFormat, selected: Selected, settings: MountSettings, origin: Origin) -> Iterator[str]:
    """Yield the mounts in the format, one after the other, in the order of `selected`."""
    return _WRITERS[style](selected.mounts, settings, origin)


def mount_problem(style: MountFormat, settings: MountSettings) -> Callable[[Mount], str | None]:
    """Return what says of a mount why it cannot be written in the format (None: it can)."""
    if style is MountFormat.SYSTEMD:
        return partial(unit_problem, settings=settings)
    return _PROBLEMS.get(style, lambda _mount: None)


def left_out_lines(selected: Selected) -> Iterator[str]:
    """Yield a line for each reason for which shares are not among the mounts, with the first of them by name."""
    by_reason: dict[str, list[str]] = {}
    for address, reason in selected.left_out:
        by_reason.setdefault(reason, []).append(visible(address))
    for reason, addresses in sorted(by_reason.items()):
        yield f"{counted(len(addresses), 'share')} left out, since {reason}: {listed(addresses, _NAMED_LEFT_OUT)}"


def written_lines(folder: str, written: Written) -> Iterator[str]:
    """Yield what became of the units in `folder`."""
    yield f"{counted(written.written, 'file')} written to {visible(folder)}, {written.unchanged} unchanged."
    if written.stale:
        names = listed([visible(name) for name in written.stale], _NAMED_LEFT_OUT)
        yield f"{counted(len(written.stale), 'file')} of an earlier run left there that no mount needs any more: {names}"


def nothing_line(client: str | None) -> str:
    """Return what is said where there are no mounts."""
    whom = "anybody" if client is None else visible(client)
    return f"There is nothing to mount: no access rule in force lets {whom} reach any of these shares."
