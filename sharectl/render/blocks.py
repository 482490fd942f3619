"""A plan as people think of it: one block for each resource, whatever number of steps it takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sharectl.model.access import protocol_words
from sharectl.model.field_changes import RULE_FIELD
from sharectl.model.kinds import Kind, address_of
from sharectl.model.plans import STRENGTH, Action, RevertShare
from sharectl.model.quantities import approximate_size, format_size
from sharectl.model.share_networks import ShareServerSpec
from sharectl.model.specs import ShareSpec, SnapshotSpec
from sharectl.model.verbs import VERBS, Effect, Verb, verbs_that
from sharectl.planner.records import DEPOSED_MARK, RENAMED_ALONE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from sharectl.model.codec import Spec
    from sharectl.model.field_changes import FieldChange
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan, Step

_NAMED_CANDIDATES: Final = 3
_DESTROYING: Final = frozenset(verb for verb in verbs_that(Effect.REMOVES) if VERBS[verb].destroys)
_MAKING: Final = verbs_that(Effect.MAKES)
_OF_THE_STATE: Final = frozenset({Verb.MOVE, Verb.UPDATE_RECORD})


@dataclass(slots=True)
class Block:
    """What happens to the resource at `address`: the strongest action, and the steps, in the order of the plan.

    The two halves of a replacement are one block, under the address that stays.
    """

    address: Address
    action: Action
    steps: list[Step] = field(default_factory=list)

    @property
    def creation(self) -> Step | None:
        """The step that makes the share or share server, or takes the snapshot, if there is one."""
        return next((s for s in self.steps if s.verb in _MAKING), None)

    @property
    def removal(self) -> Step | None:
        """The step that removes a share or snapshot from its backend, or leaves it there and forgets it."""
        return next((s for s in self.steps if s.verb in _REMOVING), None)

    @property
    def destroys(self) -> bool:
        """Tell whether data is lost for good."""
        for step in self.steps:  # asked of each block; a generator takes twice the time
            if step.verb in _DESTROYING:
                return True
        return self.reverts_to is not None

    @property
    def reverts_to(self) -> Address | None:
        """The snapshot that the share is turned back to, if it is."""
        for step in self.steps:
            if isinstance(step.work, RevertShare) and step.work.spec.revert_to is not None:
                return address_of(Kind.SNAPSHOT, step.work.spec.revert_to.snapshot)
        return None

    @property
    def lost_size(self) -> str | None:
        """The size of what is removed, and how much of it is in use, where the plan knows it."""
        step = self.removal
        size = next((str(c.before) for c in step.changes if c.field == "size"), None) if step is not None else None
        used_bytes = None if step is None or step.before is None else step.before.used_bytes
        return size if size is None or used_bytes is None else f"{approximate_size(used_bytes)} of {size}"


_REMOVING: Final = verbs_that(Effect.REMOVES, managed=True)


def plan_blocks(plan: Plan) -> list[Block]:
    """Return the blocks of the plan, ordered by address."""
    blocks: dict[Address, Block] = {}
    for step in plan.steps:
        address = step.address
        if step.action is Action.CREATE_THEN_DELETE:
            address = address.partition(DEPOSED_MARK)[0]
        block = blocks.get(address)
        if block is None:
            block = blocks[address] = Block(address, step.action)
        elif STRENGTH[step.action] > STRENGTH[block.action]:
            block.action = step.action
        block.steps.append(step)
    return [blocks[address] for address in sorted(blocks)]


def split_changes(steps: Iterable[Step]) -> tuple[list[FieldChange], list[FieldChange]]:
    """Return the changes of fields and those of access rules; what a new or removed resource is made of is not among them."""
    fields: list[FieldChange] = []
    rules: list[FieldChange] = []
    for step in steps:
        if step.verb in {Verb.UPDATE_ACCESS, Verb.FORGET}:
            rules += [change for change in step.changes if change.field.startswith(RULE_FIELD)]
            fields += [change for change in step.changes if not change.field.startswith(RULE_FIELD)]
        elif step.verb not in _WHOLE:
            fields += step.changes
    return fields, rules


_WHOLE: Final = _REMOVING | _MAKING | {Verb.ADOPT, Verb.RESTORE_SHARE}


def described(spec: Spec | None) -> str:
    """Return what a new resource is, in a few words: `100GiB NFS, type gold`, `of share/home`; of most kinds, its fields."""
    if spec is None:
        return ""
    words = _WORDS.get(type(spec))
    if words is not None:
        return words(spec)
    return ", ".join(f"{name} {value}" for name, value in spec.as_plain().items() if name not in {"name", "labels"})


def _snapshot_words(spec: SnapshotSpec) -> str:
    return f"of {address_of(Kind.SHARE, spec.share)}"


def _server_words(spec: ShareServerSpec) -> str:
    subnet = spec.subnet
    wire = subnet.cidr or subnet.neutron_net_id or subnet.nova_net_id
    return f"on {address_of(Kind.SHARE_NETWORK, spec.share_network)}{'' if wire is None else f', {wire}'}"


def _share_words(spec: ShareSpec) -> str:
    words = f"{format_size(spec.size_bytes)} {protocol_words(spec.protocol)}"
    if spec.share_type is not None:
        words += f", type {spec.share_type}"
    if spec.availability_zone is not None:
        words += f", zone {spec.availability_zone}"
    if spec.share_network is not None:
        words += f", on {address_of(Kind.SHARE_NETWORK, spec.share_network)}"
    if spec.source_snapshot is not None:
        words += f", from {address_of(Kind.SNAPSHOT, spec.source_snapshot)}"
    return words


_WORDS: Final[Mapping[type[Spec], Callable[[Any], str]]] = {
    ShareSpec: _share_words,
    SnapshotSpec: _snapshot_words,
    ShareServerSpec: _server_words,
}


def placement(step: Step, most: int | None) -> str:
    """Return where a new share is tried: `nas1#default (0.83), then nas2#default (0.41)`; at most `most` candidates by name."""
    candidates = step.candidates if most is None else step.candidates[:most]
    if len(step.candidates) == 1:
        return f"{candidates[0].backend}#{candidates[0].pool}"
    words = ", then ".join(f"{c.backend}#{c.pool} ({c.weight:.2f})" for c in candidates)
    hidden = len(step.candidates) - len(candidates)
    return f"{words}, then {hidden} more" if hidden else words


def headline(block: Block, *, verbose: bool = False) -> str:
    """Return on one line what becomes of the resource, where and why; a plainly new one needs no reason unless `verbose`."""
    creation = block.creation
    if creation is None:
        where = next((step.backend for step in block.steps if step.backend is not None), None)
        why = reasons(block.steps)
        return why if where is None else f"on {where}: {why}"
    words = described(creation.spec)
    if creation.candidates:
        words += f"  → {placement(creation, None if verbose else _NAMED_CANDIDATES)}"
    else:
        words += f"  → {creation.backend}"
    plainly_new = block.action is Action.CREATE and creation.expected_version is None
    if plainly_new and not verbose:
        return words
    knows_why = next((step for step in block.steps if step.verb is Verb.MOVE), block.removal) or creation
    return f"{words}: {knows_why.reason}"


def reasons(steps: Sequence[Step]) -> str:
    """Return the reasons of the steps, each once; that a step asks no backend is left out beside one that changes something there."""
    if len(steps) == 1:
        return steps[0].reason
    said = dict.fromkeys(step.reason for step in steps)
    if any(step.verb not in _OF_THE_STATE for step in steps):
        of_backend = (step.reason.removesuffix(RENAMED_ALONE) for step in steps if step.verb is not Verb.UPDATE_RECORD)
        said = dict.fromkeys(of_backend)
    return "; ".join(said)


def fate(block: Block, *, sized: bool = True) -> str | None:
    """Return what becomes of the share or snapshot that the block removes or turns back, with its size; None where that is all there is to say of it."""
    removal = block.removal
    if block.reverts_to is not None:
        return f"what was written since {block.reverts_to} was taken is destroyed"
    if removal is None or block.action is Action.FORGET:
        return None
    text = VERBS[removal.verb].fate.format(old="" if block.creation is None else "old ")
    return f"{text} ({block.lost_size})" if sized and block.lost_size is not None else text


def destroyed(blocks: Iterable[Block]) -> list[Block]:
    """Return the blocks that destroy data."""
    return [block for block in blocks if block.destroys]


def destroyed_names(blocks: Iterable[Block]) -> Iterator[str]:
    """Yield what is destroyed with its size, where the plan knows it: `share/old (100GiB)`, or `share/home (snapshot/monday)`."""
    for block in blocks:
        note = block.lost_size or block.reverts_to
        yield block.address if note is None else f"{block.address} ({note})"
