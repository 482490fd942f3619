"""Names of what qtree shares are made of: volumes whose comments say what they are for, qtrees and export policies that have the id in their names.

Neither a qtree nor an export policy has a comment. What a qtree's name does not say of its share, the name of its export policy does.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import DriverError
from sharectl.drivers.ontap.exports import Treatment
from sharectl.drivers.ontap.names import OWNER
from sharectl.model.access import NFS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.model.canonical import JsonObject

PASSAGE_POLICY: Final = f"{OWNER}_qtrees"
"""The export policy of volumes that hold qtrees: all may pass, nobody may write."""
CONTAINER_NOTE: Final = f"{OWNER}-qtrees:"
"""How the comment of a volume begins that was made to hold qtrees; the name of their pool follows."""
MAX_SHARE_NAME: Final = 31
"""So long may the name of a share be that is a qtree, whose own name has the id too."""
MOST_ASKED: Final = 72
"""So many digits about options that change nothing a policy's name has room for."""

_DELETED: Final = "deleted"

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NAME: Final = re.compile(rf"(?:(?P<deleted>{_DELETED})|(?P<share>.{{1,31}}))_(?P<digits>[0-9a-f]{{32}})", re.DOTALL)
_CONTAINER: Final = re.compile(rf"{CONTAINER_NOTE}([A-Za-z][A-Za-z0-9_]{{0,62}})(?:; .*)?", re.DOTALL)
_POLICY: Final = re.compile(
    rf"{OWNER}_({_UUID.pattern})_q[0-9a-f]{{12}}(?:-[0-9]+)?\.([A-Z]+(?:_[A-Z]+)?)((?:\.[ctva][^.]*)*)"
)
_DIGEST_LENGTH: Final = 12
_PLACE_DIGITS: Final = 8
_UUID_LENGTH: Final = 36


def container_comment(pool: str) -> str:
    """Return the comment of a volume that is to hold the qtrees of a pool."""
    return f"{CONTAINER_NOTE}{pool}"


def pool_of_container(comment: object) -> str | None:
    """Return the pool whose qtrees a volume was made to hold, by its comment; None for any other volume."""
    found = _CONTAINER.fullmatch(comment) if isinstance(comment, str) else None
    return None if found is None else found[1]


def container_name(pool: str, number: int) -> str:
    """Return what a pool's volume of this number is called."""
    return f"qtrees_{pool}_{number}"


def digits_of(resource_id: str) -> str:
    """Return the digits of an id, of which a qtree's name has room for no more. Raises DriverError for what is no UUID."""
    if _UUID.fullmatch(resource_id) is None:
        message = f"{resource_id!r} is no UUID, and a qtree cannot be found by it again"
        raise DriverError(message)
    return resource_id.replace("-", "")


def qtree_name(name: str, resource_id: str) -> str:
    """Return the name of the qtree of a share."""
    return f"{name}_{digits_of(resource_id)}"


def deleted_name(resource_id: str) -> str:
    """Return the name that a qtree has from when it is withdrawn until the array has removed its files."""
    return f"{_DELETED}_{digits_of(resource_id)}"


def share_name_problem(name: str) -> str | None:
    """Return why a qtree share cannot be called so, None where it can."""
    if name == _DELETED:
        return f"qtrees that are being removed are called {name!r}, so that no share in one can be"
    if len(name) > MAX_SHARE_NAME:
        return f"the name of a qtree has 64 characters at most, and its id takes 33 of them: {name!r} is longer than {MAX_SHARE_NAME}"
    return None


def read_name(name: str) -> tuple[str | None, str, bool]:
    """Return the id in a qtree's name, None where there is none, the name of the share, and whether it is being deleted."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None, name, False
    digits = found["digits"]
    resource_id = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    return resource_id, found["share"] or name, found["deleted"] is not None


@dataclass(frozen=True, slots=True)
class Marks:
    """What the name of a share's export policy remembers: its protocols, how its clients are treated, which options of its rules were asked for although they change nothing, when it went to the trash, and the qtree that it is where that was taken over under its own name."""

    protocol: str = NFS
    treatment: Treatment | None = None
    asked: str = ""
    trashed: str = ""
    place: str = ""


def policy_name(resource_id: str, rules: Sequence[JsonObject], marks: Marks, attempt: int = 0) -> str:
    """Return the name of the policy of a qtree share with these rules; another attempt has another."""
    digest = hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()[:_DIGEST_LENGTH]
    parts = [f"{OWNER}_{resource_id}_q{digest}{f'-{attempt}' if attempt else ''}", marks.protocol]
    if marks.treatment is not None:
        squash, uid, flavours = marks.treatment
        parts.append(f"c{'-'.join((squash, uid, *flavours))}")
    asked = marks.asked.rstrip("0")
    parts += [f"{letter}{value}" for letter, value in (("a", asked), ("t", marks.trashed), ("v", marks.place)) if value]
    return ".".join(parts)


def read_policy_name(name: str) -> tuple[str, Marks] | None:
    """Return the id of the qtree share that a policy was made for, and what its name remembers; None for any other policy."""
    found = _POLICY.fullmatch(name)
    if found is None:
        return None
    values = {part[0]: part[1:] for part in found[3].split(".") if part}
    treatment = None
    if "c" in values:
        squash, uid, *flavours = [*values["c"].split("-"), ""][:6]
        treatment = Treatment(squash, uid, tuple(each for each in flavours if each))
    return found[1], Marks(found[2], treatment, values.get("a", ""), values.get("t", ""), values.get("v", ""))


def place_of(volume_uuid: str, number: int, name: str) -> str:
    """Return where a qtree is, and what it is called there, as the name of a policy remembers it."""
    return f"{volume_uuid}-{number}-{hashlib.sha256(name.encode()).hexdigest()[:_PLACE_DIGITS]}"


def number_in(place: str) -> int | None:
    """Return the number of a qtree by its place, None where it says none."""
    number = place[_UUID_LENGTH + 1 :].partition("-")[0]
    return int(number) if number.isdecimal() else None


def volume_in(place: str) -> str:
    """Return the UUID of the volume in a place."""
    return place[:_UUID_LENGTH]


def policies_of(resource_id: str) -> str:
    """Return how the names of all policies of a qtree share begin."""
    return f"{OWNER}_{resource_id}_q"


def time_in(compact: str) -> str:
    """Return a time that a policy's name remembers, as ISO 8601."""
    found = re.fullmatch(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", compact)
    return compact if found is None else "{}-{}-{}T{}:{}:{}Z".format(*found.groups())
