"""The names and junction paths that volumes may have."""

from __future__ import annotations

import re
from typing import Final

from tests.emulators.ontap.errors import Refused

_LONGEST: Final = 203
_LONGEST_COMPONENT: Final = 255


def refuse_wrong_name(name: str) -> None:
    """Refuse a name that no volume can have."""
    if len(name) > _LONGEST:
        raise Refused(917886, f'The volume name "{name}" is longer than {_LONGEST} characters.', "name")
    if not re.match(r"[A-Za-z_]", name):  # an empty one too
        raise Refused(917887, f'The volume name "{name}" does not begin with a letter or "_".', "name")
    if not re.fullmatch(r"[A-Za-z0-9_]+", name):
        raise Refused(917888, f'The volume name "{name}" has characters other than letters, digits and "_".', "name")


def refuse_wrong_path(path: str) -> None:
    """Refuse what is no junction path."""
    components = path.split("/")[1:]
    if not path.startswith("/") or not all(_is_component(component) for component in components):
        raise Refused(918252, f'The junction path "{path}" is not valid.', "nas.path")


def _is_component(component: str) -> bool:
    printable = not re.search(r'[\x00-\x1f*#"<>|?\\]', component)
    return component not in {"", ".", ".."} and printable and len(component.encode()) <= _LONGEST_COMPONENT


def parent_of(path: str) -> str:
    """Return the path of the directory in which a junction stands."""
    return path.rpartition("/")[0] or "/"


def is_below(path: str, other: str) -> bool:
    """Tell whether a path is another, or in it."""
    return path == other or path.startswith(other.rstrip("/") + "/")
