"""Shell completion: quick, silent, and of the repository that -C names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.cli.complete import complete_address, complete_backend

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.console import Console


class Line:
    """As much of a command line's context as completion looks at."""

    def __init__(self, chdir: Path | None = None, parent: Line | None = None) -> None:
        """Make a line with this -C, under the line of the whole."""
        self.params = {"chdir": chdir}
        self.parent = parent


@pytest.fixture
def line(simulated: Console) -> Line:
    """Return a line that works in the simulated repository."""
    return Line(simulated.root)


def test_before_the_slash_there_are_kinds(tmp_path: Path) -> None:
    """For these nothing has to be read, however many shares there are."""
    nowhere = Line(tmp_path / "nowhere")
    assert complete_address(nowhere, "") == ["share/", "snapshot/", "backend/"]
    assert complete_address(nowhere, "sn") == ["snapshot/"]


def test_addresses_come_from_manifests_and_state(applied: Console, line: Line) -> None:
    """Also one whose manifest has gone, or that is not applied yet."""
    assert applied("state", "mv", "share/one", "share/once").code == 0
    assert complete_address(line, "share/on") == ["share/once", "share/one"]
    assert complete_address(line, "snapshot/") == ["snapshot/two-monday"]


def test_backends(line: Line) -> None:
    """By name."""
    assert complete_backend(line, "s") == ["sim"]
    assert complete_backend(line, "x") == []


def test_the_folder_of_the_whole_and_that_of_the_command(simulated: Console) -> None:
    """`sharectl -C a plan -C b` works in a/b."""
    folder = simulated.root.parent
    nested = Line(simulated.root.relative_to(folder), Line(folder))
    assert complete_backend(nested, "") == ["sim"]


def test_what_is_wrong_completes_nothing(console: Console) -> None:
    """A broken project file or state says nothing in the middle of a line."""
    line = Line(console.root)
    console.write("sharectl.yaml", "kind: [")
    assert complete_backend(line, "") == []
    assert complete_address(line, "share/") == []
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write(".sharectl/state.db", "no database" * 100)
    assert complete_address(line, "share/") == []
