"""Traces of a command: what a collector gets of an apply, that nothing is sent unasked, and that no collector holds anything up."""

from __future__ import annotations

import re
import subprocess
import sys
from time import monotonic
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from sharectl.workspace.survey import Asked
from sharectl.workspace.trace_export import LAST_SECONDS, NoTracesError, endpoint_of, open_export
from sharectl.workspace.traces import Trace
from tests.cli.console import environment
from tests.collector import Collector, collecting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.console import Console

KEY = "k3y-that-nobody-may-read"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
INTERNAL, CLIENT = 1, 3


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Return a collector that the environment names."""
    with collecting() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        yield found


def with_faults(console: Console, faults: str) -> None:
    """Let calls of the simulated driver fail."""
    text = (console.root / "all.yaml").read_text(encoding="utf-8")
    console.write(
        "all.yaml", text.replace("    stateFile: sim.db\n", f"    stateFile: sim.db\n    faults: [{faults}]\n")
    )


def test_an_apply_is_one_trace(simulated: Console, collector: Collector) -> None:
    """The command, the backend that was asked, each step, and its calls, each within what it is a part of."""
    assert simulated("apply", "--yes").code == 0
    command = collector.one("sharectl apply")
    assert (command.parent_id, command.kind, command.error) == ("", INTERNAL, None)
    assert collector.children(command) == {
        "refresh": 1,
        "prepare-backend": 1,
        "create-share": 2,
        "update-access": 1,
        "create-snapshot": 1,
    }
    assert command.attributes["process.exit.code"] == 0
    assert {name: command.attributes[f"sharectl.run.{name}"] for name in ("steps", "done", "failed", "skipped")} == {
        "steps": 5,
        "done": 5,
        "failed": 0,
        "skipped": 0,
    }
    assert str(command.attributes["sharectl.run.id"])[:8] in simulated("history").out
    one, two = collector.named("create-share")
    assert {one.attributes["sharectl.address"], two.attributes["sharectl.address"]} == {"share/one", "share/two"}
    assert collector.children(one) == collector.children(two) == {"CreateShare": 1}
    assert one.attributes | {"sharectl.address": ""} == {
        "sharectl.address": "",
        "sharectl.verb": "create-share",
        "sharectl.backend": "sim",
        "sharectl.pool": "gold1",
        "sharectl.outcome": "done",
        "sharectl.retries": 0,
    }
    assert {span.kind for span in collector.named("CreateShare")} == {CLIENT}
    assert all(each["service.name"] == "sharectl" for each in collector.resources)


def test_a_failure_says_what_the_history_says(simulated: Console, collector: Collector) -> None:
    """Its class, its words, how often it was tried, and that of the command."""
    with_faults(
        simulated,
        "{call: create_share, name: one, effect: unavailable, first: 1}, {call: create_snapshot, effect: error, message: the array says no}",
    )
    assert simulated("apply", "--yes").code == 1
    command, snapshot = collector.one("sharectl apply"), collector.one("create-snapshot")
    assert (command.attributes["process.exit.code"], command.attributes["error.type"]) == (1, "failed")
    assert command.error is not None
    assert (snapshot.attributes["sharectl.outcome"], snapshot.attributes["error.type"]) == ("failed", "refused")
    assert snapshot.error is not None
    assert "the array says no" in snapshot.error
    assert snapshot.error in simulated("history", "--failed").out
    tried = next(span for span in collector.named("create-share") if span.attributes["sharectl.retries"])
    assert tried.attributes["sharectl.address"] == "share/one"
    assert [name for name, _ in tried.events] == ["retry"]
    first, second = (span for span in collector.named("CreateShare") if span.parent_id == tried.span_id)
    assert (first.attributes["error.type"], second.error) == ("unavailable", None)


def test_a_backend_that_cannot_be_read_is_seen(applied: Console, collector: Collector) -> None:
    """With the command that looked, whatever it is called."""
    with_faults(applied, "{call: list_shares, effect: unavailable}")
    assert applied("refresh").code == 1
    refresh = collector.one("refresh")
    assert (refresh.attributes["sharectl.backend"], refresh.attributes["error.type"]) == ("sim", "unread")
    assert refresh.parent_id == collector.one("sharectl refresh").span_id


@pytest.mark.parametrize(
    ("command", "code", "error_type"),
    [
        (("plan", "--detailed-exitcode"), 2, None),
        (("apply", "--yes", "--target", "share/nowhere"), 1, "plan.unknown-address"),
        (("destroy", "--output", "json"), 64, "usage.no-question"),
    ],
)
def test_a_command_that_ends_early_has_its_code(
    simulated: Console, collector: Collector, command: tuple[str, ...], code: int, error_type: str | None
) -> None:
    """Changes that were found are no error."""
    assert simulated(*command).code == code
    (span,) = (span for span in collector.spans if not span.parent_id)
    assert span.name == f"sharectl {command[0]}"
    assert (span.attributes["process.exit.code"], span.attributes.get("error.type")) == (code, error_type)


def test_a_job_that_is_traced_has_it_in_its_trace(
    simulated: Console, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the name that the environment gives."""
    monkeypatch.setenv("TRACEPARENT", PARENT)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "storage-ci")
    assert simulated("plan").code == 0
    command = collector.one("sharectl plan")
    assert (command.trace_id, command.parent_id) == tuple(PARENT.split("-")[1:3])
    assert collector.resources[0]["service.name"] == "storage-ci"


def test_a_job_that_is_not_sampled_sends_nothing(
    simulated: Console, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is anything amiss."""
    monkeypatch.setenv("TRACEPARENT", PARENT.removesuffix("01") + "00")
    assert "traces." not in simulated("plan").err
    assert collector.bodies == []


def test_no_secret_and_no_rule_is_in_a_span(
    simulated: Console, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key of the collector goes to it as a header, and nowhere else, also where it is refused."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"api-key={KEY}")
    assert simulated("apply", "--yes").code == 0
    assert collector.headers[0]["api-key"] == KEY
    assert collector.one("update-access").attributes["sharectl.address"] == "share/two"
    for body in collector.bodies:
        assert KEY.encode() not in body
        assert b"10.0.0.1" not in body
    collector.status = 401
    assert "401 Unauthorized" in simulated("plan").err


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://user:{KEY}@127.0.0.1:1/?key={KEY}"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": f"user:{KEY}@collector"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:port/{KEY}"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_HEADERS": KEY},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_HEADERS": f"api-key=%0A{KEY}"},
    ],
)
def test_a_key_in_a_setting_that_fails_is_not_told(
    applied: Console, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    """The libraries would."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    ended = applied("plan")
    assert ended.code == 0
    assert ended.err.count("warning[traces.") == 1
    assert KEY not in ended.err + ended.out


@pytest.mark.parametrize(
    ("status", "reason"),
    [(500, "500 Internal Server Error"), (503, "503 Service Unavailable"), (0, f"not taken within {LAST_SECONDS:g} s")],
)
def test_a_collector_that_fails_is_told_once_and_changes_nothing(
    simulated: Console, collector: Collector, status: int, reason: str
) -> None:
    """Nor does one that takes the spans, and never answers."""
    collector.status = status
    ended = simulated("apply", "--yes")
    assert ended.code == 0
    assert ended.err.count("traces.not-sent") == 1
    assert reason in ended.err
    assert f"not sent to {collector.url}: " in ended.err
    assert simulated("plan", "--detailed-exitcode").code == 0


def test_a_collector_that_is_away_is_told_once(simulated: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the apply is done."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:1/v1/traces")
    ended = simulated("apply", "--yes")
    assert ended.code == 0
    assert re.findall(r"(\d+) of (\d+) spans were not sent to (\S+): (.*)", ended.err) == [
        ("12", "12", "http://127.0.0.1:1", "Connection refused")
    ]


def test_spans_that_are_too_many_are_counted_and_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what waits, the oldest go."""
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        export = open_export({"OTEL_BSP_MAX_QUEUE_SIZE": "8"}, collector.url)
        for number in range(2000):
            export.tracer.start_span(f"{number}").end()
        found = export.close(LAST_SECONDS)
        assert found is not None
        lost = 2000 - len(collector.spans)
        assert lost > 0
        assert f"{lost} of 2000 spans were not sent" in found.summary
        assert "they came faster than they could be sent" in found.summary
        assert collector.named("1999")


def test_a_collector_that_hangs_holds_nothing_up_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Than was said, however long its own time is."""
    with collecting(status=0) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "600")
        export = open_export({}, collector.url)
        export.tracer.start_span("one").end()
        began = monotonic()
        found = export.close(0.2)
        assert monotonic() - began < 300
        assert found is not None
        assert "1 of 1 spans were not sent" in found.summary


class Breaking(SpanProcessor):
    """Fails whenever a span ends."""

    def on_end(self, span: object) -> None:
        """Fail."""
        raise ZeroDivisionError


def test_tracing_that_fails_ends_and_nothing_else() -> None:
    """It is said."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Breaking())
    trace = Trace(provider.get_tracer("sharectl"), None, "apply")
    assert trace.found() is None
    trace.asked(Asked("sim", 1, 2))
    trace.asked(Asked("sim", 1, 2))
    trace.end(0, "")
    found = trace.found()
    assert found is not None
    assert "ZeroDivisionError" in found.summary


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({}, None),
        ({"OTEL_SERVICE_NAME": "sharectl", "TRACEPARENT": PARENT}, None),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, None),
        ({"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, None),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "http://localhost:4318"),
        ({"OTEL_TRACES_EXPORTER": "console, otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": "https://c"}, "https://c"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://own", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, "http://own"),
    ],
)
def test_traces_are_sent_only_where_they_are_asked_for(environ: dict[str, str], endpoint: str | None) -> None:
    """By the variables that every program has."""
    assert endpoint_of(environ) == endpoint


@pytest.mark.parametrize(
    ("environ", "code"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "traces.exporter"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "traces.protocol"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "traces.endpoint"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://"}, "traces.endpoint"),
    ],
)
def test_what_cannot_be_met_is_said(environ: dict[str, str], code: str) -> None:
    """With what to set instead."""
    with pytest.raises(NoTracesError) as caught:
        endpoint_of(environ)
    assert caught.value.found.code == code
    assert caught.value.found.remedy


def test_settings_that_are_nonsense_are_said(applied: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the command goes on."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "-1")
    ended = applied("plan")
    assert ended.code == 0
    assert ended.err.count("traces.settings") == 1


USELESS = {
    "OTEL_EXPORTER_OTLP_TIMEOUT": "abc",
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "lz4711",
    "OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere/key-4711.pem",
    "OTEL_TRACES_SAMPLER": "bogus",
    "TRACEPARENT": "00-bogus-01",
}


def test_settings_that_the_sdk_passes_over_are_told_by_name(
    applied: Console, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one warning, without a value; sound ones are not told, also of a ratio."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    for name, value in USELESS.items():
        monkeypatch.setenv(name, value)
    ended = applied("plan")
    assert (ended.code, ended.err.count("traces.settings")) == (0, 1)
    assert [name for name in USELESS if f"{name} (" not in ended.err] == []
    assert [value for value in USELESS.values() if value in ended.err] == []
    good = {
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2.5",
        "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "GZIP",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(applied.root),
        "OTEL_TRACES_SAMPLER": "TraceIdRatio",
        "OTEL_TRACES_SAMPLER_ARG": "1",
        "TRACEPARENT": PARENT,
    }
    for name, value in good.items():
        monkeypatch.setenv(name, value)
    assert "traces.settings" not in applied("plan").err
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "2")
    assert "OTEL_TRACES_SAMPLER_ARG (no number from 0 to 1)" in applied("plan").err


def test_settings_that_the_sdk_reads_as_it_is_imported_are_said_too(applied: Console) -> None:
    """In a process of its own, since modules are imported once in each."""
    done = subprocess.run(
        [sys.executable, "-m", "sharectl", "-C", str(applied.root), "plan"],
        capture_output=True,
        text=True,
        env=environment(OTEL_TRACES_EXPORTER="otlp", OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT="-1"),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("traces.settings") == 1
    assert "Traceback" not in done.stderr


def test_without_the_extra_it_is_named_once(applied: Console, tmp_path: Path) -> None:
    """And the command does what it says."""
    script = (
        "import sys; sys.modules['opentelemetry'] = None; from sharectl.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "-C", str(applied.root), "apply", "--yes"],
        capture_output=True,
        text=True,
        env=environment(OTEL_TRACES_EXPORTER="otlp"),
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr.count("warning[traces.extra]") == 1
    assert "pip install 'sharectl[otel]'" in done.stderr
