"""The open folders of an image pool, and the steps that its operations are made of."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.host import loops, mounts, system_calls
from sharectl.drivers.linux.agent.host.daemons import holds_within
from sharectl.drivers.linux.agent.volumes.folders import PRIVATE, STAGING, opened
from sharectl.drivers.linux.agent.volumes.images import files
from sharectl.drivers.linux.agent.volumes.names import taken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sharectl.drivers.linux.agent.volumes.contract import Claim
    from sharectl.drivers.linux.agent.volumes.images.file_systems import FileSystem

IMAGES: Final = "images"
ENDING: Final = ".img"

_POINT_ENDING: Final = ".mount"
_SNAPSHOT_ENDING: Final = ".snapshot"
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_RELEASE_SECONDS: Final = 2.0  # after the last unmount, whoever looks at new devices (udev) may hold one for a moment


@dataclass(frozen=True, slots=True)
class Place:
    """A pool's folder with its private folders, open; methods raise Problem and OSError.

    `reserves` tells whether images take their space at once.
    """

    pool: str
    folder: str
    file_system: FileSystem
    reserves: bool
    descriptor: int
    images_fd: int
    snapshots_fd: int
    staging_fd: int

    def path(self, volume: str) -> str:
        """Return the path of a volume's image."""
        return f"{self.folder}/{PRIVATE}/{IMAGES}/{volume}{ENDING}"

    def point(self, volume: str) -> str:
        """Return the folder where a volume is mounted."""
        return f"{self.folder}/{volume}"

    def has(self, volume: str) -> bool:
        """Tell whether the volume is there."""
        return _is_there(volume + ENDING, self.images_fd)

    def is_blocked(self, volume: str) -> bool:
        """Tell whether something is where the volume would be mounted that is not an empty folder."""
        try:
            with opened(volume, self.descriptor) as folder_fd:
                return bool(os.listdir(folder_fd))  # noqa: PTH208 - a descriptor, which pathlib cannot list
        except FileNotFoundError:
            return False
        except NotADirectoryError:
            return True

    def is_another(self, volume: str, identity: str | None) -> bool:
        """Tell whether what has the volume's name is an image with another identity."""
        return identity is not None and self.identity_of(volume) not in {None, identity}

    def is_made(self, volume: str, claim: Claim) -> bool:
        """Tell whether the volume of a claim is there; raises CONFLICT where its name is that of anything else."""
        if not self.has(volume):
            if self.is_blocked(volume):
                raise taken(self.pool, volume)
            return False
        if claim.identity is None or claim.identity != self.identity_of(volume):
            raise taken(self.pool, volume)
        return True

    @contextmanager
    def image(self, volume: str, identity: str | None = None) -> Iterator[int]:
        """Open a volume's image, and keep others from mounting, resizing or replacing it meanwhile.

        Raises NOT_FOUND, also where it has another identity.
        """
        with ExitStack() as stack:
            missing = f"the pool {self.pool!r} has no volume {volume!r}"
            try:
                descriptor = stack.enter_context(files.opened_image(volume + ENDING, self.images_fd))
            except FileNotFoundError as error:
                raise Problem(ProblemKind.NOT_FOUND, missing) from error
            if identity not in {None, files.identity(descriptor)}:
                raise Problem(ProblemKind.NOT_FOUND, f"{missing} any more: another one has that name now")
            yield descriptor

    @contextmanager
    def snapshot(self, snapshot_id: str, identity: str | None = None) -> Iterator[int]:
        """Open the image of a snapshot; raises NOT_FOUND, also where it has another identity."""
        missing = f"the pool {self.pool!r} has no snapshot {snapshot_id!r}"
        try:
            descriptor = os.open(snapshot_id + ENDING, _READ, dir_fd=self.snapshots_fd)
        except FileNotFoundError as error:
            raise Problem(ProblemKind.NOT_FOUND, missing) from error
        try:
            if identity not in {None, files.identity_of_snapshot(descriptor)}:
                raise Problem(ProblemKind.NOT_FOUND, f"{missing} any more: another one has that name now")
            yield descriptor
        finally:
            os.close(descriptor)

    def identity_of(self, volume: str) -> str | None:
        """Return the identity of a volume; None where there is none."""
        return self._identity_of(volume + ENDING, self.images_fd, files.identity)

    def identity_of_snapshot(self, snapshot_id: str) -> str | None:
        """Return the identity of a snapshot; None where there is none."""
        return self._identity_of(snapshot_id + ENDING, self.snapshots_fd, files.identity_of_snapshot)

    @staticmethod
    def _identity_of(name: str, folder_fd: int, read: Callable[[int], str]) -> str | None:
        try:
            descriptor = os.open(name, _READ, dir_fd=folder_fd)
        except (FileNotFoundError, IsADirectoryError):
            return None
        try:
            return read(descriptor)
        finally:
            os.close(descriptor)

    def attach(self, volume: str, image_fd: int) -> None:
        """Mount a volume; one that is mounted is not an error. Raises CONFLICT where something else is mounted in its place."""
        point = self.point(volume)
        if loops.is_mounted_at(self.path(volume), point):
            return
        if mounts.is_mount_point(point):
            message = f"something else is mounted at {point}; unmount it"
            raise Problem(ProblemKind.CONFLICT, message)
        mounts.make_mount_point(point)
        loops.mount_image(self.path(volume), image_fd, point, self.file_system.name, self.file_system.mount_options)

    @contextmanager
    def reachable(self, volume: str, image_fd: int) -> Iterator[str]:
        """Give a folder that a volume is mounted at: its own, or one in staging for a moment.

        Not its own for a moment: a killed call would leave it looking used.
        """
        if loops.is_mounted_at(self.path(volume), self.point(volume)):
            yield self.point(volume)
            return
        self.clear_staging(volume)
        point = self._staging_point(volume)
        try:
            mounts.make_mount_point(point)
            loops.mount_image(self.path(volume), image_fd, point, self.file_system.name, self.file_system.mount_options)
            yield point
        finally:
            self.clear_staging(volume)

    def require_unused(self, volume: str) -> None:
        """Raise IN_USE where a volume's image is mounted anywhere: it would go, or change, under a file system in use."""
        path = self.path(volume)
        self.clear_staging(volume)
        is_attached = loops.is_mounted_at(path, self.point(volume))
        if is_attached or not holds_within(lambda: loops.device_of(path) is None, _RELEASE_SECONDS):
            device = loops.device_of(path)
            message = f"the volume {volume!r} is mounted from {device}; withdraw all access first (`findmnt -S {device}` shows where)"
            raise Problem(ProblemKind.IN_USE, message)

    def make(self, volume: str, size_bytes: int, claim: Claim) -> None:
        """Make a volume with an empty file system; it appears when it is whole."""
        with self._staged(volume) as (path, image_fd):
            files.set_size(image_fd, size_bytes, reserve=self.reserves)
            self.file_system.make(path, image_fd)
            claim.record(files.identity(image_fd))
        self._put_in_place(volume)

    def make_clone(self, volume: str, source_fd: int, size_bytes: int, claim: Claim) -> None:
        """Make a volume with the content of another image, and a UUID of its own; it appears when it is whole."""
        with self._staged_copy(volume, source_fd, size_bytes, is_clone=True) as image_fd:
            claim.record(files.identity(image_fd))
        self._put_in_place(volume)

    def put_copy(self, volume: str, source_fd: int, size_bytes: int) -> None:
        """Put a copy of an image in a volume's place, in this size, by one rename."""
        with self._staged_copy(volume, source_fd, size_bytes, is_clone=False):
            pass
        os.rename(volume + ENDING, volume + ENDING, src_dir_fd=self.staging_fd, dst_dir_fd=self.images_fd)
        os.fsync(self.images_fd)

    @contextmanager
    def _staged_copy(self, volume: str, source_fd: int, size_bytes: int, *, is_clone: bool) -> Iterator[int]:
        with self._staged(volume) as (path, image_fd):
            files.copy(source_fd, image_fd)
            self.file_system.settle(path, image_fd, size_bytes, point=self._staging_point(volume), is_clone=is_clone)
            files.set_size(image_fd, size_bytes, reserve=self.reserves)
            yield image_fd

    def _put_in_place(self, volume: str) -> None:
        try:
            system_calls.rename_to_free(volume + ENDING, self.staging_fd, volume + ENDING, self.images_fd)
        except FileExistsError:
            self.clear_staging(volume)
            raise taken(self.pool, volume) from None
        os.fsync(self.images_fd)

    def grow(self, volume: str, image_fd: int, size_bytes: int) -> None:
        """Make a volume larger while it is mounted; where the system refuses that and nobody uses it, by a larger copy."""
        is_used = loops.is_mounted_at(self.path(volume), self.point(volume))
        try:
            with self.reachable(volume, image_fd) as folder:
                self._grow_mounted(volume, image_fd, folder, size_bytes)
        except PermissionError as error:
            if is_used:
                message = (
                    f"the kernel refuses to let the volume {volume!r} ({self.file_system.name}) grow while it is in use, for root "
                    "lacks CAP_SYS_RESOURCE here; give the agent that capability, or withdraw all access and extend it then"
                )
                raise Problem(ProblemKind.IN_USE, message) from error
            self.require_unused(volume)
            self.put_copy(volume, image_fd, size_bytes)

    def make_snapshot(self, image_fd: int, snapshot_id: str) -> str:
        """Keep an image as it is this instant and return the snapshot's identity.

        Raises REFUSED where the folder's file system shares no blocks.
        """
        name = snapshot_id + _SNAPSHOT_ENDING
        with files.new_image(name, self.staging_fd) as snapshot_fd:
            is_shared = files.share_blocks(image_fd, snapshot_fd)
            identity = files.identity_of_snapshot(snapshot_fd)
        if not is_shared:
            os.unlink(name, dir_fd=self.staging_fd)
            message = f"the file system of {self.folder} shares no blocks between files, so there are no snapshots; XFS and btrfs do"
            raise Problem(ProblemKind.REFUSED, message)
        system_calls.rename_to_free(name, self.staging_fd, snapshot_id + ENDING, self.snapshots_fd)
        os.fsync(self.snapshots_fd)
        return identity

    def remove(self, volume: str) -> None:
        """Remove a volume's image, and what a killed call left of it in staging."""
        os.unlink(volume + ENDING, dir_fd=self.images_fd)
        os.fsync(self.images_fd)

    def clear_staging(self, name: str) -> None:
        """Remove what a killed call for this volume left."""
        sweep(self._staging, self.staging_fd, only=name)

    @property
    def _staging(self) -> str:
        return f"{self.folder}/{PRIVATE}/{STAGING}"

    def _staging_point(self, volume: str) -> str:
        return f"{self._staging}/{volume}{_POINT_ENDING}"

    @contextmanager
    def _staged(self, volume: str) -> Iterator[tuple[str, int]]:
        """Give a new image in staging; one that fails is removed."""
        self.clear_staging(volume)
        try:
            with files.new_image(volume + ENDING, self.staging_fd) as image_fd:
                yield f"{self._staging}/{volume}{ENDING}", image_fd
        except BaseException:
            self.clear_staging(volume)
            raise

    def _grow_mounted(self, volume: str, image_fd: int, folder: str, size_bytes: int) -> None:
        before_bytes = os.fstat(image_fd).st_size
        device = loops.device_of(self.path(volume))
        if device is None:
            message = f"the volume {volume!r} was unmounted by somebody else; try again"
            raise Problem(ProblemKind.TRANSIENT, message)
        try:
            files.set_size(image_fd, size_bytes, reserve=self.reserves)
            loops.refresh_size(device)
            self.file_system.grow_mounted(folder, device, size_bytes)
        except OSError:  # so that the size that is listed stays the true one
            os.ftruncate(image_fd, before_bytes)
            loops.refresh_size(device)
            raise


def sweep(staging: str, staging_fd: int, only: str | None = None) -> None:
    """Unmount and remove what killed calls left in staging: all, or what is of one volume."""
    names = os.listdir(staging_fd)
    wanted = names if only is None else [name for name in names if name in {only + ENDING, only + _POINT_ENDING}]
    for name in sorted(wanted, reverse=True):  # `.mount` before `.img`
        if name.endswith(_POINT_ENDING):
            mounts.unbind(f"{staging}/{name}")
            mounts.remove_mount_point(f"{staging}/{name}")
        else:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=staging_fd)


def _is_there(name: str, folder_fd: int) -> bool:
    try:
        os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
