"""Which share servers are in use, and what steps wait for on account of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.backends import UnusedShareServers
from sharectl.model.kinds import Kind, address_of, is_of
from sharectl.model.plans import Action
from sharectl.model.table import prerequisites_of
from sharectl.model.verbs import Verb
from sharectl.planner.draft import step_id
from sharectl.planner.records import share_server_id_of
from sharectl.planner.snapshots import SHARE_REMOVALS, removed_record
from sharectl.state.rows import server_spec_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from sharectl.model.kinds import Address
    from sharectl.model.plans import Step
    from sharectl.model.records import Record
    from sharectl.planner.draft import Draft

_MENDING: Final = (Verb.CREATE_SHARE_SERVER, Verb.REPAIR_SHARE_SERVER, Verb.UPDATE_SHARE_SERVER)
_SERVER_VERBS: Final = frozenset({*_MENDING, Verb.DELETE_SHARE_SERVER})
_WITHOUT_SERVER: Final = frozenset({*SHARE_REMOVALS, Verb.MOVE})


def unused_servers(draft: Draft, wanted: Container[Address]) -> list[Address]:
    """Return the recorded share servers that nothing will be on once the plan's removals are done, and that may go, sorted.

    None that is `wanted` is among them, none on a backend that was not listed whole, and none on which anything else is: a share in
    the trash, one that was forgotten, one that sharectl did not make.
    """
    if not draft.servers:
        return []
    held = _held(draft)
    return [
        address
        for server_id, address in sorted(draft.servers.items(), key=lambda item: item[1])
        if address not in wanted and server_id not in held and _may_go(draft, draft.records[address])
    ]


def _held(draft: Draft) -> set[str | None]:
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


def shares_on(draft: Draft, server_id: str) -> Iterator[tuple[Address, Record]]:
    """Yield the recorded shares on the share server with this id, by address."""
    for address, record in sorted(draft.records.items()):
        if record.kind == Kind.SHARE and share_server_id_of(record) == server_id:
            yield address, record


def server_waits(draft: Draft) -> dict[str, list[str]]:
    """Return the ids of the steps that each step waits for because of a share server; steps that wait for none are left out.

    A share waits for its server to be made or mended, whatever is done to it but a removal. A server goes after the removal of all
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
