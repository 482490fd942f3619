"""Which names a volume or a snapshot may have in a pool: one component of a path, with nothing in it that misleads."""

from __future__ import annotations

import re
from typing import Final

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind

_LONGEST_BYTES: Final = (
    200  # 255 is the limit of file systems; the rest is for the endings of files that belong to the volume
)
_SHARE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,69}")
_RESERVED: Final = frozenset({"lost+found"})


def is_volume_name(name: str) -> bool:
    """Tell whether the name is one path component, printable, at most 200 bytes, not hidden, and not a file system's own."""
    return (
        bool(name)
        and not name.startswith(".")
        and "/" not in name
        and name.isprintable()
        and name not in _RESERVED
        and len(name.encode("utf-8", "surrogatepass")) <= _LONGEST_BYTES
    )


def is_shown(name: str) -> bool:
    """Tell whether a listing shows a volume of this name: not one of the file system's own, or a hidden one."""
    return bool(name) and not name.startswith(".") and name not in _RESERVED


def foreign_name(name: str) -> tuple[str, str] | None:
    """Return how the name of a volume that sharectl did not make is written down, and why it cannot be taken over, if it cannot.

    None is a name of the file system's own, or a hidden one.
    """
    if not is_shown(name):
        return None
    if is_volume_name(name):
        return name, ""
    escaped = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if escaped != name:
        return escaped, "its name is not UTF-8"
    if not name.isprintable():
        escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
        return escaped, "its name has control characters"
    return name, f"its name is longer than {_LONGEST_BYTES} bytes"


def require_volume_name(name: str) -> str:
    """Return the name; raises REFUSED where it is none for a volume."""
    if not is_volume_name(name):
        message = (
            f"{name!r} cannot be the name of a volume: it must be one printable path component of at most "
            f"{_LONGEST_BYTES} bytes that does not begin with a dot"
        )
        raise Problem(ProblemKind.REFUSED, message)
    return name


def problem_of_share_name(name: str) -> str | None:
    """Return why no share can be made under this name, None where one can."""
    if _SHARE_NAME.fullmatch(name):
        return None
    return f"{name[:80]!r} cannot be the name of a share here: up to 70 letters, digits, '.', '_' and '-', starting with a letter or digit"


def taken(pool: str, volume: str) -> Problem:
    """Return what is said where the name of a new volume is that of something which sharectl did not make."""
    message = (
        f"{volume!r} already is in the pool {pool!r}, and sharectl did not make it; "
        "import it, move it away, or call the share something else"
    )
    return Problem(ProblemKind.CONFLICT, message)
