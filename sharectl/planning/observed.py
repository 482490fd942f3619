"""What the backends report, as the planner takes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.drivers.base import BackendReport, Capability, ObservedShare, ObservedSnapshot

    Observed = Mapping[str, "BackendObservation"]
    """By backend's name; a backend that was not asked is not in it."""


@dataclass(frozen=True, slots=True)
class BackendObservation:
    """One backend as it answered.

    `shares` and `snapshots` are by resource id, and None where they are unknown: not asked, not answered, or not whole.
    `unmanaged` and `unmanaged_snapshots` are the shares on the backend that sharectl has not made. `error` says why something is unknown. `asked_ids` are the
    resource ids that were asked for, None where everything was: what was not asked for is not missing.
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
    unmanaged_snapshots: tuple[ObservedSnapshot, ...] = ()
