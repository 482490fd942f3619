"""Scheduling: which pool each share goes to, by Manila's filters and weighers, with a reason for every refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sharectl.scheduler.batch import place_all, place_batch
    from sharectl.scheduler.decision import Batch, Decision, Outcome, RankedPool
    from sharectl.scheduler.engine import Scheduler
    from sharectl.scheduler.errors import SchedulerConfigError, UnfitValueError
    from sharectl.scheduler.explanation import Explanation, explain
    from sharectl.scheduler.greedy import placement_order
    from sharectl.scheduler.limits import size_limit_diagnostics
    from sharectl.scheduler.pools import Pool, inherited_capabilities, pool_from_report, pools_of_manila_backend
    from sharectl.scheduler.registry import setting_problems
    from sharectl.scheduler.request import Operation, PlacedShare, Request, Retry, request_from_share
    from sharectl.scheduler.simulation import Pattern, Simulation, parse_pattern, simulate
    from sharectl.scheduler.suitability import suitable_pools

__all__ = [
    "Batch",
    "Decision",
    "Explanation",
    "Operation",
    "Outcome",
    "Pattern",
    "PlacedShare",
    "Pool",
    "RankedPool",
    "Request",
    "Retry",
    "Scheduler",
    "SchedulerConfigError",
    "Simulation",
    "UnfitValueError",
    "explain",
    "inherited_capabilities",
    "parse_pattern",
    "place_all",
    "place_batch",
    "placement_order",
    "pool_from_report",
    "pools_of_manila_backend",
    "request_from_share",
    "setting_problems",
    "simulate",
    "size_limit_diagnostics",
    "suitable_pools",
]

_MODULES = {
    "Batch": "decision",
    "Decision": "decision",
    "Explanation": "explanation",
    "Operation": "request",
    "Outcome": "decision",
    "Pattern": "simulation",
    "PlacedShare": "request",
    "Pool": "pools",
    "RankedPool": "decision",
    "Request": "request",
    "Retry": "request",
    "Scheduler": "engine",
    "SchedulerConfigError": "errors",
    "Simulation": "simulation",
    "UnfitValueError": "errors",
    "explain": "explanation",
    "inherited_capabilities": "pools",
    "parse_pattern": "simulation",
    "place_all": "batch",
    "place_batch": "batch",
    "placement_order": "greedy",
    "pool_from_report": "pools",
    "pools_of_manila_backend": "pools",
    "request_from_share": "request",
    "setting_problems": "registry",
    "simulate": "simulation",
    "size_limit_diagnostics": "limits",
    "suitable_pools": "suitability",
}


def __getattr__(name: str) -> object:
    """Load a public name when it is first used: most commands need few of them."""
    if name not in _MODULES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module  # noqa: PLC0415 - only where a name is used

    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
