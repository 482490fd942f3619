"""Counter tables: the numbers from which clients work out how busy a node is."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tests.emulators.ontap.cluster import Node
from tests.emulators.ontap.operations import Row, rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

TABLES: Final[dict[str, tuple[tuple[str, str, str | None], ...]]] = {
    "system:node": (
        ("average_processor_busy_percent", "percent", "cpu_elapsed_time"),
        ("cpu_elapsed_time", "delta", None),
        ("domain_busy", "percent", "cpu_elapsed_time"),
        ("instance_name", "string", None),
        ("node.name", "string", None),
    ),
    "system:constituent": (
        ("average_processor_busy_percent", "percent", "cpu_elapsed_time"),
        ("cpu_elapsed_time", "delta", None),
        ("node.name", "string", None),
    ),
    "processor": (
        ("domain_busy_percent", "percent", "elapsed_time"),
        ("elapsed_time", "delta", None),
        ("processor_busy_percent", "percent", "elapsed_time"),
        ("node.name", "string", None),
    ),
    "wafl": (
        ("cp_phase_times", "percent", "total_cp_msecs"),
        ("total_cp_msecs", "delta", None),
        ("node.name", "string", None),
    ),
    "volume:node": (("total_ops", "rate", None), ("node.name", "string", None)),
}
"""Each table's counters with their type and what they are divided by."""
DOMAINS: Final = ("idle", "kahuna", "network", "protocol", "raid", "storage", "wafl_exempt")
PHASES: Final = ("setup", "p2_flush", "p3v_volinfo")
_BUSY_SHARE: Final = 0.2


@rows("/cluster/counter/tables")
def tables(_: World) -> Iterable[Row]:
    """Show which counters there are."""
    for name in TABLES:
        yield Row({"name": name}, partial(_table_shown, name))


def _table_shown(name: str) -> JsonObject:
    schemas: list[JsonObject] = []
    for counter, kind, denominator in TABLES[name]:
        schema: JsonObject = {"name": counter, "type": kind, "unit": "percent" if kind == "percent" else "none"}
        schemas.append(schema if denominator is None else {**schema, "denominator": {"name": denominator}})
    return {"name": name, "description": f"Counters of {name}.", "counter_schemas": schemas}


@rows("/cluster/counter/tables/{counter_table.name}/rows")
def counter_rows(world: World) -> Iterable[Row]:
    """Show the counters of each node."""
    for table in TABLES:
        for node in world[Node]:
            identifier = f"{node.name}:{node.uuid}"
            keys = {"counter_table.name": table, "id": identifier}
            yield Row(keys, partial(_row_shown, world, table, node.name, identifier))


def _row_shown(world: World, table: str, node: str, identifier: str) -> JsonObject:
    elapsed = int(world.clock.now() * 1_000_000) + 1
    counters = [_counter(name, kind, elapsed) for name, kind, _ in TABLES[table] if kind != "string"]
    properties = [{"name": name, "value": node} for name, kind, _ in TABLES[table] if kind == "string"]
    return {"counter_table": {"name": table}, "id": identifier, "properties": properties, "counters": counters}


def _counter(name: str, kind: str, elapsed: int) -> dict[str, Any]:
    labels = {"domain_busy": DOMAINS, "domain_busy_percent": DOMAINS, "cp_phase_times": PHASES}.get(name)
    busy = int(elapsed * _BUSY_SHARE)
    if labels is not None:
        return {"name": name, "labels": list(labels), "values": [busy] * len(labels)}
    return {"name": name, "value": busy if kind == "percent" else elapsed}
