"""Names and comments on the array, which are all that it remembers of sharectl.

Volumes, snapshots and SVMs have comments, which begin with a note: `sharectl:ID key=value …`, and what stood there before behind
`; `. What has no comment (policies, LIFs, IPspaces, broadcast domains) carries the id in its name.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from sharectl.drivers.base import DriverError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OWNER: Final = "sharectl"
MAX_VOLUME_NAME: Final = 203
MAX_COMMENT: Final = 1023
MAX_SVM_COMMENT: Final = 255
CLOSED_POLICY: Final = f"{OWNER}_none"
"""The export policy without rules that every share has which nobody may reach over NFS."""

_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_NOTE: Final = re.compile(rf"{OWNER}:([A-Za-z0-9-]{{1,64}})((?: [a-z_]+=[^ ;]*)*)(?:; (.*))?", re.DOTALL)
_BEFORE_WORDS: Final = "; "
_HASH_LENGTH: Final = 8


@dataclass(frozen=True, slots=True)
class Note:
    """What a comment says: the id under which sharectl made the object, what it has to know of it again, and the words of others."""

    resource_id: str
    values: Mapping[str, str] = field(default_factory=dict)
    words: str = ""

    def without(self, *keys: str) -> Note:
        """Return the note without these values."""
        return Note(self.resource_id, {key: value for key, value in self.values.items() if key not in keys}, self.words)

    def having(self, **values: str) -> Note:
        """Return the note with these values as well."""
        return Note(self.resource_id, {**self.values, **values}, self.words)


def read_note(comment: object) -> Note | None:
    """Return what a comment says; None where sharectl did not write it."""
    found = _NOTE.fullmatch(comment) if isinstance(comment, str) else None
    if found is None:
        return None
    pairs = (pair.partition("=") for pair in found[2].split())
    return Note(found[1], {key: unquote(value) for key, _, value in pairs}, found[3] or "")


def comment_of(note: Note, longest: int = MAX_COMMENT) -> str:
    """Return the comment that says this. The words of others are cut where they do not fit; raises DriverError where the rest does not."""
    pairs = "".join(f" {key}={quote(value, safe='/')}" for key, value in note.values.items())
    text = f"{OWNER}:{note.resource_id}{pairs}"
    if _ID.fullmatch(note.resource_id) is None or len(text) > longest:
        message = f"what sharectl has to write into the comment of {note.resource_id!r} does not fit there"
        raise DriverError(message)
    room = longest - len(text) - len(_BEFORE_WORDS)
    if not note.words or room < 1:
        return text
    words = note.words if len(note.words) <= room else f"{note.words[: room - 1]}…"
    return f"{text}{_BEFORE_WORDS}{words}"


def id_filter(resource_id: str) -> str:
    """Return the pattern of the comments of one id, and of those that begin like it: `read_note` tells them apart."""
    return f"{OWNER}:{resource_id}*"


def short_id(resource_id: str) -> str:
    """Return a few letters that tell ids apart: in names of what can have no comment, the whole id stands instead."""
    return hashlib.sha256(resource_id.encode()).hexdigest()[:_HASH_LENGTH]


def volume_name(name: str) -> str:
    """Return the name of the volume of a share that is called so; shares whose names differ in `-`, `.` and `_` alone have the same here."""
    stem = re.sub(r"[^A-Za-z0-9_]", "_", name)[:MAX_VOLUME_NAME]
    return stem if re.match(r"[A-Za-z_]", stem) else f"_{stem}"[:MAX_VOLUME_NAME]


def candidate_names(name: str, resource_id: str) -> Iterator[tuple[str, str]]:
    """Yield the name of a share's volume and its path, the plain ones first, then those that no other share has."""
    plain = volume_name(name)
    yield plain, f"/{name}"
    suffix = short_id(resource_id)
    yield f"{plain[: MAX_VOLUME_NAME - len(suffix) - 1]}_{suffix}", f"/{name}-{suffix}"


def trash_name(resource_id: str) -> str:
    """Return the name of a share's volume in the trash."""
    return f"trash_{short_id(resource_id)}"


def plain_id(resource_id: str) -> str:
    """Return the id in the letters that names on the array may have."""
    return re.sub(r"[^A-Za-z0-9]", "_", resource_id)
