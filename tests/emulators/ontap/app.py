"""The array's web server: HTTP around the gateway, and what goes wrong on the way."""

from __future__ import annotations

import asyncio
import time
import traceback
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.emulators.ontap.errors import Refused
from tests.emulators.ontap.gateway import API, Request, finish, handle, refusal
from tests.emulators.ontap.jobs import running
from tests.emulators.ontap.reading import Answer
from tests.emulators.ontap.writing import Pending

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from starlette.requests import Request as HttpRequest

    from tests.emulators.ontap.calls import Calls
    from tests.emulators.ontap.control import Control
    from tests.emulators.ontap.faults import Fault
    from tests.emulators.ontap.server import Connections
    from tests.emulators.ontap.world import World

_CHUNKED_FROM_BYTES: Final = 16_384
IDLE_SECONDS: Final = 5
REQUESTS_OF_A_CONNECTION: Final = 100
_TICK_SECONDS: Final = 0.002


class Front:
    """Takes requests off the wire and counts them."""

    def __init__(self, world: World, connections: Connections, calls: Calls, state: Path | None) -> None:
        """Serve a world, which is kept in the file `state` after each change."""
        self.world, self.connections, self.calls, self.state = world, connections, calls, state

    async def __call__(self, http: HttpRequest) -> Response:
        """Answer one request."""
        request = Request(
            http.method,
            http.scope["raw_path"].decode("latin-1"),
            http.scope["query_string"].decode("latin-1"),
            await http.body(),
            dict(http.headers),
            self.connections.certificate_name(http),
        )
        place = self.calls.count(request)
        try:
            return await self._served(http, request, place)
        finally:
            self.calls.ended()

    async def _served(self, http: HttpRequest, request: Request, place: int) -> Response:
        met = {kind: self._fault(kind, request) for kind in ("latency", "unavailable", "close_kept", "cut")}
        if met["latency"] is not None:
            await asyncio.sleep(met["latency"].values["seconds"])
        if met["close_kept"] is not None and self.connections.is_used(http):
            self.connections.abort(http)
            return Response(status_code=503)
        if met["unavailable"] is not None:
            return self._unavailable(met["unavailable"])
        if self.calls.meets is not None and not self.calls.meets(request):
            self.connections.abort(http)
            return Response(status_code=503)
        return await self._answered(http, request, met["cut"], place)

    def _fault(self, kind: str, request: Request) -> Fault | None:
        with self.world.lock:
            return self.world.faults.take(kind, request.method, request.path, self.world.clock.now())

    async def _answered(self, http: HttpRequest, request: Request, cut: Fault | None, place: int) -> Response:
        where = None if cut is None else cut.values.get("where", "before")
        if where in {"before", "head"} and cut is not None and not cut.values.get("done", False):
            self._abort(http, where)
            return Response(status_code=503)
        try:
            answer = handle(self.world, request)
            if isinstance(answer, Pending):
                answer = await self._waited(answer)
        except Exception:  # noqa: BLE001 - a fault of the emulator: the test that met it is to fail, not the server
            self.calls.failures.append(f"{request.method} {request.path}\n{traceback.format_exc()}")
            answer = Answer(500, {"error": {"message": self.calls.failures[-1], "code": "65541"}})
        self.calls.answered(place, answer)
        if request.method not in {"GET", "HEAD", "OPTIONS"} and self.state is not None:
            self.world.save(self.state)
        if where in {"before", "head"}:
            self._abort(http, where)
        response = self._response(http, request, answer)
        return response if where in {None, "before", "head"} else self._cut_short(http, response, str(where))

    def _abort(self, http: HttpRequest, where: str | None) -> None:
        self.connections.abort(http, b"HTTP/1.1 200 OK\r\nContent-Ty" if where == "head" else b"")

    async def _waited(self, pending: Pending) -> Answer:
        """Wait as long as the caller asks for, on the array's clock or by letting its time pass."""
        clock = self.world.clock
        if clock.skips:
            with self.world.lock:
                dues = [job.due - clock.now() for job in running(self.world, pending.jobs)]
                self.world.pass_time(min(max(dues, default=0.0), pending.seconds))
            return finish(self.world, pending)
        until = clock.now() + pending.seconds
        while clock.now() < until and running(self.world, pending.jobs):
            await asyncio.sleep(_TICK_SECONDS)
            with self.world.lock:
                self.world.catch_up()
        return finish(self.world, pending)

    def _unavailable(self, fault: Fault) -> Response:
        status = int(fault.values.get("status", 503))
        after = fault.values.get("retry_after")
        headers = {} if after is None else {"retry-after": str(after)}
        if after is not None and fault.values.get("as_date"):
            headers["retry-after"] = formatdate(time.time() + float(after), usegmt=True)
        if not fault.values.get("json", True):
            return Response("<html><body>Service Unavailable</body></html>", status, headers, "text/html")
        code = 262160 if status == 429 else 7
        body = refusal(self.world, Refused(code, "The server is busy.", status=status)).body
        return self._json(body, status, headers)

    def _response(self, http: HttpRequest, request: Request, answer: Answer) -> Response:
        headers = dict(answer.headers)
        headers["keep-alive"] = f"timeout={IDLE_SECONDS}, max={REQUESTS_OF_A_CONNECTION}"
        if self.connections.is_last(http):
            headers["connection"] = "close"
            del headers["keep-alive"]
        indented = "pretty=false" not in request.raw_query
        return self._json(answer.body, answer.status, headers, indented=indented, head=request.method == "HEAD")

    def _json(
        self, body: dict[str, Any], status: int, headers: dict[str, str], *, indented: bool = True, head: bool = False
    ) -> Response:
        content = orjson.dumps(body, option=orjson.OPT_INDENT_2 if indented else None) + b"\n" if body else b"{\n}"
        headers = {"cache-control": "no-cache,no-store,must-revalidate", "server": "libzapid-httpd", **headers}
        if len(content) < _CHUNKED_FROM_BYTES or head:
            return Response(b"" if head else content, status, headers, "application/hal+json")
        pieces = [content[at : at + _CHUNKED_FROM_BYTES] for at in range(0, len(content), _CHUNKED_FROM_BYTES)]
        return StreamingResponse(_each(pieces), status, headers, "application/hal+json")

    def _cut_short(self, http: HttpRequest, response: Response, where: str) -> Response:
        """Send less than was announced, and drop the connection: all headers and no body, or half of the body."""
        connections = self.connections
        whole = bytes(getattr(response, "body", b"")) or b" " * _CHUNKED_FROM_BYTES
        kept = whole[: len(whole) // 2] if where == "middle" else b""

        async def content() -> AsyncIterator[bytes]:
            yield kept
            await connections.drained(http)
            connections.abort(http)

        headers = {**dict(response.headers), "content-length": str(len(whole))}
        return StreamingResponse(content(), response.status_code, headers)


async def _each(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def application(front: Front, control: Control) -> Starlette:
    """Return the web application."""
    methods = ["GET", "POST", "PATCH", "DELETE", "OPTIONS", "PUT"]
    return Starlette(
        routes=[
            Route("/control/{rest:path}", control.__call__, methods=methods),
            Route(API + "/{rest:path}", front.__call__, methods=methods),
        ]
    )
