"""The servers of the instances of a backend: made from its settings, and the folders under which they export."""

from __future__ import annotations

import os
import stat
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.linux.agent.contract import Instance, Problem, ProblemKind
from sharectl.drivers.linux.agent.host.namespaces import namespace_path
from sharectl.drivers.linux.agent.retired import retire_unused
from sharectl.model.access import CIFS, NFS, protocols_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.drivers.linux.agent.contract import NfsServer, SmbServer
    from sharectl.drivers.linux.agent.records import Records
    from sharectl.drivers.linux.agent.rows import ShareServerRow

MAIN: Final = "main"
"""The instance that exports shares without a share network."""


@dataclass(frozen=True, slots=True)
class Servers:
    """One pair of servers.

    `hosts` are what clients write before the path: the host name or the addresses. The kernel's NFS server exports under
    `real_paths`, where Ganesha has a tree of its own. Of a share server that is gone (`is_gone`) nothing is there but its name.
    """

    instance: Instance
    hosts: tuple[str, ...]
    nfs: NfsServer | None
    smb: SmbServer | None
    real_paths: bool = False
    is_gone: bool = False

    @property
    def exports_root(self) -> str:
        """The folder of the mount points that NFS exports are bound to."""
        return os.path.join(self.instance.root, "exports")  # noqa: PTH118 - paths are text everywhere in the agent

    def mount_point(self, resource_id: str) -> str:
        """Return the folder that the share with this id is exported from."""
        return os.path.join(self.exports_root, resource_id)  # noqa: PTH118 - as above

    def make_exports_root(self) -> None:
        """Make that folder. Users of the host do not get into it, except where the kernel's server looks up paths as a client's user."""
        mode = 0o711 if self.real_paths else 0o700
        try:
            found = stat.S_IMODE(os.stat(self.exports_root).st_mode)  # noqa: PTH116 - as above
        except FileNotFoundError:
            os.makedirs(self.instance.root, mode=0o711, exist_ok=True)  # noqa: PTH103 - as above
            os.makedirs(self.exports_root, mode=mode, exist_ok=True)  # noqa: PTH103 - as above
        else:
            if found != mode:
                os.chmod(self.exports_root, mode)  # noqa: PTH101 - as above

    def locations(self, resource_id: str, protocol: str | None, export_name: str) -> tuple[str, ...]:
        r"""Return the export locations: `HOST:PATH` (an IPv6 address in brackets), or `\\HOST\NAME`."""
        found: list[str] = []
        if NFS in protocols_in(protocol):
            path = self.mount_point(resource_id) if self.real_paths else pseudo_path(export_name)
            found += [f"{f'[{host}]' if ':' in host else host}:{path}" for host in self.hosts]
        if CIFS in protocols_in(protocol):
            found += [f"\\\\{host}\\{export_name}" for host in self.hosts]
        return tuple(found)

    def needs(self, protocol: str) -> NfsServer | SmbServer:
        """Return the server of the protocol; raises REFUSED where the backend has none, NOT_FOUND where the share server is gone."""
        if self.is_gone:
            message = f"the backend has no share server with the id {self.instance.name}"
            raise Problem(ProblemKind.NOT_FOUND, message)
        server = self.nfs if protocol == "NFS" else self.smb
        if server is None:
            message = f"the backend has no {protocol} server; its settings turn it off"
            raise Problem(ProblemKind.REFUSED, message)
        return server


def pseudo_path(export_name: str) -> str:
    """Return the path under which NFS clients mount a share."""
    return f"/shares/{export_name}"


class ServerRoom:
    """All instances of a backend, each made once."""

    def __init__(self, root: str, settings: Mapping[str, Any], records: Records) -> None:
        """Start nothing; `settings` are those of the backend, `records` know the share servers."""
        self._root = root
        self._settings = settings
        self._records = records
        self._made: dict[str, Servers] = {}
        self._forgotten = 0  # how often `forget` was called
        self._lock = threading.Lock()
        self._retiring = threading.Lock()
        self._is_retired = False

    def servers(self, name: str) -> Servers:
        """Return the servers of an instance; for a share server that is gone, its name without servers, so that its shares can be."""
        while True:
            with self._lock:
                if name in self._made:
                    return self._made[name]
                forgotten = self._forgotten
            # Without the lock: another thread may hold the records, and wait for it.
            row = None if name == MAIN else self._records.share_server(name)
            if name != MAIN and row is None:
                return Servers(self._instance(name), (), None, None, is_gone=True)
            with self._lock:
                if forgotten == self._forgotten:  # else the row may be an older one
                    return self._made.setdefault(name, self._make(name, row))

    def forget(self, name: str) -> None:
        """Let go of an instance that is removed, or has changed."""
        with self._lock:
            self._forgotten += 1
            self._made.pop(name, None)

    def retire_unused(self) -> None:
        """Stop what runs of servers that the settings have turned off since; looked for once in a process."""
        with self._retiring:
            if not self._is_retired:
                for name in (MAIN, *(row.resource_id for row in self._records.share_servers())):
                    retire_unused(
                        self._instance(name), self._settings["nfs"]["server"], has_smb=self._settings["smb"]["enabled"]
                    )
                self._is_retired = True

    def _instance(self, name: str) -> Instance:
        root = os.path.join(self._root, "servers", name)  # noqa: PTH118 - as above
        if name == MAIN:
            return Instance(name, root, tuple(self._settings["addresses"]), self._settings["namespace"])
        # In a namespace of its own a server answers on every address there.
        return Instance(name, root, (), namespace_path(name))

    def _make(self, name: str, row: ShareServerRow | None) -> Servers:
        instance = self._instance(name)
        hosts = self._settings["export_hosts"] if row is None else [part["ip_address"] for part in row.allocations]
        real_paths = self._settings["nfs"]["server"] == "kernel"
        return Servers(instance, tuple(hosts), self._nfs(instance), self._smb(instance), real_paths)

    def _nfs(self, instance: Instance) -> NfsServer | None:
        nfs = self._settings["nfs"]
        if nfs["server"] == "kernel":
            from sharectl.drivers.linux.agent.nfs.kernel.server import KernelNfsServer  # noqa: PLC0415 - the one that is used

            return KernelNfsServer(instance)
        if nfs["server"] == "ganesha":
            from sharectl.drivers.linux.agent.nfs.ganesha.server import GaneshaServer  # noqa: PLC0415 - as above

            mount_port = nfs["mount_port"] if nfs.get("v3") else None
            return GaneshaServer(instance, nfs["port"], nfs["minor_versions"], mount_port=mount_port)
        return None

    def _smb(self, instance: Instance) -> SmbServer | None:
        smb = self._settings["smb"]
        if not smb["enabled"]:
            return None
        from sharectl.drivers.linux.agent.smb.host import ServerOptions  # noqa: PLC0415 - only where it is used
        from sharectl.drivers.linux.agent.smb.server import SambaServer  # noqa: PLC0415 - as above

        names = ("signing", "encryption", "disk_free", "macos", "browsing", "guests")
        options = ServerOptions(**{name: smb[name] for name in names if name in smb})
        return SambaServer(instance, smb["port"], options=options)
