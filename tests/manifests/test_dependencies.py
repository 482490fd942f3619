"""Dependency graphs: their order, their cycles, and the edges between manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharectl.manifests.dependencies import CycleError, dependencies_of, dependency_edges, find_cycle, topological_order
from sharectl.model.access import AccessRule
from sharectl.model.share_networks import ShareNetworkSpec
from sharectl.model.specs import ShareSpec, SnapshotSpec
from tests.desired import desired_of

if TYPE_CHECKING:
    from collections.abc import Mapping


@st.composite
def graphs(draw: st.DrawFn) -> Mapping[str, tuple[str, ...]]:
    """Draw a graph without cycles, its nodes in any order, some edges to what is no node."""
    count = draw(st.integers(0, 12))
    edges = {
        f"n{node}": tuple(f"n{other}" for other in draw(st.sets(st.integers(-2, node - 1), max_size=4)))
        for node in range(count)
    }
    return {name: edges[name] for name in draw(st.permutations(sorted(edges)))}


@given(graphs())
def test_each_node_comes_after_all_that_it_waits_for(waits_for: Mapping[str, tuple[str, ...]]) -> None:
    """And each comes once."""
    order = topological_order(waits_for)
    place = {node: number for number, node in enumerate(order)}
    assert sorted(order) == sorted(waits_for)
    for node, needed in waits_for.items():
        assert all(place[other] < place[node] for other in needed if other in waits_for)


def test_without_edges_the_given_order_stays() -> None:
    """And an edge only pulls forward what is waited for."""
    assert topological_order({"c": (), "a": (), "b": ()}) == ["c", "a", "b"]
    assert topological_order({"c": ("b",), "a": (), "b": (), "d": ("b", "a")}) == ["b", "c", "a", "d"]


def test_a_chain_of_a_hundred_thousand_is_no_depth() -> None:
    """No recursion."""
    chain = {f"n{number}": (f"n{number + 1}",) for number in range(100_000)}
    assert topological_order(chain)[0] == "n99999"


@pytest.mark.parametrize(
    ("waits_for", "members"),
    [
        ({"a": ("b",), "b": ("c",), "c": ("a",), "d": ("a",)}, {"a", "b", "c"}),
        ({"a": ("a",)}, {"a"}),
        ({"x": (), "a": ("x", "b"), "b": ("a",)}, {"a", "b"}),
    ],
)
def test_a_cycle_is_named_by_its_members(waits_for: Mapping[str, tuple[str, ...]], members: set[str]) -> None:
    """Each waiting for the next, and only those that are in it."""
    with pytest.raises(CycleError) as raised:
        topological_order(waits_for)
    found = raised.value.members
    assert set(found) == members
    assert all(after in waits_for[before] for before, after in zip(found, (*found[1:], found[0]), strict=True))
    assert str(raised.value) == " -> ".join((*found, found[0]))


def test_where_there_is_no_cycle_none_is_found() -> None:
    """An empty tuple."""
    assert find_cycle({"a": ("b",), "b": ()}) == ()


def test_manifests_depend_on_what_they_refer_to() -> None:
    """Type, network and snapshot of a share; the share of a snapshot and of a rule; the services of a network."""
    desired = desired_of(
        shares=[
            ShareSpec("a", 1, "NFS", share_type="gold", share_network="net", source_snapshot="s"),
            ShareSpec("b", 1, "NFS"),
        ],
        access={"share/a": [AccessRule("ip", "10.0.0.1", "rw")]},
        snapshots=[SnapshotSpec("s", "b")],
        share_networks=[ShareNetworkSpec("net", (), ("ad",))],
    )
    assert dependencies_of(desired, "share/a") == ("share_type/gold", "share_network/net", "snapshot/s")
    assert dependencies_of(desired, "share/a/access/ip:10.0.0.1") == ("share/a",)
    assert dependencies_of(desired, "share_network/net") == ("security_service/ad",)
    assert dependencies_of(desired, "backend/nas") == ()
    assert dependency_edges(desired, ["snapshot/s", "share/b", "share_network/net"]) == [
        ("share_network/net", "security_service/ad"),
        ("snapshot/s", "share/b"),
    ]
