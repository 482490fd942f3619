"""Measure a state in PostgreSQL against one in a file: reading all of it, an apply whose calls take 50 ms, and plan and apply of many shares."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from command import HERE, THIS
from repositories import fresh
from rows import Site
from spine_rows import waiting_environment
from workload import LATENCY_SECONDS, Workload

from sharectl.model.state_urls import url_of_file
from sharectl.state.document import Document
from sharectl.state.postgresql.changes import replace_content as fill_schema
from sharectl.state.postgresql.store import PostgresqlStore
from sharectl.state.sqlite.changes import replace_content as fill_file
from sharectl.state.sqlite.store import SqliteStore
from sharectl.state.stores import open_store
from sharectl.state.testing.samples import ALICE, make_record

sys.path.insert(0, str(HERE))  # the server is that of the tests
from tests import servers
from tests.postgresql import Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from command import Cost

    from sharectl.state.contract import StateStore

READ_LIMIT = 1.0
APPLY_LIMIT = 1.3
ROUNDS = 3
KINDS = ("file", "PostgreSQL")


def filled(url: str, rows: int) -> StateStore:
    """Return a new state with so many shares."""
    store = open_store(url, create=True)
    records = (make_record(f"share-{number:07d}") for number in range(rows))
    document = Document(uuid.uuid4().hex, 1, records, (), (), (), ())
    lease = store.acquire(ALICE, duration_seconds=3600)
    if isinstance(store, SqliteStore):
        with store._transaction(lease) as connection:  # noqa: SLF001 - a document of all rows would take longer than the measurement
            fill_file(connection, document)
    elif isinstance(store, PostgresqlStore):
        schema = store._schema  # noqa: SLF001 - as above
        store._commit(lease, lambda connection, _id, _together: fill_schema(connection, schema, document), 600)  # noqa: SLF001 - as above
    store.release(lease)
    return store


def read(store: StateStore) -> tuple[float, float]:
    """Read everything, and return the CPU time of this process and the wall time."""
    began, cpu = time.perf_counter(), time.process_time()
    with store.read() as reader:
        reader.view()
    return time.process_time() - cpu, time.perf_counter() - began


def measure_reading(file_url: str, server_url: str, rows: int) -> bool:
    """Print what reading costs; return whether the limit is kept."""
    with closing(filled(file_url, rows)) as file, closing(filled(server_url, rows)) as server:
        found = [(read(file), read(server)) for _ in range(ROUNDS)]
    (file_cpu, file_wall), (server_cpu, server_wall) = (
        tuple(min(values) for values in zip(*each, strict=True)) for each in zip(*found, strict=True)
    )
    print(f"{rows} rows, file:       CPU {file_cpu:6.2f} s   wall {file_wall:6.2f} s")
    print(f"{rows} rows, PostgreSQL: CPU {server_cpu:6.2f} s   wall {server_wall:6.2f} s")
    return _told("CPU of reading", server_cpu / file_cpu, READ_LIMIT)


def measure_apply(folder: Path, server: Callable[[], str], shares: int, pairs: int) -> bool:
    """Print what an apply of slow calls takes, in pairs that take turns; return whether the limit is kept."""
    workload = Workload(shares, latency=f"{LATENCY_SECONDS * 1e3:g}ms", waiting=LATENCY_SECONDS)
    environment = waiting_environment(Site(THIS, folder, shares))
    ratios = []
    for number in range(pairs):
        found: dict[str, Cost] = {}
        for kind in KINDS if number % 2 else reversed(KINDS):
            more = {} if kind == "file" else {"SHARECTL_STATE": server()}
            root = fresh(folder / kind, workload)
            THIS.measured(root, "plan", "--out", "plan.json", environment={**environment, **more})
            found[kind] = cost = THIS.measured(root, "apply", "plan.json", environment={**environment, **more})
            print(f"{shares} shares, 50 ms a call, {kind}: {_shown(cost)}", flush=True)
        ratios.append(found["PostgreSQL"].seconds / found["file"].seconds)
    print(f"wall of an apply, by pairs: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")
    return _told("wall of an apply, median", median(ratios), APPLY_LIMIT)


def measure_many(folder: Path, server: Callable[[], str], shares: int) -> None:
    """Print what the first apply of many shares takes, on backends that answer at once, and an empty plan of them."""
    environment = waiting_environment(Site(THIS, folder, shares))
    for kind in KINDS:
        own = environment if kind == "file" else {**environment, "SHARECTL_STATE": server()}
        root = fresh(folder / f"many-{kind}", Workload(shares, waiting=0))
        THIS.measured(root, "plan", "--out", "plan.json", environment=own)
        cost = THIS.measured(root, "apply", "plan.json", environment=own)
        print(f"{shares} shares, first apply ({2 * shares + 20} steps), {kind}: {_shown(cost)}", flush=True)
        costs = [THIS.measured(root, "plan", "--refresh", "none", environment=own) for _ in range(ROUNDS)]
        least = min(costs, key=lambda cost: cost.cpu_seconds)
        print(f"{shares} shares, empty plan, --refresh none, {kind}: {_shown(least)}", flush=True)


def _shown(cost: Cost) -> str:
    load = os.getloadavg()[0]
    return f"wall {cost.seconds:6.2f} s, CPU {cost.cpu_seconds:6.2f} s, {cost.peak_bytes / (1 << 20):.0f} MiB (load {load:.0f})"


def _told(what: str, ratio: float, limit: float) -> bool:
    kept = ratio <= limit
    print(f"{what}: {ratio:.2f} of a file's (limit {limit}){'' if kept else '   BROKEN'}")
    return kept


def main() -> int:
    """Measure, print, and return 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "server",
        metavar="URL",
        nargs="?",
        help="postgresql://USER@HOST/DATABASE; schemas are made in it, and left there [default: a server of its own]",
    )
    parser.add_argument("--only", nargs="+", choices=("read", "apply", "many"), default=("read", "apply"))
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--shares", type=int, default=2_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--many", type=int, default=100_000)
    chosen = parser.parse_args()
    keeper = servers.begin()
    try:
        with tempfile.TemporaryDirectory(prefix="sharectl-bench-") as name, ExitStack() as exits:
            folder = Path(name)
            server = _schemas(chosen.server or _own_server(exits))
            kept = True
            if "read" in chosen.only:
                kept &= measure_reading(url_of_file(folder / "read.db"), server(), chosen.rows)
            if "apply" in chosen.only:
                kept &= measure_apply(folder, server, chosen.shares, chosen.pairs)
            if "many" in chosen.only:
                measure_many(folder, server, chosen.many)
    finally:
        servers.end(keeper)
    return 0 if kept else 1


def _schemas(url: str) -> Callable[[], str]:
    """Return what names a new schema with each call."""
    joint = "&" if "?" in url else "?"
    return lambda: f"{url}{joint}name=bench-{uuid.uuid4().hex[:12]}"


def _own_server(exits: ExitStack) -> str:
    """Start a server, durable as it is by default, and return its URL."""
    server = Server.create()
    exits.callback(server.remove)
    server.start()
    return server.url().partition("&name=")[0]


if __name__ == "__main__":
    raise SystemExit(main())
