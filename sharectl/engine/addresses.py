"""Who holds which address, kept in the state: a row for each, whose key is the address itself, so that it is never given out twice."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sharectl.model.kinds import Kind, address_of
from sharectl.model.networks import NetworkAllocation
from sharectl.model.records import PutResource, Record, RemoveResource
from sharectl.network.base import AddressClaim, AddressTakenError, NetworkError
from sharectl.planner.records import bare_record
from sharectl.state.contract import VersionConflictError
from sharectl.state.rows import attributes_of, spec_object_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from sharectl.model.kinds import Address
    from sharectl.model.records import Change


class StateAddressLedger:
    """An AllocationLedger in the state: `network_allocation/SCOPE/ADDRESS`. Read once, when it is first asked, and kept current by its own changes.

    Runs beside this one may write meanwhile: what one of them has taken is found by its key, and the address counts as taken. What they
    give back is free for the next run.
    """

    def __init__(
        self, read: Callable[[], Mapping[Address, Record]], commit: Callable[[Sequence[Change]], None] | None = None
    ) -> None:
        """Read rows with `read`, which returns all of this kind; write with `commit`, or not at all."""
        self._read = read
        self._commit = commit
        self._mutex = threading.Lock()
        self._loaded = False
        self._claims: dict[str, tuple[AddressClaim, int]] = {}
        self._scopes: dict[str, set[str]] = {}

    def claim(self, claim: AddressClaim) -> AddressClaim:
        """See AllocationLedger."""
        with self._mutex:
            self._load()
            found = self._claims.get(claim.allocation.allocation_id)
            if found is not None:
                return found[0]
            taken = self._scopes.setdefault(claim.scope, set())
            ip_address = claim.allocation.ip_address
            if ip_address in taken:
                raise AddressTakenError(claim.scope, ip_address)
            try:
                self._write(PutResource(_row(claim), None))
            except VersionConflictError as error:
                taken.add(ip_address)
                raise AddressTakenError(claim.scope, ip_address) from error
            taken.add(ip_address)
            self._claims[claim.allocation.allocation_id] = claim, 1
            return claim

    def release(self, allocation_id: str) -> None:
        """See AllocationLedger."""
        with self._mutex:
            self._load()
            found = self._claims.get(allocation_id)
            if found is None:
                return
            claim, version = found
            self._write(RemoveResource(_address(claim), version))
            del self._claims[allocation_id]
            self._scopes[claim.scope].discard(claim.allocation.ip_address)

    def find(self, allocation_id: str) -> AddressClaim | None:
        """See AllocationLedger."""
        with self._mutex:
            self._load()
            found = self._claims.get(allocation_id)
            return None if found is None else found[0]

    def claims(self, backend: str) -> Sequence[AddressClaim]:
        """See AllocationLedger."""
        with self._mutex:
            self._load()
            return [claim for claim, _ in self._claims.values() if claim.backend == backend]

    def taken(self, scope: str) -> Collection[str]:
        """See AllocationLedger."""
        with self._mutex:
            self._load()
            return frozenset(self._scopes.get(scope, ()))

    def _load(self) -> None:
        if self._loaded:
            return
        for record in self._read().values():
            claim = _claim(record)
            self._claims[claim.allocation.allocation_id] = claim, record.version
            self._scopes.setdefault(claim.scope, set()).add(claim.allocation.ip_address)
        self._loaded = True

    def _write(self, change: Change) -> None:
        if self._commit is None:
            message = "addresses are taken and given back by an apply, which holds the state's lock"
            raise NetworkError(message)
        self._commit([change])


def _address(claim: AddressClaim) -> Address:
    return address_of(Kind.NETWORK_ALLOCATION, f"{claim.scope}/{claim.allocation.ip_address}")


def _row(claim: AddressClaim) -> Record:
    allocation = claim.allocation
    spec = {"scope": claim.scope}
    return bare_record(
        Kind.NETWORK_ALLOCATION,
        _address(claim),
        allocation.allocation_id,
        claim.backend,
        spec,
        allocation.as_plain(),
        version=1,
    )


def _claim(record: Record) -> AddressClaim:
    allocation = NetworkAllocation.from_plain(attributes_of(record))
    return AddressClaim(spec_object_of(record)["scope"], record.backend or "", allocation)
