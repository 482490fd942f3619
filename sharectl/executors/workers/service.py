"""A worker of one backend: it claims what it is offered, makes the call, and records how that ended.

It looks into the database for calls that wait, and a hint makes it look at one at once. Each call has a thread; how many run at
once the database says. One thread renews the claims, three times in a lease. Another ends the process where a claim could not be
renewed for `USABLE_PART` of a lease: nobody may take over before the whole of it is over, so that no request leaves which another
worker repeats already.
"""

from __future__ import annotations

import threading
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.executors.calls import Call
from sharectl.executors.failures import failure_of
from sharectl.executors.wire import WireError, decode, encode
from sharectl.executors.workers.claims import ClaimAnswer, ClaimsUnavailableError, FinishAnswer, NotAdmittedError
from sharectl.state.contract import LeaseLostError
from sharectl.state.lock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from sharectl.executors.base import Permit
    from sharectl.executors.calls import Answer, Failure
    from sharectl.executors.workers.claims import Claim, Claims

USABLE_PART: Final = 0.8
_RENEWALS_PER_LEASE: Final = 3
_RETRY_SECONDS: Final = 0.2
_LOOKED_AT_ONCE: Final = 32
_DOUBTFUL_AT_MOST: Final = 256


class Fence(NamedTuple):
    """The run that offered a call: the lineage of its state, and the token of its lease (None: it is a question)."""

    lineage: str
    token: int | None


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
    ) -> None:
        """Make calls with `make`; where the claims cannot be renewed, `end_process` with the reason. `tell` is told what people may want to know."""
        self._claims = claims
        self._make = make
        self._lease_seconds = lease_seconds
        self._end_process = end_process
        self._tell = tell
        self._clock = clock
        self._mutex = threading.Lock()
        self._claiming: set[UUID] = set()
        self._running: dict[UUID, _Running] = {}
        self._begun: set[UUID] = set()
        self._in_doubt: set[UUID] = set()
        self._idle = threading.Condition(self._mutex)
        self._has_room = threading.Event()
        self._is_leaving = False
        self._ended = threading.Event()

    def start(self) -> None:
        """Present the worker, and begin to renew. Raises as Claims.serve."""
        self._claims.serve()
        threading.Thread(target=self._renew, name="renewal", daemon=True).start()
        threading.Thread(target=self._watch, name="self-fence", daemon=True).start()

    def look(self) -> None:
        """Begin what waits and has room. Raises as Claims.claim."""
        for call_id in (*tuple(self._in_doubt), *self._claims.waiting(_LOOKED_AT_ONCE)):
            self.offer(call_id)

    def look_until(self, stopped: threading.Event, interval_seconds: float) -> None:
        """Look again and again, and whenever a call has ended that others may have waited for, until `stopped`."""
        told = ""
        while not stopped.is_set():
            try:
                self.look()
                told = ""
            except (ClaimsUnavailableError, NotAdmittedError) as error:
                if str(error) != told:
                    told = str(error)
                    self._tell(f"the database could not be asked for calls: {error}")
            if self._has_room.wait(interval_seconds):
                self._has_room.clear()

    def offer(self, call_id: UUID) -> ClaimAnswer:
        """Claim the call, unless that is done or under way, and begin it in a thread of its own where that says GO. Raises as Claims.claim."""
        with self._mutex:
            if self._is_leaving:
                return ClaimAnswer.LEFT
            if call_id in self._claiming or call_id in self._begun:
                return ClaimAnswer.MINE  # one answer at a time: a second one might come when the call has ended
            self._claiming.add(call_id)
            if len(self._in_doubt) < _DOUBTFUL_AT_MOST:  # whoever may give hints can name any number of calls
                self._in_doubt.add(call_id)
        try:
            return self._begin(call_id)
        finally:
            with self._mutex:
                self._claiming.discard(call_id)
                self._idle.notify_all()

    def _begin(self, call_id: UUID) -> ClaimAnswer:
        asked_at = self._clock()
        claim = self._claims.claim(call_id)
        with self._mutex:
            self._in_doubt.discard(call_id)
            if claim.answer not in {ClaimAnswer.GO, ClaimAnswer.MINE}:
                return claim.answer
            self._begun.add(call_id)  # MINE: the answer to the claim had been lost
            running = self._running[call_id] = _Running(asked_at)
        thread = threading.Thread(target=self._run, args=(call_id, claim, running), name=f"call-{call_id}", daemon=True)
        thread.start()
        return ClaimAnswer.GO

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
        try:
            outcome = self._outcome(claim, running)
            self._record(call_id, running, zlib.compress(encode(outcome), 1))
        finally:
            with self._mutex:
                self._running.pop(call_id, None)
                self._idle.notify_all()
            self._has_room.set()

    def _outcome(self, claim: Claim, running: _Running) -> Answer | Failure:
        def permit() -> None:
            if running.is_given_up:
                message = "nobody waits for this call any more"
                raise LeaseLostError(message)
            if self._age(running) >= USABLE_PART * self._lease_seconds:
                message = "the claim on this call could not be renewed; nothing is begun without it"
                raise LeaseLostError(message)

        try:
            call = decode(claim.body)
            if not isinstance(call, Call):
                message = "what was offered is not a call"
                raise WireError(message)  # noqa: TRY301 - told like all that is wrong with a call
            return self._make(call, Fence(claim.lineage, claim.token), permit)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is an outcome
            return failure_of(error)

    def _record(self, call_id: UUID, running: _Running, outcome: bytes) -> None:
        """Record the outcome, as often as it takes: meanwhile the claim is renewed, or the process ends."""
        while True:
            try:
                answer = self._claims.finish(call_id, outcome)
            except ClaimsUnavailableError as error:
                if running.is_given_up:
                    return
                self._tell(f"an outcome could not be recorded yet: {error}")
                self._ended.wait(_RETRY_SECONDS)
                continue
            except NotAdmittedError as error:
                self._tell(f"an outcome could not be recorded: {error}")
                return
            with self._mutex:
                self._begun.discard(call_id)  # from here on the database knows better than to give it to anybody
            if answer is FinishAnswer.FENCED:
                self._tell("a call that had been given up has ended; nobody waits for its outcome")
            return

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
                self._ended.wait(_RETRY_SECONDS)
                continue
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
