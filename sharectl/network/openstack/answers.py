"""What an answer of an OpenStack service means: its content, or the error that people are told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.frozen import dataclass
from sharectl.network.base import NetworkError, NetworkNotFoundError, NetworkTransientError, NetworkUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.model.canonical import JsonObject

_MAX_MESSAGE_CHARACTERS: Final = 300
_FIRST_ERROR: Final = 400
_UNAVAILABLE: Final = frozenset({502, 503, 504})
_PASSING: Final = frozenset({408, 409, 429, 500})


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: `kind` and `message` are those of a refusal, as the service words them; `body` is empty where there was none."""

    status: int
    body: JsonObject
    kind: str = ""
    message: str = ""
    retry_after_seconds: float | None = None

    @property
    def is_refusal(self) -> bool:
        """Whether the service did not do what it was asked."""
        return self.status >= _FIRST_ERROR


def read_answer(status: int, headers: Mapping[str, str], content: bytes) -> Answer:
    """Return the answer in a response; one that is not JSON has an empty body.

    Neutron words a refusal as `{"NeutronError": {"type", "message", "detail"}}`, Nova as `{"itemNotFound": {"code", "message"}}`,
    Keystone as `{"error": {"code", "message", "title"}}`.
    """
    try:
        parsed = json.loads(content) if content else {}
    except ValueError:
        parsed = None
    body = parsed if isinstance(parsed, dict) else {}
    if status < _FIRST_ERROR:
        # A proxy's page of greeting is no answer of the service, whatever its status.
        return Answer(
            status if parsed is not None else 502, body, message="" if parsed is not None else "it is not JSON"
        )
    kind, message = _refusal(body)
    return Answer(status, body, kind, message, _seconds(headers.get("Retry-After")))


def error_of(answer: Answer, service: str, what: str) -> NetworkError:
    """Return the error for a refusal of the service called `service` to do `what` (`list ports`)."""
    reason = f": {answer.message}" if answer.message else ""
    summary = f"{service} refused to {what} (HTTP {answer.status}){reason}"
    if answer.status in _UNAVAILABLE:
        message = f"{service} could not {what} (HTTP {answer.status}){reason}; see whether it is running, and its log"
        return NetworkUnavailableError(message, answer.retry_after_seconds)
    if answer.status in _PASSING:
        return NetworkTransientError(summary, answer.retry_after_seconds)
    match answer.status:
        case 401:
            return NetworkError(f"{summary}; correct the account in the backend's network config")
        case 403:
            return NetworkError(f"{summary}; give the account a role that may, such as admin in its project")
        case 404:
            return NetworkNotFoundError(summary)
        case _:
            return NetworkError(summary)


def _refusal(body: JsonObject) -> tuple[str, str]:
    for name, value in body.items():
        if isinstance(value, dict) and "message" in value:
            return str(value.get("type", name)), one_line(value["message"])
    return "", one_line(next(iter(body.values()), ""))


def one_line(text: Any) -> str:  # noqa: ANN401 - whatever a service sent
    """Return text of a service as one printable line of bounded length."""
    line = "".join(character if character.isprintable() else " " for character in str(text))
    return " ".join(line.split())[:_MAX_MESSAGE_CHARACTERS]


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isascii() and header.isdigit() else None
