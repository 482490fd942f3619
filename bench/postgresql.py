"""Measure a state in PostgreSQL against one in a file: reading all of it, and an apply whose calls take 50 ms."""

from __future__ import annotations

import argparse
import tempfile
import time
import uuid
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from command import THIS
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

if TYPE_CHECKING:
    from sharectl.state.contract import StateStore

READ_LIMIT = 1.0
APPLY_LIMIT = 1.3
ROUNDS = 3
APPLY_ROUNDS = 2


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
        store._commit(lease, lambda connection, _id, _together: fill_schema(connection, schema, document), "10min")  # noqa: SLF001 - as above
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


def measure_apply(folder: Path, server_url: str, shares: int) -> bool:
    """Print what an apply of slow calls takes; return whether the limit is kept."""
    workload = Workload(shares, latency=f"{LATENCY_SECONDS * 1e3:g}ms", waiting=LATENCY_SECONDS)
    environment = waiting_environment(Site(THIS, folder, shares))
    seconds: dict[str, list[float]] = {"file": [], "PostgreSQL": []}
    for number in range(APPLY_ROUNDS):
        url = f"{server_url}-{number}"
        for name, more in (("file", {}), ("PostgreSQL", {"SHARECTL_STATE": url})):
            root = fresh(folder / name, workload)
            THIS.measured(root, "plan", "--out", "plan.json", environment={**environment, **more})
            cost = THIS.measured(root, "apply", "plan.json", environment={**environment, **more})
            seconds[name].append(cost.seconds)
            print(f"{shares} shares, 50 ms a call, {name}: wall {cost.seconds:6.2f} s, CPU {cost.cpu_seconds:6.2f} s")
    return _told("wall of an apply", min(seconds["PostgreSQL"]) / min(seconds["file"]), APPLY_LIMIT)


def _told(what: str, ratio: float, limit: float) -> bool:
    kept = ratio <= limit
    print(f"{what}: {ratio:.2f} of a file's (limit {limit}){'' if kept else '   BROKEN'}")
    return kept


def main() -> int:
    """Measure, print, and return 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "server", metavar="URL", help="postgresql://USER@HOST/DATABASE; schemas are made in it, and left there"
    )
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--shares", type=int, default=1_000)
    chosen = parser.parse_args()
    joint = "&" if "?" in chosen.server else "?"

    def server() -> str:
        return f"{chosen.server}{joint}name=bench-{uuid.uuid4().hex[:12]}"

    with tempfile.TemporaryDirectory(prefix="sharectl-bench-") as folder:
        kept = [
            measure_reading(url_of_file(Path(folder, "read.db")), server(), chosen.rows),
            measure_apply(Path(folder), server(), chosen.shares),
        ]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    raise SystemExit(main())
