"""Filters and weighers by name: the built-in ones, and third parties' by entry points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sharectl.diagnostics import did_you_mean, error
from sharectl.scheduler import affinity, filters, weighers
from sharectl.scheduler.errors import SchedulerConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.model import SchedulerSettings
    from sharectl.scheduler.filters import Filter
    from sharectl.scheduler.weighers import Weigher

    Named = TypeVar("Named")

FILTER_GROUP: Final = "sharectl.scheduler.filters"
WEIGHER_GROUP: Final = "sharectl.scheduler.weighers"

DEFAULT_FILTERS: Final = (
    "OnlyHostFilter",
    "AvailabilityZoneFilter",
    "CapacityFilter",
    "CapabilitiesFilter",
    "DriverFilter",
    "ShareReplicationFilter",
    "CreateFromSnapshotFilter",
    "AffinityFilter",
    "AntiAffinityFilter",
)
DEFAULT_EXTEND_FILTERS: Final = ("CapacityFilter", "DriverFilter")
DEFAULT_GROUP_FILTERS: Final = ("AvailabilityZoneFilter", "ConsistentSnapshotFilter")
DEFAULT_WEIGHERS: Final = ("CapacityWeigher", "GoodnessWeigher", "HostAffinityWeigher")

BUILT_IN_FILTERS: Final[Mapping[str, Filter]] = {
    each.name: each
    for each in (
        filters.OnlyHostFilter(),
        filters.AvailabilityZoneFilter(),
        filters.CapacityFilter(),
        filters.CapabilitiesFilter(),
        filters.DriverFilter(),
        filters.ShareReplicationFilter(),
        filters.CreateFromSnapshotFilter(),
        affinity.AffinityFilter(),
        affinity.AntiAffinityFilter(),
        affinity.JsonFilter(),
        filters.RetryFilter(),
        filters.IgnoreAttemptedHostsFilter(),
        filters.ConsistentSnapshotFilter(),
    )
}
BUILT_IN_WEIGHERS: Final[Mapping[str, Weigher]] = {
    each.name: each
    for each in (
        weighers.CapacityWeigher(),
        weighers.GoodnessWeigher(),
        weighers.HostAffinityWeigher(),
        weighers.PoolWeigher(),
    )
}
_MULTIPLIER_OPTIONS: Final[Mapping[str, str]] = {
    "capacity_weight_multiplier": "CapacityWeigher",
    "pool_weight_multiplier": "PoolWeigher",
}


@dataclass(frozen=True, slots=True)
class Rules:
    """The chosen filters and weighers in their order, with the number that each weigher's values are multiplied by."""

    filters: tuple[Filter, ...]
    extend_filters: tuple[Filter, ...]
    group_filters: tuple[Filter, ...]
    weighers: tuple[Weigher, ...]
    multipliers: Mapping[str, float]


def rules_from(settings: SchedulerSettings) -> Rules:
    """Return the rules that the settings choose; raises SchedulerConfigError for an unknown name or a bad number.

    `settings.multipliers` takes the names of weighers, and Manila's `capacity_weight_multiplier`, `pool_weight_multiplier`;
    `settings.options` may hold `extend_filters` and `group_filters`, lists of names.
    """
    names = DEFAULT_WEIGHERS if settings.weighers is None else settings.weighers
    chosen = tuple(_found(name, BUILT_IN_WEIGHERS, WEIGHER_GROUP, "weigher") for name in names)
    return Rules(
        filters=_filters(settings.filters, DEFAULT_FILTERS),
        extend_filters=_filters(settings.options.get("extend_filters"), DEFAULT_EXTEND_FILTERS),
        group_filters=_filters(settings.options.get("group_filters"), DEFAULT_GROUP_FILTERS),
        weighers=chosen,
        multipliers=_multipliers(settings.multipliers, [weigher.name for weigher in chosen]),
    )


def _filters(names: Sequence[str] | None, default: Sequence[str]) -> tuple[Filter, ...]:
    return tuple(
        _found(name, BUILT_IN_FILTERS, FILTER_GROUP, "filter") for name in (default if names is None else names)
    )


def _multipliers(given: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    multipliers = dict.fromkeys(names, 1.0)
    for key, value in given.items():
        name = _MULTIPLIER_OPTIONS.get(key, key)
        if name not in multipliers:
            if name in BUILT_IN_WEIGHERS:
                continue
            known = sorted({*multipliers, *_MULTIPLIER_OPTIONS})
            raise SchedulerConfigError(
                error(
                    "scheduler.unknown-multiplier",
                    f"there is no weigher {key!r} to multiply",
                    remedy=did_you_mean(key, known) or f"name one of {', '.join(known)}",
                )
            )
        multipliers[name] = float(value)
    return multipliers


def _found(name: str, built_in: Mapping[str, Named], group: str, what: str) -> Named:
    if name in built_in:
        return built_in[name]
    offered = _entry_points(group)
    if name in offered:
        found: Named = _loaded(name, offered[name], group, what)
        return found
    known = sorted({*built_in, *offered})
    raise SchedulerConfigError(
        error(
            f"scheduler.unknown-{what}",
            f"there is no {what} {name!r}",
            detail=f"Known: {', '.join(known)}.",
            remedy=did_you_mean(name, known) or f"install the package that brings it (entry point group {group})",
        )
    )


def _entry_points(group: str) -> dict[str, Any]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - scanned only for a name that is not built in

    return {point.name: point for point in entry_points(group=group)}


def _loaded(name: str, point: Any, group: str, what: str) -> Any:  # noqa: ANN401 - any package may offer anything
    try:
        found = point.load()
    except Exception as problem:
        raise SchedulerConfigError(
            error(
                f"scheduler.broken-{what}",
                f"the {what} {name!r} cannot be loaded: {problem}",
                detail=f"The entry point {point.value} of the group {group} is broken.",
                remedy="repair or remove the package that brings it",
            )
        ) from problem
    return found() if isinstance(found, type) else found
