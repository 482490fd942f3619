"""Dependency graphs between addresses: their order, and their cycles named by their members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.manifests.fields import may_refer, references_of
from sharectl.model.kinds import Kind, is_of, kind_of, resource_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from sharectl.manifests.desired import Desired
    from sharectl.model.kinds import Address

Edge = tuple[str, str]
"""(dependant, what it depends on)."""


class CycleError(Exception):
    """Nodes that wait for each other; `members` are in the order of the circle, each waiting for the next."""

    def __init__(self, members: tuple[str, ...]) -> None:
        """Name the members."""
        super().__init__(" -> ".join((*members, members[0])))
        self.members = members


def topological_order(waits_for: Mapping[str, Collection[str]]) -> list[str]:
    """Return the nodes in the given order, except that what a node waits for comes before it.

    Names that are not nodes are taken as done. Linear in nodes and edges. Raises CycleError.
    """
    done: dict[str, None] = {}
    entered: set[str] = set()
    for first in waits_for:
        trail = [first]
        while trail:
            node = trail[-1]
            if node in done:
                trail.pop()
                continue
            if node in entered:
                entered.remove(node)
                done[node] = None
                continue
            entered.add(node)
            needed = [other for other in waits_for[node] if other in waits_for and other not in done]
            if not entered.isdisjoint(needed):
                raise CycleError(find_cycle(waits_for))
            trail.extend(reversed(needed))
    return list(done)


def find_cycle(waits_for: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Return the members of one cycle, each waiting for the next; empty where there is none."""
    import networkx as nx  # noqa: PLC0415 - only a mistake needs it

    graph = nx.DiGraph((node, other) for node, needed in waits_for.items() for other in needed)
    try:
        return tuple(edge[0] for edge in nx.find_cycle(graph))
    except nx.NetworkXNoCycle:
        return ()


def dependency_edges(desired: Desired, addresses: Iterable[Address]) -> list[Edge]:
    """Return the edges between these addresses and what their manifests refer to, sorted."""
    edges: list[Edge] = []
    for address in addresses:
        edges.extend((address, needed) for needed in dependencies_of(desired, address))
        if is_of(Kind.SHARE, address):
            edges.extend((address, named) for named in desired.client_lists_of(address))
    return sorted(edges)


def dependencies_of(desired: Desired, address: Address) -> tuple[Address, ...]:
    """Return what has to be there before the resource at `address`, by its manifest."""
    if kind_of(address) is Kind.ACCESS_RULE:
        return (resource_of(address),)
    if not may_refer(kind_of(address)):
        return ()
    references = references_of(kind_of(address), desired.plain(address))
    return tuple(reference.address for reference in references if reference.is_prerequisite)


def cycles_of_chains(needs: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield the members of each cycle, from the least on; each needs one other at most."""
    done: set[str] = set()
    for start in sorted(needs):
        trail: dict[str, None] = {}
        node = start
        while node in needs and node not in done and node not in trail:
            trail[node] = None
            node = needs[node]
        if node in trail:
            members = list(trail)[list(trail).index(node) :]
            least = members.index(min(members))
            yield members[least:] + members[:least]
        done.update(trail)
