"""A proxy before a real service that does to requests what networks and busy servers do: lose, delay, refuse, cut."""

from __future__ import annotations

import http.client
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@dataclass
class Fault:
    """What befalls the next `times` requests with this method (empty for any) whose path contains `path`, from the `first` one on.

    `cut`: the connection is closed and the request not passed on. `lose`: it is passed on, and its answer lost. `hold`: it is passed on once
    `released` is set, and its answer lost. `status`: it is not passed on, and answered so. The `action` is done just before an answer is
    denied. Requests are counted as they stand in `FaultyProxy.requests`, the first being 1.
    """

    method: str
    path: str
    effect: str
    times: int = 1
    first: int = 1
    status: int = 503
    action: Callable[[], None] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b'{"NeutronError": {"type": "Busy", "message": "too\\nmuch to do", "detail": ""}}'
    released: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)


class FaultyProxy:
    """Passes HTTP on to a port of this machine, but for the `faults`; `requests` are the methods and paths that came."""

    def __init__(self, port: int) -> None:
        """Begin to listen."""
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.target = port
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # an answer in two small packets would wait 40 ms for the first to be acknowledged
            disable_nagle_algorithm = True

            def handle_request(self) -> None:
                proxy._handle(self)

            do_GET = do_POST = do_PUT = do_DELETE = handle_request  # noqa: N815 - http.server calls it so

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002, ANN401 - http.server calls it so; parts of documents have many types
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The address of the service behind the proxy."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def add(self, method: str, path: str, effect: str, **more: Any) -> Fault:  # noqa: ANN401 - parts of documents have many types
        """Arrange for a fault and return it."""
        fault = Fault(method, path, effect, **more)
        with self._lock:
            self.faults.append(fault)
        return fault

    def close(self) -> None:
        """Stop listening."""
        for fault in self.faults:
            fault.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        fault = self._next_fault(request)
        if fault is None:
            self._answer(request, *self._pass_on(request, body))
            return
        match fault.effect:
            case "status":
                self._answer(request, fault.status, fault.headers, fault.content)
            case "lose":
                self._pass_on(request, body)
                request.close_connection = True
            case "hold":
                request.close_connection = True
                fault.released.wait()
                self._pass_on(request, body)
            case _:
                request.close_connection = True
        if fault.action is not None:
            fault.action()
        fault.finished.set()

    def _next_fault(self, request: BaseHTTPRequestHandler) -> Fault | None:
        with self._lock:
            self.requests.append((request.command, request.path))
            number = len(self.requests)
            for fault in self.faults:
                fits = number >= fault.first and fault.method in {"", request.command} and fault.path in request.path
                if fault.times and fits:
                    fault.times -= 1
                    return fault
        return None

    def _pass_on(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.target, timeout=300)
        try:
            headers = {name: value for name, value in request.headers.items() if name.lower() != "connection"}
            connection.request(request.command, request.path, body or None, headers)
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, dict(_kept(answer.getheaders())), content
        except OSError:
            return 502, {}, b"<html>no such server</html>"
        finally:
            connection.close()

    def _answer(self, request: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str], content: bytes) -> None:
        try:
            request.send_response(status)
            for name, value in headers.items():
                request.send_header(name, value)
            request.send_header("Content-Length", str(len(content)))
            request.end_headers()
            request.wfile.write(content)
            request.wfile.flush()
        except OSError:
            request.close_connection = True  # who asked has given up


def _kept(headers: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for name, value in headers:
        if name.lower() not in ("content-length", "connection", "transfer-encoding"):
            yield name, value
