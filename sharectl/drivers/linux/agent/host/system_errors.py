"""What the operating system's errors mean for a volume: from errno to Problem."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS: Final[Mapping[int, ProblemKind]] = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), ProblemKind.POOL),
    **dict.fromkeys(
        (
            errno.EIO,
            errno.EROFS,
            errno.EUCLEAN,
            errno.ESTALE,
            errno.ENOTCONN,
            errno.ENODEV,
            errno.ENXIO,
            errno.ESHUTDOWN,
        ),
        ProblemKind.UNAVAILABLE,
    ),
    **dict.fromkeys(
        (errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ETXTBSY),
        ProblemKind.TRANSIENT,
    ),
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR, errno.ELOOP, errno.ENOTEMPTY, errno.EISDIR), ProblemKind.CONFLICT),
    errno.ENOENT: ProblemKind.NOT_FOUND,
}
_HOW_TO_MEND: Final[Mapping[int, str]] = {
    errno.ENOSPC: "; delete what is not needed or grow the pool",
    errno.EDQUOT: "; the size is too small for what is in it",
    errno.EROFS: "; the file system went read-only, the kernel's log (dmesg) says why",
    errno.EIO: "; the kernel's log (dmesg) says which device failed",
    errno.EUCLEAN: "; the file system is damaged, check it before it is used again",
    errno.EPERM: "; the agent must be root with its capabilities",
    errno.EACCES: "; the agent must be root with its capabilities",
}


def problem_of(error: OSError, what: str) -> Problem:
    """Return the Problem that tells people what an error of the system means; `what` says what could not be done."""
    code = error.errno if error.errno is not None else 0
    place = f" ({os.fsdecode(error.filename)!r})" if isinstance(error.filename, str | bytes) else ""
    kind = _KINDS.get(code, ProblemKind.REFUSED)
    return Problem(kind, f"{what}: {error.strerror or error}{place}{_HOW_TO_MEND.get(code, '')}")


class told_as:  # noqa: N801 - what it is used as; a generator would take three times as long, around each call of a pool
    """Turn an error of the system inside into a Problem; `what` says what cannot be done then."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        """Remember."""
        self._what = what

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Raise the Problem."""
        if isinstance(error, OSError):
            raise problem_of(error, self._what) from error
