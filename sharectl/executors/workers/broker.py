"""Hints through RabbitMQ, by Celery: a message names calls, and is acknowledged when the claims on them are durable.

Each backend has a quorum queue of its own. A message is good for nothing but a look into the database, so that one that is forged, doubled or late does
no harm, and one that is lost costs the time until the worker looks by itself.
"""

from __future__ import annotations

import json
import logging
import ssl
import threading
import warnings
from contextlib import suppress
from queue import SimpleQueue
from time import sleep
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import UUID, uuid4

from celery import Celery, signals
from celery.bootsteps import StartStopStep
from celery.exceptions import SecurityWarning
from celery.worker import state as asked
from celery.worker.consumer import Consumer, Tasks
from kombu.entity import Exchange, Queue

from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

TASK: Final = "sharectl.offer"
CONNECT_TIMEOUT_SECONDS: Final = 5
_HEARTBEAT_SECONDS: Final = 10
_CONSUMING: Final = 4
"""How many hints a worker looks at, at once: each takes as long as a claim."""
CALLS_PER_HINT: Final = 32
_REFUSED_PAUSE_SECONDS: Final = 5.0
_DEFAULT_EXCHANGE: Final = Exchange("")
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BrokerPlace:
    """Where the broker is: an `amqp:` or `amqps:` URL without a password, the password, and the file of the CA that it is checked by (None: the system's)."""

    url: str
    password: str | None = None
    ca_file: str | None = None

    def url_with_password(self) -> str:
        """Return the URL that a client connects with."""
        parts = urlsplit(self.url)
        user = parts.username or "guest"
        host = parts.netloc.rpartition("@")[2]
        secret = "" if self.password is None else f":{quote(self.password, safe='')}"
        return urlunsplit(parts._replace(scheme="amqp", netloc=f"{user}{secret}@{host}"))

    def ssl_options(self) -> dict[str, Any] | bool:
        """Return how the broker is checked: its certificate, and that it is for the host of the URL."""
        parts = urlsplit(self.url)
        if parts.scheme != "amqps":
            return False
        return {
            "cert_reqs": ssl.CERT_REQUIRED,
            "ca_certs": self.ca_file or ssl.get_default_verify_paths().cafile,
            "server_hostname": parts.hostname,  # without it, a certificate for any host would do
        }


def queue_name(state: str, backend: str) -> str:
    """Return the name of the queue of a backend; a worker's user in the broker may be limited to it."""
    return f"{state}.{backend}"


def queue_of(state: str, backend: str) -> Queue:
    """Return the queue of a backend: it survives the loss of a broker, and gives its messages to one consumer at a time."""
    arguments = {"x-queue-type": "quorum", "x-single-active-consumer": True}
    name = queue_name(state, backend)
    return Queue(name, _DEFAULT_EXCHANGE, routing_key=name, durable=True, queue_arguments=arguments)


def application(place: BrokerPlace, queues: Collection[Queue] = ()) -> Celery:
    """Return a Celery application that keeps nothing, reads nothing but JSON, and has no other queues than these."""
    app = bare_application()
    configure(app, place, queues)
    return app


def bare_application() -> Celery:
    """Return a Celery application that knows no broker yet."""
    app = Celery("sharectl", set_as_current=False, fixups=[])
    app.conf.update(worker_pool="threads", worker_concurrency=_CONSUMING)
    return app


def configure(app: Celery, place: BrokerPlace, queues: Collection[Queue] = ()) -> None:
    """Let the application know its broker and its queues."""
    app.conf.update(
        broker_url=place.url_with_password(),
        broker_use_ssl=place.ssl_options(),
        broker_connection_timeout=CONNECT_TIMEOUT_SECONDS,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_heartbeat=_HEARTBEAT_SECONDS,
        broker_pool_limit=1,
        task_queues=list(queues),
        task_create_missing_queues=False,
        task_default_exchange="",
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        result_backend=None,
        task_acks_late=True,  # a task is a claim, and no more: it ends when that is durable
        task_publish_retry=False,
        task_send_sent_event=False,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_consumer=f"{__name__}:HintConsumer",
        worker_cancel_long_running_tasks_on_connection_loss=False,
    )


def hinted(body: Any) -> list[UUID]:  # noqa: ANN401 - whatever somebody has published
    """Return the calls that a message is about; none where it is no hint."""
    try:
        call_ids = json.loads(body)[0]
        return list(map(UUID, call_ids)) if len(call_ids) <= CALLS_PER_HINT else []
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError):
        return []


class HintConsumer(Consumer):  # type: ignore[misc]
    """A consumer of hints: without the queues that Celery declares for delayed messages, and without talk among workers.

    Of a message it keeps the ids of calls alone. The rest (a time to wait for, tasks to go on with, addresses to reply to) would be
    orders, and whoever may publish could give them; what Celery cannot read would end its worker.
    """

    def __init__(self, *arguments: Any, worker_options: Mapping[str, Any] | None = None, **named: Any) -> None:  # noqa: ANN401 - as Celery calls it
        """Consume without what steps bring that others need: it asks for rights that a worker does not have."""
        alone = {**(worker_options or {}), "without_gossip": True, "without_mingle": True}
        super().__init__(*arguments, worker_options=alone, **named)

    def create_task_handler(self) -> Callable[[Any], None]:
        """Return what is called with each message."""
        handle = super().create_task_handler()

        def on_message(message: Any) -> None:  # noqa: ANN401 - as above
            call_ids = hinted(message.body)
            if not call_ids:
                message.ack_log_error(_log, self.connection_errors)
                return
            identity = str(uuid4())
            message.headers = {"lang": "py", "task": TASK, "id": identity, "root_id": identity, "parent_id": None}
            message.properties = {"correlation_id": identity}
            message.content_type, message.content_encoding = "application/json", "utf-8"
            message.body = json.dumps([list(map(str, call_ids)), {}, {}])
            handle(message)

        return on_message

    def on_decode_error(self, message: Any, exc: Exception) -> None:  # noqa: ARG002, ANN401 - as Celery calls it
        """Drop what cannot be read, and say nothing of it: its text is somebody else's."""
        message.ack_log_error(_log, self.connection_errors)

    class Blueprint(Consumer.Blueprint):  # type: ignore[misc]
        """The steps in which it starts."""

        default_steps: Final = [
            *(
                f"celery.worker.consumer.{step}"
                for step in ("connection:Connection", "events:Events", "heart:Heart", "tasks:Tasks", "consumer:Evloop")
            ),
            f"{__name__}:Hearing",
        ]


class Hearing(StartStopStep):  # type: ignore[misc]
    """Says when hints can come, and when they cannot any more."""

    requires: Final = (Tasks,)

    def start(self, parent: Any) -> None:  # noqa: ANN401 - Celery has no types
        """Be called when the queue is consumed."""
        parent.app.heard(is_so=True)

    def stop(self, parent: Any) -> None:  # noqa: ANN401 - as above
        """Be called when the connection is lost, or the worker ends."""
        parent.app.heard(is_so=False)


class BrokerHints:
    """Hints that one thread publishes; while the broker is away they are dropped."""

    def __init__(self, place: BrokerPlace, state: str, tell: Callable[[str], object] = lambda _: None) -> None:
        """Publish to the queues of a state's backends; `tell` is told once of a broker that cannot be reached."""
        self._app = application(place)
        self._state = state
        self._tell = tell
        self._wanted: SimpleQueue[tuple[str, Sequence[UUID]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._has_told = False

    def give(self, backend: str, call_ids: Sequence[UUID]) -> None:
        """See Hints."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._publish_all, name="hints", daemon=True)
            self._thread.start()
        self._wanted.put((backend, call_ids))

    def close(self) -> None:
        """See Hints."""
        if self._thread is not None:
            self._wanted.put(None)
            self._thread.join(CONNECT_TIMEOUT_SECONDS)
            self._thread = None

    def _publish_all(self) -> None:
        connection = producer = None
        while (wanted := self._wanted.get()) is not None:
            backend, call_ids = wanted
            try:
                if producer is None:
                    connection = self._app.connection_for_write(heartbeat=0)
                    connection.ensure_connection(max_retries=1, timeout=CONNECT_TIMEOUT_SECONDS)
                    producer = connection.Producer(auto_declare=False)
                for first in range(0, len(call_ids), CALLS_PER_HINT):
                    self._publish(producer, queue_name(self._state, backend), call_ids[first : first + CALLS_PER_HINT])
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody needs the hint
                _release(connection)
                connection = producer = None
                if not self._has_told:
                    self._has_told = True
                    self._tell(f"the broker cannot be reached ({error}); workers find their calls by themselves, later")
        _release(connection)

    def _publish(self, producer: Any, queue: str, call_ids: Sequence[UUID]) -> None:  # noqa: ANN401 - kombu has no types
        """Publish to the queue by its name, as everybody may who may write to the default exchange; nothing is declared."""
        message = self._app.amqp.as_task_v2(str(uuid4()), TASK, args=tuple(map(str, call_ids)), ignore_result=True)
        producer.publish(
            message.body,
            exchange="",
            routing_key=queue,
            headers=message.headers,
            serializer="json",
            **message.properties,
        )


def _release(connection: Any) -> None:  # noqa: ANN401 - kombu has no types
    if connection is not None:
        with suppress(Exception):
            connection.release()


class _Told(logging.Handler):
    """Hands on what Celery and kombu log, the first line alone, and nothing twice in a row."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        super().__init__(logging.ERROR)
        self._tell = tell
        self._last = ""

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage().partition("\n")[0]
        if line != self._last:
            self._last = line
            self._tell(f"the broker: {line}")


class Heard(Protocol):
    """Is told whether hints can come."""

    def __call__(self, *, is_so: bool) -> object:
        """Note it."""
        ...


def _nobody(*, is_so: bool) -> None:
    """Note nothing."""


def consume(  # noqa: PLR0913, PLR0917 - where from, and who is told what
    place: BrokerPlace,
    queue: Queue,
    name: str,
    offer: Callable[..., object],
    tell: Callable[[str], object] = lambda _: None,
    heard: Heard = _nobody,
) -> None:
    """Hand the ids of each hint to `offer` until the process is asked to end by SIGTERM or SIGINT. Runs in the main thread.

    While the broker is away, or refuses the worker, or Celery ends unasked, it is tried again; `tell` is told why, and `heard`
    whether hints can come.
    """
    warnings.filterwarnings("ignore", category=SecurityWarning)  # it names an option of Celery's own command
    told = _Told(tell)
    for logger in map(logging.getLogger, ("celery", "kombu", "amqp")):
        logger.addHandler(told)
        logger.propagate = False
    signals.setup_logging.connect(_leave_logging)
    _consume_once(place, queue, name, offer, heard)
    while not _is_asked_to_end():
        sleep(_REFUSED_PAUSE_SECONDS)
        _consume_once(place, queue, name, offer, heard)


def _is_asked_to_end() -> bool:
    """Tell whether Celery's handlers have had a signal; 0 is what they note for one."""
    return any(flag is not None and flag is not False for flag in (asked.should_stop, asked.should_terminate))


def _leave_logging(**_: object) -> None:
    """Keep Celery from a set-up of its own, which writes to the standard error."""


def hand_on(app: Celery, offer: Callable[..., object], heard: Heard) -> None:
    """Let a worker of the application hand each hint to `offer`, and say whether it hears any to `heard`."""
    app.heard = heard

    def offered(*call_ids: str) -> None:
        offer(*map(UUID, call_ids))

    app.task(offered, name=TASK, ignore_result=True)


def _consume_once(place: BrokerPlace, queue: Queue, name: str, offer: Callable[..., object], heard: Heard) -> None:
    """Run a Celery worker until it ends, whyever."""
    app = application(place, [queue])
    hand_on(app, offer, heard)
    worker = app.Worker(
        hostname=name,
        queues=[queue.name],
        loglevel="WARNING",
        quiet=True,
    )
    worker.start()
