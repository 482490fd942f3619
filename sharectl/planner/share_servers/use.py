"""Which share servers are in use: by shares of the state, and by whatever else is on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.backends import UnusedShareServers
from sharectl.model.kinds import Kind, is_of
from sharectl.model.verbs import Verb
from sharectl.planner.share_servers.records import share_server_id_of
from sharectl.planner.snapshots.owners import SHARE_REMOVALS, removed_record
from sharectl.state.rows import server_spec_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from sharectl.model.kinds import Address
    from sharectl.model.records import Record
    from sharectl.planner.draft import Draft


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
