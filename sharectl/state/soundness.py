"""Rows that SQLite takes for sound and that sharectl would never have written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from sharectl.model.kinds import Kind
from sharectl.model.share_networks import ShareServerSpec
from sharectl.model.specs import ShareSpec, SnapshotSpec
from sharectl.model.verbs import Verb
from sharectl.state.document import DocumentError, parse
from sharectl.state.sqlite.errors import damaged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sharectl.model.records import Record
    from sharectl.state.contract import StateStore

_SPECS: Final[Mapping[Kind, Callable[[Any], ShareSpec | SnapshotSpec | ShareServerSpec]]] = {
    Kind.SHARE: ShareSpec.from_plain,
    Kind.SNAPSHOT: SnapshotSpec.from_plain,
    Kind.SHARE_SERVER: ShareServerSpec.from_plain,
}
_ATTRIBUTES: Final[Mapping[Kind, Mapping[str, type]]] = {
    Kind.SHARE: {"backend_id": str, "name": str, "export_locations": list},
    Kind.SNAPSHOT: {"backend_id": str, "name": str, "share_resource_id": str, "share_backend_id": str},
    Kind.SHARE_SERVER: {"backend_id": str, "name": str, "allocations": list},
}


def expect_sound_rows(store: StateStore) -> None:
    """Look at every row, its spec and what its backend answered; raises StateCorruptError at the first that is wrong.

    Reads and decodes everything: for a command that has failed in a way that it should not.
    """
    try:
        document = parse(store.export_document())
    except DocumentError as problem:
        raise damaged(store.location, str(problem)) from problem
    for record in document.records:
        wrong = _problem(record)
        if wrong:
            raise damaged(store.location, f"the row of {record.address} {wrong}")
    for operation in document.operations:
        if operation.verb not in set(Verb):
            raise damaged(store.location, f"the open operation on {operation.address} does {operation.verb!r}")


def _problem(record: Record) -> str:
    kind = Kind(record.kind)
    spec = _SPECS.get(kind)
    if spec is not None:
        try:
            made = spec(orjson.loads(record.spec))
        except (TypeError, ValueError, KeyError, AttributeError) as failure:
            return f"has a spec that is none ({type(failure).__name__}: {failure})"
        if isinstance(made, ShareSpec) and (type(made.size_bytes) is not int or made.size_bytes <= 0):
            return f"has a spec of the size {made.size_bytes!r}"
        if not isinstance(made.name, str):
            return "has a spec without a name"
        if not record.backend:
            return "is on no backend"
    attributes = orjson.loads(record.attributes)
    for name, type_ in _ATTRIBUTES.get(kind, {}).items():
        if not isinstance(attributes.get(name), type_):
            return f"lacks what its backend answered: {name}"
    return ""
