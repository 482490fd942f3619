"""What the kernel and NFS-Ganesha have to be asked for one share, and nothing else: the yardstick of the linux driver."""

from __future__ import annotations

import os
from contextlib import closing
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from sharectl.drivers.linux.agent.contract import Instance
from sharectl.drivers.linux.agent.host import system_calls
from sharectl.drivers.linux.agent.nfs.ganesha.server import GaneshaServer
from sharectl.drivers.linux.agent.volumes.btrfs import ioctls
from sharectl.drivers.linux.agent.volumes.btrfs.pool import BtrfsPool

if TYPE_CHECKING:
    from pathlib import Path

    from linux_lab import Lab

_PORT = 12049
_OBJECT = "/org/ganesha/nfsd/ExportMgr"
_BUS_NAME = "org.ganesha.nfsd"
_INTERFACE = "org.ganesha.nfsd.exportmgr"


class Seconds(NamedTuple):
    """How long the calls for one share took, and how long but for making the export's file durable."""

    durable: float
    quick: float


class ByHand:
    """A loop pool and a Ganesha of its own, and the bare calls that make a share with three rules there."""

    def __init__(self, lab: Lab, name: str) -> None:
        """Make the pool and start the server; the calls alone are measured."""
        from jeepney.io.blocking import open_dbus_connection  # noqa: PLC0415 - only where the benchmark runs

        folder = lab.folder / name
        self._pool = folder / "pool"
        pool = BtrfsPool(name, str(self._pool), image=str(folder / "pool.img"), image_size_bytes=8 << 30)
        pool.prepare()
        self._mount_points = folder / "exports"
        self._mount_points.mkdir()
        self._server = GaneshaServer(Instance(name, str(folder / "server"), (), lab.namespace), _PORT)
        self._server.ensure_running(lambda _export: True)
        self._exports = folder / "server" / "nfs" / "exports.d"
        self._bus = open_dbus_connection(f"unix:path={folder}/server/nfs/bus")
        self._pool_fd = os.open(self._pool, os.O_RDONLY | os.O_DIRECTORY)

    def close(self) -> None:
        """Stop the server; the lab takes the rest away."""
        with closing(self._bus):
            os.close(self._pool_fd)
        self._server.stop()

    def share(self, number: int) -> Seconds:
        """Make one share and return how long it took."""
        started = perf_counter()
        name = f"share-{number:06d}"
        ioctls.create_subvolume(self._pool_fd, name)
        volume_fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=self._pool_fd)
        os.fchmod(volume_fd, 0o777)
        ioctls.set_limit(self._pool_fd, ioctls.subvolume_id(volume_fd), 1 << 30)
        os.close(volume_fd)
        mount_point = self._mount_points / name
        mount_point.mkdir(0o555)
        system_calls.mount(str(self._pool / name), str(mount_point), None, system_calls.BIND)
        export_id = number + 1
        path = self._exports / f"{export_id}.conf"
        syncing = _write_durably(path, _EXPORT.format(id=export_id, path=mount_point, name=name))
        self._call("UpdateExport", "ss", str(path), f"EXPORT(Export_Id={export_id})")
        shown = self._call("DisplayExport", "q", export_id)
        seconds = perf_counter() - started
        clients = 4
        if shown[0] != export_id or len(shown[4]) != clients:
            message = f"Ganesha shows the export {export_id} as {shown}"
            raise SystemExit(message)
        return Seconds(seconds, seconds - syncing)

    def _call(self, method: str, signature: str, *arguments: Any) -> Any:  # noqa: ANN401 - values of D-Bus
        from jeepney import DBusAddress, MessageType, new_method_call  # noqa: PLC0415 - as above

        address = DBusAddress(_OBJECT, _BUS_NAME, _INTERFACE)
        reply = self._bus.send_and_get_reply(new_method_call(address, method, signature, arguments))
        if reply.header.message_type is MessageType.error:
            message = f"{method}: {reply.body}"
            raise SystemExit(message)
        return reply.body


def _write_durably(path: Path, text: str) -> float:
    """Write a file so that it is whole, and there, after a power failure; return the time of the two fsync alone, in seconds."""
    temporary = path.parent.parent / "staging" / path.name
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        syncing = _sync(file.fileno())
    temporary.rename(path)
    folder_fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    syncing += _sync(folder_fd)
    os.close(folder_fd)
    return syncing


def _sync(descriptor: int) -> float:
    started = perf_counter()
    os.fsync(descriptor)
    return perf_counter() - started


_EXPORT = """\
EXPORT {{
  Export_Id = {id};
  Path = "{path}";
  Pseudo = "/shares/{name}";
  FSAL {{ Name = VFS; }}
  Access_Type = None; Squash = No_Root_Squash; SecType = sys;
  CLIENT {{ Clients = 192.168.1.7; Access_Type = RW; Squash = No_Root_Squash; SecType = sys; }}
  CLIENT {{ Clients = 172.16.1.0/24; Access_Type = RO; Squash = No_Root_Squash; SecType = sys; }}
  CLIENT {{ Clients = 10.1.0.0/16; Access_Type = RW; Squash = No_Root_Squash; SecType = sys; }}
  CLIENT {{ Clients = *; Access_Type = None; Squash = No_Root_Squash; SecType = sys; }}
}}
"""
