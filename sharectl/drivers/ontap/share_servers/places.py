"""What the configuration of share servers names and the array does not have: nodes, ports and an aggregate, with what is there in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.ontap.unknown_names import unknown
from sharectl.model.checks import ShareServerProblem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sharectl.drivers.ontap.client import Array
    from sharectl.drivers.ontap.share_servers.settings import Home

_BASE_PORTS: Final = ("physical", "lag")


def place_problems(array: Array, homes: Sequence[Home], root_aggregate: str | None) -> Iterator[ShareServerProblem]:
    """Yield what of the homes of LIFs and of root volumes is not there."""
    query = {"type": _BASE_PORTS}
    ports: dict[str, list[str]] = {}
    for record in array.records("network/ethernet/ports", query=query, fields=("name", "node.name")):
        ports.setdefault(record["node"]["name"], []).append(record["name"])
    for node in dict.fromkeys(home.node for home in homes):
        if node not in ports:
            yield ShareServerProblem(*unknown("shareServers.homes", "node", node, ports))
    for home in homes:
        if home.port not in ports.get(home.node, (home.port,)):
            yield ShareServerProblem(
                *unknown("shareServers.homes", f"port of the node {home.node}", home.port, ports[home.node])
            )
    if root_aggregate is None:
        return
    aggregates = [record["name"] for record in array.records("storage/aggregates", fields=("name",))]
    if root_aggregate not in aggregates:
        yield ShareServerProblem(*unknown("shareServers.rootAggregate", "aggregate", root_aggregate, aggregates))
