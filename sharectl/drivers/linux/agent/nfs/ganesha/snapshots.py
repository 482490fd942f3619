"""Exports in which clients find the snapshots of a share: each below the share's, and in force until the server ends, not longer."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.host import daemons
from sharectl.drivers.linux.agent.nfs.exports import problem_of_path, shows_snapshots, snapshots_export, snapshots_id
from sharectl.drivers.linux.agent.nfs.ganesha.bus import RefusedError
from sharectl.drivers.linux.agent.nfs.ganesha.configuration import export_text
from sharectl.drivers.linux.agent.nfs.treatment import as_shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from sharectl.drivers.linux.agent.contract import Export
    from sharectl.drivers.linux.agent.nfs.ganesha.bus import GaneshaBus

_PUT, _LOCK, _FAILED = ".conf", ".lock", ".failed"


class SnapshotExports:
    """Those of one server. They are in no file that it reads at its start: what a share grants has then to be read anew.

    A change of the share's export makes its file durable, then withdraws this one (`follow`); `show` takes the lock, then reads that
    file. So what one of them does not see, the other does: nobody reads snapshots who may not read the share any more.
    """

    def __init__(
        self,
        folder: str,
        bus: GaneshaBus,
        shown: Callable[[list[int]], Mapping[int, Export]],
        stored: Callable[[int], Export | None],
    ) -> None:
        """Do nothing yet; `shown` returns exports in force, `stored` that of a share as it was stored last."""
        self._folder = folder
        self._bus = bus
        self._shown = shown
        self._stored = stored

    def forget(self) -> None:
        """Note that the server has ended, and these with it."""
        for path in self._files(_PUT, _FAILED):
            path.unlink(missing_ok=True)

    def is_used(self) -> bool:
        """Tell whether any share ever had one here."""
        return os.path.isdir(self._folder)  # noqa: PTH112 - paths are text everywhere in the agent

    def is_settled(self, export_id: int) -> bool:
        """Tell whether the share's is in force, or was tried in vain, since the server was started."""
        return any(self._path(export_id, ending).exists() for ending in (_PUT, _FAILED))

    def had(self, export_id: int) -> bool:
        """Tell whether the share ever had one here."""
        return os.path.exists(f"{self._folder}/{export_id}{_LOCK}")  # noqa: PTH110 - as above

    def is_in_force(self, export_id: int, path: str) -> bool:
        """Tell whether it was put in force with this folder, and is so still."""
        return (
            self._path(export_id, _PUT).exists() and self._own(export_id) == self._wanted(export_id, path) is not None
        )

    def is_as_put(self, export_id: int, path: str, live: Export) -> bool:
        """Tell whether what is in force is what belongs to the share's export, with this folder."""
        return live == self._wanted(export_id, path)

    def has_share(self, export_id: int) -> bool:
        """Tell whether the share's own export is stored, and in force just so."""
        parent = self._stored(export_id)
        return parent is not None and self._shown([export_id]).get(export_id) == as_shown(parent)

    def fail(self, export_id: int, reason: str) -> None:
        """Note why there is none, for people."""
        os.makedirs(self._folder, mode=0o700, exist_ok=True)  # noqa: PTH103 - as above
        daemons.write_atomically(str(self._path(export_id, _FAILED)), reason, is_durable=False)

    def failures(self) -> list[str]:
        """Return the reasons."""
        found = []
        for path in sorted(self._files(_FAILED)):
            with suppress(FileNotFoundError):
                found.append(path.read_text(encoding="utf-8"))
        return found

    def show(self, export_id: int, path: str) -> None:
        """Put it in force anew, which also shows what was mounted below its folder since; who has a file of it open loses that.

        Nothing is done where the share is not exported. Raises Problem, and NoAnswerError.
        """
        problem = problem_of_path(path)
        number = snapshots_id(export_id)
        if problem is None and number is None:
            problem = f"the id {export_id} of its export is too high for a second export"
        elif problem is None and number is not None and self._is_taken(number):
            problem = f"the id {number} that their export would have is that of another share's"
        if problem is not None:
            raise Problem(ProblemKind.REFUSED, problem)
        os.makedirs(self._folder, mode=0o700, exist_ok=True)  # noqa: PTH103 - as above
        with self._locked(export_id):
            self._remove(export_id)
            parent = self._stored(export_id)
            if parent is None or not self.has_share(export_id):
                return
            wanted = snapshots_export(parent, path)
            text, new = self._path(export_id, _PUT), self._path(export_id, ".new")
            daemons.write_atomically(str(new), export_text(wanted), is_durable=False)
            try:
                self._bus.call("AddExport", "ss", str(new), f"EXPORT(Export_Id={wanted.export_id})")
            except RefusedError as error:
                message = f"the NFS server does not export them: {error}"
                raise Problem(ProblemKind.REFUSED, " ".join(message.split())) from error
            if self._shown([wanted.export_id]).get(wanted.export_id) != as_shown(wanted):
                self._remove(export_id)
                raise Problem(
                    ProblemKind.TRANSIENT, "the NFS server shows their export differently from what it was given"
                )
            self._path(export_id, _FAILED).unlink(missing_ok=True)
            new.replace(text)

    def hide(self, export_id: int, *, is_known: bool = False) -> None:
        """Withdraw it at once; where there is none this is no error. It is looked for where there was one, or `is_known` to be."""
        if is_known:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)  # noqa: PTH103 - as above
        if is_known or self._path(export_id, _LOCK).exists():
            with self._locked(export_id):
                self._remove(export_id)

    def follow(self, export: Export) -> None:
        """Withdraw it where it is not what belongs to the share's export. Precondition: that is stored."""
        if not self._path(export.export_id, _LOCK).exists():
            return
        with self._locked(export.export_id):
            shown = self._own(export.export_id)
            if shown is None or shown != as_shown(snapshots_export(export, shown.path)):
                self._remove(export.export_id)

    def forget_share(self, export_id: int) -> None:
        """Forget a share that is exported no more."""
        for ending in (_PUT, _FAILED, ".new"):
            self._path(export_id, ending).unlink(missing_ok=True)

    def _wanted(self, export_id: int, path: str) -> Export | None:
        parent = self._stored(export_id)
        if parent is None or snapshots_id(export_id) is None:
            return None
        return as_shown(snapshots_export(parent, path))

    def _own(self, export_id: int) -> Export | None:
        """Return what is in force, but never the export of a share that has the id."""
        number = snapshots_id(export_id)
        found = None if number is None else self._shown([number]).get(number)
        return found if found is not None and shows_snapshots(found) else None

    def _is_taken(self, number: int) -> bool:
        """Tell whether a share has the id, from before those of the upper half were kept for snapshots."""
        live = self._shown([number]).get(number)
        return self._stored(number) is not None or (live is not None and not shows_snapshots(live))

    def _remove(self, export_id: int) -> None:
        self._path(export_id, _PUT).unlink(missing_ok=True)  # first: cut short, it is not taken for one in force
        found = self._own(export_id)
        if found is None:
            return
        number = found.export_id
        with suppress(RefusedError):  # what it might be shows below
            self._bus.call("RemoveExport", "q", number)
        if self._own(export_id) is not None:
            shut(self._bus, self._folder, found)
            raise Problem(
                ProblemKind.TRANSIENT, f"the NFS server still has the export {number} although it was told to remove it"
            )

    def _locked(self, export_id: int) -> AbstractContextManager[None]:
        return daemons.locked(str(self._path(export_id, _LOCK)))

    def _path(self, export_id: int, ending: str) -> Path:
        return Path(self._folder, f"{export_id}{ending}")

    def _files(self, *endings: str) -> Iterator[Path]:
        if self.is_used():
            yield from (path for path in Path(self._folder).iterdir() if path.suffix in endings)


def shut(bus: GaneshaBus, folder: str, export: Export) -> None:
    """Let nobody in any more by an export that the server does not remove; its file is in the folder meanwhile."""
    path = Path(folder, f"{export.export_id}.shut")
    with suppress(OSError, RefusedError):
        daemons.write_atomically(str(path), export_text(replace(export, clients=frozenset())), is_durable=False)
        bus.call("UpdateExport", "ss", str(path), f"EXPORT(Export_Id={export.export_id})")
    path.unlink(missing_ok=True)
