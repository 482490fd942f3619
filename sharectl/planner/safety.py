"""Refusals that protect data: too many removals or recreations at once, an empty set, shares whose snapshots would be orphaned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.diagnostics import counted, error, listed
from sharectl.model.kinds import resource_of
from sharectl.model.verbs import Verb
from sharectl.planner.draft import REMOVING
from sharectl.planner.records import DEPOSED_MARK
from sharectl.planner.snapshots import (
    TAKING_DATA,
    removes_data,
    snapshots_of_removed_shares,
    unknown_snapshots_of_removed_shares,
    unseen_removals,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.model.kinds import Address
    from sharectl.planner.draft import Draft


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
    draft.tell(
        error,
        "safety.empty",
        f"the manifests hold no share at all, and the state holds {held} resource{'' if held == 1 else 's'}",
        detail="a wrong folder or an empty checkout looks just like this.",
        remedy="name the right manifests with -f; if everything really is to go, use `sharectl destroy` or pass --allow-empty",
    )
    return False


def check_limits(draft: Draft) -> None:
    """Refuse more removals or recreations than the safety limits allow, with the numbers and the flag that lifts it."""
    options, total = draft.options, draft.recorded_total
    them = f"of {total} shares and snapshots"
    if not options.destroy:
        doing = "remove, or turn back," if Verb.REVERT_SHARE in draft.verbs else "remove"
        _check_count(draft, "deletions", doing, draft.removals, (total, them), options.allow_deletions)
    doing = "make again, empty,"
    _check_count(draft, "recreations", doing, draft.recreations, (total, them), options.allow_recreations)


def check_revocations(draft: Draft) -> None:
    """Refuse more revocations than the safety limits allow; those of deletions hold, and a flag of their own lifts them."""
    verbs, options = (Verb.UPDATE_ACCESS, Verb.FORGET), draft.options
    revoked = [rule for rule in draft.revocations if draft.has(resource_of(rule), *verbs)]
    if revoked and not options.destroy:
        total = max(draft.state.rules_total or 0, len(revoked))
        of_all = total, f"of {total} access rules"
        why = "; a folder of access rules that is missing looks just like this"
        _check_count(draft, "revocations", "take away or narrow", revoked, of_all, options.allow_revocations, why)


def _check_count(  # noqa: PLR0913, PLR0917 - the words of one refusal
    draft: Draft,
    what: str,
    doing: str,
    addresses: Sequence[Address],
    of_all: tuple[int, str],
    allowed: int,
    why: str = "",
) -> None:
    """Refuse that `doing` is done to more addresses (`of_all`, in numbers and words) than the limits allow; `--allow-WHAT` lifts that."""
    limits, count = draft.options.limits, len(addresses)
    percentage = 100 * count / max(of_all[0], 1)
    if count <= limits.deletion_floor or percentage <= limits.max_deletion_percentage or count <= allowed:
        return
    draft.tell(
        error,
        f"safety.{what}",
        f"the plan would {doing} {count} {of_all[1]} ({percentage:.0f} %)",
        detail=(
            f"{listed(sorted(addresses))}. The limits are {limits.deletion_floor} of them or "
            f"{limits.max_deletion_percentage:g} % (safety in sharectl.yaml){why}."
        ),
        remedy=f"if that is meant, pass --allow-{what} {count}",
    )


def check_kept_snapshots(draft: Draft) -> None:
    """Refuse to delete a share whose snapshots stay: many backends would delete them too, and the others would refuse."""
    if draft.verbs.isdisjoint(TAKING_DATA):
        return
    for removal, snapshots in sorted(snapshots_of_removed_shares(draft).items()):
        step = draft.steps[removal]
        kept = [address for address in snapshots if not draft.has(address, Verb.DELETE_SNAPSHOT)]
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
                f"{address} would be deleted, and its backend holds {counted(len(strays), 'snapshot')} of it that the state does not know",
                detail=f"the first is {strays[0]}; it may have been kept on purpose, and goes with its share on many backends.",
                remedy=f"keep the share, remove the snapshots on the backend, or pass --override-protection {address}",
                holds=REMOVING,
            )
