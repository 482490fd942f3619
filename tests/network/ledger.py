"""A ledger of allocations in memory."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sharectl.network.base import AddressClaim, AddressTakenError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


class MemoryLedger:
    """Meets AllocationLedger."""

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._claims: dict[str, AddressClaim] = {}
        self._holders: dict[tuple[str, str], str] = {}

    def claim(self, claim: AddressClaim) -> AddressClaim:
        """Record the claim; see AllocationLedger."""
        allocation_id, address = claim.allocation.allocation_id, claim.allocation.ip_address
        with self._lock:
            if allocation_id in self._claims:
                return self._claims[allocation_id]
            if (claim.scope, address) in self._holders:
                raise AddressTakenError(claim.scope, address)
            self._claims[allocation_id] = claim
            self._holders[claim.scope, address] = allocation_id
            return claim

    def release(self, allocation_id: str) -> None:
        """Strike out the claim; see AllocationLedger."""
        with self._lock:
            claim = self._claims.pop(allocation_id, None)
            if claim is not None:
                del self._holders[claim.scope, claim.allocation.ip_address]

    def find(self, allocation_id: str) -> AddressClaim | None:
        """Return the claim; see AllocationLedger."""
        return self._claims.get(allocation_id)

    def claims(self, backend: str) -> Sequence[AddressClaim]:
        """Return the claims of a backend; see AllocationLedger."""
        with self._lock:
            return [claim for claim in self._claims.values() if claim.backend == backend]

    def taken(self, scope: str) -> Collection[str]:
        """Return the claimed addresses; see AllocationLedger."""
        with self._lock:
            return [address for holder_scope, address in self._holders if holder_scope == scope]
