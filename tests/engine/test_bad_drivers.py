"""Drivers that break their contract: the run ends all the same, and says which one it was."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import sharectl.workspace.run
from sharectl.apply import apply
from sharectl.drivers.base import DriverError
from sharectl.drivers.simulated.driver import SimulatedDriver
from sharectl.engine.cancel import Cancellation
from sharectl.model.events import StepFailed, StepStarted
from tests.engine.site import Run, Site, backend, share, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sharectl.model.events import Event
    from sharectl.model.observed import ObservedShare
    from sharectl.model.records import RuleRecord
    from sharectl.model.requests import ShareRequest

RULE = "access: [{type: ip, to: 10.0.0.0/8, level: rw}]"


def apply_with(
    site: Site,
    method: str,
    instead: Callable[..., Any],
    observer: Callable[[Event], None] = lambda _: None,
    cancellation: Cancellation | None = None,
) -> Run:
    """Apply with a real driver one of whose methods has been replaced."""
    events: list[Event] = []

    def observe(event: Event) -> None:
        events.append(event)
        observer(event)

    with site.store() as store, site.opened(store) as (backends, planned), site.locked(store, backends, events) as run:
        plan = planned()
        setattr(backends.driver("a"), method, instead)
        result = apply(
            plan,
            store=store,
            heartbeat=run.heartbeat,
            run=run.record,
            environment=run.environment,
            observer=observe,
            cancellation=cancellation,
        )
    return Run(plan, result, events)


def _break(*_: object) -> None:
    message = "boom"
    raise RuntimeError(message)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a site with a prepared backend."""
    made = Site(tmp_path / "r").write(backend("a"))
    assert made.apply().result.succeeded
    return made.write(backend("a"), share("x", spec=RULE), share("y"), snapshot("s", "x"))


def test_an_exception_that_is_none_of_the_contract_leaves_the_intent_open(site: Site) -> None:
    """How the call ended is unknown, and the next apply asks."""
    run = apply_with(site, "create_share", _break)
    assert {failure.error for failure in run.result.failures} == {
        "the driver failed in a way that it should not: RuntimeError: boom"
    }
    assert all(failure.unresolved for failure in run.result.failures)
    assert len(site.view().operations) == 2
    assert site.apply().result.succeeded
    assert site.plan().is_empty


def test_a_refusal_whose_text_is_no_unicode_is_a_refusal(site: Site) -> None:
    """It may name a file whose name cannot be decoded. Nothing is in doubt, and people read what the driver said."""

    def refuse(*_: object) -> None:
        message = "cannot replace caf\udce9"
        raise DriverError(message)

    run = apply_with(site, "create_share", refuse)
    assert {failure.error for failure in run.result.failures} == {"cannot replace caf\\udce9"}
    assert not any(failure.unresolved for failure in run.result.failures)
    assert not site.view().operations


def test_a_size_that_cannot_be_recorded_fails_its_own_step_and_is_named(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is written with it in one transaction is recorded."""
    plain = SimulatedDriver.create_share

    def create(driver: SimulatedDriver, request: ShareRequest) -> ObservedShare:
        made = plain(driver, request)
        return made._replace(size_bytes=(1 << 64) - 1) if request.name == "y" else made

    monkeypatch.setattr(SimulatedDriver, "create_share", create)
    run = site.apply()
    assert [(failure.address, failure.unresolved) for failure in run.result.failures] == [("share/y", True)]
    assert "size_bytes of 'y' is 18446744073709551615" in run.result.failures[0].error
    assert {"share/x", "snapshot/s"} <= site.records().keys()


def test_an_exception_in_a_report_fails_the_steps_and_opens_nothing(site: Site) -> None:
    """No thread dies of it."""
    run = apply_with(site, "report", _break)
    assert {failure.error for failure in run.result.failures} == {
        "the driver failed in a way that it should not: RuntimeError: boom"
    }
    assert not site.view().operations


def test_a_rule_of_which_the_driver_says_nothing_counts_as_refused(site: Site) -> None:
    """It is recorded with its reason, and the next plan asks for it again."""
    run = apply_with(site, "update_access", lambda *_: {})
    assert [failure.error for failure in run.result.failures] == ["ip:10.0.0.0/8: the driver said nothing of this rule"]
    assert not run.result.failures[0].unresolved
    assert site.history("share/x")[0].entry.outcome == "failed"
    assert [step.step_id for step in site.plan().steps] == ["update-access:share/x"]
    assert site.apply().result.succeeded


def test_a_refused_rule_that_nobody_wants_any_more_is_forgotten(site: Site) -> None:
    """Also where the share has changed otherwise meanwhile: the state says what is in force, and nothing is left to do."""
    apply_with(site, "update_access", lambda *_: {})
    assert [rule.status for rule in rules_of(site)] == ["error"]
    site.write(backend("a"), share("x", metadata="labels: {team: red}"), share("y"), snapshot("s", "x"))
    run = site.apply()
    assert {step.step_id: step.reason for step in run.plan.steps} == {
        "update-access:share/x": "a rule that was refused is no longer wanted",
        "update-record:share/x": "the state alone; the backend is not asked for anything but what it holds",
    }
    assert run.plan.summary.rules_by_action == {"delete": 1}
    assert rules_of(site) == ()
    assert site.plan().is_empty


def test_a_refused_rule_stays_known_while_the_share_changes_otherwise(site: Site) -> None:
    """What records the change does not hide it."""
    apply_with(site, "update_access", lambda *_: {})
    labelled = share("x", spec=RULE, metadata="labels: {team: red}")
    apply_with(site.write(backend("a"), labelled, share("y"), snapshot("s", "x")), "update_access", lambda *_: {})
    site.write(backend("a"), share("x", metadata="labels: {team: red}"), share("y"), snapshot("s", "x"))
    assert [step.step_id for step in site.apply().plan.steps] == ["update-access:share/x"]
    assert rules_of(site) == ()
    assert site.plan().is_empty


def rules_of(site: Site) -> tuple[RuleRecord, ...]:
    """Return the rules that the state has of share/x."""
    with site.store() as store, store.read() as reader:
        return reader.rules(["share/x"]).get("share/x", ())


def test_a_share_that_vanishes_before_its_record_is_refreshed_fails(site: Site) -> None:
    """The next plan shows it gone."""
    site.apply()
    site.query("a", "UPDATE shares SET backend_id = 'pool/else' WHERE name = 'y'")
    run = apply_with(site, "list_shares", lambda *_: [])
    assert [failure.error for failure in run.result.failures] == ["share/y is not on its backend any more"]


def test_a_snapshot_that_cannot_be_taken_leaves_nothing(site: Site) -> None:
    """What the call may have left is removed under its id."""
    site.write(
        backend("a", spec="attempts: 1,", config="faults: [{call: create_snapshot, effect: error}],"),
        share("x"),
        snapshot("s", "x"),
    )
    run = site.apply()
    assert [failure.address for failure in run.result.failures] == ["snapshot/s"]
    assert len(site.calls("a", "delete_snapshot")) == 1


def test_labels_of_a_snapshot_change_in_the_state_alone(site: Site) -> None:
    """No driver is asked."""
    site.apply()
    site.write(
        backend("a"),
        share("x", spec=RULE),
        share("y"),
        snapshot("s", "x").replace("{name: s}", "{name: s, labels: {a: b}}"),
    )
    run = apply_with(site, "create_snapshot", _break)
    assert run.result.succeeded
    assert site.plan().is_empty


class _Interrupted(BaseException):
    """As a KeyboardInterrupt that nobody handles."""


def test_an_interruption_while_running_steps_are_waited_for_abandons_them(site: Site) -> None:
    """The second one gets through; nothing is written afterwards, and the intent stays."""
    going_on = threading.Event()
    called = itertools.count()
    cancellation = Cancellation()

    def hang(*_: object) -> None:
        is_first = next(called) == 0  # one signal alone: another would interrupt what follows
        while not cancellation.requested:
            going_on.wait(0.001)
        if is_first:
            os.kill(os.getpid(), signal.SIGUSR1)
        going_on.wait(300)

    def observe(event: Event) -> None:
        if isinstance(event, StepStarted):
            raise _Interrupted

    def interrupt(*_: object) -> None:
        raise _Interrupted

    previous = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(_Interrupted):
            apply_with(site, "create_share", hang, observe, cancellation)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    serial = site.view().serial
    going_on.set()
    for thread in threading.enumerate():
        if thread.name.startswith("lane-"):
            thread.join(300)
    assert site.view().serial == serial
    assert next(called) > 0
    assert site.view().operations
    assert site.apply().result.succeeded
    assert not [event for event in site.apply().events if isinstance(event, StepFailed)]


class _Odd(BaseException):
    """What only one driver knows."""


ANYTHING = [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), _Odd("odd"), MemoryError(), RecursionError()]


def _raiser(error: BaseException) -> Callable[..., Any]:
    def raises(*_: object, **__: object) -> None:
        raise error

    return raises


@pytest.mark.parametrize("error", ANYTHING, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("method", ["report", "create_share", "update_access", "create_snapshot"])
def test_whatever_a_driver_raises_is_an_ending(site: Site, method: str, error: BaseException) -> None:
    """No lane dies of it, the run ends, what is unknown is resolved by the next apply."""
    run = apply_with(site, method, _raiser(error))
    assert not run.result.succeeded
    assert all("the driver failed in a way that it should not" in failure.error for failure in run.result.failures)
    assert site.apply().result.succeeded
    assert site.plan().is_empty


def test_a_driver_that_cannot_be_opened_by_anything_fails_its_steps(site: Site) -> None:
    """In the middle of a run, where a saved plan has opened nothing before."""
    plan = site.plan()
    with site.store() as store, site.opened(store) as (backends, _), site.locked(store, backends, []) as run:
        result = apply(
            plan,
            store=store,
            heartbeat=run.heartbeat,
            run=run.record,
            environment=replace(run.environment, driver=_raiser(SystemExit(1))),
            observer=lambda _: None,
        )
    assert {failure.error for failure in result.failures} == {
        "the driver failed in a way that it should not: SystemExit: 1"
    }
    assert not site.view().operations


def test_a_driver_that_hangs_when_it_is_opened_is_given_up_after_the_timeout(site: Site) -> None:
    """As a call that hangs."""
    slow = backend("a", spec="stepTimeout: 1s,")
    plan = site.write(slow, share("x")).plan()
    going_on = threading.Event()

    def hang(_: str) -> Any:  # noqa: ANN401 - it never comes to that
        going_on.wait(300)

    with site.store() as store, site.opened(store) as (backends, _), site.locked(store, backends, []) as run:
        result = apply(
            plan,
            store=store,
            heartbeat=run.heartbeat,
            run=run.record,
            environment=replace(run.environment, driver=hang),
            observer=lambda _: None,
        )
        going_on.set()
    assert [failure.error for failure in result.failures] == ["no answer within 1 s"]


NONSENSE = [None, 7, "share", [None], (1, 2, 3), {"a": 1}]


@pytest.mark.parametrize("answer", NONSENSE, ids=repr)
@pytest.mark.parametrize("method", ["create_share", "update_access", "create_snapshot", "report"])
def test_an_answer_that_is_none_of_the_contract_is_a_failure_of_its_step(
    site: Site, method: str, answer: object
) -> None:
    """Nothing of it gets into the state, which nobody calls damaged; the next apply finds out and converges."""
    run = apply_with(site, method, lambda *_: answer)
    assert not run.result.succeeded
    assert not run.result.problem
    assert site.apply().result.succeeded
    assert site.plan().is_empty


@pytest.mark.parametrize("answer", [*NONSENSE, ""], ids=repr)
def test_an_identity_that_is_none_is_not_pinned(tmp_path: Path, answer: object) -> None:
    """A backend is prepared when it has said who it is."""
    fresh = Site(tmp_path / "f").write(backend("a"), share("x"))
    run = apply_with(fresh, "prepare", lambda: answer)
    if answer == "share":
        return  # a strange name, but a name
    assert not run.result.succeeded
    assert not run.result.problem
    assert "backend/a" not in fresh.records()
    assert fresh.apply().result.succeeded


def test_a_value_that_the_state_cannot_store_fails_its_own_step(site: Site) -> None:
    """Text that is not Unicode, of one share: the run goes on, and the next apply finds out about that one."""

    def create(request: ShareRequest) -> ObservedShare:
        made = plain(request)
        return made._replace(backend_id="pool/\ud800") if request.name == "x" else made

    with site.store() as store, site.opened(store) as (backends, planned), site.locked(store, backends, []) as run:
        plan = planned()
        driver = backends.driver("a")
        plain = driver.create_share
        setattr(driver, "create_share", create)  # noqa: B010 - mypy refuses to see a method replaced
        result = sharectl.workspace.run.apply_plan(run, plan, lambda _: None, Cancellation())
    assert [(failure.address, failure.unresolved) for failure in result.failures] == [("share/x", True)]
    assert not result.problem
    assert "share/y" in site.records()
    assert site.apply().result.succeeded
    assert site.plan().is_empty
