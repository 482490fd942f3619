"""Unfinished imports: that a share is to be taken over is remembered until it is, so that it is never made new and empty instead.

The state has a row `import/NAME` for it, from the moment that an import is agreed to.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from sharectl.model.kinds import Kind, address_of, name_of
from sharectl.model.plans import Action
from sharectl.model.verbs import Verb
from sharectl.planner.options import Import
from sharectl.planner.records import bare_record
from sharectl.state.rows import spec_object_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sharectl.model.kinds import Address
    from sharectl.model.records import Record
    from sharectl.planner.draft import Draft


def import_address(address: Address) -> Address:
    """Return the address of the row that remembers the import of the share or snapshot at `address`."""
    kind = address.partition("/")[0]
    return address_of(Kind.IMPORT, name_of(address) if kind == Kind.SHARE else f"{kind}.{name_of(address)}")


def import_record(address: Address, wanted: Import) -> Record:
    """Return the row that remembers an import."""
    spec = {"address": address, "backend": wanted.backend, "backend_id": wanted.backend_id}
    remembered = import_address(address)
    return bare_record(Kind.IMPORT, remembered, remembered, wanted.backend, spec, {})


def unfinished_imports(records: Iterable[Record]) -> Iterator[tuple[Address, Import]]:
    """Yield what is to be taken over, by the address under which it is to be."""
    for record in records:
        if record.kind == Kind.IMPORT:
            plain = spec_object_of(record)
            yield plain["address"], Import(record.backend or plain["backend"], plain["backend_id"])


def refuse_unfinished_import(draft: Draft, address: Address) -> bool:
    """Tell whether a share or snapshot may be made; refuse one that is to be taken over."""
    record = draft.records.get(import_address(address))
    if record is None:
        return True
    [(_, wanted)] = unfinished_imports([record])
    command = f"sharectl import {address} {shlex.quote(wanted.backend_id)} --backend {wanted.backend}"
    draft.refuse(
        "import.unfinished",
        address,
        f"{address} is to be taken over from backend {wanted.backend} ({wanted.backend_id}), which has not come about yet",
        detail="an import of it was begun, and refused or cut short. Made now, it would be new and empty.",
        remedy=f"`{command}` finishes it; `sharectl state rm {record.address}` gives it up",
    )
    return False


def forget_given_up_imports(draft: Draft, selects: Callable[[Address], bool] | None) -> None:
    """Add a step for each import that was begun and is wanted no longer: the manifest is gone, or the share is there by other means."""
    for row in draft.others.get(Kind.IMPORT, ()):
        record = draft.records[row]
        [(address, wanted)] = unfinished_imports([record])
        given_up = address not in draft.desired.digests or address in draft.records
        left_out = draft.options.backends and wanted.backend not in draft.options.backends
        if not given_up or left_out or (selects is not None and not selects(address)):
            continue
        draft.add(
            Verb.FORGET,
            record.address,
            Action.FORGET,
            f"the import of {wanted.backend_id} as {address} is no longer wanted",
            record=record,
        )
