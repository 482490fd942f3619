"""Filters and weighers by name: the built-in ones, and third parties' by entry points, guarded."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.model.diagnostics import did_you_mean, error
from sharectl.model.frozen import dataclass
from sharectl.scheduler import affinity, filters, weighers
from sharectl.scheduler.errors import BrokenRuleError, SchedulerConfigError, UnfitValueError
from sharectl.scheduler.filters import Stability

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.settings import SchedulerSettings
    from sharectl.scheduler.filters import Filter, HostChoice
    from sharectl.scheduler.pools import Ledger, PoolState
    from sharectl.scheduler.request import Query
    from sharectl.scheduler.weighers import Weigher


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


ALGORITHMS: Final = ("manila", "pack")
_SOLVER: Final = "ortools"

Setting = tuple[str | int, ...]
"""The way to a setting under `spec` of `sharectl.yaml`: `("scheduler", "filters", 2)`."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The chosen filters and weighers in their order, with the number that each weigher's values are multiplied by."""

    filters: tuple[Filter, ...]
    extend_filters: tuple[Filter, ...]
    weighers: tuple[Weigher, ...]
    multipliers: Mapping[str, float]


class SettingProblem(NamedTuple):
    """A setting that cannot work; `at_key` where the name is the key of `setting`, not its value."""

    setting: Setting
    diagnostic: Diagnostic
    at_key: bool = False


def setting_problems(settings: SchedulerSettings) -> tuple[SettingProblem, ...]:
    """Return all that is wrong with the settings: unknown names, broken packages, numbers out of range, a solver that is missing."""
    return _read(settings)[1]


def rules_from(settings: SchedulerSettings) -> Rules:
    """Return the rules that the settings choose; raises SchedulerConfigError with all that is wrong with them.

    `settings.multipliers` takes the names of weighers, and Manila's `capacity_weight_multiplier`, `pool_weight_multiplier`.
    """
    rules, problems = _read(settings)
    if problems:
        raise SchedulerConfigError(*(problem.diagnostic for problem in problems))
    return rules


def _read(settings: SchedulerSettings) -> tuple[Rules, tuple[SettingProblem, ...]]:
    finder = _Finder(settings.options)
    rules = Rules(
        filters=finder.filters("filters", settings.filters, DEFAULT_FILTERS),
        extend_filters=finder.filters("extendFilters", settings.extend_filters, DEFAULT_EXTEND_FILTERS),
        weighers=finder.weighers(settings.weighers),
        multipliers={},
    )
    known = [weigher.name for weigher in rules.weighers]
    rules = replace(rules, multipliers=finder.multipliers(settings.multipliers, known))
    finder.check_options()
    finder.check_numbers(settings)
    return rules, tuple(finder.problems)


class _Finder:
    """Finds filters and weighers by name, and notes what is wrong."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.problems: list[SettingProblem] = []
        self._options = options
        self._made: set[str] = set()

    def filters(self, field: str, names: Sequence[str] | None, default: Sequence[str]) -> tuple[Filter, ...]:
        if names is None:
            return tuple(BUILT_IN_FILTERS[name] for name in default)
        found = []
        for place, name in enumerate(names):
            each = BUILT_IN_FILTERS.get(name)
            if each is None:
                foreign = self._foreign(name, ("scheduler", field, place), BUILT_IN_FILTERS, FILTER_GROUP, FILTER_PARTS)
                each = None if foreign is None else guarded_filter(name, foreign)
            if each is not None:
                found.append(each)
        return tuple(found)

    def weighers(self, names: Sequence[str] | None) -> tuple[Weigher, ...]:
        found = []
        for place, name in enumerate(DEFAULT_WEIGHERS if names is None else names):
            each = BUILT_IN_WEIGHERS.get(name)
            if each is None:
                setting = ("scheduler", "weighers", place)
                foreign = self._foreign(name, setting, BUILT_IN_WEIGHERS, WEIGHER_GROUP, WEIGHER_PARTS)
                each = None if foreign is None else guarded_weigher(name, foreign)
            if each is not None:
                found.append(each)
        return tuple(found)

    def multipliers(self, given: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
        multipliers = dict.fromkeys(names, 1.0)
        for key, value in given.items():
            name = _MULTIPLIER_OPTIONS.get(key, key)
            if name in multipliers:
                multipliers[name] = float(value)
            elif name not in BUILT_IN_WEIGHERS:
                known = sorted({*multipliers, *BUILT_IN_WEIGHERS, *_MULTIPLIER_OPTIONS})
                problem = error(
                    "scheduler.unknown-multiplier",
                    f"there is no weigher {key!r} to multiply",
                    remedy=did_you_mean(key, known) or f"name one of {', '.join(known)}",
                )
                self._note(("scheduler", "multipliers", key), problem, at_key=True)
        return multipliers

    def check_options(self) -> None:
        for name in self._options:
            if name in self._made:
                continue
            plain = name in BUILT_IN_FILTERS or name in BUILT_IN_WEIGHERS
            known = sorted(self._made)
            problem = error(
                "scheduler.unknown-options",
                f"{name} takes no options"
                if plain
                else f"options are given for {name!r}, which is not among the filters and weighers",
                remedy="remove them"
                if plain
                else did_you_mean(name, known) or "name it there too, or remove the options",
            )
            self._note(("scheduler", "options", name), problem, at_key=True)

    def check_numbers(self, settings: SchedulerSettings) -> None:
        if settings.max_attempts < 1:
            remedy = "a request needs at least one attempt"
            problem = error("scheduler.max-attempts", f"maxAttempts is {settings.max_attempts}", remedy=remedy)
            self._note(("scheduler", "maxAttempts"), problem)
        if settings.algorithm not in ALGORITHMS:
            problem = error(
                "scheduler.unknown-algorithm",
                f"there is no placement algorithm {settings.algorithm!r}",
                remedy=did_you_mean(settings.algorithm, ALGORITHMS) or f"name one of {', '.join(ALGORITHMS)}",
            )
            self._note(("scheduler", "algorithm"), problem)
        elif settings.algorithm == "pack" and not _is_installed(_SOLVER):
            problem = error(
                "scheduler.no-solver",
                "the placement algorithm pack needs a solver that is not installed",
                remedy="install sharectl[pack], or choose the algorithm manila",
            )
            self._note(("scheduler", "algorithm"), problem)

    def _foreign(
        self, name: str, setting: Setting, built_in: Mapping[str, object], group: str, parts: Sequence[str]
    ) -> object | None:
        """Return what the entry point called `name` offers; None, with the problem noted, if it is unusable."""
        what = group.rpartition(".")[2].removesuffix("s")
        found: object
        offered = _entry_points(group)
        if name not in offered:
            known = sorted({*built_in, *offered})
            near = did_you_mean(name, known)
            problem = error(
                f"scheduler.unknown-{what}",
                f"there is no {what} {name!r}",
                detail="" if near else f"Known: {', '.join(known)}.",
                remedy=near or f"install the package that brings it (entry point group {group})",
            )
            self._note(setting, problem)
            return None
        self._made.add(name)
        point = offered[name]
        try:
            found = point.load()
            found = found(**self._options.get(name, {})) if callable(found) else found
            missing = missing_parts(found, parts)
            why = f"it has no {', '.join(missing)}" if missing else ""
        except Exception as failure:  # noqa: BLE001 - any package may raise anything
            found, why = None, f"{type(failure).__name__}: {failure}"
        if not why:
            return found
        problem = error(
            f"scheduler.broken-{what}",
            f"the {what} {name!r} cannot be used: {why}",
            detail=f"It comes from the entry point {point.value} of the group {group}.",
            remedy=f"correct its options, or repair the package that brings it; `sharectl.scheduler.{what}s` says what a {what} has",
        )
        self._note(setting, problem)
        return None

    def _note(self, setting: Setting, diagnostic: Diagnostic, *, at_key: bool = False) -> None:
        self.problems.append(SettingProblem(setting, diagnostic, at_key))


def _is_installed(module: str) -> bool:
    from importlib.util import find_spec  # noqa: PLC0415 - only where a package that may be missing is asked for

    return find_spec(module) is not None


def _entry_points(group: str) -> dict[str, Any]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - scanned only for a name that is not built in

    return {point.name: point for point in entry_points(group=group)}


FILTER_PARTS: Final = ("stability", "concerns", "stops", "passes", "reason")
WEIGHER_PARTS: Final = ("concerns", "raw")
_NUMBERS: Final = (int, float)


def missing_parts(found: object, parts: Sequence[str]) -> tuple[str, ...]:
    """Return what the object lacks of the contract."""
    return tuple(part for part in parts if not hasattr(found, part))


def guarded_filter(name: str, found: Any) -> Filter:  # noqa: ANN401 - any package may offer anything
    """Return the filter as the engine may call it, under the name of its entry point."""
    return _GuardedChooser(name, found) if callable(getattr(found, "hosts", None)) else _GuardedFilter(name, found)


class _GuardedFilter:
    """A foreign filter; its verdicts are kept only where it says that they are FIXED, for the engine knows no other of its reasons."""

    def __init__(self, name: str, inner: Any) -> None:  # noqa: ANN401 - any package may offer anything
        self.name = name
        self.stability = Stability.FIXED if inner.stability is Stability.FIXED else Stability.REQUEST
        self._inner = inner

    def concerns(self, query: Query) -> bool:
        try:
            return bool(self._inner.concerns(query))
        except Exception:  # noqa: BLE001 - asked about each pool then, where its failure is reported
            return True

    def stops(self, query: Query, ledger: Ledger) -> str | None:
        try:
            why = self._inner.stops(query, ledger)
        except Exception as problem:  # noqa: BLE001 - any package may raise anything
            return f"it failed: {_said(problem)}"
        return None if why is None else str(why)

    def passes(self, state: PoolState, query: Query, ledger: Ledger) -> bool:
        try:
            return bool(self._inner.passes(state, query, ledger))
        except UnfitValueError:
            raise
        except Exception as problem:
            raise BrokenRuleError(self.name, _said(problem)) from problem

    def reason(self, state: PoolState, query: Query, ledger: Ledger) -> str:
        try:
            return str(self._inner.reason(state, query, ledger))
        except Exception as problem:  # noqa: BLE001 - any package may raise anything
            return f"it refused, and failed to say why: {_said(problem)}"


class _GuardedChooser(_GuardedFilter):
    """A foreign filter that names hosts."""

    def hosts(self, query: Query, ledger: Ledger) -> HostChoice:
        choice: HostChoice = self._inner.hosts(query, ledger)
        return choice


class GuardedWeigher:
    """A foreign weigher."""

    def __init__(self, name: str, inner: Any) -> None:  # noqa: ANN401 - any package may offer anything
        """Call it by the name of its entry point."""
        self.name = name
        self._inner = inner

    def concerns(self, query: Query, states: Sequence[PoolState]) -> bool:
        """Ask the weigher; one that fails here concerns every request."""
        try:
            return bool(self._inner.concerns(query, states))
        except Exception:  # noqa: BLE001 - asked about each pool then, where its failure is reported
            return True

    def raw(self, state: PoolState, query: Query) -> float | None:
        """Return what the weigher says of the pool; raises BrokenRuleError where that is not a number."""
        try:
            value = self._inner.raw(state, query)
        except UnfitValueError:
            raise
        except Exception as problem:
            raise BrokenRuleError(self.name, _said(problem)) from problem
        if value is None:
            return None
        if not isinstance(value, _NUMBERS) or not math.isfinite(value):
            raise BrokenRuleError(self.name, f"its value is {value!r}, which is not a number")
        return value


def guarded_weigher(name: str, found: Any) -> Weigher:  # noqa: ANN401 - any package may offer anything
    """Return the weigher as the engine may call it, under the name of its entry point."""
    return GuardedWeigher(name, found)


def _said(problem: Exception) -> str:
    return f"{type(problem).__name__}: {problem}" if str(problem) else type(problem).__name__
