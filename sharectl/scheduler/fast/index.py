"""Facts about pools, as columns of distinct values with the set of pools that have each; sets of pools are bit masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sharectl.scheduler.errors import UnfitValueError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sharectl.scheduler.extra_specs import Requirement
    from sharectl.scheduler.ledger import PoolState


class FactIndex:
    """Columns of facts, each built once when it is first asked for."""

    def __init__(self, states: Sequence[PoolState]) -> None:
        """Index these pools; a pool's bit is 1 << its place in the sequence."""
        self._states = states
        self._columns: dict[object, list[tuple[Any, PoolState, int]]] = {}

    @property
    def everything(self) -> int:
        """The mask of all pools."""
        return (1 << len(self._states)) - 1

    def having(self, column: object, fact: Callable[[PoolState], Any], holds: Callable[[Any], bool]) -> int:
        """Return the mask of the pools whose `fact` `holds`; `column` names the fact."""
        mask = 0
        for value, _, members in self._column(column, fact):
            if holds(value):
                mask |= members
        return mask

    def meeting(self, requirement: Requirement) -> tuple[int, int]:
        """Return the masks of the pools that meet the requirement, and of those with a value that it cannot judge."""
        met, unfit = 0, 0
        for _, example, members in self._column(
            requirement.path, lambda state: requirement.find(state.pool.capabilities)
        ):
            try:
                if requirement.met_by(example.pool.capabilities):
                    met |= members
            except UnfitValueError:
                unfit |= members
        return met, unfit

    def _column(self, column: object, fact: Callable[[PoolState], Any]) -> list[tuple[Any, PoolState, int]]:
        known = self._columns.get(column)
        if known is None:
            known = self._columns[column] = self._build(fact)
        return known

    def _build(self, fact: Callable[[PoolState], Any]) -> list[tuple[Any, PoolState, int]]:
        members: dict[object, list[PoolState]] = {}
        values: dict[object, Any] = {}
        for state in self._states:
            value = fact(state)
            key = (type(value), value if isinstance(value, str | int | float | None) else repr(value))
            if key not in members:
                members[key] = []
                values[key] = value
            members[key].append(state)
        return [(values[key], found[0], mask_of(state.index for state in found)) for key, found in members.items()]


def mask_of(positions: Iterable[int]) -> int:
    """Return the mask with the bits at `positions`."""
    ordered = list(positions)
    if not ordered:
        return 0
    bits = bytearray(max(ordered) // 8 + 1)
    for position in ordered:
        bits[position >> 3] |= 1 << (position & 7)
    return int.from_bytes(bits, "little")


def positions_in(mask: int) -> list[int]:
    """Return the positions of the bits in `mask`, ascending."""
    digits = bin(mask)[:1:-1]
    return [position for position, digit in enumerate(digits) if digit == "1"]
