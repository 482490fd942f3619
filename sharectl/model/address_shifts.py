"""What becomes of clients by address when the networks of a share's access rules change: exact, net of those that overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from sharectl.model.precedence import Network, without

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_Granted = TypeVar("_Granted")
_BITS: Final = {4: 32, 6: 128}
_FEW: Final = 4
"""So many networks are held against each other: most new shares have no more, which lie apart, and each gains what its rule grants."""


class AddressShift(NamedTuple, Generic[_Granted]):
    """All addresses of `network` but those of `but_for` had `before` and have `after`; None is no access.

    The networks of `but_for` lie within it and apart from each other.
    """

    network: Network
    before: _Granted | None
    after: _Granted | None
    but_for: tuple[Network, ...] = ()


class _Node(NamedTuple, Generic[_Granted]):
    """A network that a rule names: its span of addresses, what holds at it, and the place of the next wider one (-1: none)."""

    network: Network
    first: int
    size: int
    before: _Granted | None
    after: _Granted | None
    parent: int

    @property
    def pair(self) -> tuple[_Granted | None, _Granted | None]:
        """What holds before and after."""
        return self.before, self.after


def address_shifts(
    before: Mapping[Network, _Granted | None],
    after: Mapping[Network, _Granted | None],
    base: tuple[_Granted | None, _Granted | None] = (None, None),
) -> tuple[AddressShift[_Granted], ...]:
    """Return what differs between two sets of networks, of which the narrowest decides for an address; in the order of the networks.

    A value of None keeps out. `base` is what addresses have, before and after, that no network covers. No address is in two of the
    answers, and none that is in neither has other access than before. Costs a sort of the networks.
    """
    if before == after and base[0] == base[1]:
        return ()
    if not before and base == (None, None) and _lie_apart(after):
        return tuple([AddressShift(network, None, after[network]) for network in sorted(after, key=span)])
    nodes = _nodes(before, after, base)
    has_own = _with_addresses_of_their_own(nodes)
    owners: list[int] = []
    holes: dict[int, list[Network]] = {}
    for place, node in enumerate(nodes):
        above = -1 if node.parent < 0 else owners[node.parent]
        if not has_own[place] or (above >= 0 and nodes[above].pair == node.pair):
            owners.append(above)
            continue
        owners.append(place)
        holes[place] = []
        if above >= 0:
            holes[above].append(node.network)
    found: dict[tuple[_Granted | None, _Granted | None], list[Network]] = {}
    pierced: list[AddressShift[_Granted]] = []
    for place, inside in holes.items():
        node = nodes[place]
        if node.before == node.after:
            continue
        holes_of_one = joined(inside)
        if sum(hole.length - node.network.length for hole in holes_of_one) > len(holes_of_one):
            pierced.append(AddressShift(node.network, node.before, node.after, holes_of_one))
        else:  # halves at most are taken away: what is left is as short
            found.setdefault(node.pair, []).extend(without(node.network, holes_of_one))
    whole = [AddressShift(network, *pair) for pair, networks in found.items() for network in joined(networks)]
    return tuple(sorted((*pierced, *whole), key=lambda shift: span(shift.network)))


def _lie_apart(granted: Mapping[Network, _Granted | None]) -> bool:
    """Tell whether all of a few networks are granted something, and none is within another, or the other half of a larger one."""
    if len(granted) > _FEW or None in granted.values():
        return False
    networks = list(granted)
    return not any(
        one.is_within(other) or other.is_within(one) or (one.length == other.length and one.bits ^ 1 == other.bits)
        for place, one in enumerate(networks)
        for other in networks[:place]
    )


def joined(networks: Iterable[Network]) -> tuple[Network, ...]:
    """Return the fewest networks that hold the same addresses as these, which lie apart from each other, in their order."""
    left = set(networks)
    for network in sorted(left, key=lambda each: -each.length):
        whole = network
        while whole in left and whole.length:
            other = whole._replace(bits=whole.bits ^ 1)
            if other not in left:
                break
            left -= {whole, other}
            whole = whole.shortened(whole.length - 1)
            left.add(whole)
    return tuple(sorted(left, key=span))


def span(network: Network) -> tuple[int, int, int]:
    """Return what sorts networks by IP version and first address, the wider before those within it."""
    return network.version, network.bits << (_BITS[network.version] - network.length), network.length


def _nodes(
    before: Mapping[Network, _Granted | None],
    after: Mapping[Network, _Granted | None],
    base: tuple[_Granted | None, _Granted | None],
) -> list[_Node[_Granted]]:
    """Return the networks of both sets, and the whole of each IP version, wider before narrower."""
    everywhere = {Network(version, 0, 0) for version in _BITS}
    nodes: list[_Node[_Granted]] = []
    path: list[int] = []
    for network in sorted({*before, *after, *everywhere}, key=span):
        while path and not network.is_within(nodes[path[-1]].network):
            path.pop()
        parent = path[-1] if path else -1
        had, has = base if parent < 0 else nodes[parent].pair
        _, first, length = span(network)
        size = 1 << (_BITS[network.version] - length)
        had, has = before.get(network, had), after.get(network, has)
        path.append(len(nodes))
        nodes.append(_Node(network, first, size, had, has, parent))
    return nodes


def _with_addresses_of_their_own(nodes: list[_Node[_Granted]]) -> list[bool]:
    """Tell of each network whether it has addresses that no narrower one covers."""
    left = [node.size for node in nodes]
    for node in nodes:
        if node.parent >= 0:
            left[node.parent] -= node.size
    return [size > 0 for size in left]
