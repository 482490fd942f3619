"""Shares of which only metadata or the name changes: the change is worked out once for all that are alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.field_changes import FieldChange, spec_changes
from sharectl.model.fields import Policy, fields_with
from sharectl.model.kinds import name_of
from sharectl.model.plans import UpdateRecord
from sharectl.model.specs import ShareSpec
from sharectl.model.verbs import Verb
from sharectl.planner.records import RECORDED_POLICY, wanted_policy
from sharectl.planner.shares.export_names import listed

if TYPE_CHECKING:
    from sharectl.model.codec import Like
    from sharectl.model.kinds import Address
    from sharectl.planner.draft import Draft

STATE_ALONE: Final = "the state alone; the backend is not asked for anything but what it holds"
_METADATA: Final = fields_with(ShareSpec, Policy.METADATA)
_MORE: Final[tuple[FieldChange, ...]] = (FieldChange("more", None, None),)
"""Stands for changes of which some are of more than metadata."""


def plan_metadata(draft: Draft, address: Address) -> bool:
    """Add the step for a share of which nothing but metadata changes, as happens to thousands at once; return False where more may change.

    Of a share that was renamed alone, nothing is left to do: its move has written the name.
    """
    different = draft.comparison.different.get(address)
    if different is None:
        return False
    record, new, old = different
    if (
        new is None
        or old is None
        or address in draft.deviations
        or address in draft.options.replaces
        or address in draft.export_changes
        or RECORDED_POLICY in record.attributes
    ):
        return False
    there = listed(draft.observed, record)
    if there is not None and there.protocol not in {None, new.example.protocol}:
        return False
    changes = _changes(draft, old, new)
    if not changes and address in draft.moved_from and record.spec_digest is not None:
        return True
    if not changes or changes is _MORE:
        return False
    work = UpdateRecord(new.named(name_of(address)))
    draft.add(Verb.UPDATE_RECORD, address, STATE_ALONE, record=record, work=work, changes=changes)
    return True


def _changes(draft: Draft, old: Like[ShareSpec], new: Like[ShareSpec]) -> tuple[FieldChange, ...]:
    """Return the changes of metadata, or `_MORE` where there may be others."""
    found = draft.metadata_changes.get((old, new))
    if found is not None:
        return found
    wanted = new.example
    found = spec_changes(old.example, wanted, skip={"name"})
    if (
        any(change.field not in _METADATA for change in found)
        or wanted.revert_to is not None
        or wanted.export_name is not None
        or wanted_policy(draft.desired, wanted) is not None
    ):
        found = _MORE
    if old.is_shared and new.is_shared:
        draft.metadata_changes[old, new] = found
    return found
