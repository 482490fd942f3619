"""Guards around filters and weighers of other packages: what goes wrong inside them costs a pool its place, never the run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from sharectl.scheduler.errors import BrokenRuleError, UnfitValueError
from sharectl.scheduler.filters import Stability

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.scheduler.filters import Filter, HostChoice
    from sharectl.scheduler.ledger import Ledger, PoolState
    from sharectl.scheduler.request import Query
    from sharectl.scheduler.weighers import Weigher

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
