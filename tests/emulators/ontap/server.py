"""The emulator as a running server: HTTPS on a free port of 127.0.0.1, with a certificate authority of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import trustme
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tests.emulators.ontap import resources
from tests.emulators.ontap.app import IDLE_SECONDS, REQUESTS_OF_A_CONNECTION, Front, application
from tests.emulators.ontap.calls import Calls
from tests.emulators.ontap.changes import change
from tests.emulators.ontap.control import Control
from tests.emulators.ontap.facts import version_of
from tests.emulators.ontap.jobs import end_interrupted
from tests.emulators.ontap.logins import password_of
from tests.emulators.ontap.oracle import Oracle
from tests.emulators.ontap.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.requests import Request as HttpRequest

    from tests.emulators.ontap.faults import Fault, Faults

_CLOSING_SECONDS: Final = 10


@dataclass(slots=True)
class Connections:
    """The open connections by the client's address, with what can be done to them behind HTTP's back."""

    _protocols: dict[Any, Any] = field(default_factory=dict)

    def opened(self, protocol: Any) -> None:  # noqa: ANN401 - uvicorn's
        """Note a connection."""
        self._protocols[protocol.client] = protocol
        protocol.requests = 0

    def closed(self, protocol: Any) -> None:  # noqa: ANN401 - uvicorn's
        """Forget a connection."""
        self._protocols.pop(protocol.client, None)

    def _of(self, http: HttpRequest) -> Any:  # noqa: ANN401 - uvicorn's
        return self._protocols.get(http.scope["client"])

    def abort(self, http: HttpRequest, last_words: bytes = b"") -> None:
        """Drop the connection that a request came by, having sent some bytes of an answer or none."""
        protocol = self._of(http)
        if protocol is not None:
            if last_words:
                protocol.transport.write(last_words)
            protocol.transport.abort()

    def abort_all(self) -> list[Any]:
        """Drop every connection, soon, and return them."""
        dropped = list(self._protocols.values())
        for protocol in dropped:
            protocol.loop.call_soon_threadsafe(protocol.transport.abort)
        return dropped

    def wait_closed(self, dropped: list[Any]) -> None:
        """Wait, in another thread than the server's, until these are closed."""
        until = time.monotonic() + _CLOSING_SECONDS
        while time.monotonic() < until and not set(map(id, dropped)).isdisjoint(
            map(id, list(self._protocols.values()))
        ):
            time.sleep(0.001)

    def is_used(self, http: HttpRequest) -> bool:
        """Whether an earlier request came by the same connection."""
        protocol = self._of(http)
        return protocol is not None and protocol.requests > 1

    def is_last(self, http: HttpRequest) -> bool:
        """Whether the connection has served as many requests as one may."""
        protocol = self._of(http)
        return protocol is not None and protocol.requests >= REQUESTS_OF_A_CONNECTION

    async def drained(self, http: HttpRequest) -> None:
        """Wait until what was written so far has gone out."""
        protocol = self._of(http)
        while protocol is not None and protocol.transport.get_write_buffer_size():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.001)

    def certificate_name(self, http: HttpRequest) -> str | None:
        """Return the common name of the client's certificate, where it showed one."""
        protocol = self._of(http)
        tls = None if protocol is None else protocol.transport.get_extra_info("ssl_object")
        shown = None if tls is None else tls.getpeercert()
        subject = dict(pair for part in (shown or {}).get("subject", ()) for pair in part)
        return subject.get("commonName")


def _protocol(connections: Connections) -> type[HttpToolsProtocol]:
    class Protocol(HttpToolsProtocol):
        requests = 0

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            connections.opened(self)

        def connection_lost(self, exc: Exception | None) -> None:
            connections.closed(self)
            super().connection_lost(exc)

        def on_message_begin(self) -> None:
            self.requests += 1
            super().on_message_begin()

        def shutdown(self) -> None:
            self.transport.abort()

    return Protocol


@dataclass(frozen=True, slots=True)
class LoginOf:
    """A name and its password."""

    name: str
    password: str


@dataclass(slots=True)
class Emulator:
    """A running emulator, seen by a test in the same process."""

    world: World
    calls: Calls
    connections: Connections
    ca: trustme.CA
    ca_file: Path
    port: int

    @property
    def address(self) -> str:
        """The management address, with its port."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The address of the API."""
        return f"https://{self.address}/api"

    @property
    def login(self) -> LoginOf:
        """The administrator of the cluster."""
        return self.login_of("admin")

    def login_of(self, name: str) -> LoginOf:
        """Return the login of an account that the array was made with."""
        return LoginOf(name, password_of(name))

    @property
    def faults(self) -> Faults:
        """What goes wrong."""
        return self.world.faults

    @property
    def oracle(self) -> Oracle:
        """Who could reach what, at each moment."""
        return Oracle(self.world)

    def reset(self) -> None:
        """Make the array new."""
        with self.world.lock:
            self.world.become(new_world(".".join(map(str, self.world.version))))
            self.calls.clear()
            self.calls.meets = None

    def fault(self, kind: str, method: str = "*", path: str = "*", **options: Any) -> Fault:  # noqa: ANN401 - of any fault
        """Switch a fault on; see faults.py."""
        return self.world.fault(kind, method, path, **options)

    def change(self, name: str, **values: Any) -> None:  # noqa: ANN401 - of any change
        """Let something happen behind the clients' backs; see changes.py. An array that restarts drops its connections."""
        change(self.world, name, **values)
        if name == "restart":
            self.connections.wait_closed(self.connections.abort_all())

    def dump(self) -> dict[str, list[str]]:
        """Return all that the array holds, by kind, in a form that can be compared."""
        return self.world.dump()


def new_world(version: str = "9.16.1") -> World:
    """Return an array that was just set up."""
    world = World(version=version_of(version))
    resources.seed(world)
    return world


def server_context(ca: trustme.CA, certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Return TLS that shows a certificate and takes those of clients from the same authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


@contextlib.contextmanager
def serving(directory: Path, world: World | None = None, **options: Any) -> Iterator[Emulator]:  # noqa: ANN401 - see `Options`
    """Run an emulator in a thread until the block ends; it fails if the emulator met something that it could not handle."""
    how = Options(**options)
    calls, connections, ca = Calls(), Connections(), how.ca or trustme.CA()
    world = _world_of(world, how)
    ca_file = directory / "ca.pem"
    ca.cert_pem.write_to_path(str(ca_file))
    certificate = how.certificate or ca.issue_cert("127.0.0.1", "localhost")
    app = application(Front(world, connections, calls, how.state), Control(world, calls, connections))
    context = server_context(ca, certificate)
    config = uvicorn.Config(
        app,
        http=_protocol(connections),
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="error",
        server_header=False,
        timeout_keep_alive=how.idle_seconds,
        ssl_context_factory=lambda *_: context,
    )
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", how.port))
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else a body waits 40 ms for its headers
    thread = threading.Thread(target=server.run, args=([listening],), name="ontap-emulator")
    thread.start()
    try:
        yield Emulator(world, calls, connections, ca, ca_file, listening.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
        if how.state is not None:
            world.save(how.state)
    assert calls.failures == [], calls.failures[0]


@dataclass(frozen=True, slots=True)
class Options:
    """How an emulator runs."""

    port: int = 0
    ca: trustme.CA | None = None
    certificate: trustme.LeafCert | None = None
    """What it shows to clients; one that they must not accept, say."""
    version: str = "9.16.1"
    state: Path | None = None
    """A file in which the array is kept after each change, and from which it goes on."""
    idle_seconds: int = IDLE_SECONDS
    """How long a connection may stay without a request, whatever the array says of it."""


def _world_of(world: World | None, how: Options) -> World:
    world = world or new_world(how.version)
    if how.state is not None and how.state.exists():
        world.load(how.state)
        end_interrupted(world)
    return world
