"""Names under which clients see shares: what SMB and NFS can bear, and when two of them are one to somebody."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from sharectl.model.letters import is_seen

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_CHARACTERS: Final = 80
"""Windows takes no longer name of a share; it counts UTF-16 units."""

_MOST_PATH_BYTES: Final = 255
WINDOWS_DEVICE: Final = re.compile(r"(?:con|prn|aux|nul|(?:com|lpt)[0-9])(?:\..*)?")
"""Names that Windows opens as a device, in lower case."""

_SAMBA_OWN: Final = frozenset({"global", "homes", "printers", "ipc$", "admin$", "print$", "fax$"})
# What smb.conf(5) or Windows would read as something else; the quotation mark and the backslash also end names in other grammars.
_NOT_IN_SMB: Final = frozenset('[]%/\\:|<>+=;,*?"')
_NOT_IN_NFS: Final = frozenset('"\\')
_SNAPSHOTS: Final = ".snapshots"
# Controls, formats (which do not show), surrogates, private and unassigned characters, ends of lines; of the spaces one alone is read.
_UNPRINTED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def canonical(name: str) -> str:
    """Return the name as it is kept: composed (NFC), as clients send it."""
    return unicodedata.normalize("NFC", name)


def key(name: str) -> str:
    """Return what two names have in common that are one to a server or a client, which ignore case and composition."""
    if name.isascii():
        return name.casefold()
    # By capitals first: a dotless i and a long s have those of others, for which whoever compares capitals takes them.
    return canonical(canonical(name).upper().casefold())


def outer_keys(name: str) -> Iterator[str]:
    """Yield the keys of the paths that a path runs through: an export below another one is none that servers take."""
    parts = key(name).split("/")
    yield from ("/".join(parts[:length]) for length in range(1, len(parts)))


def problem(name: str, protocols: tuple[str, ...]) -> str | None:
    """Return why no share can be exported under the name over these protocols, None where one can."""
    found = _problem_anywhere(name)
    if found is None and "CIFS" in protocols:
        found = _problem_in_smb(name)
    if found is None and "NFS" in protocols:
        found = _problem_in_nfs(name)
    return found


def _problem_anywhere(name: str) -> str | None:
    if name != canonical(name):
        return "it is not in composed form (NFC)"
    if not name or len(name.encode("utf-16-le", "surrogatepass")) > 2 * MOST_CHARACTERS:
        return f"it is empty, or longer than the {MOST_CHARACTERS} characters that Windows takes"
    if name != name.strip() or "  " in name:
        return "servers and clients drop spaces at an end and side by side"
    if any(_is_unprinted(character) for character in name) or not is_seen(name):
        return "it has control characters, or others that do not show"
    return None


def _is_unprinted(character: str) -> bool:
    category = unicodedata.category(character)
    return category in _UNPRINTED or (category == "Zs" and character != " ")


def _problem_in_smb(name: str) -> str | None:
    if forbidden := sorted(_NOT_IN_SMB.intersection(name)):
        return f"SMB has no {' '.join(forbidden)} in the name of a share"
    if key(name) in _SAMBA_OWN:
        return "Samba gives it a meaning of its own"
    if WINDOWS_DEVICE.fullmatch(key(name)):
        return "Windows knows a device of this name, and opens that instead"
    if name.startswith(("@", "&")):
        return f"it begins with {name[0]}, by which Samba tells groups"
    if name.endswith("."):
        return "Windows drops a dot at the end"
    return None


def _problem_in_nfs(name: str) -> str | None:
    if forbidden := sorted(_NOT_IN_NFS.intersection(name)):
        return f"NFS servers read {' '.join(forbidden)} in a path as something else"
    if name.startswith("/"):
        return "a path begins below the exports of the server, without a slash"
    parts = name.split("/")
    if not all(parts) or {".", "..", _SNAPSHOTS}.intersection(map(key, parts)):
        return f"a path has no empty part, no . or .. in it, and no {_SNAPSHOTS}, where clients see those of a share"
    if any(part != part.strip() for part in parts):
        return "a part of the path begins or ends with a space"
    if len(name.encode()) > _MOST_PATH_BYTES:
        return f"it is longer than {_MOST_PATH_BYTES} bytes"
    return None
