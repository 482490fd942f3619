"""What the scheduler answers: a decision with its ordered candidates."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.model.candidates import Candidate
    from sharectl.model.diagnostics import Diagnostic


class Outcome(StrEnum):
    """How a request ended."""

    SCHEDULED = "scheduled"
    NO_VALID_HOST = "no_valid_host"
    NO_HOSTS = "no_hosts"


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one request.

    `host` is where the share goes (the first candidate, the target of an extension), None unless scheduled. `last_filter` names
    the filter that refused the last pool. `diagnostics` name pools that were left out for a value that they report.
    """

    request_id: str
    outcome: Outcome
    host: str | None = None
    candidates: Sequence[Candidate] = ()
    last_filter: str | None = None
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def scheduled(self) -> bool:
        """Tell whether the request has a place."""
        return self.outcome is Outcome.SCHEDULED


@dataclass(frozen=True, slots=True)
class Batch:
    """The decisions on requests that were placed together, in the order of the requests, and the diagnostics that concern all of them."""

    decisions: tuple[Decision, ...]
    diagnostics: tuple[Diagnostic, ...] = ()
