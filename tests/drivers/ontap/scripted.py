"""An HTTPS server that answers what a test wrote down, for what no array says on purpose."""

from __future__ import annotations

import json
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import trustme

from sharectl.drivers.ontap.client import Array
from sharectl.drivers.ontap.settings import ArraySettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CUT = "cut"
"""In place of an answer: the connection ends without one."""
CLUSTER = (200, {"name": "c1", "uuid": "u1", "version": {"generation": 9, "major": 14, "minor": 1}})


@dataclass
class Script:
    """What was asked, and what is still to be answered; `GET /api/cluster` is answered unless a test says otherwise."""

    port: int
    ca_file: str
    answers: list[Any] = field(default_factory=list)
    asked: list[tuple[str, str, Any, Mapping[str, str]]] = field(default_factory=list)
    cluster: Any = CLUSTER

    def lines(self) -> list[str]:
        """Return the requests but the first."""
        return [f"{method} {target}" for method, target, _, _ in self.asked if target != "/api/cluster"]

    def array(self, **more: Any) -> Array:  # noqa: ANN401 - any setting
        """Return a client of it."""
        settings = {"address": "127.0.0.1", "port": self.port, "ca_file": self.ca_file, "user": "admin"}
        return Array(
            ArraySettings(**{**settings, "password": {"env": "P"}, **more}),
            lambda _reference: "hush",
            sleep=lambda _seconds: None,
        )


def _handler(script: Script) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            script.asked.append((self.command, self.path, body, dict(self.headers)))
            is_greeting = self.path == "/api/cluster"
            answer = script.cluster if is_greeting else script.answers.pop(0)
            if answer == CUT:
                self.close_connection = True
                return
            status, told, *headers = answer
            content = told if isinstance(told, bytes) else json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            for name, value in dict(*headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = _any  # noqa: N815 - the names that http.server looks for

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def scripted(folder: Path, *names: str) -> Iterator[Script]:
    """Serve on a free port, with a certificate for these names and a CA of its own."""
    authority = trustme.CA()
    ca_file = folder / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(names or ("127.0.0.1",))).configure_cert(context)
    script = Script(0, str(ca_file))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(script))
    server.handle_error = lambda *_args: None  # type: ignore[method-assign]  # a refused handshake is what is tested
    server.socket = context.wrap_socket(server.socket, server_side=True)
    script.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
