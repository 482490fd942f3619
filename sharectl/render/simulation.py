"""The answer to "how many more would fit": how many, where, and what runs out first."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sharectl.model.quantities import format_size
from sharectl.render.explain import verdict_object
from sharectl.render.paint import paint
from sharectl.render.tables import Column, table_lines
from sharectl.render.text import PLAIN, counted, visible
from sharectl.scheduler.simulation import MOST_COUNTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.model.canonical import JsonObject
    from sharectl.render.text import Look
    from sharectl.scheduler.simulation import Pattern, Simulation

_COLUMNS = (Column("POOL"), Column("TAKES", right=True))


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
        yield from table_lines(_COLUMNS, rows, look)
        yield ""
    if simulation.most >= MOST_COUNTED:
        yield f"{MOST_COUNTED} and more would fit in all."
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
        "most_is_bounded": simulation.most < MOST_COUNTED,
        "by_pool": dict(sorted(simulation.by_host.items())),
        "exhausted": [each._asdict() for each in simulation.exhausted],
        "runs_out": None if nearest is None else verdict_object(nearest),
    }


def _described(pattern: Pattern) -> str:
    words = f"{counted(pattern.count, 'share')} of {format_size(pattern.size_bytes)}, {pattern.protocol}"
    named = (("type", pattern.share_type), ("zone", pattern.availability_zone), ("network", pattern.share_network))
    return words + "".join(f", {key} {value}" for key, value in named if value is not None)
