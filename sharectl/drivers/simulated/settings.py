"""The configuration of a simulated backend, as the driver uses it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, Literal

from sharectl.drivers.base import Capability, DriverError
from sharectl.model.checks import ConfigProblem
from sharectl.model.frozen import dataclass
from sharectl.model.quantities import SIZE_HINT, SizeError, parse_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sharectl.model.observed import CapacityBytes

_DEFAULT_TOTAL: Final = "10TiB"


@dataclass(frozen=True, slots=True)
class SimulatedPool:
    """A pool: `free_bytes` is None where it follows from the total and what is allocated."""

    name: str
    total_bytes: CapacityBytes
    free_bytes: CapacityBytes | None
    thin_provisioning: bool
    max_over_subscription_ratio: float | None
    reserved_percentage: float
    reserved_snapshot_percentage: float | None
    reserved_share_extend_percentage: float | None
    capabilities: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """What befalls which calls; conditions that are None match every call."""

    call: str
    effect: str
    nth: int | None = None
    first: int | None = None
    every: int | None = None
    probability: float | None = None
    pool: str | None = None
    name: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What the backend refuses; None where it does not look."""

    min_size_bytes: int = 1
    size_multiple_bytes: int = 1
    max_rules: int | None = None
    users: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class SimulatedSettings:
    """A simulated backend; `latency_seconds` is by call, with `default` for the others."""

    state_file: str
    seed: int
    pools: Mapping[str, SimulatedPool]
    protocols: tuple[str, ...]
    capabilities: Mapping[str, Any]
    without: frozenset[Capability]
    clones_within: Literal["pool", "backend"]
    latency_seconds: Mapping[str, float]
    faults: tuple[Fault, ...]
    hang_seconds: float
    log: bool
    share_servers: bool = False
    max_share_servers: int | None = None
    share_server_addresses: int = 1
    limits: Limits = Limits()


def read_settings(config: Mapping[str, Any], base_directory: str, *, share_servers: bool = False) -> SimulatedSettings:
    """Return the settings that `config` describes; raises DriverError for what the schema alone cannot refuse.

    `share_servers` says that every share is to be on a share server.
    """
    try:
        templates: Sequence[Mapping[str, Any]] = config.get("pools") or ({},)
        pools = tuple(pool for template in templates for pool in _pools(template))
        servers: Mapping[str, Any] = config.get("shareServers") or {}
        settings = SimulatedSettings(
            state_file=os.path.join(base_directory, config["stateFile"]),  # noqa: PTH118 - SQLite takes text
            seed=int(config.get("seed", 0)),
            pools={pool.name: pool for pool in pools},
            protocols=tuple(config.get("protocols") or ("NFS", "CIFS")),
            capabilities=dict(config.get("capabilities") or {}),
            without=frozenset(Capability(name) for name in config.get("without") or ()),
            clones_within=config.get("clonesWithin", "backend"),
            latency_seconds={call: _seconds(text) for call, text in (config.get("latency") or {}).items()},
            faults=tuple(Fault(**plain) for plain in config.get("faults") or ()),
            hang_seconds=float(config.get("hangSeconds", 3600)),
            log=bool(config.get("log", False)),
            share_servers=share_servers,
            max_share_servers=servers.get("max"),
            share_server_addresses=int(servers.get("addresses", 1)),
            limits=_limits(config.get("limits") or {}),
        )
    except ValueError as cause:
        message = f"the configuration of the simulated backend cannot be used: {cause}"
        raise DriverError(message) from cause
    except (KeyError, TypeError, AttributeError) as cause:
        message = "the configuration of the simulated backend does not meet the schema of its driver; `sharectl validate` says where"
        raise DriverError(message) from cause
    if len(settings.pools) != len(pools):
        message = "two pools of the simulated backend have the same name"
        raise DriverError(message)
    return settings


def config_problems(config: Mapping[str, Any]) -> Iterator[ConfigProblem]:
    """Yield what keeps a configuration from working although it meets the schema: a path or a size that is none, or pools of one name."""
    if "\0" in config.get("stateFile", ""):
        yield ConfigProblem(("stateFile",), "a path cannot contain a NUL character", "name a file")
    names: set[str] = set()
    for number, pool in enumerate(config.get("pools") or ()):
        yield from _size_problems(pool, ("total", "free"), ("pools", number))
        taken = next((name for name in _pool_names(pool) if name in names), None)
        if taken is not None:
            summary = f"another pool is called {taken!r} already"
            yield ConfigProblem(
                ("pools", number, *(["name"] if "name" in pool else [])), summary, "give each pool its own name"
            )
        names.update(_pool_names(pool))
    yield from _size_problems(config.get("limits") or {}, ("minSize", "sizeMultiple"), ("limits",))


def _size_problems(
    plain: Mapping[str, Any], keys: Sequence[str], path: tuple[str | int, ...]
) -> Iterator[ConfigProblem]:
    for key in keys:
        try:
            _capacity(plain.get(key, "unknown"))
        except SizeError as problem:
            yield ConfigProblem((*path, key), str(problem).partition("; ")[0], SIZE_HINT)


def _pools(plain: Mapping[str, Any]) -> Iterator[SimulatedPool]:
    for pool_name in _pool_names(plain):
        yield SimulatedPool(
            name=pool_name,
            total_bytes=_capacity(plain.get("total", _DEFAULT_TOTAL)),
            free_bytes=_capacity(plain["free"]) if "free" in plain else None,
            thin_provisioning=plain.get("thin", True),
            max_over_subscription_ratio=plain.get("maxOverSubscriptionRatio"),
            reserved_percentage=plain.get("reservedPercentage", 0.0),
            reserved_snapshot_percentage=plain.get("reservedSnapshotPercentage"),
            reserved_share_extend_percentage=plain.get("reservedShareExtendPercentage"),
            capabilities=dict(plain.get("capabilities") or {}),
        )


def _pool_names(plain: Mapping[str, Any]) -> Sequence[str]:
    name = plain.get("name", "pool")
    count = plain.get("count")  # an integer to JSON Schema, and maybe written 2.0
    return [name] if count is None else [f"{name}{number}" for number in range(1, int(count) + 1)]


def _limits(plain: Mapping[str, Any]) -> Limits:
    return Limits(
        min_size_bytes=parse_size(plain["minSize"]) if "minSize" in plain else 1,
        size_multiple_bytes=parse_size(plain["sizeMultiple"]) if "sizeMultiple" in plain else 1,
        max_rules=plain.get("maxRules"),
        users=frozenset(plain["users"]) if "users" in plain else None,
    )


def _capacity(text: str) -> CapacityBytes:
    if text == "unknown" or text == "infinite":  # noqa: PLR1714 - mypy narrows by comparison, not by membership
        return text  # type: ignore[return-value]
    return parse_size(text)


def _seconds(text: str) -> float:
    if text.endswith("ms"):
        return float(text.removesuffix("ms")) / 1000
    return float(text.removesuffix("s"))
