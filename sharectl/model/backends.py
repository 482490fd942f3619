"""Backends: storage systems that shares are placed on."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sharectl.model.codec import Spec
from sharectl.model.fields import Policy, Unit, ruled
from sharectl.model.frozen import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Mapping


class UnusedShareServers(StrEnum):
    """What becomes of a share server when its last share is gone."""

    DELETE = "delete"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class CapacityPolicy:
    """What the operator adds to a backend's own report of capacity. Percentages are of the total; None keeps the driver's value."""

    reserved_percentage: float | None = None
    reserved_snapshot_percentage: float | None = None
    reserved_share_extend_percentage: float | None = None
    max_over_subscription_ratio: float | None = None
    thin_provisioning: bool | None = None


@dataclass(frozen=True, slots=True)
class NetworkPluginSpec:
    """Which network service gives the share servers of a backend their addresses, with the service's own settings."""

    plugin: str
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BackendSpec(Spec):
    """A storage system that sharectl may place shares on.

    `lanes` is how many driver calls may run on it at once. `config` belongs to the driver; secrets in it are
    references (`{env: NAME}`, `{file: PATH}`), resolved only when the driver is opened. With `share_servers` it makes a server
    for each share network, at most `max_share_servers` of them, whose addresses come from `network`. `ignore` holds patterns of what sharectl leaves alone there (see `ignoring.IgnoreList`).
    """

    name: str = field(metadata=ruled(Policy.IDENTITY))
    driver: str
    config: Mapping[str, Any]
    lanes: int = field(default=4, metadata=ruled(minimum=1))
    enabled: bool = True
    share_servers: bool = False
    availability_zone: str | None = None
    capacity: CapacityPolicy = CapacityPolicy()
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    step_timeout_seconds: float = field(default=300.0, metadata=ruled(written="stepTimeout", unit=Unit.DURATION))
    list_timeout_seconds: float = field(default=120.0, metadata=ruled(written="listTimeout", unit=Unit.DURATION))
    recovery_timeout_seconds: float = field(default=60.0, metadata=ruled(written="recoveryTimeout", unit=Unit.DURATION))
    attempts: int = field(default=4, metadata=ruled(minimum=1))
    network: NetworkPluginSpec | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    max_share_servers: int | None = field(default=None, metadata=ruled(minimum=0))
    unused_share_servers: str = field(default=UnusedShareServers.DELETE, metadata=ruled(choices=UnusedShareServers))
    ignore: Mapping[str, Any] = field(default_factory=dict)
