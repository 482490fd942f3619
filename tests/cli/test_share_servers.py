"""Share servers through the command line: tenants and a plain backend side by side, from nothing to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

if TYPE_CHECKING:
    from tests.cli.console import Console

_REFUSED = """\
apiVersion: sharectl/v1
kind: Backend
metadata:
  name: tenants
spec:
  driver: directory
  shareServers: true
  network: {plugin: standalone}
  config: {root: storage}
"""

_BACKENDS = """\
apiVersion: sharectl/v1
kind: Backend
metadata: {name: nas}
spec: {driver: simulated, config: {stateFile: nas.db}}
---
apiVersion: sharectl/v1
kind: Backend
metadata: {name: tenants}
spec: {driver: simulated, shareServers: true, network: {plugin: standalone}, config: {stateFile: tenants.db}}
---
apiVersion: sharectl/v1
kind: ShareNetwork
metadata: {name: red}
spec: {subnets: [{cidr: 10.0.0.0/24, gateway: 10.0.0.1, networkType: vlan, segmentationId: 7}]}
---
apiVersion: sharectl/v1
kind: ShareNetwork
metadata: {name: blue}
spec: {subnets: [{cidr: 10.0.0.0/24, gateway: 10.0.0.1, networkType: vlan, segmentationId: 8}]}
"""


def _share(name: str, network: str | None, policy: str = "delete") -> str:
    on = "" if network is None else f"shareNetwork: {network}, "
    return (
        f"---\napiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: {name}}}\n"
        f"spec: {{size: 1GiB, protocol: NFS, {on}deletionPolicy: {policy}}}\n"
    )


@pytest.fixture
def tenants(console: Console) -> Console:
    """Return a repository with two tenants that have the same addresses, and a share of nobody's network."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write("backends.yaml", _BACKENDS)
    console.write(
        "shares.yaml", "".join([_share("a", "red"), _share("b", "red"), _share("c", "blue"), _share("d", None)])
    )
    return console


def test_a_backend_that_cannot_make_share_servers_is_refused_where_it_says_so(console: Console) -> None:
    """Else shares with a network would be placed on it, and nobody would give them one."""
    console.write("backend.yaml", _REFUSED)
    ended = console("validate")
    assert ended.code == 1
    assert "backend tenants is to make share servers, and its driver directory cannot" in ended.err
    assert "backend.yaml:7:" in ended.err


def test_tenants_with_equal_addresses_and_a_plain_share_in_one_plan(tenants: Console) -> None:
    """The servers are in the plan, the state and the graph; shares answer on their own server's address."""
    planned = tenants("plan")
    assert "+ share_server/red-default@tenants" in planned.out
    assert "+ share_server/blue-default@tenants" in planned.out
    assert "create-share-server:share_server/red-default@tenants" in tenants("graph", "--steps").out
    assert tenants("apply", "--yes").code == 0
    assert "No changes" in tenants("plan").out
    listed = tenants("state", "list").out
    assert "share_server/red-default@tenants" in listed
    assert "network_allocation/standalone/" in listed
    for name, location in (("a", "10.0.0.2:/pool/a"), ("c", "10.0.0.2:/pool/c"), ("d", "simulated.invalid:/pool/d")):
        assert location in tenants("show", f"share/{name}").out
    graph = tenants("graph").out
    assert '[label="share_server/blue-default@tenants"]' in graph


def test_a_share_server_and_its_network_can_be_looked_at(tenants: Console) -> None:
    """As text and as JSON; a name that nobody knows is guessed."""
    tenants("apply", "--yes")
    shown = tenants("show", "share_server/red-default@tenants")
    assert "healthy" in shown.out
    assert "share/b" in shown.out
    plain = orjson.loads(tenants("show", "share_server/red-default@tenants", "-o", "json").out)
    assert plain["shares"] == ["share/a", "share/b"]
    assert plain["allocations"][0]["segmentation_id"] == 7
    network = tenants("show", "share_network/red")
    assert "share_server/red-default@tenants  10.0.0.2  2 shares" in network.out
    assert orjson.loads(tenants("show", "share_network/red", "-o", "json").out)["servers"][0]["shares"] == 2
    assert "red-default" in tenants("show", "share_server/red-defualt@tenants").err
    assert "share_network/red" in tenants("show", "share_network/rde").err


def test_a_share_server_whose_backend_is_silent_or_that_is_gone_is_shown_as_the_state_knows_it(
    tenants: Console,
) -> None:
    """With a warning."""
    import sqlite3  # noqa: PLC0415 - needed here alone
    from contextlib import closing  # noqa: PLC0415 - needed here alone

    tenants("apply", "--yes")
    with closing(sqlite3.connect(tenants.root / "tenants.db")) as connection, connection:
        connection.execute("DELETE FROM share_servers WHERE name = 'red-default'")
    shown = tenants("show", "share_server/red-default@tenants")
    assert "10.0.0.2" in shown.out
    assert "is not on backend tenants any more" in shown.err
    assert tenants("show", "share_server/red-default@tenants", "--refresh", "none").err == ""
    silent = "stateFile: tenants.db, faults: [{call: list_share_servers, effect: unavailable}]"
    tenants.write("backends.yaml", _BACKENDS.replace("stateFile: tenants.db", silent))
    shown = tenants("show", "share_server/red-default@tenants")
    assert "10.0.0.2" in shown.out
    assert "backend tenants could not be asked" in shown.err
    assert "backend tenants could not be read" in tenants("plan").err
    tenants.write("backends.yaml", _BACKENDS)
    assert "is gone from backend tenants; this plan repairs it with repair-share-server" in tenants("refresh").out
    assert tenants("apply", "--yes").code == 0
    assert "No changes" in tenants("plan").out


def test_destroy_takes_servers_and_addresses_along(tenants: Console) -> None:
    """In the order of the graph: shares, servers, addresses."""
    tenants("apply", "--yes")
    assert tenants("destroy", "--yes").code == 0
    listed = tenants("state", "list").out
    assert "share_server" not in listed
    assert "network_allocation" not in listed


def test_a_share_that_was_left_behind_keeps_its_server_through_destroy(tenants: Console) -> None:
    """What deletionPolicy retain leaves on its backend goes on being served."""
    tenants.write("shares.yaml", _share("a", "red", "retain") + _share("c", "blue"))
    tenants("apply", "--yes")
    assert tenants("destroy", "--yes").code == 0
    listed = tenants("state", "list").out
    assert "share_server/red-default@tenants" in listed
    assert "share_server/blue-default@tenants" not in listed


def test_a_share_comes_back_from_the_trash_onto_its_server(tenants: Console) -> None:
    """The server has waited for it; a manifest without the network is refused."""
    tenants.write("shares.yaml", _share("a", "red", "trash") + _share("d", None))
    tenants("apply", "--yes")
    tenants.write("shares.yaml", _share("d", None))
    assert tenants("apply", "--yes").code == 0
    tenants.write("shares.yaml", _share("a", None, "trash") + _share("d", None))
    refused = tenants("import", "share/a", "pool/a", "--backend", "tenants", "--yes")
    assert refused.code == 1
    assert "is on share_server/red-default@tenants" in refused.err
    tenants.write("shares.yaml", _share("a", "red", "trash") + _share("d", None))
    assert tenants("import", "share/a", "pool/a", "--backend", "tenants", "--yes").code == 0
    assert "share/a" in tenants("show", "share_server/red-default@tenants").out
    assert "No changes" in tenants("plan").out


def test_a_server_is_forgotten_only_with_its_shares_and_never_renamed(tenants: Console) -> None:
    """Its row says where its shares are."""
    tenants("apply", "--yes")
    server = "share_server/red-default@tenants"
    assert "share/a is on share_server/red-default@tenants" in tenants("state", "rm", server).err
    assert "cannot have another address" in tenants("state", "mv", server, "share_server/other").err
    forgotten = tenants("state", "rm", server, "share/a", "share/b")
    assert forgotten.code == 0
    assert "nothing removes it any more" in forgotten.err
    assert "holds 1 share server that the state does not know" in tenants("refresh").out
    row = next(line.split()[0] for line in tenants("state", "list").out.splitlines() if "vlan:7" in line)
    assert "may get this address now" in tenants("state", "rm", row).err


def test_a_forecast_knows_the_addresses_that_are_taken(tenants: Console) -> None:
    """The pools are asked before the state is read, and that leaves no wrong idea behind."""
    tenants("apply", "--yes")
    ended = tenants("pools", "--after-plan")
    assert ended.code == 0
    assert ended.err == ""
    assert tenants("trash", "list").code == 0


def test_explain_knows_which_networks_a_backend_can_take(tenants: Console) -> None:
    """With the limit that the plan counts against."""
    tenants.write("shares.yaml", _share("a", "red"))
    assert "share/a goes to tenants#pool" in tenants("explain", "share/a").out
    tenants("apply", "--yes")
    tenants.write("backends.yaml", _BACKENDS.replace("shareServers: true", "shareServers: true, maxShareServers: 1"))
    tenants.write("shares.yaml", _share("a", "red") + _share("b", "red") + _share("c", "blue"))
    assert "share/b goes to tenants#pool" in tenants("explain", "share/b").out
    refused = tenants("explain", "share/c").out
    assert "goes to tenants#pool" not in refused
    assert "share_networks" in refused
    assert "it has 1 of the 1 share servers that it may have" in tenants("plan").err
