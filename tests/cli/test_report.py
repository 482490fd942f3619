"""`sharectl report` and `plan -o html`: pages from what the state knows, without asking a backend."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.console import environment

if TYPE_CHECKING:
    from tests.cli.console import Console

HTML = ("report", "--html", "site")


def test_the_pages_are_written_and_named(applied: Console) -> None:
    """With a page for each share, and what each run did."""
    ended = applied(*HTML)
    assert (ended.code, ended.out) == (0, "")
    assert str(applied.root / "site/index.html") in ended.err
    site = applied.root / "site"
    assert {page.name for page in (site / "share").iterdir()} == {"one.html", "two.html"}
    assert "of 10.0 TiB" in (site / "index.html").read_text(encoding="utf-8"), "as its backend said after the apply"
    assert "create-share" in (site / "history.html").read_text(encoding="utf-8")


def test_no_backend_is_asked(applied: Console) -> None:
    """The manifests may be gone, and the storage with them."""
    (applied.root / "all.yaml").unlink()
    assert applied(*HTML).code == 0


def test_a_saved_plan_is_shown(applied: Console) -> None:
    """With the drift that it saw; one of another state is refused."""
    assert applied("plan", "--out", "p.plan").code == 0
    assert applied(*HTML, "--plan", "p.plan").code == 0
    assert "No changes." in (applied.root / "site/plan.html").read_text(encoding="utf-8")
    assert "Saved" not in (applied.root / "site/drift.html").read_text(encoding="utf-8")
    assert applied(*HTML, "--plan", "all.yaml").code == 1


def test_a_repository_without_a_state_is_told(simulated: Console) -> None:
    """Nothing is written."""
    ended = simulated(*HTML)
    assert ended.code == 1
    assert "error[state.missing]" in ended.err
    assert not (simulated.root / "site").exists()


def test_a_folder_of_others_is_refused(applied: Console) -> None:
    """The repository itself, for instance."""
    ended = applied("report", "--html", ".")
    assert ended.code == 1
    assert "error[report.holds-others]" in ended.err


def test_a_plan_as_one_page(applied: Console) -> None:
    """On standard output; no other command has it."""
    ended = applied("plan", "-o", "html")
    assert ended.code == 0
    assert ended.out.startswith("<!doctype html>\n")
    assert ended.out.endswith("</html>\n")
    assert applied("apply", "--yes", "-o", "html").code == 64


@pytest.mark.parametrize("command", [HTML, ("plan", "-o", "html")])
def test_without_the_template_engine_the_extra_is_named(applied: Console, command: tuple[str, ...]) -> None:
    """Before anything is read or asked."""
    script = "import sys; sys.modules['jinja2'] = None; from sharectl.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", script, "-C", str(applied.root), *command],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 1
    assert "error[report.extra]" in done.stderr
    assert "pip install 'sharectl[report]'" in done.stderr
