"""What the driver of its backend would refuse of a share that has its place: found in the plan, and held there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.kinds import Kind, address_of, rule_address
from sharectl.model.verbs import Verb
from sharectl.planner.scopes import MAKING, RESIZING
from sharectl.planner.shares.checks import clone_problem, place_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from sharectl.model.access import AccessRule
    from sharectl.model.checks import ShareProblem
    from sharectl.model.kinds import Address
    from sharectl.model.records import Record
    from sharectl.model.specs import ShareSpec
    from sharectl.planner.draft import Draft


def has_possible_size(draft: Draft, address: Address, record: Record, spec: ShareSpec) -> bool:
    """Tell whether the backend can give the share the size of its manifest; refuse the size where it cannot."""
    found = [problem for problem in _problems(draft, record, spec, ()) if problem.path == ("size",)]
    for problem in found:
        draft.refuse(
            "share.unfit",
            address,
            f"{address} cannot have this size on backend {record.backend}: {problem.summary}",
            remedy=problem.remedy,
            path="spec.size",
            holds=RESIZING,
        )
    return not found


def possible_rules(
    draft: Draft, address: Address, record: Record, wanted: tuple[AccessRule, ...], in_force: Collection[AccessRule]
) -> tuple[AccessRule, ...]:
    """Return the rules that the backend can put in force, and refuse the others, each by itself.

    One that is in force already stays among them: a check takes nobody's access away.
    """
    problems = _problems(draft, record, draft.desired.share(address), wanted) if wanted else ()
    refused: set[str] = set()
    for problem in problems:
        if problem.path == ("access",):
            draft.refuse(
                "access.unfit",
                address,
                f"the access rules of {address} cannot be put in force on backend {record.backend}: {problem.summary}",
                remedy=problem.remedy,
                path="spec.access",
                holds=frozenset({Verb.UPDATE_ACCESS}),
            )
        elif problem.path[0] == "access":
            refused.add(problem.path[1])
            draft.refuse(
                "access.unfit",
                rule_address(address, problem.path[1]),
                f"the rule {problem.path[1]} of {address} cannot be put in force on backend {record.backend}: {problem.summary}",
                remedy=problem.remedy,
                source=place_of(draft.desired, address, problem.path),
            )
    return tuple(rule for rule in wanted if rule.key not in refused or rule in in_force)


def may_be_cloned(draft: Draft, address: Address) -> bool:
    """Tell whether a share that is to be made from a snapshot is large enough for it; refuse it where it is not."""
    spec = draft.desired.share(address)
    problem = None if spec.source_snapshot is None else clone_problem(spec, _source_bytes(draft, spec.source_snapshot))
    if problem is None:
        return True
    draft.refuse(
        "share.smaller-than-snapshot",
        address,
        f"{address} cannot be made: {problem.summary}",
        remedy=problem.remedy,
        path="spec.size",
        holds=MAKING | {Verb.UPDATE_ACCESS},
    )
    return False


def _source_bytes(draft: Draft, snapshot: str) -> int | None:
    """Return the size of the share that the snapshot is of, as it was then or, of one that is yet to be taken, will be at least."""
    address = address_of(Kind.SNAPSHOT, snapshot)
    record = draft.records.get(address)
    seen = None if record is None else draft.observed.get(record.backend or "")
    if record is not None and seen is not None and seen.snapshots is not None:
        listed = seen.snapshots.get(record.resource_id)
        if listed is not None and listed.size_bytes is not None:
            return listed.size_bytes
    if record is not None and record.size_bytes is not None:
        return record.size_bytes
    if address not in draft.desired.digests:
        return None
    share = address_of(Kind.SHARE, draft.desired.snapshot(address).share)
    old = None if share in draft.replaced else draft.records.get(share)
    sizes = [draft.desired.share(share).size_bytes if share in draft.desired.digests else None]
    sizes.append(None if old is None else old.size_bytes)
    return min((size for size in sizes if size is not None), default=None)


def _problems(draft: Draft, record: Record, spec: ShareSpec, rules: tuple[AccessRule, ...]) -> tuple[ShareProblem, ...]:
    if record.backend is None or record.backend not in draft.desired.backends:
        return ()
    return draft.checks.problems(record.backend, draft.checks.wanted(spec, rules, record.pool), spec.share_type)
