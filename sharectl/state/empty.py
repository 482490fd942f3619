"""What a state that is not there yet reads as: nothing, without a lineage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.model.records import StateView

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sharectl.model.kinds import Address, Kind
    from sharectl.model.records import HistoryEntry, OperationRecord, Record, RuleRecord, RunRecord


class EmptyReader:
    """A StateReader that finds nothing."""

    def view(self, addresses: Collection[Address] | None = None) -> StateView:  # noqa: ARG002 - none is there
        """See StateReader."""
        return StateView("", 0, {}, ())

    def record(self, address: Address) -> Record | None:  # noqa: ARG002 - as above
        """See StateReader."""
        return None

    def find(
        self,
        *,
        kind: Kind | None = None,  # noqa: ARG002 - as above
        backend: str | None = None,  # noqa: ARG002 - as above
        after: Address = "",  # noqa: ARG002 - as above
        limit: int | None = None,  # noqa: ARG002 - as above
    ) -> Mapping[Address, Record]:
        """See StateReader."""
        return {}

    def with_ids(self, resource_ids: Collection[str]) -> Mapping[Address, Record]:  # noqa: ARG002 - as above
        """See StateReader."""
        return {}

    def children(self, record: Record) -> Mapping[Address, Record]:  # noqa: ARG002 - as above
        """See StateReader."""
        return {}

    def addresses(self, prefix: str = "", *, limit: int | None = None) -> Sequence[Address]:  # noqa: ARG002 - as above
        """See StateReader."""
        return ()

    def addresses_like(self, address: Address) -> Sequence[Address]:  # noqa: ARG002 - as above
        """See StateReader."""
        return ()

    def operations(
        self,
        *,
        address: Address | None = None,  # noqa: ARG002 - as above
        backend: str | None = None,  # noqa: ARG002 - as above
        resource_id: str | None = None,  # noqa: ARG002 - as above
    ) -> tuple[OperationRecord, ...]:
        """See StateReader."""
        return ()

    def rules(self, share_addresses: Collection[Address] | None = None) -> Mapping[Address, tuple[RuleRecord, ...]]:  # noqa: ARG002 - as above
        """See StateReader."""
        return {}

    def count_rules(self) -> int:
        """See StateReader."""
        return 0

    def shares_of_clients(
        self,
        access_type: str,  # noqa: ARG002 - as above
        names: Collection[str] = (),  # noqa: ARG002 - as above
        beginnings: Collection[str] = (),  # noqa: ARG002 - as above
    ) -> Sequence[Address]:
        """See StateReader."""
        return ()

    def share_addresses(
        self,
        *,
        holding: Collection[bytes] = (),  # noqa: ARG002 - as above
        backends: Collection[str] = (),  # noqa: ARG002 - as above
        refused_or_named: str | None = None,  # noqa: ARG002 - as above
        largest_first: bool = False,  # noqa: ARG002 - as above
        limit: int | None = None,  # noqa: ARG002 - as above
    ) -> Sequence[Address]:
        """See StateReader."""
        return ()

    def share_sizes(self) -> Sequence[tuple[Address, str, int | None]]:
        """See StateReader."""
        return ()

    def client_names(self, access_type: str) -> Sequence[str]:  # noqa: ARG002 - as above
        """See StateReader."""
        return ()

    def runs(self, prefix: str = "", *, limit: int | None = None) -> Sequence[RunRecord]:  # noqa: ARG002 - as above
        """See StateReader."""
        return ()

    def failures(self, *, limit: int) -> Mapping[Address, HistoryEntry]:  # noqa: ARG002 - as above
        """See StateReader."""
        return {}
