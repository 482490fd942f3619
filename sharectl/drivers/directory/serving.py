"""How a share is served: its access, the name and the protocols of its export."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sharectl.drivers.directory import names
from sharectl.drivers.directory.access import export_name_problem, require_exportable
from sharectl.drivers.directory.whereabouts import opened_share

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sharectl.drivers.directory.access import AccessFiles
    from sharectl.drivers.directory.records import ShareRecord
    from sharectl.drivers.directory.reservations import Reservations
    from sharectl.drivers.directory.storage import Metadata, Storage
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
                metadata.shares.write(exported, guard=partial(self._storage.locked, metadata))
            statuses = self._access.apply(metadata, exported, rules)
            self._reservations.end_rename(metadata, exported)
            return statuses

    def rename_export(self, share: ShareRef, export_name: str) -> None:
        """Give the share another name for Windows clients, with the rules that are in force.

        Cut short anywhere, it has one of both names. The record says which and tells of the other, until that is released: by this call
        when it is repeated, by the next change of its access, or by whoever sweeps or wants the name.
        """
        with opened_share(self._storage, share.resource_id) as (metadata, pool, found):
            protocol = found.protocol or share.protocol
            require_exportable(export_name_problem(export_name, protocol))
            require_exportable(self._access.problem(protocol, found.pool, found.directory, export_name))
            with pool.workspace(found.resource_id):  # nobody else ends what is under way
                record = self._renamed(metadata, found)
                if record.export_name == export_name:
                    return
                rules = self._access.rules(metadata, record)
                with self._storage.locked(metadata):
                    names.require_free(
                        metadata, record.resource_id, export_name, partial(self._reservations.gives_up, metadata)
                    )
                    record = replace(record, former_export_name=export_name)
                    metadata.shares.write(record)  # before there is anything to be released
                    names.claim_export_name(metadata, record.resource_id, export_name)
                record = replace(record, export_name=export_name, former_export_name=record.export_name)
                metadata.shares.write(record, guard=partial(self._storage.locked, metadata))
                if record.protocol is not None:
                    self._access.apply(metadata, record, rules)
                self._reservations.end_rename(metadata, record)

    def _renamed(self, metadata: Metadata, found: ShareRecord) -> ShareRecord:
        """End a rename that was cut short, whatever has become of the section; return the record."""
        record = self._reservations.end_rename(metadata, found)
        if record.former_export_name is not None:
            self._access.apply(metadata, record, self._access.rules(metadata, record))
            record = self._reservations.end_rename(metadata, record)
        return record

    def change_protocols(self, share: ShareRef, protocol: str) -> None:
        """Export the share over `protocol` from now on; what goes is withdrawn first, and comes with the next access rules."""
        with opened_share(self._storage, share.resource_id) as (metadata, _, record):
            require_exportable(self._access.problem(protocol, record.pool, record.directory, record.export_name))
            if record.protocol != protocol:
                self._access.withdraw_protocols(metadata, record, protocol)
                guard = partial(self._storage.locked, metadata)
                metadata.shares.write(replace(record, protocol=protocol), guard=guard)
