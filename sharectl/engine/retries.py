"""How long a call that failed is left alone before it is made again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

BASE_DELAY_SECONDS: Final = 0.2
MAX_DELAY_SECONDS: Final = 20.0


def retry_delay_seconds(
    attempt: int, retry_after_seconds: float | None, uniform: Callable[[float, float], float]
) -> float:
    """Return the pause after the failed attempt number `attempt` (from 1).

    What the backend asked for is honoured, up to five times the longest pause of our own; otherwise the pause doubles with each
    attempt and lies anywhere between half of that and the whole, so that many callers do not come back at once.
    """
    if retry_after_seconds is not None:
        return min(max(retry_after_seconds, 0.0), 5 * MAX_DELAY_SECONDS)
    whole = min(BASE_DELAY_SECONDS * 2.0 ** (attempt - 1), MAX_DELAY_SECONDS)
    return whole * uniform(0.5, 1.0)
