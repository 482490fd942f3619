"""Classes of requests with equal traits, and what holds for all requests of one: which pools can ever take them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sharectl.model.frozen import dataclass
from sharectl.scheduler import capacity
from sharectl.scheduler.errors import UnfitValueError
from sharectl.scheduler.fast.ranking import Ranking
from sharectl.scheduler.filters import AVAILABILITY_ZONE, CAPABILITIES, DRIVER_FUNCTION, Stability, function_is_fixed
from sharectl.scheduler.values import INFINITE, UNKNOWN, number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sharectl.scheduler.extra_specs import Requirement
    from sharectl.scheduler.filters import Filter
    from sharectl.scheduler.pools import Ledger, PoolState
    from sharectl.scheduler.request import Query, Traits


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
        if column in self._columns:
            return self._columns[column]
        members: dict[object, list[PoolState]] = {}
        values: dict[object, Any] = {}
        for state in self._states:
            value = fact(state)
            key = (type(value), value if isinstance(value, str | int | float | None) else repr(value))
            if key not in members:
                members[key] = []
                values[key] = value
            members[key].append(state)
        built = [(values[key], found[0], mask_of(state.index for state in found)) for key, found in members.items()]
        self._columns[column] = built
        return built


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


_LARGEST_EXACT_GIB = 1 << 26
"""Beyond this (64 PiB) rounding spans too many bytes for a limit on the grid to stand for the test itself."""

_LARGEST_EXACT_PERCENTAGE = 1e6


class CapacityView:
    """For one way of reading capacity (which reserve, thin or thick): each pool's limit and head-room, kept up to date.

    `irregular` pools have figures that only the test itself can judge. `changed` lists every change, for those who follow it.
    """

    def __init__(self, states: Sequence[PoolState], traits: Traits) -> None:
        """Read every pool once."""
        self.changed: list[int] = []
        self.irregular = 0
        self.limits: list[float] = [capacity.NEVER] * len(states)
        self.headrooms: list[int | None] = [None] * len(states)
        self._readers: dict[int, Callable[[PoolState], tuple[float, int | None]]] = {}
        for state in states:
            if _is_regular(state, traits):
                self._readers[state.index] = capacity.reader(state, traits)
                self._read(state)
            else:
                self.irregular |= 1 << state.index

    def update(self, state: PoolState) -> None:
        """Read the pool again after its capacities changed."""
        if state.index in self._readers:
            self._read(state)
            self.changed.append(state.index)

    def _read(self, state: PoolState) -> None:
        index = state.index
        self.limits[index], self.headrooms[index] = self._readers[index](state)


class PoolSet:
    """Regular pools of one mask under one view, ranked by head-room: shared by all classes with the same pools.

    A key holds the head-room (negated where the multiplier is negative) above the pool's place from the end, so that the best key
    is the pool that Manila's stable sort puts first.
    """

    def __init__(self, mask: int, view: CapacityView, multiplier: float) -> None:
        """Rank the pools of the mask."""
        self._view = view
        self._sign = -1 if multiplier < 0 else 1
        self._count = len(view.limits)
        self._seen = len(view.changed)
        self._entries = {index: self._entry(index) for index in positions_in(mask)}
        known = {index for index in self._entries if view.headrooms[index] is not None}
        self.known = Ranking(self._entries[index] for index in known)
        self.unknown = Ranking(entry for index, entry in self._entries.items() if index not in known)
        self.has_unknown = len(known) < len(self._entries)

    def follow(self) -> None:
        """Apply what has changed since the last time."""
        changed = self._view.changed
        if self._seen == len(changed):
            return
        entries = self._entries
        for index in dict.fromkeys(changed[self._seen :]):
            old = entries.get(index)
            if old is None:
                continue
            new = self._entry(index)
            if old != new:
                ranking = self.unknown if self._view.headrooms[index] is None else self.known
                ranking.replace(old, new)
                entries[index] = new
        self._seen = len(changed)

    def index_of(self, key: int) -> int:
        """Return the pool that a key stands for."""
        return self._count - 1 - key % self._count

    def headroom_of(self, key: int) -> int:
        """Return the head-room in a key."""
        return self._sign * (key // self._count)

    def has_room(self, size_gib: float) -> bool:
        """Tell whether any pool can take the size."""
        return self.known.highest_limit() >= size_gib or self.unknown.highest_limit() >= size_gib

    def _entry(self, index: int) -> tuple[float, int]:
        headroom = self._view.headrooms[index] or 0
        return self._view.limits[index], self._sign * headroom * self._count + self._count - 1 - index


@dataclass(frozen=True, slots=True)
class FixedVerdicts:
    """For each filter in its order, the steady pools that are still alive after its fixed verdicts.

    Not steady are `odd` pools, which have a value that a rule cannot judge, and pools with a function that changes its mind, of
    which `changing` are those that pass everything else that is fixed. `watched` are all that are not steady.
    """

    alive_after: tuple[int, ...]
    changing: int
    odd: int
    watched: int


def fixed_verdicts(
    filters: Sequence[Filter], query: Query, ledger: Ledger, index: FactIndex, irregular: int
) -> FixedVerdicts:
    """Judge all pools by everything that cannot change for the class of the query; `irregular` pools are odd because of their capacities."""
    odd, changing = irregular, 0
    masks = []
    for each in filters:
        passed, unfit = index.everything, 0
        if each.concerns(query):
            passed, unfit = _mask(each, query, ledger, index)
            if each is DRIVER_FUNCTION:
                changing, unfit = unfit, 0
                passed |= changing
        odd |= unfit
        masks.append(passed)
    watched = odd | changing
    steady, able = index.everything & ~watched, changing & ~odd
    alive_after = []
    for passed in masks:
        steady &= passed
        able &= passed
        alive_after.append(steady)
    return FixedVerdicts(tuple(alive_after), able, odd, watched)


def _mask(each: Filter, query: Query, ledger: Ledger, index: FactIndex) -> tuple[int, int]:
    """Return the pools that a filter always passes, and those that it must judge each time."""
    if each is CAPABILITIES:
        return _capable(query, index)
    if each is AVAILABILITY_ZONE:
        return _in_zone(query, ledger, index), 0
    if each is DRIVER_FUNCTION:
        return _by_function(query, ledger, index)
    if each.stability is Stability.FIXED:
        return _one_by_one(each, query, ledger, ledger.states)
    return index.everything, 0


def _capable(query: Query, index: FactIndex) -> tuple[int, int]:
    passed, unfit = index.everything, 0
    if query.traits.needs_qos_type:
        passed = index.having(
            "qos_type_support", lambda state: bool(state.pool.capabilities.get("qos_type_support", False)), bool
        )
    for requirement in query.traits.requirements:
        met, puzzled = index.meeting(requirement)
        unfit |= puzzled & passed
        passed &= met
    return passed, unfit


def _in_zone(query: Query, ledger: Ledger, index: FactIndex) -> int:
    example = {state.pool.availability_zone: state for state in ledger.states}
    return index.having(
        "availability_zone",
        lambda state: state.pool.availability_zone,
        lambda zone: AVAILABILITY_ZONE.passes(example[zone], query, ledger),
    )


def _by_function(query: Query, ledger: Ledger, index: FactIndex) -> tuple[int, int]:
    def text_of(state: PoolState) -> str | None:
        text = state.pool.capabilities.get("filter_function")
        return None if text is None else str(text)

    without = index.having("filter_function", text_of, lambda text: text is None)
    changing = index.having("filter_function", text_of, lambda text: text is not None and not function_is_fixed(text))
    fixed = (ledger.states[position] for position in positions_in(index.everything & ~without & ~changing))
    passed, _ = _one_by_one(DRIVER_FUNCTION, query, ledger, fixed)
    return passed | without, changing


def _one_by_one(each: Filter, query: Query, ledger: Ledger, states: Iterable[PoolState]) -> tuple[int, int]:
    passed, unfit = 0, 0
    for state in states:
        try:
            if each.passes(state, query, ledger):
                passed |= 1 << state.index
        except UnfitValueError:
            unfit |= 1 << state.index
    return passed, unfit


def _is_regular(state: PoolState, traits: Traits) -> bool:
    if state.free is not None and not _is_capacity(state.free):
        return False
    percentage = number(state.reserved(traits.reserve))
    if not _is_capacity(state.total) or percentage is None or number(state.allocated) is None:
        return False
    if abs(percentage) > _LARGEST_EXACT_PERCENTAGE:
        return False
    if state.thin and (number(state.provisioned) is None or number(state.ratio) is None):
        return False
    return _is_small(state)


def _is_capacity(figure: object) -> bool:
    return figure in (UNKNOWN, INFINITE) if isinstance(figure, str) else number(figure) is not None


def _is_small(state: PoolState) -> bool:
    total = number(state.total) or 0
    ratio = (number(state.ratio) or 1) if state.thin else 1
    figures = (total * max(abs(ratio), 1), number(state.free) or 0, number(state.provisioned) or 0)
    return all(abs(figure) <= _LARGEST_EXACT_GIB for figure in figures)
