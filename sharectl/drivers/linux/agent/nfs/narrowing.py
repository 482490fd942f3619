"""What is left of an export's clients where it could not be made what was asked: nobody is given more than before, nor more than wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.drivers.linux.agent.contract import Client
from sharectl.drivers.linux.agent.nfs.treatment import of_client
from sharectl.model.precedence import RANKS, deciding, network_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from sharectl.drivers.linux.agent.contract import Export
    from sharectl.model.precedence import Network


def left_in(before: Collection[Client], wanted: Collection[Client]) -> frozenset[Client]:
    """Return the clients that give each address the less of what it had and what it is to have, treated as is wanted.

    Where those are all that are wanted, return them as they are wanted.
    """
    was, will = _by_network(before), _by_network(wanted)
    found: dict[Network, Client] = {}
    for network in {*was, *will}:
        client, old = deciding(network, will), deciding(network, was)
        level = min(_level(client), _level(old), key=RANKS.__getitem__)
        found[network] = Client(str(network), level, client.options if client is not None and level != "none" else ())
    kept, asked = _needed(found), _needed(will)
    is_whole = {network: _grant(client) for network, client in kept.items()} == {
        network: _grant(client) for network, client in asked.items()
    }
    return frozenset(wanted) if is_whole else frozenset(kept.values())


def lets_in(clients: Collection[Client]) -> bool:
    """Tell whether any of the clients may do anything."""
    return any(client.level != "none" for client in clients)


def grants_no_more(one: Export, other: Export) -> bool:
    """Tell whether whatever `one` grants, `other` grants too, treating the client in the same way."""
    ones, others = _by_network(one.clients), _by_network(other.clients)
    for network in {*ones, *others}:
        client, wider = deciding(network, ones), deciding(network, others)
        if client is None or client.level == "none":
            continue
        if (
            wider is None
            or RANKS.get(client.level, len(RANKS)) > _rank(wider)
            or of_client(one, client) != of_client(other, wider)
        ):
            return False
    return (one.export_id, one.path, one.pseudo) == (other.export_id, other.path, other.pseudo)


def _by_network(clients: Collection[Client]) -> dict[Network, Client]:
    return {network: client for client in clients if (network := network_of(client.network)) is not None}


def _level(client: Client | None) -> str:
    """Return the level of a client; one that nobody can have asked for counts for nothing."""
    return client.level if client is not None and client.level in RANKS else "none"


def _rank(client: Client) -> int:
    return RANKS.get(client.level, -1)


def _needed(clients: dict[Network, Client]) -> dict[Network, Client]:
    """Return those without which an address would be given something else."""
    found: dict[Network, Client] = {}
    for network in sorted(clients, key=lambda network: network.length):
        client, wider = clients[network], deciding(network, found)
        if _grant(client) != _grant(wider):
            found[network] = client
    return found


def _grant(client: Client | None) -> tuple[object, ...] | None:
    return None if client is None or client.level == "none" else client[1:]
