"""The servers of the instances of a backend: made from its settings, and the folders under which they export."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.linux.agent.contract import Instance, Problem, ProblemKind
from sharectl.drivers.linux.agent.namespaces import namespace_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.drivers.linux.agent.contract import NfsServer, SmbServer
    from sharectl.drivers.linux.agent.records import Records

MAIN: Final = "main"
"""The instance that exports shares without a share network."""


@dataclass(frozen=True, slots=True)
class Servers:
    """One pair of servers.

    `hosts` are what clients write before the path: the host name or the addresses. The kernel's NFS server exports under
    `real_paths`, where Ganesha has a tree of its own.
    """

    instance: Instance
    hosts: tuple[str, ...]
    nfs: NfsServer | None
    smb: SmbServer | None
    real_paths: bool = False

    @property
    def exports_root(self) -> str:
        """The folder of the mount points that NFS exports are bound to."""
        return os.path.join(self.instance.root, "exports")  # noqa: PTH118 - paths are text everywhere in the agent

    def mount_point(self, resource_id: str) -> str:
        """Return the folder that the share with this id is exported from."""
        return os.path.join(self.exports_root, resource_id)  # noqa: PTH118 - as above

    def locations(self, resource_id: str, protocol: str | None, export_name: str) -> tuple[str, ...]:
        r"""Return the export locations: `HOST:PATH` (an IPv6 address in brackets), or `\\HOST\NAME`."""
        if protocol == "NFS":
            path = self.mount_point(resource_id) if self.real_paths else pseudo_path(export_name)
            return tuple(f"{f'[{host}]' if ':' in host else host}:{path}" for host in self.hosts)
        return tuple(f"\\\\{host}\\{export_name}" for host in self.hosts) if protocol == "CIFS" else ()

    def needs(self, protocol: str) -> NfsServer | SmbServer:
        """Return the server of the protocol; raises REFUSED where the backend has none."""
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
        self._lock = threading.Lock()

    def servers(self, name: str) -> Servers:
        """Return the servers of an instance."""
        with self._lock:
            if name not in self._made:
                self._made[name] = self._make(name)
            return self._made[name]

    def forget(self, name: str) -> None:
        """Let go of an instance that is removed."""
        with self._lock:
            self._made.pop(name, None)

    def _make(self, name: str) -> Servers:
        root = os.path.join(self._root, "servers", name)  # noqa: PTH118 - as above
        if name == MAIN:
            addresses = tuple(self._settings["addresses"])
            instance = Instance(name, root, addresses, self._settings["namespace"])
            hosts = tuple(self._settings["export_hosts"])
        else:
            row = self._records.share_server(name)
            if row is None:
                message = f"the backend has no share server with the id {name}"
                raise Problem(ProblemKind.NOT_FOUND, message)
            # In a namespace of its own a server answers on every address there.
            instance = Instance(name, root, (), namespace_path(name))
            hosts = tuple(allocation["ip_address"] for allocation in row.allocations)
        real_paths = self._settings["nfs"]["server"] == "kernel"
        return Servers(instance, hosts, self._nfs(instance), self._smb(instance), real_paths)

    def _nfs(self, instance: Instance) -> NfsServer | None:
        nfs = self._settings["nfs"]
        if nfs["server"] == "kernel":
            from sharectl.drivers.linux.agent.kernel_nfs import KernelNfsServer  # noqa: PLC0415 - the one that is used

            return KernelNfsServer(instance)
        if nfs["server"] == "ganesha":
            from sharectl.drivers.linux.agent.ganesha import GaneshaServer  # noqa: PLC0415 - as above

            return GaneshaServer(instance, nfs["port"], nfs["minor_versions"])
        return None

    def _smb(self, instance: Instance) -> SmbServer | None:
        smb = self._settings["smb"]
        if not smb["enabled"]:
            return None
        from sharectl.drivers.linux.agent.samba import SambaServer  # noqa: PLC0415 - only where it is used

        return SambaServer(instance, smb["port"])
