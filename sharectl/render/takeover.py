"""What becomes of the files of other servers: the folders that are taken over, and, line by line, what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.legacy.findings import Outcome
from sharectl.model.access import protocol_words
from sharectl.model.diagnostics import counted, listed
from sharectl.render.formats import document
from sharectl.render.markdown import code, prose
from sharectl.render.text import PLAIN, paint, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sharectl.legacy.findings import Finding
    from sharectl.model.access import AccessRule
    from sharectl.model.canonical import JsonObject
    from sharectl.render.text import Look
    from sharectl.workspace.takeover import TakenFolder, TakeoverReport

_HEADINGS: Final[Mapping[Outcome, str]] = {
    Outcome.LEFT_OUT: "Not taken over",
    Outcome.NARROWED: "Taken over with less",
    Outcome.AS_SERVED: "No setting needed",
}
_NAMED_LINES: Final = 5


def takeover_lines(report: TakeoverReport, look: Look = PLAIN) -> Iterator[str]:
    """Yield the folders with their rules, then what was not taken over as it is: `FILE:LINE: what: why; what to do`."""
    for folder in report.folders:
        yield f"{paint(visible(folder.address), 'heading', look.color)}  {visible(_fate(folder, report.backend))}"
        yield from (f"  access {visible(_rule(rule))}" for rule in folder.rules)
    for number, (outcome, lines) in enumerate(_by_outcome(report)):
        if number or report.folders:
            yield ""
        yield paint(_HEADINGS[outcome], "heading", look.color)
        yield from (f"  {visible(line)}" for line in lines)
    if report.folders or report.findings:
        yield ""
    yield _verdict(report)


def takeover_markdown(report: TakeoverReport) -> Iterator[str]:
    """Yield the same as Markdown."""
    yield "### Import from the files of another server"
    yield ""
    yield prose(_verdict(report))
    if report.folders:
        yield ""
        for folder in report.folders:
            rules = f": {', '.join(code(_rule(rule)) for rule in folder.rules)}" if folder.rules else ""
            yield f"- {code(folder.address)} {prose(_fate(folder, report.backend))}{rules}"
    for outcome, lines in _by_outcome(report):
        yield ""
        yield f"#### {_HEADINGS[outcome]}"
        yield ""
        yield from (f"- {prose(line)}" for line in lines)


def takeover_object(report: TakeoverReport) -> JsonObject:
    """Return the report as a JSON object, `sharectl-takeover` version 1."""
    return document(
        "takeover",
        backend=report.backend,
        whole=report.is_whole,
        shares=[
            {
                "folder": folder.folder,
                "address": folder.address,
                "backend_id": folder.backend_id,
                "protocol": folder.protocol,
                "new_manifest": folder.is_new,
                "access": [rule.as_object() for rule in folder.rules],
            }
            for folder in report.folders
        ],
        findings=[
            {
                "path": found.place.path,
                "line": found.place.line,
                "outcome": found.outcome,
                "what": found.what,
                "why": found.why,
                "remedy": found.remedy,
                "folder": found.folder,
            }
            for found in report.findings
        ],
        manifests=report.manifests,
    )


def _fate(folder: TakenFolder, backend: str) -> str:
    where = f"{folder.folder} ({folder.backend_id} on backend {backend}), {protocol_words(folder.protocol)}"
    if folder.is_new:
        return f"{where}, {counted(len(folder.rules), 'rule')}"
    return f"{where}; its manifest is there already"


def _rule(rule: AccessRule) -> str:
    return f"{rule.key} {rule.grant}"


def _by_outcome(report: TakeoverReport) -> Iterator[tuple[Outcome, list[str]]]:
    for outcome in Outcome:
        found = [each for each in report.findings if each.outcome is outcome]
        if found:
            yield outcome, _together(found) if outcome is Outcome.AS_SERVED else [str(each) for each in found]


def _together(findings: Sequence[Finding]) -> list[str]:
    """Return a line for each option, with where it stands: nothing is to be done about any of them."""
    places: dict[tuple[str, str], dict[str, None]] = {}
    for found in findings:
        places.setdefault((found.what, found.why), {})[str(found.place)] = None
    return [f"{listed(list(where), _NAMED_LINES)}: {what}: {why}" for (what, why), where in places.items()]


def _verdict(report: TakeoverReport) -> str:
    new = sum(folder.is_new for folder in report.folders)
    left = sum(found.outcome is Outcome.LEFT_OUT for found in report.findings)
    less = sum(found.outcome is Outcome.NARROWED for found in report.findings)
    said = f"{counted(new, 'new manifest')}; {left} not taken over, {less} taken over with less"
    return f"{said}." if left or less else f"{counted(new, 'new manifest')}; everything was taken over."
