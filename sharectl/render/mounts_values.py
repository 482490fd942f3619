"""What all tables of mounts have in common: the options of a mount, and the remarks around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.frozen import dataclass
from sharectl.model.specs import Protocol
from sharectl.render.text import listed, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sharectl.mounting.selection import Mount

NFS_VERSION: Final = "vers=4.2"
SMB_VERSION: Final = "vers=3.1.1"
CREDENTIALS: Final = "/etc/smb-credentials"
_MOST_NAMED: Final = 10


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
    """Return the options of nfs(5) or mount.cifs(8)."""
    level = "ro" if mount.read_only else "rw"
    if mount.location.protocol is Protocol.CIFS:
        return [level, f"credentials={settings.credentials}", SMB_VERSION]
    return [level, NFS_VERSION]


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
    rules = listed([f"{rule.key} {rule.access_level}" for rule in mount.access], _MOST_NAMED)
    return visible(f"# {mount.address}{also}: {rules}")
