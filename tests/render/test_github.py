"""Findings as annotations of GitHub Actions, and the summary of a job."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharectl.model.diagnostics import Diagnostic, Severity, Source, error
from sharectl.render.diagnostics import Verdict
from sharectl.render.github import diagnostic_annotations, plan_annotations, validation_annotations
from sharectl.render.job_summary import MOST_BYTES, add_to_summary
from sharectl.render.plan_markdown import validation_markdown
from sharectl.render.text import visible
from tests.render.samples import rich_plan
from tests.render.test_diagnostics import several

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    Golden = Callable[[str, Iterable[str]], None]

HOSTILE = st.text() | st.text("%:,\r\n:= ]#[a", max_size=40)
_ESCAPES = {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ","}


def read_as_the_runner_does(line: str) -> tuple[str, dict[str, str], str]:
    """Return the command, its properties and its message."""
    assert line.startswith("::")
    head, _, message = line[2:].partition("::")
    name, _, properties = head.partition(" ")
    pairs = (each.partition("=") for each in properties.split(","))
    return name, {key: unescaped(value) for key, _, value in pairs}, unescaped(message)


def unescaped(text: str) -> str:
    """Return the text that the runner shows."""
    for escape, char in _ESCAPES.items():
        text = text.replace(escape, char)
    return text.replace("%25", "%")


def test_findings_become_annotations_at_their_lines(golden: Golden) -> None:
    """Errors first, with the help; what is destroyed for good is a warning, and the summary a notice."""
    golden("github-diagnostics.txt", diagnostic_annotations(several()))
    golden("github-plan.txt", plan_annotations(rich_plan()))


def test_a_verdict_says_how_many_were_looked_at(golden: Golden) -> None:
    """After what is wrong."""
    golden("github-validation.txt", validation_annotations(Verdict(7, tuple(several()))))
    golden("validation.md", validation_markdown(Verdict(7, tuple(several()))))


@settings(deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE, st.integers(1, 9))
def test_no_text_can_give_a_command_of_its_own(summary: str, path: str, address: str, number: int) -> None:
    """Whatever a manifest or a backend says is one property or the message of one command."""
    source = Source(path, number, number)
    found = Diagnostic(Severity.WARNING, "a.b", summary, address=address, source=source, remedy=path)
    (line,) = diagnostic_annotations([found])
    assert line.isprintable()
    name, properties, message = read_as_the_runner_does(line)
    assert (name, properties["line"], properties["col"]) == ("warning", str(number), str(number))
    assert properties.keys() == {"file", "line", "col", "title"}
    assert properties["title"].startswith("a.b (")
    if visible(summary) == summary and visible(path) == path:
        assert properties["file"] == path
        assert message == "\n".join(each for each in (summary, f"help: {path}" if path else "") if each)


def test_a_long_text_is_cut() -> None:
    """The log of a job is no place for it."""
    (line,) = diagnostic_annotations([error("a.b", "x" * 100_000, address="share/" + "y" * 10_000)])
    assert len(line) < 5_000


def test_many_lost_shares_are_counted() -> None:
    """Twenty by name."""
    plan = rich_plan()
    lost = next(step for step in plan.steps if step.verb == "delete-share")
    many = tuple(
        replace(lost, address=f"share/s{number}", step_id=f"delete-share:share/s{number}") for number in range(30)
    )
    lines = list(plan_annotations(replace(plan, steps=many, diagnostics=())))
    assert lines[0].startswith("::warning title=Data is destroyed for good::share/s0, ")
    assert lines[0].endswith(" and 10 more")


def test_a_summary_is_added_to(tmp_path: Path) -> None:
    """What earlier commands of the step wrote stays."""
    path = tmp_path / "summary.md"
    assert add_to_summary(path, ["one"])
    assert add_to_summary(path, ["two"])
    assert path.read_text(encoding="utf-8") == "one\ntwo\n"


@pytest.mark.parametrize("before", [0, MOST_BYTES - 10])
def test_a_summary_never_grows_beyond_what_the_forge_takes(tmp_path: Path, before: int) -> None:
    """It would drop all of it."""
    path = tmp_path / "summary.md"
    path.write_bytes(b"x" * before)
    assert not add_to_summary(path, ["ä" * (MOST_BYTES // 2 if before == 0 else 5)])
    assert path.stat().st_size == before
    assert not add_to_summary(tmp_path / "none" / "summary.md", ["x"])
