"""Sends spans by batches in a thread of its own, and knows how many there were, how many were taken, and why others were not."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan


class _Session(requests.Session):
    """Remembers why the last request failed, without its URL and headers."""

    def __init__(self) -> None:
        super().__init__()
        self.reason = ""
        self.failures = 0

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - as requests has it
        """Send."""
        try:
            response = super().send(request, **kwargs)
        except Exception as error:
            self.reason = _words(error)
            self.failures += 1
            raise
        is_taken = response.status_code < HTTPStatus.BAD_REQUEST
        self.reason = "" if is_taken else _status_words(response.status_code)
        self.failures += not is_taken
        return response


def _status_words(code: int) -> str:
    """Return `500 Internal Server Error`."""
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return str(code)


def _words(error: BaseException) -> str:
    """Return why a request failed: what the system said, if it did, or the kind of the error."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "no TLS connection could be made"
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and not isinstance(found, requests.RequestException) and found.strerror:
            return found.strerror
        found = found.__cause__ or found.__context__
    return type(error).__name__


class _Exporter(SpanExporter):
    """Counts what was taken."""

    def __init__(self, session: requests.Session) -> None:
        self._exporter = OTLPSpanExporter(session=session)
        self.sent = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send them, and count them where they were taken."""
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self.sent += len(spans)
        return result

    def shutdown(self) -> None:
        """Send nothing more, nor try again."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


class Sender(BatchSpanProcessor):
    """A processor of spans that counts them."""

    def __init__(self, most_waiting: int | None) -> None:
        """Let at most so many wait (None: as the environment says); the oldest go where more come."""
        self._session = _Session()
        self._counted = _Exporter(self._session)
        self.made = 0
        super().__init__(self._counted, max_queue_size=most_waiting)

    @property
    def sent(self) -> int:
        """How many were taken."""
        return self._counted.sent

    @property
    def reason(self) -> str:
        """Why the last request failed; empty where it did not."""
        return self._session.reason

    @property
    def failures(self) -> int:
        """How many requests have failed."""
        return self._session.failures

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span that has ended."""
        if span.context is not None and span.context.trace_flags.sampled:
            self.made += 1
        super().on_end(span)

    def give_up(self) -> None:
        """End what is still being tried."""
        self._counted.shutdown()
