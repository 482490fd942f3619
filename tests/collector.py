"""A collector of traces: it takes OTLP over HTTP as strictly as the protocol allows, or behaves badly in a chosen way."""

from __future__ import annotations

import gzip
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

Values = dict[str, object]


@dataclass
class SpanSeen:
    """A span as it arrived."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    began_ns: int
    ended_ns: int
    kind: int
    error: str | None
    attributes: Values
    events: list[tuple[str, Values]]


@dataclass
class Collector:
    """What has arrived; `status` is what requests are answered with, none at all where it is 0."""

    url: str
    status: int = 200
    spans: list[SpanSeen] = field(default_factory=list)
    resources: list[Values] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def named(self, name: str) -> list[SpanSeen]:
        """Return the spans of this name, in the order in which they began."""
        return sorted((span for span in self.spans if span.name == name), key=lambda span: span.began_ns)

    def one(self, name: str) -> SpanSeen:
        """Return the only span of this name."""
        (found,) = self.named(name)
        return found

    def children(self, parent: SpanSeen) -> Counter[str]:
        """Return the names of the spans right below another, each of which lies within it."""
        found = [span for span in self.spans if span.parent_id == parent.span_id]
        assert all(parent.began_ns <= span.began_ns and span.ended_ns <= parent.ended_ns for span in found)
        assert {span.trace_id for span in found} <= {parent.trace_id}
        return Counter(span.name for span in found)


def _values(pairs: list[KeyValue]) -> Values:
    found: Values = {}
    for pair in pairs:
        assert pair.key not in found
        kind = pair.value.WhichOneof("value")
        assert kind is not None
        found[pair.key] = getattr(pair.value, kind)
    return found


def _span(span: Span) -> SpanSeen:
    assert (len(span.trace_id), len(span.span_id)) == (16, 8)
    assert any(span.trace_id)
    assert any(span.span_id)
    assert len(span.parent_span_id) in {0, 8}
    assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
    assert span.name
    return SpanSeen(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.kind,
        span.status.message if span.status.code == span.status.STATUS_CODE_ERROR else None,
        _values(list(span.attributes)),
        [(event.name, _values(list(event.attributes))) for event in span.events],
    )


def _take(collector: Collector, body: bytes) -> None:
    request = ExportTraceServiceRequest()
    assert request.ParseFromString(body) == len(body)
    assert request.resource_spans
    for of_resource in request.resource_spans:
        collector.resources.append(_values(list(of_resource.resource.attributes)))
        for of_scope in of_resource.scope_spans:
            assert of_scope.scope.name == "sharectl"
            collector.spans += map(_span, of_scope.spans)


@contextmanager
def collecting(status: int = 200) -> Iterator[Collector]:
    """Yield a collector that listens; what was wrong with a request fails the test at the end."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.headers.append({name.lower(): value for name, value in self.headers.items()})
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            collector.bodies.append(body)
            if collector.status == 0:
                collector.released.wait()
                return
            if collector.status == 200:
                try:
                    assert self.path == "/v1/traces"
                    assert self.headers["content-type"] == "application/x-protobuf"
                    _take(collector, body)
                except Exception as error:  # noqa: BLE001 - told in the test's own thread
                    collector.mistakes.append(repr(error))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(collector.status)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector = Collector(f"http://127.0.0.1:{server.server_address[1]}", status)
    serving = threading.Thread(target=server.serve_forever, args=(0.01,))
    serving.start()
    try:
        yield collector
    finally:
        collector.released.set()
        server.shutdown()
        serving.join()
        server.server_close()
    assert collector.mistakes == []
