"""Storage: the folders of a directory backend, their markers, and the locks that guard them."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import uuid
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import orjson

from sharectl.drivers.base import BackendUnavailableError, PoolError, TransientError, fenced
from sharectl.drivers.directory import files, trees
from sharectl.drivers.directory.records import RecordFolder, ShareRecord, SnapshotRecord, checked_id
from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from contextlib import AbstractContextManager

    from sharectl.drivers.directory.settings import DirectorySettings

PRIVATE: Final = ".sharectl"
TREE: Final = "tree"
"""What is being made, in a workspace."""
_BACKEND_MARKER: Final = "backend.json"
_POOL_MARKER: Final = "pool.json"
_LOCK: Final = "lock"
_FENCES: Final = "fences.json"
_BESIDE: Final = " beside"
_FORMAT: Final = 1
_METADATA_FOLDERS: Final = ("shares", "snapshots", "names", "exports.d", "smb.d")
_POOL_FOLDERS: Final = ("work", "trash", "copies", "displaced")
_MAX_MARKER_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Metadata:
    """The opened metadata of a prepared backend."""

    private_fd: int
    identity: str
    pool_names: frozenset[str]

    @property
    def shares(self) -> RecordFolder[ShareRecord]:
        """The records of shares."""
        return RecordFolder(self.private_fd, "shares", ShareRecord)

    @property
    def snapshots(self) -> RecordFolder[SnapshotRecord]:
        """The records of snapshots."""
        return RecordFolder(self.private_fd, "snapshots", SnapshotRecord)


@dataclass(frozen=True, slots=True)
class Pool:
    """An opened pool: `fd` is the folder of its shares, `private_fd` the driver's own folder on the same file system.

    In that, `work/ID` holds what is being made or removed, `trash/ID` shares put aside, `copies/ID` snapshots, and
    `displaced/ID` a share for the instant in which a revert swaps it.
    """

    name: str
    fd: int
    private_fd: int
    locked: Callable[[], AbstractContextManager[None]]

    @contextmanager
    def workspace(self, resource_id: str) -> Iterator[int]:
        """Give an empty folder for the work on one share or snapshot; whatever is in it afterwards is removed.

        A folder left behind by a call that was cut short is emptied first. Raises TransientError where another process is at work.
        """
        name = f"work/{checked_id(resource_id)}"
        with self.locked():
            descriptor = self._made(name)
        if descriptor is None:
            message = f"another process is at work on the share or snapshot with the id {resource_id}"
            raise TransientError(message)
        try:
            trees.purge(descriptor)
            try:
                yield descriptor
            finally:
                trees.purge(descriptor)
                os.rmdir(name, dir_fd=self.private_fd)
        finally:
            os.close(descriptor)

    def is_at_work(self, resource_id: str) -> bool:
        """Tell whether some process holds the workspace of this id now. Precondition: the storage is locked."""
        try:
            descriptor = self._claimed(f"work/{resource_id}")
        except FileNotFoundError:
            return False
        if descriptor is not None:
            os.close(descriptor)
        return descriptor is None

    def leftovers(self) -> list[str]:
        """Return the ids of the workspaces that nobody holds: calls on them were cut short."""
        with self.locked():
            names = files.names_in("work", self.private_fd)
            return sorted(name for name in names if not self.is_at_work(name))

    def _made(self, name: str) -> int | None:
        """Make and lock a workspace, or return None where another holds it. One that its holder takes away meanwhile is made anew."""
        while True:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=self.private_fd)
            with suppress(FileNotFoundError):
                descriptor = self._claimed(name)
                if descriptor is None or os.fstat(descriptor).st_nlink > 0:
                    return descriptor
                os.close(descriptor)

    def _claimed(self, name: str) -> int | None:
        """Open and lock a workspace, or return None where another process or thread holds it."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=self.private_fd)
        if _try_lock(descriptor):
            return descriptor
        os.close(descriptor)
        return None


class Storage:
    """The folders of one backend, opened anew for each call, so that an unmounted or exchanged file system is noticed."""

    def __init__(self, settings: DirectorySettings) -> None:
        """Remember where everything is; nothing is opened yet."""
        self.settings = settings
        self._thread_lock = threading.Lock()
        self._fence: tuple[str, int, Collection[int]] = ("", 0, ())

    def raise_fence(self, lineage: str, fence: int, beside: Collection[int]) -> None:
        """Let names change only under this fence from now on. Raises FencedError."""
        self._fence = (lineage, fence, beside)
        with self.metadata_if_prepared() as metadata:
            if metadata is not None:
                with self.locked(metadata):
                    pass

    def identity(self) -> str | None:
        """Return the identity that `prepare` wrote, or None; raises BackendUnavailableError where it cannot be read."""
        with self._marker() as (_, marker):
            return None if marker is None else marker["identity"]

    @contextmanager
    def metadata_if_prepared(self) -> Iterator[Metadata | None]:
        """Open the metadata, or give None where the marker is missing."""
        with self._marker() as (private_fd, marker):
            if marker is None:
                yield None
            else:
                yield Metadata(private_fd, marker["identity"], frozenset(marker["pools"]))

    @contextmanager
    def metadata(self) -> Iterator[Metadata]:
        """Open the metadata; raises BackendUnavailableError where the marker is missing."""
        with self.metadata_if_prepared() as metadata:
            if metadata is None:
                message = (
                    f"{self.settings.root!r} holds no backend: the marker {PRIVATE}/{_BACKEND_MARKER} is missing; "
                    "is its file system mounted?"
                )
                raise BackendUnavailableError(message)
            yield metadata

    @contextmanager
    def pool(self, metadata: Metadata, name: str) -> Iterator[Pool]:
        """Open a pool.

        Raises PoolError where the configuration has none of this name, and BackendUnavailableError where its marker is not that
        of this backend: its file system is not mounted, or another is.
        """
        path = self.settings.pool_path(name)
        with ExitStack() as opened:
            try:
                pool_fd = opened.enter_context(files.opened_directory(path))
                private_fd = opened.enter_context(files.opened_directory(PRIVATE, pool_fd))
                marker = _read_marker(_POOL_MARKER, private_fd)
            except (FileNotFoundError, NotADirectoryError):
                marker = None
            if marker != {"identity": metadata.identity, "pool": name}:
                message = f"{path!r} is not the pool {name!r} of this backend: is its file system mounted?"
                raise BackendUnavailableError(message)
            yield Pool(name, pool_fd, private_fd, partial(self.locked, metadata))

    def prepare(self) -> str:
        """Make the folders and markers that are missing; return the backend's identity."""
        os.makedirs(self.settings.root, mode=0o755, exist_ok=True)  # noqa: PTH103 - the root is text everywhere here
        with (
            files.opened_directory(self.settings.root) as root_fd,
            _private_folder(root_fd) as private_fd,
            self._locked(private_fd),
        ):
            self._expect_fence(private_fd)
            marker = _read_marker(_BACKEND_MARKER, private_fd)
            _make_folders(_METADATA_FOLDERS, private_fd)
            if marker is None:
                # Stored before any pool is marked with it: after a crash the pools are still this backend's.
                marker = {"format": _FORMAT, "identity": str(uuid.uuid4()), "pools": []}
                files.write_durably(".", _BACKEND_MARKER, orjson.dumps(marker), private_fd)
            missing = sorted(self.settings.pools.keys() - set(marker["pools"]))
            for name in missing:
                self._prepare_pool(name, marker["identity"])
            if missing:
                marker["pools"] = sorted({*marker["pools"], *missing})
                files.write_durably(".", _BACKEND_MARKER, orjson.dumps(marker), private_fd)
            os.fsync(root_fd)
        identity: str = marker["identity"]
        return identity

    def sweep_temporaries(self, metadata: Metadata) -> None:
        """Remove the files that writes which were cut short have left."""
        for folder in (".", *_METADATA_FOLDERS):
            files.sweep_temporaries(folder, metadata.private_fd)
        for name in sorted(metadata.pool_names & self.settings.pools.keys()):
            with self.pool(metadata, name) as pool:
                files.sweep_temporaries(".", pool.private_fd)

    @contextmanager
    def locked(self, metadata: Metadata) -> Iterator[None]:
        """Keep all other threads and processes out of the backend's names, for a moment.

        Raises FencedError where a later run has raised its fence: whatever a call is about to do comes too late then.
        """
        with self._locked(metadata.private_fd):
            self._expect_fence(metadata.private_fd)
            yield

    def _expect_fence(self, private_fd: int) -> None:
        lineage, fence, beside = self._fence
        if not lineage:
            return
        from sharectl.model.fences import Fences  # noqa: PLC0415 - only where something changes

        content = files.read_bounded(_FENCES, private_fd, _MAX_MARKER_BYTES)
        others = f"{lineage}{_BESIDE}"
        try:
            noted: dict[str, Any] = {} if content is None else dict(orjson.loads(content))
            found = Fences.of(int(noted.get(lineage, 0)), [int(each) for each in noted.get(others, ())])
        except (ValueError, TypeError) as cause:
            message = f"the file {PRIVATE}/{_FENCES} is damaged; remove it once no run of sharectl is at work here"
            raise BackendUnavailableError(message) from cause
        if not found.admit(fence):
            raise fenced(fence, found.newest)
        raised = found.raised(fence, beside)
        if raised == found:
            return
        noted[lineage] = raised.newest
        noted[others] = raised.note
        if not raised.beside:
            del noted[others]
        try:
            files.write_durably(".", _FENCES, orjson.dumps(noted), private_fd)
        except OSError as problem:
            if content is None or problem.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            # On a full disk access must still end, and what is deleted is what makes room.
            files.overwrite_in_place(_FENCES, orjson.dumps(noted), private_fd)

    @contextmanager
    def _locked(self, private_fd: int) -> Iterator[None]:
        # The thread lock keeps the number of open descriptors small; the file lock keeps other processes out.
        with self._thread_lock:
            descriptor = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=private_fd)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)

    @contextmanager
    def _marker(self) -> Iterator[tuple[int, dict[str, Any] | None]]:
        with ExitStack() as opened:
            try:
                root_fd = opened.enter_context(files.opened_directory(self.settings.root))
                private_fd = opened.enter_context(files.opened_directory(PRIVATE, root_fd))
            except FileNotFoundError:
                private_fd = -1
            yield private_fd, None if private_fd < 0 else _read_marker(_BACKEND_MARKER, private_fd)

    def _prepare_pool(self, name: str, identity: str) -> None:
        path = self.settings.pools[name]
        os.makedirs(path, mode=0o755, exist_ok=True)  # noqa: PTH103 - as in prepare
        with files.opened_directory(path) as pool_fd, _private_folder(pool_fd) as private_fd:
            marker: Mapping[str, Any] = {"identity": identity, "pool": name}
            existing = _read_marker(_POOL_MARKER, private_fd)
            if existing is not None and existing != marker:
                message = f"{path!r} already is a pool of another backend; give the pool {name!r} a folder of its own"
                raise PoolError(message)
            _make_folders(_POOL_FOLDERS, private_fd)
            files.write_durably(".", _POOL_MARKER, orjson.dumps(marker), private_fd)
            os.fsync(pool_fd)


@contextmanager
def _private_folder(parent_fd: int) -> Iterator[int]:
    with suppress(FileExistsError):
        os.mkdir(PRIVATE, 0o700, dir_fd=parent_fd)
    with files.opened_directory(PRIVATE, parent_fd) as private_fd:
        yield private_fd


def _make_folders(names: tuple[str, ...], private_fd: int) -> None:
    for name in names:
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=private_fd)
    os.fsync(private_fd)


def _read_marker(name: str, private_fd: int) -> dict[str, Any] | None:
    content = files.read_bounded(name, private_fd, _MAX_MARKER_BYTES)
    if content is None:
        return None
    is_sound = is_newer = False
    try:
        marker = orjson.loads(content)
        is_newer = marker.get("format", _FORMAT) > _FORMAT
        is_sound = isinstance(marker["identity"], str) and (
            name != _BACKEND_MARKER or isinstance(marker["pools"], list)
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        marker = None
    if is_newer:
        message = f"the marker {PRIVATE}/{name} was written by a newer sharectl; use that one"
        raise BackendUnavailableError(message)
    if not is_sound:
        message = (
            f"the marker {PRIVATE}/{name} is damaged; restore it from a backup: without it nothing here is touched"
        )
        raise BackendUnavailableError(message)
    sound: dict[str, Any] = marker
    return sound


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as cause:
        if cause.errno not in {errno.EAGAIN, errno.EACCES}:
            raise
        return False
    return True
