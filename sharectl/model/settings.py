"""Settings of a project: the safety limits, the scheduler's, and who makes the calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sharectl.model.frozen import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class SafetyLimits:
    """How many shares and snapshots one apply may remove before it asks for more than `--yes`.

    A plan is refused when it removes more than `deletion_floor` of them and more than `max_deletion_percentage` of all in the state.
    """

    max_deletion_percentage: float = 10.0
    deletion_floor: int = 3


@dataclass(frozen=True, slots=True)
class PackSettings:
    """How hard the placement `pack` tries.

    `effort` is in the solver's units of counted work, each of which takes a few seconds. `max_choices` are the most choices (different
    shares times the pools that they may go to) that it is given.
    """

    effort: float = 2.0
    max_choices: int = 50_000


@dataclass(frozen=True, slots=True)
class SchedulerSettings:
    """How shares are placed; names are those of Manila's filters and weighers. None keeps the scheduler's default list.

    `options` are what third parties' filters and weighers are made with, by their names.
    """

    filters: tuple[str, ...] | None = None
    weighers: tuple[str, ...] | None = None
    multipliers: Mapping[str, float] = field(default_factory=dict)
    max_attempts: int = 3
    max_over_subscription_ratio: float = 20.0
    options: Mapping[str, Any] = field(default_factory=dict)
    algorithm: str = "manila"
    extend_filters: tuple[str, ...] | None = None
    pack: PackSettings = PackSettings()


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Where the broker is; `password_from` is `("env", NAME)` or `("file", PATH)`, paths are absolute."""

    url: str
    password_from: tuple[str, str] | None = None
    ca_file: str | None = None


LONGEST_LEASE_SECONDS: Final = 86400.0
"""The longest that a worker may be silent before its calls are taken over."""


@dataclass(frozen=True, slots=True)
class ExecutionSettings:
    """Who makes the calls on backends: workers those on the `remote` ones, and `processes` others of this machine the rest (0: this process itself)."""

    executor: str = "local"
    broker: BrokerSettings | None = None
    lease_seconds: float = 90.0
    remote: frozenset[str] = frozenset()
    processes: int = 0
