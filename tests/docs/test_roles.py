"""The pages for reviewers, auditors and admins: each of their commands answers, and changes nothing in the repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from sharectl.cli import main
from tests.docs.roles import MANIFESTS, make_repository
from tests.docs.test_printed_commands import commands_of
from tools.sessions import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PAGES: Final = ("reviewer", "auditor", "admin")
COMMANDS: Final = [
    *dict.fromkeys(
        tuple(words) for page in PAGES for words in commands_of((ROOT / f"docs/{page}.md").read_text(encoding="utf-8"))
    )
]
SILENT: Final = {("fmt", "--check")}
"""What says on standard error alone that all is well."""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository as the pages suppose it."""
    root = tmp_path_factory.mktemp("roles")
    make_repository(root)
    return root


@pytest.mark.parametrize("page", PAGES)
def test_each_page_has_commands(page: str) -> None:
    """For each of its parts that tells what to type."""
    assert len(list(commands_of((ROOT / f"docs/{page}.md").read_text(encoding="utf-8")))) > 4


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_command_of_the_pages_answers(
    repository: Path, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """And leaves the manifests as they were."""
    assert main(["-C", str(repository), *command]) == 0
    seen = capsys.readouterr()
    assert seen.err if command in SILENT else seen.out
    assert (repository / "all.yaml").read_text(encoding="utf-8") == MANIFESTS
