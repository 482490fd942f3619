"""Errors for shares and rules that drivers would refuse, each at its place in the manifests."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from sharectl.model.access import BOTH
from sharectl.model.diagnostics import error
from sharectl.model.frozen import NamedTuple
from sharectl.model.kinds import rule_address
from sharectl.planner.shares.checks import FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sharectl.manifests.desired import Desired
    from sharectl.model.checks import ShareProblem
    from sharectl.model.diagnostics import Diagnostic, Source
    from sharectl.model.kinds import Address
    from sharectl.planner.shares.checks import Found


def diagnostics_of(desired: Desired, address: Address, found: Iterable[Found]) -> tuple[Diagnostic, ...]:
    """Return the errors for what is certain, each at the field or the rule that it is about; what a ClientList causes is reported once."""
    found = tuple(found)
    if not found:
        return ()
    told = unfit_rules(desired, address, (each.problem for each in found))
    return tuple(
        _diagnostic(desired, address, each, told)
        for each in found
        if each.problem in told or not _is_of_rule(each.problem)
    )


class Unfit(NamedTuple):
    """What of a share cannot be put in force, in words: a rule, or several that a ClientList has brought about; and where to say so."""

    words: str
    source: Source | None


def unfit_rules(desired: Desired, address: Address, problems: Iterable[ShareProblem]) -> dict[ShareProblem, Unfit]:
    """Return each problem of an access rule that is to be told; of those that clients of one list have in common, the first."""
    problems = [problem for problem in problems if _is_of_rule(problem)]
    lists = desired.clients_of_lists(address) if len(problems) > 1 else {}
    alike: dict[tuple[Address, str], list[ShareProblem]] = {}
    for problem in problems:
        client_list = lists.get(problem.path[1], rule_address(address, problem.path[1]))
        alike.setdefault((client_list, problem.summary), []).append(problem)
    return {
        same[0]: Unfit(f"the rule {same[0].path[1]} of {address}", place_of(desired, address, same[0].path))
        if len(same) == 1
        else Unfit(f"{len(same)} rules of {address}, for clients of {client_list},", desired.source(client_list))
        for (client_list, _), same in alike.items()
    }


def _is_of_rule(problem: ShareProblem) -> bool:
    return problem.path[:1] == ("access",) and len(problem.path) > 1


def _diagnostic(desired: Desired, address: Address, found: Found, told: Mapping[ShareProblem, Unfit]) -> Diagnostic:
    path, summary, remedy = found.problem.path, found.problem.summary, found.problem.remedy
    if not found.backends:
        return error(
            "share.smaller-than-snapshot",
            f"{address} cannot be made: {summary}",
            remedy=remedy,
            address=address,
            source=place_of(desired, address, path),
        )
    where = f"backend {found.backends[0]}"
    if len(found.backends) > 1:
        where = f"any backend that it may go to ({', '.join(found.backends)})"
    if path[:1] == ("access",):
        unfit = told.get(found.problem)
        if unfit is None:
            unfit = Unfit(f"the access rules of {address}", place_of(desired, address, path))
        return error(
            "access.unfit",
            f"{unfit.words} cannot be put in force on {where}: {summary}",
            remedy=remedy,
            address=address,
            source=unfit.source,
        )
    code = "scheduler.capability" if path[:1] and path[0] in {*FIELDS, "snapshots"} else "share.unfit"
    source = place_of(desired, address, path)
    return error(
        code, f"{address} is not possible on {where}: {summary}", remedy=remedy, address=address, source=source
    )


def place_of(desired: Desired, address: Address, path: tuple[str, ...]) -> Source | None:
    """Return where the part of a share that a problem is about stands."""
    if path[:1] == ("access",) and len(path) > 1:
        with suppress(KeyError):
            return desired.source(rule_address(address, path[1]))
    if path[:1] == ("name",) or not path or path[0] == "snapshots":
        return desired.source(address)
    if path[0] == "extra_specs":
        return desired.field_source(address, "spec", "type")
    if path[0] == "protocol" and desired.share(address).protocol == BOTH:
        return desired.field_source(address, "spec", "protocols")
    return desired.field_source(address, "spec", FIELDS.get(path[0], path[0]))
