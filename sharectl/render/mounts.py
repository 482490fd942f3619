"""The mounts of a client in the format that it reads: fstab, autofs, systemd, Kubernetes or Ansible."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from sharectl.render.text import counted, listed, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sharectl.mounting.folder import Written
    from sharectl.mounting.selection import Mount, Selected
    from sharectl.render.mounts_values import MountSettings, Origin

_MOST_NAMED = 5


class MountFormat(StrEnum):
    """Who reads the mounts."""

    FSTAB = "fstab"
    AUTOFS = "autofs"
    SYSTEMD = "systemd"
    KUBERNETES = "kubernetes"
    ANSIBLE = "ansible"


def mounts_lines(style: MountFormat, selected: Selected, settings: MountSettings, origin: Origin) -> Iterator[str]:
    """Yield the mounts in the format, one after the other, in the order of `selected`."""
    if style is MountFormat.SYSTEMD:
        from sharectl.render.mounts_systemd import unit_lines as lines  # noqa: PLC0415 - one format is written
    elif style is MountFormat.KUBERNETES:
        from sharectl.render.mounts_yaml import kubernetes_lines as lines  # noqa: PLC0415 - as above
    elif style is MountFormat.ANSIBLE:
        from sharectl.render.mounts_yaml import ansible_lines as lines  # noqa: PLC0415 - as above
    elif style is MountFormat.AUTOFS:
        from sharectl.render.mounts_tables import autofs_lines as lines  # noqa: PLC0415 - as above
    else:
        from sharectl.render.mounts_tables import fstab_lines as lines  # noqa: PLC0415 - as above
    return lines(selected.mounts, settings, origin)


def mount_problem(style: MountFormat, settings: MountSettings) -> Callable[[Mount], str | None]:
    """Return what says of a mount why it cannot be written in the format (None: it can)."""
    if style is MountFormat.SYSTEMD:
        from sharectl.render.mounts_systemd import unit_problem  # noqa: PLC0415 - one format is written

        return partial(unit_problem, settings=settings)
    if style is MountFormat.KUBERNETES:
        from sharectl.render.mounts_yaml import kubernetes_problem  # noqa: PLC0415 - as above

        return kubernetes_problem
    if style is MountFormat.AUTOFS:
        from sharectl.render.mounts_tables import map_problem  # noqa: PLC0415 - as above

        return map_problem
    return lambda mount: None  # noqa: ARG005 - the other formats can say everything


def left_out_lines(selected: Selected) -> Iterator[str]:
    """Yield a line for each reason for which shares are not among the mounts, with the first of them by name."""
    by_reason: dict[str, list[str]] = {}
    for address, reason in selected.left_out:
        by_reason.setdefault(reason, []).append(visible(address))
    for reason, addresses in sorted(by_reason.items()):
        yield f"{counted(len(addresses), 'share')} left out, since {reason}: {listed(addresses, _MOST_NAMED)}"


def written_lines(folder: str, written: Written) -> Iterator[str]:
    """Yield what became of the units in `folder`."""
    yield f"{counted(written.written, 'file')} written to {visible(folder)}, {written.unchanged} unchanged."
    if written.stale:
        names = listed([visible(name) for name in written.stale], _MOST_NAMED)
        yield f"{counted(len(written.stale), 'file')} of an earlier run left there that no mount needs any more: {names}"


def nothing_line(client: str | None) -> str:
    """Return what is said where there are no mounts."""
    whom = "anybody" if client is None else visible(client)
    return f"There is nothing to mount: no access rule in force lets {whom} reach any of these shares."
