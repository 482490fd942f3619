"""Measure the scheduler against the plain evaluation of every filter on every pool, in one run: `python bench/scheduler.py`."""

from __future__ import annotations

import argparse
import json
import sys
import time
import tracemalloc
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sharectl.model.settings import PackSettings, SchedulerSettings
from sharectl.scheduler.engine import Scheduler
from sharectl.scheduler.pools import Pool
from sharectl.scheduler.request import Request
from tests.scheduler.builders import place_all, pools_of_manila_backend
from tests.scheduler.reference import ReferenceScheduler

TYPES = 20
ROUNDS = 3


def make_pools(count: int, seed: int, *, functions: bool = False) -> list[Pool]:
    """Return pools of ten to a backend, half of them thin, of three tiers and zones."""
    random = Random(seed)  # noqa: S311 - a reproducible workload, no secret
    found: list[Pool] = []
    for number in range(count):
        thin = random.choice([True, False])
        report = {
            "pool_name": f"p{number}",
            "total_capacity_gb": 10_000,
            "free_capacity_gb": random.randint(2_000, 10_000),
            "reserved_percentage": random.choice([0, 5, 10]),
            "thin_provisioning": thin,
            "provisioned_capacity_gb": random.randint(0, 50_000) if thin else None,
            "max_over_subscription_ratio": random.choice([5.0, 20.0]),
            "tier": random.choice(["gold", "silver", "bronze"]),
            "disk": random.choice(["ssd", "hdd"]),
            "max_iops": random.choice([500, 2000, 5000]),
        }
        if functions:
            report["filter_function"] = "stats.free_capacity_gb > 20 and share.size < 1000"
            report["goodness_function"] = "100 * stats.free_capacity_gb / stats.total_capacity_gb"
        backend = {"storage_protocol": ["NFS", "CIFS"], "driver_handles_share_servers": False}
        zone = f"az{number // 10 % 3}"
        found += pools_of_manila_backend(f"h@b{number // 10}", backend, [report], availability_zone=zone)
    return found


def make_requests(count: int, seed: int, largest_gib: int = 300) -> list[Request]:
    """Return requests of twenty share types, with sizes from 1 GiB."""
    random = Random(seed)  # noqa: S311 - a reproducible workload, no secret
    types = [
        {
            "driver_handles_share_servers": "false",
            "tier": random.choice(["gold", "<or> gold <or> silver", "<in> o"]),
            "max_iops": f">= {random.choice([100, 1000])}",
            "thin_provisioning": random.choice(["True", "False", "<is> True"]),
            "vendor:class": str(number),
        }
        for number in range(TYPES)
    ]
    return [Request(f"s{n}", random.randint(1, largest_gib), "NFS", random.choice(types)) for n in range(count)]


def seconds_of(scheduler: Scheduler | ReferenceScheduler, requests: list[Request]) -> float:
    """Return the CPU time of placing the requests."""
    start = time.process_time()
    for request in requests:
        scheduler.place(request)
    return time.process_time() - start


def against_reference(requests: int, pools: int, sample: int, *, functions: bool) -> dict[str, float]:
    """Return microseconds per request of both, and their ratio; the first decisions are compared."""
    found, asked = make_pools(pools, 1, functions=functions), make_requests(requests, 2)
    ours, plain = Scheduler(found, SchedulerSettings()), ReferenceScheduler(found, SchedulerSettings())
    for request in asked[:sample]:
        if ours.decide(request) != plain.place(request):
            sys.exit(f"different decisions on {request.id}")
        ours.place(request)
    pairs = [
        (
            seconds_of(ReferenceScheduler(found, SchedulerSettings()), asked[:sample]) / sample * 1e6,
            seconds_of(Scheduler(found, SchedulerSettings()), asked) / requests * 1e6,
        )
        for _ in range(ROUNDS)
    ]
    reference_us, engine_us = (min(each) for each in zip(*pairs, strict=True))
    return {"reference_us": reference_us, "engine_us": engine_us, "ratio": reference_us / engine_us}


def microseconds_at(pools: int, requests: int) -> dict[str, float]:
    """Return the seconds in which the scheduler gets to know the pools and types, and then the cost of each request.

    The shares are small enough to find a place even on the fewest pools: a refusal costs less than a placement.
    """
    found, asked = make_pools(pools, 1), make_requests(requests + TYPES * 50, 2, largest_gib=3)
    start = time.process_time()
    scheduler = Scheduler(found, SchedulerSettings())
    for request in asked[: TYPES * 50]:
        scheduler.place(request)
    setup_seconds = time.process_time() - start
    return {"setup_seconds": setup_seconds, "us": seconds_of(scheduler, asked[TYPES * 50 :]) / requests * 1e6}


def memory_bytes_per_request(requests: int) -> float:
    """Return what the scheduler and its decisions hold for each request over 1,000 pools, without what holds for the pools alone."""
    found, asked = make_pools(1_000, 1), make_requests(requests, 2, largest_gib=30)
    tracemalloc.start()
    scheduler = Scheduler(found, SchedulerSettings())
    first = place_all(scheduler, asked[: TYPES * 50])
    before, _ = tracemalloc.get_traced_memory()
    decisions = place_all(scheduler, asked[TYPES * 50 :])
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del first
    return (held - before) / len(decisions)


def packing(instances: int) -> list[dict[str, int]]:
    """Return how many shares each algorithm leaves unplaced over seeded tight instances."""
    results = []
    for seed in range(instances):
        random = Random(seed)  # noqa: S311 - a reproducible workload, no secret
        pools = [
            Pool(
                p.host,
                p.backend,
                p.name,
                None,
                capabilities={
                    **p.capabilities,
                    "free_capacity_gb": random.randint(300, 900),
                    "thin_provisioning": False,
                    "reserved_percentage": 0,
                },
            )
            for p in make_pools(8, seed)
        ]
        types = [{}, {"tier": "gold"}, {"tier": "<or> gold <or> silver"}, {"disk": "ssd"}]
        asked = [Request(f"s{n}", random.randint(20, 160), "NFS", random.choice(types)) for n in range(60)]
        unplaced = {}
        for name in ("manila", "pack"):
            settings = SchedulerSettings(algorithm=name, pack=PackSettings(effort=1))
            unplaced[name] = sum(not decision.scheduled for decision in place_all(Scheduler(pools, settings), asked))
        results.append(unplaced)
    return results


@dataclass(frozen=True)
class Limit:
    """One figure beside the limit that it is held to."""

    name: str
    value: float
    bound: float
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Tell whether the figure is on the right side."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def __str__(self) -> str:
        """One line for people."""
        sign = ">=" if self.at_least else "<="
        return f"{'ok  ' if self.holds else 'MISS'}  {self.name}: {self.value:,.1f} ({sign} {self.bound:g})"


def measured(options: argparse.Namespace) -> tuple[dict[str, object], list[Limit]]:
    """Return all figures, and those that have a limit."""
    figures: dict[str, object] = {}
    plain = against_reference(options.requests, 1_000, 20, functions=False)
    functions = against_reference(options.requests, 1_000, 20, functions=True)
    growth = {pools: microseconds_at(pools, options.requests) for pools in (100, 1_000, 10_000)}
    many = make_requests(options.many, 3, largest_gib=30)
    seconds = seconds_of(Scheduler(make_pools(1_000, 1), SchedulerSettings()), many)
    memory = {count: memory_bytes_per_request(count) for count in (options.many // 10, options.many)}
    figures |= {"against the reference": plain, "with functions on every pool": functions, "by pools": growth}
    figures |= {f"{options.many} requests, seconds": seconds, "bytes per request": memory}
    limits = [
        Limit("times the reference's rate, 1,000 pools", plain["ratio"], 100, at_least=True),
        Limit("times the reference's rate with functions", functions["ratio"], 20, at_least=True),
        Limit("cost of a request at 10,000 pools over that at 100", growth[10_000]["us"] / growth[100]["us"], 4),
        Limit("bytes per request, the many over the few", memory[options.many] / memory[options.many // 10], 1.2),
    ]
    if options.pack:
        unplaced = packing(6)
        worse = sum(each["pack"] > each["manila"] for each in unplaced)
        figures["unplaced of 60"] = unplaced
        limits.append(Limit("tight instances where pack leaves out more than manila", worse, 0))
    return figures, limits


def main() -> int:
    """Print the figures as text, or as JSON with `--json`; return 1 where one misses its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--many", type=int, default=100_000, help="requests for the measurement of memory")
    parser.add_argument("--pack", action="store_true", help="compare the algorithms (needs the extra pack)")
    figures, limits = measured(options := parser.parse_args())
    if options.json:
        print(json.dumps({**figures, "limits": [{**asdict(limit), "holds": limit.holds} for limit in limits]}))
    else:
        for name, value in figures.items():
            print(f"{name}: {value}")
        for limit in limits:
            print(limit)
    return 0 if all(limit.holds for limit in limits) else 1


if __name__ == "__main__":
    sys.exit(main())
