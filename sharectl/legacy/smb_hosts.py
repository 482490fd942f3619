"""`hosts allow` and `hosts deny` of smb.conf(5): from which networks a share can be reached."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.legacy.nfs_clients import EVERYBODY, networks_of
from sharectl.manifests.access import AccessError
from sharectl.model.precedence import Network, network_of, without

if TYPE_CHECKING:
    from collections.abc import Sequence

_SEPARATORS: Final = re.compile(r"[ \t,;]+")
_SHORT: Final = re.compile(r"(?:[0-9]{1,3}\.){1,3}")
_MOST_PARTS: Final = 256
_EVERYWHERE: Final = tuple(network for text in EVERYBODY if (network := network_of(text)) is not None)


class Unsayable(NamedTuple):
    """A host that no network stands for, and why."""

    host: str
    why: str


class Hosts(NamedTuple):
    """The networks of a list but those after EXCEPT, and what cannot be said of either."""

    networks: tuple[Network, ...] = ()
    but: tuple[Network, ...] = ()
    unsayable: tuple[Unsayable, ...] = ()
    unsayable_but: tuple[Unsayable, ...] = ()

    @property
    def holds_ipv4(self) -> bool:
        """Tell whether all IPv4 addresses are in it; who denies those means to deny all."""
        return _EVERYWHERE[0] in self.networks


class Reach(NamedTuple):
    """From where a share can be reached: from these networks (None: from everywhere) but from those others; `lost` are hosts without rules.

    `why_not` says why it can be reached from nowhere by rules; then nobody is to get in.
    """

    networks: tuple[Network, ...] | None = None
    but: tuple[Network, ...] = ()
    lost: tuple[Unsayable, ...] = ()
    why_not: str = ""


def hosts_in(text: str) -> Hosts:
    """Return what a list of hosts says."""
    words = [word.strip('"') for word in _SEPARATORS.split(text.strip()) if word.strip('"')]
    upper = [word.upper() for word in words]
    end = upper.index("EXCEPT") if "EXCEPT" in upper else len(words)
    before, after = words[:end], words[end + 1 :]
    networks, unsayable = _networks(before)
    if "EXCEPT" in upper[end + 1 :]:
        return Hosts(networks, (), unsayable, (Unsayable("EXCEPT", "an exception of an exception"),))
    but, unsayable_but = _networks(after)
    return Hosts(networks, but, unsayable, unsayable_but)


def _networks(words: Sequence[str]) -> tuple[tuple[Network, ...], tuple[Unsayable, ...]]:
    found: dict[Network, None] = {}
    unsayable = []
    for word in words:
        try:
            texts = _texts(word)
        except AccessError as problem:
            unsayable.append(Unsayable(word, f"{problem.summary}; {problem.remedy}"))
        else:
            found |= {network: None for text in texts if (network := network_of(text)) is not None}
    return tuple(found), tuple(unsayable)


def _texts(word: str) -> tuple[str, ...]:
    """Return the networks of a word as access rules have them. Raises AccessError."""
    if word.upper() == "ALL":
        return EVERYBODY
    if word.lower() == "localhost":
        return ("127.0.0.1", "::1")
    if _SHORT.fullmatch(word):
        given = word.rstrip(".").split(".")
        return networks_of(f"{'.'.join(given + ['0'] * (4 - len(given)))}/{8 * len(given)}")
    return networks_of("*." if word == "*" else word)


def reach_of(allow: str, deny: str) -> Reach:
    """Return from where a share can be reached; with both lists, what the first holds is let in whatever the second says."""
    allowed, denied = hosts_in(allow), hosts_in(deny)
    if allow.strip() and (not deny.strip() or (denied.holds_ipv4 and not denied.but and not denied.unsayable_but)):
        return _settled(_let_in(allowed))
    return _settled(_but(denied, allowed)) if deny.strip() else Reach()


def _let_in(allowed: Hosts) -> Reach:
    if allowed.unsayable_but:
        return Reach(why_not=_cannot(allowed.unsayable_but[0]))
    if not allowed.networks:
        return Reach(lost=allowed.unsayable, why_not="none of the hosts that it lets in can be named in a rule")
    if set(_EVERYWHERE) <= set(allowed.networks):
        return Reach(None, allowed.but, allowed.unsayable)
    return Reach(allowed.networks, allowed.but, allowed.unsayable)


def _but(denied: Hosts, allowed: Hosts) -> Reach:
    """Return what is not denied. Hosts that are let in by name, or excepted, stay out where a denied network holds them."""
    if denied.unsayable:
        return Reach(why_not=_cannot(denied.unsayable[0]))
    beside = tuple(Unsayable(str(each), _BESIDE) for each in (*allowed.networks, *denied.but))
    lost = (*allowed.unsayable, *denied.unsayable_but, *beside)
    if not denied.holds_ipv4:
        return Reach(None, denied.networks, lost)
    if not denied.but:
        return Reach(lost=lost, why_not="it lets no host in")
    without_rule = (each for each in allowed.networks if not any(each.is_within(other) for other in denied.but))
    unnamed = (Unsayable(str(each), _BESIDE_EXCEPTIONS) for each in without_rule)
    return Reach(denied.but, (), (*allowed.unsayable, *denied.unsayable_but, *unnamed))


_BESIDE: Final = "it is let in although a wider network is not, and a rule for it would let it alone in"
_BESIDE_EXCEPTIONS: Final = "it is let in beside the exceptions of hosts deny; write a rule of type ip for it"


def _cannot(host: Unsayable) -> str:
    return f"{host.host} is to be kept out, and no rule can name it ({host.why})"


def both(first: Reach, second: Reach) -> Reach:
    """Return from where a share can be reached that has to be reachable by both."""
    why_not = first.why_not or second.why_not
    lost, but = (*first.lost, *second.lost), tuple(dict.fromkeys((*first.but, *second.but)))
    if first.networks is None or second.networks is None:
        return _settled(Reach(second.networks if first.networks is None else first.networks, but, lost, why_not))
    common = [
        narrow
        for one in first.networks
        for other in second.networks
        for narrow in ((one,) if one.is_within(other) else (other,) if other.is_within(one) else ())
    ]
    return _settled(Reach(tuple(dict.fromkeys(common)), but, lost, why_not))


def _settled(reach: Reach) -> Reach:
    """Return the same without networks inside those that are kept out: of rules, the narrower one decides."""
    if reach.why_not or reach.networks is None:
        return reach
    kept = tuple(network for network in reach.networks if not any(network.is_within(hole) for hole in reach.but))
    return reach._replace(networks=kept, why_not="" if kept else "it lets no host in")


def cut(reach: Reach) -> Reach:
    """Return the same without exceptions: what is left of the networks; nowhere, where that is too much to write."""
    if not reach.but or reach.why_not:
        return reach
    parts = [part for network in reach.networks or _EVERYWHERE for part in without(network, reach.but)]
    if len(parts) > _MOST_PARTS or not parts:
        return reach._replace(why_not=f"what is left of its networks would take {len(parts)} rules")
    return reach._replace(networks=tuple(dict.fromkeys(parts)), but=())
