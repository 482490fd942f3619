"""Steps that have their intents and wait for a place: no place waits for the disk, and whatever ends the run, none of them begins."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from sharectl.executors.calls import CreateShare, UpdateAccess
from sharectl.executors.lanes import Lanes
from sharectl.model.events import OperationRecovered, RecoveryStarted, StepFinished
from sharectl.model.records import AddHistory, BeginOperation, EndOperation
from sharectl.model.verbs import Verb
from sharectl.state.sqlite.store import SqliteStore
from tests.engine.site import Site, backend, share
from tests.engine.test_fencing import DELETED, calls_of, stopped
from tests.engine.test_order import PATIENCE_SECONDS, RULE, before_calls

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pytest

    from sharectl.engine.cancel import Cancellation
    from sharectl.executors.base import Submission
    from sharectl.model.events import Event
    from sharectl.model.records import Change, Lease


def before_commits(monkeypatch: pytest.MonkeyPatch, look: Callable[[Sequence[Change]], object]) -> None:
    """Show each commit of a state to `look` before it is made."""
    plain = SqliteStore.commit

    def commit(store: SqliteStore, lease: Lease, changes: Sequence[Change]) -> None:
        look(changes)
        plain(store, lease, changes)

    monkeypatch.setattr(SqliteStore, "commit", commit)


def records_a_share(changes: Sequence[Change]) -> bool:
    """Tell whether the result of a creation is among the changes."""
    return any(isinstance(change, AddHistory) and change.entry.verb == Verb.CREATE_SHARE for change in changes)


def test_calls_go_on_while_a_commit_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first result is held up until three times as many calls have begun as the backend has places."""
    begun, enough = threading.Semaphore(0), threading.Event()

    def count(number: int) -> None:
        begun.release()
        if number == 6:
            enough.set()

    def hold_up(changes: Sequence[Change]) -> None:
        if records_a_share(changes):
            assert enough.wait(PATIENCE_SECONDS), "a place waits for the commit"

    before_calls(monkeypatch, "create_share", count)
    before_commits(monkeypatch, hold_up)
    site = Site(tmp_path / "r").write(backend("a", lanes=2), *(share(f"s{n}") for n in range(12)))
    assert site.apply().result.succeeded


def test_what_has_begun_at_an_address_is_finished_before_what_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The access of a share goes before the creations that have their intents already."""
    plain, submitted = Lanes.submit, list[tuple[type, bool]]()
    access_waits = threading.Event()

    def submit(lanes: Lanes, submission: Submission) -> None:
        plain(lanes, submission)
        submitted.append((type(submission.call), submission.goes_first))
        if isinstance(submission.call, UpdateAccess):
            access_waits.set()

    monkeypatch.setattr(Lanes, "submit", submit)
    before_calls(monkeypatch, "create_share", lambda number: number != 2 or access_waits.wait(PATIENCE_SECONDS))
    site = Site(tmp_path / "r").write(backend("a", lanes=1), *(share(f"s{n}", spec=RULE) for n in range(8)))
    assert site.apply().result.succeeded
    assert {first for call, first in submitted if call is UpdateAccess} == {True}
    assert {first for call, first in submitted if call is CreateShare} == {False}
    made = [call[0] for call in site.calls("a") if call[0] in {"create_share", "update_access"}]
    assert made[:3] == ["create_share", "create_share", "update_access"]


def test_after_a_cancel_all_that_wait_give_their_intents_back_in_one_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None begins, and the next run has nothing to ask about."""
    batches: list[Counter[type]] = []
    before_commits(monkeypatch, lambda changes: batches.append(Counter(map(type, changes))))
    shares = [share(f"s{n:02}") for n in range(30)]
    slow = backend("a", lanes=1, config="latency: {create_share: 20ms},")
    site = Site(tmp_path / "r").write(slow, *shares)
    cancelled_at: list[int] = []

    def observe(event: Event, cancellation: Cancellation) -> None:
        if isinstance(event, StepFinished) and event.verb == Verb.CREATE_SHARE and not cancelled_at:
            cancellation.request()
            cancelled_at.append(len(batches))

    run = site.apply(observer=observe)
    assert run.result.cancelled
    assert not run.result.failures
    assert not site.view().operations
    begun, after = sum(batches[: cancelled_at[0]], Counter[type]()), batches[cancelled_at[0] :]
    waiting = begun[BeginOperation] - begun[EndOperation]
    assert waiting >= 2
    assert len([batch for batch in after if batch[EndOperation] > batch[AddHistory]]) == 1
    assert sum(batch[BeginOperation] for batch in after) == 0
    assert len(site.calls("a", "create_share")) == run.result.done - 1
    again = site.apply()
    assert again.result.succeeded
    assert not again.of(RecoveryStarted)


def test_killed_while_steps_wait_nothing_is_done_twice_and_all_intents_are_resolved(tmp_path: Path) -> None:
    """One call was about to leave, the others had only their intents: the next run finds all of them not done, by one listing."""
    shares = [share(f"s{n}", spec=DELETED) for n in range(8)]
    site = Site(tmp_path / "r").write(backend("a", lanes=1), *shares)
    assert site.apply().result.succeeded
    site.write(backend("a", lanes=1))
    with stopped(site, "delete_share", "before") as killed:
        process = killed
    waiting = len(site.view().operations)
    assert waiting >= 2
    assert calls_of(site, process, "delete_share") == 0
    listed = len(site.calls("a", "list_shares"))
    site.write(backend("a", lanes=1), *shares)
    run = site.apply()
    assert run.result.succeeded
    assert len(run.of(OperationRecovered)) == waiting
    assert not site.view().operations
    assert not site.calls("a", "delete_share")
    assert len(site.query("a", "SELECT * FROM shares")) == len(shares)
    assert len(site.calls("a", "list_shares")) - listed <= 2  # that of the recovery, and that of the plan


def test_a_failure_takes_what_depends_on_it_and_nothing_that_waits(tmp_path: Path) -> None:
    """The share's access is skipped; creations that have their intents go on, and have access."""
    flawed = "faults: [{call: create_share, name: s1, effect: error}],"
    shares = [share(f"s{n}", spec=RULE) for n in range(8)]
    run = Site(tmp_path / "r").write(backend("a", lanes=1, config=flawed), *shares).apply()
    assert [failure.address for failure in run.result.failures] == ["share/s1"]
    assert (run.result.done, run.result.skipped) == (15, 1)
