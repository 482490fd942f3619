"""Pools of qtrees as the backend reports them: what their aggregates are, without what only a whole volume has."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.ontap.names import read_note
from sharectl.drivers.ontap.pools import Promised, aggregate_pool
from sharectl.drivers.ontap.qtrees.names import pool_of_container
from sharectl.drivers.ontap.qtrees.quotas import RULE_FIELDS, RULES, limit_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sharectl.drivers.ontap.client import Array
    from sharectl.drivers.ontap.pools import Aggregate, Facts
    from sharectl.drivers.ontap.qtrees.settings import QtreePool
    from sharectl.model.canonical import JsonObject
    from sharectl.model.observed import PoolReport

CAPABILITY: Final = "ontap_qtree"
_WHOLE_VOLUMES: Final[Mapping[str, Any]] = {
    CAPABILITY: True,
    "netapp_flexvol_encryption": False,
    "netapp_snaplock_type": [],
    "dedupe": False,
    "compression": False,
    "thin_provisioning": True,
    "qos": False,
    "snapshot_support": False,
    "create_share_from_snapshot_support": False,
    "revert_to_snapshot_support": False,
    "filter_function": f"extra.{CAPABILITY} != ''",
}
"""What these pools say in place of their aggregates: only a share whose type asks for a qtree comes here."""


def qtree_pools(pools: Sequence[QtreePool], aggregates: Iterable[Aggregate], facts: Facts) -> list[PoolReport]:
    """Return the pools; one whose aggregate is not there has no room."""
    by_name = {each.name: each for each in aggregates}
    return [_report(pool, by_name.get(pool.aggregate), facts) for pool in pools]


def _report(pool: QtreePool, aggregate: Aggregate | None, facts: Facts) -> PoolReport:
    from sharectl.drivers.ontap.pools import Aggregate as Missing  # noqa: PLC0415 - a name for what is not there

    found = aggregate_pool(aggregate or Missing(pool.aggregate, 0, 0), facts)
    return replace(found, name=pool.name, capabilities={**found.capabilities, **_WHOLE_VOLUMES})


def promised_by_quotas(
    array: Array, svm: str | None, volumes: Sequence[JsonObject], promised: dict[str, Promised]
) -> dict[str, Promised]:
    """Return what is promised on each aggregate with the quotas of volumes for qtrees in place of their sizes, which nobody was promised."""
    containers = {each["uuid"]: each for each in volumes if pool_of_container(each.get("comment")) is not None}
    if not containers:
        return promised
    rules = array.records(RULES, svm=svm, query={"type": "tree"}, fields=RULE_FIELDS)
    found = dict(promised)
    limits = dict.fromkeys(containers, 0)
    for rule in rules:
        uuid = rule["volume"]["uuid"]
        if uuid in limits:
            limits[uuid] += limit_in(rule) or 0
    for uuid, limit in limits.items():
        for aggregate in containers[uuid].get("aggregates", ()):
            found[aggregate["name"]] = found.get(aggregate["name"], Promised()) + Promised(limit, limit)
    return found


def is_of_a_share(volume: JsonObject) -> bool:
    """Tell whether a volume is one of sharectl's shares."""
    return read_note(volume.get("comment")) is not None
