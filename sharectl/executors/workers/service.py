"""A worker of one backend: it claims what it is offered, makes the call, and records how that ended.

It looks into the database for calls that wait, and a hint makes it look at some at once. Each call has a thread; how many run at
once the database says. What is claimed together is one transaction, and so are outcomes that come while others are being recorded. One thread renews the claims, three times in a lease. Another ends the process where a claim could not be
renewed for `USABLE_PART` of a lease: nobody may take over before the whole of it is over, so that no request leaves which another
worker repeats already.
"""

from __future__ import annotations

import threading
import zlib
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.drivers.base import DriverError
from sharectl.executors.answers import Failure, FailureKind
from sharectl.executors.calls import Call
from sharectl.executors.failures import failure_of
from sharectl.executors.wire import WireError, decode, encode
from sharectl.executors.workers.claims import (
    ClaimAnswer,
    ClaimsHeldError,
    ClaimsUnavailableError,
    FinishAnswer,
    NotAdmittedError,
)
from sharectl.state.contract import LeaseLostError
from sharectl.state.lock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from uuid import UUID

    from sharectl.executors.answers import Answer
    from sharectl.executors.base import Permit
    from sharectl.executors.workers.claims import Claim, Claims

USABLE_PART: Final = 0.8
_RENEWALS_PER_LEASE: Final = 3
_RETRY_SECONDS: Final = 0.2
_LOOKED_AT_ONCE: Final = 32
_DOUBTFUL_AT_MOST: Final = 256
_RECORDED_AT_ONCE: Final = 64
_LATER: Final = frozenset({ClaimAnswer.FULL, ClaimAnswer.CONFLICT})
"""Such a call may be claimed when another has ended."""


class Fence(NamedTuple):
    """The run that offered a call: the lineage of its state, and the token of its lease (None: it is a question).

    `beside` are the tokens before it that the backend may still work for.
    """

    lineage: str
    token: int | None
    beside: frozenset[int] = frozenset()


class _Running:
    """A call under way; `renewed_at` is from before the last renewal was asked for."""

    __slots__ = ("is_given_up", "renewed_at")

    def __init__(self, renewed_at: float) -> None:
        self.renewed_at = renewed_at
        self.is_given_up = False


class Service:
    """Serves one backend, from `start` until `drain`."""

    def __init__(  # noqa: PLR0913 - what it asks, what it does, how much at once, and how it ends
        self,
        claims: Claims,
        make: Callable[[Call[Answer], Fence, Permit], Answer],
        *,
        lease_seconds: float,
        end_process: Callable[[str], object],
        tell: Callable[[str], object] = lambda _: None,
        clock: Callable[[], float] = SYSTEM_CLOCK.boottime_seconds,
        beat: Callable[[], object] = lambda: None,
    ) -> None:
        """Make calls with `make`; where the claims cannot be renewed, `end_process` with the reason. `tell` is told what people may want to know.

        `beat` is called when the worker is presented, and with each request to renew, answered or not: who supervises the worker
        need not look at the database.
        """
        self._claims = claims
        self._make = make
        self._lease_seconds = lease_seconds
        self._end_process = end_process
        self._tell = tell
        self._clock = clock
        self._beat = beat
        self._mutex = threading.Lock()
        self._claiming: set[UUID] = set()
        self._running: dict[UUID, _Running] = {}
        self._begun: set[UUID] = set()
        self._in_doubt: set[UUID] = set()
        self._unrecorded: dict[UUID, bytes] = {}
        self._is_recording = False
        self._is_crowded = False
        self._endings = 0
        self._idle = threading.Condition(self._mutex)
        self._woken = threading.Event()
        self._is_leaving = False
        self._ended = threading.Event()

    def start(self) -> None:
        """Present the worker, and begin to renew. Raises as Claims.serve."""
        self._claims.serve()
        self._beat()
        threading.Thread(target=self._renew, name="renewal", daemon=True).start()
        threading.Thread(target=self._watch, name="self-fence", daemon=True).start()

    def look(self) -> None:
        """Begin what waits and has room; one whose claim others are in the way of keeps no other waiting. Raises as Claims.claim_all."""
        self._is_crowded = False
        waiting = self._claims.waiting(_LOOKED_AT_ONCE)
        self._is_crowded = self._is_crowded or len(waiting) >= _LOOKED_AT_ONCE
        chosen = (*self._in_doubt.copy(), *waiting)
        try:
            self.offer(*chosen)
        except ClaimsHeldError:
            self._offer_each(chosen)

    def _offer_each(self, call_ids: Sequence[UUID]) -> None:
        problem: ClaimsHeldError | None = None
        for call_id in call_ids:
            try:
                self.offer(call_id)
            except ClaimsHeldError as error:
                problem = error
        if problem is not None:
            raise problem

    def look_until(self, stopped: threading.Event, interval_seconds: Callable[[], float]) -> None:
        """Look again and again, and at once after `wake`, or when a call has ended that others may have waited for, until `stopped`.

        While the database does not answer it is asked at short intervals; that is told once, and when it is over.
        """
        told = ""
        while not stopped.is_set():
            pause_seconds = interval_seconds()
            try:
                self.look()
                if told:
                    self._tell("the database is asked for calls again")
                told = ""
            except (ClaimsUnavailableError, NotAdmittedError) as error:
                if isinstance(error, ClaimsUnavailableError):
                    pause_seconds = min(pause_seconds, _RETRY_SECONDS)
                if str(error) != told:
                    told = str(error)
                    self._tell(f"the database could not be asked for calls: {error}")
            if self._woken.wait(pause_seconds):
                self._woken.clear()

    def wake(self) -> None:
        """Let `look_until` look now. May be called from any thread."""
        self._woken.set()

    def offer(self, *call_ids: UUID) -> list[ClaimAnswer]:
        """Claim these calls together, but for those whose claim is under way or done, and begin each in a thread of its own where that says GO.

        Raises as Claims.claim_all.
        """
        with self._mutex:
            if self._is_leaving:
                return [ClaimAnswer.LEFT] * len(call_ids)
            # One answer at a time: a second one might come when the call has ended.
            chosen = [
                each for each in dict.fromkeys(call_ids) if each not in self._claiming and each not in self._begun
            ]
            self._claiming.update(chosen)
            # Whoever may give hints can name any number of calls.
            self._in_doubt.update(chosen[: max(0, _DOUBTFUL_AT_MOST - len(self._in_doubt))])
        try:
            answers = self._begin(chosen) if chosen else {}
        finally:
            with self._mutex:
                self._claiming.difference_update(chosen)
                self._idle.notify_all()
        return [answers.get(call_id, ClaimAnswer.MINE) for call_id in call_ids]

    def _begin(self, call_ids: Sequence[UUID]) -> dict[UUID, ClaimAnswer]:
        asked_at, endings = self._clock(), self._endings
        claims = dict(zip(call_ids, self._claims.claim_all(call_ids), strict=True))
        with self._mutex:
            self._in_doubt.difference_update(call_ids)
            if any(claim.answer in _LATER for claim in claims.values()):
                self._is_crowded = True
                if self._endings != endings:
                    self.wake()
            # MINE: the answer to the claim had been lost
            begun = {key: one for key, one in claims.items() if one.answer in {ClaimAnswer.GO, ClaimAnswer.MINE}}
            self._begun.update(begun)
            running = {call_id: _Running(asked_at) for call_id in begun}
            self._running.update(running)
        for call_id, claim in begun.items():
            arguments = (call_id, claim, running[call_id])
            threading.Thread(target=self._run, args=arguments, name=f"call-{call_id}", daemon=True).start()
        return {key: ClaimAnswer.GO if key in begun else claim.answer for key, claim in claims.items()}

    def drain(self, timeout_seconds: float | None = None) -> bool:
        """Claim nothing more, wait until everything that runs is recorded, and leave; tell whether all of it was in time."""
        with self._mutex:
            self._is_leaving = True
            all_done = self._idle.wait_for(lambda: not self._running and not self._claiming, timeout_seconds)
        self._ended.set()
        try:
            self._claims.leave()
        except (ClaimsUnavailableError, NotAdmittedError) as error:
            self._tell(f"the database could not be told that this worker leaves: {error}")
        self._claims.close()
        return all_done

    # --- a call ---

    def _run(self, call_id: UUID, claim: Claim, running: _Running) -> None:
        outcome = zlib.compress(_encoded(self._outcome(claim, running)), 1)
        with self._mutex:
            self._unrecorded[call_id] = outcome
            if self._is_recording:
                return
            self._is_recording = True
        self._record_all()

    def _outcome(self, claim: Claim, running: _Running) -> Answer | Failure:
        def permit() -> None:
            if running.is_given_up:
                message = "nobody waits for this call any more"
                raise LeaseLostError(message)
            if self._age(running) >= USABLE_PART * self._lease_seconds:
                message = "the claim on this call could not be renewed; nothing is begun without it"
                raise LeaseLostError(message)

        try:
            call = _read(claim.body)
            return self._make(call, Fence(claim.lineage, claim.token, claim.beside), permit)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is an outcome
            return failure_of(error)

    def _record_all(self) -> None:
        """Record what has ended, and what ends meanwhile, as often as it takes: meanwhile the claims are renewed, or the process ends.

        After a failure one is recorded alone, and what cannot be goes to the end: it keeps no other back. What is in the way
        is told once, and when all is recorded.
        """
        at_most, told = _RECORDED_AT_ONCE, ""
        while batch := self._next_to_record(at_most):
            try:
                answers = self._claims.finish_all(batch)
            except ClaimsUnavailableError as error:
                self._put_off(batch)
                if str(error) != told:
                    told = str(error)
                    self._tell(f"an outcome could not be recorded yet: {error}")
                self._ended.wait(_RETRY_SECONDS)
                at_most = 1
            except Exception as error:  # noqa: BLE001 - whatever it is, others can still be recorded
                self._recorded(batch, are_known=False)
                self._tell(f"an outcome could not be recorded: {error}")
            else:
                self._recorded(batch, are_known=True)
                at_most = _RECORDED_AT_ONCE
                if FinishAnswer.FENCED in answers:
                    self._tell("a call that had been given up has ended; nobody waits for its outcome")
                if told and not self._unrecorded:
                    told = ""
                    self._tell("outcomes are recorded again")

    def _next_to_record(self, at_most: int) -> dict[UUID, bytes]:
        with self._mutex:
            batch = dict(islice(self._unrecorded.items(), at_most))
            self._is_recording = bool(batch)
            return batch

    def _put_off(self, batch: Mapping[UUID, bytes]) -> None:
        with self._mutex:
            given_up = [call_id for call_id in batch if self._running[call_id].is_given_up]
            for call_id, outcome in batch.items():
                del self._unrecorded[call_id]
                self._unrecorded[call_id] = outcome
        self._recorded(given_up, are_known=False)

    def _recorded(self, batch: Collection[UUID], *, are_known: bool) -> None:
        """Let go of these calls; those that `are_known` to have ended the database gives to nobody any more."""
        with self._mutex:
            for call_id in batch:
                del self._unrecorded[call_id]
                self._running.pop(call_id, None)
            if are_known:
                self._begun.difference_update(batch)
            self._idle.notify_all()
            self._endings += 1
            if self._is_crowded:
                self.wake()

    # --- the claims ---

    def _age(self, running: _Running) -> float:
        return self._clock() - running.renewed_at

    def _renew(self) -> None:
        while not self._ended.wait(self._lease_seconds / _RENEWALS_PER_LEASE):
            with self._mutex:
                asked = dict(self._running)
            asked_at = self._clock()
            try:
                kept = self._claims.renew(asked)
            except NotAdmittedError as error:  # nor could any of it be recorded
                self._end_process(f"the database takes nothing of this worker any more: {error}")
                return
            except ClaimsUnavailableError as error:
                self._tell(f"the claims could not be renewed: {error}")
                self._beat()
                self._ended.wait(_RETRY_SECONDS)
                continue
            self._beat()
            for call_id, running in asked.items():
                if asked_at - running.renewed_at < USABLE_PART * self._lease_seconds:  # else others may make it by now
                    running.renewed_at = asked_at
                if call_id not in kept:  # or it has just been recorded
                    running.is_given_up = True

    def _watch(self) -> None:
        while not self._ended.wait(self._lease_seconds / 50):
            with self._mutex:
                # Those that were given up, too: the next run leaves them alone for as long as they are renewed.
                oldest = max((self._age(each) for each in self._running.values()), default=0.0)
            if oldest >= USABLE_PART * self._lease_seconds:
                self._end_process(f"the claims could not be renewed for {oldest:.1f} s of {self._lease_seconds:g} s")
                return


def _encoded(outcome: Answer | Failure) -> bytes:
    """Return the JSON form; a driver may be anybody's, and answer with what has none: a name that is no Unicode, a number beyond 64 bits."""
    try:
        return encode(outcome)
    except Exception as error:  # noqa: BLE001 - as above; without an outcome, the call would be renewed for ever
        message = f"the driver has answered with what cannot be written down: {failure_of(error).message}"
        return encode(Failure(FailureKind.MISBEHAVED, message))


def _read(body: bytes) -> Call[Answer]:
    """Return the call that was offered. Raises DriverError, as nothing has begun."""
    try:
        call = decode(body)
    except WireError as error:
        message = f"the worker cannot read the call, and has begun nothing ({error}); use one version of sharectl on both sides"
        raise DriverError(message) from error
    if not isinstance(call, Call):
        message = "what was offered to the worker is not a call, and it has begun nothing"
        raise DriverError(message)
    return call
