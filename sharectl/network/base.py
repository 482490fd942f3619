"""The contract of a network plugin: allocate addresses for share servers, give them back, list them in bulk.

As Manila's network API (`manila/network/__init__.py`), with one difference: an allocation is asked for under an id that the
client makes, so that asking twice after a crash gives the same answer and nothing leaks. Calls may come from several threads at
once, never twice at once for the same allocation. `sharectl.network.testing` holds the suite that every plugin must pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.networks import AllocationRequest, NetworkAllocation
    from sharectl.model.share_networks import ShareNetworkSubnet

    SecretResolver = Callable[[Mapping[str, str]], str]


class NetworkPlugin(Protocol):
    """What every network plugin meets; a plugin is opened for one backend and sees the allocations of that backend alone.

    Any method may raise the errors at the end of this module, and no others.
    """

    def allocate(self, request: AllocationRequest) -> NetworkAllocation:
        """Take an address of the subnet for the share server, or return the one taken under this id before.

        Raises NetworkExhaustedError where no address is free, NetworkNotFoundError where the network is not there.
        """
        ...

    def deallocate(self, allocation_id: str, share_server_id: str) -> None:
        """Give back whatever was taken under this id, even if half-made; it is not an error if it is already gone."""
        ...

    def list_allocations(self, allocation_ids: Collection[str] | None = None) -> Sequence[NetworkAllocation]:
        """Return all that sharectl holds here for this backend, or just these; whole, or an error.

        Only what really exists is listed: an address that was removed behind sharectl's back is missing. After an interrupted call
        an id may be listed twice, the later one last; `allocate` under that id leaves one.
        """
        ...

    def check(self, subnet: ShareNetworkSubnet, addresses: int = 1) -> Sequence[Diagnostic]:
        """Say what would prevent `addresses` more allocations in the subnet, before any is made.

        The findings have codes under `network.`, and neither address nor source, which the caller knows. Nothing is changed.
        Raises NetworkUnavailableError where the network service cannot be asked.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


@runtime_checkable
class DescribesSubnets(Protocol):
    """A plugin whose service knows more of a subnet than its manifest says."""

    def described(self, subnet: ShareNetworkSubnet) -> ShareNetworkSubnet:
        """Return the subnet with the network type, the segmentation id and the MTU that the service has for it; what it does not know is left out.

        It was found right by `check` before.
        """
        ...


@dataclass(frozen=True, slots=True)
class AddressClaim:
    """An address that is taken: within `scope` (a network in which addresses must be unique) no two claims have the same address."""

    scope: str
    backend: str
    allocation: NetworkAllocation


class AllocationLedger(Protocol):
    """Who holds which address, for plugins whose network service keeps no owner (standalone, Nova network).

    One ledger is shared by all backends and all processes that work on one state; each call is atomic, and durable when it returns.
    """

    def claim(self, claim: AddressClaim) -> AddressClaim:
        """Record the claim, and return the one that stands under its allocation's id: this, or an earlier one, unchanged.

        Raises AddressTakenError where another allocation has the address within the scope.
        """
        ...

    def release(self, allocation_id: str) -> None:
        """Remove the claim under this id; it is not an error if there is none."""
        ...

    def find(self, allocation_id: str) -> AddressClaim | None:
        """Return the claim under this id, whichever backend's it is."""
        ...

    def claims(self, backend: str) -> Sequence[AddressClaim]:
        """Return all claims of a backend."""
        ...

    def taken(self, scope: str) -> Collection[str]:
        """Return the addresses that are claimed within the scope, whichever backend claimed them."""
        ...


@dataclass(frozen=True, slots=True)
class NetworkEnvironment:
    """What a plugin may use of the world around it.

    `backend` is the name of the Backend whose share servers it serves. `owner` is the lineage of the state: with the backend's name
    it marks what belongs to sharectl in a network service that others use too. Relative paths are under `base_directory`. `resolve_secret` returns
    the secret that `{env: NAME}` or `{file: PATH}` names, at the moment it is needed, or raises an error for people.
    """

    backend: str
    owner: str
    base_directory: str
    resolve_secret: SecretResolver
    ledger: AllocationLedger


class NetworkError(Exception):
    """The network service refused, for good: asking again will not help. `str()` is one line for people, without secrets."""


class NetworkTransientError(NetworkError):
    """The network service could not now, and may later; asked again after `retry_after_seconds`, or after the usual backoff."""

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        """Say what happened."""
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class NetworkUnavailableError(NetworkTransientError):
    """The network service cannot be reached or read: what it holds is unknown."""


class NetworkExhaustedError(NetworkError):
    """No address is left, or the quota is used up; another subnet may have some."""


class NetworkNotFoundError(NetworkError):
    """The network or subnet that the manifest names is not there."""


class AddressTakenError(NetworkError):
    """Another allocation has this address within the scope; a plugin takes the next one and nobody above it sees this."""

    def __init__(self, scope: str, ip_address: str) -> None:
        """Say which address of which scope."""
        super().__init__(f"{ip_address} is taken already in {scope}")
        self.scope = scope
        self.ip_address = ip_address
