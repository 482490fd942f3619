"""Snapshots for NFS clients: bound into a folder of their own beside the share, and exported below it as `.snapshots`."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.linux.agent.contract import Hindrance, Problem, ProblemKind
from sharectl.drivers.linux.agent.database import UNREAD
from sharectl.drivers.linux.agent.host import mounts, system_calls
from sharectl.drivers.linux.agent.host.daemons import locked
from sharectl.drivers.linux.agent.host.system_errors import told_as
from sharectl.drivers.linux.agent.nfs.exports import SNAPSHOTS
from sharectl.drivers.linux.agent.nfs.ganesha.bus import NoAnswerError
from sharectl.drivers.linux.agent.records import LOST
from sharectl.drivers.linux.agent.schedule_records import ScheduleRecords

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sharectl.drivers.linux.agent.contract import Export
    from sharectl.drivers.linux.agent.records import Records, ShareRow
    from sharectl.drivers.linux.agent.servers import Servers
    from sharectl.drivers.linux.agent.volumes.pools import PoolRoom

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE: Final = 0o555
_OPTIONS: Final = "size=64k,mode=0555"


def snapshots_of(records: Records, share_id: str) -> Mapping[str, str]:
    """Return the identities of the snapshots of a share by id, those of its policy too, without those that are about to go."""
    found = {
        row.resource_id: row.identity if row.intervals else None for row in ScheduleRecords(records).snapshots(share_id)
    }
    for row in records.snapshots_of_share(share_id):
        found[row.resource_id] = None if row.is_removing else row.identity
    return {key: identity for key, identity in found.items() if identity not in {None, UNREAD, LOST}}


class SnapshotViews:
    """What NFS clients see of the snapshots of the shares of a backend.

    Where it cannot be shown, that is no reason for anything else to fail: it is noted, told as a hindrance, and tried again with the next
    change of the share's access or snapshots.
    """

    def __init__(self, records: Records, pools: PoolRoom) -> None:
        """Touch nothing."""
        self._records = records
        self._pools = pools

    def refresh(self, servers: Servers, row: ShareRow) -> None:
        """Show what there is now of a share that is to have them, and of another nothing. One that is not exported is left alone."""
        server: Any = servers.nfs
        if server is None or servers.real_paths or not mounts.is_mount_point(servers.mount_point(row.resource_id)):
            return
        try:
            with told_as("its snapshots cannot be shown"):
                if row.options.get("snapshots"):
                    os.makedirs(os.path.join(servers.instance.root, "snapshots"), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH118 - paths are text everywhere in the agent
                    with locked(os.path.join(servers.instance.root, "snapshots", row.resource_id)):  # noqa: PTH118 - as above
                        self._show(servers, server, row)
                else:
                    self._hide(servers, server, row)
        except (Problem, NoAnswerError) as problem:
            with suppress(OSError):
                server.snapshots.fail(
                    row.export_id, f"NFS clients do not see the snapshots of the share {row.export_name!r}: {problem}"
                )

    def unbind(self, servers: Servers, row: ShareRow) -> None:
        """Let go of the snapshots of a share that is exported no more."""
        folder = _folder(servers, row)
        if os.path.lexists(folder):
            mounts.detach(folder)
            mounts.remove_mount_point(folder)
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(servers.instance.root, "snapshots", row.resource_id))  # noqa: PTH108, PTH118 - as above

    def lacking(self, servers: Servers, rows: Iterable[ShareRow]) -> list[ShareRow]:
        """Return those of the shares whose snapshots the server does not show since it was started: nobody has tried."""
        server: Any = servers.nfs
        if server is None or servers.real_paths or not server.snapshots.is_used() or server.has_ended():
            return []
        return [row for row in rows if row.options.get("snapshots") and self._is_lacking(servers, server, row)]

    def _is_lacking(self, servers: Servers, server: Any, row: ShareRow) -> bool:  # noqa: ANN401 - Ganesha, of which the rest knows nothing
        with suppress(Problem, NoAnswerError):  # who cannot say now is asked again
            return (
                not server.snapshots.is_settled(row.export_id)
                and self._pools.get(row.pool).binds_snapshots
                and mounts.is_mount_point(servers.mount_point(row.resource_id))
                and server.snapshots.has_share(row.export_id)
            )
        return False

    @staticmethod
    def hindrances(servers: Servers) -> list[Hindrance]:
        """Return what clients do not see although they should."""
        server: Any = servers.nfs
        if server is None or servers.real_paths:
            return []
        remedy = "see to that; the next change of its access or snapshots shows them"
        return [Hindrance(reason, remedy) for reason in server.snapshots.failures()]

    @staticmethod
    def is_as_put(servers: Servers, row: ShareRow, live: Export | None) -> bool:
        """Tell whether what is in force of them is what was put in force."""
        server: Any = servers.nfs
        return servers.real_paths or bool(server.snapshots.is_as_put(row.export_id, live))

    def _show(self, servers: Servers, server: Any, row: ShareRow) -> None:  # noqa: ANN401 - as above
        pool = self._pools.usable(row.pool)
        if not pool.binds_snapshots:
            return
        folder = _folder(servers, row)
        mounts.make_mount_point(folder)
        if not mounts.is_mount_point(folder):
            # A file system of its own: of one that is exported, a client that forges file handles reaches everything.
            flags = system_calls.NO_SETUID | system_calls.NO_DEVICES
            system_calls.mount("sharectl", folder, "tmpfs", flags, _OPTIONS)
        wanted = snapshots_of(self._records, row.resource_id)
        # Withdrawn first: of a folder in which something new is mounted, the server would list nothing any more.
        pool.bind_snapshots(folder, wanted, lambda: server.snapshots.hide(row.export_id))
        _make_folder(servers.mount_point(row.resource_id))
        if not server.snapshots.is_in_force(row.export_id):
            server.snapshots.show(row.export_id, folder)

    def _hide(self, servers: Servers, server: Any, row: ShareRow) -> None:  # noqa: ANN401 - as above
        if os.path.lexists(_folder(servers, row)):
            server.snapshots.hide(row.export_id)
            self.unbind(servers, row)
        server.snapshots.forget_share(row.export_id)
        _remove_folder(servers.mount_point(row.resource_id))


def _folder(servers: Servers, row: ShareRow) -> str:
    return f"{servers.mount_point(row.resource_id)}{SNAPSHOTS}"


def _make_folder(share: str) -> None:
    """Make the empty folder in the share on which the export begins: nobody can write there, remove or rename it, when it does not."""
    share_fd = os.open(share, _FOLDER)
    try:
        with suppress(FileExistsError):
            os.mkdir(SNAPSHOTS, _MODE, dir_fd=share_fd)
        with told_as(f"there is a file {SNAPSHOTS} in it"):
            folder_fd = os.open(SNAPSHOTS, _FOLDER, dir_fd=share_fd)
        try:
            if mounts.is_immutable(folder_fd):
                return
            if not _is_own(folder_fd):
                message = f"there is a folder {SNAPSHOTS} of its users in it; rename it"
                raise Problem(ProblemKind.CONFLICT, message)
            mounts.set_immutable(folder_fd, wanted=True)
        finally:
            os.close(folder_fd)
    finally:
        os.close(share_fd)


def _remove_folder(share: str) -> None:
    """Remove the folder that `_make_folder` made, and no other."""
    share_fd = os.open(share, _FOLDER)
    try:
        try:
            folder_fd = os.open(SNAPSHOTS, _FOLDER, dir_fd=share_fd)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno in {errno.ENOTDIR, errno.ELOOP}:  # a file of the share's users
                return
            raise
        try:
            if mounts.is_immutable(folder_fd) and _is_own(folder_fd):
                mounts.set_immutable(folder_fd, wanted=False)
                os.rmdir(SNAPSHOTS, dir_fd=share_fd)
        finally:
            os.close(folder_fd)
    finally:
        os.close(share_fd)


def _is_own(folder_fd: int) -> bool:
    status = os.fstat(folder_fd)
    is_empty = not os.listdir(folder_fd)
    return is_empty and status.st_uid == 0 and status.st_mode & 0o7777 == _MODE
