"""SMB shares that lead where a volume is about to be mounted: the array keeps them when a volume goes, with all whom they let in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import ConflictError
from sharectl.drivers.ontap.errors import ArrayError
from sharectl.drivers.ontap.requests import Pattern
from sharectl.drivers.ontap.smb import SHARES

if TYPE_CHECKING:
    from sharectl.drivers.ontap.client import Array

_PLAIN_PATH: Final = re.compile(r"(?:/[A-Za-z0-9_.-]+)+")


def check_path(array: Array, svm: str, path: str) -> None:
    """Raise ConflictError where an SMB share leads to a path, or below it: whoever may use that would reach what is mounted there.

    Where the login may see no SMB shares, nothing is known of them, and nothing is refused.
    """
    wanted = Pattern(f"{path}|{path}/*") if _PLAIN_PATH.fullmatch(path) else path
    try:
        found = array.records(SHARES, svm=svm, query={"svm.name": svm, "path": wanted}, fields=("name", "path"))
    except ArrayError as problem:
        if problem.kind != "auth":
            raise
        return
    if found:
        names = " and ".join(repr(str(each["name"])) for each in found)
        message = (
            f"{array.name}: the SVM {svm} has the SMB share {names} that leads to {path}, where nothing is mounted yet: whoever "
            "it lets in would reach the share; remove it on the array"
        )
        raise ConflictError(message)
