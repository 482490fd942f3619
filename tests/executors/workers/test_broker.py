"""Hints through a real RabbitMQ: they arrive where they are for, whatever else is in the queue, and their loss harms nobody."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from kombu import Connection

import sharectl
from sharectl.executors.workers.broker import CALLS_PER_HINT, TASK, BrokerHints, BrokerPlace, hinted, queue_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rabbitmq import Broker

PATIENCE_SECONDS = 300.0
ROOT = Path(sharectl.__file__).parent.parent


class Consumer:
    """A process that prints what it is offered."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        """Read what it prints."""
        self.process = process
        self._left = b""

    def lines(self, count: int) -> list[str]:
        """Return so many further lines."""
        assert self.process.stdout is not None
        found: list[str] = []
        deadline = monotonic() + PATIENCE_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while len(found) < count:
                line, end, rest = self._left.partition(b"\n")
                if end:
                    self._left = rest
                    found.append(line.decode())
                elif selector.select(deadline - monotonic()):
                    read = os.read(self.process.stdout.fileno(), 65536)
                    assert read, found
                    self._left += read
                else:
                    raise AssertionError(found)
        return found


@contextmanager
def consumer(url: str, password: str, state: str, backend: str = "filer", *more: str) -> Iterator[Consumer]:
    """Start a process that consumes the hints of a backend."""
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "tests.executors.workers.hint_child",
        url,
        password,
        state,
        backend,
        *more,
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as process:
        try:
            yield Consumer(process)
        finally:
            process.kill()


def url_of(broker: Broker, user: str = "guest") -> str:
    """Return the URL without a password."""
    return f"amqp://{user}@127.0.0.1:{broker.port}//"


@pytest.fixture
def state() -> str:
    """Return a name that no other test has."""
    return f"t-{uuid4().hex[:12]}"


@contextmanager
def hints(broker: Broker, state: str, told: list[str] | None = None) -> Iterator[BrokerHints]:
    """Open the hints of a coordinator."""
    with closing(BrokerHints(BrokerPlace(url_of(broker), "guest"), state, (told or []).append)) as made:
        yield made


def publish(broker: Broker, queue: str, body: object, **headers: object) -> None:
    """Publish anything to a queue, as whoever may write there can."""
    with Connection(broker.url) as connection:
        connection.Producer().publish(body, routing_key=queue, headers=headers, serializer="json")


def await_queue(broker: Broker, name: str) -> None:
    """Return when the queue is there."""
    deadline = monotonic() + PATIENCE_SECONDS
    while True:
        with Connection(broker.url) as connection:
            try:
                if connection.default_channel.queue_declare(name, passive=True).consumer_count:
                    return
            except connection.channel_errors:
                pass
        assert monotonic() < deadline
        sleep(0.1)


def test_a_hint_reaches_the_worker_of_its_backend_alone(rabbitmq: Broker, state: str) -> None:
    """In the order in which they are given; the process ends when it is asked to, having taken what was there."""
    own, other = [uuid4() for _ in range(5)], [uuid4() for _ in range(5)]
    with (
        consumer(url_of(rabbitmq), "guest", state) as filer,
        consumer(url_of(rabbitmq), "guest", state, "other") as second,
        hints(rabbitmq, state) as given,
    ):
        for backend in ("filer", "other"):
            await_queue(rabbitmq, queue_name(state, backend))
        given.give("other", other)
        given.give("filer", own)
        assert {UUID(line) for line in filer.lines(5)} == {*own}
        assert {UUID(line) for line in second.lines(5)} == {*other}
        filer.process.send_signal(signal.SIGTERM)
        while filer.lines(1) != ["ended"]:
            pass  # Celery says that it ends, too
        assert filer.process.wait(PATIENCE_SECONDS) == 0


def test_whatever_is_published_offers_calls_and_does_nothing_else(rabbitmq: Broker, state: str) -> None:
    """Garbage, other tasks, other arguments, pickles: they are dropped, and the next hint is looked at."""
    name = queue_name(state, "filer")
    task = {"lang": "py", "task": TASK, "id": str(uuid4()), "root_id": None, "parent_id": None, "group": None}
    with consumer(url_of(rabbitmq), "guest", state) as filer, hints(rabbitmq, state) as given:
        await_queue(rabbitmq, name)
        publish(rabbitmq, name, "no task at all")
        publish(rabbitmq, name, [["x"], {}, {}], **{**task, "task": "os.system"})
        for arguments in (["not an id"], [7], [None], [{"id": 1}], [], ["a", "b"], [str(uuid4()), "b"]):
            publish(rabbitmq, name, [arguments, {}, {}], **task)
        for body in ("x", None, 7, {}, {"args": 1}, [], [[]], "a long text", [["x"], {}], [[["x"]]]):
            publish(rabbitmq, name, body, **task)
        with Connection(rabbitmq.url) as connection:
            connection.Producer().publish(
                b"cos\nsystem\n(S'touch /tmp/x'\ntR.",
                routing_key=name,
                content_type="application/x-python-serialize",
                content_encoding="binary",
                headers=task,
            )
        call_id = uuid4()
        given.give("filer", [call_id])
        assert filer.lines(1) == [str(call_id)]


def test_a_hint_gives_no_orders(rabbitmq: Broker, state: str) -> None:
    """When to be looked at, what to do next, whom to answer: of a message nothing counts but the id of the call."""
    name, elsewhere = queue_name(state, "filer"), f"{state}.elsewhere"
    task = {"lang": "py", "task": TASK, "id": str(uuid4()), "root_id": None, "parent_id": None, "group": None}
    orders = {"callbacks": [], "chain": [{"task": TASK, "args": ["x"], "options": {"routing_key": elsewhere}}]}
    told = (
        {**task, "eta": "2099-01-01T00:00:00+00:00"},
        {**task, "eta": "never"},
        {**task, "expires": "2001-01-01T00:00:00+00:00"},
        {**task, "expires": "never", "retries": "x", "timelimit": "x"},
        {"task": 7},
        {},
    )
    with consumer(url_of(rabbitmq), "guest", state) as filer, Connection(rabbitmq.url) as connection:
        await_queue(rabbitmq, name)
        queue = connection.SimpleQueue(elsewhere)
        own = [uuid4() for _ in told]
        for call_id, headers in zip(own, told, strict=True):
            publish(rabbitmq, name, [[str(call_id)], {}, orders], **headers)
        assert {UUID(line) for line in filer.lines(len(own))} == {*own}
        assert queue.qsize() == 0
        queue.close()


def test_a_worker_that_the_broker_refuses_tries_again(rabbitmq: Broker, state: str) -> None:
    """It says why in one line, and consumes once its password is known there."""
    user = f"late-{state}"
    with consumer(url_of(rabbitmq, user), "pw", state) as filer, hints(rabbitmq, state) as given:
        (line,) = filer.lines(1)
        assert "ACCESS_REFUSED" in line
        rabbitmq.control("add_user", user, "pw")
        rabbitmq.control("set_permissions", user, ".*", ".*", ".*")
        await_queue(rabbitmq, queue_name(state, "filer"))
        call_id = uuid4()
        given.give("filer", [call_id])
        while (line := filer.lines(1)[0]).startswith("the broker: "):
            pass  # it may have tried in between, too
        assert line == str(call_id)


def test_whether_hints_can_come_is_told_as_it_changes(rabbitmq: Broker, state: str) -> None:
    """A worker that hears nothing looks into the database as often as one without a broker."""
    user = f"heard-{state}"
    rabbitmq.control("add_user", user, "pw")
    rabbitmq.control("set_permissions", user, ".*", ".*", ".*")
    with consumer(url_of(rabbitmq, user), "pw", state, "filer", "hearing") as filer:

        def told() -> str:
            while not (line := filer.lines(1)[0]).startswith("hears "):
                pass  # Celery says why, too
            return line

        assert told() == "hears True"
        rabbitmq.close_connections(user)
        assert [told(), told()] == ["hears False", "hears True"]


_UNASKED = """
from celery.worker import WorkController, state
from sharectl.executors.workers import broker

starts = []

def start(worker):
    starts.append(worker)
    if len(starts) == 3:
        state.should_stop = 0
        return
    worker.terminate()

WorkController.start = start
broker._REFUSED_PAUSE_SECONDS = 0.0
broker.consume(broker.BrokerPlace("amqp://guest@127.0.0.1:1//"), broker.queue_of("state", "filer"), "w@h", print)
print(len(starts))
"""


def test_a_worker_that_celery_ends_unasked_goes_on() -> None:
    """As it does where no file can be opened any more; with status 0, whoever supervises it would leave it at that."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", _UNASKED], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout.split()[-1] == b"3"


def test_a_worker_whose_database_does_not_answer_goes_on(rabbitmq: Broker, state: str) -> None:
    """The hint is gone; the worker finds the call by itself when the database is back."""
    with consumer(url_of(rabbitmq), "guest", state) as filer, hints(rabbitmq, state) as given:
        await_queue(rabbitmq, queue_name(state, "filer"))
        call_id = uuid4()
        given.give("filer", [UUID(int=0), call_id])
        assert {*filer.lines(2)} == {str(UUID(int=0)), str(call_id)}


def test_a_message_holds_ids_alone(rabbitmq: Broker, state: str) -> None:
    """Whoever may read the queue learns nothing."""
    name = queue_name(state, "filer")
    call_id = uuid4()
    with Connection(rabbitmq.url) as connection, hints(rabbitmq, state) as given:
        queue = connection.SimpleQueue(name)
        given.give("filer", [call_id])
        message = queue.get(timeout=PATIENCE_SECONDS)
        message.ack()
        assert json.loads(message.body) == [
            [str(call_id)],
            {},
            {"callbacks": None, "errbacks": None, "chain": None, "chord": None},
        ]
        assert message.content_type == "application/json"
        shown = json.dumps(message.headers)
        assert "guest" not in shown
        queue.close()


def test_a_message_names_many_calls(rabbitmq: Broker, state: str) -> None:
    """Those that are offered together are one message, up to a length; a longer one is no hint of ours."""
    name = queue_name(state, "filer")
    few, many = [uuid4() for _ in range(8)], [uuid4() for _ in range(CALLS_PER_HINT + 1)]
    with Connection(rabbitmq.url) as connection, hints(rabbitmq, state) as given:
        queue = connection.SimpleQueue(name)
        given.give("filer", few)
        given.give("filer", many)
        messages = [queue.get(timeout=PATIENCE_SECONDS) for _ in range(3)]
        for message in messages:
            message.ack()
        assert [hinted(message.body) for message in messages] == [few, many[:-1], many[-1:]]
        assert queue.qsize() == 0
        queue.close()
    assert hinted(json.dumps([list(map(str, many)), {}, {}])) == []


def test_a_broker_that_is_away_keeps_nobody_waiting(state: str) -> None:
    """People are told once, without the password."""
    told: list[str] = []
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        place = BrokerPlace(f"amqp://guest@127.0.0.1:{nobody.getsockname()[1]}//", "secret")
        with closing(BrokerHints(place, state, told.append)) as given:
            given.give("filer", [uuid4()])
            given.give("filer", [uuid4()])
            deadline = monotonic() + PATIENCE_SECONDS
            while not told:
                assert monotonic() < deadline
                sleep(0.01)
    assert len(told) == 1
    assert "the broker cannot be reached" in told[0]
    assert "secret" not in told[0]


def test_users_of_the_broker_can_be_limited_to_their_part(rabbitmq: Broker, state: str) -> None:
    """A worker's reads its own queue alone; a coordinator's writes, and reads nothing."""
    name = queue_name(state, "filer")
    pattern = f"^{name}$".replace(".", "\\.")
    for user, permissions in (
        (f"w-{state}", (pattern, "^$", pattern)),
        (f"c-{state}", ("^$", "^amq\\.default$", "^$")),
    ):
        rabbitmq.control("add_user", user, "pw")
        rabbitmq.control("set_permissions", user, *permissions)
    with consumer(url_of(rabbitmq, f"w-{state}"), "pw", state) as filer:
        await_queue(rabbitmq, name)
        with closing(BrokerHints(BrokerPlace(url_of(rabbitmq, f"c-{state}"), "pw"), state)) as given:
            call_id = uuid4()
            given.give("filer", [call_id])
            assert filer.lines(1) == [str(call_id)]
        publish(rabbitmq, queue_name(state, "other"), "to nobody")
        for user in (f"w-{state}", f"c-{state}"):
            connection = Connection(url_of(rabbitmq, user).replace("@", ":pw@"))
            with connection, pytest.raises(connection.channel_errors, match="ACCESS_REFUSED"):
                connection.default_channel.queue_declare(f"{state}.mine")
        with Connection(url_of(rabbitmq, f"w-{state}").replace("@", ":pw@")) as connection:
            rabbitmq_queue = f"{state}.private"
            with Connection(rabbitmq.url) as owner:
                owner.default_channel.queue_declare(rabbitmq_queue)
            with pytest.raises(connection.channel_errors, match="ACCESS_REFUSED"):
                connection.default_channel.basic_get(rabbitmq_queue)
