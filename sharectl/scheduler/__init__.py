"""Scheduling: which pool each share goes to, by Manila's filters and weighers, with a reason for every refusal."""

from sharectl.scheduler.batch import place_all, placement_order
from sharectl.scheduler.decision import Decision, Outcome, RankedPool
from sharectl.scheduler.engine import Scheduler
from sharectl.scheduler.errors import SchedulerConfigError, UnfitValueError
from sharectl.scheduler.explanation import Explanation, explain
from sharectl.scheduler.limits import size_limit_diagnostics
from sharectl.scheduler.pools import Pool, inherited_capabilities, pool_from_report, pools_of_manila_backend
from sharectl.scheduler.request import Operation, PlacedShare, Request, Retry, request_from_share
from sharectl.scheduler.simulation import Pattern, Simulation, parse_pattern, simulate

__all__ = [
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
    "placement_order",
    "pool_from_report",
    "pools_of_manila_backend",
    "request_from_share",
    "simulate",
    "size_limit_diagnostics",
]
