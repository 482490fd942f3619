"""Recovery gets on: outcomes are durable as they come, in lanes and in bulk, and what hangs holds up only itself."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import sharectl.engine.recovery
import sharectl.workspace.run
from sharectl.drivers.base import BackendUnavailableError, TransientError
from sharectl.drivers.simulated.driver import SimulatedDriver
from sharectl.engine.environment import Environment
from sharectl.engine.tenure import Heartbeat
from sharectl.executors.workers.claims import ClaimsUnavailableError, Requests
from sharectl.executors.workers.executor import NoHints, Remote, Workers
from sharectl.executors.workers.offers import Offers, Run
from sharectl.model.canonical import canonical_json
from sharectl.model.events import OperationRecovered, RecoveryStarted
from sharectl.model.observed import ObservedShare
from sharectl.model.records import BeginOperation, OperationRecord
from sharectl.model.specs import ShareSpec
from sharectl.model.state_urls import parse_postgresql_url
from sharectl.model.verbs import Verb
from sharectl.state.contract import StateUnavailableError
from sharectl.workspace.run import describe_run, held_lease
from tests.engine.site import Site, backend, share, widest
from tests.engine.test_order import before_calls

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sharectl.executors.base import Execute, Permit
    from sharectl.model.events import Event
    from sharectl.model.records import Lease
    from tests.engine.conftest import Clock

COUNT = 40
ONE_MINUTE_SECONDS = 60.0


def leave_open(site: Site, verb: str, ids: list[str], name: str = "a") -> None:
    """Leave many intents as a run would that was killed."""
    record = describe_run("died", site.root, {})
    operations = [
        BeginOperation(
            OperationRecord(
                operation_id=f"op-{each}",
                run_id=record.run_id,
                address=f"share/{each}",
                verb=verb,
                resource_id=each,
                backend=name,
                pool="pool",
                started_at="2026-01-01T00:00:00Z",
                payload=canonical_json({"spec": ShareSpec(each, 1 << 30, "NFS").as_plain(), "extra_specs": {}}),
            )
        )
        for each in ids
    ]
    with site.store() as store, held_lease(store, record) as lease:
        store.commit(lease, operations)


def recover(site: Site) -> list[Event]:
    """Take the lock, resolve what is open, and give it back."""
    events: list[Event] = []
    with site.store() as store, site.opened(store) as (backends, _), site.locked(store, backends, events):
        pass
    return events


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a site with a prepared backend, four calls wide."""
    made = Site(tmp_path / "r").write(backend("a", lanes=4), share("x"))
    assert made.apply().result.succeeded
    return made


def ids(prefix: str = "r", count: int = COUNT) -> list[str]:
    """Return ids of shares that are on no backend."""
    return [f"{prefix}{number:04}" for number in range(count)]


def test_many_intents_are_looked_up_at_once_and_resolved_in_lanes(site: Site) -> None:
    """One listing for all, then calls side by side, no more than the backend is wide; and people see that it begins."""
    leave_open(site, Verb.CREATE_SHARE, ids())
    site.query("a", "DELETE FROM calls")
    site.write(backend("a", lanes=4, config="latency: {delete_share: 50ms},"), share("x"))
    events = recover(site)
    assert events[0] == RecoveryStarted(COUNT, {"a": COUNT})
    assert sum(isinstance(event, OperationRecovered) for event in events) == COUNT
    assert len(site.calls("a", "list_shares")) == 1
    sweeps = site.calls("a", "delete_share")
    assert len(sweeps) == COUNT
    assert 2 <= widest(sweeps) <= 4
    assert not site.view().operations


def test_the_limit_is_on_silence_and_not_on_the_whole(
    site: Site, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """All that are slow take several times as long as one may be silent."""
    leave_open(site, Verb.CREATE_SHARE, ids(count=16))
    before_calls(monkeypatch, "delete_share", lambda _: clock.pass_by(ONE_MINUTE_SECONDS / 4))
    site.write(backend("a", lanes=1, spec="recoveryTimeout: 60s,"), share("x"))
    recover(site)
    assert not site.view().operations


def test_one_that_hangs_holds_up_only_itself(site: Site, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """Also where the backend is one call wide; what is resolved is durable."""
    leave_open(site, Verb.CREATE_SHARE, ids())
    before_calls(
        monkeypatch, "delete_share", lambda number: clock.pass_by(ONE_MINUTE_SECONDS + 1.0) if number == 3 else None
    )
    hangs = "faults: [{call: delete_share, nth: 3, effect: hang}],"
    site.write(backend("a", lanes=1, spec="recoveryTimeout: 60s,", config=hangs), share("x"))
    recover(site)
    assert len(site.view().operations) == 1
    site.write(backend("a", lanes=1), share("x"))
    recover(site)
    assert not site.view().operations


def test_a_backend_that_never_answers_is_given_up_and_others_are_not(site: Site) -> None:
    """After little more calls than it is wide, and not after all of them."""
    other = backend("b", lanes=1)
    site.write(backend("a", lanes=1), other, share("x")).apply()
    leave_open(site, Verb.CREATE_SHARE, ids())
    site.query("a", "DELETE FROM calls")
    hangs = "faults: [{call: delete_share, effect: hang}], hangSeconds: 30,"
    site.write(backend("a", lanes=1, spec="recoveryTimeout: 300ms,", config=hangs), other, share("x"))
    recover(site)
    assert len(site.view().operations) == COUNT
    assert len(site.calls("a", "delete_share")) < 5


def test_a_recovery_that_is_killed_has_got_on(site: Site) -> None:
    """What was resolved before stays resolved: the next one has less to do, however often it is cut short."""
    leave_open(site, Verb.CREATE_SHARE, ids())
    site.write(backend("a", lanes=1, config="latency: {delete_share: 5ms},"), share("x"))
    left = COUNT

    class _Killed(BaseException):
        pass

    for _ in range(3):
        seen: list[Event] = []

        def observe(event: Event, seen: list[Event] = seen) -> None:
            seen.append(event)
            if sum(isinstance(each, OperationRecovered) for each in seen) == 5:
                raise _Killed

        record = describe_run("recovers", site.root, {})
        with (
            site.store() as store,
            site.opened(store) as (backends, _planned),
            pytest.raises(_Killed),
            sharectl.workspace.run.locked_run(store, backends, record, observe),
        ):
            pass
        now = len(site.view().operations)
        assert now <= left - 5
        left = now


def _raiser(error: BaseException) -> Callable[..., Any]:
    def raises(*_: object) -> None:
        raise error

    return raises


@pytest.mark.parametrize("method", ["report", "list_shares", "delete_share"])
@pytest.mark.parametrize(
    "error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), MemoryError(), RecursionError()]
)
def test_a_driver_that_raises_anything_ends_its_recovery_and_nothing_else(
    site: Site, monkeypatch: pytest.MonkeyPatch, method: str, error: BaseException
) -> None:
    """The intents stay, the thread's end is noticed, and the next run resolves them."""
    leave_open(site, Verb.CREATE_SHARE, ids(count=6))
    with monkeypatch.context() as patch:
        patch.setattr(SimulatedDriver, method, _raiser(error))
        recover(site)
    assert len(site.view().operations) == 6
    recover(site)
    assert not site.view().operations


def test_a_listing_that_fails_for_all_is_asked_for_each(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """One intent that the backend cannot be asked about spoils no other."""
    leave_open(site, Verb.CREATE_SHARE, ids(count=6))
    plain = SimulatedDriver.list_shares

    def lists(driver: SimulatedDriver, wanted: list[str] | None = None) -> object:
        if wanted is not None and (len(wanted) > 1 or "r0003" in wanted):
            message = "bad id"
            raise ValueError(message)
        return plain(driver, wanted)

    monkeypatch.setattr(SimulatedDriver, "list_shares", lists)
    recover(site)
    assert [operation.resource_id for operation in site.view().operations] == ["r0003"]


def test_no_call_of_a_recovery_that_was_given_up_begins_later(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing that comes back after its time is not followed by what it would have led to."""
    site.write(backend("a", spec="recoveryTimeout: 300ms,"), share("x"))
    leave_open(site, Verb.CREATE_SHARE, ids(count=1))
    going_on = threading.Event()
    plain = SimulatedDriver.list_shares
    site.query("a", "DELETE FROM calls")

    def lists(driver: SimulatedDriver, wanted: list[str] | None = None) -> object:
        if wanted is not None:
            going_on.wait(300)
        try:
            return plain(driver, wanted)
        except BackendUnavailableError:
            return []

    monkeypatch.setattr(SimulatedDriver, "list_shares", lists)
    recover(site)
    going_on.set()
    for thread in threading.enumerate():
        if thread.name.startswith("lane-"):
            thread.join(300)
    assert not site.calls("a", "delete_share")
    assert len(site.view().operations) == 1


def test_passing_trouble_is_tried_again(site: Site) -> None:
    """Two that are resolved side by side may be in each other's way for a moment."""
    leave_open(site, Verb.CREATE_SHARE, ids(count=6))
    site.write(backend("a", lanes=4, config="faults: [{call: delete_share, first: 2, effect: transient}],"), share("x"))
    recover(site)
    assert not site.view().operations


@pytest.mark.parametrize("method", ["report", "list_shares"])
def test_passing_trouble_with_the_first_question_is_tried_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Whether it is the one for the backend's identity or the listing: no intent waits for the next run because of it."""
    leave_open(site, Verb.CREATE_SHARE, ids(count=6))
    plain, troubles = getattr(SimulatedDriver, method), [TransientError("busy"), TransientError("still busy")]

    def asked(*arguments: object) -> object:
        if troubles:
            raise troubles.pop()
        return plain(*arguments)

    monkeypatch.setattr(SimulatedDriver, method, asked)
    recover(site)
    assert not site.view().operations


def test_how_long_a_backend_may_be_silent_is_its_own(tmp_path: Path) -> None:
    """One that is slow to say what became of an intent has the time; another is left to the next run sooner."""
    slow = "latency: {list_shares: 700ms},"
    backends = [
        backend(name, spec=f"availabilityZone: {name}, recoveryTimeout: {seconds},")
        for name, seconds in (("a", "30s"), ("b", "200ms"))
    ]
    site = Site(tmp_path / "r").write(
        *backends, *(share(f"in-{name}", spec=f"availabilityZone: {name}") for name in "ab")
    )
    assert site.apply().result.succeeded
    for name in "ab":
        leave_open(site, Verb.CREATE_SHARE, ids(name, 2), name)
    site.write(*(manifest.replace("log: true,", f"log: true, {slow}") for manifest in backends), share("x"))
    recover(site)
    assert {operation.backend for operation in site.view().operations} == {"b"}


def test_a_value_that_cannot_be_recorded_holds_up_no_other_intent(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend may list 2^64 - 1 bytes where it means that there is no limit. What else is open is resolved, and the apply goes on."""
    leave_open(site, Verb.CREATE_SHARE, ids(count=6))
    plain = SimulatedDriver.list_shares
    limitless = ObservedShare("r0003", "pool/r0003", "r0003", "pool", (1 << 64) - 1, "NFS", (), (), None, None)

    def lists(driver: SimulatedDriver, wanted: list[str] | None = None) -> object:
        return [*plain(driver, wanted), *([limitless] if wanted and "r0003" in wanted else [])]

    monkeypatch.setattr(SimulatedDriver, "list_shares", lists)
    monkeypatch.setattr(SimulatedDriver, "create_share", lambda *_: limitless)
    recover(site)
    assert [operation.resource_id for operation in site.view().operations] == ["r0003"]


class _Unrenewed:
    """As much of a store as a tenure needs, whose server is away."""

    location = "here"

    def __init__(self) -> None:
        self.tries = 0

    def renew(self, lease: Lease) -> None:
        """Try."""
        self.tries += 1
        raise StateUnavailableError(self.location, "the server is away")


class _Unanswered(Offers):
    """Offers to a database that is away."""

    def _ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        del query, values
        message = "the server is away"
        raise ClaimsUnavailableError(message)


def test_a_recovery_through_workers_ends_where_the_server_of_the_state_stays_away(tmp_path: Path) -> None:
    """However much it has asked: the server is tried once for all of it, and once more before the recovery says so."""
    names = ("a", "b", "c")
    site = Site(tmp_path / "r").write(*(backend(name) for name in names))
    for name in names:
        leave_open(site, Verb.CREATE_SHARE, [f"{name}1"], name)
    record = describe_run("test", site.root, {})

    def workers(_execute: Execute, permit: Permit, _width: Callable[[str], int], clock: Callable[[], float]) -> Workers:
        offers = _Unanswered(Requests(parse_postgresql_url("postgresql://me@/x?name=a")), Run("run", "lineage", 1))
        return Workers(offers, NoHints(), lambda _: Remote(1, "digest"), clock, permit)

    with site.store() as store, site.opened(store) as (backends, _), held_lease(store, record) as lease:
        away = _Unrenewed()
        with pytest.raises(StateUnavailableError, match="the server is away"):
            sharectl.engine.recovery.recover(
                store,
                Heartbeat(away, lease),  # type: ignore[arg-type] - as much of a store as it needs
                run=record,
                environment=Environment(driver=backends.driver, executor=workers),
                width=backends.width,
                timeout_seconds=backends.recovery_timeout_seconds,
                observer=lambda _: None,
            )
    assert away.tries == 2
    assert len(site.view().operations) == len(names)
