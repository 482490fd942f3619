"""What a command measured, in the text format of Prometheus, for the textfile collector of node_exporter."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.model.kinds import name_of
from sharectl.model.plans import Action, DriftKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sharectl.model.plans import Plan
    from sharectl.workspace.metrics import Measured, Stock

    Labels = Mapping[str, str]

_ESCAPED: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_LINEAGE_LETTERS: Final = 8


class _Metric(NamedTuple):
    """One metric, all of which are gauges: its name, what it says, and its values by labels."""

    name: str
    meaning: str
    values: Iterable[tuple[Labels, float]]


BEGINNING: Final = b"# HELP sharectl_"
"""How each such file begins."""


def metrics_lines(measured: Measured) -> Iterator[str]:
    """Yield the lines of the file. Every value has the beginning of the state's lineage as a label: several repositories may share a host."""
    stock = measured.stock
    state = {} if stock is None else {"state": stock.lineage[:_LINEAGE_LETTERS]}
    for metric in _metrics(measured):
        is_begun = False
        for labels, value in metric.values:
            if not is_begun:
                yield f"# HELP sharectl_{metric.name} {metric.meaning}"
                yield f"# TYPE sharectl_{metric.name} gauge"
                is_begun = True
            yield f"sharectl_{metric.name}{_labels({**state, **labels})} {value:.17g}"


def _labels(labels: Labels) -> str:
    """Return labels in braces; what is no line by itself in that grammar is escaped."""
    texts = (f'{name}="{value.translate(_ESCAPED)}"' for name, value in labels.items())
    return f"{{{','.join(texts)}}}" if labels else ""


def _metrics(measured: Measured) -> Iterator[_Metric]:
    command = {"command": measured.command}
    seconds = measured.ended_seconds - measured.began_seconds
    yield _Metric(
        "run_succeeded",
        "Whether the last run did all that was asked for (1), or not (0).",
        [(command, float(measured.has_succeeded))],
    )
    yield _Metric(
        "run_end_time_seconds", "When the last run ended, in seconds since 1970.", [(command, measured.ended_seconds)]
    )
    yield _Metric("run_duration_seconds", "How long the last run took.", [(command, seconds)])
    result = measured.result
    if result is not None:
        ends = {"done": result.done, "failed": len(result.failures), "skipped": result.skipped}
        yield _Metric(
            "run_steps", "Steps of the last run by how they ended.", [({"outcome": o}, n) for o, n in ends.items()]
        )
    if measured.plan is not None:
        yield from _of_plan(measured.plan, measured)
    if measured.stock is not None:
        yield from _of_stock(measured.stock)


def _of_plan(plan: Plan, measured: Measured) -> Iterator[_Metric]:
    if measured.is_plan_whole:
        actions = Counter(step.action for step in plan.steps)
        values = [({"action": action.word}, actions[action]) for action in Action]
        yield _Metric("plan_steps", "Steps of the plan by what they do.", values)
        yield _Metric(
            "plan_held", "Addresses of which something was asked for that is not done.", [({}, len(plan.held))]
        )
    drift = Counter(found.kind for found in plan.drift)
    kinds = [({"kind": kind.value}, drift[kind]) for kind in DriftKind]
    yield _Metric("drift", "What is not on the backends as the state says, by how.", kinds)
    unread = {seen.backend for seen in plan.unread}
    up = [({"backend": name}, float(name not in unread)) for name in sorted({*measured.backends, *unread})]
    yield _Metric("backend_up", "Whether the backend could be read (1), or not (0).", up)


def _of_stock(stock: Stock) -> Iterator[_Metric]:
    pools = [
        ({"backend": backend, "pool": pool}, samples[-1]) for (backend, pool), samples in sorted(stock.pools.items())
    ]
    for name, meaning in (
        ("total", "Capacity of the pool."),
        ("free", "What is free in the pool."),
        ("provisioned", "Sizes promised in the pool."),
    ):
        values = ((labels, getattr(sample, f"{name}_bytes")) for labels, sample in pools)
        yield _Metric(f"pool_{name}_bytes", meaning, ((labels, value) for labels, value in values if value is not None))
    yield _Metric(
        "pool_full_in_days",
        "When the pool will be full if it grows as before; missing where nobody can say.",
        (({"backend": backend, "pool": pool}, days) for backend, pool, days in sorted(stock.full_in_days())),
    )
    shares = [
        ({"share": name_of(address), "backend": record.backend or "", "pool": record.pool or ""}, record)
        for address, record in stock.shares.items()
    ]
    yield _Metric("shares", "Shares in the state.", [({}, len(shares))])
    yield _Metric(
        "share_size_bytes",
        "Size of the share.",
        ((labels, record.size_bytes) for labels, record in shares if record.size_bytes is not None),
    )
    seen = [(labels, stock.use[record.resource_id]) for labels, record in shares if record.resource_id in stock.use]
    yield _Metric(
        "share_used_bytes", "What the data of the share occupies.", ((labels, use.used_bytes) for labels, use in seen)
    )
    yield _Metric(
        "share_seen_time_seconds",
        "When the backend said what is used of the share, in seconds since 1970.",
        ((labels, use.seen_at) for labels, use in seen),
    )
