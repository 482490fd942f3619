"""Pools kept in order of the largest share that they can take, so that one request costs little more than the root of their number."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_SMALLEST_BLOCK: Final = 16
_NOTHING: Final = -math.inf


class _Block:
    """A run of neighbours in the order of `limits`; `keys` stand beside them."""

    __slots__ = ("keys", "limits")

    def __init__(self, limits: list[float], keys: list[int]) -> None:
        self.limits = limits
        self.keys = keys


class Ranking:
    """Members with a limit (the largest size that fits) and an integer key (the higher, the better), both changeable.

    The best and the worst key among the members whose limit is at least a given size are found through blocks of about the
    square root of the members, each with its highest limit, best and worst key.
    """

    def __init__(self, entries: Iterable[tuple[float, int]]) -> None:
        """Take (limit, key) pairs; keys are unique."""
        ordered = sorted(entries)
        self._block_size = max(_SMALLEST_BLOCK, math.isqrt(len(ordered)))
        self._blocks: list[_Block] = []
        self._ceilings: list[float] = []
        self._best: list[int] = []
        self._worst: list[int] = []
        for start in range(0, len(ordered), self._block_size):
            part = ordered[start : start + self._block_size]
            self._insert_block(len(self._blocks), _Block([limit for limit, _ in part], [key for _, key in part]))

    def replace(self, old: tuple[float, int], new: tuple[float, int]) -> None:
        """Give the member with the limit and key `old` those in `new`."""
        old_limit, old_key = old
        new_limit, new_key = new
        at, position = self._find(old_limit, old_key)
        block = self._blocks[at]
        stays = new_limit <= self._ceilings[at] and (at == 0 or new_limit > self._ceilings[at - 1])
        del block.limits[position], block.keys[position]
        if not stays:
            if block.keys:
                self._refresh(at)
            else:
                self._drop(at)
            self._add(new_limit, new_key)
            return
        position = bisect_left(block.limits, new_limit)
        block.limits.insert(position, new_limit)
        block.keys.insert(position, new_key)
        self._ceilings[at] = block.limits[-1]
        if old_key == self._best[at] or new_key > self._best[at]:
            self._best[at] = max(block.keys)
        if old_key == self._worst[at] or new_key < self._worst[at]:
            self._worst[at] = min(block.keys)

    def worst(self, size: float) -> int | None:
        """Return the lowest key among the members with a limit of at least `size`, None where there is none."""
        first = bisect_left(self._ceilings, size)
        if first == len(self._blocks):
            return None
        block = self._blocks[first]
        lowest = min(block.keys[bisect_left(block.limits, size) :])
        return min([lowest, *self._worst[first + 1 :]])

    def members(self, size: float) -> list[int]:
        """Return all keys of members with a limit of at least `size`, in no order."""
        first = bisect_left(self._ceilings, size)
        if first == len(self._blocks):
            return []
        block = self._blocks[first]
        found = block.keys[bisect_left(block.limits, size) :]
        for following in self._blocks[first + 1 :]:
            found += following.keys
        return found

    def highest_limit(self) -> float:
        """Return the largest size that any member can take, -inf without members."""
        return self._ceilings[-1] if self._ceilings else _NOTHING

    def best(self, size: float, count: int) -> list[int]:
        """Return the `count` highest keys, best first, among the members with a limit of at least `size`."""
        first = bisect_left(self._ceilings, size)
        if first == len(self._blocks):
            return []
        block = self._blocks[first]
        partial = block.keys[bisect_left(block.limits, size) :]
        heads: list[float] = [*self._best[first:]]
        heads[0] = max(partial)
        opened: dict[int, list[int]] = {}
        found: list[int] = []
        while len(found) < count:
            head = max(heads)
            if head == _NOTHING:
                break
            position = heads.index(head)
            if position not in opened:
                opened[position] = sorted(self._blocks[first + position].keys if position else partial)
            keys = opened[position]
            found.append(keys.pop())
            heads[position] = keys[-1] if keys else _NOTHING
        return found

    def _find(self, limit: float, key: int) -> tuple[int, int]:
        at = bisect_left(self._ceilings, limit)
        while True:
            block = self._blocks[at]
            position = bisect_left(block.limits, limit)
            while position < len(block.keys) and block.limits[position] == limit:
                if block.keys[position] == key:
                    return at, position
                position += 1
            at += 1

    def _drop(self, at: int) -> None:
        del self._blocks[at], self._ceilings[at], self._best[at], self._worst[at]

    def _add(self, limit: float, key: int) -> None:
        if not self._blocks:
            self._insert_block(0, _Block([limit], [key]))
            return
        at = min(bisect_left(self._ceilings, limit), len(self._blocks) - 1)
        block = self._blocks[at]
        position = bisect_left(block.limits, limit)
        block.limits.insert(position, limit)
        block.keys.insert(position, key)
        if len(block.keys) <= 2 * self._block_size:
            self._refresh(at)
            return
        half = len(block.keys) // 2
        upper = _Block(block.limits[half:], block.keys[half:])
        del block.limits[half:], block.keys[half:]
        self._refresh(at)
        self._insert_block(at + 1, upper)

    def _insert_block(self, at: int, block: _Block) -> None:
        self._blocks.insert(at, block)
        self._ceilings.insert(at, block.limits[-1])
        self._best.insert(at, max(block.keys))
        self._worst.insert(at, min(block.keys))

    def _refresh(self, at: int) -> None:
        block = self._blocks[at]
        self._ceilings[at] = block.limits[-1]
        self._best[at] = max(block.keys)
        self._worst[at] = min(block.keys)
