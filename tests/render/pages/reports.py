"""Reports to be shown, as they are brought together from a state."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sharectl.model.access import AccessRule
from sharectl.model.canonical import canonical_json
from sharectl.model.records import HistoryEntry, HistoryLine, OperationRecord, Record, RuleRecord, RunRecord
from sharectl.model.usage import PoolSample, ShareSample
from sharectl.workspace.freshness import Freshness
from sharectl.workspace.listing import Condition, ListedShare
from sharectl.workspace.report import BackendReport, Grant, Grantee, PoolReport, Report, ShareReport

if TYPE_CHECKING:
    from collections.abc import Collection

GIB = 1 << 30
NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
RUN = RunRecord("run-1", "apply", "root", "admin1", "2026-02-27T10:00:00.000Z", ci_job_url="https://ci.example/7")
AN_OPERATION = OperationRecord(
    "op1", "run-1", "share/broken", "extend-share", "r", "nas1", "pool1", "2026-02-27T10:00:01.000Z", b"{}"
)
_BACKENDS = ("nas1", "nas2", "filer-berlin")
_TEAMS = ("research", "finance", "video")


def a_share(number: int, **changes: object) -> ShareReport:
    """Return a share like many others, told apart by its number."""
    name = str(changes.pop("name", f"share-{number:05}"))
    backend = str(changes.pop("backend", _BACKENDS[number % 3]))
    labels = changes.pop("labels", {"team": _TEAMS[number % 3], "env": "prod"})
    protocol = ("NFS", "CIFS", "NFS_CIFS")[number % 3]
    size_bytes = (number % 40 + 1) * 25 * GIB
    spec = {
        "name": name,
        "size_bytes": size_bytes,
        "protocol": protocol,
        "share_type": "gold",
        "labels": labels,
        "deletion_policy": "trash",
    }
    record = Record(
        f"share/{name}",
        "share",
        f"{number:032x}",
        backend,
        f"pool{number % 2 + 1}",
        1,
        b"d" * 16,
        b"a" * 16,
        size_bytes,
        number % 7 == 0,
        canonical_json(spec),
        b"{}",
    )
    listed = ListedShare(
        record.address,
        Condition.OK,
        size_bytes=size_bytes,
        used_bytes=size_bytes * (number % 10) // 10 if number % 11 else None,
        seen_at=int(NOW.timestamp()) - 3600,
        protocol=protocol,
        backend=backend,
        pool=record.pool,
        resource_id=record.resource_id,
        share_type="gold",
        labels=labels,  # type: ignore[arg-type]
        export_locations=(f"{backend}.example:/export/{name}",),
    )
    rules = (
        RuleRecord(AccessRule("ip", "10.0.0.0/8", "ro"), "active"),
        RuleRecord(AccessRule("ip", f"10.{number % 5}.3.0/24", "rw"), "active"),
        RuleRecord(AccessRule("user", "CORP\\alice", "rw"), "active"),
    )
    past = (a_line(number + 1, f"share/{name}", "create-share"),)
    fields: dict[str, object] = {"listed": listed, "record": record, "rules": rules, "history": past, **changes}
    return ShareReport(**fields)  # type: ignore[arg-type]


def a_line(sequence: int, address: str, verb: str, outcome: str = "done", detail: bytes = b"{}") -> HistoryLine:
    """Return an entry of the history."""
    return HistoryLine(sequence, HistoryEntry("run-1", "2026-02-27T10:00:01.000Z", address, verb, outcome, detail), RUN)


def a_failed_share() -> ShareReport:
    """Return a share of which the last step failed."""
    failure = a_line(
        9, "share/broken", "extend-share", "failed", b'{"error":"the pool has no room: 10GiB free, 200GiB asked for"}'
    )
    refused = RuleRecord(AccessRule("user", "nobody", "rw"), "error", "no such user")
    share = a_share(1, name="broken", rules=(refused,), history=(failure,))
    note = "extend-share: the pool has no room: 10GiB free, 200GiB asked for (2026-02-27T10:00:01.000Z)"
    return replace(share, listed=share.listed._replace(condition=Condition.FAILED, note=note))


def an_unmade_share() -> ShareReport:
    """Return a share that the last run could not make, of which nothing but that is known."""
    note = "create-share: no backend answers (2026-02-27T10:00:02.000Z)"
    return ShareReport(ListedShare("share/unmade", Condition.FAILED, note))


def a_report(*shares: ShareReport, **changes: object) -> Report:
    """Return the report of these shares."""
    by_backend: dict[str, list[ShareReport]] = {}
    by_name: dict[tuple[str, str], list[Grant]] = {}
    for share in shares:
        if share.listed.backend is not None:
            by_backend.setdefault(share.listed.backend, []).append(share)
        for recorded in share.rules:
            if recorded.status == "active":
                who = (recorded.rule.access_type, recorded.rule.access_to)
                by_name.setdefault(who, []).append(Grant(share, recorded.rule))
    backends = tuple(
        BackendReport(name, "simulated", _pools(name, held), tuple(held)) for name, held in sorted(by_backend.items())
    )
    fields: dict[str, object] = {
        "history": tuple(line for share in shares[:40] for line in share.history),
        "samples_of": samples_of_shares,
        "operations": (AN_OPERATION,) if shares else (),
        **changes,
    }
    return Report(
        NOW,
        "/srv/storage/.sharectl/state.db",
        Freshness(RUN.started_at, RUN),
        shares,
        backends,
        tuple(Grantee(*who, tuple(grants)) for who, grants in sorted(by_name.items())),
        **fields,  # type: ignore[arg-type]
    )


def a_growing_pool(days: int = 60, total_gib: int = 20_000) -> tuple[PoolSample, ...]:
    """Return what a pool said each third day, until it was nearly full."""
    last = int(NOW.timestamp())
    used = [total_gib * (40 + 55 * number // days) // 100 for number in range(0, days + 1, 3)]
    return tuple(
        PoolSample(last - (days - 3 * number) * 86400, total_gib * GIB, (total_gib - each) * GIB, each * 2 * GIB)
        for number, each in enumerate(used)
    )


def samples_of_shares(resource_ids: Collection[str]) -> dict[str, tuple[ShareSample, ...]]:
    """Return samples of shares that grow."""
    first = int(NOW.timestamp()) - 30 * 86400
    growing = tuple(ShareSample(first + day * 86400, (5 + day) * GIB) for day in range(31))
    return dict.fromkeys(resource_ids, growing)


def _pools(backend: str, shares: list[ShareReport]) -> tuple[PoolReport, ...]:
    sizes: dict[str, list[int]] = {}
    for share in shares:
        sizes.setdefault(share.listed.pool or "", []).append(share.listed.size_bytes or 0)
    return tuple(
        PoolReport(backend, pool, len(each), sum(each), a_growing_pool() if pool == "pool1" else ())
        for pool, each in sorted(sizes.items())
    )
