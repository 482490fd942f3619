"""An executor whose calls are made by workers elsewhere: offered in the database, hinted at through a dispatcher, and read back from the database.

At most `width` calls of a backend are offered and unfinished at once. A hint is given once: workers look into the database from time to
time. A backend without a live worker is told of at once, and so is one whose workers have another manifest of it.
"""

from __future__ import annotations

from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID, uuid4

from sharectl.executors.answers import Failure, FailureKind
from sharectl.executors.base import Began, Report
from sharectl.executors.call_queue import CallQueue
from sharectl.executors.failures import failure_of
from sharectl.executors.wire import encode
from sharectl.executors.workers.claims import PROTOCOL, ClaimsUnavailableError
from sharectl.executors.workers.offers import Offer, outcome_of
from sharectl.model.events import worker_name
from sharectl.model.frozen import dataclass
from sharectl.model.quantities import approximate_age
from sharectl.state.contract import LeaseLostError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from sharectl.executors.base import Permit, Submission
    from sharectl.executors.workers.offers import Offers, Seen, WorkerSeen

POLL_SECONDS: Final = 0.1
"""How often outcomes are read while calls are under way."""
CHECK_SECONDS: Final = 1.0
"""How often claims are looked at whose lease may have run out, and who serves."""
_ABSENT_SECONDS: Final = 5.0
"""When a call is to be tried again for which there is no worker."""


class Hints(Protocol):
    """Tells workers that calls wait for them; a hint may be lost, doubled or late. Methods return at once and raise nothing."""

    def give(self, backend: str, call_ids: Sequence[UUID]) -> None:
        """Tell the workers of the backend."""
        ...

    def close(self) -> None:
        """Give no more."""
        ...


class NoHints:
    """For workers that look into the database by themselves."""

    def give(self, backend: str, call_ids: Sequence[UUID]) -> None:
        """See Hints."""

    def close(self) -> None:
        """See Hints."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A backend that workers serve: how many calls it takes at once, and the digest of its manifest here."""

    width: int
    digest: str


@dataclass(frozen=True, slots=True)
class Unserved(Failure):
    """There is no worker of the backend."""


class _Offered:
    """A submission that is in the database, or may be: the answer to its offer may be lost."""

    __slots__ = ("begun_until", "offer", "submission", "worker_id")

    def __init__(self, offer: Offer, submission: Submission) -> None:
        self.offer = offer
        self.submission = submission
        self.begun_until: float | None = None
        self.worker_id: str | None = None


class Workers:
    """An Executor of calls on remote backends."""

    def __init__(
        self,
        offers: Offers,
        hints: Hints,
        remote: Callable[[str], Remote],
        clock: Callable[[], float] = monotonic,
        permit: Permit = lambda: None,
    ) -> None:
        """Offer with `offers`; `remote` knows each backend. Where the database does not answer, calls wait for it as long as `permit` returns."""
        self._offers = offers
        self._hints = hints
        self._remote = remote
        self._clock = clock
        self._permit = permit
        self._queues: dict[str, CallQueue] = {}
        self._queued: dict[int, Submission] = {}
        self._offered: dict[UUID, _Offered] = {}
        self._ids: dict[int, UUID] = {}
        self._busy: dict[str, int] = {}
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._is_held = False
        self._poll_at = self._check_at = float("-inf")
        self._unconfirmed: dict[UUID, None] = {}
        """In the order in which they are to be made."""
        self._unwanted: set[UUID] = set()
        self._given_up: set[UUID] = set()

    def width(self, backend: str) -> int:
        """See Executor."""
        return max(1, self._remote(backend).width)

    def submit(self, submission: Submission) -> None:
        """See Executor."""
        self._queued[submission.number] = submission
        self._queues.setdefault(submission.backend, CallQueue()).append(submission)

    def reports(self, timeout_seconds: float) -> Sequence[Report]:
        """See Executor."""
        until = monotonic() + timeout_seconds
        while True:
            found = self.look()
            left_seconds = until - monotonic()
            if any(not isinstance(report.outcome, Began) for report in found) or left_seconds <= 0:
                return found
            if self._is_rung_within(min(left_seconds, POLL_SECONDS)) or found:
                return found

    def _is_rung_within(self, wait_seconds: float) -> bool:
        try:
            self._bell.get(timeout=wait_seconds)
        except Empty:
            return False
        return True

    def look(self) -> list[Report]:
        """Offer what has room, and return what there is to report, without waiting."""
        return list(self._reports())

    def _reports(self) -> Iterator[Report]:
        try:
            yield from self._look()
        except ClaimsUnavailableError:
            yield from self._overdue()
            yield from self._not_permitted()

    def _look(self) -> Iterator[Report]:
        now = self._clock()
        if self._unwanted:
            self._take_back(self._unwanted)  # those that had not begun are reported with the news
            self._unwanted.clear()
        if self._queued or self._offered:
            if now >= self._check_at:
                self._check_at = now + CHECK_SECONDS
                yield from self._refusals()
                self._poll_at = now + POLL_SECONDS
                yield from self._news(loses=True)
            elif now >= self._poll_at:
                self._poll_at = now + POLL_SECONDS
                yield from self._news(loses=False)
        if not self._is_held:
            self._offer(now)
        yield from self._overdue()

    # --- to the workers ---

    def _offer(self, now: float) -> None:
        """Offer what has room, each call under one id, however often: an offer whose answer was lost may have been claimed."""
        for offer, submission in self._with_room():
            del self._queued[submission.number]
            self._offered[offer.call_id] = _Offered(offer, submission)
            self._ids[submission.number] = offer.call_id
            self._busy[offer.backend] = self._busy.get(offer.backend, 0) + 1
            self._unconfirmed[offer.call_id] = None
        if not self._unconfirmed:
            return
        offers = [self._offered[call_id].offer for call_id in self._unconfirmed]
        self._offers.offer(offers)
        self._unconfirmed.clear()
        by_backend: dict[str, list[UUID]] = {}
        for offer in offers:
            by_backend.setdefault(offer.backend, []).append(offer.call_id)
        for backend, call_ids in by_backend.items():
            self._hints.give(backend, call_ids)
        self._poll_at = min(self._poll_at, now + POLL_SECONDS)

    def _with_room(self) -> Iterator[tuple[Offer, Submission]]:
        for backend, queue in self._queues.items():
            room = self.width(backend) - self._busy.get(backend, 0) if queue else 0
            while queue and room > 0:
                submission = queue.popleft()
                if submission.number in self._queued:
                    room -= 1
                    body, digest = encode(submission.call), self._remote(backend).digest
                    operation = submission.operation
                    yield (
                        Offer(
                            uuid4(),
                            backend,
                            digest,
                            body,
                            None if operation is None else operation.operation_id,
                            None if operation is None else operation.address,
                        ),
                        submission,
                    )

    # --- from the workers ---

    def _news(self, *, loses: bool) -> Iterator[Report]:
        if loses and self._given_up:
            self._offers.give_up(self._given_up)
            self._given_up.clear()
        if not self._offered:
            return
        for seen in self._offers.look(self._offered, loses=loses):
            offered = self._offered[seen.call_id]
            number = offered.submission.number
            if offered.worker_id is None and seen.worker_id is not None:
                offered.worker_id = seen.worker_id
                offered.begun_until = self._clock() + offered.submission.timeout_seconds
                yield Report(number, Began(seen.worker_id))
            if seen.outcome is not None:
                self._drop(seen.call_id)
                yield Report(number, outcome_of(seen.outcome))
            elif seen.is_given_up:
                self._drop(seen.call_id)
                yield Report(number, _given_up(seen))

    def _overdue(self) -> Iterator[Report]:
        now = self._clock()
        for call_id, offered in tuple(self._offered.items()):
            if offered.begun_until is not None and now >= offered.begun_until:
                self._drop(call_id)
                self._given_up.add(call_id)
                message = f"no answer within {offered.submission.timeout_seconds:g} s"
                yield Report(offered.submission.number, Failure(FailureKind.SILENT, message))

    def _refusals(self) -> Iterator[Report]:
        """Report, of each backend that nobody can serve, the calls that have not begun."""
        waiting: dict[str, list[Submission]] = {}
        for submission in self._queued.values():
            waiting.setdefault(submission.backend, []).append(submission)
        for offered in self._offered.values():
            if offered.worker_id is None:
                waiting.setdefault(offered.submission.backend, []).append(offered.submission)
        if not waiting:
            return
        workers = self._offers.workers(waiting)
        for backend, submissions in waiting.items():
            known = [seen for seen in workers if seen.backend == backend]
            found = refusal(backend, self._remote(backend), known, self._offers.protocol)
            if found is None:
                continue
            for submission in submissions:
                if self._withdraw(submission.number):
                    yield Report(submission.number, found)

    def _not_permitted(self) -> Iterator[Report]:
        """Report all calls as failed where the run has lost its right to make any: no answer of a worker, and no commit, would tell."""
        if not (self._queued or self._ids):
            return
        try:
            self._permit()
        except (LeaseLostError, StateError) as error:
            for number in (*self._ids, *self._queued):
                self.abandon(number)
                yield Report(number, failure_of(error))

    def _drop(self, call_id: UUID) -> None:
        submission = self._offered.pop(call_id).submission
        self._unconfirmed.pop(call_id, None)
        self._unwanted.discard(call_id)
        del self._ids[submission.number]
        self._busy[submission.backend] -= 1

    # --- the rest of the contract ---

    def withdraw(self, number: int) -> bool:
        """See Executor."""
        try:
            return self._withdraw(number)
        except ClaimsUnavailableError:
            self._unwanted.add(self._ids[number])
            return False

    def _withdraw(self, number: int) -> bool:
        if self._queued.pop(number, None) is not None:
            return True
        call_id = self._ids.get(number)
        if call_id is None or self._offered[call_id].worker_id is not None:
            return False
        is_back = call_id in self._take_back([call_id])
        if is_back:
            self._drop(call_id)
        return is_back

    def _take_back(self, call_ids: Collection[UUID]) -> set[UUID]:
        back = self._offers.take_back([self._offered[call_id].offer for call_id in call_ids])
        for call_id in call_ids:
            self._unconfirmed.pop(call_id, None)
        return back

    def abandon(self, number: int) -> None:
        """See Executor."""
        call_id = self._ids.get(number)
        if self._queued.pop(number, None) is None and call_id is not None:
            self._drop(call_id)
            self._given_up.add(call_id)

    def wake(self) -> None:
        """See Executor."""
        self._bell.put(None)

    def hold(self) -> None:
        """See Executor. What has been offered, no more than the width of each backend, may still be claimed until it is withdrawn."""
        self._is_held = True

    def go_on(self) -> None:
        """See Executor."""
        self._is_held = False

    def close(self) -> None:
        """See Executor."""
        for number in tuple(self._ids):
            self.abandon(number)
        self._queued.clear()
        self._queues.clear()
        self._hints.close()
        try:
            if self._given_up:
                self._offers.give_up(self._given_up)
            self._offers.tidy()
        except (ClaimsUnavailableError, StateError):
            pass  # the next run gives up what is left of this one; what came of this one is worth more than why that was not done


def _given_up(seen: Seen) -> Failure:
    if seen.worker_id is None:  # by a request whose answer was lost
        return Failure(FailureKind.WITHDRAWN, "it was taken back before it began")
    return Failure(FailureKind.WORKER_LOST, f"the worker {worker_name(seen.worker_id)} was lost while it made the call")


def last_seen(known: Sequence[WorkerSeen]) -> str:
    """Return what is known of workers of which none takes calls."""
    if not known:
        return "none was ever seen"
    last = min(known, key=lambda seen: seen.silent_seconds)
    words = f"last seen {approximate_age(last.silent_seconds)} ago"
    return words if last.is_admitted else f"that on {last.host} was dismissed, {words}"


def remedy_of_unserved(backend: str, known: Sequence[WorkerSeen]) -> str:
    """Return what gives the backend a worker again: another one, or the consent that the last one has lost."""
    if known and not min(known, key=lambda seen: seen.silent_seconds).is_admitted:
        return f"let a role serve it with `sharectl workers admit --role ROLE --backend {backend}`"
    return f"start one with `sharectl worker --backend {backend}`"


def refusal(backend: str, remote: Remote, workers: Iterable[WorkerSeen], protocol: int) -> Failure | None:
    """Return why no worker takes calls of the backend, for which it has to speak at least `protocol`; None where one does."""
    known = list(workers)
    alive = [seen for seen in known if seen.is_alive]
    if not alive:
        message = f"backend {backend} has no worker ({last_seen(known)}); {remedy_of_unserved(backend, known)}"
        return Unserved(FailureKind.UNAVAILABLE, message, _ABSENT_SECONDS)
    if any(seen.digest == remote.digest and protocol <= seen.protocol <= PROTOCOL for seen in alive):
        return None
    other = alive[0]
    if other.digest != remote.digest:
        message = (
            f"the worker of backend {backend} on {other.host} has another manifest of it: "
            f"digest {other.digest} there, {remote.digest} here; give both the same and start the worker again"
        )
    else:
        message = (
            f"the worker of backend {backend} on {other.host} is of sharectl {other.version}, which speaks version "
            f"{other.protocol} of the protocol of workers, and this one {PROTOCOL}; use the same version of sharectl on both, and start the worker again"
        )
    return Failure(FailureKind.REFUSED, message)
