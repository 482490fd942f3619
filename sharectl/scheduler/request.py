"""Requests for a place, the traits that requests of one share type have in common, and the sizes that the type allows."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.diagnostics import Diagnostic, error
from sharectl.model.frozen import NamedTuple, dataclass, field
from sharectl.model.quantities import GIB
from sharectl.model.specs import NO_HINTS, SchedulerHints
from sharectl.scheduler.extra_specs import Requirement, effective_specs, requirements_of, uses_thin_logic
from sharectl.scheduler.values import format_gib

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.model.specs import ShareSpec, ShareTypeSpec


SERVER_MODE_SPEC: Final = "driver_handles_share_servers"
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Operation(StrEnum):
    """What the place is for."""

    CREATE = "create"
    REPLICA = "replica"
    EXTEND = "extend"
    MANAGE = "manage"
    MIGRATE = "migrate"


class PlacedShare(NamedTuple):
    """A share that has its place already; `host` is `backend#pool`."""

    id: str
    host: str
    size_gib: float


@dataclass(frozen=True, slots=True)
class Retry:
    """Earlier attempts at the same request: how many, and on which hosts."""

    attempts: int
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """A share that needs a place. `size_gib` is the whole size, also of an extension (whose growth is up to `new_size_gib`).

    Hints name shares by the ids under which they were placed. `target_host` is the one pool that an extension, an adoption or a
    migration is about. `snapshot_host` is where the source snapshot's share is, `active_replica_host` where the active replica is.
    `query` is the JSON filter's. `server_mode` is the `driver_handles_share_servers` to ask for unless the extra specs do. `facts` are further values that pool functions may read as `share.NAME`.
    `unfit` are the backends whose drivers would refuse the share, with the reason of each.
    """

    id: str
    size_gib: float
    share_proto: str | None = None
    extra_specs: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    operation: Operation = Operation.CREATE
    availability_zone: str | None = None
    share_network: str | None = None
    hints: SchedulerHints = NO_HINTS
    is_admin: bool = True
    snapshot_id: str | None = None
    snapshot_host: str | None = None
    snapshot_availability_zone: str | None = None
    active_replica_host: str | None = None
    all_replica_hosts: tuple[str, ...] = ()
    retry: Retry | None = None
    target_host: str | None = None
    new_size_gib: float | None = None
    query: str | None = None
    group_specs: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    server_mode: bool | None = None
    facts: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    unfit: Mapping[str, str] = field(default_factory=lambda: _NOTHING)

    @property
    def needed_gib(self) -> float:
        """What a pool must have room for: the growth of an extension, else the size."""
        if self.operation is Operation.EXTEND and self.new_size_gib is not None:
            return self.new_size_gib - self.size_gib
        return self.size_gib


class Reserve(StrEnum):
    """Which of a pool's three reserved percentages holds for a request."""

    SHARE = "reserved_percentage"
    SNAPSHOT = "reserved_snapshot_percentage"
    EXTEND = "reserved_share_extend_percentage"


@dataclass(frozen=True, slots=True, eq=False)
class Traits:
    """What filters and weighers ask of a request apart from its size and hints: shared by all requests of one class."""

    specs: Mapping[str, str]
    requirements: tuple[Requirement, ...]
    needs_qos_type: bool
    thin_logic: bool
    reserve: Reserve
    availability_zone: str | None
    availability_zones: frozenset[str]
    replication_type: str | None
    replication_domain: str | None


class Query(NamedTuple):
    """A request with the traits of its class: what a filter or weigher is given."""

    request: Request
    traits: Traits
    size_gib: float


def traits_of(request: Request, replication_domain: str | None) -> Traits:
    """Return the traits of the request; `replication_domain` is that of its snapshot's or active replica's pool."""
    pinned = request.active_replica_host is not None or request.snapshot_host is not None
    wanted = request.extra_specs
    if request.server_mode is not None and SERVER_MODE_SPEC not in wanted:
        wanted = {**wanted, SERVER_MODE_SPEC: str(request.server_mode)}
    specs = effective_specs(wanted, request.share_proto, pinned=pinned)
    reserve = Reserve.SHARE
    if request.operation is Operation.EXTEND:
        reserve = Reserve.EXTEND
    elif request.snapshot_id is not None:
        reserve = Reserve.SNAPSHOT
    zones = (zone.strip() for zone in specs.get("availability_zones", "").split(","))
    return Traits(
        specs=specs,
        requirements=requirements_of(specs),
        needs_qos_type=bool(specs.get("default_qos_type")),
        thin_logic=uses_thin_logic(specs),
        reserve=reserve,
        availability_zone=request.availability_zone,
        availability_zones=frozenset(zone for zone in zones if zone),
        replication_type=specs.get("replication_type"),
        replication_domain=replication_domain,
    )


def request_from_share(
    spec: ShareSpec,
    share_type: ShareTypeSpec | None,
    *,
    snapshot_host: str | None = None,
    snapshot_availability_zone: str | None = None,
) -> Request:
    """Return the request to create the share of a manifest.

    A share with a share network goes to backends that make share servers, one without to backends that do not; an explicit
    `driver_handles_share_servers` of the type wins. Hints keep the names of shares: pass the same names as ids of placed shares.
    """
    return Request(
        id=spec.name,
        size_gib=spec.size_bytes / GIB,
        share_proto=str(spec.protocol),
        extra_specs=share_type.extra_specs if share_type is not None else _NOTHING,
        server_mode=spec.share_network is not None,
        availability_zone=spec.availability_zone,
        share_network=spec.share_network,
        hints=spec.hints,
        snapshot_id=spec.source_snapshot,
        snapshot_host=snapshot_host,
        snapshot_availability_zone=snapshot_availability_zone,
    )


MIN_SIZE: Final = "provisioning:min_share_size"
MAX_SIZE: Final = "provisioning:max_share_size"
MAX_EXTEND_SIZE: Final = "provisioning:max_share_extend_size"


def size_limit_diagnostics(request: Request) -> tuple[Diagnostic, ...]:
    """Return an error for each size limit (in GiB) of the type that the request breaks, and for each that is not a number.

    An extension is held against `max_share_extend_size` where the type has it, else against `max_share_size`.
    """
    specs = request.extra_specs
    extends = request.operation is Operation.EXTEND
    size_gib = request.new_size_gib if extends and request.new_size_gib is not None else request.size_gib
    found = []
    if not extends and MIN_SIZE in specs:
        found.append(_check(request, MIN_SIZE, size_gib, least=True))
    largest = MAX_EXTEND_SIZE if extends and MAX_EXTEND_SIZE in specs else MAX_SIZE
    if largest in specs:
        found.append(_check(request, largest, size_gib, least=False))
    return tuple(diagnostic for diagnostic in found if diagnostic is not None)


def _check(request: Request, key: str, size_gib: float, *, least: bool) -> Diagnostic | None:
    text = request.extra_specs[key]
    try:
        limit_gib = float(text)
    except ValueError:
        return error(
            "scheduler.size-limit",
            f"the extra spec {key} is {text!r}, which is not a number of GiB",
            remedy="give the limit as a whole number of GiB, such as 100",
        )
    if (size_gib >= limit_gib) if least else (size_gib <= limit_gib):
        return None
    bound, other = ("at least", "larger") if least else ("at most", "smaller")
    return error(
        "scheduler.size-limit",
        f"share {request.id} is {format_gib(size_gib)}; its type allows {bound} {format_gib(limit_gib)}",
        detail=f"The extra spec {key} sets the limit.",
        remedy=f"ask for a {other} share, or change the share type",
    )
