"""A worker: it makes what it may claim, once, records how that ended, and ends itself where it might be taken for lost."""

from __future__ import annotations

import threading
import zlib
from contextlib import contextmanager
from itertools import starmap
from time import monotonic, sleep
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from sharectl.drivers.base import DriverError
from sharectl.executors.answers import Answer, Done, Failure, FailureKind, Identity
from sharectl.executors.calls import Call, Identify
from sharectl.executors.wire import decode, encode
from sharectl.executors.workers.claims import (
    Claim,
    ClaimAnswer,
    ClaimsHeldError,
    ClaimsUnavailableError,
    FinishAnswer,
    NotAdmittedError,
)
from sharectl.executors.workers.service import USABLE_PART, Fence, Service
from sharectl.state.contract import LeaseLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from uuid import UUID

    from sharectl.executors.base import Permit

PATIENCE_SECONDS = 300.0
LEASE_SECONDS = 0.3
"""How often is renewed follows from it, and when a claim is too old from the `Clock`, which a busy machine does not move."""


class Clock:
    """Stands still unless it is put on."""

    def __init__(self) -> None:
        """Begin at 0."""
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.seconds


class Ledger:
    """Claims in memory; each request fails while `is_down`."""

    def __init__(self) -> None:
        """Begin without calls."""
        self.calls: dict[UUID, bytes] = {}
        self.claimed: list[UUID] = []
        self.renewals = 0
        self.given_up: set[UUID] = set()
        self.outcomes: dict[UUID, Answer | Failure] = {}
        self.has_left = False
        self.is_down = False
        self.loses_answers = False
        self.refused = 0
        self.refused_renewals = 0
        self.is_dismissed = False
        self.refused_looks = 0
        self.requests: list[tuple[str, int]] = []

    def _expect_up(self) -> None:
        if self.is_down:
            message = "the server is down"
            raise ClaimsUnavailableError(message)
        if self.is_dismissed:
            message = "no worker of this name"
            raise NotAdmittedError(message)

    def serve(self) -> None:
        """See Claims."""
        self._expect_up()

    def waiting(self, at_most: int) -> Collection[UUID]:
        """See Claims."""
        self.refused_looks += self.is_dismissed
        self._expect_up()
        return [call_id for call_id in self.calls if call_id not in self.claimed][:at_most]

    def claim_all(self, call_ids: Sequence[UUID]) -> Sequence[Claim]:
        """See Claims."""
        self._expect_up()
        self.requests.append(("claim", len(call_ids)))
        return list(map(self.claim, call_ids))

    def claim(self, call_id: UUID) -> Claim:
        """Return the answer for one call."""
        if call_id in self.outcomes:
            return Claim(ClaimAnswer.DONE)
        answer = ClaimAnswer.MINE if call_id in self.claimed else ClaimAnswer.GO
        self.claimed.append(call_id)
        if self.loses_answers:
            self.loses_answers = False
            self.is_down = True
            self._expect_up()
        return Claim(answer, self.calls[call_id], 7, "lineage")

    def renew(self, running: Collection[UUID]) -> Collection[UUID]:
        """See Claims."""
        self.refused_renewals += self.is_down
        self._expect_up()
        self.renewals += 1
        return {call_id for call_id in running if call_id not in self.given_up}

    def finish_all(self, outcomes: Mapping[UUID, bytes]) -> Sequence[FinishAnswer]:
        """See Claims."""
        self.refused += self.is_down
        self._expect_up()
        self.requests.append(("finish", len(outcomes)))
        return list(starmap(self.finish, outcomes.items()))

    def finish(self, call_id: UUID, outcome: bytes) -> FinishAnswer:
        """Return the answer for one outcome."""
        if call_id in self.given_up:
            return FinishAnswer.FENCED
        found = decode(zlib.decompress(outcome))
        assert isinstance(found, Answer | Failure)
        self.outcomes[call_id] = found
        return FinishAnswer.RECORDED

    def leave(self) -> None:
        """See Claims."""
        self._expect_up()
        self.has_left = True

    def close(self) -> None:
        """See Claims."""

    def add(self, body: bytes | None = None) -> UUID:
        """Add a call that waits."""
        call_id = uuid4()
        self.calls[call_id] = encode(Identify()) if body is None else body
        return call_id


class Backend:
    """Answers once its gate is open, asking the permit before and after."""

    def __init__(self) -> None:
        """Begin with an open gate."""
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.made: list[Fence] = []
        self.error: BaseException | None = None
        self.answer = Identity("here")

    def make(self, call: Call[Answer], fence: Fence, permit: Permit) -> Answer:
        """Wait, and answer."""
        assert call == Identify()
        permit()
        self.made.append(fence)
        self.entered.release()
        assert self.gate.wait(PATIENCE_SECONDS)
        permit()
        if self.error is not None:
            raise self.error
        return self.answer


@contextmanager
def service(
    ledger: Ledger, backend: Backend, ended: list[str] | None = None, clock: Clock | None = None
) -> Iterator[Service]:
    """Start a service, and end it."""
    ends = [] if ended is None else ended
    made = Service(ledger, backend.make, lease_seconds=LEASE_SECONDS, end_process=ends.append, clock=clock or Clock())
    made.start()
    try:
        yield made
    finally:
        backend.gate.set()
        ledger.is_down = False
        made.drain(PATIENCE_SECONDS)


def wait_until(condition: Callable[[], object]) -> None:
    """Return once `condition` holds."""
    deadline = monotonic() + PATIENCE_SECONDS
    while not condition():
        assert monotonic() < deadline
        sleep(0.002)


def test_a_call_that_it_is_offered_is_made_and_recorded() -> None:
    """With the fence of the run that wants it."""
    ledger, backend = Ledger(), Backend()
    call_id = ledger.add()
    with service(ledger, backend) as worker:
        assert worker.offer(call_id) == [ClaimAnswer.GO]
        wait_until(lambda: ledger.outcomes)
    assert ledger.outcomes == {call_id: Identity("here")}
    assert backend.made == [Fence("lineage", 7)]


def test_an_answer_that_cannot_be_written_down_is_a_failure() -> None:
    """Nobody would hear of it, and the worker would renew its claim for ever."""
    ledger, backend = Ledger(), Backend()
    backend.answer = Identity("\udcff")
    call_id = ledger.add()
    with service(ledger, backend) as worker:
        worker.offer(call_id)
        wait_until(lambda: ledger.outcomes)
    outcome = ledger.outcomes[call_id]
    assert isinstance(outcome, Failure)
    assert outcome.kind is FailureKind.MISBEHAVED
    assert "cannot be written down" in outcome.message


def test_it_finds_what_waits_without_a_hint() -> None:
    """A hint may be lost, and the broker down."""
    ledger, backend = Ledger(), Backend()
    calls = {ledger.add() for _ in range(3)}
    stopped = threading.Event()
    with service(ledger, backend) as worker:
        looking = threading.Thread(target=worker.look_until, args=(stopped, lambda: 0.01))
        looking.start()
        try:
            wait_until(lambda: ledger.outcomes.keys() == calls)
            later = ledger.add()
            wait_until(lambda: later in ledger.outcomes)
        finally:
            stopped.set()
            looking.join(PATIENCE_SECONDS)


def test_a_hint_that_is_doubled_makes_a_call_once() -> None:
    """Also where the database says that it is this worker's."""
    ledger, backend = Ledger(), Backend()
    backend.gate.clear()
    call_id = ledger.add()
    with service(ledger, backend) as worker:
        assert worker.offer(call_id) == [ClaimAnswer.GO]
        assert worker.offer(call_id) == [ClaimAnswer.MINE]
        assert ledger.claimed == [call_id]  # else the answer might come when the call has ended
        backend.gate.set()
        wait_until(lambda: ledger.outcomes)
        assert worker.offer(call_id) == [ClaimAnswer.DONE]
    assert len(backend.made) == 1


def test_a_claim_whose_answer_was_lost_is_asked_for_again() -> None:
    """And the call made, since nobody else can have it."""
    ledger, backend = Ledger(), Backend()
    call_id = ledger.add()
    ledger.loses_answers = True
    with service(ledger, backend) as worker:
        with pytest.raises(ClaimsUnavailableError):
            worker.offer(call_id)
        ledger.is_down = False
        assert not ledger.waiting(1)
        worker.look()
        wait_until(lambda: ledger.outcomes)
        assert ledger.outcomes == {call_id: Identity("here")}
    assert len(backend.made) == 1


def test_a_claim_whose_answer_is_late_is_not_asked_for_a_second_time() -> None:
    """The call might have ended when the first answer comes, and begin anew."""

    class Late(Ledger):
        def __init__(self) -> None:
            super().__init__()
            self.gate = threading.Event()

        def claim(self, call_id: UUID) -> Claim:
            claim = super().claim(call_id)
            if threading.current_thread().name == "hint":
                assert self.gate.wait(PATIENCE_SECONDS)
            return claim

    ledger, backend = Late(), Backend()
    call_id = ledger.add()
    with service(ledger, backend) as worker:
        hint = threading.Thread(target=worker.offer, args=(call_id,), name="hint")
        hint.start()
        try:
            wait_until(lambda: ledger.claimed)
            worker.look()
            assert worker.offer(call_id) == [ClaimAnswer.MINE]
            assert ledger.claimed == [call_id]
        finally:
            ledger.gate.set()
            hint.join(PATIENCE_SECONDS)
        wait_until(lambda: ledger.outcomes)
    assert len(backend.made) == 1


def test_a_call_that_cannot_be_claimed_keeps_no_other_waiting() -> None:
    """Somebody may hold its row; it is asked for again with the next look."""

    class Held(Ledger):
        held: UUID

        def claim(self, call_id: UUID) -> Claim:
            if call_id == self.held:
                message = "another transaction keeps rows of it locked"
                raise ClaimsHeldError(message)
            return super().claim(call_id)

    ledger, backend = Held(), Backend()
    ledger.held = ledger.add()
    others = [ledger.add() for _ in range(2)]
    with service(ledger, backend) as worker:
        for _ in range(2):
            with pytest.raises(ClaimsHeldError):
                worker.look()
        wait_until(lambda: ledger.outcomes.keys() == {*others})
        ledger.held = others[0]  # which has ended
        worker.look()
        wait_until(lambda: len(ledger.outcomes) == 3)


def test_it_looks_at_once_when_it_is_woken_and_says_once_that_the_database_is_away() -> None:
    """Also where the next look is far away."""
    ledger, backend = Ledger(), Backend()
    told: list[str] = []
    looks = threading.Semaphore(0)
    stopped = threading.Event()

    def interval_seconds() -> float:
        looks.release()
        return PATIENCE_SECONDS

    worker = Service(ledger, backend.make, lease_seconds=60.0, end_process=told.append, tell=told.append, clock=Clock())
    looking = threading.Thread(target=worker.look_until, args=(stopped, interval_seconds))
    ledger.is_down = True
    looking.start()
    try:
        for _ in range(3):  # without a database it does not wait for the next look
            assert looks.acquire(timeout=PATIENCE_SECONDS)
        assert told == ["the database could not be asked for calls: the server is down"]
        ledger.is_down = False
        call_id = ledger.add()
        worker.wake()
        wait_until(lambda: call_id in ledger.outcomes)
        later = ledger.add()
        worker.wake()
        wait_until(lambda: later in ledger.outcomes)
    finally:
        stopped.set()
        worker.wake()
        looking.join(PATIENCE_SECONDS)


def test_hints_do_not_pile_up_while_the_database_is_down() -> None:
    """Whoever may give hints can name any number of calls; it looks for what waits by itself."""
    ledger, backend = Ledger(), Backend()
    hinted = [ledger.add() for _ in range(1000)]
    with service(ledger, backend) as worker:
        ledger.is_down = True
        for call_id in hinted:
            with pytest.raises(ClaimsUnavailableError):
                worker.offer(call_id)
        ledger.is_down = False
        worker.look()
    assert len({*ledger.claimed}) < len(hinted) / 3


def test_calls_that_are_offered_together_are_claimed_together() -> None:
    """One request for all, whoever offers them: a hint, or the look for what waits."""
    ledger, backend = Ledger(), Backend()
    first, second = [ledger.add() for _ in range(5)], [ledger.add() for _ in range(3)]
    with service(ledger, backend) as worker:
        assert worker.offer(*first, first[0]) == [ClaimAnswer.GO] * 6
        worker.look()
        wait_until(lambda: ledger.outcomes.keys() == {*first, *second})
    assert [request for request in ledger.requests if request[0] == "claim"] == [("claim", 5), ("claim", 3)]


class SlowLedger(Ledger):
    """Lets nobody record before its gate is open."""

    def __init__(self) -> None:
        """Begin with a closed gate."""
        super().__init__()
        self.gate = threading.Event()
        self.asked = threading.Event()

    def finish_all(self, outcomes: Mapping[UUID, bytes]) -> Sequence[FinishAnswer]:
        """See Claims."""
        self.asked.set()
        assert self.gate.wait(PATIENCE_SECONDS)
        return super().finish_all(outcomes)


def call_threads() -> int:
    """Return how many threads of calls there are."""
    return sum(thread.name.startswith("call-") for thread in threading.enumerate())


def test_what_ends_while_outcomes_are_recorded_is_recorded_together() -> None:
    """One request for all of it."""
    ledger, backend = SlowLedger(), Backend()
    first, others = ledger.add(), [ledger.add() for _ in range(7)]
    with service(ledger, backend) as worker:
        worker.offer(first)
        assert ledger.asked.wait(PATIENCE_SECONDS)
        worker.offer(*others)
        wait_until(lambda: len(backend.made) == 8 and call_threads() == 1)
        ledger.gate.set()
        wait_until(lambda: len(ledger.outcomes) == 8)
    assert [request for request in ledger.requests if request[0] == "finish"] == [("finish", 1), ("finish", 7)]


def test_an_outcome_that_cannot_be_recorded_keeps_no_other_back() -> None:
    """It is tried again for as long as it takes, and they are recorded."""

    class Picky(SlowLedger):
        unwelcome: UUID | None = None

        def finish_all(self, outcomes: Mapping[UUID, bytes]) -> Sequence[FinishAnswer]:
            if self.unwelcome in outcomes:
                self.asked.set()
                assert self.gate.wait(PATIENCE_SECONDS)
                message = "it is too large"
                raise ClaimsUnavailableError(message)
            return super().finish_all(outcomes)

    ledger, backend = Picky(), Backend()
    ledger.unwelcome, others = ledger.add(), {ledger.add() for _ in range(3)}
    with service(ledger, backend) as worker:
        worker.offer(ledger.unwelcome)
        assert ledger.asked.wait(PATIENCE_SECONDS)
        worker.offer(*others)
        wait_until(lambda: call_threads() == 1)
        ledger.gate.set()
        wait_until(lambda: ledger.outcomes.keys() == others)
        ledger.unwelcome = None
        wait_until(lambda: len(ledger.outcomes) == 4)


def test_that_outcomes_cannot_be_recorded_is_told_once_and_when_they_are() -> None:
    """A log of an hour without the database is read, and does not fill the disk."""
    ledger, backend = Ledger(), Backend()
    told: list[str] = []
    worker = Service(ledger, backend.make, lease_seconds=60.0, end_process=told.append, tell=told.append)
    calls = [ledger.add() for _ in range(3)]
    backend.gate.clear()
    worker.offer(*calls)
    ledger.is_down = True
    backend.gate.set()
    wait_until(lambda: ledger.refused >= 4)
    ledger.is_down = False
    wait_until(lambda: len(ledger.outcomes) == 3 and call_threads() == 0)
    assert told == ["an outcome could not be recorded yet: the server is down", "outcomes are recorded again"]


def test_what_finds_no_room_is_claimed_when_a_call_has_ended() -> None:
    """However long it would be until it looks again."""

    class Narrow(Ledger):
        def claim(self, call_id: UUID) -> Claim:
            is_full = any(each not in self.outcomes for each in self.claimed)
            return Claim(ClaimAnswer.FULL) if is_full else super().claim(call_id)

    ledger, backend = Narrow(), Backend()
    backend.gate.clear()
    first, second = ledger.add(), ledger.add()
    stopped = threading.Event()
    with service(ledger, backend) as worker:
        assert worker.offer(first, second) == [ClaimAnswer.GO, ClaimAnswer.FULL]
        looking = threading.Thread(target=worker.look_until, args=(stopped, lambda: 3600.0))
        looking.start()
        backend.gate.set()
        wait_until(lambda: ledger.outcomes.keys() == {first, second})
        stopped.set()
        backend.gate.clear()
        assert worker.offer(ledger.add(), ledger.add()) == [ClaimAnswer.GO, ClaimAnswer.FULL]
        backend.gate.set()  # it looks again, and sees that it is to stop
        looking.join(PATIENCE_SECONDS)
        assert not looking.is_alive()


def test_an_outcome_is_recorded_when_the_database_is_back() -> None:
    """However often it takes."""
    ledger, backend = Ledger(), Backend()
    call_id = ledger.add()
    backend.gate.clear()
    with service(ledger, backend) as worker:
        worker.offer(call_id)
        assert backend.entered.acquire(timeout=PATIENCE_SECONDS)
        ledger.is_down = True
        backend.gate.set()
        wait_until(lambda: ledger.refused)
        ledger.is_down = False
        wait_until(lambda: ledger.outcomes)


@pytest.mark.parametrize(
    ("error", "kind"), [(DriverError("no"), FailureKind.REFUSED), (SystemExit(), FailureKind.MISBEHAVED)]
)
def test_whatever_a_driver_raises_is_an_outcome(error: BaseException, kind: FailureKind) -> None:
    """And the worker goes on."""
    ledger, backend = Ledger(), Backend()
    backend.error = error
    first, second = ledger.add(), ledger.add()
    with service(ledger, backend) as worker:
        worker.offer(first)
        wait_until(lambda: first in ledger.outcomes)
        backend.error = None
        worker.offer(second)
        wait_until(lambda: second in ledger.outcomes)
    failure = ledger.outcomes[first]
    assert isinstance(failure, Failure)
    assert failure.kind is kind
    assert ledger.outcomes[second] == Identity("here")


LATER = b'{"version": 1, "type": "ListShares", "value": {"resource_ids": [], "more_than_that": 1}}'


@pytest.mark.parametrize("body", [b"", b"{}", encode(Done()), LATER])
def test_what_is_no_call_is_not_made(body: bytes) -> None:
    """And said to have begun nothing; also one of a later version, with a field that decides what is done."""
    ledger, backend = Ledger(), Backend()
    call_id = ledger.add(body)
    with service(ledger, backend) as worker:
        worker.offer(call_id)
        wait_until(lambda: ledger.outcomes)
    failure = ledger.outcomes[call_id]
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.REFUSED
    assert "has begun nothing" in failure.message
    assert body is not LATER or "a ListShares with more_than_that, which this version" in failure.message
    assert not backend.made


def test_a_call_that_was_given_up_begins_no_further_request_and_is_not_recorded() -> None:
    """The worker hears of it by its renewal."""
    ledger, backend = Ledger(), Backend()
    backend.gate.clear()
    call_id = ledger.add()
    ended: list[str] = []
    with service(ledger, backend, ended) as worker:
        worker.offer(call_id)
        assert backend.entered.acquire(timeout=PATIENCE_SECONDS)
        ledger.given_up.add(call_id)
        renewals = ledger.renewals
        wait_until(lambda: ledger.renewals > renewals + 1)
        backend.gate.set()
        assert worker.drain(PATIENCE_SECONDS)
    assert not ledger.outcomes
    assert not ended


def test_it_ends_itself_where_it_cannot_renew() -> None:
    """Before anybody may take its calls over; and no request leaves from then on."""
    ledger, backend = Ledger(), Backend()
    backend.gate.clear()
    call_id = ledger.add()
    ended: list[str] = []
    clock = Clock()
    with service(ledger, backend, ended, clock) as worker:
        worker.offer(call_id)
        assert backend.entered.acquire(timeout=PATIENCE_SECONDS)
        ledger.is_down = True
        wait_until(lambda: ledger.refused_renewals)
        assert not ended
        clock.seconds = USABLE_PART * LEASE_SECONDS
        wait_until(lambda: ended)
        backend.gate.set()
        wait_until(lambda: ledger.refused)
        ledger.is_down = False
        wait_until(lambda: ledger.outcomes)
    outcome = ledger.outcomes[call_id]
    assert isinstance(outcome, Failure)
    assert outcome.kind is FailureKind.NOT_PERMITTED
    assert "could not be renewed" in ended[0]


def test_it_ends_itself_for_a_call_that_was_given_up_too() -> None:
    """The next run leaves what it is about alone only for as long as the claim is renewed."""
    ledger, backend = Ledger(), Backend()
    backend.gate.clear()
    call_id = ledger.add()
    ended: list[str] = []
    clock = Clock()
    with service(ledger, backend, ended, clock) as worker:
        worker.offer(call_id)
        assert backend.entered.acquire(timeout=PATIENCE_SECONDS)
        ledger.given_up.add(call_id)
        renewals = ledger.renewals
        wait_until(lambda: ledger.renewals > renewals + 1)
        ledger.is_down = True
        assert not ended
        clock.seconds = USABLE_PART * LEASE_SECONDS
        wait_until(lambda: ended)


def test_a_renewal_that_comes_too_late_keeps_no_worker_alive() -> None:
    """One that was stopped in a call ends itself when it goes on, also where the database answers before it has looked at the clock."""
    ledger, backend = Ledger(), Backend()
    backend.gate.clear()
    ended: list[str] = []
    seconds = [0.0]

    def clock() -> float:
        if ledger.claimed and threading.current_thread().name == "renewal":
            seconds[0] = LEASE_SECONDS
        return seconds[0]

    worker = Service(ledger, backend.make, lease_seconds=LEASE_SECONDS, end_process=ended.append, clock=clock)
    worker.start()
    worker.offer(ledger.add())
    wait_until(lambda: ended)
    backend.gate.set()
    assert worker.drain(PATIENCE_SECONDS)


def test_a_worker_that_was_stopped_sends_no_request_when_it_goes_on() -> None:
    """The time of a claim runs from before it was asked for, on a clock that runs on."""
    ledger, backend = Ledger(), Backend()
    seconds = [0.0]
    asked: list[str] = []

    def make(_call: Call[Answer], _fence: Fence, permit: Permit) -> Answer:
        seconds[0] = USABLE_PART * 60.0
        with pytest.raises(LeaseLostError):
            permit()
        asked.append("permit")
        return Done()

    worker = Service(ledger, make, lease_seconds=60.0, end_process=asked.append, clock=lambda: seconds[0])
    worker.offer(ledger.add())
    wait_until(lambda: ledger.outcomes)
    assert asked == ["permit"]
    assert backend.made == []


def test_an_idle_worker_outlives_its_database() -> None:
    """There is nothing that anybody could take over."""
    ledger, backend = Ledger(), Backend()
    ended: list[str] = []
    clock = Clock()
    with service(ledger, backend, ended, clock) as worker:
        ledger.is_down = True
        renewals = ledger.renewals
        clock.seconds = 3 * LEASE_SECONDS
        wait_until(lambda: ledger.refused_renewals >= 3)
        ledger.is_down = False
        wait_until(lambda: ledger.renewals > renewals)
        worker.offer(ledger.add())
        wait_until(lambda: ledger.outcomes)
    assert not ended


def test_it_ends_itself_where_the_database_takes_nothing_of_it_any_more() -> None:
    """Its right was taken away: it could record nothing, and whoever supervises it is to know."""
    ledger, backend = Ledger(), Backend()
    ended: list[str] = []
    with service(ledger, backend, ended):
        ledger.is_dismissed = True
        wait_until(lambda: ended)
    assert ended == ["the database takes nothing of this worker any more: no worker of this name"]


def test_that_it_may_claim_nothing_more_is_told_once() -> None:
    """As often as it asks, until it may again."""
    ledger, backend = Ledger(), Backend()
    told: list[str] = []
    stopped = threading.Event()
    made = Service(ledger, backend.make, lease_seconds=60.0, end_process=told.append, tell=told.append)
    ledger.is_dismissed = True
    looking = threading.Thread(target=made.look_until, args=(stopped, lambda: 0.001))
    looking.start()
    try:
        wait_until(lambda: ledger.refused_looks >= 3)
        ledger.is_dismissed = False
        call_id = ledger.add()
        wait_until(lambda: call_id in ledger.outcomes)
    finally:
        stopped.set()
        looking.join(PATIENCE_SECONDS)
    assert told == [
        "the database could not be asked for calls: no worker of this name",
        "the database is asked for calls again",
    ]


def test_a_worker_that_leaves_finishes_and_takes_nothing_more() -> None:
    """What runs is recorded before it says that it is gone."""
    ledger, backend = Ledger(), Backend()
    backend.gate.clear()
    first, second = ledger.add(), ledger.add()
    with service(ledger, backend) as worker:
        worker.offer(first)
        assert backend.entered.acquire(timeout=PATIENCE_SECONDS)
        leaving = threading.Thread(target=worker.drain)
        leaving.start()
        wait_until(lambda: worker.offer(second) == [ClaimAnswer.LEFT])
        assert not ledger.has_left
        backend.gate.set()
        leaving.join(PATIENCE_SECONDS)
        assert ledger.has_left
    assert ledger.outcomes == {first: Identity("here")}
