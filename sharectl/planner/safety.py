"""Refusals that protect data: too many removals or recreations at once, an empty set, shares whose snapshots would be orphaned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.diagnostics import error
from sharectl.model.verbs import Verb
from sharectl.planner.records import DEPOSED_MARK
from sharectl.planner.scopes import REMOVING
from sharectl.planner.snapshots.owners import (
    removes_data,
    snapshots_of_removed_shares,
    unknown_snapshots_of_removed_shares,
    unseen_removals,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.model.kinds import Address
    from sharectl.planner.draft import Draft

_NAMED_AT_MOST = 5


def check_empty(draft: Draft) -> bool:
    """Tell whether planning may go on; refuse an empty set of manifests where the state holds shares.

    A plan of targets removes nothing that was not named.
    """
    options = draft.options
    if draft.desired.digests or options.destroy or options.allow_empty or options.targets:
        return True
    held = draft.recorded_total
    if not held:
        return True
    draft.diagnostics.append(
        error(
            "safety.empty",
            f"the manifests hold no share at all, and the state holds {held} resource{'' if held == 1 else 's'}",
            detail="a wrong folder or an empty checkout looks just like this.",
            remedy="name the right manifests with -f; if everything really is to go, use `sharectl destroy` or pass --allow-empty",
        )
    )
    return False


def check_limits(draft: Draft) -> None:
    """Refuse more removals or recreations than the safety limits allow; the numbers and the flag that lifts it are said."""
    if not draft.options.destroy:
        reverts = any(step.verb is Verb.REVERT_SHARE for step in draft.steps.values())
        doing = "remove, or turn back," if reverts else "remove"
        _check_count(
            draft, draft.removals, doing, "safety.deletions", "--allow-deletions", draft.options.allow_deletions
        )
    _check_count(
        draft,
        draft.recreations,
        "make again, empty,",
        "safety.recreations",
        "--allow-recreations",
        draft.options.allow_recreations,
    )


def _check_count(  # noqa: PLR0913, PLR0917 - the words of one refusal
    draft: Draft, addresses: Sequence[Address], doing: str, code: str, flag: str, allowed: int
) -> None:
    limits = draft.options.limits
    count, total = len(addresses), max(draft.recorded_total, 1)
    percentage = 100 * count / total
    if count <= limits.deletion_floor or percentage <= limits.max_deletion_percentage or count <= allowed:
        return
    named = ", ".join(sorted(addresses)[:_NAMED_AT_MOST])
    more = f" and {count - _NAMED_AT_MOST} more" if count > _NAMED_AT_MOST else ""
    draft.diagnostics.append(
        error(
            code,
            f"the plan would {doing} {count} of {draft.recorded_total} shares and snapshots ({percentage:.0f} %)",
            detail=(
                f"{named}{more}. The limits are {limits.deletion_floor} of them or {limits.max_deletion_percentage:g} % "
                "(safety in sharectl.yaml)."
            ),
            remedy=f"if that is meant, pass {flag} {count}",
        )
    )


def check_kept_snapshots(draft: Draft) -> None:
    """Refuse to delete a share whose snapshots stay: many backends would take them along, the others would refuse."""
    if not any(removes_data(step) for step in draft.steps.values()):
        return
    for removal, snapshots in sorted(snapshots_of_removed_shares(draft).items()):
        step = draft.steps[removal]
        kept = [address for address in snapshots if not draft.has(Verb.DELETE_SNAPSHOT, address)]
        there = [address for address in kept if address not in draft.deviations]
        if not removes_data(step) or not there:
            continue
        former = step.address.partition(DEPOSED_MARK)[0]
        address = former if former in draft.replaced else step.address
        draft.refuse(
            "share.kept-snapshots",
            address,
            f"{address} would be deleted, and its snapshot {there[0]} would be kept",
            detail=(
                f"{len(there)} of its snapshots are kept (deletionPolicy retain, still wanted, or not planned now); "
                "a snapshot does not outlive its share."
            ),
            remedy="set deletionPolicy: delete on the snapshots and apply that first, or keep the share",
            holds=REMOVING,
        )
    for address in unseen_removals(draft):
        if address not in draft.options.override_protection:
            draft.refuse(
                "share.unseen-snapshots",
                address,
                f"{address} would be deleted, and the snapshots on its backend could not be listed",
                detail="there may be some that the state does not know; they go with their share on many backends.",
                remedy=f"see to the backend, then plan again; or pass --override-protection {address}",
                holds=REMOVING,
            )
    for address, strays in sorted(unknown_snapshots_of_removed_shares(draft).items()):
        if address not in draft.options.override_protection:
            draft.refuse(
                "share.unknown-snapshots",
                address,
                f"{address} would be deleted, and its backend holds {_counted(len(strays))} of it that the state does not know",
                detail=f"the first is {strays[0]}; it may have been kept on purpose, and goes with its share on many backends.",
                remedy=f"keep the share, remove the snapshots on the backend, or pass --override-protection {address}",
                holds=REMOVING,
            )


def _counted(snapshots: int) -> str:
    """Return the number of snapshots in words."""
    return "1 snapshot" if snapshots == 1 else f"{snapshots} snapshots"
