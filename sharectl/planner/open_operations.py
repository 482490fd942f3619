"""What is not finished while a plan is made: operations that an earlier run left open, or a run that is at work now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.diagnostics import warning

if TYPE_CHECKING:
    from sharectl.model.records import LockStatus
    from sharectl.planner.draft import Draft


def note_open_operations(draft: Draft) -> None:
    """Tell of a run that is at work, or of the operations that an earlier one left open."""
    if draft.state.writer is not None:
        _note_writer(draft, draft.state.writer)
    elif draft.state.operations:
        _note_left_open(draft)


def _note_left_open(draft: Draft) -> None:
    """Tell of the operations whose end is not recorded, and of the way out where their backend is gone for good."""
    first = min(draft.state.operations, key=lambda operation: (operation.started_at, operation.operation_id))
    gone = sorted({name for o in draft.state.operations if (name := o.backend) and name not in draft.desired.backends})
    retired = f" Backend {gone[0]} has no manifest any more: nobody can ask it." if gone else ""
    draft.diagnostics.append(
        warning(
            "state.open-operations",
            f"{len(draft.state.operations)} operations of an earlier run are unresolved, the first {first.verb} of {first.address}",
            detail=f"that run was cut short; what it was doing is not known here, so this plan may still change.{retired}",
            remedy="the next apply asks the backends first, records what is there, and plans after that; `sharectl state operations` "
            "lists them, and `sharectl state drop` gives up one whose backend is gone for good",
            address=first.address,
        )
    )


def _note_writer(draft: Draft, writer: LockStatus) -> None:
    """Tell of another run that is at work: what the plan sees is in motion."""
    count = len(draft.state.operations)
    begun = f"{count} of its operations {'has' if count == 1 else 'have'} begun and not ended; " if count else ""
    holder = writer.holder
    draft.diagnostics.append(
        warning(
            "state.in-motion",
            f"{holder.user}@{holder.host} is at work on this state: `{holder.command}` (process {holder.process_id}), since {writer.acquired_at}",
            detail=f"{begun}what this plan shows, drift too, is in motion: state and backends were not read at one moment.",
            remedy="wait for it to end, then plan again; `sharectl lock status` shows whether it is still at work",
        )
    )
