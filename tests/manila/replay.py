"""Replay recorded Manila schedulings: `python tests/manila/replay.py CASES.jsonl[.gz]` prints sharectl's answer to each document."""

from __future__ import annotations

import gzip
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that it runs from a checkout, installed or not

from sharectl.model.settings import SchedulerSettings
from sharectl.model.specs import SchedulerHints
from sharectl.scheduler.decision import Outcome
from sharectl.scheduler.engine import Scheduler
from sharectl.scheduler.explanation import explain
from sharectl.scheduler.request import Operation, PlacedShare, Request, Retry
from sharectl.scheduler.values import INFINITE
from tests.scheduler.builders import pools_of_manila_backend

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sharectl.model.candidates import Candidate
    from sharectl.scheduler.explanation import Explanation
    from sharectl.scheduler.pools import PoolState

WEIGHT_TOLERANCE = 1e-9


def read_cases(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the documents with what Manila answered, one per line of a plain or gzipped file."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    for line in data.splitlines():
        if line.strip():
            yield json.loads(line)


def replay(case: Mapping[str, Any]) -> dict[str, Any]:
    """Return what sharectl's scheduler answers to the document, in the form of `expected`.

    A scheduled request is reserved on the host that Manila chose wherever that is one of the equally best candidates.
    """
    document, expected = case["document"], case.get("expected", {})
    scheduler = scheduler_of(document)
    answers = expected.get("results", [])
    results = []
    met: tuple[PoolState, ...] = ()
    for place, plain in enumerate(document["requests"]):
        answer = answers[place] if place < len(answers) else {}
        met = _pools_met(scheduler, request_of(document, plain), met)
        results.append(_result(scheduler, document, plain, answer, [state.host for state in met]))
    return {"results": results, "pools_after": [_pool_after(state) for state in met]}


def _pools_met(scheduler: Scheduler, request: Request, before: tuple[PoolState, ...]) -> tuple[PoolState, ...]:
    """Return the pools in Manila's cache after the request: an administrator's `only_host` brings in disabled ones."""
    if scheduler.attempts_used_up(request):
        pinned = request.active_replica_host or request.snapshot_host
        return scheduler.ledger.states if pinned else before
    states = scheduler.states_for(request)
    if before:
        return states
    order = {pool.host: place for place, pool in enumerate(scheduler.pools_after())}
    return tuple(sorted(states, key=lambda state: order[state.host]))


def scheduler_of(document: Mapping[str, Any]) -> Scheduler:
    """Return the scheduler over the document's pools, with its shares and options."""
    pools = [
        pool
        for backend in document["backends"]
        for pool in pools_of_manila_backend(
            backend["host"],
            backend["capabilities"],
            backend.get("pools"),
            availability_zone=backend["availability_zone"],
            enabled=not backend.get("disabled", False),
            up=backend.get("up", True),
        )
    ]
    placed = [PlacedShare(share["id"], share["host"], share["size"]) for share in document.get("shares", [])]
    return Scheduler(pools, _settings(document.get("config", {})), placed)


def _settings(config: Mapping[str, Any]) -> SchedulerSettings:
    multipliers = {key: value for key, value in config.items() if key.endswith("_weight_multiplier")}
    filters, weighers = config.get("scheduler_default_filters"), config.get("scheduler_default_weighers")
    extend_filters = config.get("scheduler_default_extend_filters")
    return SchedulerSettings(
        filters=None if filters is None else tuple(filters),
        weighers=None if weighers is None else tuple(weighers),
        multipliers=multipliers,
        max_attempts=config.get("scheduler_max_attempts", 3),
        max_over_subscription_ratio=config.get("max_over_subscription_ratio", 20.0),
        extend_filters=None if extend_filters is None else tuple(extend_filters),
    )


def request_of(document: Mapping[str, Any], plain: Mapping[str, Any]) -> Request:
    """Return the request that a plain one of the document stands for."""
    hints = plain.get("hints", {})
    snapshots = {snapshot["id"]: snapshot for snapshot in document.get("snapshots", [])}
    retry = plain.get("retry")
    return Request(
        id=plain.get("share_id", plain["id"]),
        size_gib=plain["size"],
        share_proto=plain.get("share_proto"),
        extra_specs=plain.get("extra_specs", {}),
        operation=Operation(plain.get("op", "create")),
        availability_zone=plain.get("availability_zone"),
        hints=SchedulerHints(
            same_host=_names(hints.get("same_host")),
            different_host=_names(hints.get("different_host")),
            only_host=hints.get("only_host"),
        ),
        query=hints.get("query"),
        is_admin=plain.get("is_admin", False),
        snapshot_id=plain.get("snapshot_id"),
        snapshot_host=plain.get("snapshot_host"),
        snapshot_availability_zone=snapshots.get(plain.get("snapshot_id"), {}).get("availability_zone"),
        active_replica_host=plain.get("active_replica_host"),
        all_replica_hosts=_names(plain.get("all_replica_hosts")),
        retry=None if retry is None else Retry(retry.get("num_attempts", 0), tuple(retry.get("hosts", ()))),
        target_host=plain.get("host"),
        new_size_gib=plain.get("new_size"),
    )


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def _result(
    scheduler: Scheduler,
    document: Mapping[str, Any],
    plain: Mapping[str, Any],
    answer: Mapping[str, Any],
    met: Sequence[str],
) -> dict[str, Any]:
    request = request_of(document, plain)
    story = explain(scheduler, request)
    decision = story.decision
    result: dict[str, Any] = {"id": plain["id"], "op": str(request.operation), "outcome": str(decision.outcome)}
    candidates = [{"host": pool.host, "weight": pool.weight} for pool in decision.candidates]
    stumbles = [diagnostic.summary for diagnostic in decision.diagnostics] + _infinite(scheduler, story)
    if stumbles:
        # Manila gives up on the whole request here; sharectl goes on without the pool, which `instead` records.
        result |= {"outcome": "error", "error": "; ".join(stumbles), "candidates": [], "diagnostics": stumbles}
        result["instead"] = {"outcome": str(decision.outcome), "host": decision.host, "candidates": candidates}
        return result
    if decision.outcome is Outcome.SCHEDULED:
        result["host"] = _reserve(scheduler, request, decision.candidates, decision.host, answer.get("host"))
    else:
        result["last_filter"] = decision.last_filter
    result["candidates"] = candidates
    result["filters"] = [
        {"filter": stage.filter, "passed": stage.passed, "removed": sorted(stage.removed, key=met.index)}
        for stage in story.stages
    ]
    result["raw_weights"] = _raw_weights(story)
    return result


def _infinite(scheduler: Scheduler, story: Explanation) -> list[str]:
    """Return the infinite pools that the capacity rules found room in: sharectl can use them, Manila fails on them."""
    seen: set[str] = {verdict.host for verdict in story.pools}
    for stage in story.stages:
        seen -= set(stage.removed)
        if stage.filter == "CapacityFilter":
            break
    return [
        f"pool {state.host}: free_capacity_gb is {INFINITE!r}"
        for state in scheduler.ledger.states
        if state.host in seen and state.free == INFINITE
    ]


def _reserve(
    scheduler: Scheduler,
    request: Request,
    candidates: Sequence[Candidate],
    chosen: str | None,
    manila_host: str | None,
) -> str | None:
    weights = {pool.host: pool.weight for pool in candidates}
    host = chosen
    if (
        request.operation is not Operation.EXTEND
        and manila_host in weights
        and chosen is not None
        and abs(weights[manila_host] - weights[chosen]) <= WEIGHT_TOLERANCE
    ):
        host = manila_host
    if host is not None:
        scheduler.reserve(request, host)
    return host


def _raw_weights(story: Explanation) -> dict[str, dict[str, float | str]]:
    raw: dict[str, dict[str, float | str]] = {}
    for verdict in story.pools:
        for part in verdict.parts:
            raw.setdefault(part.weigher, {})[verdict.host] = part.raw if math.isfinite(part.raw) else str(part.raw)
    return raw


def _pool_after(state: PoolState) -> dict[str, Any]:
    return {
        "host": state.host,
        "total_capacity_gb": state.total,
        "free_capacity_gb": state.free,
        "allocated_capacity_gb": state.allocated,
        "provisioned_capacity_gb": state.provisioned,
        "thin_provisioning": state.thin,
        "max_over_subscription_ratio": state.ratio,
    }


def main(arguments: list[str]) -> int:
    """Print one line of JSON for each document of the file named on the command line."""
    if len(arguments) != 1:
        sys.stderr.write("usage: replay.py CASES.jsonl[.gz]\n")
        return 2
    for case in read_cases(Path(arguments[0])):
        sys.stdout.write(json.dumps(replay(case)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
