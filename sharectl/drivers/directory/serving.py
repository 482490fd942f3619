"""How a share is served: its access, the name and the protocols of its export."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sharectl.drivers.directory import names
from sharectl.drivers.directory.access import export_name_problem, require_exportable
from sharectl.drivers.directory.whereabouts import opened_share

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sharectl.drivers.directory.access import AccessFiles
    from sharectl.drivers.directory.reservations import Reservations
    from sharectl.drivers.directory.storage import Storage
    from sharectl.model.access import AccessRule
    from sharectl.model.requests import RuleStatus, ShareRef


class Serving:
    """The exports of the shares of one backend."""

    def __init__(self, storage: Storage, access: AccessFiles, reservations: Reservations) -> None:
        """Write fragments through `access`, for shares under the names that `reservations` gives them."""
        self._storage = storage
        self._access = access
        self._reservations = reservations

    def apply_access(self, share: ShareRef, rules: Collection[AccessRule]) -> Mapping[AccessRule, RuleStatus]:
        """Make `rules` the access of the share; one that was taken over gets the protocol that its first rules are for."""
        with opened_share(self._storage, share.resource_id) as (metadata, _, record):
            exported = record if record.protocol is not None else replace(record, protocol=share.protocol)
            if exported is not record:
                metadata.shares.write(exported)
            return self._access.apply(metadata, exported, rules)

    def rename_export(self, share: ShareRef, export_name: str) -> None:
        """Give the share another name for Windows clients, with the rules that are in force.

        Cut short before the record is written, the share has its old name; after, the old one stays reserved for it, and the next
        change of its access writes the fragment.
        """
        with opened_share(self._storage, share.resource_id) as (metadata, _, record):
            protocol = record.protocol or share.protocol
            require_exportable(export_name_problem(export_name, protocol))
            require_exportable(self._access.problem(protocol, record.pool, record.directory, export_name))
            rules = self._access.rules(metadata, record)
            renamed = replace(record, export_name=export_name)
            with self._storage.locked(metadata):
                names.claim_export_name(
                    metadata,
                    record.resource_id,
                    export_name,
                    lambda holder: self._reservations.gives_up(metadata, holder),
                )
            metadata.shares.write(renamed)
            if record.protocol is not None and renamed != record:
                self._access.apply(metadata, renamed, rules)
            if not names.is_same_export(record.export_name, export_name):
                with self._storage.locked(metadata):
                    names.release_export_name(metadata, record.resource_id, record.export_name)

    def change_protocols(self, share: ShareRef, protocol: str) -> None:
        """Export the share over `protocol` from now on; what goes is withdrawn first, and comes with the next access rules."""
        with opened_share(self._storage, share.resource_id) as (metadata, _, record):
            require_exportable(self._access.problem(protocol, record.pool, record.directory, record.export_name))
            if record.protocol != protocol:
                self._access.withdraw_protocols(metadata, record, protocol)
                metadata.shares.write(replace(record, protocol=protocol))
