"""A schema of its own for each test, in the one PostgreSQL of a test run, with the tables of a state that claims look at."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from sharectl.executors.workers.admission import admit
from sharectl.executors.workers.claims import ALONE, Claim, FinishAnswer, PostgresClaims, Requests, WorkerName
from sharectl.executors.workers.offers import EarlierCalls, Offer, Offers, Run
from sharectl.executors.workers.tables import install
from sharectl.model.records import Holder, Scope
from sharectl.model.state_urls import parse_postgresql_url
from sharectl.state.postgresql.store import open_store
from tests.postgresql import DATABASE, USER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.model.state_urls import PostgresqlPlace
    from tests.postgresql import Server

LEASE_SECONDS = 3600.0
_BEGIN = """
INSERT INTO {s}.operation (operation_id, run_id, address, verb, resource_id, backend, started_at, payload)
VALUES (%s, 'run', %s, 'create-share', %s, 'filer', 'now', '{{}}')
"""


class OneByOne(PostgresClaims):
    """Claims that may be asked for singly."""

    def claim(self, call_id: UUID) -> Claim:
        """Return the answer for one call."""
        return self.claim_all([call_id])[0]

    def finish(self, call_id: UUID, outcome: bytes) -> FinishAnswer:
        """Return the answer for one outcome."""
        return self.finish_all({call_id: outcome})[0]


@dataclass
class Database:
    """A state, whose run has the lease `token`."""

    server: Server
    place: PostgresqlPlace
    token: int = 0
    closed: list[Any] = field(default_factory=list)

    def connect(self, user: str = USER) -> psycopg.Connection[Any]:
        """Open a connection."""
        return psycopg.connect(host=str(self.server.folder), user=user, dbname=DATABASE, autocommit=True)

    def requests(self, user: str = USER) -> Requests:
        """Return requests in the name of a role, closed with the test."""
        made = Requests(replace(self.place, parameters={**self.place.parameters, "user": user}))
        self.closed.append(made)
        return made

    def set_sessions(self, setting: str) -> None:
        """Let sessions begin with this setting from here on, as the database or a role may have it."""
        self.place = replace(self.place, parameters={**self.place.parameters, "options": f"-c {setting}"})
        del self.own

    @cached_property
    def own(self) -> Requests:
        """Requests of the owner."""
        return self.requests()

    def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Do this as the owner; `{s}` stands for the schema."""
        composed = sql.SQL(statement).format(s=self.own.schema)  # type: ignore[arg-type]
        with closing(self.connect()) as connection:
            cursor = connection.execute(composed, values or None)
            return cursor.fetchall() if cursor.description is not None else []

    def begin(self, operation_id: str, address: str) -> None:
        """Write an intent."""
        self.execute(_BEGIN, operation_id, address, operation_id)

    def offers(self, token: int | None = -1, run_id: str = "run", protocol: int = ALONE) -> Offers:
        """Return the offers of a run, of the one with the lease unless there is another token."""
        return Offers(self.own, Run(run_id, "lineage", self.token if token == -1 else token, protocol))

    def leases(self, *addresses: str) -> list[int]:
        """Hold a lease for each of these addresses in place of that for everything; return their tokens."""
        with closing(open_store(self.place, create=False)) as store:
            self.execute("DELETE FROM {s}.lease")
            scopes = [Scope(frozenset({"filer"}), frozenset({address})) for address in addresses]
            holder = Holder("somebody", "host", 1, "apply")
            return [store.acquire(holder, duration_seconds=3600.0, scope=scope).token for scope in scopes]

    @property
    def earlier(self) -> EarlierCalls:
        """What is left of earlier runs."""
        return EarlierCalls(self.own)

    def worker(self, name: str = "w", *, user: str = USER, serves: bool = True, **changes: object) -> OneByOne:
        """Return the claims of a worker, which has presented itself."""
        worker = WorkerName(name, "filer", "host", 1, "1.0", 4, "digest", LEASE_SECONDS)
        worker = replace(worker, **changes)  # type: ignore[arg-type]
        claims = OneByOne(self.requests(user), worker)
        if serves:
            claims.serve()
        return claims

    def offer(
        self, address: str | None = "share/a", *, token: int | None = -1, protocol: int = ALONE, **changes: object
    ) -> UUID:
        """Offer a call at this address, with its open intent, or a question."""
        call_id = uuid4()
        operation_id = None if address is None else f"operation {call_id}"
        if operation_id is not None and address is not None:
            self.begin(operation_id, address)
        offer = Offer(call_id, "filer", "digest", b"body", operation_id, address)
        self.offers(token, protocol=protocol).offer([replace(offer, **changes)])  # type: ignore[arg-type]
        return call_id

    def lapse(self, call_id: UUID) -> None:
        """Let the lease of a claim be over."""
        self.execute("UPDATE {s}.call SET lease_until = clock_timestamp() - interval '1 s' WHERE call_id = %s", call_id)


@pytest.fixture
def database(postgresql: Server) -> Iterator[Database]:
    """Make a state whose lease is held, with the tables of workers; remove it afterwards."""
    made = Database(postgresql, parse_postgresql_url(postgresql.url()))
    with closing(open_store(made.place, create=True)) as store:
        made.token = store.acquire(Holder("somebody", "host", 1, "apply"), duration_seconds=3600.0).token
    with made.own.connection() as connection:
        install(connection, made.place.schema)
    yield made
    made.execute("DROP SCHEMA {s} CASCADE")
    for each in made.closed:
        each.close()


@pytest.fixture
def role(database: Database) -> Iterator[str]:
    """Return a role that serves the backend `filer`, and nothing else."""
    name = f"worker_{os.getpid()}_{uuid4().hex[:8]}"
    database.execute(f"CREATE ROLE {name} LOGIN")
    with database.own.connection() as connection:
        admit(connection, database.place.schema, name, "filer")
    yield name
    database.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
