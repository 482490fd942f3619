"""Look up what a user names, rows of the state by address, and backends, and suggest the nearest name for anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import DiagnosticError, did_you_mean, error, listed, one_of
from sharectl.model.kinds import split_rule_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.records import Record, RuleRecord, RunRecord, StateView
    from sharectl.state.contract import StateReader, StateStore

_MOST_COMPARED: Final = 200


def require_records(store: StateStore, addresses: Sequence[Address]) -> dict[Address, Record]:
    """Return the rows at these addresses; raises DiagnosticError, with the nearest address, for each that has none."""
    with store.read() as reader:
        records = dict(reader.view(addresses).records)
        missing = [_not_in_state(address, reader) for address in dict.fromkeys(addresses) if address not in records]
    if missing:
        raise DiagnosticError(*missing)
    return records


def _not_in_state(address: Address, reader: StateReader) -> Diagnostic:
    share_address, key = split_rule_address(address)
    if key is not None and reader.record(share_address) is not None:
        remedy = f"an access rule goes with its share: remove it from the manifests, or name {share_address}"
    else:
        near = did_you_mean(address, reader.addresses_like(address))
        remedy = near or "`sharectl state list` names what there is"
    return error("state.unknown-address", f"the state has no {address}", remedy=remedy, address=address)


def read_record(store: StateStore, address: Address) -> tuple[Record, tuple[RuleRecord, ...]]:
    """Return a row with its access rules. Raises DiagnosticError, with the nearest address, where there is none."""
    record = require_records(store, [address])[address]
    with store.read() as reader:
        return record, reader.rules((address,)).get(address, ())


def view_of_backends(reader: StateReader, names: frozenset[str]) -> StateView:
    """Return the state of what is on these backends (of an empty set: of all). Raises DiagnosticError for a name it does not know."""
    view = reader.view()
    if names:
        known = {record.backend for record in view.records.values() if record.backend is not None}
        require_backends(names, known, "the state has nothing on a backend")
    return view.on_backends(names)


_MOST_NAMED: Final = 5
LAST_RUN: Final = "last"
"""Stands for the run that changed something last, or began to."""


def _runs_at_work(store: StateStore) -> list[RunRecord]:
    """Return the runs that have begun something whose end is not recorded: they may have no entry in the history yet."""
    with store.read() as reader:
        ids = {operation.run_id for operation in reader.operations()}
        return [run for run_id in sorted(ids) for run in reader.runs(run_id, limit=1)]


def require_run(store: StateStore, text: str) -> RunRecord:
    """Return the run whose id begins so, or the last one. Raises DiagnosticError where there is none, or several."""
    if text == LAST_RUN:
        newest = next(iter(store.history(limit=1)), None)
        begun = [*_runs_at_work(store), *([] if newest is None else [newest.run])]
        if not begun:
            raise DiagnosticError(error("run.none", "nothing was ever done to this state"))
        return max(begun, key=lambda run: run.started_at)
    with store.read() as reader:
        found = list(reader.runs(text, limit=_MOST_NAMED + 1))
        known = [] if found else [run.run_id for run in reader.runs(limit=_MOST_COMPARED)]
    if len(found) == 1 or any(run.run_id == text for run in found):
        return next(run for run in found if len(found) == 1 or run.run_id == text)
    if found:
        named = listed([f"{run.run_id} ({run.started_at})" for run in found], _MOST_NAMED)
        summary = f"several runs have an id that begins with {text}: {named}"
        raise DiagnosticError(error("run.ambiguous", summary, remedy="write more of it"))
    remedy = did_you_mean(text, known) or "`sharectl history` names the runs; `last` is the newest"
    raise DiagnosticError(error("run.unknown", f"no run has an id that begins with {text[:80]!r}", remedy=remedy))


def require_user(store: StateStore, user: str) -> None:
    """Raise DiagnosticError where no run is of this user, with the nearest name that one is of."""
    with store.read() as reader:
        names = {name for run in reader.runs() for name in (run.user, run.actor, run.author) if name}
    if any(user.lower() in name.lower() for name in names):
        return
    summary = f"no run is of a user called {user}"
    raise DiagnosticError(error("run.unknown-user", summary, remedy=one_of(user, sorted(names))))


def require_backends(
    names: Iterable[str],
    known: Iterable[str],
    what: str = "there is no backend named",
    code: str = "backend.unknown-name",
) -> frozenset[str]:
    """Return the names. Raises DiagnosticError for one that is not `known`, with the nearest that is."""
    chosen, there = frozenset(names), sorted(known)
    for name in sorted(chosen.difference(there)):
        raise DiagnosticError(error(code, f"{what} {name}", remedy=one_of(name, there)))
    return chosen


def allowed_backends(names: Iterable[str] | None, specs: Iterable[str]) -> frozenset[str]:
    """Return the backends that need not be read. Raises DiagnosticError for one that there is not."""
    return require_backends(
        names or (), specs, "--allow-unreadable names no backend of the manifests:", "usage.unknown-backend"
    )
