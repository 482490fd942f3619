"""What refusals hold: the steps that are refused, all that depends on them, and never half of what belongs together."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sharectl.model.kinds import Kind, address_of, is_of
from sharectl.model.plans import CreateShare, Held, UpdateRecord
from sharectl.model.specs import ShareSpec
from sharectl.model.table import prerequisites_of
from sharectl.model.verbs import Verb
from sharectl.planner.draft import REMOVING, RESIZING, step_id
from sharectl.planner.order import needs_of_steps
from sharectl.planner.records import DEPOSED_MARK
from sharectl.planner.snapshots import SHARE_REMOVALS, clones_of_removed_snapshots, removed_record, share_resource_id
from sharectl.state.rows import share_spec_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sharectl.model.kinds import Address
    from sharectl.model.plans import Step
    from sharectl.planner.draft import Draft, Refusal

_ON_NETWORK = frozenset({Verb.CREATE_SHARE, Verb.CREATE_SHARE_SERVER, Verb.UPDATE_SHARE_SERVER})


@dataclass(frozen=True, slots=True)
class HeldSteps:
    """The steps that refusals have taken out of a draft, by id, each with the refusal that it comes from.

    `kept` are the shares that were to be replaced and stay.
    """

    draft: Draft
    steps: Mapping[str, tuple[Step, Refusal]] = field(default_factory=dict)
    kept: frozenset[Address] = frozenset()

    def report(self) -> tuple[Held, ...]:
        """Return what is left undone, by address: each refusal, and each resource that depends on one."""
        verbs: dict[tuple[Address, int], list[Verb]] = {}
        for step, refusal in self.steps.values():
            verbs.setdefault((_place(step.address), id(refusal)), []).append(step.verb)
        found: list[Held] = []
        for refusal in self.draft.refusals:
            own = tuple(verbs.pop((_place(refusal.address), id(refusal)), ()))
            summary, code = refusal.diagnostic.summary, refusal.diagnostic.code
            found.append(Held(refusal.address, summary, refusal.address, code, own))
        refused = {id(refusal): refusal for refusal in self.draft.refusals}
        found += (_dependent(address, refused[number], tuple(others)) for (address, number), others in verbs.items())
        return tuple(sorted([*found, *self._awaiting(found)], key=lambda each: each.address))

    def _awaiting(self, found: Iterable[Held]) -> Iterator[Held]:
        """Yield the new resources for which no steps were made, since they would have been made from what is refused."""
        awaited = self.draft.awaited
        if not awaited:
            return
        known = {each.address for each in found}
        refusals = {refusal.address: refusal for refusal in reversed(self.draft.refusals)}
        for address in awaited:
            origin = address
            for _ in range(len(awaited)):
                origin = awaited.get(origin, origin)
            if address not in known and origin in refusals:
                yield _dependent(address, refusals[origin], ())


def hold_refused(draft: Draft) -> HeldSteps:
    """Take the steps out of the draft that the refusals hold. Linear in steps and what they wait for; free where nothing is refused."""
    if not draft.refusals:
        return HeldSteps(draft)
    refusals = _Refusals(draft.refusals)
    _drop_refused_candidates(draft, refusals)
    holding = _Holding(draft, refusals)
    held = {name: (draft.steps[name], refusal) for name, refusal in holding.spread().items()}
    for name in held:
        del draft.steps[name]
    for step, _ in held.values():
        if step.verb in RESIZING:
            _keep_recorded_size(draft, step.address)
    _drop_useless_servers(draft)
    kept = {_place(step.address) for step, _ in held.values()} & draft.replaced.keys()
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
            self._by_address.setdefault(refusal.address, []).append(refusal)
            if refusal.former is not None:
                self._by_address.setdefault(refusal.former, []).append(refusal)

    def of(self, verb: Verb, address: Address) -> Refusal | None:
        """Return the refusal that holds `verb` at the address, if there is one; that of a share holds what it has set aside."""
        found = [*self._by_address.get(address, ()), *self._by_address.get(_place(address), ())]
        if verb is Verb.MOVE and DEPOSED_MARK not in address:  # a rename: the state alone, whatever else cannot be done
            return next((refusal for refusal in found if refusal.former is not None), None)
        return next((refusal for refusal in found if refusal.verbs is None or verb in refusal.verbs), None)

    def of_step(self, step: Step) -> Refusal | None:
        """Return the refusal that holds the step: one of its address, its backend, or its share network."""
        found = self.of(step.verb, step.address)
        if found is None and step.former is not None:
            found = self.of(step.verb, step.former)
        if found is None and step.backend is not None:
            found = self.of(step.verb, f"{Kind.BACKEND}/{step.backend}")
        for needed in prerequisites_of(step.spec) if step.spec is not None and step.verb in _ON_NETWORK else ():
            if found is None and needed.kind is Kind.SHARE_NETWORK:
                found = self.of(step.verb, address_of(*needed))
        return found

    def of_removals(self) -> Iterator[tuple[Address, Refusal]]:
        """Yield the shares that would go and are refused to."""
        for address, refusals in self._by_address.items():
            if is_of(Kind.SHARE, address):
                for refusal in refusals:
                    if refusal.verbs is not None and Verb.DELETE_SHARE in refusal.verbs:
                        yield address, refusal

    def of_snapshots(self) -> Iterator[tuple[Address, Refusal]]:
        """Yield the snapshots that would be taken and are refused to."""
        for address, refusals in self._by_address.items():
            if is_of(Kind.SNAPSHOT, address):
                for refusal in refusals:
                    if refusal.verbs is None or Verb.CREATE_SNAPSHOT in refusal.verbs:
                        yield address, refusal


@dataclass(slots=True)
class _Holding:
    """The spreading of refusals over the graph."""

    draft: Draft
    refusals: _Refusals
    held: dict[str, Refusal] = field(default_factory=dict)
    queue: deque[str] = field(default_factory=deque)

    def spread(self) -> dict[str, Refusal]:
        """Return the refusal that each held step comes from."""
        bound = self._bound()
        self._begin(bound)
        while self.queue:
            name = self.queue.popleft()
            for other in bound.get(name, ()):
                self._hold(other, self.held[name])
        return self.held

    def _hold(self, name: str, refusal: Refusal) -> None:
        if name in self.draft.steps and name not in self.held:
            self.held[name] = refusal
            self.queue.append(name)

    def _begin(self, bound: dict[str, list[str]]) -> None:
        """Hold what is refused itself, and what needs a step that was refused before it was made."""
        for name, step in self.draft.steps.items():
            refusal = self.refusals.of_step(step)
            if refusal is not None:
                self._hold(name, refusal)
        for needed, dependants in bound.items():
            if needed not in self.draft.steps:
                verb, _, address = needed.partition(":")
                refusal = self.refusals.of(Verb(verb), address)
                if refusal is not None:
                    for name in dependants:
                        self._hold(name, refusal)
        for snapshot, refusal in self.refusals.of_snapshots():
            if snapshot in self.draft.desired.digests:
                share = address_of(Kind.SHARE, self.draft.desired.snapshot(snapshot).share)
                self._hold(step_id(Verb.REVERT_SHARE, share), refusal)

    def _bound(self) -> dict[str, list[str]]:
        """Return, by the id of a step, those that are held with it: what needs it, and what is one thing with it."""
        bound: dict[str, list[str]] = {}
        for name, needed in needs_of_steps(self.draft).items():
            for other in needed:
                if not _is_mere_order(self.draft.steps[name], other):
                    bound.setdefault(other, []).append(name)
        for snapshot, removals in clones_of_removed_snapshots(self.draft).items():
            for removal in removals:
                bound.setdefault(removal, []).append(step_id(Verb.DELETE_SNAPSHOT, snapshot))
        for names in self._replacements().values():
            for name in names:
                bound.setdefault(name, []).extend(names)
        self._bind_snapshots(bound)
        return bound

    def _replacements(self) -> dict[Address, list[str]]:
        """Return the steps of each replacement; a rename of the share before it stands for itself."""
        found: dict[Address, list[str]] = {}
        for name, step in self.draft.steps.items() if self.draft.replaced else ():
            address = _place(step.address)
            if address in self.draft.replaced and not (step.verb is Verb.MOVE and step.address == address):
                found.setdefault(address, []).append(name)
        return found

    def _bind_snapshots(self, bound: dict[str, list[str]]) -> None:
        """Let the removal of snapshots be held with that of their share, whose manifest took theirs along."""
        draft = self.draft
        steps = [s for s in draft.steps.values() if is_of(Kind.SNAPSHOT, s.address) and s.verb in REMOVING]
        if not steps:
            return
        removals: dict[str, list[str]] = {}
        for step in draft.steps.values():
            if step.verb in SHARE_REMOVALS and is_of(Kind.SHARE, step.address) and self._is_gone(step.address):
                removals.setdefault(removed_record(draft, step.address).resource_id, []).append(step.step_id)
        for address, _ in self.refusals.of_removals():
            record = draft.records.get(address)
            if record is not None and self._is_gone(address):
                removals.setdefault(record.resource_id, []).append(step_id(Verb.DELETE_SHARE, address))
        for step in steps:
            for removal in removals.get(share_resource_id(draft.records[step.address]), ()):
                bound.setdefault(removal, []).append(step.step_id)

    def _is_gone(self, address: Address) -> bool:
        return self.draft.options.destroy or address not in self.draft.desired.digests


def _is_mere_order(step: Step, needed: str) -> bool:
    """Tell whether the step only comes after the other, and does without it."""
    return step.verb in RESIZING and needed.startswith(f"{Verb.REVERT_SHARE}:")


def _drop_refused_candidates(draft: Draft, refusals: _Refusals) -> None:
    """Let no new share fall through to a backend that is refused; one whose first place is there is held."""
    for name, step in draft.steps.items():
        if not isinstance(step.work, CreateShare):
            continue
        others = step.work.candidates[1:]
        allowed = [c for c in others if refusals.of(step.verb, f"{Kind.BACKEND}/{c.backend}") is None]
        if len(allowed) < len(others):
            work = replace(step.work, candidates=(step.work.candidates[0], *allowed))
            draft.steps[name] = replace(step, work=work)


def _keep_recorded_size(draft: Draft, address: Address) -> None:
    """Let the row of a share that is not resized say so: with the size of its manifest in it no plan would look at it again."""
    name = step_id(Verb.UPDATE_RECORD, address)
    step = draft.steps.get(name)
    if step is not None and step.spec is not None:
        size_bytes = share_spec_of(draft.records[address]).size_bytes
        kept = ShareSpec.from_plain({**step.spec.as_plain(), "size_bytes": size_bytes})
        draft.steps[name] = replace(step, work=UpdateRecord(kept))


def _drop_useless_servers(draft: Draft) -> None:
    """Leave out the share servers that were to be made for shares that are held."""
    makes = [step for step in draft.steps.values() if step.verb is Verb.CREATE_SHARE_SERVER]
    if makes:
        wanted = {c.share_server for step in draft.steps.values() for c in step.candidates[:1]}
        for step in makes:
            if step.address not in wanted:
                del draft.steps[step.step_id]
