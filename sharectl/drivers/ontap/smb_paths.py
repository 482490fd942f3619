"""SMB shares that lead where a volume is about to be mounted: the array keeps them when a volume goes, with all whom they let in."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import ConflictError
from sharectl.drivers.ontap.errors import ArrayError
from sharectl.drivers.ontap.smb import SHARES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sharectl.drivers.ontap.client import Array
    from sharectl.model.canonical import JsonObject

_FRESH_SECONDS: Final = 2.0
_OF_THE_SERVER: Final = frozenset({"c$", "ipc$", "admin$"})
_ADMINISTRATORS: Final = frozenset({"builtin\\administrators", "administrators", "s-1-5-32-544"})


class SmbPaths:
    """The SMB shares of each SVM, read at most once in two seconds, since thousands of volumes may be made one after the other.

    An SMB share cannot be made for a path that is not there, so that one which leads to a path where nothing is mounted was left behind
    when a volume went.
    """

    def __init__(self, array: Array, clock: Callable[[], float] = time.monotonic) -> None:
        """Read nothing yet."""
        self._array, self._clock = array, clock
        self._lock = threading.Lock()
        self._read: dict[str, tuple[float, Sequence[JsonObject]]] = {}

    def check(self, svm: str, path: str) -> None:
        """Raise ConflictError where an SMB share leads to a path, below it or above it: whoever may use that would reach what is mounted there.

        Where the login may see no SMB shares, nothing is known of them, and nothing is refused.
        """
        with self._lock:
            read_at, shares = self._read.get(svm, (0.0, ()))
            is_new = svm not in self._read or self._clock() - read_at > _FRESH_SECONDS
            found = [] if is_new else leading_to(path, shares)
            if is_new or found:  # one that was there may have gone
                shares = self._shares(svm)
                self._read[svm] = (self._clock(), shares)
                found = leading_to(path, shares)
        if found:
            names = " and ".join(repr(str(each["name"])) for each in found)
            message = (
                f"{self._array.name}: the SVM {svm} has the SMB share {names} that leads to {_led_to(path, found)}, where nothing is mounted yet: "
                "whoever it lets in would reach the share; remove it on the array"
            )
            raise ConflictError(message)

    def forget(self, svm: str) -> None:
        """Read them again the next time: a volume went."""
        with self._lock:
            self._read.pop(svm, None)

    def _shares(self, svm: str) -> Sequence[JsonObject]:
        try:
            return self._array.records(SHARES, svm=svm, query={"svm.name": svm}, fields=("name", "path", "acls"))
        except ArrayError as problem:
            if problem.kind != "auth":
                raise
            return ()


def leading_to(path: str, shares: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the SMB shares that lead to a path, below it, or to a folder above it where they let somebody in."""
    above = set(parents_of(path))
    return [
        share
        for share in shares
        if (folder := str(share.get("path"))) == path
        or folder.startswith(f"{path}/")
        or (folder in above and lets_in(share))
    ]


def parents_of(path: str) -> tuple[str, ...]:
    """Return the folders above a path, from the root on."""
    parts = path.strip("/").split("/")
    return tuple("/" + "/".join(parts[:number]) for number in range(len(parts)))


def lets_in(share: JsonObject) -> bool:
    """Tell whether an SMB share is open to others than administrators of the server, who reach everything by its own shares."""
    if str(share["name"]).lower() in _OF_THE_SERVER:
        return False
    return any(
        entry.get("permission") != "no_access" and str(entry.get("user_or_group", "")).lower() not in _ADMINISTRATORS
        for entry in share.get("acls", ())
    )


def _led_to(path: str, found: Sequence[JsonObject]) -> str:
    folder = str(found[0].get("path"))
    return path if folder == path or folder.startswith(f"{path}/") else f"{folder}, above {path}"
