"""Who has which name on which server: exports of shares that the state knows and of others, and what manifests ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sharectl.model.export_names import key, outer_keys
from sharectl.model.kinds import Kind
from sharectl.planner.records import share_server_id_of
from sharectl.state.rows import share_spec_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sharectl.manifests.desired import Desired
    from sharectl.model.kinds import Address
    from sharectl.model.observed import ObservedShare
    from sharectl.model.records import Record
    from sharectl.model.specs import ShareSpec
    from sharectl.planner.observed import Observed

Server = tuple[str, str | None]
"""A backend, and the share server there by its address, or by its id where the state does not know it; None for its own server."""


class Holder(NamedTuple):
    """Who has a name, or asks for it: a share by its address, or what a backend holds by its id there; `is_asked_for` by a manifest."""

    name: str
    address: Address | None
    backend_id: str
    is_asked_for: bool


class ExportNames:
    """The names of all exports of the backends, of those that the state knows and of others, and those that manifests ask for."""

    def __init__(
        self,
        desired: Desired,
        records: Mapping[Address, Record],
        observed: Observed,
        known_ids: Collection[str],
        servers: Mapping[str, Address],
    ) -> None:
        """Look through everything once. Linear; `servers` are the recorded share servers by resource id."""
        self._desired = desired
        self._observed = observed
        self._servers = servers
        self._holders: dict[tuple[Server, str], list[Holder]] = {}
        self._below: dict[tuple[Server, str], list[Holder]] = {}
        for address, record in records.items():
            if record.kind == Kind.SHARE:
                self._add_recorded(address, record)
        for backend, seen in observed.items():
            unknown = (share for resource_id, share in (seen.shares or {}).items() if resource_id not in known_ids)
            for share in (*seen.unmanaged, *unknown):
                if share.export_name is not None and share.trashed_at is None:
                    self._add(
                        (backend, self._server(share.share_server_id)),
                        share.export_name,
                        f"{share.backend_id}, which this state does not know,",
                    )

    def in_the_way(self, address: Address, server: Server, spec: ShareSpec) -> Holder | None:
        """Return who keeps the share from being exported under its name; a name of its own gives way, where nobody has asked for the other."""
        wanted = key(exported_as(spec))
        found = [*self._holders.get((server, wanted), ()), *self._below.get((server, wanted), ())]
        for outer in outer_keys(exported_as(spec)):
            found += self._holders.get((server, outer), ())
        is_free = spec.export_name is None
        return next((each for each in found if each.address != address and (each.is_asked_for or not is_free)), None)

    def take(self, address: Address, server: Server, spec: ShareSpec) -> None:
        """Count a name as taken by a share of this plan."""
        self._add(server, exported_as(spec), "", address, is_asked_for=spec.export_name is not None)

    def server_of(self, record: Record) -> Server:
        """Return the server that exports a recorded share."""
        return record.backend or "", self._server(share_server_id_of(record))

    def _server(self, resource_id: str | None) -> str | None:
        return None if resource_id is None else self._servers.get(resource_id, resource_id)

    def _add_recorded(self, address: Address, record: Record) -> None:
        """Take in the name that a share has, as listed or else as recorded, and the one that its manifest asks for."""
        spec, there = share_spec_of(record), listed(self._observed, record)
        server = self.server_of(record)
        name = exported_as(spec) if there is None or there.export_name is None else there.export_name
        if there is None or there.trashed_at is None:
            self._add(server, name, "", address, is_asked_for=spec.export_name is not None)
        if address in self._desired.digests:
            wanted = self._desired.share(address)
            if wanted.export_name is not None and key(wanted.export_name) != key(name):
                self._add(server, wanted.export_name, "", address, is_asked_for=True)

    def _add(
        self, server: Server, name: str, backend_id: str, address: Address | None = None, *, is_asked_for: bool = False
    ) -> None:
        holder = Holder(name, address, backend_id, is_asked_for)
        self._holders.setdefault((server, key(name)), []).append(holder)
        for outer in outer_keys(name):
            self._below.setdefault((server, outer), []).append(holder)


def exported_as(spec: ShareSpec) -> str:
    """Return the name under which clients are to see the share."""
    return spec.name if spec.export_name is None else spec.export_name


def listed(observed: Observed, record: Record) -> ObservedShare | None:
    """Return a recorded share as its backend lists it now; None where nobody looked."""
    seen = observed.get(record.backend or "")
    return None if seen is None or seen.shares is None else seen.shares.get(record.resource_id)
