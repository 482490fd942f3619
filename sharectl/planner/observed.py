"""What the backends report, as the planner takes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.drivers.base import Capability
    from sharectl.model.checks import ConfigProblem
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.networks import NetworkAllocation
    from sharectl.model.observed import BackendReport, ObservedShare, ObservedShareServer, ObservedSnapshot

    Observed = Mapping[str, "BackendObservation"]
    """By backend's name; a backend that was not asked is not in it."""


@dataclass(frozen=True, slots=True)
class BackendObservation:
    """One backend as it answered.

    `shares` and `snapshots` are by resource id, and None where they are unknown: not asked, not answered, or not whole.
    `unmanaged` and `unmanaged_snapshots` are the shares on the backend that sharectl has not made. `error` says why something is unknown. `asked_ids` are the
    resource ids that were asked for, None where everything was: what was not asked for is not missing. `all_snapshots` tells that the
    snapshots are all of them even so. `servers` is what is known of its share servers, None where it has none by its manifest.
    """

    backend: str
    capabilities: frozenset[Capability]
    report: BackendReport | None = None
    shares: Mapping[str, ObservedShare] | None = None
    snapshots: Mapping[str, ObservedSnapshot] | None = None
    unmanaged: tuple[ObservedShare, ...] = field(default=())
    clones_within: Literal["pool", "backend"] = "backend"
    error: str | None = None
    asked_ids: frozenset[str] | None = None
    all_snapshots: bool = False
    unmanaged_snapshots: tuple[ObservedSnapshot, ...] = ()
    servers: ServerObservation | None = None
    missing_secrets: tuple[ConfigProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerObservation:
    """What a backend with share servers, and the network service that they get their addresses from, answered.

    `servers` (by resource id) and `allocations` (by allocation id) are None where they are unknown; `network_error` says why the
    latter are. `address_count` is how many addresses a new server needs. `findings` are what would keep a server from being made
    on a share network, by the network's name. `doubled` are allocation ids under which the network service holds several addresses,
    after a request that was given up and carried out all the same.
    """

    servers: Mapping[str, ObservedShareServer] | None = None
    unmanaged: tuple[ObservedShareServer, ...] = ()
    allocations: Mapping[str, NetworkAllocation] | None = None
    network_error: str | None = None
    address_count: int = 1
    findings: Mapping[str, tuple[Diagnostic, ...]] = field(default_factory=dict)
    doubled: frozenset[str] = frozenset()
