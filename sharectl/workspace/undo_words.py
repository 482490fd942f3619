"""What undoing a run says of that which a patch cannot bring back, or leaves alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from sharectl.model.kinds import Kind, is_of
from sharectl.model.quantities import format_size
from sharectl.model.verbs import Verb

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sharectl.model.canonical import JsonObject
    from sharectl.model.kinds import Address
    from sharectl.workspace.run_changes import Deed

LOST: Final = {
    Verb.DELETE_SHARE: "its data was destroyed; the patch brings its manifest back, which makes it again, empty",
    Verb.DELETE_SNAPSHOT: "the snapshot was destroyed; a new one of that name would hold what is in the share now",
    Verb.REVERT_SHARE: "the share was turned back to a snapshot: what had been written since is gone",
}
OF_NETWORK: Final = (
    "it was changed with the manifest of its share network, or of a security service: change that by hand"
)
THINNED: Final = "its snapshot policy kept fewer snapshots: those that were let go are gone"
NO_RULE: Final = "access {} is nothing that a manifest can ask for"
REPLACED: Final = "it was replaced or made again, and was there before: its manifest is left as it is; git has the former one, where that was another"
PROTECTED: Final = (
    "it is protected, and a plan refuses to remove it: write `protect: false`, apply, and take the manifest away then"
)
KEPT: Final = {
    Verb.TRASH_SHARE: "it lies in the trash, if that was not emptied: `sharectl trash list` names it, and `sharectl import {address} ID` brings it back "
    "with its data before the manifest is applied",
    Verb.FORGET: "it stayed on its backend: `sharectl import {address} ID` takes it over again before the manifest is applied",
}


def begun_text(deed: Deed) -> str:
    """Say whose run has begun what is not undone here."""
    return f"{deed.verb} was begun by an earlier run, which was cut short, and is not undone here: `sharectl undo {deed.begun_by[:8]}` is about that one"


def forgotten_text(address: Address, plain: JsonObject) -> str:
    """Say what becomes of a resource without its manifest that is neither deleted nor put in the trash."""
    text = "without its manifest it is forgotten, and stays on its backend"
    if not is_of(Kind.SHARE, address) or plain.get("retain_access"):
        return text
    return f"{text}, without access: all its clients lose it, unless `sharectl state rm {address}` forgets it instead, before an apply"


def rename_text(deeds: Iterable[Deed]) -> str:
    """Say how a rename is undone."""
    former = next(
        (change.before for deed in deeds for change in deed.changes if change.field == "address"), "its former address"
    )
    return f"it was renamed from {former}: give its manifest the former name again, with the annotation sharectl/moved-from, by hand"


def changed_text(name: str, after: Any, now: Any) -> str:  # noqa: ANN401 - JSON
    """Say that a field of a manifest is `now` something else than `after` the run."""
    sized = [format_size(value) if name == "size" and isinstance(value, int) else value for value in (now, after)]
    shown = [value if isinstance(value, str) else orjson.dumps(value).decode() for value in sized]
    return f"its manifest has changed since: {name} is {shown[0]}, and was {shown[1]} after the run"
