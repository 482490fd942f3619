"""The NFS server of the host's kernel, told of exports by a file of exports(5) and exportfs(8)."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.contract import Export, Instance, Problem, ProblemKind
from sharectl.drivers.linux.agent.host import daemons
from sharectl.drivers.linux.agent.nfs.exports import checked
from sharectl.drivers.linux.agent.nfs.kernel.table import (
    Stored,
    file_text,
    live_export,
    problem_of_parts,
    stored_exports,
    table_lines,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from sharectl.drivers.linux.agent.nfs.clients import Line

_EXPORTFS_SECONDS: Final = 120.0
_NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True)
class KernelPaths:
    """Where the kernel's NFS server and nfs-utils keep things; `exportfs` is the beginning of a command."""

    exportfs: tuple[str, ...] = ("exportfs",)
    table: str = "/var/lib/nfs/etab"
    threads: str = "/proc/fs/nfsd/threads"
    unlock: str = "/proc/fs/nfsd/unlock_filesystem"


class KernelNfsServer:
    """The kernel's NFS server, which belongs to the host: sharectl neither starts nor stops it; see `contract.NfsServer`.

    One file holds all exports of the instance, those too that are withheld. Clients mount the folder's own path, not the
    pseudo path. What is in force is read from the table of exportfs, which mountd answers the kernel from.
    """

    def __init__(self, instance: Instance, exports_file: str | None = None, paths: KernelPaths | None = None) -> None:
        """Do nothing yet; `exports_file` is by default one of the instance's own in `/etc/exports.d`.

        Raises REFUSED for an instance in a network namespace: such servers are of Ganesha's kind.
        """
        if instance.namespace is not None:
            message = "the kernel's NFS server serves the host's own network alone; a network namespace needs Ganesha (nfs.server: ganesha)"
            raise Problem(ProblemKind.REFUSED, message)
        self._file = exports_file or _default_file(instance)
        self._folder = os.path.join(instance.root, "nfs")  # noqa: PTH118 - paths are text everywhere in the agent
        self._paths = paths or KernelPaths()

    @property
    def exports_file(self) -> str:
        """The file of exports(5), which is there from the first export on."""
        return self._file

    def is_running(self) -> bool:
        """Tell whether the kernel's server has threads."""
        try:
            return int(Path(self._paths.threads).read_text(encoding="ascii")) > 0
        except (OSError, ValueError):
            return False

    def ensure_running(self, is_ready: Callable[[Export], bool]) -> None:
        """Put the stored exports in force that are ready, and withhold the others; raises REFUSED where the server does not run.

        Where all are in force already, nothing is asked or done, and where those are that are ready, nothing is done. The host starts
        its server itself, before anything of ours is mounted: what then keeps a folder that is not ready from being exported is
        `mountpoint` (see `file_text`).
        """
        if not self.is_running():
            message = (
                "the kernel's NFS server does not run on the storage host; start it (systemctl enable --now nfs-server), "
                "or let sharectl run Ganesha (nfs.server: ganesha)"
            )
            raise Problem(ProblemKind.REFUSED, message)
        with self._changing() as stored:
            table = self._table()
            if all(live_export(entry, table.get(entry.export.path, [])) == entry.export for entry in stored.values()):
                return
            wanted = {number: Stored(entry.export, not is_ready(entry.export)) for number, entry in stored.items()}
            if wanted == stored and all(
                live_export(entry, table.get(entry.export.path, [])) == (None if entry.is_withheld else entry.export)
                for entry in stored.values()
            ):
                return
            self._write(wanted)
            self._reexport()

    def put(self, export: Export) -> bool:
        """Store the export, put it in force and confirm it; on a server that is down it is stored alone, and False returned."""
        export = checked(export)
        if (problem := problem_of_parts(export.clients)) is not None:
            raise Problem(ProblemKind.REFUSED, f"{problem}; keep larger networks out, or choose nfs.server: ganesha")
        if not os.path.isdir(export.path):  # noqa: PTH112 - as above
            raise Problem(ProblemKind.REFUSED, f"there is no folder {export.path} to export over NFS")
        with self._changing() as stored:
            stored[export.export_id] = Stored(export, is_withheld=False)
            self._write(stored)
            if not self.is_running():
                return False
            said = self._reexport()
            if self._live(stored[export.export_id]) != export:
                message = f"the kernel's NFS server does not export {export.path} as asked: {said or 'it says nothing'}"
                raise Problem(ProblemKind.REFUSED, message)
            return True

    def remove(self, export_id: int) -> None:
        """Forget the export, withdraw it and confirm that it is gone."""
        with self._changing() as stored:
            entry = stored.pop(export_id, None)
            if entry is None:
                return
            self._write(stored)
            said = self._reexport()
            others = {other.export.path for other in stored.values()}
            if entry.export.path not in others and entry.export.path in self._table():
                message = f"the kernel's NFS server keeps exporting {entry.export.path}: {said or 'another file exports it too'}"
                raise Problem(ProblemKind.CONFLICT, message)
            self._release(entry.export.path)

    def live(self, export_ids: Collection[int] | None = None) -> Mapping[int, Export]:
        """Return the exports in force, of these ids alone where they are given; empty where the server is down.

        What others export on the host is not ours, and is left out.
        """
        if not self.is_running():
            return {}
        stored, table = self._read(), self._table()
        wanted = stored.keys() if export_ids is None else stored.keys() & set(export_ids)
        found = {
            number: live_export(stored[number], table.get(stored[number].export.path, [])) for number in sorted(wanted)
        }
        return {number: export for number, export in found.items() if export is not None}

    def stored(self) -> Mapping[int, Export]:
        """Return the exports in the file, by id, those too that are withheld."""
        return {number: entry.export for number, entry in self._read().items()}

    def withheld(self) -> Collection[Export]:
        """Return the stored exports that were not ready."""
        return [entry.export for entry in self._read().values() if entry.is_withheld]

    def has_ended(self) -> bool:
        """Return False: the host starts its server itself."""
        return False

    def stop(self) -> None:
        """Withdraw all exports of the instance; they stay stored, withheld. The server goes on for the host's other exports."""
        with self._changing() as stored:
            if stored:
                self._write({number: Stored(entry.export, is_withheld=True) for number, entry in stored.items()})
                self._reexport()

    @contextmanager
    def _changing(self) -> Iterator[dict[int, Stored]]:
        """Give what is stored, while nobody else changes it."""
        os.makedirs(self._folder, mode=0o700, exist_ok=True)  # noqa: PTH103 - as above
        with daemons.locked(os.path.join(self._folder, "lock")):  # noqa: PTH118 - as above
            yield self._read()

    def _read(self) -> dict[int, Stored]:
        try:
            return stored_exports(Path(self._file).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            message = f"{self._file} was changed by hand and cannot be read ({error}); put the comments back, or remove the file"
            raise Problem(ProblemKind.CONFLICT, message) from error

    def _write(self, stored: Mapping[int, Stored]) -> None:
        """Replace the file; exportfs skips the temporary one beside it, whose name begins with a dot."""
        os.makedirs(os.path.dirname(self._file), mode=0o755, exist_ok=True)  # noqa: PTH103, PTH120 - as above
        daemons.write_atomically(self._file, file_text(stored.values()), mode=0o644)

    def _reexport(self) -> str:
        """Make the table and the kernel follow all files; return what exportfs complains about, on one line.

        Its exit code says nothing about us: it fails for a mistake in any file of the host. The table tells.
        """
        argv = [*self._paths.exportfs, "-ra"]
        try:
            done = subprocess.run(  # noqa: S603 - a list of arguments, no shell
                argv, check=False, capture_output=True, text=True, errors="replace", timeout=_EXPORTFS_SECONDS
            )
        except FileNotFoundError:
            message = "exportfs is not installed on the storage host; install the package nfs-kernel-server"
            raise Problem(ProblemKind.REFUSED, message) from None
        except subprocess.TimeoutExpired:
            message = f"exportfs does not end within {_EXPORTFS_SECONDS:g} s"
            raise Problem(ProblemKind.TRANSIENT, message) from None
        return "; ".join(line.strip() for line in done.stderr.splitlines() if line.strip())

    def _table(self) -> Mapping[str, list[Line]]:
        try:
            return table_lines(os.fsdecode(Path(self._paths.table).read_bytes()))
        except FileNotFoundError:
            return {}

    def _live(self, entry: Stored) -> Export | None:
        return live_export(entry, self._table().get(entry.export.path, []))

    def _release(self, path: str) -> None:
        """Make the kernel give up files that clients hold open below the path, so that it can be unmounted (Linux 6.9 and later)."""
        with suppress(OSError), open(self._paths.unlock, "r+b", buffering=0) as unlock:  # noqa: PTH123 - as above
            unlock.write(os.fsencode(path) + b"\n")


def _default_file(instance: Instance) -> str:
    """Return a name that no two instances of the host share, whatever they are called."""
    digest = hashlib.sha256(os.fsencode(instance.root)).hexdigest()[:12]
    return f"/etc/exports.d/sharectl-{_NOT_IN_A_NAME.sub('-', instance.name)[:64]}-{digest}.exports"
