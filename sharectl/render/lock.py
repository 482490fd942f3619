"""The lock of the state: who holds it, since when, and whether it can be taken over."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sharectl.render.formats import document
from sharectl.render.paint import paint
from sharectl.render.text import PLAIN, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.model.canonical import JsonObject
    from sharectl.model.records import LockStatus
    from sharectl.render.text import Look


def lock_lines(status: LockStatus | None, look: Look = PLAIN) -> Iterator[str]:
    """Yield who holds the lock; None is a lock that nobody holds."""
    if status is None:
        yield "Nobody holds the lock."
        return
    holder = status.holder
    holds = f"{visible(holder.user)}@{visible(holder.host)} holds the lock (process {holder.process_id})"
    yield paint(holds, "heading", look.color)
    yield f"  running      {visible(holder.command)}"
    yield f"  since        {visible(status.acquired_at)}"
    yield f"  last sign    {visible(status.heartbeat_at)}"
    taken = "can be taken over" if status.expired else "held"
    yield f"  status       {taken}{f': {visible(status.reason)}' if status.reason else ''}"


def lock_object(status: LockStatus | None) -> JsonObject:
    """Return the lock as a JSON object, `sharectl-lock` version 1; `lock` is null where nobody holds it."""
    return document("lock", lock=None if status is None else _plain(status))


def _plain(status: LockStatus) -> JsonObject:
    scope = {"backends": sorted(status.scope.backends), "addresses": sorted(status.scope.addresses)}
    return {**asdict(status), "scope": scope}
