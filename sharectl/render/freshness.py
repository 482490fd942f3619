"""How old an answer from the state is, for people and programs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sharectl.model.quantities import approximate_age
from sharectl.render.text import visible

if TYPE_CHECKING:
    from sharectl.model.canonical import JsonObject
    from sharectl.workspace.freshness import Freshness


def freshness_text(freshness: Freshness, now: datetime) -> str:
    """Return in one or two sentences how old the view is, and that somebody is changing it, if somebody is."""
    if freshness.run is None or freshness.changed_at is None:
        text = "From the state, in which nothing was ever done."
    else:
        run = freshness.run
        who = f"`sharectl {visible(run.command)}` of {visible(run.user)}@{visible(run.host)}"
        text = f"From the state as {who} left it at {visible(freshness.changed_at)}{_age(freshness.changed_at, now)}."
    if freshness.asked_at is not None:
        sampled = time_text(freshness.asked_at)
        text += f" Pool usage was last noted at {sampled}{_age(sampled, now)}."
    if freshness.writer is not None:
        status = freshness.writer
        text += f" {visible(status.holder.name)} has been at work on it since {visible(status.acquired_at)}."
    return text


def freshness_object(freshness: Freshness) -> JsonObject:
    """Return how old the view is as a JSON object."""
    run, writer = freshness.run, freshness.writer
    return {
        "changed_at": freshness.changed_at,
        "run_id": None if run is None else run.run_id,
        "asked_at": None if freshness.asked_at is None else time_text(freshness.asked_at),
        "writer": None if writer is None else writer.holder.name,
    }


def time_text(seconds: int) -> str:
    """Return a time in seconds since 1970 as text, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _age(at: str, now: datetime) -> str:
    try:
        then = datetime.fromisoformat(at)
    except ValueError:
        return ""
    then = then if then.tzinfo is not None else then.replace(tzinfo=UTC)
    return f", {approximate_age((now - then).total_seconds())} ago"
