"""What each step waits for, and the order of all."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from sharectl.manifests.dependencies import topological_order
from sharectl.model.kinds import MANAGED_KINDS, Kind, address_of, is_of, of_kind
from sharectl.model.plans import Action, RevertShare
from sharectl.model.table import prerequisites_of
from sharectl.model.verbs import VERBS, Effect, Verb, verbs_that
from sharectl.planner.draft import MAKING, RESIZING, SHARE_REMOVALS, step_id
from sharectl.planner.records import DEPOSED_MARK
from sharectl.planner.share_servers.places import server_waits
from sharectl.planner.snapshots import clones_of_removed_snapshots, snapshots_of_removed_shares

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator, Mapping

    from sharectl.model.kinds import Address
    from sharectl.model.plans import Step
    from sharectl.planner.draft import Draft

_INDEPENDENT: Final = RESIZING | {Verb.UPDATE_ACCESS, Verb.UPDATE_RECORD, Verb.SCHEDULE_SNAPSHOTS}
"""In a plan of these alone no step waits for another, but for room."""
_MAKES: Final = verbs_that(Effect.MAKES, managed=True)
_MAKERS: Final[Mapping[Kind, tuple[Verb, ...]]] = {
    kind: tuple(verb for verb in Verb if verb in MAKING and VERBS[verb].kind in {None, kind}) for kind in MANAGED_KINDS
}


def linked_steps(draft: Draft) -> tuple[Step, ...]:
    """Return the steps with what they wait for, each after all of that, and apart from that by address.

    A rename that the plan is not about is dropped, unless another step needs it.
    """
    if draft.verbs <= _INDEPENDENT and not draft.room_from:
        return tuple(_by_address(draft))
    waits = _waits(draft)
    if draft.options.narrows:
        needed = {name for names in waits.values() for name in names}
        waits = {
            name: names
            for name, names in waits.items()
            if draft.steps[name].verb is not Verb.MOVE or name in needed or _is_chosen(draft, draft.steps[name].address)
        }
    renamed = {draft.steps[name].address for name in waits if draft.steps[name].verb is Verb.MOVE}
    for name, names in waits.items():
        draft.steps[name] = _linked(draft.steps[name], names, renamed)  # in place: all of them twice is much memory
    return tuple(draft.steps[name] for name in topological_order(waits))


def _by_address(draft: Draft) -> list[Step]:
    """Return the steps by address and id; no keys are made, of which there would be as many as steps."""
    return sorted(sorted(draft.steps.values(), key=attrgetter("step_id")), key=attrgetter("address"))


def _is_chosen(draft: Draft, address: Address) -> bool:
    """Tell whether the plan is about a rename; an old share is set aside for its replacement, which needs that."""
    former = draft.moved_from.get(address)
    return former is None or draft.chooses(address, draft.state.records[former].backend or "")


def _linked(step: Step, waits_for: tuple[str, ...], renamed: set[Address]) -> Step:
    """Return the step with its waits; a row that an earlier step of the plan brings to its address is not there yet."""
    row = step.former or step.address
    version = None if row in renamed else step.expected_version
    if not waits_for and version == step.expected_version:
        return step
    return replace(step, waits_for=waits_for, expected_version=version)


def needs_of_steps(draft: Draft, verbs: Container[Verb] = frozenset(Verb)) -> Iterator[tuple[Step, Collection[str]]]:
    """Yield each step, by address, with the ids of those with one of `verbs` that it would wait for, whether or not the plan has them."""
    snapshots_of = snapshots_of_removed_shares(draft)
    asides = {step.former: step.address for step in draft.steps.values() if DEPOSED_MARK in step.address}
    forgotten = _forgotten_by_backend(draft)
    on_servers = server_waits(draft)
    taken = _taken_before_reverts(draft)
    for step in _by_address(draft):
        name = step.step_id
        ids = [step_id(verb, address) for verb, address in _needed(step, snapshots_of, asides) if verb in verbs]
        if step.verb is Verb.FORGET:
            ids += forgotten.get(step.address, ())
        yield (
            step,
            dict.fromkeys((*ids, *taken.get(name, ()), *on_servers.get(name, ()), *draft.room_from.get(name, ()))),
        )


def _waits(draft: Draft) -> dict[str, tuple[str, ...]]:
    """Return what each step waits for, in the order of addresses."""
    waits: dict[str, tuple[str, ...]] = {}
    prepared = {step.backend: (step.step_id,) for step in draft.steps.values() if step.verb is Verb.PREPARE_BACKEND}
    for step, needed in needs_of_steps(draft, draft.verbs):
        name = step.step_id
        present = {draft.steps[other].step_id: None for other in needed if other in draft.steps and other != name}
        prepares = prepared.get(step.backend)
        if (
            prepares is not None
            and name not in prepares
            and not any(draft.steps[other].backend == step.backend for other in present)
        ):  # the others on this backend wait for it themselves
            waits[name] = (*present, *prepares) if present else prepares
        else:
            waits[name] = tuple(present)
    _add_clones(draft, waits)
    _add_needs_of_successors(draft, waits)
    return waits


def _add_clones(draft: Draft, waits: dict[str, tuple[str, ...]]) -> None:
    """Let the deletion of a snapshot wait for that of its clones, which on some backends depend on it.

    A clone remembers its snapshot by name, which another snapshot may have by now: what would make a circle is left out.
    """
    for snapshot, removals in clones_of_removed_snapshots(draft).items():
        deletion = step_id(Verb.DELETE_SNAPSHOT, snapshot)
        for removal in removals:
            if removal in waits and not _leads_to(waits, removal, deletion):
                waits[deletion] = (*waits[deletion], removal)


def _add_needs_of_successors(draft: Draft, waits: dict[str, tuple[str, ...]]) -> None:
    """Let a share that goes first wait for all that the one in its place needs besides: while any of that can fail, nothing is lost.

    What needs the removal itself, such as a share server for which there is no room before, is left out.
    """
    for name, step in draft.steps.items():
        if step.verb in SHARE_REMOVALS and step.action is Action.DELETE_THEN_CREATE:
            for needed in waits.get(step_id(Verb.CREATE_SHARE, step.address), ()):
                if needed not in {name, *waits[name]} and not _leads_to(waits, needed, name):
                    waits[name] = (*waits[name], needed)


def _leads_to(waits: Mapping[str, Iterable[str]], start: str, goal: str) -> bool:
    """Tell whether `start` waits for `goal`, directly or through others."""
    seen: set[str] = set()
    trail = [start]
    while trail:
        name = trail.pop()
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            trail.extend(waits[name])
    return False


def _needed(
    step: Step, snapshots_of: Mapping[str, list[Address]], asides: Mapping[Address | None, Address]
) -> Iterator[tuple[Verb, Address]]:
    """Yield what has to be done before a step, and to what, whether or not the plan does it."""
    address, verb = step.address, step.verb
    if verb is Verb.MOVE:
        yield Verb.MOVE, step.former or ""
        return
    yield Verb.MOVE, address
    if verb is Verb.SCHEDULE_SNAPSHOTS and step.action is Action.FORGET:
        yield from _of_successor(address)
    elif verb in {Verb.UPDATE_ACCESS, Verb.SCHEDULE_SNAPSHOTS}:
        yield Verb.CREATE_SHARE, address
    elif verb in RESIZING:
        yield Verb.REVERT_SHARE, address
    elif verb is Verb.CREATE_SHARE:
        for removal in SHARE_REMOVALS:
            yield removal, address
        if address in asides:
            yield Verb.MOVE, asides[address]
    elif verb in SHARE_REMOVALS:
        yield from _before_removal(step, snapshots_of)
    yield from _of_spec(step)


def _before_removal(step: Step, snapshots_of: Mapping[str, list[Address]]) -> Iterator[tuple[Verb, Address]]:
    """Yield what comes before a share goes; only one that stays behind has its snapshot policy ended first."""
    if step.verb is Verb.FORGET:
        yield Verb.SCHEDULE_SNAPSHOTS, step.address
    for snapshot in snapshots_of.get(step.step_id, ()):
        yield Verb.DELETE_SNAPSHOT, snapshot
    yield from _of_successor(step.address)


def _of_successor(address: Address) -> Iterator[tuple[Verb, Address]]:
    """Yield what makes the share that replaces an old one, which stays as it was until then."""
    successor, mark, _ = address.partition(DEPOSED_MARK)
    if mark:
        yield Verb.CREATE_SHARE, successor
        yield Verb.UPDATE_ACCESS, successor


def _of_spec(step: Step) -> Iterator[tuple[Verb, Address]]:
    """Yield what brings about what the spec refers to."""
    spec = step.spec
    makes = step.verb in _MAKES or (step.verb is Verb.ADOPT and not is_of(Kind.SHARE, step.address))
    for kind, name in () if spec is None else prerequisites_of(spec):
        if kind in MANAGED_KINDS:
            needed = address_of(kind, name)
            yield Verb.MOVE, needed
            for verb in _MAKERS[kind] if makes else ():
                yield verb, needed


def _taken_before_reverts(draft: Draft) -> dict[str, list[str]]:
    """Return what each revert waits for besides the share: its snapshot under its new name, and all snapshots that are taken of the share.

    A new snapshot together with a revert is meant to keep what the revert takes away.
    """
    reverts = {step.address: step for step in draft.steps.values() if step.verb is Verb.REVERT_SHARE}
    found: dict[str, list[str]] = {}
    for step in reverts.values():
        if isinstance(step.work, RevertShare) and step.work.spec.revert_to is not None:
            found[step.step_id] = [step_id(Verb.MOVE, address_of(Kind.SNAPSHOT, step.work.spec.revert_to.snapshot))]
    for name in sorted(draft.steps) if reverts else ():
        step = draft.steps[name]
        if step.verb is Verb.CREATE_SNAPSHOT:
            revert = reverts.get(address_of(Kind.SHARE, draft.desired.snapshot(step.address).share))
            if revert is not None:
                found[revert.step_id].append(name)
    return found


def _forgotten_by_backend(draft: Draft) -> dict[Address, list[str]]:
    """Return the ids of the steps that forget what is on a backend that is forgotten itself, by the backend's address."""
    forgotten = (step.address for step in draft.steps.values() if step.verb is Verb.FORGET)
    backends: dict[Address, list[str]] = {address: [] for address in of_kind(Kind.BACKEND, forgotten)}
    if backends:
        for address, record in sorted(draft.records.items()):
            name = step_id(Verb.FORGET, address)
            if name in draft.steps and not is_of(Kind.BACKEND, address):
                backends.get(address_of(Kind.BACKEND, record.backend or ""), []).append(name)
    return backends
