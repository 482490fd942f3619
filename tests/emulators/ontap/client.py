"""A plain client of the emulator for its own tests: it sends what it is told, and takes nothing amiss."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import urllib3

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.emulators.ontap.server import Emulator


@dataclass(frozen=True, slots=True)
class Got:
    """An answer."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def code(self) -> int | None:
        """The code of an error."""
        error = self.body.get("error") if isinstance(self.body, dict) else None
        return None if error is None else int(error["code"])

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records of a collection."""
        return list(self.body["records"])


@dataclass(slots=True)
class Client:
    """A session with the emulator as one of its accounts."""

    emulator: Emulator
    login: str = "admin"
    headers: dict[str, str] = field(default_factory=dict)
    pool: Any = None

    def __post_init__(self) -> None:
        """Open the pool."""
        host, _, port = self.emulator.address.partition(":")
        self.pool = urllib3.HTTPSConnectionPool(
            host, int(port), ca_certs=str(self.emulator.ca_file), retries=False, timeout=300
        )

    def send(self, method: str, path: str, body: object = None, **headers: str) -> Got:
        """Send one request; `path` is what follows `/api`, query included."""
        login = self.emulator.login_of(self.login)
        basic = urllib3.make_headers(basic_auth=f"{login.name}:{login.password}")
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        response = self.pool.request(method, f"/api{path}", body=content, headers={**basic, **self.headers, **headers})
        return Got(response.status, json.loads(response.data or b"{}"), response.headers)

    def get(self, path: str) -> Got:
        """Send a GET."""
        return self.send("GET", path)

    def post(self, path: str, body: object = None) -> Got:
        """Send a POST."""
        return self.send("POST", path, {} if body is None else body)

    def patch(self, path: str, body: object = None) -> Got:
        """Send a PATCH."""
        return self.send("PATCH", path, {} if body is None else body)

    def delete(self, path: str, body: object = None) -> Got:
        """Send a DELETE."""
        return self.send("DELETE", path, body)

    def pages(self, path: str) -> Iterator[Got]:
        """Send a GET, and follow its pages."""
        following: str | None = path
        while following is not None:
            got = self.get(following)
            yield got
            following = got.body.get("_links", {}).get("next", {}).get("href", "").removeprefix("/api") or None
