"""The page for whoever is on call: each of its commands answers, in a repository as the page supposes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from sharectl.cli import main
from tests.docs.roles import MANIFESTS, make_repository
from tests.docs.test_printed_commands import commands_of
from tools.sessions import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PAGE: Final = (ROOT / "docs/on-call.md").read_text(encoding="utf-8")
COMMANDS: Final = [*dict.fromkeys(tuple(words) for words in commands_of(PAGE))]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository as the page supposes it."""
    root = tmp_path_factory.mktemp("on-call")
    make_repository(root)
    return root


def test_the_page_asks_its_five_questions() -> None:
    """With commands for each."""
    questions = [line for line in PAGE.splitlines() if line.startswith("## ") and line.endswith("?")]
    assert len(questions) == 5
    assert all("```sh" in PAGE.split(question)[1].split("\n## ")[0] for question in questions)
    assert {command[0] for command in COMMANDS} >= {"list", "history", "show", "diff", "who", "undo"}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_command_of_the_page_answers(
    repository: Path, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """And leaves everything as it was."""
    code = main(["-C", str(repository), *command])
    seen = capsys.readouterr()
    assert code == (1 if "a plan refuses to shrink it" in seen.err else 0)
    assert seen.out
    if command[0] == "who" and command[1] != "guest":
        assert "all.yaml:" in seen.out
    if command == ("undo", "last"):
        assert "-spec: {size: 2GiB" in seen.out
        assert "+spec: {size: 1GiB" in seen.out
    assert (repository / "all.yaml").read_text(encoding="utf-8") == MANIFESTS
