"""Findings as SARIF 2.1.0, which code scanning services read; paths are under the root of the repository."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import sharectl
from sharectl.model.diagnostics import Severity, counted
from sharectl.render.diagnostics import worst_first
from sharectl.render.text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.model.canonical import JsonObject
    from sharectl.model.diagnostics import Diagnostic, Source
    from sharectl.model.plans import Plan
    from sharectl.render.diagnostics import Verdict

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
MOST_RESULTS: Final = 5_000
"""What GitHub shows of one analysis."""

FINGERPRINT: Final = "sharectl/v1"
_ROOT: Final = "%SRCROOT%"
_NOWHERE: Final = "sharectl.yaml"
_HOW_TO_MEND: Final = "Each result says what is wrong, why, and how to fix it."


def plan_sarif(plan: Plan) -> JsonObject:
    """Return what is wrong with the plan, or is to be known before it is applied."""
    return _log(plan.diagnostics)


def validation_sarif(verdict: Verdict) -> JsonObject:
    """Return what is wrong with the manifests."""
    return _log(verdict.diagnostics)


def failure_sarif(diagnostics: Sequence[Diagnostic], exit_code: int) -> JsonObject:
    """Return why there is no other answer."""
    return _log(diagnostics, exit_code)


def _log(diagnostics: Sequence[Diagnostic], exit_code: int | None = None) -> JsonObject:
    """Return the log of one run; `exit_code` is that of a command which gave no answer."""
    ordered = worst_first(diagnostics)
    shown = ordered[:MOST_RESULTS]
    rules = {code: number for number, code in enumerate(dict.fromkeys(found.code for found in shown))}
    worst = {found.code: found.severity for found in reversed(shown)}
    invocation: JsonObject = {"executionSuccessful": exit_code is None}
    if exit_code is not None:
        invocation["exitCode"] = int(exit_code)
    if len(shown) < len(ordered):
        left_out = f"{counted(len(ordered) - len(shown), 'result')} more are left out; `--output json` has all."
        invocation["toolExecutionNotifications"] = [{"level": "warning", "message": {"text": left_out}}]
    driver = {
        "name": "sharectl",
        "semanticVersion": sharectl.__version__,
        "rules": [_rule(code, worst[code]) for code in rules],
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": "sharectl/"},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The root of the repository."}}},
        "invocations": [invocation],
        "results": _results(shown, rules),
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: str, severity: Severity) -> JsonObject:
    words = code.replace(".", ": ", 1).replace("-", " ")
    return {
        "id": code,
        "shortDescription": {"text": words},
        "fullDescription": {"text": f"The finding {code} of sharectl."},
        "help": {"text": _HOW_TO_MEND},
        "defaultConfiguration": {"level": severity.value},
    }


def _results(diagnostics: Sequence[Diagnostic], rules: dict[str, int]) -> list[JsonObject]:
    seen: Counter[str] = Counter()
    results = []
    for found in diagnostics:
        mark = _mark(found)
        seen[mark] += 1
        results.append(
            {
                "ruleId": found.code,
                "ruleIndex": rules[found.code],
                "level": found.severity.value,
                "message": {"text": _message(found)},
                "locations": [_location(found)],
                "partialFingerprints": {FINGERPRINT: f"{mark}:{seen[mark]}"},
            }
        )
    return results


def _mark(found: Diagnostic) -> str:
    """Return what stays the same while lines above the finding come and go."""
    source = found.source
    place = (source.path, (source.excerpt or "").strip()) if source is not None else ("", "")
    parts = (found.code, found.address or "", *place, found.summary if source is None else "")
    return hashlib.blake2b("\0".join(parts).encode(errors="replace"), digest_size=8).hexdigest()


def _message(found: Diagnostic) -> str:
    """Return the text without a link: what looks like one is one in a message (SARIF 2.1.0, 3.11.6)."""
    texts = (found.summary, found.detail, f"Help: {found.remedy}" if found.remedy else "")
    return "\n".join(visible(line) for text in texts if text for line in text.splitlines()).replace("](", "] (")


def _location(found: Diagnostic) -> JsonObject:
    """Return where it is; what stands in no manifest is told at the settings of the repository, for services refuse results without a place."""
    source = found.source
    location: JsonObject = {"physicalLocation": _place(source) if source is not None else _settings()}
    if found.address is not None:
        location["logicalLocations"] = [{"fullyQualifiedName": visible(found.address), "kind": "resource"}]
    return location


def _settings() -> JsonObject:
    return {"artifactLocation": {"uri": _NOWHERE, "uriBaseId": _ROOT}, "region": {"startLine": 1}}


def _place(source: Source) -> JsonObject:
    is_absolute = source.path.startswith("/")
    uri = quote(source.path, errors="replace")
    artifact = {"uri": f"file://{uri}"} if is_absolute else {"uri": uri, "uriBaseId": _ROOT}
    region: dict[str, Any] = {"startLine": source.line, "startColumn": source.column}
    if source.excerpt:
        region["snippet"] = {"text": source.excerpt}
    return {"artifactLocation": artifact, "region": region}
