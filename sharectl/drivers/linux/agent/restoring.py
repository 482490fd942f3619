"""The servers of a backend brought back by the storage host itself, after a restart of it or the end of a process."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.closed_marks import marked, opening
from sharectl.drivers.linux.agent.contract import Problem
from sharectl.drivers.linux.agent.host.daemons import holds_within, locked_within
from sharectl.drivers.linux.agent.host.system_errors import told_as
from sharectl.drivers.linux.agent.locks import changes_lock, resource_locked_within
from sharectl.drivers.linux.agent.servers import MAIN
from sharectl.model.access import CIFS, NFS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.drivers.linux.agent.access import Access
    from sharectl.drivers.linux.agent.contract import NfsServer
    from sharectl.drivers.linux.agent.records import Records
    from sharectl.drivers.linux.agent.servers import ServerRoom, Servers
    from sharectl.drivers.linux.agent.share_servers import ShareServers

_LOCK_SECONDS: Final = 3.0
_END_SECONDS: Final = 1.0
_RESTART_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.1
_SNAPSHOTS_SECONDS: Final = 3.0


class Restoring:
    """Puts in force again what was, as the records and the servers' own files have it; see `closed_marks` for what stays closed."""

    def __init__(
        self, root: str, records: Records, room: ServerRoom, access: Access, share_servers: ShareServers
    ) -> None:
        """Touch nothing."""
        self._root = root
        self._records = records
        self._room = room
        self._access = access
        self._share_servers = share_servers

    def restore(self) -> list[str]:
        """Mount, export and start whatever is not, each server for itself; return what could not be done, for people.

        What is down is not asked for: a share whose pool is not there stays closed, and comes back with the pool when this is done
        again.
        """
        if not self._records.exists():
            return []
        problems = []
        patience = _LOCK_SECONDS
        for name in self._names():
            try:
                with told_as("restoring the servers on the storage host"):
                    if self._lacks(name):
                        # For each name anew: changes wait meanwhile. One that takes long is not waited for, nor again for the next.
                        with locked_within(changes_lock(self._root), patience) as is_alone, self._own(name) as is_own:
                            patience = _LOCK_SECONDS if is_alone else 0.0
                            if is_own:
                                self._restore(name, is_alone=is_alone)
            except Problem as problem:
                problems.append(f"{name}: {problem}")
        return problems

    def has_ended(self) -> bool:
        """Tell whether one of the servers was started once and does not live."""
        return self._records.exists() and any(_has_ended(self._room.servers(name)) for name in self._names())

    def await_restart(self) -> None:
        """Wait for servers that have just ended and that the host brings back, for a while.

        Precondition: somebody watches over the servers. Who looks now would see shares closed that are open again in a moment.
        """
        holds_within(self.has_ended, _END_SECONDS)  # a process that was killed stops answering before it has ended
        end = time.monotonic() + _RESTART_SECONDS
        while self.has_ended() and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)

    def _names(self) -> list[str]:
        return [MAIN, *(row.resource_id for row in self._records.share_servers() if row.is_made)]

    def _lacks(self, name: str) -> bool:
        """Tell whether there may be something to do, which needs no lock to be seen."""
        servers = self._room.servers(name)
        is_cut_off = name != MAIN and bool(self._share_servers.problem_of_network(name))
        # The kernel's server is started by the host, and has to be told of what is mounted now.
        is_untold = servers.nfs is not None and servers.real_paths and bool(servers.nfs.stored())
        is_withheld = any(server is not None and server.withheld() for server in (servers.nfs, servers.smb))
        return (
            is_cut_off
            or is_untold
            or is_withheld
            or _has_ended(servers)
            or bool(self._access.nfs.without_snapshots(servers))
        )

    @contextmanager
    def _own(self, name: str) -> Iterator[bool]:
        """Keep out of the making and the removal of a share server; give whether it is there, and nobody is at work on it."""
        if name == MAIN:
            yield True
            return
        with resource_locked_within(self._root, name, _LOCK_SECONDS) as is_mine:
            row = self._records.share_server(name)
            yield is_mine and row is not None and row.is_made

    def _restore(self, name: str, *, is_alone: bool) -> None:
        """Restore the servers of one instance. Beside a change (not `is_alone`) those that have ended are started, and that is all.

        A start reads what is stored under the server's own lock, as that of a change does. Everything else would put in force what was
        read a moment before: rights that the change has taken away since, or the network of a share server that it removes.
        """
        if name != MAIN and is_alone:
            self._share_servers.restore_network(name)
        servers = self._room.servers(name)
        with opening(servers.instance):
            self._open(servers, is_alone=is_alone)

    def _open(self, servers: Servers, *, is_alone: bool) -> None:
        shares = {row.resource_id for row in self._records.shares_of_instance(servers.instance.name)}
        if servers.nfs is not None:
            self._open_nfs(servers, servers.nfs, shares, is_alone=is_alone)
        if servers.smb is not None:
            is_section_ready = self._access.smb.is_ready(servers, shares - marked(servers.instance, CIFS))
            if servers.smb.has_ended():
                servers.smb.ensure_running(is_section_ready)
            for section in servers.smb.withheld() if is_alone else ():
                if is_section_ready(section):
                    servers.smb.put(section)

    def _open_nfs(self, servers: Servers, server: NfsServer, shares: set[str], *, is_alone: bool) -> None:
        is_ready = self._access.nfs.is_ready(servers, shares - marked(servers.instance, NFS))
        is_untold = is_alone and servers.real_paths and bool(server.stored())
        if server.has_ended() or is_untold:
            server.ensure_running(is_ready)
        for export in server.withheld() if is_alone else ():
            if is_ready(export):
                server.put(export)
        end = time.monotonic() + _SNAPSHOTS_SECONDS
        for row in self._access.nfs.without_snapshots(servers) if is_alone else ():
            if time.monotonic() < end:  # the rest later, when changes that wait have had their turn
                self._access.nfs.views.refresh(servers, row)


def _has_ended(servers: Servers) -> bool:
    return any(server is not None and server.has_ended() for server in (servers.nfs, servers.smb))
