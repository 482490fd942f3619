"""Closing a share to those who are not to be in, where a server could not be given, or does not show, what was asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind, Section
from sharectl.drivers.linux.agent.host.system_errors import problem_of
from sharectl.drivers.linux.agent.nfs import treatment
from sharectl.drivers.linux.agent.nfs.narrowing import left_in, lets_in
from sharectl.drivers.linux.agent.protocols import export_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sharectl.drivers.linux.agent.contract import Client, NfsServer, SmbServer
    from sharectl.drivers.linux.agent.rights import SmbRights
    from sharectl.drivers.linux.agent.rows import ShareRow


_WORST_FIRST: Final = (
    ProblemKind.FENCED,
    ProblemKind.REFUSED,
    ProblemKind.CONFLICT,
    ProblemKind.IN_USE,
    ProblemKind.POOL,
    ProblemKind.UNAVAILABLE,
    ProblemKind.TRANSIENT,
    ProblemKind.NOT_FOUND,  # which is no failure for whoever takes access away
)


def joined(problems: Mapping[str, Exception]) -> Exception:
    """Return one problem that tells all of them, by protocol, and is of the worst kind among them. Precondition: there is one."""
    if len(problems) == 1:
        return next(iter(problems.values()))
    found = {protocol: _as_problem(problem) for protocol, problem in problems.items()}
    kind = min((problem.kind for problem in found.values()), key=_WORST_FIRST.index)
    return Problem(kind, "; ".join(f"over {protocol}: {problem}" for protocol, problem in found.items()))


def _as_problem(problem: Exception) -> Problem:
    if isinstance(problem, OSError):
        return problem_of(problem, "access cannot be changed")
    return problem if isinstance(problem, Problem) else Problem(ProblemKind.REFUSED, f"the agent failed: {problem!r}")


def after_problem(problem: Problem, close: Callable[[], str]) -> Problem:
    """Close the share and return the problem with what became of the access, which `close` says."""
    try:
        outcome = close()
    except Problem as worse:
        outcome = f"and those who should be out could not be shut out: {worse}"
    return Problem(problem.kind, f"{problem}; {outcome}") if outcome else problem


def close_export(server: NfsServer | None, row: ShareRow, wanted: frozenset[Client]) -> str:
    """Leave each client what it has and is to have, which is the less of the two; where the server shows even that otherwise, nothing.

    Return what that means for people, nothing where all that are wanted are in.
    """
    live = None if server is None else server.live([row.export_id]).get(row.export_id)
    if server is None or live is None:
        return _outcome(is_open=False)
    kept = left_in(live.clients, wanted)
    narrowed = replace(live, clients=kept, **treatment.of_options(export_options(row)))
    is_open = lets_in(kept)
    if narrowed != live and is_open:
        try:
            server.put(narrowed)
        except Problem:
            is_open = False
    if not is_open:
        server.remove(row.export_id)
    return "" if is_open and kept == wanted else _outcome(is_open=is_open)


def close_section(server: SmbServer | None, row: ShareRow, granted: SmbRights) -> str:
    """Leave in only the users and networks that the server has stored and that are wanted; where it cannot be told of these, none."""
    stored = None if server is None else server.stored().get(row.export_name)
    if server is None or stored is None:
        return ""
    wanted = granted.section(stored.name, stored.path, stored.treatment)
    if stored == wanted:
        return ""
    kept = Section(
        stored.name,
        stored.path,
        stored.writers & granted.writers,
        (stored.readers & granted.users) | (stored.writers & granted.readers),
        stored.networks & granted.networks
        if stored.networks and granted.networks
        else stored.networks | granted.networks,
        stored.treatment,
        denied=stored.denied | granted.denied,
    )
    if kept == stored:
        return ""
    if {stored.guest, granted.guest} != {"none"}:
        kept = replace(kept, writers=frozenset(), readers=frozenset())  # who has no name cannot be told apart
    # Without networks it would be open from everywhere; one that says both from where alone and from where not the server refuses.
    is_from_somewhere = bool(kept.networks) or not granted.networks
    is_open = is_from_somewhere and bool(kept.writers or kept.readers)
    if is_open:
        try:
            server.put(kept)
        except Problem:
            is_open = False
    if not is_open:
        server.remove(row.export_name)
    return _outcome(is_open=is_open)


def close_strangers(server: SmbServer, live: Mapping[str, Section], rows: Callable[[], Iterable[ShareRow]]) -> None:
    """Withdraw the sections that somebody has renamed by hand, or made: they look sound, and are of no share.

    `rows` are those of the server's shares, which are read only where a section is not as it was put.
    """
    odd = {name for name, section in live.items() if not section.path}
    for name in sorted(odd - ({row.export_name for row in rows()} if odd else odd)):
        server.remove(name)


def _outcome(*, is_open: bool) -> str:
    if is_open:
        return "meanwhile the share is closed to all but those who were in and may stay"
    return "meanwhile the share is closed to everybody"
