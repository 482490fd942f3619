"""Access to shares over NFS: each volume bound to a mount point of its own, which one export leads to."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sharectl.drivers.linux.agent import closing, rights
from sharectl.drivers.linux.agent.contract import Export, Problem, ProblemKind
from sharectl.drivers.linux.agent.host import mounts
from sharectl.drivers.linux.agent.nfs import treatment
from sharectl.drivers.linux.agent.nfs.narrowing import lets_in
from sharectl.drivers.linux.agent.protocols import STRANGE, export_options
from sharectl.drivers.linux.agent.served_volumes import is_attached
from sharectl.drivers.linux.agent.servers import pseudo_path

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from sharectl.drivers.linux.agent.contract import Client, Instance, NfsServer, Rule
    from sharectl.drivers.linux.agent.rows import ShareRow
    from sharectl.drivers.linux.agent.served_volumes import ServedVolumes
    from sharectl.drivers.linux.agent.servers import Servers
    from sharectl.drivers.linux.agent.snapshot_views import SnapshotViews


class NfsAccess:
    """The exports of shares."""

    def __init__(self, volumes: ServedVolumes, views: SnapshotViews) -> None:
        """Start nothing."""
        self._volumes = volumes
        self.views = views
        self._started: set[Instance] = set()  # those whose server this process has found running, or has started

    def apply(
        self, servers: Servers, row: ShareRow, clients: frozenset[Client], confirmed: Collection[str] = ()
    ) -> None:
        """Make the clients all that may reach the share; where that fails, shut out those who are to be out.

        `confirmed` are the ids of other shares that may come back with a server that has to be started.
        """
        try:
            self.put(servers, row, clients, confirmed)
        except Problem as problem:
            raise closing.after_problem(problem, lambda: closing.close_export(servers.nfs, row, clients)) from problem

    def put(self, servers: Servers, row: ShareRow, clients: frozenset[Client], confirmed: Collection[str] = ()) -> None:
        """Put the export in force, or leave everything as it was. Precondition: there are clients."""
        server: Any = servers.needs("NFS")
        export = Export(
            row.export_id,
            self._bind(servers, row),
            pseudo_path(row.export_name),
            clients,
            **treatment.of_options(export_options(row)),
        )
        is_down = not _put(server, export)  # first, so that no start brings back what was stored before
        if is_down or (servers.instance not in self._started and not server.is_running()):
            server.ensure_running(self.is_ready(servers, {*confirmed, row.resource_id}))
            if not _put(server, export):
                message = "the NFS server was started but ended at once; its log on the storage host says why"
                raise Problem(ProblemKind.TRANSIENT, message)
        self._started.add(servers.instance)
        still = self.views.refresh(servers, row)
        if still is not None:
            raise Problem(ProblemKind.TRANSIENT, still)

    def remove(self, servers: Servers, row: ShareRow) -> None:
        """Take the export away at once, also from clients that use it, and unbind its volume."""
        if servers.nfs is not None:
            servers.nfs.remove(row.export_id)
        with self.views.locked(servers, row):  # who makes a snapshot meanwhile binds it before this, or not at all
            self.views.unbind(servers, row)
            mounts.detach(servers.mount_point(row.resource_id))  # also where a shell of the host is in it
        mounts.remove_mount_point(servers.mount_point(row.resource_id))

    def observe(self, servers: Servers, rows: Sequence[ShareRow]) -> Iterable[tuple[str, tuple[Rule, ...]]]:
        """Yield the rules in force by resource id; an export that differs in more than its clients from what was asked for has STRANGE alone."""
        server: NfsServer | None = servers.nfs
        snapshots = self.views.export_ids(servers, rows)
        asked = [*(row.export_id for row in rows), *snapshots.values()]
        live = server.live(asked) if rows and server is not None else {}
        for row in rows:
            export = live.get(row.export_id)
            target = servers.mount_point(row.resource_id)
            if export is None:
                continue
            if (
                (export.path, export.pseudo) == (target, pseudo_path(row.export_name))
                and treatment.is_treated_so(export, export_options(row))
                and self.views.is_as_put(servers, row, live.get(snapshots.get(row.export_id, 0)))
                and self._is_bound(row, target)
            ):
                yield row.resource_id, rights.rules_of_clients(export.clients)
            elif lets_in(export.clients):
                yield row.resource_id, (STRANGE,)

    def without_snapshots(self, servers: Servers) -> list[ShareRow]:
        """Return the shares whose clients do not see their snapshots since the server was started, as they should."""
        return self.views.lacking(servers, self._volumes.rows(servers, "NFS", None))

    def is_ready(self, servers: Servers, wanted: Collection[str] | None = None) -> Callable[[Export], bool]:
        """Return what tells of a stored export whether its folder is bound to the right volume, and binds it where it is not.

        `wanted` are the ids of the shares that may come back; None, for the repair of a whole share server, lets all do so, and the
        next plan sees what they grant. The records are read when it is first asked: that is when the server is started.
        """
        rows: dict[int, ShareRow] | None = None

        def is_ready(export: Export) -> bool:
            nonlocal rows
            if rows is None:
                rows = {row.export_id: row for row in self._volumes.rows(servers, "NFS", wanted)}
            row = rows.get(export.export_id)
            if row is None or export.pseudo != pseudo_path(row.export_name):
                return False
            try:
                return self._bind(servers, row) == export.path
            except Problem:
                return False  # the volume is gone or its pool is down: the export must not show what is there instead

        return is_ready

    def _bind(self, servers: Servers, row: ShareRow) -> str:
        """Bind the volume to its mount point, since Ganesha exports a subvolume only from a mount of its own."""
        source = self._volumes.attach(row)
        target = servers.mount_point(row.resource_id)
        servers.make_exports_root()
        mounts.make_mount_point(target)
        mounts.bind(source, target)
        return target

    def _is_bound(self, row: ShareRow, target: str) -> bool:
        """Tell whether what is exported is the volume, not an empty mount point or a volume that was there before."""
        path = self._volumes.path(row)
        with suppress(OSError):
            bound, volume = os.stat(target), os.stat(path)  # noqa: PTH116 - paths are text everywhere in the agent
            return is_attached(path) and (bound.st_dev, bound.st_ino) == (volume.st_dev, volume.st_ino)
        return False


def _put(server: NfsServer, export: Export) -> bool:
    """Put the export in force, in the place of one that no record knows: what is left of records that were lost."""
    try:
        return server.put(export)
    except Problem as problem:
        strangers = [
            export_id
            for export_id, live in server.live().items()
            if live.pseudo == export.pseudo and export_id != export.export_id
        ]
        if problem.kind is not ProblemKind.REFUSED or not strangers:
            raise
        for export_id in strangers:
            server.remove(export_id)
        return server.put(export)
