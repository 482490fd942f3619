"""Rows that SQLite takes for sound and that sharectl would never have written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from sharectl.model.kinds import Kind
from sharectl.model.table import KINDS, attribute_shapes, row_shapes
from sharectl.model.verbs import Verb
from sharectl.state.document import DocumentError, parse
from sharectl.state.sqlite.errors import damaged

if TYPE_CHECKING:
    from sharectl.model.records import Record
    from sharectl.state.contract import StateStore


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
    for shapes, data in ((row_shapes(kind), record.spec), (attribute_shapes(kind), record.attributes)):
        fault = "" if shapes is None else shapes.fault(orjson.loads(data))
        if fault:
            return fault
    return "is on no backend" if KINDS[kind].records_spec and not record.backend else ""
