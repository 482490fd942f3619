"""Share servers in use, and where shares with a share network may go: backends that have a server for it, or may have one more."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from sharectl.model.backends import UnusedShareServers
from sharectl.model.candidates import Candidate, Candidates
from sharectl.model.diagnostics import Severity
from sharectl.model.kinds import Kind, address_of, is_of
from sharectl.model.plans import Action
from sharectl.model.table import prerequisites_of
from sharectl.model.verbs import Verb
from sharectl.planner.draft import SHARE_REMOVALS, step_id
from sharectl.planner.records import share_server_id_of
from sharectl.planner.share_servers.changes import server_address, subnet_for, subnet_label
from sharectl.planner.snapshots import removed_record
from sharectl.state.rows import server_spec_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from sharectl.model.kinds import Address
    from sharectl.model.plans import Step
    from sharectl.model.records import Record
    from sharectl.model.specs import ShareSpec
    from sharectl.planner.draft import Draft
    from sharectl.scheduler.pools import Pool
    from sharectl.scheduler.request import Request

_MENDING: Final = (Verb.CREATE_SHARE_SERVER, Verb.REPAIR_SHARE_SERVER, Verb.UPDATE_SHARE_SERVER)
_SERVER_VERBS: Final = frozenset({*_MENDING, Verb.DELETE_SHARE_SERVER})
_WITHOUT_SERVER: Final = frozenset({*SHARE_REMOVALS, Verb.MOVE})
NETWORKS_CAPABILITY: Final = "share_networks"
"""Under this name pools tell the scheduler for which share networks they can take shares now."""


def unused_servers(draft: Draft, wanted: Container[Address]) -> list[Address]:
    """Return the recorded share servers that nothing will be on once the plan's removals are done, and that may go, sorted.

    None that is `wanted` is among them, none on a backend that was not listed whole, and none on which anything else is: a share in
    the trash, one that was forgotten, one that sharectl did not make.
    """
    if not draft.servers:
        return []
    held = _in_use(draft)
    return [
        address
        for server_id, address in sorted(draft.servers.items(), key=lambda item: item[1])
        if address not in wanted and server_id not in held and _may_go(draft, draft.records[address])
    ]


def goes(draft: Draft, server: Address, removals: Mapping[Address, Sequence[Step]]) -> bool:
    """Tell whether the plan is about an unused share server: it was chosen, or the plan empties it and another may need its place."""
    backend = draft.records[server].backend or ""
    if draft.chooses(server, backend):
        return True
    return server in removals and server not in draft.options.excludes and server_limit(draft, backend) is not None


def _in_use(draft: Draft) -> set[str | None]:
    """Return the ids of the share servers that something is on, once the plan's removals are done."""
    unrecorded, deleted = set(), set()
    for step in draft.steps.values():
        if step.verb in SHARE_REMOVALS and is_of(Kind.SHARE, step.address):
            share = removed_record(draft, step.address)
            unrecorded.add(share.resource_id)
            if step.verb is Verb.DELETE_SHARE:
                deleted.add(share.resource_id)
        elif step.verb is Verb.CREATE_SHARE and step.address in draft.records:
            unrecorded.add(
                draft.records[step.address].resource_id
            )  # it is lost, and made again on whatever server the step says
    held = {
        share_server_id_of(record)
        for record in draft.state.records.values()
        if record.kind == Kind.SHARE and record.resource_id not in unrecorded
    }
    held |= {
        share.share_server_id
        for seen in draft.observed.values()
        if seen.shares is not None and seen.servers is not None
        for share in (*seen.shares.values(), *seen.unmanaged)
        if share.resource_id not in deleted
    }
    return held


def _may_go(draft: Draft, server: Record) -> bool:
    seen = draft.observed.get(server.backend or "")
    backend = draft.desired.backends.get(server.backend or "")
    if backend is None or seen is None or seen.servers is None:
        return False
    if seen.shares is None or seen.servers.servers is None or seen.asked_ids is not None:
        return False
    keeps = backend.unused_share_servers == UnusedShareServers.KEEP and not draft.options.destroy
    return not keeps or server_spec_of(server).share_network not in draft.desired.share_networks


def shares_by_server(draft: Draft) -> Mapping[str, Sequence[tuple[Address, Record]]]:
    """Return the recorded shares on each share server, by its id, in the order of their addresses."""
    found: dict[str, list[tuple[Address, Record]]] = {}
    for address, record in sorted(draft.records.items()):
        server_id = share_server_id_of(record) if record.kind == Kind.SHARE else None
        if server_id is not None:
            found.setdefault(server_id, []).append((address, record))
    return found


def server_waits(draft: Draft) -> dict[str, list[str]]:
    """Return the ids of the steps that each step waits for because of a share server; steps that wait for none are left out.

    A share waits for its server to be made or mended, whatever is done to it except a removal. A server goes after the removal of all
    its shares, and where the backend can have only so many, a new one waits for those that go.
    """
    if not any(step.verb in _SERVER_VERBS for step in draft.steps.values()):
        return {}
    removals = removals_by_server(draft)
    departures = _departures(draft, removals)
    waits: dict[str, list[str]] = {}
    for name, step in draft.steps.items():
        if step.verb is Verb.DELETE_SHARE_SERVER:
            needed = [removal.step_id for removal in removals.get(step.address, ())]
        elif step.verb is Verb.CREATE_SHARE_SERVER:
            needed = departures.get(step.backend or "", [])
        elif step.verb is Verb.UPDATE_SHARE_SERVER:
            needed = [step_id(Verb.REPAIR_SHARE_SERVER, step.address)]
        else:
            server = server_of(draft, step)
            needed = [] if server is None else [step_id(verb, server) for verb in _MENDING]
        if needed:
            waits[name] = needed
    return waits


def server_of(draft: Draft, step: Step) -> Address | None:
    """Return the share server that the step on a share or snapshot needs; None for removals, which do without."""
    if step.candidates:
        return step.candidates[0].share_server
    if step.verb in _WITHOUT_SERVER or step.backend is None:
        return None
    needed = () if step.spec is None else prerequisites_of(step.spec)
    address = next((address_of(*each) for each in needed if each.kind is Kind.SHARE), step.address)
    record = draft.records.get(address)
    server_id = None if record is None or record.kind != Kind.SHARE else share_server_id_of(record)
    return None if server_id is None else draft.servers.get(server_id)


def removals_by_server(draft: Draft) -> dict[Address, list[Step]]:
    """Return the steps that remove shares, by the address of their server, in the order of their addresses."""
    found: dict[Address, list[Step]] = {}
    for step in sorted(draft.steps.values(), key=lambda step: step.address):
        if step.verb in SHARE_REMOVALS and is_of(Kind.SHARE, step.address):
            server = draft.servers.get(share_server_id_of(removed_record(draft, step.address)) or "")
            if server is not None:
                found.setdefault(server, []).append(step)
    return found


def _departures(draft: Draft, removals: dict[Address, list[Step]]) -> dict[str, list[str]]:
    """Return the steps that make room for new servers, by backend, where there is a limit.

    A server whose share goes only when its successor is there makes no room for the server of that successor.
    """
    found: dict[str, list[str]] = {}
    for name, step in sorted(draft.steps.items()):
        if step.verb is not Verb.DELETE_SHARE_SERVER or server_limit(draft, step.backend or "") is None:
            continue
        if not waits_for_successor(removals.get(step.address, ())):
            found.setdefault(step.backend or "", []).append(name)
    return found


def waits_for_successor(removals: Iterable[Step]) -> bool:
    """Tell whether one of these shares goes only when the share in its place is there."""
    return any(removal.action is Action.CREATE_THEN_DELETE for removal in removals)


def server_limit(draft: Draft, backend: str) -> int | None:
    """Return how many share servers the backend can have: by its manifest, or by its own report; None where any number."""
    spec = draft.desired.backends.get(backend)
    seen = draft.observed.get(backend)
    reported = None if seen is None or seen.report is None else seen.report.max_share_servers
    limits = [limit for limit in (None if spec is None else spec.max_share_servers, reported) if limit is not None]
    return min(limits, default=None)


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

    def settle(self, network: str, candidates: Sequence[Candidate]) -> Candidates:
        """Return the candidates that a share on the network can fall through to, each with its share server.

        The first decides which server is made. Another candidate is kept if its server is that one, or already exists and is healthy:
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
        return Candidates.of(found)

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
        going = {
            server
            for server in unused_servers(draft, wanted)
            if goes(draft, server, removals) and not waits_for_successor(removals.get(server, ()))
        }
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
