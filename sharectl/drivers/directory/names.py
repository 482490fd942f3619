"""Names: which directory a share gets, and who holds a name.

The index under `names/` holds one symbolic link per name, whose target is the resource id of the holder: made at one instant,
or not at all. It only speeds up what the records say, so a link whose holder is gone counts for nothing.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.drivers.base import ConflictError, DriverError
from sharectl.drivers.directory import files
from sharectl.model.export_names import key

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.drivers.directory.storage import Metadata, Pool

_MAX_NAME_BYTES: Final = 200  # leaves room for the suffix of a taken name in the 255 that file systems give
_MAX_ADOPTED_NAME_BYTES: Final = 255
_ID_PREFIX_LENGTH: Final = 8
_FOREIGN: Final = frozenset({"lost+found"})
_INDEX: Final = "names"


class ChosenName(NamedTuple):
    """What a share is called on disk, and by Windows clients."""

    directory: str
    export_name: str


def is_share_name(directory: str) -> bool:
    """Tell whether a directory of this name in a pool can be a share: hidden ones and the file system's own are not."""
    return not directory.startswith(".") and directory not in _FOREIGN


def problem_of_new(name: str) -> str | None:
    """Return why no share can be made with a directory of this name, None where one can."""
    problem = _problem(name, _MAX_NAME_BYTES)
    return None if problem is None else f"{name!r} cannot be the name of a share's directory: {problem}"


def check_share_name(name: str) -> None:
    """Raise DriverError where no share can be made with a directory of this name."""
    problem = problem_of_new(name)
    if problem is not None:
        raise DriverError(problem)


def is_adoptable(directory: str) -> bool:
    """Tell whether an existing directory of this name can be taken over."""
    return _problem(directory, _MAX_ADOPTED_NAME_BYTES) is None


def shown(directory: str) -> tuple[str, str]:
    """Return the name of an existing directory as it can be written down, and why it cannot be taken over, if it cannot."""
    name = os.fsencode(directory).decode(errors="backslashreplace")
    if name != directory:
        return name, "its name is not UTF-8"
    if not name.isprintable():
        escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
        return escaped, "its name has control characters"
    problem = _problem(directory, _MAX_ADOPTED_NAME_BYTES)
    return name, "" if problem is None else problem


def claim_new_name(  # noqa: PLR0913, PLR0917 - both names, for whom, and from whom they may be taken
    metadata: Metadata,
    pool: Pool,
    resource_id: str,
    name: str,
    may_take_from: Callable[[str], bool],
    export_name: str | None = None,
) -> ChosenName:
    """Reserve a name for a new share: `name`, or with the start of the id where another share has it; and `export_name`, if given.

    `may_take_from` tells whether the share with an id has no use for its name any more. Raises ConflictError where something is in the
    way that sharectl does not own. Precondition: the storage is locked.
    """
    if export_name is not None:
        require_free(metadata, resource_id, export_name, may_take_from)
    for wanted in (name, f"{name}-{resource_id[:_ID_PREFIX_LENGTH]}"):
        keys = (_directory_key(pool.name, wanted), _export_key(export_name or wanted))
        if any(_is_held(metadata, held, resource_id, may_take_from) for held in keys):
            continue
        if files.status_of(wanted, pool.fd) is not None:
            message = (
                f"{wanted!r} already is in the pool {pool.name!r}, and sharectl did not make it; "
                "import it, move it away, or call the share something else"
            )
            raise ConflictError(message)
        for held in keys:
            _hold(metadata, held, resource_id)
        files.sync_directory(_INDEX, metadata.private_fd)
        return ChosenName(wanted, export_name or wanted)
    message = f"both {name!r} and that name with the start of the id are taken in the backend"
    raise ConflictError(message)


def require_free(metadata: Metadata, resource_id: str, export_name: str, may_take_from: Callable[[str], bool]) -> None:
    """Raise ConflictError where another share has a name for Windows clients. Precondition: the storage is locked."""
    held = _export_key(export_name)
    if _is_held(metadata, held, resource_id, may_take_from):
        message = f"the share with the id {_holder(metadata, held)} is exported as {export_name!r} already"
        raise ConflictError(message)


def claim_export_name(metadata: Metadata, resource_id: str, export_name: str) -> None:
    """Reserve another name for Windows clients, which is free. Precondition: the storage is locked."""
    _hold(metadata, _export_key(export_name), resource_id)
    files.sync_directory(_INDEX, metadata.private_fd)


def release_export_name(metadata: Metadata, resource_id: str, export_name: str) -> None:
    """Give up a name for Windows clients, unless another share took it meanwhile. Precondition: the storage is locked."""
    if _holder(metadata, _export_key(export_name)) == resource_id:
        os.unlink(_export_key(export_name), dir_fd=metadata.private_fd)


def is_taken(metadata: Metadata, resource_id: str, export_name: str) -> bool:
    """Tell whether another share has a name for Windows clients, or had it and its end is not seen to."""
    return _holder(metadata, _export_key(export_name)) not in {None, resource_id}


def is_same_export(one: str, other: str) -> bool:
    """Tell whether Windows clients see no difference between two names."""
    return key(one) == key(other)


def claim_existing_directory(metadata: Metadata, pool: Pool, resource_id: str, directory: str) -> ChosenName:
    """Reserve the name of an existing directory for the share that adopts it. Precondition: the storage is locked."""
    export_name = directory
    holder = _holder(metadata, _export_key(export_name))
    if holder not in {None, resource_id} and metadata.shares.read(str(holder)) is not None:
        export_name = f"{directory}-{resource_id[:_ID_PREFIX_LENGTH]}"
    _hold(metadata, _directory_key(pool.name, directory), resource_id)
    _hold(metadata, _export_key(export_name), resource_id)
    files.sync_directory(_INDEX, metadata.private_fd)
    return ChosenName(directory, export_name)


def holder_of(metadata: Metadata, pool_name: str, directory: str) -> str | None:
    """Return the resource id for which a directory is reserved."""
    return _holder(metadata, _directory_key(pool_name, directory))


def release(metadata: Metadata, pool_name: str, chosen: ChosenName, resource_id: str) -> None:
    """Give up the names that the share with this id holds; those that another took meanwhile are left. Precondition: locked."""
    for held in (_directory_key(pool_name, chosen.directory), _export_key(chosen.export_name)):
        if _holder(metadata, held) == resource_id:
            os.unlink(held, dir_fd=metadata.private_fd)


def _problem(name: str, limit_bytes: int) -> str | None:
    if not name or "/" in name or not name.isprintable() or not is_share_name(name):
        return "it is empty, hidden, a path, reserved, or has control characters"
    if len(name.encode()) > limit_bytes:
        return f"it is longer than {limit_bytes} bytes"
    return None


def _directory_key(pool_name: str, directory: str) -> str:
    return _key("directory", pool_name, directory)


def _is_held(metadata: Metadata, held: str, resource_id: str, may_take_from: Callable[[str], bool]) -> bool:
    """Tell whether another share has a name and keeps it."""
    holder = _holder(metadata, held)
    if holder is None or holder == resource_id or may_take_from(holder):
        return False
    return (
        _holder(metadata, held) == holder
    )  # asked for it, a share may let go of a name that it only had not released yet


def _export_key(export_name: str) -> str:
    # Windows clients see no difference between upper and lower case.
    return _key("export", key(export_name))


def _key(*parts: str) -> str:
    # A digest, because a file name cannot hold every name with its pool.
    return f"{_INDEX}/{hashlib.blake2b('/'.join(parts).encode(), digest_size=20).hexdigest()}"


def _holder(metadata: Metadata, held: str) -> str | None:
    with suppress(FileNotFoundError):
        return os.readlink(held, dir_fd=metadata.private_fd)
    return None


def _hold(metadata: Metadata, held: str, resource_id: str) -> None:
    if _holder(metadata, held) != resource_id:
        with suppress(FileNotFoundError):
            os.unlink(held, dir_fd=metadata.private_fd)
        os.symlink(resource_id, held, dir_fd=metadata.private_fd)
