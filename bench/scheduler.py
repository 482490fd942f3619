"""Measure the scheduler against the plain evaluation of every filter on every pool, in one run: `python bench/scheduler.py`."""

from __future__ import annotations

import argparse
import json
import sys
import time
import tracemalloc
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sharectl.model import SchedulerSettings
from sharectl.scheduler import Pool, Request, Scheduler, place_all, pools_of_manila_backend
from tests.scheduler.reference import ReferenceScheduler

TYPES = 20


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


def make_requests(count: int, seed: int) -> list[Request]:
    """Return requests of twenty share types, with sizes from 1 to 300 GiB."""
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
    return [Request(f"s{n}", random.randint(1, 300), "NFS", random.choice(types)) for n in range(count)]


def seconds_of(scheduler: Scheduler | ReferenceScheduler, requests: list[Request]) -> float:
    """Return how long it takes to place the requests."""
    start = time.perf_counter()
    for request in requests:
        scheduler.place(request)
    return time.perf_counter() - start


def against_reference(requests: int, pools: int, sample: int, *, functions: bool) -> dict[str, float]:
    """Return microseconds per request of both, and their ratio; the first decisions are compared."""
    found, asked = make_pools(pools, 1, functions=functions), make_requests(requests, 2)
    ours, plain = Scheduler(found, SchedulerSettings()), ReferenceScheduler(found, SchedulerSettings())
    for request in asked[:sample]:
        if ours.decide(request) != plain.place(request):
            sys.exit(f"different decisions on {request.id}")
        ours.place(request)
    reference_us = seconds_of(ReferenceScheduler(found, SchedulerSettings()), asked[:sample]) / sample * 1e6
    engine_us = seconds_of(Scheduler(found, SchedulerSettings()), asked) / requests * 1e6
    return {"reference_us": reference_us, "engine_us": engine_us, "ratio": reference_us / engine_us}


def memory_bytes_per_request(requests: int) -> float:
    """Return what the scheduler and its decisions hold for each request over 1,000 pools."""
    found, asked = make_pools(1_000, 1), make_requests(requests, 2)
    tracemalloc.start()
    decisions = place_all(Scheduler(found, SchedulerSettings()), asked)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / len(decisions)


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
        asked = make_requests(60, seed)
        unplaced = {}
        for name in ("manila", "pack"):
            settings = SchedulerSettings(options={"algorithm": name, "pack_effort": 5})
            unplaced[name] = sum(not decision.scheduled for decision in place_all(Scheduler(pools, settings), asked))
        results.append(unplaced)
    return results


def main() -> None:
    """Print the figures as text, or as JSON with `--json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--pack", action="store_true", help="compare the algorithms (needs the extra pack)")
    options = parser.parse_args()
    figures: dict[str, object] = {
        f"{pools} pools": against_reference(options.requests, pools, max(5, 20_000 // pools), functions=False)
        for pools in (100, 1_000, 10_000)
    }
    figures["1000 pools with functions"] = against_reference(min(1_000, options.requests), 1_000, 10, functions=True)
    figures["bytes per request"] = {n: memory_bytes_per_request(n) for n in (options.requests, 5 * options.requests)}
    if options.pack:
        figures["unplaced"] = packing(6)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
