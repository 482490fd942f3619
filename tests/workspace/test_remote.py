"""What a run does about the calls that workers still make for an earlier one: it waits, within bounds, and takes over nothing that goes on."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import compress

import pytest

from sharectl.executors.answers import Done
from sharectl.executors.base import Remains
from sharectl.executors.wire import encode
from sharectl.executors.workers.claims import ClaimAnswer
from sharectl.manifests.project import Project
from sharectl.model.backends import BackendSpec
from sharectl.model.events import CallsUnderWay
from sharectl.model.records import EVERYTHING, Scope, within
from sharectl.model.settings import ExecutionSettings, SafetyLimits, SchedulerSettings
from sharectl.state.contract import LeaseLostError
from sharectl.state.postgresql.store import open_store
from sharectl.workspace.backends import opened_backends
from sharectl.workspace.remote import RemoteBackends, makers_of
from sharectl.workspace.run import describe_run, locked_run

if TYPE_CHECKING:
    from uuid import UUID

    from sharectl.model.events import Event
    from tests.executors.workers.conftest import Database

_REMOVALS = "UPDATE {s}.operation SET verb = 'delete-share', payload = '{{\"spec\": null}}', started_at = '2026-01-01T00:00:00Z'"
"""Intents that a state may really hold."""
SPEC = BackendSpec("filer", "simulated", {}, step_timeout_seconds=600.0)


def project(database: Database) -> Project:
    """Return a project whose backends are all local by now."""
    url = database.server.url(database.place.name)
    settings = (SafetyLimits(), SchedulerSettings())
    execution = ExecutionSettings(lease_seconds=60.0)
    return Project(Path("/nowhere"), None, (), url, Path("/nowhere/cache"), *settings, execution=execution)


class NewRun:
    """A run that begins after another: it waits by a clock of its own, and sees what happens meanwhile."""

    def __init__(self, database: Database) -> None:
        """Begin at zero."""
        self.database = database
        self.seconds = 0.0
        self.events: list[Event] = []
        self.is_lost = False

    def wait(self, seconds: float) -> None:
        """Let time go by."""
        self.seconds += seconds

    def require(self) -> None:
        """Have the lease until it `is_lost`."""
        if self.is_lost:
            raise LeaseLostError

    def remains(self, scope: Scope = EVERYTHING) -> dict[str, Remains]:
        """Return what remains for a run that begins now, on all or on some addresses, after one that has ended."""
        self.database.execute("DELETE FROM {s}.lease WHERE token = %s", self.database.token)
        self.database.execute(_REMOVALS)
        with (
            closing(open_store(self.database.place, create=False)) as store,
            store.read() as reader,
            closing(RemoteBackends(project(self.database), {"filer": SPEC}, lambda _: None)) as remote,
        ):
            operations = within(scope, reader.view(())).operations
            clock, wait = lambda: self.seconds, self.wait
            return remote.remains(operations, scope, self.events.append, wait, self.require, clock)


def claimed(database: Database, address: str | None = "share/a", *, since: str = "0 s") -> UUID:
    """Have a worker make a call since then."""
    call_id = database.offer(address)
    database.worker(f"worker {call_id}").claim(call_id)
    database.execute("UPDATE {s}.call SET claimed_at = claimed_at - %s::interval WHERE call_id = %s", since, call_id)
    return call_id


def test_where_no_backend_was_ever_remote_nothing_is_made(database: Database) -> None:
    """A state that has never had workers stays as it is."""
    database.execute("DROP TABLE {s}.call, {s}.worker CASCADE")
    assert NewRun(database).remains() == {}
    assert database.execute("SELECT to_regclass(%s)", f"{database.place.schema}.call") == [(None,)]


def test_a_call_that_hangs_is_given_up_when_a_step_may_take_no_longer(database: Database) -> None:
    """Its worker may renew for ever; after a lease more the run goes on, and what it is about stays as it is."""
    call_id = claimed(database, since="11 min")
    waiting = NewRun(database)
    assert waiting.remains() == {f"operation {call_id}": Remains(has_begun=True, is_under_way=True)}
    assert 60.0 <= waiting.seconds < 62.0
    assert database.execute("SELECT given_up_at IS NOT NULL FROM {s}.call") == [(True,)]
    assert [type(event) for event in waiting.events] == [CallsUnderWay]


def on(address: str) -> Scope:
    """Return the scope of a run on an address of the backend."""
    return Scope(frozenset({"filer"}), frozenset({address}))


def test_what_others_do_at_other_addresses_is_not_waited_for(database: Database) -> None:
    """Neither a run that is gone nor one that has a lease; who wants everything waits, for what is of no run."""
    gone = claimed(database, since="11 min")
    (living,) = database.leases("share/b")
    assert database.worker().claim(database.offer("share/b", token=living)).answer is ClaimAnswer.GO
    database.execute("UPDATE {s}.call SET claimed_at = claimed_at - interval '11 min'")
    waiting = NewRun(database)
    assert waiting.remains(on("share/c")) == {}
    assert waiting.seconds == 0.0
    assert database.execute("SELECT count(*) FROM {s}.call WHERE given_up_at IS NOT NULL") == [(0,)]
    remains = waiting.remains(on("share/a"))
    assert remains == {f"operation {gone}": Remains(has_begun=True, is_under_way=True)}
    assert database.execute("SELECT call_id FROM {s}.call WHERE given_up_at IS NOT NULL") == [(gone,)]


def test_whoever_has_lost_the_lock_waits_for_nothing(database: Database) -> None:
    """Somebody else does by then."""
    claimed(database)
    waiting = NewRun(database)
    waiting.is_lost = True
    with pytest.raises(LeaseLostError):
        waiting.remains()


def test_who_makes_the_call_of_an_open_operation_is_known(database: Database) -> None:
    """While the claim lives; where there are no workers, or their tables cannot be read, nobody is named."""
    call_id = claimed(database)
    assert makers_of(project(database)) == {f"operation {call_id}": f"worker {call_id}"}
    database.execute("UPDATE {s}.call SET lease_until = clock_timestamp()")
    assert makers_of(project(database)) == {}
    database.execute("DROP TABLE {s}.call, {s}.worker CASCADE")
    assert makers_of(project(database)) == {}


def test_what_a_recovery_was_doing_holds_up_every_intent_of_its_backend(database: Database) -> None:
    """Nobody knows which of them it is about; the one of another backend is not held up."""
    database.begin("op", "share/b")
    database.begin("other", "share/c")
    database.execute("UPDATE {s}.operation SET backend = 'other' WHERE operation_id = 'other'")
    claimed(database, None, since="11 min")
    assert NewRun(database).remains() == {"op": Remains(has_begun=True, is_under_way=True)}


def test_a_backend_that_has_become_local_is_left_alone_until_its_worker_has_ended(database: Database) -> None:
    """The intent is resolved after that, and not while the share may still be made."""
    call_id = claimed(database)
    worker = database.worker(f"worker {call_id}", serves=False)
    events: list[Event] = []

    def observe(event: Event) -> None:
        events.append(event)
        if isinstance(event, CallsUnderWay):
            worker.finish(call_id, compress(encode(Done())))

    database.execute(_REMOVALS)
    database.execute("UPDATE {s}.lease SET heartbeat_at = heartbeat_at - interval '2 h'")
    with (
        closing(open_store(database.place, create=False)) as store,
        opened_backends({}, project(database), lambda _: None) as backends,
        locked_run(store, backends, describe_run("test", Path("/"), {}), observe),
    ):
        assert [event.addresses for event in events if isinstance(event, CallsUnderWay)] == [("share/a",)]
