"""The open folder of a btrfs pool, and the steps that its operations are made of."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.host.daemons import holds_within
from sharectl.drivers.linux.agent.volumes.btrfs import ioctls
from sharectl.drivers.linux.agent.volumes.contract import Resize
from sharectl.drivers.linux.agent.volumes.folders import (
    PRIVATE,
    SNAPSHOTS,
    locked,
    opened,
    opened_private,
    staging_alone,
)
from sharectl.drivers.linux.agent.volumes.names import is_shown, is_volume_name, taken

if TYPE_CHECKING:
    from collections.abc import Iterator

_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Place:
    """A pool's folder, open, and the UUID of the file system that it is on. Methods raise Problem and OSError."""

    pool: str
    path: str
    descriptor: int
    file_system: str

    @contextmanager
    def volume(self, volume: str, identity: str | None = None) -> Iterator[int]:
        """Open a volume; raises NOT_FOUND, also where it has another identity, and CONFLICT where the name is that of something else."""
        missing = f"the pool {self.pool!r} has no volume {volume!r}"
        with opened_subvolume(volume, self.descriptor, missing) as descriptor:
            _require_identity(descriptor, identity, missing)
            yield descriptor

    @contextmanager
    def snapshot(self, snapshot_id: str, identity: str | None = None) -> Iterator[int]:
        """Open a snapshot; raises NOT_FOUND, also where it has another identity."""
        missing = f"the pool {self.pool!r} has no snapshot {snapshot_id!r}"
        with (
            opened_private(self.descriptor, SNAPSHOTS) as folder_fd,
            opened_subvolume(snapshot_id, folder_fd, missing) as descriptor,
        ):
            _require_identity(descriptor, identity, missing)
            yield descriptor

    def is_taken(self, volume: str) -> bool:
        """Tell whether the name is taken, by whatever it is."""
        try:
            os.stat(volume, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def require_free(self, volume: str) -> None:
        """Raise CONFLICT where the name is taken."""
        if self.is_taken(volume):
            raise taken(self.pool, volume)

    def identity_of(self, folder_fd: int, name: str) -> str | None:
        """Return the identity of the subvolume of this name in a folder; None where there is none."""
        try:
            with opened_subvolume(name, folder_fd, "") as descriptor:
                return ioctls.origin(descriptor).identity
        except Problem as problem:
            if problem.kind not in {ProblemKind.NOT_FOUND, ProblemKind.CONFLICT}:
                raise
            return None

    def subvolumes_in(self, folder_fd: int, *, of_any_name: bool = False) -> Iterator[ioctls.Subvolume]:
        """Give the subvolumes right below the folder whose names can be those of volumes, or all that are not hidden."""
        folder = os.fstat(folder_fd).st_ino
        fits = is_shown if of_any_name else is_volume_name
        for subvolume in ioctls.subvolumes_in(self.descriptor, ioctls.subvolume_id(self.descriptor)):
            if subvolume.directory == folder and fits(subvolume.name):
                yield subvolume

    def limit(self, volume: str, subvolume: int, size_bytes: int, how: Resize = Resize.EXACTLY) -> int:
        """Enforce another size, and return the one that holds; raises IN_USE where more is in use, which the kernel would not mind."""
        usage = ioctls.usage(self.descriptor, subvolume)
        limit_bytes = usage.limit_bytes if usage is not None else None
        size_bytes = how.target_bytes(limit_bytes, size_bytes)
        if limit_bytes == size_bytes:
            return size_bytes
        if limit_bytes is None or size_bytes < limit_bytes:
            used_bytes = self.used_bytes(subvolume)
            if used_bytes > size_bytes:
                message = f"the volume {volume!r} holds {used_bytes} bytes, more than {size_bytes}; delete data first"
                raise Problem(ProblemKind.IN_USE, message)
        self.set_limit(subvolume, size_bytes)
        return size_bytes

    def set_limit(self, subvolume: int, size_bytes: int | None) -> None:
        """Enforce a size whatever is in use; None for none."""
        try:
            # By the pool's folder: a call by a folder of the volume would be charged to the volume, and refused when it is full.
            ioctls.set_limit(self.descriptor, subvolume, size_bytes)
        except FileNotFoundError as error:
            message = f"the kernel does not count the subvolume {subvolume} of {self.path}; `btrfs quota rescan -w {self.path}`, then apply again"
            raise Problem(ProblemKind.UNAVAILABLE, message) from error

    def used_bytes(self, subvolume: int) -> int:
        """Return what a subvolume refers to, up to date."""
        ioctls.sync(self.descriptor)
        usage = ioctls.usage(self.descriptor, subvolume)
        return usage.referenced_bytes if usage is not None else 0

    def require_room(self, snapshot_id: str, snapshot_fd: int, size_bytes: int | None) -> None:
        """Raise REFUSED where a volume of this size cannot hold what is in the snapshot; None is without a limit."""
        usage = ioctls.usage(self.descriptor, ioctls.subvolume_id(snapshot_fd))
        if usage is not None and size_bytes is not None and usage.referenced_bytes > size_bytes:
            message = (
                f"the snapshot {snapshot_id!r} holds {usage.referenced_bytes} bytes, more than the {size_bytes} of the volume; "
                "ask for a larger size"
            )
            raise Problem(ProblemKind.REFUSED, message)

    def require_no_inner_subvolumes(self, volume: str, subvolume: int) -> None:
        """Raise IN_USE where the volume holds subvolumes: no snapshot has their data, and they would be lost."""
        for inner in ioctls.subvolumes_in(self.descriptor, subvolume):
            message = (
                f"the volume {volume!r} holds the subvolume {inner.name!r} (id {inner.subvolume_id}), which somebody made by hand; "
                "move it out or delete it first"
            )
            raise Problem(ProblemKind.IN_USE, message)

    def destroy(self, folder_fd: int, name: str, identity: str | None = None) -> None:
        """Remove a subvolume with those inside, which are part of its data; one that is gone, or is another, is not an error.

        By its id, so that what has come to have the name meanwhile stays. Raises IN_USE where somebody goes on making subvolumes
        inside, CONFLICT where it is none.
        """
        try:
            with opened_subvolume(name, folder_fd, "") as descriptor:
                if identity not in {None, ioctls.origin(descriptor).identity}:
                    return
                subvolume = ioctls.subvolume_id(descriptor)
        except Problem as problem:
            is_another = problem.kind is ProblemKind.CONFLICT and identity is not None
            if problem.kind is not ProblemKind.NOT_FOUND and not is_another:
                raise
            return
        for _ in range(_ATTEMPTS):
            try:
                ioctls.destroy_subvolume(self.descriptor, subvolume)
            except FileNotFoundError:
                return
            except OSError as error:
                if error.errno != errno.ENOTEMPTY:
                    raise
            else:
                return
            self._destroy_inner(subvolume)
        message = f"the volume {name!r} gets new subvolumes as fast as they are removed; stop what makes them on the host, then try again"
        raise Problem(ProblemKind.IN_USE, message)

    def _destroy_inner(self, subvolume: int) -> None:
        """Remove all subvolumes inside another, the deepest first; by their ids, for clients may have made the paths."""
        found = [subvolume]
        for parent in found:
            found.extend(inner.subvolume_id for inner in ioctls.subvolumes_in(self.descriptor, parent))
        for inner_id in reversed(found[1:]):
            with suppress(FileNotFoundError):  # somebody was quicker
                ioctls.destroy_subvolume(self.descriptor, inner_id)

    def sweep(self) -> None:
        """Remove what killed calls left in staging, and the qgroups of subvolumes that are gone.

        What cannot be removed stays: nothing there is ever needed, and all else in the pool goes on without it.
        """
        with staging_alone(self.descriptor) as staging_fd:
            if staging_fd is not None:
                for subvolume in self.subvolumes_in(staging_fd):
                    with suppress(OSError, Problem):
                        self.destroy(staging_fd, subvolume.name)
        ioctls.remove_stale_qgroups(self.descriptor)

    def require_exact_accounting(self, patience_seconds: float) -> None:
        """Make sure that the kernel counts, and so enforces sizes: turn quotas on, have everything counted anew where that is due.

        Raises REFUSED for simple quotas, UNAVAILABLE where counting takes longer than `patience_seconds`.
        """
        if self._is_exact():
            return
        with (
            opened(PRIVATE, self.descriptor) as private_fd,
            locked(private_fd),
        ):  # a second rescan would begin at nothing
            now = ioctls.accounting(self.descriptor, self.file_system)
            if now.simple:
                message = (
                    f"{self.path} has simple quotas, which do not count what a clone shares with its snapshot; "
                    f"`btrfs quota disable {self.path}`, then apply again, which turns full ones on"
                )
                raise Problem(ProblemKind.REFUSED, message)
            if not now.enabled:
                ioctls.enable_quotas(self.descriptor)
            elif not now.is_exact:
                ioctls.start_rescan(self.descriptor)
            if not holds_within(self._is_exact, patience_seconds):
                message = (
                    f"btrfs is still counting what is stored in {self.path} and enforces no sizes until it is done; "
                    f"it goes on by itself (`btrfs quota rescan -s {self.path}`): try again later"
                )
                raise Problem(ProblemKind.UNAVAILABLE, message)

    def _is_exact(self) -> bool:
        return ioctls.accounting(self.descriptor, self.file_system).is_exact


@contextmanager
def opened_subvolume(name: str, folder_fd: int, missing: str) -> Iterator[int]:
    """Open a subvolume in a folder; raises NOT_FOUND with these words, CONFLICT where the name is that of something else."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder_fd)
    except FileNotFoundError as error:
        raise Problem(ProblemKind.NOT_FOUND, missing) from error
    except OSError as error:
        if error.errno in {errno.ENOTDIR, errno.ELOOP}:
            raise _not_a_volume(name) from error
        raise
    try:
        if not ioctls.is_subvolume(descriptor):
            raise _not_a_volume(name)
        yield descriptor
    finally:
        os.close(descriptor)


def _require_identity(descriptor: int, identity: str | None, missing: str) -> None:
    if identity is not None and identity != ioctls.origin(descriptor).identity:
        message = f"{missing} any more: another one has that name now"
        raise Problem(ProblemKind.NOT_FOUND, message)


def _not_a_volume(name: str) -> Problem:
    message = f"{name!r} in the pool is not a subvolume, so it is left alone; move it away or choose another name"
    return Problem(ProblemKind.CONFLICT, message)
