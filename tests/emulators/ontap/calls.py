"""What the array was asked, for tests that count."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.emulators.ontap.facts import shape_of
from tests.emulators.ontap.routing import route

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.emulators.ontap.gateway import Request
    from tests.emulators.ontap.reading import Answer


@dataclass(frozen=True, slots=True)
class Asked:
    """One request and what came of it; `status` is None where no answer was made."""

    method: str
    path: str
    query: str
    body: bytes
    status: int | None = None
    code: str | None = None


def operation_of(method: str, raw_path: str) -> str:
    """Return the operation that a request asks for: `GET /storage/volumes/{uuid}`."""
    try:
        return f"{method} {route(method, raw_path).operation.path}"
    except Exception:  # noqa: BLE001 - an address that the array does not have is counted as it stands
        return f"{method} {shape_of(raw_path)}"


@dataclass(slots=True)
class Calls:
    """Every request since the last `clear`, in order."""

    failures: list[str] = field(default_factory=list)
    """What the emulator itself could not handle."""
    meets: Callable[[Request], bool] | None = None
    """Told of each request before it is handled, while all others wait; where it says no, the connection ends, and nothing is done."""
    most_at_once: int = 0
    """How many requests were under way at once, at most."""
    _under_way: int = 0
    _asked: list[Asked] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, request: Request) -> int:
        """Note a request, and return its place."""
        with self._lock:
            self._asked.append(Asked(request.method, request.path, request.raw_query, request.body))
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
            return len(self._asked) - 1

    def answered(self, place: int, answer: Answer) -> None:
        """Note what is answered."""
        error: Any = answer.body.get("error", {})
        with self._lock:
            if place < len(self._asked):
                was = self._asked[place]
                self._asked[place] = Asked(was.method, was.path, was.query, was.body, answer.status, error.get("code"))

    def ended(self) -> None:
        """Note that a request is under way no more."""
        with self._lock:
            self._under_way -= 1

    def clear(self) -> None:
        """Begin to count anew."""
        with self._lock:
            self.most_at_once = self._under_way
            self._asked.clear()

    def all(self) -> Sequence[Asked]:
        """Return the requests."""
        with self._lock:
            return tuple(self._asked)

    def counted(self) -> Counter[str]:
        """Return how often each operation was asked for: `GET /storage/volumes/{uuid}`."""
        return Counter(operation_of(each.method, "/api" + each.path) for each in self.all())

    def codes(self) -> Counter[str]:
        """Return how often each error code was answered."""
        return Counter(each.code for each in self.all() if each.code is not None)

    def __len__(self) -> int:
        """Count them."""
        return len(self.all())
