"""Volumes as file systems of their own in image files, for hosts without btrfs: the size is the image's, and enforced by it."""

from __future__ import annotations

import os
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.host import loops, mounts, system_calls
from sharectl.drivers.linux.agent.host.daemons import write_atomically
from sharectl.drivers.linux.agent.host.system_errors import told_as
from sharectl.drivers.linux.agent.volumes import folders
from sharectl.drivers.linux.agent.volumes.contract import UNCLAIMED, Capacity, Claim, Resize, VolumeState
from sharectl.drivers.linux.agent.volumes.folders import PRIVATE, SNAPSHOTS, STAGING, opened
from sharectl.drivers.linux.agent.volumes.images import files
from sharectl.drivers.linux.agent.volumes.images.file_systems import FILE_SYSTEMS, require_size
from sharectl.drivers.linux.agent.volumes.images.place import ENDING, IMAGES, Place, sweep
from sharectl.drivers.linux.agent.volumes.names import require_volume_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

ALWAYS: Final = frozenset({"enforced-size"})
WITH_SHARED_BLOCKS: Final = ALWAYS | {"snapshots", "clones", "reverts"}

_IDENTITY: Final = "identity"


class ImagePool:
    """A pool (contract.VolumePool) in a folder on any file system.

    A volume is `PATH/.sharectl/images/NAME.img`, mounted at `PATH/NAME`; snapshots share the blocks of their volume's image, and
    exist only where the folder's file system can do that (XFS, btrfs). Images are sparse unless `preallocate`: then sizes are
    promises that the folder's file system may not be able to keep, as in every thin pool.
    """

    def __init__(self, name: str, path: str, file_system: str, *, preallocate: bool = False) -> None:
        """Touch nothing."""
        self._name = name
        self._path = path
        self._file_system = FILE_SYSTEMS[file_system]
        self._preallocate = preallocate
        self._shares_blocks: bool | None = None

    @property
    def name(self) -> str:
        """The pool's name in the manifest."""
        return self._name

    @property
    def binds_snapshots(self) -> bool:
        """They are files, each with a file system in it."""
        return False

    @property
    def features(self) -> frozenset[str]:
        """Snapshots, clones and reverts only where the folder's file system shares blocks, and only once the pool is there."""
        if self._shares_blocks is None and self.is_mounted():
            with self._working("cannot be tried") as place:
                self._shares_blocks = files.can_share_blocks(place.staging_fd)
        return WITH_SHARED_BLOCKS if self._shares_blocks else ALWAYS

    def prepare(self) -> None:
        """Make the private folders and an identity; remove what killed calls left. The folder itself must be there."""
        with told_as(f"the pool {self._name!r} cannot be prepared"), opened(self._path) as pool_fd:
            folders.make_private(pool_fd, IMAGES, SNAPSHOTS, STAGING)
            with opened(PRIVATE, pool_fd) as private_fd, folders.locked(private_fd):
                if _IDENTITY not in os.listdir(private_fd):  # noqa: PTH208 - a descriptor, which pathlib cannot list
                    write_atomically(f"{self._path}/{PRIVATE}/{_IDENTITY}", f"{uuid.uuid4()}\n")
            with folders.staging_alone(pool_fd) as staging_fd:
                if staging_fd is not None:
                    sweep(f"{self._path}/{PRIVATE}/{STAGING}", staging_fd)

    def mount(self) -> None:
        """Raise UNAVAILABLE where the folder is not there: it is not this pool's to mount."""
        if not self.is_mounted():
            raise self._absent()

    def is_mounted(self) -> bool:
        """Tell whether the folder that was prepared is there, by its identity: an empty mount point has none."""
        with told_as(f"the pool {self._name!r} cannot be read"):
            return self._read_identity() is not None

    def identity(self) -> str:
        """Return the UUID that `prepare` gave the folder; file systems in general have none that everybody can ask for."""
        with told_as(f"the pool {self._name!r} cannot be identified"):
            found = self._read_identity()
        if found is None:
            raise self._absent()
        return found

    def capacity(self) -> Capacity:
        """Return size and free space of the folder's file system now; what sparse images may still take is not subtracted."""
        with self._working("cannot be measured") as place:
            status = os.fstatvfs(place.descriptor)
            return Capacity(status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize)

    def has_volume(self, volume: str) -> bool:
        """Tell whether there is an image of this name, or anything but an empty folder where it would be mounted."""
        require_volume_name(volume)
        with self._working("cannot be read") as place:
            return place.has(volume) or place.is_blocked(volume)

    def identify(self, volume: str) -> str | None:
        """Return the UUID of the file system in the image of this name."""
        require_volume_name(volume)
        with self._working("cannot be read") as place:
            return place.identity_of(volume)

    def create(self, volume: str, size_bytes: int, mode: int, owner: tuple[int, int], claim: Claim = UNCLAIMED) -> None:
        """Make an empty volume and attach it. One with content is an earlier call's: it gets the size, and keeps the rest."""
        require_size(self._file_system, size_bytes)
        with self._changing(volume, "cannot be made") as place:
            if not place.is_made(volume, claim):
                mounts.make_mount_point(place.point(volume))
                place.make(volume, size_bytes, claim)
            with place.image(volume) as image_fd:
                place.attach(volume, image_fd)
                with opened(volume, place.descriptor) as root_fd:
                    if set(os.listdir(root_fd)) <= {"lost+found"}:  # noqa: PTH208 - a descriptor, which pathlib cannot list
                        os.fchown(root_fd, *owner)
                        os.fchmod(root_fd, mode)
                is_resized = os.fstat(image_fd).st_size != size_bytes
        if is_resized:
            self.resize(volume, size_bytes)

    def clone(
        self,
        snapshot_id: str,
        volume: str,
        size_bytes: int,
        claim: Claim = UNCLAIMED,
        *,
        snapshot_identity: str | None = None,
    ) -> None:
        """Make a volume with the content of a snapshot and a UUID of its own; raises REFUSED where it would be smaller."""
        require_volume_name(snapshot_id)
        with self._changing(volume, "cannot be cloned") as place:
            is_made = place.is_made(volume, claim)
            mounts.make_mount_point(place.point(volume))
            with place.snapshot(snapshot_id, snapshot_identity) as snapshot_fd:
                snapshot_bytes = os.fstat(snapshot_fd).st_size
                if snapshot_bytes > size_bytes:
                    message = f"the snapshot {snapshot_id!r} is of a volume of {snapshot_bytes} bytes; ask for that size at least"
                    raise Problem(ProblemKind.REFUSED, message)
                if not is_made:
                    place.make_clone(volume, snapshot_fd, size_bytes, claim)
            with place.image(volume) as image_fd:
                place.attach(volume, image_fd)
                is_resized = os.fstat(image_fd).st_size != size_bytes
        if is_resized:
            self.resize(volume, size_bytes)

    def attach(self, volume: str, identity: str | None = None) -> str:
        """Mount the volume at `PATH/NAME` and return that folder."""
        with self._changing(volume, "cannot be mounted") as place, place.image(volume, identity) as image_fd:
            place.attach(volume, image_fd)
            return place.point(volume)

    def detach(self, volume: str, identity: str | None = None) -> None:
        """Unmount the volume; raises IN_USE where somebody on the host is in it."""
        with self._changing(volume, "cannot be unmounted") as place:
            if not place.is_another(volume, identity):
                mounts.unbind(place.point(volume))

    def delete(self, volume: str, identity: str | None = None) -> None:
        """Unmount the volume and remove its image and mount point."""
        with self._changing(volume, "cannot be deleted") as place:
            place.clear_staging(volume)
            if place.is_another(volume, identity):
                return
            mounts.unbind(place.point(volume))
            if place.has(volume):
                with place.image(volume, identity):
                    place.require_unused(volume)
                    place.remove(volume)
            if identity is None or mounts.is_free_mount_point(place.point(volume)):  # else it is somebody's folder
                mounts.remove_mount_point(place.point(volume))

    def resize(self, volume: str, size_bytes: int, how: Resize = Resize.EXACTLY, *, identity: str | None = None) -> int:
        """Enforce another size: larger also while the volume is in use, smaller (ext4) only while it is detached."""
        require_size(self._file_system, size_bytes)
        with self._changing(volume, "cannot be resized") as place, place.image(volume, identity) as image_fd:
            size_bytes = how.target_bytes(os.fstat(image_fd).st_size, size_bytes)
            if size_bytes >= os.fstat(image_fd).st_size:
                place.grow(volume, image_fd, size_bytes)
            else:
                place.require_unused(volume)
                self._file_system.require_fits(place.path(volume), size_bytes)
                place.put_copy(volume, image_fd, size_bytes)
            return size_bytes

    def used_bytes(self, volume: str, identity: str | None = None) -> int:
        """Return what the volume's data occupies; mounts it for a moment where it is detached."""
        with (
            self._changing(volume, "cannot be measured") as place,
            place.image(volume, identity) as image_fd,
            place.reachable(volume, image_fd) as folder,
            opened(folder) as root_fd,
        ):
            system_calls.sync_file_system(root_fd)
            return _used_bytes(os.fstatvfs(root_fd))

    def create_snapshot(self, volume: str, snapshot_id: str, identity: str | None = None) -> str:
        """Keep the image as it is now, unless the snapshot is there.

        What was written before is in it, and it is what the volume would be after a loss of power this instant: sharing blocks is
        one step for the folder's file system, and the journal in the image makes the rest whole when it is used.
        """
        require_volume_name(snapshot_id)
        with self._changing(volume, "cannot be kept in a snapshot") as place, place.image(volume, identity) as image_fd:
            found = place.identity_of_snapshot(snapshot_id)
            if found is not None:
                if not found.startswith(files.identity(image_fd)):
                    message = f"the snapshot {snapshot_id!r} in the pool {self._name!r} is of another volume than {volume!r}; move it away"
                    raise Problem(ProblemKind.CONFLICT, message)
                return found
            if loops.is_mounted_at(place.path(volume), place.point(volume)):
                with opened(volume, place.descriptor) as root_fd:
                    system_calls.sync_file_system(root_fd)
            return place.make_snapshot(image_fd, snapshot_id)

    def identify_snapshot(self, snapshot_id: str) -> str | None:
        """Return the identity of the snapshot."""
        require_volume_name(snapshot_id)
        with self._working("cannot be read") as place:
            return place.identity_of_snapshot(snapshot_id)

    def show_versions(self, volume: str, wanted: Callable[[], Mapping[str, str]] | None) -> None:
        """Do nothing: a snapshot is a file with a file system in it."""

    def bind_snapshots(self, folder: str, wanted: Mapping[str, str], before_change: Callable[[], None]) -> None:
        """Do nothing, as above."""

    def delete_snapshot(self, snapshot_id: str, identity: str | None = None) -> None:
        """Remove the snapshot."""
        require_volume_name(snapshot_id)
        with self._working(f"cannot delete the snapshot {snapshot_id!r}") as place, suppress(FileNotFoundError):
            if identity not in {None, place.identity_of_snapshot(snapshot_id)}:
                return
            os.unlink(snapshot_id + ENDING, dir_fd=place.snapshots_fd)
            os.fsync(place.snapshots_fd)

    def revert(
        self, volume: str, snapshot_id: str, claim: Claim = UNCLAIMED, *, snapshot_identity: str | None = None
    ) -> None:
        """Put a copy of the snapshot in the place of the volume's image by one rename, keeping the size and the UUID."""
        require_volume_name(snapshot_id)
        with self._changing(volume, "cannot be reverted") as place, place.image(volume, claim.identity) as image_fd:
            place.require_unused(volume)
            with place.snapshot(snapshot_id, snapshot_identity) as snapshot_fd:
                place.put_copy(volume, snapshot_fd, os.fstat(image_fd).st_size)

    def list_volumes(self) -> Mapping[str, VolumeState]:
        """Return all volumes; usage is known of those that are attached."""
        with self._working("cannot be listed") as place:
            return dict(self._states(place, os.listdir(place.images_fd)))  # noqa: PTH208 - a descriptor, which pathlib cannot list

    def obstacle(self, volume: str) -> str:
        """Return nothing: there is one file system in an image."""
        del volume
        return ""

    def volume_state(self, volume: str) -> VolumeState:
        """Return one volume as `list_volumes` does."""
        require_volume_name(volume)
        with self._working("cannot be read") as place:
            found = dict(self._states(place, [volume + ENDING]))
        if volume not in found:
            message = f"the pool {self._name!r} has no volume {volume!r}"
            raise Problem(ProblemKind.NOT_FOUND, message)
        return found[volume]

    def list_snapshots(self) -> Mapping[str, str]:
        """Return the identities of all snapshots by id."""
        with self._working("cannot be listed") as place:
            names = os.listdir(place.snapshots_fd)  # noqa: PTH208 - a descriptor, which pathlib cannot list
            ids = [name.removesuffix(ENDING) for name in names]
            found = {snapshot_id: place.identity_of_snapshot(snapshot_id) for snapshot_id in ids}
            return {snapshot_id: identity for snapshot_id, identity in found.items() if identity is not None}

    @staticmethod
    def _states(place: Place, names: Iterable[str]) -> Iterator[tuple[str, VolumeState]]:
        host_device = os.fstat(place.descriptor).st_dev
        for name in names:
            volume = name.removesuffix(ENDING)
            with suppress(FileNotFoundError):  # deleted this moment
                size_bytes = os.stat(name, dir_fd=place.images_fd, follow_symlinks=False).st_size
                used_bytes = None
                with suppress(FileNotFoundError), opened(volume, place.descriptor) as root_fd:
                    if os.fstat(root_fd).st_dev != host_device:
                        used_bytes = _used_bytes(os.fstatvfs(root_fd))
                identity = place.identity_of(volume)
                if identity is not None:
                    yield volume, VolumeState(size_bytes, used_bytes, identity)

    @contextmanager
    def _changing(self, volume: str, what: str) -> Iterator[Place]:
        require_volume_name(volume)
        with self._working(f"the volume {volume!r} {what}") as place:
            yield place

    @contextmanager
    def _working(self, what: str) -> Iterator[Place]:
        """Open the pool, which must have been prepared; `what` says what is not possible where the system refuses."""
        with told_as(f"pool {self._name!r}: {what}"):
            if self._read_identity() is None:
                raise self._absent()
            with (
                opened(self._path) as pool_fd,
                folders.opened_private(pool_fd, IMAGES) as images_fd,
                folders.opened_private(pool_fd, SNAPSHOTS) as snapshots_fd,
                folders.staging(pool_fd) as staging_fd,
            ):
                yield Place(
                    self._name,
                    self._path,
                    self._file_system,
                    self._preallocate,
                    pool_fd,
                    images_fd,
                    snapshots_fd,
                    staging_fd,
                )

    def _read_identity(self) -> str | None:
        try:
            with opened(self._path) as pool_fd, opened(PRIVATE, pool_fd) as private_fd:
                descriptor = os.open(_IDENTITY, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=private_fd)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, encoding="ascii") as file:
            return file.read().strip()

    def _absent(self) -> Problem:
        message = f"the pool {self._name!r} is not there: {self._path} is not a prepared folder; mount what belongs there (is it in /etc/fstab?)"
        return Problem(ProblemKind.UNAVAILABLE, message)


def _used_bytes(status: os.statvfs_result) -> int:
    return (status.f_blocks - status.f_bfree) * status.f_frsize
