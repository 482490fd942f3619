"""Where shares with a share network may go: backends that have a share server for it, or may have one more."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import Severity
from sharectl.model.kinds import Kind, address_of, is_of
from sharectl.planner.records import share_server_id_of
from sharectl.planner.share_servers.changes import server_address, subnet_for, subnet_label
from sharectl.planner.share_servers.use import removals_by_server, server_limit, unused_servers, waits_for_successor
from sharectl.state.rows import server_spec_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sharectl.model.kinds import Address
    from sharectl.model.plans import Candidate
    from sharectl.model.records import Record
    from sharectl.model.specs import ShareSpec
    from sharectl.planner.draft import Draft
    from sharectl.scheduler.pools import Pool
    from sharectl.scheduler.request import Request

NETWORKS_CAPABILITY: Final = "share_networks"
"""Under this name pools tell the scheduler for which share networks they can take shares now."""


@dataclass(slots=True)
class ServerPlaces:
    """The share servers that there are and will be, while the new shares of a plan are placed."""

    draft: Draft
    _new: set[Address] = field(default_factory=set)
    _counts: dict[str, int] = field(default_factory=dict)
    _networks: tuple[str, ...] = ()
    _known: dict[tuple[str, str], Address | str] = field(default_factory=dict)
    _named: dict[Address, str] = field(default_factory=dict)

    @classmethod
    def for_shares(cls, draft: Draft, addresses: Iterable[Address]) -> ServerPlaces:
        """Return the places for these new shares; nothing is worked out where none of them has a network."""
        found = {draft.desired.share(address).share_network for address in addresses}
        places = cls(draft, _networks=tuple(sorted(name for name in found if name is not None)))
        if places._networks:
            places._count()
        return places

    @property
    def is_limited(self) -> bool:
        """Tell whether a backend can have only so many share servers, so that each network has to know what those before it took."""
        return bool(self._networks) and any(
            spec.share_servers and server_limit(self.draft, name) is not None
            for name, spec in self.draft.desired.backends.items()
        )

    def groups(self, addresses: Sequence[Address]) -> list[list[Address]]:
        """Return the shares in groups that are placed together: all at once, or by network where servers are limited."""
        if not self.is_limited:
            return [list(addresses)]
        found: dict[str, list[Address]] = {}
        for address in addresses:
            found.setdefault(self.draft.desired.share(address).share_network or "", []).append(address)
        return [found[name] for name in sorted(found)]

    def marked(self, pools: Sequence[Pool]) -> Sequence[Pool]:
        """Return the pools, those of backends with share servers with the networks that they can take shares for."""
        if not self._networks:
            return pools
        capable: dict[str, list[str]] = {
            backend: [name for name in self._networks if not self.refusal(name, backend)]
            for backend in self._backends()
        }
        return [
            replace(pool, capabilities={**pool.capabilities, NETWORKS_CAPABILITY: capable[pool.backend]})
            if pool.backend in capable
            else pool
            for pool in pools
        ]

    def refusal(self, network: str, backend: str) -> str:
        """Return why shares on the network cannot be on the backend now, in words; empty where they can."""
        found = self._known.get((network, backend))
        if found is None:
            found = self._known[network, backend] = self._look(network, backend)
        if not is_of(Kind.SHARE_SERVER, found):
            return found
        if found in self.draft.records or found in self._new:
            return ""
        limit = server_limit(self.draft, backend)
        if limit is not None and self._counts.get(backend, 0) >= limit:
            return f"it has {self._counts[backend]} of the {limit} share servers that it may have"
        seen = self.draft.observed.get(backend)
        findings = () if seen is None or seen.servers is None else seen.servers.findings.get(network, ())
        return next((finding.summary for finding in findings if finding.severity is Severity.ERROR), "")

    def refusals(self, network: str) -> list[tuple[str, str]]:
        """Return why each backend with share servers cannot take shares on the network; nothing where one of them can."""
        found = [(name, self.refusal(network, name)) for name in self._backends()]
        return found if all(why for _, why in found) else []

    def settle(self, network: str, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """Return the candidates that a share on the network can fall through to, each with its share server.

        The first decides which server is made. Another candidate is kept where its server is that one, or is there already and well:
        unlike Manila, nothing makes a second server for a share that its first pool could not take.
        """
        found: list[Candidate] = []
        for candidate in candidates:
            server = self._known.get((network, candidate.backend), "")
            if not is_of(Kind.SHARE_SERVER, server) or self.refusal(network, candidate.backend):
                continue
            if not found and server not in self.draft.records:
                self._take(server, candidate.backend)
            well = server in self.draft.records and server not in self.draft.deviations
            if not found or server == found[0].share_server or well:
                found.append(candidate._replace(share_server=server))
        return tuple(found)

    def _take(self, server: Address, backend: str) -> None:
        """Count a share server that will be made, once."""
        if server not in self._new:
            self._new.add(server)
            self._counts[backend] = self._counts.get(backend, 0) + 1

    def _look(self, network: str, backend: str) -> str:
        """Return the address of the network's share server on the backend, or why there can be none."""
        spec = self.draft.desired.backends[backend]
        described = self.draft.desired.share_networks.get(network)
        if described is None:
            return "it has no manifest"
        subnet = subnet_for(described, spec.availability_zone)
        if subnet is None:
            zone = "backends without a zone" if spec.availability_zone is None else f"zone {spec.availability_zone}"
            return f"{address_of(Kind.SHARE_NETWORK, network)} has no subnet for {zone}"
        address = server_address(network, subnet, backend)
        record = self.draft.records.get(address)
        if record is not None:
            holder = server_spec_of(record)
            if (holder.share_network, subnet_label(holder.subnet)) != (network, subnet_label(subnet)):
                return f"its server would be called {address}, as that of {address_of(Kind.SHARE_NETWORK, holder.share_network)} is"
        other = self._named.setdefault(address, network)
        if other != network:
            return f"its server would be called {address}, as that of {address_of(Kind.SHARE_NETWORK, other)} would be"
        return address

    def _backends(self) -> list[str]:
        return [name for name, spec in self.draft.desired.backends.items() if spec.share_servers]

    def _count(self) -> None:
        """Count the share servers of each backend that will be there when new ones are made."""
        draft = self.draft
        wanted = {a for a in draft.servers.values() if server_spec_of(draft.records[a]).share_network in self._networks}
        lost = [
            step.candidates[0] for step in draft.steps.values() if step.candidates
        ]  # shares made again in their places
        wanted |= {place.share_server for place in lost if place.share_server is not None}
        removals = removals_by_server(draft)
        going = {a for a in unused_servers(draft, wanted) if not waits_for_successor(removals.get(a, ()))}
        there: dict[str, set[str | None]] = {}
        for server_id, address in draft.servers.items():
            if address not in going:
                there.setdefault(draft.records[address].backend or "", set()).add(server_id)
        known = draft.servers.keys()
        for name, seen in draft.observed.items():
            servers = seen.servers
            if servers is not None and servers.servers is not None:
                strays = {server_id for server_id in servers.servers if server_id not in known}
                there.setdefault(name, set()).update(strays)
                self._counts[name] = len(servers.unmanaged)
        for name, ids in there.items():
            self._counts[name] = self._counts.get(name, 0) + len(ids)
        for place in lost:
            if place.share_server is not None and place.share_server not in draft.records:
                self._take(place.share_server, place.backend)


def on_network(request: Request) -> Request:
    """Return the request as one for pools that can take shares on its network, if it has one."""
    if request.share_network is None:
        return request
    return replace(request, extra_specs={**request.extra_specs, NETWORKS_CAPABILITY: request.share_network})


def server_of_lost_share(draft: Draft, spec: ShareSpec, record: Record) -> Address | None:
    """Return the share server on which a share is made again: the one that it was on, else the one that its network has there now."""
    server = draft.servers.get(share_server_id_of(record) or "")
    backend = draft.desired.backends.get(record.backend or "")
    if server is not None or spec.share_network is None or backend is None:
        return server
    network = draft.desired.share_networks.get(spec.share_network)
    subnet = None if network is None else subnet_for(network, backend.availability_zone)
    return None if subnet is None else server_address(spec.share_network, subnet, backend.name)
