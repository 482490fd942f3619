"""Client lists: each expanded once, and rules that name one replaced by a rule for each of its clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.manifests.dependencies import CycleError, topological_order
from sharectl.model.access import CLIENTS, AccessRule, AccessType, digest_of_lines, line_of
from sharectl.model.kinds import Kind, address_of, name_of, of_kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sharectl.manifests.compiled import Setting
    from sharectl.manifests.findings import Path
    from sharectl.model.canonical import JsonObject
    from sharectl.model.kinds import Address

_MOST_KEPT: Final = 1000


class Client(NamedTuple):
    """Where a client stands: the address of its ClientList, and the path in that document."""

    client_list: Address
    path: Path


class Listed(NamedTuple):
    """A rule for a client, where the client stands, and the rule that names the list."""

    rule: AccessRule
    client: Client
    by: AccessRule


class Conflict(NamedTuple):
    """A client to whom two rules that name lists give something else, and how many more there are by the same two rules."""

    first: Listed
    second: Listed
    more: int


class Expansion(NamedTuple):
    """What rules that name lists come to: by key, with the lines that go into a digest, sorted; and where two of them differ."""

    rules: Mapping[str, Listed]
    lines: list[str]
    conflicts: tuple[Conflict, ...]


class ClientLists:
    """The ClientLists of all files, by address. What is asked for is kept: shares that use the same lists cost a look-up each."""

    def __init__(self, settings: Mapping[Address, tuple[int, Setting]]) -> None:
        """Expand nothing yet."""
        self._lists: dict[Address, JsonObject] = {
            address: settings[address][1].plain for address in of_kind(Kind.CLIENT_LIST, settings)
        }
        self._clients: dict[str, dict[str, Client]] = {}
        self._expansions: dict[tuple[AccessRule, ...], Expansion] = {}
        self._sets: dict[tuple[AccessRule, ...], tuple[AccessRule, ...]] = {}

    def clients(self, name: str) -> Mapping[str, Client]:
        """Return the clients of a list and of those in it, by their canonical address; none where there is no such list."""
        found = self._clients.get(name)
        if found is None:
            found = self._clients[name] = {}
            for address in self.within(name):
                for client, path in clients_in(self._lists[address]):
                    found.setdefault(client, Client(address, path))
        return found

    def is_known(self, name: str) -> bool:
        """Tell whether there is a list of this name, and one for each name in it."""
        return all(
            address_of(Kind.CLIENT_LIST, each) in self._lists
            for each in (
                name,
                *(other for address in self.within(name) for other in self._lists[address].get("lists", ())),
            )
        )

    def within(self, name: str) -> Iterator[Address]:
        """Yield the list and all in it, each once, even where they go in a circle."""
        seen: set[Address] = set()
        open_lists = [address_of(Kind.CLIENT_LIST, name)]
        while open_lists:
            address = open_lists.pop()
            if address not in seen and address in self._lists:
                seen.add(address)
                yield address
                others = self._lists[address].get("lists", ())
                open_lists += [address_of(Kind.CLIENT_LIST, other) for other in reversed(others)]

    def around(self, address: Address) -> set[Address]:
        """Return the list at the address and all that it is in."""
        return {each for each in self._lists if address in self.within(name_of(each))} | {address}

    def expansion(self, rules: Iterable[AccessRule]) -> Expansion:
        """Return what those of the rules come to that name lists."""
        naming = tuple(rule for rule in rules if rule.access_type == CLIENTS and rule.access_level)
        found = self._expansions.get(naming)
        if found is None:
            if len(self._expansions) >= _MOST_KEPT:
                self._expansions.clear()
            found = self._expansions[naming] = self._expanded(naming)
        return found

    def _expanded(self, naming: tuple[AccessRule, ...]) -> Expansion:
        listed: dict[str, Listed] = {}
        conflicts: dict[tuple[AccessRule, AccessRule], Conflict] = {}
        for rule in naming:
            for address, client in self.clients(rule.access_to).items():
                here = Listed(rule._replace(access_type=str(AccessType.IP), access_to=address), client, rule)
                first = listed.setdefault(here.rule.key, here)
                if first.rule != here.rule:
                    known = conflicts.get((first.by, rule), Conflict(first, here, -1))
                    conflicts[first.by, rule] = known._replace(more=known.more + 1)
        return Expansion(listed, sorted(line_of(each.rule) for each in listed.values()), tuple(conflicts.values()))

    def access(self, rules: Iterable[AccessRule]) -> tuple[AccessRule, ...]:
        """Return the rules sorted by key, those that name lists expanded; of two for the same client the first, its own rule before a list's.

        Shares with the same rules get the same tuple.
        """
        whole = tuple(rules)
        found = self._sets.get(whole)
        if found is None:
            by_key = {key: each.rule for key, each in self.expansion(whole).rules.items()}
            own: dict[str, AccessRule] = {}
            for rule in whole:
                if rule.access_type != CLIENTS:
                    own.setdefault(rule.key, rule)
            by_key |= own
            if len(self._sets) >= _MOST_KEPT:
                self._sets.clear()
            found = self._sets[whole] = tuple(by_key[key] for key in sorted(by_key))
        return found

    def digest(self, rules: Iterable[AccessRule]) -> bytes:
        """Return the digest of what the rules come to, of which no two differ about a client."""
        rules = tuple(rules)
        own = {line_of(rule) for rule in rules if rule.access_type != CLIENTS}
        lines = self.expansion(rules).lines
        return digest_of_lines([*lines, *own.difference(lines)] if own else lines)


def circles_of_lists(settings: Mapping[Address, JsonObject]) -> Iterator[tuple[Address, ...]]:
    """Yield the circles in which lists hold each other, by their members; a list in several is told of once at least."""
    within = {
        address: [address_of(Kind.CLIENT_LIST, other) for other in settings[address].get("lists", ())]
        for address in of_kind(Kind.CLIENT_LIST, settings)
    }
    while True:
        try:
            topological_order(within)
        except CycleError as cycle:
            yield cycle.members
            for member in cycle.members:
                within[member] = []
        else:
            return


def clients_in(plain: JsonObject) -> Iterator[tuple[str, Path]]:
    """Yield the clients that a list holds itself, each with its path; one that could not be read is left out."""
    for number, client in enumerate(plain.get("clients", ())):
        if client:
            yield client, ("spec", "clients", number)
    for name, addresses in plain.get("names", {}).items():
        for number, client in enumerate(addresses):
            if client:
                yield client, ("spec", "names", name, number)
