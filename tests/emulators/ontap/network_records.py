"""What the array keeps of networks: IPspaces, broadcast domains, ports, and what SVMs have on them."""

from __future__ import annotations

from dataclasses import dataclass

from tests.emulators.ontap.world import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Ipspace(Record):
    """One IPspace: addresses are unique within it."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BroadcastDomain(Record):
    """Ports that reach one another; the MTU of its ports is its own."""

    name: str
    ipspace: str
    mtu: int = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class Port(Record):
    """A port of a node: a physical one, or a VLAN on another."""

    name: str
    node: str
    kind: str = "physical"
    domain: str | None = None
    base: str | None = None
    tag: int | None = None
    enabled: bool = True
    has_link: bool = True
    speed: int = 10_000
    mac_address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePolicy(Record):
    """Which services a LIF offers; one of an SVM, or of the cluster where `svm` is None."""

    name: str
    ipspace: str
    services: tuple[str, ...]
    svm: str | None = None
    is_built_in: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lif(Record):
    """An address of an SVM, or of the cluster where `svm` is None, at a port."""

    name: str
    ipspace: str
    address: str
    length: int
    home_port: str
    port: str
    policy: str
    svm: str | None = None
    enabled: bool = True
    up_at: float = 0.0
    """When it first comes up, by the array's clock."""
    auto_revert: bool = True
    failover: str = "home_port_only"
    subnet: str | None = None
    ddns_enabled: bool = False
    dns_zone: str = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Record):
    """Where an SVM sends what is for a destination."""

    ipspace: str
    destination: str
    length: int
    gateway: str
    metric: int = 20
    svm: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet(Record):
    """A pool of addresses that LIFs may be given."""

    name: str
    ipspace: str
    domain: str
    address: str
    length: int
    gateway: str | None = None
    ranges: tuple[tuple[str, str], ...] = ()
