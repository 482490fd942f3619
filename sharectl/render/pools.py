"""Pools: their capacity and capabilities, and how many more shares would fit."""

from __future__ import annotations

import math
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.access import protocol_words
from sharectl.model.diagnostics import counted
from sharectl.model.frozen import NamedTuple
from sharectl.model.quantities import GIB, approximate_size, format_size
from sharectl.render.explain import verdict_object
from sharectl.render.formats import document, named_fields
from sharectl.render.frame import bar
from sharectl.render.tables import Cell, Column, table_lines
from sharectl.render.text import PLAIN, paint, visible
from sharectl.scheduler.pools import CHANGING_STATS
from sharectl.scheduler.values import boolean, is_thin, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sharectl.model.canonical import JsonObject
    from sharectl.render.text import Look
    from sharectl.scheduler.pools import Pool
    from sharectl.scheduler.simulation import Pattern, Simulation

_TAKEN_COLUMNS = (Column("POOL"), Column("TAKES", right=True))


def simulation_lines(simulation: Simulation, look: Look = PLAIN) -> Iterator[str]:
    """Yield how many of the imagined shares fit, on which pools, and why the next one does not."""
    pattern = simulation.pattern
    fits = simulation.placed == pattern.count
    verdict = "all fit" if fits else f"only {simulation.placed} fit" if simulation.placed else "none fits"
    yield ""
    yield f"{visible(_described(pattern))}: {paint(verdict, 'done' if fits else 'error', look.color)}."
    rows = [(visible(host), str(count)) for host, count in sorted(simulation.by_host.items())]
    if rows:
        yield ""
        yield from table_lines(_TAKEN_COLUMNS, rows, look)
        yield ""
    if simulation.is_cut_short:
        yield f"{simulation.most} and more would fit in all."
    elif fits:
        yield f"{simulation.most} would fit in all."
    if simulation.exhausted:
        first, last = simulation.exhausted[0], simulation.exhausted[-1]
        yield f"First to run out is {visible(first.host)}, after {first.placed}: {visible(first.sentence)}."
        if last is not first:
            yield f"Last is {visible(last.host)}, after {last.placed}: {visible(last.sentence)}."
        return
    nearest = simulation.runs_out.nearest if simulation.runs_out is not None else None
    if nearest is not None:
        yield f"No pool takes one; nearest is {visible(nearest.host)}: {visible(nearest.sentence)}."


def simulation_object(simulation: Simulation) -> JsonObject:
    """Return the answer as a part of the object of the pools."""
    nearest = simulation.runs_out.nearest if simulation.runs_out is not None else None
    return {
        "pattern": asdict(simulation.pattern),
        "placed": simulation.placed,
        "most": simulation.most,
        "most_is_bounded": not simulation.is_cut_short,
        "by_pool": dict(sorted(simulation.by_host.items())),
        "exhausted": [each._asdict() for each in simulation.exhausted],
        "runs_out": None if nearest is None else verdict_object(nearest),
    }


def _described(pattern: Pattern) -> str:
    words = (
        f"{counted(pattern.count, 'share')} of {format_size(pattern.size_bytes)}, {protocol_words(pattern.protocol)}"
    )
    named = (("type", pattern.share_type), ("zone", pattern.availability_zone), ("network", pattern.share_network))
    return words + "".join(f", {key} {value}" for key, value in named if value is not None)


_BAR_WIDTH: Final = 16
_LEAST_WIDTH_FOR_BARS: Final = 80
_HIGH, _FULL = 0.75, 0.9
_RESERVES: Final = ("reserved_percentage", "reserved_snapshot_percentage", "reserved_share_extend_percentage")
_NOTABLE: Final[Mapping[str, str]] = {
    "snapshot_support": "snapshots",
    "create_share_from_snapshot_support": "clones",
    "revert_to_snapshot_support": "revert",
    "driver_handles_share_servers": "share servers",
    "dedupe": "dedupe",
    "compression": "compression",
    "encryption_support": "encryption",
    "replication_type": "replication",
}
_COLUMNS: Final = (
    Column("POOL"),
    Column("USED", whole=True),
    Column("FREE", right=True),
    Column("TOTAL", right=True),
    Column("PROVISIONED", right=True, optional=True),
    Column("OVER", right=True, optional=True),
    Column("RESERVED", right=True, optional=True),
    Column("ZONE", optional=True),
    Column("PROTOCOLS", optional=True),
    Column("CAN", optional=True),
)
_AFTER_AT: Final = 7
_AFTER_COLUMNS: Final = (
    Column("FREE AFTER", right=True),
    Column("PROVISIONED AFTER", right=True),
    Column("OVER AFTER", right=True),
)


class SortKey(StrEnum):
    """What pools are ordered by: by name ascending, by a figure from the largest, pools that do not know it last."""

    NAME = "name"
    FREE = "free"
    USED = "used"
    TOTAL = "total"
    PROVISIONED = "provisioned"


def sorted_pools(pools: Iterable[Pool], key: SortKey) -> tuple[Pool, ...]:
    """Return the pools in the order of `key`; equal ones by name."""

    def place(pool: Pool) -> tuple[float, str]:
        if key is SortKey.NAME:
            return 0.0, pool.host
        value = used_share(pool) if key is SortKey.USED else _figure(pool, f"{key.value}_capacity_gb")
        return math.inf if value is None else -value, pool.host

    return tuple(sorted(pools, key=place))


class PoolsView(NamedTuple):
    """Pools in the order in which they are shown; `suitable_for` is the share type that they were chosen from all `found` for.

    `after` are the pools as they will be once the manifests are applied, by host.
    """

    pools: Sequence[Pool]
    found: int
    suitable_for: str | None = None
    after: Mapping[str, Pool] | None = None
    simulation: Simulation | None = None


def pools_view_lines(view: PoolsView, look: Look = PLAIN) -> Iterator[str]:
    """Yield the table of the pools, and how many more shares fit where that was asked."""
    if view.found and not view.pools:
        yield f"None of the {view.found} pools may be used by shares of type {visible(view.suitable_for or '')}."
    else:
        yield from pools_lines(view.pools, look, view.after)
    if view.simulation is not None:
        yield from simulation_lines(view.simulation, look)


def pools_view_object(view: PoolsView) -> JsonObject:
    """Return the pools as a JSON object."""
    return pools_object(view.pools, view.simulation, view.after)


def pools_lines(pools: Sequence[Pool], look: Look = PLAIN, after: Mapping[str, Pool] | None = None) -> Iterator[str]:
    """Yield the pools as a table, ordered as given; below 80 columns the bars are left out.

    OVER is how much is promised of what there is, with the most that the pool allows: `1.2 of 20x`. `after` are the pools as they
    will be once the manifests are applied, by host: they add what is free, provisioned and promised then.
    """
    if not pools:
        yield "There are no pools: no enabled backend answers. `sharectl validate` checks the Backend manifests."
        return
    drawn = look.width is None or look.width >= _LEAST_WIDTH_FOR_BARS
    columns = _COLUMNS if after is None else (*_COLUMNS[:_AFTER_AT], *_AFTER_COLUMNS, *_COLUMNS[_AFTER_AT:])
    rows = []
    for pool in pools:
        row = _row(pool, drawn=drawn)
        rows.append(row if after is None else [*row[:_AFTER_AT], *_row_after(after[pool.host]), *row[_AFTER_AT:]])
    yield from table_lines(columns, rows, look)


def pools_object(
    pools: Sequence[Pool], simulation: Simulation | None = None, after: Mapping[str, Pool] | None = None
) -> JsonObject:
    """Return the pools as a JSON object, `sharectl-pools` version 1; capacities in GiB under Manila's names.

    With `after`, each pool has its changing figures `after_plan`.
    """
    plain: JsonObject = document(
        "pools",
        pools=[
            {
                **named_fields(pool, "host", "backend", "availability_zone", "enabled", "up"),
                "pool": pool.name,
                "used_share": used_share(pool),
                "capabilities": dict(pool.capabilities),
                **({} if after is None else {"after_plan": _figures_after(after[pool.host])}),
            }
            for pool in pools
        ],
    )
    if simulation is not None:
        plain["simulation"] = simulation_object(simulation)
    return plain


def _figures_after(pool: Pool) -> JsonObject:
    return {"used_share": used_share(pool), **{key: pool.capabilities.get(key) for key in sorted(CHANGING_STATS)}}


def used_share(pool: Pool) -> float | None:
    """Return how much of the pool's total is used (0..1), None where the pool does not know."""
    total, free = (number(pool.capabilities.get(key)) for key in ("total_capacity_gb", "free_capacity_gb"))
    if total is None or free is None or total <= 0:
        return None
    return min(max(1 - free / total, 0.0), 1.0)


def _row(pool: Pool, *, drawn: bool) -> list[Cell | str]:
    facts = pool.capabilities
    return [
        _name(pool),
        _bar(used_share(pool), drawn=drawn),
        _capacity(facts.get("free_capacity_gb")),
        _capacity(facts.get("total_capacity_gb")),
        _capacity(facts.get("provisioned_capacity_gb")),
        _over_subscription(facts),
        _reserved(facts),
        visible(pool.availability_zone or ""),
        _words(facts.get("storage_protocol")),
        _abilities(facts),
    ]


def _row_after(pool: Pool) -> list[Cell | str]:
    facts = pool.capabilities
    free = _figure(pool, "free_capacity_gb")
    text = _capacity(facts.get("free_capacity_gb"))
    return [
        Cell(text, "error") if free is not None and free < 0 else text,
        _capacity(facts.get("provisioned_capacity_gb")),
        _over_subscription(facts),
    ]


def _figure(pool: Pool, key: str) -> float | None:
    return number(pool.capabilities.get(key))


def _name(pool: Pool) -> Cell:
    name = visible(pool.host)
    if not pool.enabled:
        return Cell(f"{name} (disabled)")
    return Cell(name) if pool.up else Cell(f"{name} (down)", "error")


def _bar(used: float | None, *, drawn: bool) -> Cell:
    if used is None:
        return Cell("?")
    style = "error" if used >= _FULL else "warning" if used >= _HIGH else "done"
    percent = f"{used:>4.0%}"
    return Cell(f"{bar(used, _BAR_WIDTH)} {percent}" if drawn else percent, style)


def _capacity(value: Any) -> str:  # noqa: ANN401 - whatever the driver reported
    size_gib = number(value)
    if size_gib is None:
        return "?" if value is None else visible(str(value))
    sign = "-" if size_gib < 0 else ""
    return sign + approximate_size(round(abs(size_gib) * GIB))


def _over_subscription(facts: Mapping[str, Any]) -> str:
    total, provisioned = (number(facts.get(key)) for key in ("total_capacity_gb", "provisioned_capacity_gb"))
    promised = "?" if not total or provisioned is None else f"{provisioned / total:.2f}"
    if not is_thin(facts.get("thin_provisioning")):
        return promised
    most = number(facts.get("max_over_subscription_ratio"))
    return promised if most is None else f"{promised} of {most:g}x"


def _reserved(facts: Mapping[str, Any]) -> str:
    """Return the reserved percentage, and those for snapshots and extensions where they differ: `10/5/10 %`."""
    found = [number(facts.get(key)) for key in _RESERVES]
    first = found[0] or 0.0
    values = [first if value is None else value for value in found]
    if not any(values):
        return ""
    return f"{'/'.join(f'{value:g}' for value in (values if len(set(values)) > 1 else values[:1]))} %"


def _words(value: Any) -> str:  # noqa: ANN401 - whatever the driver reported
    words = value if isinstance(value, list | tuple) else [] if value is None else [value]
    return visible(" ".join(str(word) for word in words))


def _abilities(facts: Mapping[str, Any]) -> str:
    found = [word for key, word in _NOTABLE.items() if _has(facts.get(key))]
    if is_thin(facts.get("thin_provisioning")):
        found.insert(0, "thin")
    return ", ".join(found)


def _has(value: Any) -> bool:  # noqa: ANN401 - whatever the driver reported
    if isinstance(value, list | tuple):
        return any(boolean(each) for each in value)
    return value is not None and boolean(value) is not False
