"""Consumes hints in a process of its own, and prints each call that it is offered: `python -m tests.executors.workers.hint_child URL PASSWORD STATE BACKEND`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from sharectl.executors.workers.broker import BrokerPlace, consume, queue_of

if TYPE_CHECKING:
    from uuid import UUID


def _show(*call_ids: UUID) -> None:
    os.write(1, "".join(f"{call_id}\n" for call_id in call_ids).encode())  # at once: several threads are at it
    if any(call_id.int == 0 for call_id in call_ids):
        message = "the database does not answer"
        raise ConnectionError(message)


def _tell(text: str) -> None:
    if "the database does not answer" not in text:
        os.write(1, f"{text}\n".encode())


def _heard(*, is_so: bool) -> None:
    os.write(1, f"hears {is_so}\n".encode())


def main() -> None:
    """Consume until SIGTERM; where `hearing` stands behind the rest, say whether hints can come."""
    url, password, state, backend, *more = sys.argv[1:]
    place, queue, name = BrokerPlace(url, password), queue_of(state, backend), f"{backend}@test-{os.getpid()}"
    if more:
        consume(place, queue, name, _show, _tell, _heard)
    else:
        consume(place, queue, name, _show, _tell)
    print("ended", flush=True)  # noqa: T201 - as above


if __name__ == "__main__":
    main()
