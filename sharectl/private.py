"""What sharectl keeps to itself: files that are whole or not there, in folders readable by their owner alone, which git ignores; and secrets."""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = ".sharectl"
MODE: Final = 0o700
DRAFT_SUFFIX: Final = ".draft"
"""The end of the name of a file that is not whole yet; one that is old was left by a process that was killed."""
_DRAFT: Final = re.compile(rf"(\.[0-9a-f]{{16}}{re.escape(DRAFT_SUFFIX)})+(-wal|-shm|-journal)?")
"""How the names of drafts end, of drafts of those, and of the files that SQLite has beside them."""
_FORGOTTEN_AFTER_SECONDS: Final = 3600.0
_MOST_OF_NAME: Final = 100
_WAYS_OUT: Final = {
    errno.ENOSPC: "make room on its file system, and run the command again",
    errno.EDQUOT: "make room within the quota, or raise it, and run the command again",
    errno.EROFS: "its file system is read-only: mount it for writing",
    errno.EIO: "see to the disk; the log of the system says more",
    **dict.fromkeys((errno.EACCES, errno.EPERM), "check its permissions, and those of its folder"),
}
_OTHERS_WRITE: Final = stat.S_IWOTH
MAX_SECRET_BYTES: Final = 64 * 1024
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
_IGNORE: Final = """\
# Written by sharectl: the state and the cache belong to this machine, not into git.
*
"""


@contextmanager
def draft_of(
    target: Path, *, mode: int = 0o600, is_new: bool = False, is_durable: bool = True, suffix: str = DRAFT_SUFFIX
) -> Iterator[Path]:
    """Yield the path of an empty file beside `target`, which takes its name in one step when the block ends, and is gone if the block fails.

    `mode` is less the umask. Where `is_new`, a file that is at `target` by then stays: FileExistsError. Raises OSError.
    """
    draft = target.with_name(f"{beginning_of_drafts(target)}.{os.urandom(8).hex()}{suffix}")
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        yield draft
        if is_durable:
            os.fsync(descriptor)
        if is_new:
            target.hardlink_to(draft)
        else:
            draft.replace(target)
        if is_durable:
            sync_directory(target.parent)
    finally:
        os.close(descriptor)
        draft.unlink(missing_ok=True)


def beginning_of_drafts(target: Path) -> str:
    """Return how the names of drafts of `target` begin."""
    return f".{target.name[:_MOST_OF_NAME]}"


def sweep_drafts(folder: Path, *beginnings: str) -> None:
    """Remove the drafts in `folder` whose names begin so, or all, that processes that were killed have left there: those of an hour ago or earlier."""
    ours = re.compile(rf"({'|'.join(map(re.escape, beginnings)) or '.*'}){_DRAFT.pattern}")
    with suppress(OSError):
        for path in folder.iterdir():
            if ours.fullmatch(path.name) and time.time() - path.lstat().st_mtime > _FORGOTTEN_AFTER_SECONDS:
                path.unlink()


def way_out(problem: OSError, otherwise: str) -> str:
    """Return what to do where something could not be written: what mends the disk or the permissions, or `otherwise` where it is neither."""
    return _WAYS_OUT.get(problem.errno or 0, otherwise)


def may_replace(target: Path, beginning: bytes) -> bool:
    """Tell whether nothing is lost when a file of ours takes the place of `target`: it is missing, empty, or a file that begins as ours do. Raises OSError."""
    try:
        descriptor = os.open(target, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    with os.fdopen(descriptor, "rb") as file:
        return stat.S_ISREG(os.fstat(descriptor).st_mode) and file.read(len(beginning)) in {b"", beginning}


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_private(directory: Path) -> list[Path]:
    """Make `directory` and what is missing above it with mode 0700, whatever the umask; return what was made, the topmost first.

    Git is told to ignore what is in a folder called `.sharectl`, and in any other that is made in a checkout. Raises OSError.
    """
    missing: list[Path] = []
    for parent in (directory, *directory.parents):
        if parent.exists():
            break
        missing.insert(0, parent)
    for parent in missing:
        parent.mkdir(mode=MODE, exist_ok=True)
    ours = next((folder for folder in (directory, *missing) if folder.name == NAME), None)
    if ours is not None:
        write_ignore_file(ours)
    elif missing and any((parent / ".git").exists() for parent in directory.parents):
        write_ignore_file(directory)
    return missing


def write_ignore_file(directory: Path) -> None:
    """Tell git to ignore everything in `directory`, unless there is a .gitignore already; do without if it cannot be written."""
    file = directory / ".gitignore"
    with suppress(OSError):
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as ignore:
            ignore.write(_IGNORE)


def mend_private(directory: Path, state: Path | None) -> None:
    """Take from others what an earlier version, or the umask, gave them of an existing `.sharectl` of this user.

    Where the mode of the state file was widened on purpose, so that others may read it, they may still enter, and only
    the right of everybody to write goes.
    """
    with suppress(OSError):
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return
        mode = stat.S_IMODE(found.st_mode)
        wanted = mode & ~_OTHERS_WRITE if state is not None and _is_shared(state) else mode & ~0o077
        if wanted != mode:
            directory.chmod(wanted)
        if not (directory / ".gitignore").exists():
            write_ignore_file(directory)


def _is_shared(state: Path) -> bool:
    try:
        return bool(state.stat().st_mode & 0o077)
    except OSError:
        return False


class SecretError(Exception):
    """A reference to a secret that leads nowhere; `str()` names the reference, never a value."""


def read_secret(form: str, target: str, base_directory: str = "") -> str:
    """Return the secret that `{env: NAME}` or `{file: PATH}` names (`form` is `env` or `file`); a relative path is under `base_directory`. Raises SecretError."""
    return _from_environment(target) if form == "env" else _from_file(target, base_directory)


def _from_environment(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        message = f"the secret {{env: {name}}} is not there: set the environment variable {name}"
        raise SecretError(message)
    return value


def _from_file(path: str, base_directory: str) -> str:
    try:
        # Read through a descriptor, so that the size that was bounded is the size that is read.
        with (Path(base_directory) / path).open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
        if content.startswith(_UTF_16) or b"\0" in content:
            message = f"the secret {{file: {path}}} cannot be used: it is UTF-16 or no text; save it as UTF-8"
            raise SecretError(message)
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Not chained: the exception holds the bytes, which are the secret.
        message = f"the secret {{file: {path}}} cannot be used: it is not UTF-8 text"
        raise SecretError(message) from None
    except (OSError, ValueError) as cause:
        reason = cause.strerror if isinstance(cause, OSError) else "it is not a path"
        message = f"the secret {{file: {path}}} cannot be read: {reason}"
        raise SecretError(message) from cause
    if len(content) > MAX_SECRET_BYTES:
        message = f"the secret {{file: {path}}} cannot be used: it is larger than {MAX_SECRET_BYTES} bytes"
        raise SecretError(message)
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret:
        message = f"the secret {{file: {path}}} cannot be used: the file is empty"
        raise SecretError(message)
    return secret
