"""Whether a backend works with share servers is decided before its first share: neither way can it be changed afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.kinds import Kind, address_of
from sharectl.planner.share_servers.records import share_server_id_of

if TYPE_CHECKING:
    from sharectl.model.kinds import Address
    from sharectl.planner.draft import Draft


def check_modes(draft: Draft) -> None:
    """Refuse a backend whose manifest gives it share servers while it has shares without, or takes them while it has some."""
    with_servers = {name for name, spec in draft.desired.backends.items() if spec.share_servers}
    first: dict[str, Address] = {}
    for address, record in draft.records.items() if with_servers else ():
        if record.kind == Kind.SHARE and record.backend in with_servers and share_server_id_of(record) is None:
            first[record.backend] = min(address, first.get(record.backend, address))
    for backend, share in sorted(first.items()):
        draft.refuse(
            "backend.share-server-mode",
            address_of(Kind.BACKEND, backend),
            f"backend {backend} is to make share servers, and {share} is there without one",
            detail="a backend works with share servers for all of its shares, or for none (Manila's driver_handles_share_servers).",
            remedy="remove shareServers; give the storage for tenants a Backend of its own",
            path="spec.shareServers",
        )
    taken = {draft.records[address].backend or "": address for address in draft.servers.values()}
    for name, server in sorted(taken.items()):
        if name in draft.desired.backends and name not in with_servers:
            draft.refuse(
                "backend.share-server-mode",
                address_of(Kind.BACKEND, name),
                f"backend {name} has {server}, and its manifest says that it makes no share servers",
                detail="the shares on it would have nobody to export them.",
                remedy="put shareServers: true back until its share servers are gone",
                path="spec.shareServers",
            )
