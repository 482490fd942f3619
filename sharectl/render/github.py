"""Findings as annotations of GitHub Actions: workflow commands on standard output, which the forge shows at the lines of the manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import Severity, counted, listed
from sharectl.render.diagnostics import worst_first
from sharectl.render.text import clipped, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.plans import Plan
    from sharectl.render.diagnostics import Verdict

LONGEST_MESSAGE: Final = 4_000
_LONGEST_TITLE: Final = 200
_COMMANDS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}
_IN_MESSAGES: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_IN_PROPERTIES: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})


def plan_annotations(plan: Plan) -> Iterator[str]:
    """Yield what is wrong with the plan, what is destroyed for good, and its summary; paths are under the root of the repository."""
    from sharectl.render.blocks import destroyed, plan_blocks  # noqa: PLC0415 - as below
    from sharectl.render.sentences import summary_sentence  # noqa: PLC0415 - a plan's alone

    yield from diagnostic_annotations(plan.diagnostics)
    losses = [visible(block.address) for block in destroyed(plan_blocks(plan))]
    if losses:
        yield _command("warning", {"title": "Data is destroyed for good"}, f"{listed(losses, 20)}")
    told = [] if plan.is_empty or plan.is_stopped else list(_review_annotations(plan))
    yield from told[:-1]
    yield _command("notice", {"title": "sharectl plan"}, "\n".join((summary_sentence(plan), *told[-1:])))


def _review_annotations(plan: Plan) -> Iterator[str]:
    """Yield a command for each thing to think about, and at last the text of the answers."""
    from sharectl.planner.review.answers import review_of  # noqa: PLC0415 - a plan's alone
    from sharectl.planner.review.nouns import Verdict  # noqa: PLC0415 - as above
    from sharectl.render.review import QUESTIONS, answer_text, answers, opening_words  # noqa: PLC0415 - as above

    review = review_of(plan)
    if review.locked_out.verdict is Verdict.YES:
        yield _command("warning", {"title": "Somebody loses access"}, visible(answer_text(review.locked_out)))
    for opening in review.openings:
        yield _command("warning", {"title": "Open to everybody"}, visible(opening_words(opening)))
    yield "\n".join(
        f"{QUESTIONS[name]} {answer.verdict.value}: {visible(answer_text(answer, has_verdict=True))}"
        for name, answer in answers(review).items()
    )


def validation_annotations(verdict: Verdict) -> Iterator[str]:
    """Yield what is wrong with the manifests, and how many resources were looked at."""
    yield from diagnostic_annotations(verdict.diagnostics)
    yield _command("notice", {"title": "sharectl validate"}, f"{counted(verdict.resources, 'resource')} looked at.")


def failure_annotations(diagnostics: Sequence[Diagnostic], exit_code: int) -> Iterator[str]:
    """Yield why there is no other answer."""
    del exit_code  # whoever runs the step sees it
    yield from diagnostic_annotations(diagnostics)


def diagnostic_annotations(diagnostics: Sequence[Diagnostic]) -> Iterator[str]:
    """Yield a command for each finding, errors first: the forge shows ten of each severity in a step, and has all in the log."""
    for found in worst_first(diagnostics):
        title = found.code if found.address is None else f"{found.code} ({found.address})"
        properties = {"title": clipped(visible(title), _LONGEST_TITLE)}
        if found.source is not None:
            place = {"file": visible(found.source.path), "line": found.source.line, "col": found.source.column}
            properties = {**{name: str(value) for name, value in place.items()}, **properties}
        yield _command(_COMMANDS[found.severity], properties, _message(found))


def _message(found: Diagnostic) -> str:
    texts = (found.summary, found.detail, f"help: {found.remedy}" if found.remedy else "")
    return "\n".join(visible(line) for text in texts if text for line in text.splitlines())


def _command(name: str, properties: dict[str, str], message: str) -> str:
    told = ",".join(f"{key}={value.translate(_IN_PROPERTIES)}" for key, value in properties.items())
    return f"::{name} {told}::{message[:LONGEST_MESSAGE].translate(_IN_MESSAGES)}"
