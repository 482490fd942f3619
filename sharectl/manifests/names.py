"""Names that file systems, exports and labels can take, and the former names in annotations."""

from __future__ import annotations

import re
from typing import Final

from sharectl.model.export_names import WINDOWS_DEVICE

MOVED_FROM: Final = "sharectl/moved-from"
NAME_LIMIT: Final = 63
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
_UNSAFE: Final = re.compile(r"[^a-z0-9._-]+")
_SAMBA_SECTIONS: Final = frozenset({"global", "homes", "printers", "ipc", "admin", "print"})


def is_name(text: object) -> bool:
    """Tell whether `text` has the form of a name; the schemas say the same."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def why_not_exportable(name: str, protocol: str = "CIFS") -> str:
    """Return why no file system or export would take the share or snapshot `name`, or an empty string.

    What Windows and Samba keep for themselves does not concern a share of another protocol.
    """
    if ".." in name:
        return "two dots in a row are the way out of a directory"
    if protocol != "CIFS":
        return ""
    if WINDOWS_DEVICE.fullmatch(name):
        return "Windows knows a device of this name, and opens that instead"
    if name in _SAMBA_SECTIONS:
        return "Samba gives a section of this name a meaning of its own"
    return ""


def safe_name(text: str, protocol: str = "CIFS") -> str:
    """Return a name that the manifest of a share of this protocol takes, as near to `text` as can be."""
    name = re.sub(r"\.{2,}", ".", _UNSAFE.sub("-", _plain(text))).strip("-._")[:NAME_LIMIT].strip("-._")
    if not name:
        return "share"
    return f"share-{name}"[:NAME_LIMIT].strip("-._") if why_not_exportable(name, protocol) else name


def _plain(text: str) -> str:
    """Return the text in lower case, its letters without accents: `Büro` is `buro`, not `b-ro`."""
    if text.isascii():
        return text.lower()
    import unicodedata  # noqa: PLC0415 - names of shares are ASCII, but for those that others gave

    return "".join(each for each in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(each))


def former_names(annotation: str) -> list[str]:
    """Return the names in the text of a `sharectl/moved-from` annotation, in order."""
    return [name.strip() for name in annotation.split(",")]
