"""Sending traces by OTLP over HTTP, as the standard variables of OpenTelemetry say: within a time, within some memory, and counted.

What is not sent is told with a reason in words of our own: those of the libraries may quote headers, which hold keys.
"""

from __future__ import annotations

import logging
import os
import threading
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from sharectl import __version__
from sharectl.model.diagnostics import warning
from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

    from sharectl.model.diagnostics import Diagnostic

LAST_SECONDS: Final = 5.0
"""For so long a command waits at its end until its spans are sent."""
_TRIES: Final = 2
"""So often a collector may fail meanwhile, before nothing more is expected of it."""
_LOOK_SECONDS: Final = 0.05
_MOST_WAITING: Final = 8192
"""So many spans wait to be sent at most, some 40 MB; OTEL_BSP_MAX_QUEUE_SIZE says otherwise."""
_OFF: Final = "set OTEL_TRACES_EXPORTER=none where no traces are wanted"
_EXPORTERS: Final = "OTEL_TRACES_EXPORTER"
_GENERAL: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_OWN: Final = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_HTTP: Final = "http/protobuf"
_COMPRESSIONS: Final = ("none", "gzip", "deflate")
_SAMPLERS: Final = ("always_on", "always_off", "parentbased_always_on", "parentbased_always_off")
_RATIOS: Final = ("traceidratio", "parentbased_traceidratio")


class NoTracesError(Exception):
    """Traces are asked for in a way that cannot be met."""

    def __init__(self, found: Diagnostic) -> None:
        """Carry the warning that says so."""
        super().__init__(found.summary)
        self.found = found


def endpoint_of(environ: Mapping[str, str]) -> str | None:
    """Return where traces are to be sent to; None where nobody asks for any. Raises NoTracesError."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    exporters = {name.strip().lower() for name in environ.get(_EXPORTERS, "").split(",")} - {""}
    endpoint = environ.get(_OWN) or environ.get(_GENERAL)
    if exporters == {"none"} or not (exporters or endpoint):
        return None
    if exporters and "otlp" not in exporters:
        summary = f"no traces are sent: {_EXPORTERS} names no exporter that sharectl has"
        raise NoTracesError(warning("traces.exporter", summary, remedy="set it to otlp, or to none"))
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or _HTTP
    if protocol.strip().lower() != _HTTP:
        remedy = (
            f"set OTEL_EXPORTER_OTLP_TRACES_PROTOCOL={_HTTP}, with the address that the collector has for it "
            f"(port 4318, as a rule) in {_OWN}; {_OFF}"
        )
        summary = f"no traces are sent: the environment asks for another protocol than {_HTTP}"
        raise NoTracesError(warning("traces.protocol", summary, remedy=remedy))
    endpoint = endpoint or "http://localhost:4318"
    if not _place(endpoint):
        name = _OWN if environ.get(_OWN) else _GENERAL
        raise NoTracesError(
            warning(
                "traces.endpoint",
                f"no traces are sent: {name} is no URL",
                remedy="write http://HOST:4318, or https://…",
            )
        )
    return endpoint


def _place(endpoint: str) -> str:
    """Return the scheme, host and port of a URL, which may hold a key besides; nothing where it is none."""
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https"} or not host:
        return ""
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + ("" if port is None else f":{port}")


@dataclass(frozen=True, slots=True)
class Export:
    """What makes spans, and what sends them; `problem` is about settings that are of no use."""

    tracer: Tracer
    parent: Context | None
    problem: Diagnostic | None
    _sender: Any
    _place: str

    def close(self, seconds: float) -> Diagnostic | None:
        """Send what is left, for no longer than this; return a warning where not all has been sent."""
        sender = self._sender
        until, failed = monotonic() + seconds, sender.failures
        closing = threading.Thread(target=sender.shutdown, name="traces", daemon=True)
        closing.start()
        while closing.is_alive() and sender.failures < failed + _TRIES and monotonic() < until:
            closing.join(_LOOK_SECONDS)
        sent, made = sender.sent, sender.made
        if sent >= made:
            return None
        reason = sender.reason
        if closing.is_alive():
            reason = reason or f"they were not taken within {seconds:g} s"
            sender.give_up()
        return warning(
            "traces.not-sent",
            f"{made - sent} of {made} spans were not sent to {self._place}: {reason or 'they came faster than they could be sent'}",
            detail="the command did what it says: traces hold nothing up.",
            remedy=f"see to the collector; {_OFF}",
        )


def open_export(environ: Mapping[str, str], endpoint: str) -> Export:
    """Return what sends spans to the endpoint that the environment names. Raises NoTracesError."""
    logger = logging.getLogger("opentelemetry")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())  # what it says of the network is said here, once
    try:
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - an extra
        from opentelemetry.trace import get_current_span  # noqa: PLC0415 - as above
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 - as above

        from sharectl.workspace.trace_sender import Sender  # noqa: PLC0415 - as above
    except ImportError as error:
        summary = "no traces are sent: the environment asks for them, and what makes them is not installed"
        remedy = f"pip install 'sharectl[otel]'; {_OFF}"
        raise NoTracesError(warning("traces.extra", summary, remedy=remedy)) from error
    except Exception as error:  # some limits are read as the SDK is imported
        raise _nonsense(error) from error
    try:
        most = None if environ.get("OTEL_BSP_MAX_QUEUE_SIZE") else _MOST_WAITING
        provider = TracerProvider(resource=_resource(environ), shutdown_on_exit=False)
        sender = Sender(most)
        provider.add_span_processor(sender)
        tracer = provider.get_tracer("sharectl", __version__)
    except Exception as error:
        raise _nonsense(error) from error
    carrier = {name.lower(): environ[name] for name in ("TRACEPARENT", "TRACESTATE") if environ.get(name)}
    parent = TraceContextTextMapPropagator().extract(carrier) if carrier else None
    useless = dict(_useless(environ))
    if environ.get("TRACEPARENT") and not get_current_span(parent).get_span_context().is_valid:
        useless["TRACEPARENT"] = "no trace context"
    return Export(tracer, parent, _problem(useless), sender, _place(endpoint))


def _useless(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the settings that are of no use, each with why: the SDK passes over them, or finds no file when it sends. No value is told."""
    for name in ("TIMEOUT", "COMPRESSION", "CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE"):
        own, general = f"OTEL_EXPORTER_OTLP_TRACES_{name}", f"OTEL_EXPORTER_OTLP_{name}"
        setting = own if environ.get(own) else general
        value = environ.get(setting, "")
        if not value:
            continue
        if name == "TIMEOUT":
            if not _is_number(value):
                yield setting, "no number"
        elif name == "COMPRESSION":
            if value.strip().lower() not in _COMPRESSIONS:
                yield setting, f"none of {', '.join(_COMPRESSIONS)}"
        elif not os.access(value, os.R_OK):
            yield setting, "no file that can be read"
    sampler = environ.get("OTEL_TRACES_SAMPLER", "").lower()
    if sampler and sampler not in (*_SAMPLERS, *_RATIOS):
        yield "OTEL_TRACES_SAMPLER", "no sampler of OpenTelemetry"
    if sampler in _RATIOS and not _is_number(environ.get("OTEL_TRACES_SAMPLER_ARG", "1"), most=1.0):
        yield "OTEL_TRACES_SAMPLER_ARG", "no number from 0 to 1"


def _is_number(text: str, most: float = inf) -> bool:
    try:
        return 0.0 <= float(text) <= most
    except ValueError:
        return False


def _problem(useless: Mapping[str, str]) -> Diagnostic | None:
    if not useless:
        return None
    told = ", ".join(f"{name} ({why})" for name, why in useless.items())
    summary = f"settings of traces are of no use: {told}"
    return warning("traces.settings", summary, remedy=f"mend or unset them; {_OFF}")


def _nonsense(error: Exception) -> NoTracesError:
    summary = f"no traces are sent: {type(error).__name__} from the settings of OpenTelemetry in the environment"
    return NoTracesError(warning("traces.settings", summary, remedy=f"see to its OTEL_* variables; {_OFF}"))


def _resource(environ: Mapping[str, str]) -> Any:  # noqa: ANN401 - a type of the extra
    """Return what the spans are of: what the environment says goes before what is said here."""
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra

    said = environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    own = {"service.name": "sharectl", "service.version": __version__}
    if environ.get("OTEL_SERVICE_NAME"):
        del own["service.name"]
    return Resource.create({name: value for name, value in own.items() if f"{name}=" not in said})
