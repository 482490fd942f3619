"""Snapshots for NFS clients: bound into a folder of their own beside the share, and exported below it as `.snapshots`."""

from __future__ import annotations

import errno
import os
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.linux.agent.contract import Hindrance, Problem, ProblemKind
from sharectl.drivers.linux.agent.database import UNREAD
from sharectl.drivers.linux.agent.host import mounts, system_calls
from sharectl.drivers.linux.agent.host.system_errors import told_as
from sharectl.drivers.linux.agent.locks import view_locked
from sharectl.drivers.linux.agent.nfs.exports import SNAPSHOTS, shows_snapshots, snapshots_id
from sharectl.drivers.linux.agent.nfs.ganesha.bus import NoAnswerError
from sharectl.drivers.linux.agent.rows import LOST
from sharectl.drivers.linux.agent.schedule_records import ScheduleRecords

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager

    from sharectl.drivers.linux.agent.contract import Export
    from sharectl.drivers.linux.agent.records import Records
    from sharectl.drivers.linux.agent.rows import ShareRow
    from sharectl.drivers.linux.agent.servers import Servers
    from sharectl.drivers.linux.agent.volumes.contract import VolumePool
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

    def refresh(self, servers: Servers, row: ShareRow) -> str | None:
        """Show what there is now of a share that is to have them, and of another nothing; return what is still seen of this, for people.

        One that is not exported is left alone. What its record says is read anew: who changes it holds another lock than who makes a
        snapshot of it.
        """
        server: Any = servers.nfs
        if server is None or servers.real_paths or (not row.options.get("snapshots") and _never(servers, server, row)):
            return None
        pool = self._usable(row.pool)  # before the lock: its first use may withdraw shares, which takes it too
        with self.locked(servers, row):
            known = self._records.share(row.resource_id)
            if not mounts.is_mount_point(servers.mount_point(row.resource_id)):
                return None
            if (
                known is not None
                and known.trashed_at is None
                and not known.is_removing
                and known.options.get("snapshots")
            ):
                self._try_to_show(servers, server, known, pool)
                return None
            return self._try_to_hide(servers, server, known or row)

    def locked(self, servers: Servers, row: ShareRow) -> AbstractContextManager[None]:
        """Keep out everybody else who changes what is seen of the snapshots of the share."""
        is_there = os.path.isdir(servers.instance.root)  # noqa: PTH112 - paths are text everywhere in the agent
        return view_locked(servers.instance.root, row.resource_id) if is_there else nullcontext()

    def unbind(self, servers: Servers, row: ShareRow) -> None:
        """Let go of the snapshots of a share that is exported no more. Precondition: it is `locked`."""
        folder = _folder(servers, row)
        if os.path.lexists(folder):
            mounts.detach(folder)
            mounts.remove_mount_point(folder)
        share = servers.mount_point(row.resource_id)
        if mounts.is_mount_point(share):
            with suppress(OSError):  # the folder alone is no reason to leave a share bound
                remove_folder(share)

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
        """Return what clients do not see although they should, and what they see although they should not."""
        server: Any = servers.nfs
        if server is None or servers.real_paths:
            return []
        remedy = "see to that; the next change of its access or snapshots tries again"
        return [Hindrance(reason, remedy) for reason in server.snapshots.failures()]

    @staticmethod
    def export_ids(servers: Servers, rows: Iterable[ShareRow]) -> dict[int, int]:
        """Return the ids that exports of snapshots may have now, by those of the shares': also of shares that are not to show them any more."""
        server: Any = servers.nfs
        if server is None or servers.real_paths:
            return {}
        had = server.snapshots.had if server.snapshots.is_used() else lambda _export_id: False
        wanted = (row.export_id for row in rows if row.options.get("snapshots") or had(row.export_id))
        return {export_id: number for export_id in wanted if (number := snapshots_id(export_id)) is not None}

    @staticmethod
    def is_as_put(servers: Servers, row: ShareRow, live: Export | None) -> bool:
        """Tell whether what is in force of them is what is to be; nothing counts as such, for it grants nothing."""
        if live is None or not shows_snapshots(live):
            return True
        server: Any = servers.nfs
        is_shown = bool(row.options.get("snapshots"))
        return is_shown and bool(server.snapshots.is_as_put(row.export_id, _folder(servers, row), live))

    def _usable(self, pool: str) -> VolumePool | Problem:
        try:
            with told_as("its snapshots cannot be shown"):
                return self._pools.usable(pool)
        except Problem as problem:
            return problem

    def _try_to_show(self, servers: Servers, server: Any, row: ShareRow, pool: VolumePool | Problem) -> None:  # noqa: ANN401 - as above
        try:
            if isinstance(pool, Problem):
                raise pool
            with told_as("its snapshots cannot be shown"):
                self._show(servers, server, row, pool)
        except (Problem, NoAnswerError) as problem:
            _note(server, row, f"NFS clients do not see the snapshots of the share {row.export_name!r}: {problem}")

    def _try_to_hide(self, servers: Servers, server: Any, row: ShareRow) -> str | None:  # noqa: ANN401 - as above
        try:
            with told_as("its snapshots cannot be hidden"):
                self._hide(servers, server, row)
        except (Problem, NoAnswerError) as problem:
            if isinstance(problem, NoAnswerError) and server.has_ended():
                return None  # nobody sees anything
            still = f"NFS clients still see the snapshots of the share {row.export_name!r}, which are not to be shown: {problem}"
            _note(server, row, still)
            return still
        return None

    def _show(self, servers: Servers, server: Any, row: ShareRow, pool: VolumePool) -> None:  # noqa: ANN401 - as above
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
        if not server.snapshots.is_in_force(row.export_id, folder):
            server.snapshots.show(row.export_id, folder)

    def _hide(self, servers: Servers, server: Any, row: ShareRow) -> None:  # noqa: ANN401 - as above
        server.snapshots.hide(row.export_id)
        self.unbind(servers, row)
        server.snapshots.forget_share(row.export_id)


def _note(server: Any, row: ShareRow, reason: str) -> None:  # noqa: ANN401 - as above
    with suppress(OSError):
        server.snapshots.fail(row.export_id, reason)


def _never(servers: Servers, server: Any, row: ShareRow) -> bool:  # noqa: ANN401 - as above
    """Tell whether nobody has begun to show any of the share: most have none, and are not locked for that."""
    return not server.snapshots.had(row.export_id) and not os.path.lexists(_folder(servers, row))


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


def remove_folder(share: str) -> None:
    """Remove the folder in a share on which the export of its snapshots begins, and no other of that name."""
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
