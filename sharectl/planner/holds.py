"""What refusals hold: the refused steps and all that depends on them, and never half of what belongs together."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from sharectl.model.kinds import Kind, address_of, is_of
from sharectl.model.plans import CreateShare, Held, UpdateRecord
from sharectl.model.table import prerequisites_of
from sharectl.model.verbs import Verb
from sharectl.planner.draft import REMOVING, RESIZING, SHARE_REMOVALS, step_id
from sharectl.planner.order import needs_of_steps
from sharectl.planner.records import DEPOSED_MARK
from sharectl.planner.snapshots import clones_of_removed_snapshots, removed_record, share_resource_id
from sharectl.state.rows import share_spec_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sharectl.model.kinds import Address
    from sharectl.model.plans import Step
    from sharectl.model.specs import ShareSpec
    from sharectl.planner.draft import Draft, Refusal

_ON_NETWORK = frozenset({Verb.CREATE_SHARE, Verb.CREATE_SHARE_SERVER, Verb.UPDATE_SHARE_SERVER})


@dataclass(frozen=True, slots=True)
class HeldSteps:
    """The steps that refusals have taken out of a draft, each with the refusal that it comes from.

    `kept` are the shares that were to be replaced and stay.
    """

    draft: Draft
    steps: tuple[tuple[Step, Refusal], ...] = ()
    kept: frozenset[Address] = frozenset()

    def report(self) -> tuple[Held, ...]:
        """Return what is left undone, by address: each refusal, and each resource that depends on one."""
        refusals, awaited = self.draft.refusals, self.draft.awaited
        verbs: dict[tuple[Address, int], list[Verb]] = {}
        for step, refusal in self.steps:
            verbs.setdefault((_place(step.address), id(refusal)), []).append(step.verb)
        found: list[Held] = []
        for refusal in refusals:
            own = tuple(verbs.pop((_place(refusal.address), id(refusal)), ()))
            summary, code = refusal.diagnostic.summary, refusal.diagnostic.code
            found.append(Held(refusal.address, summary, refusal.address, code, own))
        refused = {id(refusal): refusal for refusal in refusals}
        found += (_dependent(address, refused[number], tuple(others)) for (address, number), others in verbs.items())
        known = {each.address for each in found}
        first = {refusal.address: refusal for refusal in reversed(refusals)}
        for address in awaited:  # no steps were made, since they would have been made from what is refused
            origin = address
            for _ in awaited:
                origin = awaited.get(origin, origin)
            if address not in known and origin in first:
                found.append(_dependent(address, first[origin], ()))
        return tuple(sorted(found, key=lambda each: each.address))


def hold_refused(draft: Draft) -> HeldSteps:
    """Take the steps out of the draft that the refusals hold. Linear in steps and what they wait for; free where nothing is refused."""
    if not draft.refusals:
        return HeldSteps(draft)
    refusals = _Refusals(draft.refusals)
    _drop_refused_candidates(draft, refusals)
    held = tuple((draft.steps[name], refusal) for name, refusal in _spread(draft, refusals).items())
    for step, _ in held:
        del draft.steps[step.step_id]
    for step, _ in held:
        if step.verb in RESIZING:
            _keep_recorded(draft, step.address, "size_bytes")
        elif step.verb is Verb.UPDATE_ACCESS and step.spec is not None:
            _keep_recorded(draft, step.address, "export_name")
            _keep_recorded(draft, step.address, "protocol")
    _drop_useless_servers(draft)
    kept = {_place(step.address) for step, _ in held} & draft.replaced.keys()
    for address in kept:
        draft.records[address] = removed_record(draft, address)._replace(address=address)
        del draft.replaced[address]
    return HeldSteps(draft, held, frozenset(kept))


def _dependent(address: Address, refusal: Refusal, verbs: tuple[Verb, ...]) -> Held:
    reason = f"depends on {refusal.address}, which is held"
    return Held(address, reason, refusal.address, refusal.diagnostic.code, verbs)


def _place(address: Address) -> Address:
    """Return the address that a share has, or had before a replacement set it aside."""
    return address.partition(DEPOSED_MARK)[0]


class _Refusals:
    """The refusals by address, and which of them holds a step."""

    def __init__(self, refusals: Iterable[Refusal]) -> None:
        self._by_address: dict[Address, list[Refusal]] = {}
        for refusal in refusals:
            for address in (refusal.address,) if refusal.former is None else (refusal.address, refusal.former):
                self._by_address.setdefault(address, []).append(refusal)

    def of(self, verb: Verb, address: Address) -> Refusal | None:
        """Return the refusal that holds `verb` at the address, if there is one; that of a share holds what it has set aside."""
        found = [*self._by_address.get(address, ()), *self._by_address.get(_place(address), ())]
        if verb is Verb.MOVE and DEPOSED_MARK not in address:  # a rename: the state alone, whatever else cannot be done
            return next((refusal for refusal in found if refusal.former is not None), None)
        return next((refusal for refusal in found if refusal.verbs is None or verb in refusal.verbs), None)

    def of_step(self, step: Step) -> Refusal | None:
        """Return the refusal that holds the step: one of its address, its backend, or its share network."""
        places = [step.address]
        if step.former is not None:
            places.append(step.former)
        if step.backend is not None:
            places.append(address_of(Kind.BACKEND, step.backend))
        if step.spec is not None and step.verb in _ON_NETWORK:
            places += (address_of(*each) for each in prerequisites_of(step.spec) if each.kind is Kind.SHARE_NETWORK)
        return next(filter(None, (self.of(step.verb, place) for place in places)), None)

    def at(self, kind: Kind) -> Iterator[tuple[Address, Refusal]]:
        """Yield the refusals about resources of a kind."""
        for address, refusals in self._by_address.items():
            if is_of(kind, address):
                yield from ((address, refusal) for refusal in refusals)


def _spread(draft: Draft, refusals: _Refusals) -> dict[str, Refusal]:
    """Return the refusal that each held step comes from."""
    bound = _bound(draft, refusals)
    held: dict[str, Refusal] = {}
    queue = deque(_refused(draft, refusals, bound))
    while queue:
        name, refusal = queue.popleft()
        if name in draft.steps and name not in held:
            held[name] = refusal
            queue.extend((other, refusal) for other in bound.get(name, ()))
    return held


def _refused(draft: Draft, refusals: _Refusals, bound: Mapping[str, list[str]]) -> Iterator[tuple[str, Refusal]]:
    """Yield what is refused itself, and what needs a step that was refused before it was made."""
    for name, step in draft.steps.items():
        if (refusal := refusals.of_step(step)) is not None:
            yield name, refusal
    for needed, dependants in bound.items():
        verb, _, address = needed.partition(":")
        if needed not in draft.steps and (refusal := refusals.of(Verb(verb), address)) is not None:
            yield from ((name, refusal) for name in dependants)
    for snapshot, refusal in refusals.at(Kind.SNAPSHOT):
        takes = refusal.verbs is None or Verb.CREATE_SNAPSHOT in refusal.verbs
        if takes and snapshot in draft.desired.digests:
            share = address_of(Kind.SHARE, draft.desired.snapshot(snapshot).share)
            yield step_id(Verb.REVERT_SHARE, share), refusal


def _bound(draft: Draft, refusals: _Refusals) -> dict[str, list[str]]:
    """Return, by the id of a step, those that are held with it: what needs it, and what is one thing with it."""
    bound: dict[str, list[str]] = {}
    for step, needed in needs_of_steps(draft):
        for other in needed:
            if not _is_mere_order(step, other):
                bound.setdefault(other, []).append(step.step_id)
    for snapshot, removals in clones_of_removed_snapshots(draft).items():
        for removal in removals:
            bound.setdefault(removal, []).append(step_id(Verb.DELETE_SNAPSHOT, snapshot))
    replacements: dict[Address, list[str]] = {}
    for name, step in draft.steps.items() if draft.replaced else ():
        address = _place(step.address)
        is_rename = step.verb is Verb.MOVE and step.address == address  # which stands for itself
        if address in draft.replaced and not is_rename:
            replacements.setdefault(address, []).append(name)
    for address, names in replacements.items():
        # The new share is one of them, also where it was refused before there was a step for it.
        for name in {*names, step_id(Verb.CREATE_SHARE, address)}:
            bound.setdefault(name, []).extend(names)
    _bind_snapshots(draft, refusals, bound)
    return bound


def _bind_snapshots(draft: Draft, refusals: _Refusals, bound: dict[str, list[str]]) -> None:
    """Let the removal of snapshots be held with that of their share, whose manifest took theirs along."""
    steps = [step for step in draft.steps.values() if is_of(Kind.SNAPSHOT, step.address) and step.verb in REMOVING]
    if not steps:
        return
    wanted = {} if draft.options.destroy else draft.desired.digests
    removals: dict[str, list[str]] = {}
    for step in draft.steps.values():
        if step.verb in SHARE_REMOVALS and is_of(Kind.SHARE, step.address) and step.address not in wanted:
            removals.setdefault(removed_record(draft, step.address).resource_id, []).append(step.step_id)
    for address, refusal in refusals.at(Kind.SHARE):
        record = draft.records.get(address)
        goes = refusal.verbs is not None and Verb.DELETE_SHARE in refusal.verbs
        if goes and record is not None and address not in wanted:
            removals.setdefault(record.resource_id, []).append(step_id(Verb.DELETE_SHARE, address))
    for step in steps:
        for removal in removals.get(share_resource_id(draft.records[step.address]), ()):
            bound.setdefault(removal, []).append(step.step_id)


def _is_mere_order(step: Step, needed: str) -> bool:
    """Tell whether the step only comes after the other, and can do without it."""
    return step.verb in RESIZING and needed.startswith(f"{Verb.REVERT_SHARE}:")


def _drop_refused_candidates(draft: Draft, refusals: _Refusals) -> None:
    """Let no new share fall through to a backend that is refused; one whose first place is there is held."""
    for name, step in draft.steps.items():
        if not isinstance(step.work, CreateShare):
            continue
        others = step.work.candidates[1:]
        allowed = [c for c in others if refusals.of(step.verb, address_of(Kind.BACKEND, c.backend)) is None]
        if len(allowed) < len(others):
            work = replace(step.work, candidates=(step.work.candidates[0], *allowed))
            draft.steps[name] = replace(step, work=work)


def _keep_recorded(draft: Draft, address: Address, name: str) -> None:
    """Let the row of a share in which `name` does not change say so: with that of its manifest no plan would look at it again."""
    found = step_id(Verb.UPDATE_RECORD, address)
    step = draft.steps.get(found)
    if step is not None and step.spec is not None:
        kept = getattr(share_spec_of(draft.records[address]), name)
        draft.steps[found] = replace(step, work=UpdateRecord(replace(cast("ShareSpec", step.spec), **{name: kept})))


def _drop_useless_servers(draft: Draft) -> None:
    """Leave out the share servers that were to be made for shares that are held."""
    makes = [step for step in draft.steps.values() if step.verb is Verb.CREATE_SHARE_SERVER]
    if makes:
        wanted = {c.share_server for step in draft.steps.values() for c in step.candidates[:1]}
        for step in makes:
            if step.address not in wanted:
                del draft.steps[step.step_id]
