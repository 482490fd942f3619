"""Volumes as btrfs subvolumes: sizes by qgroup limits, snapshots and clones that share what they have in common."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.host import system_calls
from sharectl.drivers.linux.agent.host.system_errors import told_as
from sharectl.drivers.linux.agent.volumes import folders
from sharectl.drivers.linux.agent.volumes.btrfs import ioctls, versions
from sharectl.drivers.linux.agent.volumes.btrfs.image import PoolImage
from sharectl.drivers.linux.agent.volumes.btrfs.place import Place, opened_subvolume
from sharectl.drivers.linux.agent.volumes.contract import UNCLAIMED, Capacity, Claim, Resize, VolumeState
from sharectl.drivers.linux.agent.volumes.folders import (
    PRIVATE,
    SNAPSHOTS,
    STAGING,
    locked,
    opened,
    opened_private,
    staging,
)
from sharectl.drivers.linux.agent.volumes.names import require_volume_name, taken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

FEATURES: Final = frozenset({"snapshots", "clones", "reverts", "online-shrink", "enforced-size"})


class BtrfsPool:
    """A pool (contract.VolumePool) in a folder on btrfs, or on a file system in an image of its own.

    A volume is the subvolume `PATH/NAME`, a snapshot the read-only subvolume `PATH/.sharectl/snapshots/ID`. The kernel makes
    and unmakes each at one instant; what takes several steps is done in `staging` and put in place by one rename.
    """

    def __init__(
        self,
        name: str,
        path: str,
        *,
        image: str | None = None,
        image_size_bytes: int | None = None,
        counting_seconds: float = 60.0,
    ) -> None:
        """Touch nothing. `counting_seconds` is how long a call waits where the kernel has to count what is stored first."""
        self._name = name
        self._path = path
        self._image = PoolImage(image, image_size_bytes) if image is not None else None
        self._counting_seconds = counting_seconds

    @property
    def name(self) -> str:
        """The pool's name in the manifest."""
        return self._name

    @property
    def binds_snapshots(self) -> bool:
        """They are."""
        return True

    @property
    def features(self) -> frozenset[str]:
        """All that there are."""
        return FEATURES

    def prepare(self) -> None:
        """Make the pool ready: image, mount, quotas, private folders; let an image grow, and remove what killed calls left.

        Repeated it is cheap, and mends what it finds.
        """
        with told_as(f"the pool {self._name!r} cannot be prepared"):
            if self._image is not None:
                self._image.make()
                self._image.mount(self._path)
            with self._opened() as place:
                if self._image is not None:
                    self._image.grow(place.descriptor)
                folders.make_private(place.descriptor, SNAPSHOTS, STAGING)
                place.sweep()
                place.require_exact_accounting(self._counting_seconds)
                ioctls.sync(place.descriptor)

    def mount(self) -> None:
        """Mount the pool's image; raises UNAVAILABLE where the pool has none and is not there."""
        with told_as(f"the pool {self._name!r} cannot be mounted"):
            was_mounted = self._image is not None and self._image.is_mounted_at(self._path)
            if self._image is not None:
                self._image.mount(self._path)
            if not self.is_mounted():
                if self._image is not None and not was_mounted:
                    system_calls.unmount(self._path)  # or the right image would find the place taken
                    message = f"the image of the pool {self._name!r} holds a different file system from the one that was prepared; bring back the right one"
                    raise Problem(ProblemKind.UNAVAILABLE, message)
                raise self._absent()

    def is_mounted(self) -> bool:
        """Tell whether the pool that was prepared is there, by its private folder: an empty mount point has none."""
        with told_as(f"the pool {self._name!r} cannot be read"):
            if self._image is not None and not self._image.is_mounted_at(self._path):
                return False
            try:
                with opened(self._path) as descriptor, opened(PRIVATE, descriptor):
                    return ioctls.file_system_id(descriptor) is not None
            except FileNotFoundError:
                return False

    def identity(self) -> str:
        """Return the UUID of the file system."""
        with self._working("cannot be identified") as place:
            return place.file_system

    def capacity(self) -> Capacity:
        """Return size and free space of the file system now."""
        with self._working("cannot be measured") as place:
            status = os.fstatvfs(place.descriptor)
            return Capacity(status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize)

    def has_volume(self, volume: str) -> bool:
        """Tell whether the name is taken in the pool's folder, by whatever it is."""
        require_volume_name(volume)
        with self._working("cannot be read") as place:
            return place.is_taken(volume)

    def identify(self, volume: str) -> str | None:
        """Return the UUID of the subvolume of this name."""
        require_volume_name(volume)
        with self._working("cannot be read") as place:
            return place.identity_of(place.descriptor, volume)

    def create(self, volume: str, size_bytes: int, mode: int, owner: tuple[int, int], claim: Claim = UNCLAIMED) -> None:
        """Make an empty volume in `staging`, and give it its name when it is whole."""
        with self._making(volume, "cannot be made", claim) as (place, staging_fd):
            if staging_fd is None:
                with place.volume(volume, claim.identity) as volume_fd:
                    place.limit(volume, ioctls.subvolume_id(volume_fd), size_bytes)
                return
            ioctls.create_subvolume(staging_fd, volume)
            with opened(volume, staging_fd) as volume_fd:
                os.fchown(volume_fd, *owner)
                os.fchmod(volume_fd, mode)
                place.set_limit(ioctls.subvolume_id(volume_fd), size_bytes)
                identity = ioctls.origin(volume_fd).identity
            self._name_volume(place, staging_fd, volume, claim, identity)

    def clone(
        self,
        snapshot_id: str,
        volume: str,
        size_bytes: int,
        claim: Claim = UNCLAIMED,
        *,
        snapshot_identity: str | None = None,
    ) -> None:
        """Make a volume with the content of a snapshot, writable; raises REFUSED where `size_bytes` cannot hold it."""
        require_volume_name(snapshot_id)
        with self._making(volume, "cannot be cloned", claim) as (place, staging_fd):
            if staging_fd is None:
                with place.volume(volume, claim.identity) as volume_fd:
                    place.limit(volume, ioctls.subvolume_id(volume_fd), size_bytes)
                return
            with place.snapshot(snapshot_id, snapshot_identity) as snapshot_fd:
                place.require_room(snapshot_id, snapshot_fd, size_bytes)
                ioctls.create_snapshot(snapshot_fd, staging_fd, volume, read_only=False)
            with opened(volume, staging_fd) as volume_fd:
                # Until here the limit is that of the volume of the snapshot, whatever the kernel was asked for.
                place.limit(volume, ioctls.subvolume_id(volume_fd), size_bytes)
                identity = ioctls.origin(volume_fd).identity
            self._name_volume(place, staging_fd, volume, claim, identity)

    @contextmanager
    def _making(self, volume: str, what: str, claim: Claim) -> Iterator[tuple[Place, int | None]]:
        """Open the pool to make a volume in staging; gives no staging where the claim's volume is there already.

        Raises CONFLICT where the name is that of anything else.
        """
        with self._changing(volume, what) as place, staging(place.descriptor) as staging_fd:
            if claim.identity is not None and claim.identity == place.identity_of(place.descriptor, volume):
                yield place, None
                return
            place.require_free(volume)
            place.destroy(staging_fd, volume)  # what an earlier call left
            try:
                yield place, staging_fd
            except BaseException:
                place.destroy(staging_fd, volume)  # it could not be made whole, or named
                raise

    @staticmethod
    def _name_volume(place: Place, staging_fd: int, volume: str, claim: Claim, identity: str) -> None:
        claim.record(identity)
        try:
            system_calls.rename_to_free(volume, staging_fd, volume, place.descriptor)
        except FileExistsError:
            raise taken(place.pool, volume) from None

    def attach(self, volume: str, identity: str | None = None) -> str:
        """Return the folder of the volume's data; a subvolume needs nothing to be reachable."""
        require_volume_name(volume)
        with self._working(f"cannot give the volume {volume!r}") as place, place.volume(volume, identity):
            return f"{self._path}/{volume}"

    def detach(self, volume: str, identity: str | None = None) -> None:  # noqa: ARG002 - as in the contract
        """Do nothing: see `attach`."""
        require_volume_name(volume)

    def delete(self, volume: str, identity: str | None = None) -> None:
        """Remove the volume at one instant, with subvolumes that somebody made inside; durable when this returns.

        The kernel's cleaner gives the space back afterwards.
        """
        require_volume_name(volume)
        with self._working(f"cannot delete the volume {volume!r}") as place, staging(place.descriptor) as staging_fd:
            place.destroy(staging_fd, volume)
            place.destroy(place.descriptor, volume, identity)
            # Also where it is gone: a call that was killed may have removed it without committing.
            ioctls.commit(place.descriptor)

    def resize(self, volume: str, size_bytes: int, how: Resize = Resize.EXACTLY, *, identity: str | None = None) -> int:
        """Enforce another size; raises IN_USE where the data does not fit."""
        with (
            self._changing(volume, "cannot be resized") as place,
            place.volume(volume, identity) as volume_fd,
            locked(volume_fd),  # of two that make room, none takes back what the other made
        ):
            return place.limit(volume, ioctls.subvolume_id(volume_fd), size_bytes, how)

    def used_bytes(self, volume: str, identity: str | None = None) -> int:
        """Return what the volume refers to, with what it shares with snapshots."""
        with self._changing(volume, "cannot be measured") as place, place.volume(volume, identity) as volume_fd:
            return place.used_bytes(ioctls.subvolume_id(volume_fd))

    def create_snapshot(self, volume: str, snapshot_id: str, identity: str | None = None) -> str:
        """Keep the volume as it is now, unless the snapshot is there; durable when this returns."""
        require_volume_name(volume)
        require_volume_name(snapshot_id)
        with (
            self._working(f"cannot make a snapshot of the volume {volume!r}") as place,
            opened_private(place.descriptor, SNAPSHOTS) as folder_fd,
        ):
            with place.volume(volume, identity) as volume_fd, suppress(FileExistsError):
                ioctls.create_snapshot(volume_fd, folder_fd, snapshot_id, read_only=True)
            with opened_subvolume(snapshot_id, folder_fd, "it was removed at once") as snapshot_fd:
                found = ioctls.origin(snapshot_fd)
            if identity is not None and found.parent_identity != identity:
                message = f"the snapshot {snapshot_id!r} in the pool {self._name!r} is of another volume than {volume!r}; move it away"
                raise Problem(ProblemKind.CONFLICT, message)
            return found.identity

    def identify_snapshot(self, snapshot_id: str) -> str | None:
        """Return the UUID of the snapshot."""
        require_volume_name(snapshot_id)
        with self._working("cannot be read") as place, opened_private(place.descriptor, SNAPSHOTS) as folder_fd:
            return place.identity_of(folder_fd, snapshot_id)

    def show_versions(self, volume: str, wanted: Callable[[], Mapping[str, str]] | None) -> None:
        """Give the snapshots the names of previous versions."""
        require_volume_name(volume)
        if wanted is None and not os.path.lexists(folders.versions_folder(f"{self._path}/{volume}")):
            return
        with self._working(f"cannot show previous versions of the volume {volume!r}") as place:
            versions.hide(place, volume) if wanted is None else versions.show(place, volume, wanted)

    def bind_snapshots(self, folder: str, wanted: Mapping[str, str], before_change: Callable[[], None]) -> None:
        """Bind them, each to read alone."""
        with self._working("cannot show snapshots") as place:
            versions.bind(place, f"{self._path}/{PRIVATE}/{SNAPSHOTS}", folder, wanted, before_change)

    def delete_snapshot(self, snapshot_id: str, identity: str | None = None) -> None:
        """Remove the snapshot at one instant; durable when this returns."""
        require_volume_name(snapshot_id)
        with (
            self._working(f"cannot delete the snapshot {snapshot_id!r}") as place,
            opened_private(place.descriptor, SNAPSHOTS) as folder_fd,
        ):
            place.destroy(folder_fd, snapshot_id, identity)
            ioctls.commit(place.descriptor)

    def revert(
        self, volume: str, snapshot_id: str, claim: Claim = UNCLAIMED, *, snapshot_identity: str | None = None
    ) -> None:
        """Put a copy of the snapshot in the volume's place by one exchange of names; then alone the newer data goes. Durable at the end.

        Raises IN_USE where the volume holds subvolumes that somebody made by hand, REFUSED where the snapshot is larger than the
        volume's size.
        """
        require_volume_name(snapshot_id)
        with self._changing(volume, "cannot be reverted") as place, staging(place.descriptor) as staging_fd:
            # What an earlier call left is a copy that was not put in place, or the newer data that was to go.
            place.destroy(staging_fd, volume)
            with place.volume(volume, claim.identity) as volume_fd:
                subvolume = ioctls.subvolume_id(volume_fd)
            place.require_no_inner_subvolumes(volume, subvolume)
            usage = ioctls.usage(place.descriptor, subvolume)
            size_bytes = usage.limit_bytes if usage is not None else None
            with place.snapshot(snapshot_id, snapshot_identity) as snapshot_fd:
                place.require_room(snapshot_id, snapshot_fd, size_bytes)
                ioctls.create_snapshot(snapshot_fd, staging_fd, volume, read_only=False)
            with opened(volume, staging_fd) as copy_fd:
                place.set_limit(ioctls.subvolume_id(copy_fd), size_bytes)
                claim.record(ioctls.origin(copy_fd).identity)
            system_calls.exchange(volume, staging_fd, volume, place.descriptor)
            # With subvolumes that were made inside after the look for them.
            place.destroy(staging_fd, volume)
            ioctls.commit(place.descriptor)

    def list_volumes(self) -> Mapping[str, VolumeState]:
        """Return all subvolumes of the pool's folder; usage is that of the last commit, None where the kernel is counting."""
        with self._working("cannot be listed") as place:
            is_exact = ioctls.accounting(place.descriptor, place.file_system).is_exact
            usages = ioctls.all_usages(place.descriptor)
            identities = ioctls.identities(place.descriptor)
            found = {}
            for subvolume in place.subvolumes_in(place.descriptor, of_any_name=True):
                usage = usages.get(subvolume.subvolume_id)
                identity = identities.get(subvolume.subvolume_id) or place.identity_of(place.descriptor, subvolume.name)
                if identity is not None:
                    found[subvolume.name] = _state(usage, identity, is_exact=is_exact)
            return found

    def volume_state(self, volume: str) -> VolumeState:
        """Return one subvolume as `list_volumes` does."""
        require_volume_name(volume)
        with self._working("cannot be read") as place, place.volume(volume) as volume_fd:
            usage = ioctls.usage(place.descriptor, ioctls.subvolume_id(volume_fd))
            is_exact = ioctls.accounting(place.descriptor, place.file_system).is_exact
            return _state(usage, ioctls.origin(volume_fd).identity, is_exact=is_exact)

    def obstacle(self, volume: str) -> str:
        """Return the first subvolume inside: NFS clients cannot list what holds one (NFS4ERR_XDEV), and no snapshot has its data."""
        with self._working("cannot be read") as place, place.volume(volume) as volume_fd:
            for inner in ioctls.subvolumes_in(place.descriptor, ioctls.subvolume_id(volume_fd)):
                return f"it holds the subvolume {inner.name!r}, with which no NFS client can list it; move that out, or make a folder of it"
        return ""

    def list_snapshots(self) -> Mapping[str, str]:
        """Return the UUIDs of all snapshots by id."""
        with self._working("cannot be listed") as place, opened_private(place.descriptor, SNAPSHOTS) as folder_fd:
            identities = ioctls.identities(place.descriptor)
            found = {
                subvolume.name: identities.get(subvolume.subvolume_id) or place.identity_of(folder_fd, subvolume.name)
                for subvolume in place.subvolumes_in(folder_fd)
            }
            return {name: identity for name, identity in found.items() if identity is not None}

    @contextmanager
    def _changing(self, volume: str, what: str) -> Iterator[Place]:
        """Open the pool for work on a volume whose size is to hold."""
        require_volume_name(volume)
        with self._working(f"the volume {volume!r} {what}") as place:
            place.require_exact_accounting(self._counting_seconds)
            yield place

    @contextmanager
    def _working(self, what: str) -> Iterator[Place]:
        """Open the pool, which must have been prepared; `what` says what is not possible where the system refuses."""
        with told_as(f"pool {self._name!r}: {what}"), self._opened() as place:
            if self._image is not None and self._image.identity() != place.file_system:
                raise self._absent()
            try:
                os.close(os.open(PRIVATE, folders.DIRECTORY, dir_fd=place.descriptor))
            except FileNotFoundError:
                raise self._absent() from None
            yield place

    @contextmanager
    def _opened(self) -> Iterator[Place]:
        try:
            descriptor = os.open(self._path, folders.DIRECTORY)
        except FileNotFoundError:
            raise self._absent() from None
        try:
            file_system = ioctls.file_system_id(descriptor)
            if file_system is None:
                raise self._absent()
            yield Place(self._name, self._path, descriptor, file_system)
        finally:
            os.close(descriptor)

    def _absent(self) -> Problem:
        how = "prepare it" if self._image is not None else "mount its btrfs file system (is it in /etc/fstab?)"
        message = f"the pool {self._name!r} is not there: {self._path} is not a prepared folder on btrfs; {how}"
        return Problem(ProblemKind.UNAVAILABLE, message)


def _state(usage: ioctls.Usage | None, identity: str, *, is_exact: bool) -> VolumeState:
    if usage is None:
        return VolumeState(None, None, identity)
    return VolumeState(usage.limit_bytes, usage.referenced_bytes if is_exact else None, identity)
