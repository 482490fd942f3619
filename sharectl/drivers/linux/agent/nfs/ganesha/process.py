"""The processes of a Ganesha instance: the server with its private D-Bus daemon and, for NFSv3, rpcbind; started, watched, stopped."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import re
import shutil
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.contract import Instance, Problem, ProblemKind
from sharectl.drivers.linux.agent.host import daemons, mounts, own_mounts, sockets
from sharectl.drivers.linux.agent.nfs.exports import problem_of_path
from sharectl.drivers.linux.agent.nfs.ganesha.bus import GaneshaBus, NoAnswerError, RefusedError
from sharectl.drivers.linux.agent.nfs.ganesha.configuration import bus_address, bus_text
from sharectl.drivers.linux.agent.nfs.ganesha.rpcbind import Rpcbind

if TYPE_CHECKING:
    from collections.abc import Sequence

_SERVER: Final = "ganesha.nfsd"
_BUS: Final = "dbus-daemon"

_MACHINE_ID: Final = "/etc/machine-id"

EXPORTS: Final = "exports.d"
WITHHELD: Final = "exports.off"

_PLUGIN_FOLDERS: Final = ("/usr/lib/*/ganesha", "/usr/lib64/ganesha", "/usr/lib/ganesha")
_SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MAXIMUM_SOCKET_PATH_BYTES: Final = 99
"""What dbus-daemon takes (`_DBUS_MAX_SUN_PATH_LENGTH` in its source), less than the 107 of unix(7); of more it says `Socket name too long`."""

_PSEUDO_ROOT: Final = 0
_PROBE_SECONDS: Final = 10.0
_START_SECONDS: Final = 20.0
_START_SECONDS_PER_EXPORT: Final = 0.1
"""The server looks through the table of mounts for each export: 1,000 with a mount each took 22 s."""

_MAXIMUM_LOG_BYTES: Final = 16 * 1024 * 1024
_BIND_ERROR: Final = re.compile(r"Cannot bind (?P<program>[A-Z]+) .* error (?P<number>[0-9]+) ")
_COMPLAINT: Final = re.compile(r":(?:FATAL|CRIT|WARN) :(?P<text>.+)")
_CONFIGURATION: Final = "Config File ("
"""With it begin its complaints of a configuration: first what is wrong, then each block that it is in."""
_MOUNT_TABLE: Final = "/etc/mtab"
_MEANINGLESS: Final = ("Fatal errors.", "Error setting parameters", "Configuration syntax errors found")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the files of a Ganesha instance are; all of it is private to root."""

    folder: str

    def path(self, *words: str) -> str:
        """Return a path below the folder."""
        return os.path.join(self.folder, *words)  # noqa: PTH118 - paths are text everywhere in the agent

    @property
    def configuration(self) -> str:
        """ganesha.conf, which tells the server's process from others too."""
        return self.path("ganesha.conf")

    @property
    def bus_configuration(self) -> str:
        """The D-Bus daemon's, which tells its process from others too."""
        return self.path("bus.conf")

    @property
    def exports(self) -> str:
        """What the server reads at its start: one file for each export, and none else, for it reads everything there."""
        return self.path(EXPORTS)

    @property
    def withheld(self) -> str:
        """Exports whose folder was not ready at the last start, and files that sharectl did not write."""
        return self.path(WITHHELD)

    @property
    def snapshots(self) -> str:
        """Exports of snapshots, which the server does not read at its start."""
        return self.path("snapshots")

    @property
    def staging(self) -> str:
        """Files that are being written."""
        return self.path("staging")

    @property
    def recovery(self) -> str:
        """What the server remembers about clients."""
        return self.path("recov")

    @property
    def log(self) -> str:
        """The server's log; the one before is beside it."""
        return self.path("log")

    @property
    def output(self) -> str:
        """What both daemons write to their terminal."""
        return self.path("output")

    @property
    def pid(self) -> str:
        """The server's pid file."""
        return self.path("pid")

    @property
    def bus_pid(self) -> str:
        """The D-Bus daemon's pid file."""
        return self.path("bus.pid")

    @property
    def lock(self) -> str:
        """Held while the processes are started or stopped."""
        return self.path("lock")

    @property
    def socket(self) -> str:
        """The socket of the bus: in the folder, or under a short name in /run where that path is too long for a socket."""
        beside = self.path("bus")
        if len(os.fsencode(beside)) <= _MAXIMUM_SOCKET_PATH_BYTES:
            return beside
        return f"/run/sharectl/{hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:32]}.bus"

    def owner(self) -> str:
        """Return a name for the server that no other has: made of this machine's and the folder's."""
        machine = next(iter(_lines(_MACHINE_ID)), "") or os.uname().nodename
        return hashlib.sha256(os.fsencode(f"{machine}:{self.folder}")).hexdigest()[:32]

    def make(self) -> None:
        """Make the folders."""
        os.makedirs(os.path.dirname(self.folder), mode=0o711, exist_ok=True)  # noqa: PTH103, PTH120 - as above
        for folder in (self.folder, self.exports, self.withheld, self.staging, self.recovery):
            os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103 - as above
        os.makedirs(os.path.dirname(self.socket), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120 - as above


class GaneshaProcess:
    """The daemons of one instance. Who starts or stops them holds the lock of the layout."""

    def __init__(self, instance: Instance, port: int, mount_port: int | None = None) -> None:
        """Start nothing; raises REFUSED where the instance's folder cannot stand in a configuration.

        `mount_port` is the one of the MOUNT protocol of NFSv3; None where the server does not speak that.
        """
        self.layout = Layout(os.path.join(instance.root, "nfs"))  # noqa: PTH118 - as above
        problem = problem_of_path(self.layout.folder)
        if problem is not None:
            raise Problem(ProblemKind.REFUSED, f"the NFS server cannot keep its files there: {problem}")
        self._instance = instance
        self._ports = {"NFS": port, "MNT": mount_port}
        self._port = port
        self._has_v3 = mount_port is not None
        self._rpcbind = Rpcbind(self.layout.path("rpcbind"))
        self.bus = GaneshaBus(self.layout.socket)

    def is_alive(self) -> bool:
        """Tell whether the server's process lives, whether or not it can be spoken to."""
        return daemons.running_pid(self.layout.pid, self.layout.configuration) is not None

    def is_whole(self) -> bool:
        """Tell whether all processes live."""
        return self._has_bus() and self.is_alive() and (not self._has_v3 or self._rpcbind.is_alive())

    @property
    def _exports_root(self) -> str:
        return os.path.join(self._instance.root, "exports")  # noqa: PTH118 - as above

    def share_exports(self) -> None:
        """See to it that volumes that are bound later are seen by a server that has mounts of its own."""
        if self._has_v3:
            os.makedirs(self._exports_root, mode=0o700, exist_ok=True)  # noqa: PTH103 - as above
            mounts.share(self._exports_root)

    def unshare_exports(self) -> None:
        """Undo that where no volume is bound."""
        mounts.unshare(self._exports_root)

    def answers(self) -> bool:
        """Tell whether the server can be spoken to, and has read its exports: then it serves clients, with rpcbind or without."""
        if not self.is_alive():
            return False
        try:
            self.bus.call("DisplayExport", "q", _PSEUDO_ROOT, seconds=_PROBE_SECONDS)
        except (NoAnswerError, RefusedError):  # refused: the root of the exports comes last
            return False
        return True

    def start(self, export_count: int) -> None:
        """Start the daemons and wait until clients can connect; raises Problem with the server's own reason."""
        self.stop()
        namespace = self._instance.namespace
        if namespace is not None and not _exists(namespace):
            message = f"the network namespace {namespace} of the NFS server is not there; make it anew (an apply does) and start again"
            raise Problem(ProblemKind.UNAVAILABLE, message)
        if not _exists(_MOUNT_TABLE):
            message = f"Ganesha finds file systems by {_MOUNT_TABLE}, which is not there: ln -s /proc/self/mounts {_MOUNT_TABLE}"
            raise Problem(ProblemKind.REFUSED, message)
        server, bus = _program(_SERVER, "nfs-ganesha"), _program(_BUS, "dbus-daemon")
        rpcbind = _program("rpcbind", "rpcbind") if self._has_v3 else None
        layout = self.layout
        rotate(layout.log)
        for leftover in (layout.output, layout.pid, layout.bus_pid, layout.socket):
            Path(leftover).unlink(missing_ok=True)
        self._start_bus(bus)
        if rpcbind is not None:
            self._rpcbind.start(rpcbind, namespace)
        argv = (
            "env",
            f"--chdir={layout.folder}",
            *(server, "-F", "-L", layout.log),
            *("-f", layout.configuration, "-p", layout.pid),
        )
        environment = {"DBUS_SYSTEM_BUS_ADDRESS": bus_address(layout.socket)}
        enter_mounts = self._enter_mounts if self._has_v3 else None
        daemons.start(
            argv,
            namespace=namespace,
            output_path=layout.output,
            environment=environment,
            enter_mounts=enter_mounts,
        )
        seconds = _START_SECONDS + _START_SECONDS_PER_EXPORT * export_count
        daemons.wait_until(self._is_up_or_ended, f"the NFS server does not answer; see {layout.log}", seconds)
        if not self.is_whole():
            kind, reason = self._reason() if self._has_bus() else (ProblemKind.UNAVAILABLE, self._reason_of_bus())
            self.stop()
            raise Problem(kind, f"the NFS server does not start: {reason}")

    def stop(self) -> None:
        """Stop what runs of them; none running is not an error.

        One that no pid file names (the agent was killed before the daemon wrote it) is found by its arguments.
        """
        layout = self.layout
        self.bus.close()
        daemons.stop(layout.pid, layout.configuration)  # first: it takes its ports out of what rpcbind tells
        self._rpcbind.stop()
        daemons.stop(layout.bus_pid, layout.bus_configuration)
        for pid in (
            *_strays(_SERVER, layout.configuration),
            *_strays(_BUS, f"--config-file={layout.bus_configuration}"),
        ):
            _kill(pid, layout.folder)
        Path(layout.socket).unlink(missing_ok=True)

    def _enter_mounts(self) -> None:
        """Enter mounts in which the server finds its own rpcbind: it knows of no other place than /run, where the host's may be."""
        bus = os.path.dirname(self.layout.socket)  # noqa: PTH120 - as above
        seen = ((bus, bus),) if bus.startswith("/run/") else ()
        Path(self._rpcbind.shown[0][0], "sharectl").mkdir(mode=0o700, exist_ok=True)
        own_mounts.enter([self.layout.folder, self._exports_root], (*self._rpcbind.shown, *seen))

    def _start_bus(self, program: str) -> None:
        layout = self.layout
        argument = f"--config-file={layout.bus_configuration}"
        daemons.write_atomically(layout.bus_configuration, bus_text(socket=layout.socket, pid_file=layout.bus_pid))
        daemons.start((program, argument, "--nofork"), namespace=None, output_path=layout.output)

        def is_up_or_ended() -> bool:
            return (_exists(layout.socket) and self._has_bus()) or not _is_anywhere(argument)

        daemons.wait_until(is_up_or_ended, f"the D-Bus daemon does not start; see {layout.output}")
        if not self._has_bus():
            raise Problem(ProblemKind.UNAVAILABLE, f"the NFS server does not start: {self._reason_of_bus()}")

    def _has_bus(self) -> bool:
        return daemons.running_pid(self.layout.bus_pid, self.layout.bus_configuration) is not None

    def _reason_of_bus(self) -> str:
        told = [line.strip() for line in _lines(self.layout.output) if line.strip()]
        return f"its D-Bus daemon ended: {told[-1] if told else 'it says nothing'} (output: {self.layout.output})"

    def _is_up_or_ended(self) -> bool:
        if not self._has_bus():
            return True
        pid = _written_pid(self.layout.pid)
        if pid is None:
            return False
        if not daemons.is_process(pid, self.layout.configuration):
            return True
        return bool(sockets.listeners_of(pid, self._port)) and self.answers()

    def _reason(self) -> tuple[ProblemKind, str]:
        """Return what the log says about the end of the server, in words for people where it is one of the usual two.

        These two last until somebody does something.
        """
        lines = _lines(self.layout.log)
        for line in reversed(lines):
            failed = _BIND_ERROR.search(line)
            if failed is not None:
                return self._reason_of_bind(int(failed["number"]), self._ports.get(failed["program"]) or self._port)
        told = [match["text"].strip() for line in lines if (match := _COMPLAINT.search(line))]
        told = [text for text in told if not text.startswith(_MEANINGLESS)]
        told = told or [line.strip() for line in _lines(self.layout.output) if line.strip()]
        told = [text for text in told if text.startswith(_CONFIGURATION)][:1] or told
        return ProblemKind.UNAVAILABLE, f"{told[-1] if told else 'it says nothing'} (log: {self.layout.log})"

    def _reason_of_bind(self, number: int, port: int) -> tuple[ProblemKind, str]:
        namespace = self._instance.namespace
        where = f" of {namespace}" if namespace is not None else ""
        address = ", ".join(self._instance.addresses) or "any address"
        if number == errno.EADDRINUSE:
            holder = sockets.holder(namespace, port)
            if holder is None:
                return (
                    ProblemKind.TRANSIENT,
                    f"port {port} on {address}{where} was in use by a program that has ended since",
                )
            return (
                ProblemKind.CONFLICT,
                f"port {port} on {address}{where} is in use by {holder}; stop that, or give this server another port or address",
            )
        if number == errno.EADDRNOTAVAIL:
            missing = sockets.missing_address(namespace, self._instance.addresses)
            return (missing.kind, str(missing)) if missing else (ProblemKind.TRANSIENT, f"{address} came late")
        return (
            ProblemKind.UNAVAILABLE,
            f"it cannot listen on port {port} of {address}{where}: {os.strerror(number)}",
        )


def plugins_folder() -> str:
    """Return the folder of Ganesha's file system modules; raises REFUSED where the one for local file systems is missing."""
    for pattern in _PLUGIN_FOLDERS:
        for folder in sorted(glob.glob(pattern)):  # noqa: PTH207 - paths are text everywhere in the agent
            if _exists(os.path.join(folder, "libfsalvfs.so")):  # noqa: PTH118 - as above
                return folder
    message = "Ganesha's module for local file systems is not installed; install the package nfs-ganesha-vfs"
    raise Problem(ProblemKind.REFUSED, message)


def rotate(log: str) -> None:
    """Put the log aside, in the place of the one that was put aside before; the server opens it anew for every line."""
    with suppress(FileNotFoundError):
        os.replace(log, f"{log}.1")  # noqa: PTH105 - as above


def rotate_if_large(log: str) -> None:
    """Keep the log and the one before it below a bound together."""
    with suppress(FileNotFoundError):
        if os.stat(log).st_size > _MAXIMUM_LOG_BYTES:  # noqa: PTH116 - as above
            rotate(log)


def _program(name: str, package: str) -> str:
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}")
    if path is None:
        message = f"{name} is not installed on the storage host; install the package {package}"
        raise Problem(ProblemKind.REFUSED, message)
    return path


def _strays(program: str, argument: str) -> Sequence[int]:
    """Return the processes of the program that have exactly this argument."""
    found = []
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):  # noqa: PTH208 - as above
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            is_called_so = os.path.basename(words[0]) == program.encode() and os.fsencode(argument) in words[1:]  # noqa: PTH119 - as above
            if is_called_so and daemons.is_daemon(pid):
                found.append(pid)
    return found


def _is_anywhere(argument: str) -> bool:
    """Tell whether a daemon with this argument lives, or is about to be one."""
    return any(daemons.is_process(int(name), argument) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 - as above


def _kill(pid: int, marker: str) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    daemons.wait_until(lambda: not daemons.is_process(pid, marker), f"the process {pid} does not end")


def _written_pid(pid_file: str) -> int | None:
    with suppress(FileNotFoundError, ValueError):
        return int(Path(pid_file).read_text(encoding="ascii"))
    return None


def _lines(path: str) -> Sequence[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()


def _exists(path: str) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - as above
