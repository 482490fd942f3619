"""What a run changed, by its history: field by field, before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from sharectl.model.access import rule_of
from sharectl.model.field_changes import FieldChange, plain_changes, rule_changes
from sharectl.model.frozen import dataclass
from sharectl.model.kinds import MANAGED_KINDS, kind_of
from sharectl.model.records import HistoryEntry, HistoryFilter
from sharectl.model.verbs import VERBS, Effect, Verb, verbs_that
from sharectl.workspace.freshness import Freshness, freshness_of
from sharectl.workspace.lookup import require_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.model.canonical import JsonObject
    from sharectl.model.kinds import Address
    from sharectl.model.records import RunRecord
    from sharectl.state.contract import StateStore

OPEN: Final = "open"
"""The outcome of what has begun and has none yet; the history has no such entries."""
_MAKING: Final = verbs_that(Effect.MAKES)
_REMOVING: Final = verbs_that(Effect.REMOVES)
_NOT_RECORDED: Final = "what it changed is not recorded"


class Deed(NamedTuple):
    """One thing that a run did, or tried. `removed` is what it took away, where that was recorded; `unknown` says what is not recorded of it.

    `begun_by` is the run that began it, where it was cut short: the other run found out how it ended.
    """

    entry: HistoryEntry
    changes: tuple[FieldChange, ...]
    error: str = ""
    reason: str = ""
    removed: JsonObject | None = None
    unknown: str = ""
    begun_by: str = ""

    @property
    def address(self) -> Address:
        """Where it was done."""
        return self.entry.address

    @property
    def verb(self) -> str:
        """What was done, as `Verb` has it; a state that was pushed may hold another word."""
        return self.entry.verb

    @property
    def has_changed(self) -> bool:
        """Tell whether anything became different: of what failed in part alone, that which was done."""
        return self.entry.outcome != "failed" or bool(self.changes)


@dataclass(frozen=True, slots=True)
class RunChanges:
    """A run with all that it did, in the order in which it was done. `made_again` are the resources that it made, and that were there before it."""

    run: RunRecord
    deeds: tuple[Deed, ...]
    freshness: Freshness
    made_again: frozenset[Address] = frozenset()


def changes_of_run(store: StateStore, text: str) -> RunChanges:
    """Return what the run did whose id begins so, or the last one, with what it began and could not end. Raises DiagnosticError where there is none."""
    run = require_run(store, text)
    lines = list(store.history(among=HistoryFilter(run_id=run.run_id)))
    deeds = [deed_of(line.entry) for line in reversed(lines)]
    made = {deed.address for deed in deeds if deed.verb in _MAKING and deed.entry.outcome != "failed"}
    first = lines[-1].sequence if lines else 0
    made_again = frozenset(address for address in made if _was_there(store, address, first))
    return RunChanges(run, (*deeds, *_ended_by_others(store, run), *_open(store, run)), freshness_of(store), made_again)


def _was_there(store: StateStore, address: Address, first: int) -> bool:
    """Tell whether a resource was there before the run whose first entry has this number: what was done to it last did not remove it."""
    earlier = (line.entry for line in store.history(address=address) if line.sequence < first)
    last = next((entry for entry in earlier if entry.outcome != "failed" and entry.address == address), None)
    return last is not None and last.verb not in _REMOVING


def _ended_by_others(store: StateStore, run: RunRecord) -> list[Deed]:
    """Return what the run began and later ones found the end of, oldest first."""
    later = store.history(among=HistoryFilter(since=run.started_at, recovered=True))
    found = [deed_of(line.entry) for line in later if line.entry.run_id != run.run_id]
    return [deed for deed in reversed(found) if deed.begun_by == run.run_id]


def _open(store: StateStore, run: RunRecord) -> list[Deed]:
    """Return what the run began, and of which no end is recorded."""
    with store.read() as reader:
        operations = [each for each in reader.operations() if each.run_id == run.run_id]
    return [
        Deed(
            HistoryEntry(run.run_id, each.started_at, each.address, each.verb, OPEN),
            (),
            unknown="it began, and its end is not recorded; the next `sharectl apply` asks its backend, or the run is still at work",
            begun_by=run.run_id,
        )
        for each in operations
    ]


def deed_of(entry: HistoryEntry) -> Deed:
    """Return what an entry of the history says was done."""
    detail = orjson.loads(entry.detail)
    detail = detail if isinstance(detail, dict) else {}
    removed = detail.get("removed")
    removed = removed if isinstance(removed, dict) and isinstance(removed.get("spec"), dict) else None
    changes = tuple(_changes(detail.get("changes")))
    if removed is not None:
        rules = [rule_of(rule) for rule in removed.get("access", [])]
        told = {change.field for change in changes}
        gone = (*_reversed(plain_changes({}, removed["spec"])), *_reversed(rule_changes((), rules)))
        changes += tuple(change for change in gone if change.field not in told)
    return Deed(
        entry,
        changes,
        str(detail.get("error") or ""),
        str(detail.get("reason") or detail.get("recovered") or ""),
        removed,
        _unknown(entry, detail, removed),
        str(detail.get("run") or "") if entry.outcome == "recovered" else "",
    )


def _reversed(changes: Sequence[FieldChange]) -> list[FieldChange]:
    return [FieldChange(change.field, change.after, change.before) for change in changes]


def _changes(plain: Any) -> list[FieldChange]:  # noqa: ANN401 - a pushed state may hold anything under the name
    found = plain if isinstance(plain, list) else []
    return [
        FieldChange(*each)
        for each in found
        if isinstance(each, list) and len(each) == len(FieldChange._fields) and isinstance(each[0], str)
    ]


def _unknown(entry: HistoryEntry, detail: JsonObject, removed: JsonObject | None) -> str:
    if entry.outcome == "recovered":
        return f"its run was cut short, and a later one found out how it ended: {_NOT_RECORDED}"
    if entry.outcome == "failed":
        return ""
    verb = VERBS.get(Verb(entry.verb)) if entry.verb in set(Verb) else None
    is_managed = entry.address.partition("/")[0] in set(MANAGED_KINDS) and kind_of(entry.address) in MANAGED_KINDS
    if verb is not None and verb.effect is Effect.REMOVES and is_managed and removed is None:
        return "what it was before is not recorded: an older sharectl did it, or it was done by hand"
    return "" if "changes" in detail else _NOT_RECORDED
