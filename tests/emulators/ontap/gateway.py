"""One request to the array, from login to answer, with nothing in it of sockets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from tests.emulators.ontap.changes import change
from tests.emulators.ontap.errors import Refused
from tests.emulators.ontap.logins import authenticate, authorize
from tests.emulators.ontap.reading import Answer, NotWritten, read
from tests.emulators.ontap.routing import CLI, methods_of, route
from tests.emulators.ontap.tunnel import scope_of
from tests.emulators.ontap.writing import Pending, Write, conclude, write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.emulators.ontap.facts import JsonObject
    from tests.emulators.ontap.world import World

API = "/api"


@dataclass(frozen=True, slots=True)
class Request:
    """What came in."""

    method: str
    raw_path: str
    raw_query: str = ""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    """By names in lower case."""
    certificate: str | None = None
    """The common name in the certificate that the client showed."""

    @property
    def path(self) -> str:
        """The address without `/api`, as faults and counters name it."""
        return self.raw_path.removeprefix(API).rstrip("/")

    def pairs(self) -> Sequence[tuple[str, str]]:
        """Return the parameters, in order; names and values without percent signs and plus signs."""
        parts = [part.partition("=") for part in self.raw_query.split("&") if part]
        return [(unquote_plus(name), unquote_plus(value)) for name, _, value in parts]


def handle(world: World, request: Request) -> Answer | Pending:
    """Answer a request, or say that the answer depends on jobs."""
    with world.lock:
        world.catch_up()
        return _guarded(world, lambda: _handle(world, request))


def finish(world: World, pending: Pending) -> Answer:
    """Answer after the caller has waited."""
    with world.lock:
        world.catch_up()
        answer = _guarded(world, lambda: conclude(world, pending))
        assert isinstance(answer, Answer)
        return answer


def refusal(world: World, refused: Refused) -> Answer:
    """Return an error as it goes out."""
    return Answer(refused.status_of(world.settings.unmapped_status), refused.body())


def _guarded(world: World, work: object) -> Answer | Pending:
    try:
        return work()  # type: ignore[operator]
    except Refused as refused:
        return refusal(world, refused)
    except NotWritten as missing:
        return Answer(501, {"error": {"message": str(missing), "code": "3"}})


def _handle(world: World, request: Request) -> Answer | Pending:
    login = authenticate(world, request.headers.get("authorization"), request.certificate)
    if request.method == "OPTIONS":
        return Answer(200, {}, (("allow", ", ".join(["OPTIONS", *methods_of(request.raw_path)])),))
    found = route(request.method, request.raw_path)
    authorize(world, login, request.method, found.path)
    scope = scope_of(world, login, request.headers)
    now = world.clock.now()
    while (happens := world.faults.take("change", request.method, found.path, now)) is not None:
        change(world, **happens.values)
    locked = world.faults.take("refuse", request.method, found.path, now)
    if locked is not None:
        raise Refused(int(locked.values["code"]), str(locked.values.get("message", "Refused by a fault.")))
    links = "application/json" not in request.headers.get("accept", "")
    pairs = request.pairs()
    if request.method in {"GET", "HEAD"}:
        if found.path.startswith(CLI) and any(name == "fields" and value == "*" for name, value in pairs):
            raise Refused(262220, "The wildcard is not supported for fields of CLI passthrough.", "fields")
        return read(world, found, pairs, scope, links=links)
    return write(world, Write(found, pairs, _body_of(request), login, scope, links))


def _body_of(request: Request) -> JsonObject:
    if not request.body.strip():
        return {}
    try:
        body = json.loads(request.body)
    except ValueError:
        raise Refused(262199, "The body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise Refused(262200, "The body is not a JSON object.")
    return body
