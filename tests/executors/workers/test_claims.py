"""Claims: who may begin a call and who may finish it, as the database says."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING
from uuid import uuid4
from zlib import compress

import pytest
from psycopg import sql

from sharectl.executors.answers import Done, Failure, FailureKind
from sharectl.executors.base import Remains
from sharectl.executors.calls import ListShares
from sharectl.executors.wire import encode
from sharectl.executors.workers.claims import ALONE, PROTOCOL, Claim, ClaimAnswer, FinishAnswer
from sharectl.executors.workers.offers import Offer, outcome_of
from sharectl.executors.workers.tables import FUNCTIONS, QUESTIONS_AT_ONCE, TURN, install
from sharectl.state.contract import StateNewerError
from tests.postgresql import traced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.executors.workers.conftest import Database


def test_who_claims_first_gets_the_call_with_the_fence_of_its_run(database: Database) -> None:
    """And finds it among those that wait."""
    worker, call_id = database.worker(), database.offer()
    assert worker.waiting(10) == [call_id]
    assert worker.claim(call_id) == Claim(ClaimAnswer.GO, b"body", database.token, "lineage")
    assert worker.waiting(10) == []


def test_a_call_is_claimed_by_one_worker_whoever_asks_at_once(database: Database) -> None:
    """A hint may be doubled; all that come later hear that somebody has it."""
    workers = [database.worker(f"w{number}") for number in range(8)]
    call_id = database.offer()
    answers: list[ClaimAnswer] = []
    barrier = threading.Barrier(8)

    def claim(number: int) -> None:
        barrier.wait()
        answers.append(workers[number].claim(call_id).answer)

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [ClaimAnswer.BUSY] * 7 + [ClaimAnswer.GO]


def test_a_claim_whose_answer_was_lost_is_answered_again_to_the_same_worker(database: Database) -> None:
    """With the call, so that it can be made."""
    worker, call_id = database.worker(), database.offer()
    worker.claim(call_id)
    assert worker.claim(call_id) == Claim(ClaimAnswer.MINE, b"body", database.token, "lineage")
    database.lapse(call_id)
    assert worker.claim(call_id) == Claim(ClaimAnswer.BUSY)


def test_what_is_finished_is_not_begun_again(database: Database) -> None:
    """A late hint changes nothing."""
    worker, call_id = database.worker(), database.offer()
    worker.claim(call_id)
    assert worker.finish(call_id, b"done") is FinishAnswer.RECORDED
    assert worker.claim(call_id) == Claim(ClaimAnswer.DONE)
    assert database.worker("other").claim(call_id) == Claim(ClaimAnswer.DONE)


def test_an_outcome_whose_answer_was_lost_is_recorded_once(database: Database) -> None:
    """Sent again, the first one stays."""
    worker, call_id = database.worker(), database.offer()
    worker.claim(call_id)
    worker.finish(call_id, b"first")
    assert worker.finish(call_id, b"second") is FinishAnswer.ALREADY
    (seen,) = database.offers().look([call_id], loses=True)
    assert seen.outcome == b"first"


def test_many_claims_and_many_outcomes_are_a_round_trip_each(database: Database, tmp_path: Path) -> None:
    """What a step costs a worker depends on it: one message to the server, with the beginning and the end of the transaction."""
    with traced(tmp_path) as sent:
        worker = database.worker(width=8)
        calls = [database.offer(f"share/{number}") for number in range(8)]
        sent()
        assert {claim.answer for claim in worker.claim_all(calls)} == {ClaimAnswer.GO}
        assert sent() == ["Query"]
        assert {*worker.finish_all(dict.fromkeys(calls, b"done"))} == {FinishAnswer.RECORDED}
        assert sent() == ["Query"]


@pytest.mark.parametrize("conforming", ["on", "off"])
def test_an_outcome_is_recorded_as_it_is_whatever_bytes_it_has(database: Database, conforming: str) -> None:
    """It is in the text of the statement, also where the server reads strings in its old way."""
    database.set_sessions(f"standard_conforming_strings={conforming}")
    worker, call_id = database.worker("o'w\\n"), database.offer()
    outcome = bytes(range(256)) + b"'; COMMIT; -- \\x41 \\' $$ %s {}"
    worker.claim(call_id)
    assert worker.finish(call_id, outcome) is FinishAnswer.RECORDED
    (seen,) = database.offers().look([call_id], loses=False)
    assert seen.outcome == outcome


def test_claims_that_are_asked_for_together_are_answered_each(database: Database) -> None:
    """One that cannot be made keeps no other back."""
    worker = database.worker(width=2)
    calls = [database.offer(address) for address in ("share/a", "share/a", "share/b", "share/c")]
    answers = [claim.answer for claim in worker.claim_all([uuid4(), *calls])]
    assert answers == ["unknown", "go", "conflict", "go", "full"]


def test_two_workers_that_claim_the_same_calls_in_another_order_do_not_lock_each_other_out(database: Database) -> None:
    """Claims on a backend take turns from before the first to after the last."""
    workers = [database.worker(f"w{number}", width=64) for number in range(4)]
    calls = [database.offer(f"share/{number}") for number in range(24)]
    orders = [calls, calls[::-1], calls[12:] + calls[:12], calls[::-1]]
    barrier = threading.Barrier(4)
    answers: list[ClaimAnswer] = []

    def claim(number: int) -> None:
        barrier.wait()
        answers.extend(claim.answer for claim in workers[number].claim_all(orders[number]))

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [ClaimAnswer.BUSY] * 72 + [ClaimAnswer.GO] * 24


@pytest.mark.parametrize("request_of", ["renew", "finish_all", "give up", "lose", "close"])
def test_workers_and_runs_never_lock_each_other_out(database: Database, request_of: str) -> None:
    """All lock calls in one order, whatever was claimed first: who waits for the first has none of the others."""
    worker, calls = database.worker(width=8), sorted(database.offer(f"share/{number}") for number in range(6))
    for call_id in reversed(calls):
        worker.claim(call_id)
        if request_of in {"lose", "close"}:
            database.lapse(call_id)
    backwards = dict.fromkeys(reversed(calls), b"done")
    ask: Mapping[str, Callable[[], object]] = {
        "renew": lambda: worker.renew(backwards),
        "finish_all": lambda: worker.finish_all(backwards),
        "give up": lambda: database.offers().give_up(backwards),
        "lose": lambda: database.offers().look(backwards, loses=True),
        "close": lambda: database.earlier.look([f"operation {call_id}" for call_id in backwards]),
    }
    lock = "SELECT FROM {s}.call WHERE call_id = %s FOR UPDATE"
    with closing(database.connect()) as holding, ThreadPoolExecutor() as threads:
        holding.autocommit = False
        holding.execute(sql.SQL(lock).format(s=sql.Identifier(database.place.schema)), (calls[0],))
        asked = threads.submit(ask[request_of])
        try:
            waiting = "SELECT FROM pg_locks WHERE NOT granted AND %s = ANY (pg_blocking_pids(pid))"
            wait_until(lambda: database.execute(waiting, holding.info.backend_pid))
            for call_id in calls[1:]:
                database.execute(lock + " NOWAIT", call_id)
        finally:
            holding.rollback()
        assert request_of != "renew" or asked.result(300) == set(calls)
        asked.result(300)
    ended = "SELECT FROM {s}.call WHERE finished_at IS NOT NULL OR given_up_at IS NOT NULL"
    assert len(database.execute(ended)) == (0 if request_of == "renew" else len(calls))


@pytest.mark.parametrize("request_of", ["take back", "give up"])
def test_a_run_that_takes_calls_back_waits_for_claims_before_it_locks_any(database: Database, request_of: str) -> None:
    """Claims are made in the order of the offers, several in a transaction, and a run locks by the ids: each would wait for the other."""
    worker, (first, second) = database.worker(), sorted(database.offer(f"share/{number}") for number in range(2))
    offers = [Offer(call_id, "filer", "digest", b"body") for call_id in (first, second)]
    ask: Mapping[str, Callable[[], object]] = {
        "take back": lambda: database.offers().take_back(offers),
        "give up": lambda: database.offers().give_up([second, first]),
    }
    schema = sql.Identifier(database.place.schema)
    turn = sql.SQL("SELECT " + TURN).format(schema=schema, backend=sql.Literal("filer"))
    claim = sql.SQL("SELECT answer FROM {s}.claim(%s, %s)").format(s=schema)
    with closing(database.connect()) as claiming, ThreadPoolExecutor() as threads:
        claiming.autocommit = False
        claiming.execute(turn)
        assert claiming.execute(claim, ("w", second)).fetchone() == ("go",)
        asked = threads.submit(ask[request_of])
        waiting = "SELECT FROM pg_locks WHERE NOT granted AND %s = ANY (pg_blocking_pids(pid))"
        wait_until(lambda: database.execute(waiting, claiming.info.backend_pid))
        assert claiming.execute(claim, ("w", first)).fetchone() == ("go",)
        claiming.commit()
        assert asked.result(300) in (None, set())
    assert worker.renew([first, second]) == (set() if request_of == "give up" else {first, second})


def wait_until(condition: Callable[[], object]) -> None:
    """Return once `condition` holds."""
    deadline = monotonic() + 300
    while not condition():
        assert monotonic() < deadline
        sleep(0.01)


def test_a_session_that_has_ended_meanwhile_is_replaced(database: Database) -> None:
    """A server that was restarted, or a firewall, ends sessions while they are idle."""
    worker, call_id = database.worker(), database.offer()
    ended = database.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND state = 'idle' AND strpos(query, %s) > 0",
        database.place.schema,
    )
    assert (True,) in ended
    assert worker.claim(call_id).answer is ClaimAnswer.GO


_WATCHED = """
CREATE TABLE {s}.noted (synchronous_commit text, lock_timeout text, statement_timeout text);
CREATE FUNCTION {s}.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {s}.noted VALUES (
        current_setting('synchronous_commit'), current_setting('lock_timeout'), current_setting('statement_timeout')
    );
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON {s}.call FOR EACH ROW EXECUTE FUNCTION {s}.note();
"""


def test_what_is_offered_claimed_and_finished_is_durable_whatever_the_database_is_set_to(database: Database) -> None:
    """A claim that a crash forgets would be given to another worker as well; and nothing waits for others without end."""
    database.execute(_WATCHED)
    database.set_sessions("synchronous_commit=off")
    worker, call_id = database.worker(), database.offer()
    worker.claim(call_id)
    worker.renew([call_id])
    worker.finish(call_id, b"done")
    noted = database.execute("SELECT * FROM {s}.noted")
    assert (len(noted), {*noted}) == (4, {("on", "15s", "1min")})


@pytest.mark.parametrize("change", ["taken away", "run out"])
def test_a_run_without_its_lease_begins_nothing(database: Database, change: str) -> None:
    """Whatever it has offered before: the right to begin is looked at when the call begins."""
    worker, call_id = database.worker(), database.offer()
    if change == "taken away":
        database.execute("DELETE FROM {s}.lease")
    else:
        database.execute("UPDATE {s}.lease SET heartbeat_at = clock_timestamp() - interval '2 h'")
    assert worker.claim(call_id) == Claim(ClaimAnswer.FENCED)


def test_a_run_that_loses_its_lease_finishes_what_it_has_begun(database: Database) -> None:
    """The claim is the right to finish."""
    worker, call_id = database.worker(), database.offer()
    worker.claim(call_id)
    database.execute("DELETE FROM {s}.lease")
    assert worker.renew([call_id]) == {call_id}
    assert worker.finish(call_id, b"done") is FinishAnswer.RECORDED


def test_two_calls_at_one_address_are_never_under_way_at_once(database: Database) -> None:
    """The second may begin when the first has ended, or was given up."""
    worker = database.worker()
    first, second, third = database.offer(), database.offer(), database.offer()
    assert worker.claim(first).answer is ClaimAnswer.GO
    assert worker.claim(second).answer is ClaimAnswer.CONFLICT
    worker.finish(first, b"done")
    assert worker.claim(second).answer is ClaimAnswer.GO
    assert worker.claim(third).answer is ClaimAnswer.CONFLICT
    database.offers().give_up([second])
    assert worker.claim(third).answer is ClaimAnswer.GO


def test_a_call_without_an_open_intent_is_not_begun(database: Database) -> None:
    """Somebody has resolved it meanwhile."""
    worker, call_id = database.worker(), database.offer()
    database.execute("DELETE FROM {s}.operation")
    assert worker.claim(call_id) == Claim(ClaimAnswer.CANCELLED)


def test_what_is_taken_back_before_it_began_never_begins(database: Database) -> None:
    """What has begun cannot be taken back, and is told of by nobody."""
    worker, offers = database.worker(), database.offers()
    begun, waiting = database.offer("share/a"), database.offer("share/b")
    worker.claim(begun)
    assert offers.take_back([Offer(each, "filer", "digest", b"body") for each in (begun, waiting)]) == {waiting}
    assert worker.claim(waiting) == Claim(ClaimAnswer.CANCELLED)
    assert worker.finish(begun, b"done") is FinishAnswer.RECORDED


def test_an_offer_that_arrives_after_it_was_taken_back_is_claimed_by_nobody(database: Database) -> None:
    """The server may still be about it when its client has lost the connection."""
    worker, offers, late = database.worker(), database.offers(), Offer(uuid4(), "filer", "digest", b"body")
    assert offers.take_back([late]) == {late.call_id}
    offers.offer([late])
    assert worker.waiting(10) == []
    assert worker.claim(late.call_id) == Claim(ClaimAnswer.CANCELLED)


def test_no_outcome_is_taken_of_what_was_given_up(database: Database) -> None:
    """The worker hears of it with its next renewal."""
    worker, call_id = database.worker(), database.offer()
    worker.claim(call_id)
    database.offers().give_up([call_id])
    assert worker.renew([call_id]) == set()
    assert worker.finish(call_id, b"late") is FinishAnswer.FENCED


def test_a_claim_that_was_not_renewed_is_lost_and_its_outcome_is_not_taken_any_more(database: Database) -> None:
    """Until somebody sees that it is lost, it can still be finished."""
    worker, offers = database.worker(), database.offers()
    lost, late = database.offer("share/a"), database.offer("share/b")
    for call_id in (lost, late):
        worker.claim(call_id)
        database.lapse(call_id)
    assert worker.finish(late, b"late") is FinishAnswer.RECORDED
    seen = {each.call_id: each.is_given_up for each in offers.look([lost, late], loses=True)}
    assert seen == {lost: True, late: False}
    assert worker.finish(lost, b"too late") is FinishAnswer.FENCED
    assert worker.renew([lost]) == set()


def test_a_renewed_claim_is_not_lost(database: Database) -> None:
    """However long ago it began."""
    worker, call_id = database.worker(), database.offer()
    worker.claim(call_id)
    database.lapse(call_id)
    assert worker.renew([call_id]) == {call_id}
    (seen,) = database.offers().look([call_id], loses=True)
    assert not seen.is_given_up


def test_all_workers_of_a_backend_together_make_no_more_calls_than_it_is_wide(database: Database) -> None:
    """Whoever offers them; what was given up, or whose lease has run out, does not count."""
    workers = [database.worker(f"w{number}", width=2) for number in range(2)]
    calls = [database.offer(f"share/{number}") for number in range(4)]
    answers = [workers[number % 2].claim(call_id).answer for number, call_id in enumerate(calls)]
    assert answers == [ClaimAnswer.GO, ClaimAnswer.GO, ClaimAnswer.FULL, ClaimAnswer.FULL]
    workers[0].finish(calls[0], b"done")
    database.lapse(calls[1])
    assert [workers[0].claim(call_id).answer for call_id in calls[2:]] == [ClaimAnswer.GO, ClaimAnswer.GO]


def test_a_question_does_not_wait_for_steps_nor_for_a_lease(database: Database) -> None:
    """It has places of its own."""
    worker = database.worker(width=1)
    worker.claim(database.offer("share/a"))
    questions = [database.offer(None, token=None) for _ in range(QUESTIONS_AT_ONCE + 1)]
    answers = [worker.claim(call_id).answer for call_id in questions]
    assert answers == [ClaimAnswer.GO] * QUESTIONS_AT_ONCE + [ClaimAnswer.FULL]


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"backend": "other"}, ClaimAnswer.FOREIGN),
        ({"digest": "another"}, ClaimAnswer.MANIFEST),
        ({"protocol": ALONE}, ClaimAnswer.VERSION),
    ],
)
def test_a_worker_leaves_what_is_not_for_it(database: Database, change: dict[str, object], answer: ClaimAnswer) -> None:
    """Another backend's, one with another manifest, or one that a newer worker has to make; such calls do not even wait for it."""
    worker, call_id = database.worker(**change), database.offer(protocol=PROTOCOL)
    assert worker.waiting(10) == []
    assert worker.claim(call_id) == Claim(answer)
    assert database.worker("right").claim(call_id).answer is ClaimAnswer.GO


def test_a_hint_of_nothing_is_answered_so(database: Database) -> None:
    """A message can only name calls that are there."""
    assert database.worker().claim(uuid4()) == Claim(ClaimAnswer.UNKNOWN)


def test_a_worker_that_leaves_claims_nothing_more_and_finishes(database: Database) -> None:
    """And is known to be gone."""
    worker = database.worker()
    first, second = database.offer("share/a"), database.offer("share/b")
    worker.claim(first)
    worker.leave()
    assert worker.claim(second) == Claim(ClaimAnswer.LEFT)
    assert worker.finish(first, b"done") is FinishAnswer.RECORDED
    (seen,) = database.offers().workers(["filer"])
    assert (seen.has_left, seen.is_alive) == (True, False)


def test_a_worker_is_known_with_what_it_does(database: Database) -> None:
    """And as silent, where it has given no heartbeat for a lease."""
    worker = database.worker()
    worker.claim(database.offer())
    (seen,) = database.offers().workers()
    assert (seen.backend, seen.host, seen.width, seen.running, seen.is_alive) == ("filer", "host", 4, 1, True)
    database.execute("UPDATE {s}.worker SET heartbeat_at = clock_timestamp() - interval '3 h'")
    (seen,) = database.offers().workers()
    assert not seen.is_alive
    assert seen.silent_seconds == pytest.approx(3 * 3600, abs=600)


def test_an_offer_that_is_repeated_is_there_once(database: Database) -> None:
    """The answer to the first may have been lost."""
    call_id = database.offer(None)
    database.offer(None, call_id=call_id)
    assert database.worker().waiting(10) == [call_id]


def test_what_remains_of_an_earlier_run_is_what_began_and_how_it_ended(database: Database) -> None:
    """What had not begun never will; what is under way is told of; what was lost has begun, and nobody knows more."""
    worker = database.worker()
    waiting, running, lost, done = (database.offer(f"share/{name}") for name in ("waiting", "running", "lost", "done"))
    for call_id in (running, lost, done):
        worker.claim(call_id)
    database.lapse(lost)
    worker.finish(done, b"not to be read")
    names = {call_id: f"operation {call_id}" for call_id in (waiting, running, lost, done)}
    under_way, remains = database.earlier.look(names.values())
    assert [call.address for call in under_way] == ["share/running"]
    assert remains == {
        names[waiting]: Remains(has_begun=False),
        names[running]: Remains(has_begun=True, is_under_way=True),
        **dict.fromkeys((names[lost], names[done]), Remains(has_begun=True)),
    }
    assert worker.claim(waiting) == Claim(ClaimAnswer.CANCELLED)
    assert worker.finish(lost, b"late") is FinishAnswer.FENCED


def test_what_was_given_up_is_under_way_until_its_worker_says_that_it_has_ended(database: Database) -> None:
    """A run that is stopped at once leaves its calls behind; the next one touches nothing of theirs before they have ended."""
    worker, call_id = database.worker(), database.offer()
    operation = f"operation {call_id}"
    worker.claim(call_id)
    database.offers().give_up([call_id])
    assert worker.renew([call_id]) == set()
    under_way, remains = database.earlier.look([operation])
    assert [(call.address, call.is_given_up) for call in under_way] == [("share/a", True)]
    assert remains == {operation: Remains(has_begun=True, is_under_way=True)}
    assert worker.finish(call_id, compress(encode(Done()))) is FinishAnswer.FENCED
    assert database.earlier.look([operation]) == ([], {operation: Remains(has_begun=True, answer=Done())})


def test_what_was_given_up_is_under_way_no_longer_than_its_worker_lives(database: Database) -> None:
    """Its lease runs out as any other."""
    worker, call_id = database.worker(), database.offer()
    worker.claim(call_id)
    database.offers().give_up([call_id])
    database.lapse(call_id)
    operation = f"operation {call_id}"
    assert database.earlier.look([operation]) == ([], {operation: Remains(has_begun=True)})


def test_calls_are_kept_as_long_as_their_operation_is_open(database: Database) -> None:
    """A run that dies between an answer and what the state makes of it leaves the answer to the next."""
    worker, call_id = database.worker(), database.offer()
    worker.claim(call_id)
    worker.finish(call_id, b"done")
    database.offers().tidy()
    database.earlier.tidy()
    assert [seen.outcome for seen in database.offers().look([call_id], loses=False)] == [b"done"]
    database.execute("DELETE FROM {s}.operation")
    database.offers().tidy()
    assert database.offers().look([call_id], loses=False) == []


def test_what_a_recovery_does_is_under_way_too(database: Database) -> None:
    """It has a token and no operation of its own, and may be about any intent of its backend."""
    worker, call_id = database.worker(), database.offer(None)
    worker.claim(call_id)
    assert database.earlier.look([]) == ([], {})  # its run is at work
    database.execute("DELETE FROM {s}.lease")
    (call,), remains = database.earlier.look([])
    assert (call.address, call.backend, call.is_of_operation) == ("backend/filer", "filer", False)
    assert remains == {}
    worker.finish(call_id, b"done")
    assert database.earlier.look([]) == ([], {})


def test_a_question_holds_nothing_up(database: Database) -> None:
    """It changes nothing, also where a run asks it that has the lock; and it may hang."""
    worker = database.worker()
    for call_id in (database.offer(None, token=None), database.offer(None, body=encode(ListShares(None)))):
        assert worker.claim(call_id).answer is ClaimAnswer.GO
    assert database.earlier.look([]) == ([], {})


def test_nothing_is_forgotten_that_is_under_way(database: Database) -> None:
    """Neither by its own run nor by the next one, and also where somebody has dropped its intent."""
    worker, calls = database.worker(), [database.offer("share/a"), database.offer(None)]
    database.execute("DELETE FROM {s}.lease")
    database.execute("UPDATE {s}.call SET offered_at = offered_at - interval '2 days'")
    database.execute(
        "UPDATE {s}.call SET worker_id = 'w', claimed_at = now(), lease_until = clock_timestamp() + interval '1 h'"
    )
    database.execute("DELETE FROM {s}.operation")
    for tidy in (database.offers().tidy, database.earlier.tidy):
        tidy()
        assert {call.call_id for call in database.earlier.look([])[0]} == {*calls}
    for call_id in calls:
        worker.finish(call_id, b"done")
    database.earlier.tidy()
    assert database.execute("SELECT count(*) FROM {s}.call") == [(0,)]


def test_a_worker_without_the_right_to_go_on_is_lost_and_the_run_is_not() -> None:
    """It says so of its own claim; the run sees by itself whether it has the lock."""
    told = compress(encode(Failure(FailureKind.NOT_PERMITTED, "the claim could not be renewed")))
    assert outcome_of(told) == Failure(FailureKind.WORKER_LOST, "the claim could not be renewed")


def test_tables_are_made_once(database: Database) -> None:
    """Whoever comes first; the next finds them."""
    call_id = database.offer()
    with database.own.connection() as connection:
        install(connection, database.place.schema)
    assert database.worker().waiting(10) == [call_id]


def test_tables_of_another_version_are_left_alone(database: Database) -> None:
    """Whoever has made them is newer, and knows better."""
    database.execute("COMMENT ON TABLE {s}.call IS 'sharectl workers 1000'")
    with pytest.raises(StateNewerError, match="sharectl workers 1000"), database.own.connection() as connection:
        install(connection, database.place.schema)


def test_functions_of_the_first_version_are_replaced(database: Database) -> None:
    """Under workers that go on, with what is in the tables; who may call them stays as it was."""
    database.execute("DROP TABLE {s}.call, {s}.worker, {s}.worker_role CASCADE")
    database.execute("DROP FUNCTION {s}.may_begin, {s}.has_room, {s}.serve, {s}.waiting")
    database.execute("DROP FUNCTION {s}.claim, {s}.leases, {s}.renew, {s}.finish, {s}.leave")
    first = (Path(__file__).parent / "functions_1.sql").read_text()
    with closing(database.connect()) as connection:
        connection.execute(first.replace("SCHEMA", database.place.schema).encode())
    worker, running, waiting = database.worker(), database.offer("share/a"), database.offer("share/b")
    gone = [database.offer(f"share/{number}", token=1) for number in range(3)]
    assert worker.claim(running).answer is ClaimAnswer.GO
    assert worker.waiting(10) == [waiting, *gone]
    assert protocols(database) == [ALONE]
    rights = "SELECT proname, proacl::text FROM pg_proc WHERE pronamespace = %s::regnamespace AND proname = 'claim'"
    before = database.execute(rights, database.place.schema)
    for _ in range(2):
        with database.own.connection() as connection:
            install(connection, database.place.schema)
    version = "SELECT obj_description('{s}.claim(text, uuid)'::regprocedure, 'pg_proc')"
    assert database.execute(version) == [(f"sharectl functions {FUNCTIONS}",)]
    assert database.execute(rights, database.place.schema) == before
    assert worker.waiting(10) == [waiting]
    assert worker.renew([running]) == {running}
    assert worker.finish(running, b"done") is FinishAnswer.RECORDED
    assert worker.claim(waiting).answer is ClaimAnswer.GO
    database.worker("started anew")
    assert protocols(database) == [ALONE, PROTOCOL]


def protocols(database: Database) -> list[int]:
    """Return what workers speak, the oldest first."""
    return [seen.protocol for seen in database.offers().workers()]


def test_a_claim_says_which_runs_before_it_may_still_work(database: Database) -> None:
    """Those that hold a lease, and were there when it took its own: not later ones, nor one that has ended, whose effects are refused from then on."""
    worker, (first, second, third) = database.worker(), database.leases("share/a", "share/b", "share/c")
    calls = [
        database.offer(f"share/{name}", token=token) for name, token in zip("abc", (first, second, third), strict=True)
    ]
    beside = [{*claim.beside} for claim in worker.claim_all(calls)]
    assert beside == [set(), {first}, {first, second}]
    database.execute("DELETE FROM {s}.lease WHERE token = %s", first)
    assert worker.claim(calls[2]) == Claim(ClaimAnswer.MINE, b"body", third, "lineage", frozenset({second}))
    assert worker.claim(calls[0]).answer is ClaimAnswer.MINE  # it was begun; the backend decides
    assert worker.claim(database.offer("share/a", token=first)).answer is ClaimAnswer.FENCED


def test_a_role_that_was_admitted_may_call_what_is_new(database: Database, role: str) -> None:
    """It need not be admitted again when functions are replaced."""
    database.execute("DROP FUNCTION {s}.leases; COMMENT ON FUNCTION {s}.claim(text, uuid) IS 'sharectl functions 3'")
    with database.own.connection() as connection:
        install(connection, database.place.schema)
    call_id = database.offer(protocol=PROTOCOL)
    assert database.worker(user=role).claim(call_id).answer is ClaimAnswer.GO


def test_what_cannot_begin_keeps_nothing_else_from_being_looked_at(database: Database) -> None:
    """Neither calls of a run that is gone, nor those whose intent is, nor those at an address where another is under way."""
    worker = database.worker(width=2)
    running = database.offer("share/a")
    assert worker.claim(running).answer is ClaimAnswer.GO
    for number in range(3):
        database.offer(f"share/{number}", token=1)
        dropped = database.offer(f"share/{number}")
        database.execute("DELETE FROM {s}.operation WHERE operation_id = %s", f"operation {dropped}")
        database.offer("share/a")
    call_id = database.offer("share/z")
    assert worker.waiting(1) == [call_id]


def test_steps_that_wait_for_room_keep_no_question_from_being_looked_at(database: Database) -> None:
    """Questions have places of their own, and come first."""
    worker = database.worker(width=1)
    assert worker.claim(database.offer("share/a")).answer is ClaimAnswer.GO
    steps = [database.offer(f"share/{number}") for number in range(3)]
    asked = [database.offer(None) for _ in range(3)]
    assert worker.waiting(2) == [*asked[:2], *steps[:2]]
    assert worker.claim(steps[0]).answer is ClaimAnswer.FULL
    assert worker.claim(asked[0]).answer is ClaimAnswer.GO
