"""Manila's arithmetic of capacity: what fits into a pool, the largest that does, and the head-room that is weighed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.quantities import GIB, approximate_size
from sharectl.scheduler.errors import UnfitValueError
from sharectl.scheduler.values import INFINITE, UNKNOWN, format_gib, number

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.scheduler.pools import PoolState
    from sharectl.scheduler.request import Traits

NEVER: Final = -math.inf
ALWAYS: Final = math.inf
_RULE: Final = "CapacityFilter"
GRID: Final = 1 << 30
"""Sizes are whole bytes: multiples of 1/GRID GiB."""
_STEP: Final = 1 / GRID


def fits(state: PoolState, size_gib: float, traits: Traits) -> bool:  # noqa: PLR0911 - one return for each of Manila's rules
    """Tell whether the pool has room, by the rules of Manila's CapacityFilter; raises UnfitValueError for a figure that is not a capacity."""
    free = state.free
    if free is None:
        return False
    reserved = _reserved(state, traits)
    if free == UNKNOWN:
        return True
    if state.total == UNKNOWN or (state.total == INFINITE and free != INFINITE):
        return reserved == 0 and (free == INFINITE or size_gib <= _figure("free_capacity_gb", free))
    total = math.inf if state.total == INFINITE else _total(state)
    if total <= 0:
        return False
    if free == INFINITE:
        return True
    usable = _usable(_figure("free_capacity_gb", free), total, reserved, state)
    if not (traits.thin_logic and state.thin):
        return usable >= size_gib
    ratio = _figure("max_over_subscription_ratio", state.ratio)
    if ratio < 1:
        return False
    return _within_ratio(state, size_gib, total, ratio) and usable * ratio >= size_gib


def reader(state: PoolState, traits: Traits) -> Callable[[PoolState], tuple[float, int | None]]:
    """Return a function that reads the pool's limit and head-room as its capacities change.

    The limit is the largest size on the grid of whole bytes that `fits`: ALWAYS (inf) or NEVER (-inf) where sizes do not matter.
    The head-room is that of `headroom`. What cannot change is worked out here; the pool's figures must be regular.
    """
    if state.free is None or state.free in (UNKNOWN, INFINITE) or state.total in (UNKNOWN, INFINITE):
        return _unmeasured_reader(state, traits)
    total, reserved = _total(state), _reserved(state, traits)
    reserved_gib, exact = _reserve_of(total, reserved, state), state.counts_bytes
    if not (traits.thin_logic and state.thin):
        if total <= 0:
            return lambda now: (NEVER, math.floor(now.free - reserved_gib))
        return lambda now: _limit_and_whole(now.free - reserved_gib, exact=exact)
    ratio = state.ratio
    ceiling_gib = total * ratio
    never = total <= 0 or ratio < 1

    def read_thin(now: PoolState) -> tuple[float, int | None]:
        provisioned = now.provisioned
        spare = math.floor(ceiling_gib - provisioned - reserved_gib)
        if never:
            return NEVER, spare
        limit = _largest_within_ratio(provisioned, total, ratio)
        usable = now.free - reserved_gib
        return min(limit, (usable if exact else math.floor(usable)) * ratio), spare

    return read_thin


def _unmeasured_reader(state: PoolState, traits: Traits) -> Callable[[PoolState], tuple[float, int | None]]:
    """Read a pool whose free or total capacity is not a number."""
    if state.free is not None and not isinstance(state.free, str):
        if _reserved(state, traits) == 0:
            return lambda now: (float(now.free), None)
    elif fits(state, 0, traits):
        return lambda _now: (ALWAYS, None)
    return lambda _now: (NEVER, None)


def _limit_and_whole(usable: float, *, exact: bool) -> tuple[float, int | None]:
    whole = math.floor(usable)
    return (math.floor(usable * GRID) / GRID if exact else whole), whole


def headroom(state: PoolState, traits: Traits) -> float | None:
    """Return what CapacityWeigher weighs: the free GiB, on thin pools what may still be promised; None where it is unknown.

    Whole GiB always: pools that differ by less are alike, so that a few bytes written meanwhile do not move a share.
    """
    if state.total in (UNKNOWN, INFINITE) or state.free in (UNKNOWN, INFINITE):
        return None
    total = _total(state)
    reserved = _reserved(state, traits)
    if traits.thin_logic and state.thin:
        if state.provisioned is None:
            return None
        ratio = _figure("max_over_subscription_ratio", state.ratio)
        promised = _figure("provisioned_capacity_gb", state.provisioned)
        return _whole(total * ratio - promised - _reserve_of(total, reserved, state), state)
    return _whole(_figure("free_capacity_gb", state.free) - _reserve_of(total, reserved, state), state)


def shortage(state: PoolState, size_gib: float, traits: Traits) -> str:  # noqa: PLR0911 - one sentence for each rule
    """Say with figures why `size_gib` does not fit."""
    need = f"needs {_shown(size_gib)}"
    reserved = _reserved(state, traits)
    percent = 100 * reserved
    after = f" after {percent:g} % reserved" if percent else ""
    if state.free is None:
        return f"{need}, the pool reports no free capacity"
    if state.total in (UNKNOWN, INFINITE):
        if percent:
            return f"{need}, {percent:g} % of an unknown total are reserved"
        return _apart(size_gib, max(state.free, 0), "free")
    total = _total(state)
    if total <= 0:
        return f"{need}, the pool's total capacity is {_shown(total)}"
    usable = max(_usable(state.free, total, reserved, state), 0)
    if traits.thin_logic and state.thin:
        if state.ratio < 1:
            return f"max_over_subscription_ratio is {state.ratio:g}, which must be 1 or more"
        if not _within_ratio(state, size_gib, total, state.ratio):
            return (
                f"{need}, {_shown(state.provisioned)} of {_shown(total)} provisioned already, "
                f"over-subscription ends at {state.ratio:g} ({_shown(total * state.ratio)})"
            )
        return f"{need}, {_measured(usable)} free{after} allow {_shown(usable * state.ratio)} at {state.ratio:g} times"
    return _apart(size_gib, usable, f"free{after}")


def _shown(size_gib: float) -> str:
    """Write a size that somebody has chosen: whole GiB plainly, others as if measured."""
    return format_gib(size_gib) if math.isfinite(size_gib) and size_gib == int(size_gib) else _measured(size_gib)


def _measured(size_gib: float) -> str:
    """Write a capacity that was measured, as `sharectl pools` does: `79.6 GiB`, `80.0 GiB`."""
    if not math.isfinite(size_gib * GIB):
        return f"{size_gib:g} GiB"
    return approximate_size(round(size_gib * GIB)) if size_gib >= _STEP else "0.0 GiB"


def _apart(needed_gib: float, free_gib: float, what: str) -> str:
    """Say what is needed and what is there, to the byte where they would look alike."""
    needed, free = _shown(needed_gib), _measured(free_gib)
    if needed == _shown(free_gib) or needed == free:
        needed, free = f"{round(needed_gib * GIB)} bytes", f"{round(free_gib * GIB)} bytes"
    return f"needs {needed}, {free} {what}"


def _reserved(state: PoolState, traits: Traits) -> float:
    return _finite(str(traits.reserve), state.reserved(traits.reserve), "which is not a percentage") / 100


def _total(state: PoolState) -> float:
    return _finite("total_capacity_gb", state.total, "which is not a capacity")


def _finite(key: str, value: Any, why: str) -> float:  # noqa: ANN401 - whatever the driver reported
    try:
        figure = float(value)
    except (TypeError, ValueError, OverflowError):
        figure = math.nan
    if math.isfinite(figure):
        return figure
    raise UnfitValueError(_RULE, key, value, why)


def _figure(key: str, value: Any) -> float:  # noqa: ANN401 - whatever the driver reported
    figure = value if isinstance(value, bool) else number(value)
    if figure is None:
        raise UnfitValueError(_RULE, key, value, "which is not a number")
    return figure


def _reserve_of(total: float, reserved: float, state: PoolState) -> float:
    """Return the reserved part of the total in GiB; of a pool that counts bytes, whole ones, so that no rounding shows in the rest."""
    reserve_gib = total * reserved
    return round(reserve_gib * GRID) / GRID if state.counts_bytes and math.isfinite(reserve_gib) else reserve_gib


def _usable(free: float, total: float, reserved: float, state: PoolState) -> float:
    """Return what a share may take of the free space: Manila counts whole GiB."""
    usable = free - _reserve_of(total, reserved, state)
    return usable if state.counts_bytes and math.isfinite(usable) else _whole(usable, state)


def _whole(size_gib: float, state: PoolState) -> int:
    if math.isfinite(size_gib):
        return math.floor(size_gib)
    raise UnfitValueError(
        _RULE, "total_capacity_gb", state.total, "which is beyond all measure after its reserve or ratio"
    )


def _within_ratio(state: PoolState, size_gib: float, total: float, ratio: float) -> bool:
    return (_figure("provisioned_capacity_gb", state.provisioned) + size_gib) / total <= ratio


def _largest_within_ratio(provisioned: float, total: float, ratio: float) -> float:
    """Find the last multiple of 1/GRID that the rounded test still accepts: near `total * ratio - provisioned`."""
    size = math.floor((total * ratio - provisioned) * GRID) / GRID
    if size <= 0:
        return NEVER
    step = max(_STEP, math.ulp(size))
    while (provisioned + size) / total > ratio:
        size -= step
    while (provisioned + (size + step)) / total <= ratio:
        size += step
    return size
