"""Filters and weighers by name: the built-in ones, and those of other packages, whose mistakes cost a pool its place and never the run."""

from __future__ import annotations

import math
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from sharectl.model.diagnostics import did_you_mean, error
from sharectl.model.frozen import dataclass
from sharectl.scheduler.errors import BrokenRuleError, SchedulerConfigError, UnfitValueError
from sharectl.scheduler.filters import BUILT_IN_FILTERS, DEFAULT_FILTERS, Stability
from sharectl.scheduler.weighers import BUILT_IN_WEIGHERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.settings import SchedulerSettings
    from sharectl.scheduler.filters import Filter, HostChoice
    from sharectl.scheduler.pools import Ledger, PoolState
    from sharectl.scheduler.request import Query
    from sharectl.scheduler.weighers import Weigher


DEFAULT_EXTEND_FILTERS: Final = ("CapacityFilter", "DriverFilter")
DEFAULT_WEIGHERS: Final = ("CapacityWeigher", "GoodnessWeigher", "HostAffinityWeigher")

T = TypeVar("T")
_MULTIPLIER_OPTIONS: Final[Mapping[str, str]] = {
    "capacity_weight_multiplier": "CapacityWeigher",
    "pool_weight_multiplier": "PoolWeigher",
}
ALGORITHMS: Final = ("manila", "pack")

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


def no_solver() -> Diagnostic:
    """Return the error that says what the algorithm `pack` lacks."""
    return error(
        "scheduler.no-solver",
        "the placement algorithm pack needs a solver that is not installed",
        remedy="install sharectl[pack], or choose the algorithm manila",
    )


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
        filters=finder.chosen(_FILTERS, "filters", _or(settings.filters, DEFAULT_FILTERS)),
        extend_filters=finder.chosen(_FILTERS, "extendFilters", _or(settings.extend_filters, DEFAULT_EXTEND_FILTERS)),
        weighers=finder.chosen(_WEIGHERS, "weighers", _or(settings.weighers, DEFAULT_WEIGHERS)),
        multipliers={},
    )
    known = [weigher.name for weigher in rules.weighers]
    rules = replace(rules, multipliers=finder.multipliers(settings.multipliers, known))
    finder.check_options()
    finder.check_numbers(settings)
    return rules, tuple(finder.problems)


def _or(names: Sequence[str] | None, default: Sequence[str]) -> Sequence[str]:
    return default if names is None else names


class _Finder:
    """Finds filters and weighers by name, and notes what is wrong."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.problems: list[SettingProblem] = []
        self._options = options
        self._made: set[str] = set()

    def chosen(self, sort: _Sort[T], field: str, names: Sequence[str]) -> tuple[T, ...]:
        """Return those that are found of the names that stand in the field."""
        found = []
        for place, name in enumerate(names):
            each = sort.built_in.get(name)
            if each is None:
                foreign = self._foreign(sort, name, ("scheduler", field, place))
                each = None if foreign is None else sort.guarded(name, foreign)
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
            summary, remedy = f"{name} takes no options", "remove them"
            if name not in BUILT_IN_FILTERS and name not in BUILT_IN_WEIGHERS:
                summary = f"options are given for {name!r}, which is not among the filters and weighers"
                remedy = did_you_mean(name, sorted(self._made)) or "name it there too, or remove the options"
            problem = error("scheduler.unknown-options", summary, remedy=remedy)
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
        elif settings.algorithm == "pack" and find_spec("ortools") is None:
            self._note(("scheduler", "algorithm"), no_solver())

    def _foreign(self, sort: _Sort[Any], name: str, setting: Setting) -> object | None:
        """Return what the entry point called `name` offers; None, with the problem noted, if it is unusable."""
        what, group = sort.what, f"sharectl.scheduler.{sort.what}s"
        from importlib.metadata import entry_points  # noqa: PLC0415 - scanned only for a name that is not built in

        found: object
        offered = {point.name: point for point in entry_points(group=group)}
        if name not in offered:
            known = sorted({*sort.built_in, *offered})
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
            missing = [part for part in sort.parts if not hasattr(found, part)]
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


class _GuardedFilter:
    """A foreign filter; its verdicts are kept only where it says that they are FIXED, for the engine knows no other of its reasons."""

    def __init__(self, name: str, inner: Any) -> None:  # noqa: ANN401 - any package may offer anything
        self.name = name
        self.stability = Stability.FIXED if inner.stability is Stability.FIXED else Stability.REQUEST
        chooses = getattr(inner, "hosts", None)
        self.hosts: Callable[[Query, Ledger], HostChoice] | None = chooses if callable(chooses) else None
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


class _GuardedWeigher:
    """A foreign weigher; one that fails to say whom it concerns concerns every request."""

    def __init__(self, name: str, inner: Any) -> None:  # noqa: ANN401 - any package may offer anything
        self.name = name
        self._inner = inner

    def concerns(self, query: Query, states: Sequence[PoolState]) -> bool:
        try:
            return bool(self._inner.concerns(query, states))
        except Exception:  # noqa: BLE001 - asked about each pool then, where its failure is reported
            return True

    def raw(self, state: PoolState, query: Query) -> float | None:
        try:
            value = self._inner.raw(state, query)
        except UnfitValueError:
            raise
        except Exception as problem:
            raise BrokenRuleError(self.name, _said(problem)) from problem
        if value is None:
            return None
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise BrokenRuleError(self.name, f"its value is {value!r}, which is not a number")
        return value


def _said(problem: Exception) -> str:
    return f"{type(problem).__name__}: {problem}" if str(problem) else type(problem).__name__


class _Sort(NamedTuple, Generic[T]):
    """Filters or weighers: which are built in, and what those of other packages must have."""

    what: str
    built_in: Mapping[str, T]
    parts: tuple[str, ...]
    guarded: Callable[[str, Any], T]


_FILTERS: Final[_Sort[Filter]] = _Sort(
    "filter", BUILT_IN_FILTERS, ("stability", "concerns", "stops", "passes", "reason"), _GuardedFilter
)
_WEIGHERS: Final[_Sort[Weigher]] = _Sort("weigher", BUILT_IN_WEIGHERS, ("concerns", "raw"), _GuardedWeigher)
