"""URLs of states: the kind of store, and where it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

SCHEMES: Final = ("sqlite",)
"""The supported kinds of stores."""

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


class StateUrlError(ValueError):
    """A URL that names no state; `remedy` says how to write one. The URL is not repeated, for it may hold a password."""

    def __init__(self, reason: str, remedy: str) -> None:
        """Say why, and how to fix it."""
        super().__init__(reason)
        self.remedy = remedy


def is_state_url(text: str) -> bool:
    """Tell whether `text` is a URL rather than a path."""
    return _SCHEME.match(text) is not None


def url_of_file(path: Path) -> str:
    """Return the URL of the state in a file, whose path is absolute."""
    return f"sqlite:///{str(path).lstrip('/')}"


def path_in_state_url(url: str) -> str:
    """Return the path of the file in `sqlite:PATH` or `sqlite:///PATH`. Raises StateUrlError."""
    match = _SCHEME.match(url)
    scheme = "" if match is None else match[1]
    path = url[len(scheme) + 1 :]
    if path.startswith("///"):
        path = path[2:]
    remedy = f"there are: {', '.join(f'{known}:PATH' for known in SCHEMES)}"
    if scheme not in SCHEMES:
        reason = f"there is no store of the kind {scheme}" if scheme else "it does not say which kind of store it is"
        remedy = f"{did_you_mean(scheme, SCHEMES)} {remedy}".strip()
    elif path.startswith("//"):
        reason = "its file would be on another machine"
    elif not path:
        reason = "it names no file"
    else:
        return path
    raise StateUrlError(reason, remedy)
