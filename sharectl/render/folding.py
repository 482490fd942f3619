"""Blocks of a plan that say the same of many resources, brought together as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.model.diagnostics import counted
from sharectl.model.kinds import kind_of
from sharectl.model.plans import Action
from sharectl.model.verbs import Verb
from sharectl.render.blocks import described, fate, headline, split_changes
from sharectl.render.sentences import change_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sharectl.model.kinds import Address
    from sharectl.render.blocks import Block
    from sharectl.render.review import Reached

FEWEST: Final = 10
"""So many resources, of which the same is said, are shown as one; fewer are read faster by name."""


class Fold(NamedTuple):
    """Blocks of which the same is said, ordered by address; one that is alone is a block as ever."""

    blocks: tuple[Block, ...]

    @property
    def first(self) -> Block:
        """The block that stands for all."""
        return self.blocks[0]

    @property
    def is_one(self) -> bool:
        """Whether it is of one resource."""
        return len(self.blocks) == 1

    @property
    def name(self) -> str:
        """What it is of: an address, or `3,000 shares`."""
        if self.is_one:
            return self.first.address
        noun = kind_of(self.first.address).value.replace("_", " ")
        return f"{len(self.blocks):,} {counted(2, noun).partition(' ')[2]}"


def folded(blocks: Iterable[Block], reached: Mapping[Address, Reached]) -> list[Fold]:
    """Return the blocks, those that are alike as one, in the order of the first of each; `reached` is what the review says of them."""
    alike: dict[tuple[object, ...], list[Block]] = {}
    known: dict[tuple[object, ...], tuple[object, ...]] = {}
    for block in blocks:
        said = reached.get(block.address)
        decisive = _decisive(block)
        sayings = known.get(decisive) or _sayings(block)
        if decisive:
            known[decisive] = sayings
        key = (*sayings, None if said is None else id(said.change))  # a change is one object for all its shares
        alike.setdefault(key, []).append(block)
    folds: list[Fold] = []
    for group in alike.values():
        folds += [Fold(tuple(group))] if len(group) >= FEWEST else [Fold((block,)) for block in group]
    return sorted(folds, key=lambda fold: fold.first.address)


def unfolded(blocks: Iterable[Block]) -> list[Fold]:
    """Return the blocks as they are, each by itself."""
    return [Fold((block,)) for block in blocks]


def fold_headline(fold: Fold, *, verbose: bool = False) -> str:
    """Return what becomes of the resources, where and why."""
    return headline(fold.first, verbose=verbose) if fold.is_one else _common_headline(fold.first)


def _common_headline(block: Block) -> str:
    """Return the headline of a block without what is of one share alone: how much pools weigh for it."""
    creation = block.creation
    if creation is None or not creation.candidates:
        return headline(block)
    best = creation.candidates[0]
    words = f"{described(creation.spec)}  → {best.backend}#{best.pool}"
    return (
        words if block.action is Action.CREATE and creation.expected_version is None else f"{words}: {creation.reason}"
    )


def _decisive(block: Block) -> tuple[object, ...]:
    """Return what decides all that is said of a resource of which only the record changes; nothing of any other."""
    step = block.steps[0]
    if step.verb is not Verb.UPDATE_RECORD or len(block.steps) > 1:
        return ()
    kind = block.address.partition("/")[0]
    return step.action, kind, step.backend, step.reason, id(step.stated_changes)  # one object for all that are alike


def _sayings(block: Block) -> tuple[object, ...]:
    """Return all that is said of a resource, but for its name, and the size of what it loses."""
    fields, rules = split_changes(block.steps)
    changes = tuple(change_text(change) for change in (*fields, *rules))
    return block.action, block.address.partition("/")[0], _common_headline(block), fate(block, sized=False), changes
