"""One table of exit codes, obeyed by every command: what was asked for and not looked at is no success."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.cli.codes import MEANINGS, ExitCode
from tools.sessions import ROOT

if TYPE_CHECKING:
    from tests.cli.console import Console

OTHER = """\
---
apiVersion: sharectl/v1
kind: Backend
metadata: {name: other}
spec: {driver: simulated, config: {stateFile: other.db, pools: [{name: p, total: 10TiB}]}}
"""
SILENT = "    faults: [{call: report, effect: unavailable}, {call: list_shares, effect: unavailable}]\n"
LOOKING = (
    ("plan",),
    ("refresh",),
    ("pools",),
    ("explain", "share/one"),
    ("show", "share/one"),
    ("trash", "list"),
    ("graph", "--steps"),
)


def silence(console: Console, *, enabled: bool = True) -> None:
    """Let backend `sim` answer nothing, and add one that does."""
    text = (console.root / "all.yaml").read_text(encoding="utf-8").replace("---\n", f"{SILENT}---\n", 1)
    if not enabled:
        text = text.replace("  lanes: 2\n", "  lanes: 2\n  enabled: false\n")
    console.write("all.yaml", text + OTHER)


@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
def test_a_backend_that_could_not_be_read_is_no_success(applied: Console, command: tuple[str, ...]) -> None:
    """Each command that asks it exits 1 and names the option that says that it is meant; with the option it exits 0 and still says so."""
    silence(applied)
    ended = applied(*command)
    assert ended.code == 1
    assert "--allow-unreadable sim" in ended.err
    meant = applied(*command, "--allow-unreadable", "sim")
    assert meant.code == 0
    assert "warning[backend.unknown]" in meant.err


def test_a_run_that_could_not_read_a_backend_is_no_success(applied: Console) -> None:
    """Not even where all of its steps are done; the option says that it is meant."""
    silence(applied)
    applied("apply", "--yes", "--allow-unreadable", "sim")
    assert applied("apply", "--yes").code == 1
    assert applied("apply", "--yes", "--allow-unreadable", "sim").code == 0
    applied.write("more.yaml", OTHER.removeprefix("---\n").replace("other", "third"))
    ended = applied("apply", "--yes")
    assert ended.code == 1
    assert "Applied in" in ended.out
    assert "Not looked at: backend sim. --allow-unreadable sim says that it is meant" in ended.err


def test_another_storage_counts_as_unreadable(applied: Console) -> None:
    """What answers under the name of the backend, and is not it, was not looked at."""
    (applied.root / "sim.db").rename(applied.root / "elsewhere.db")
    for command in LOOKING:
        if command[0] in {"pools", "explain"}:
            continue
        ended = applied(*command)
        assert (command, ended.code, "backend.identity" in ended.err) == (command, 1, True)
        assert applied(*command, "--allow-unreadable", "sim").code == 0


def test_what_was_not_asked_for_need_not_be_read(applied: Console) -> None:
    """A plan of other backends or targets, one that asks nobody, and a backend that takes no new shares and holds none."""
    silence(applied)
    assert applied("apply", "--yes", "--allow-unreadable", "sim").code == 0
    applied.write(
        "new.yaml",
        "apiVersion: sharectl/v1\nkind: Share\nmetadata: {name: new}\nspec: {size: 1GiB, protocol: NFS}\n",
    )
    assert applied("plan", "--backend", "other", "--detailed-exitcode").code == 2
    assert applied("plan", "--target", "share/new", "--detailed-exitcode").code == 2
    assert applied("plan", "--target", "share/one").code == 1
    assert applied("plan", "--label", "team=a").code == 1
    assert applied("plan", "--refresh", "none", "--detailed-exitcode").code == 2
    assert applied("show", "share/one", "--refresh", "none").code == 0
    assert applied("pools", "--backend", "other").code == 0


def test_a_backend_without_new_shares_counts_only_for_what_it_holds(applied: Console) -> None:
    """`enabled: false`: nothing is asked of it but the shares that are on it."""
    silence(applied, enabled=False)
    assert applied("plan").code == 1
    assert applied("state", "rm", "share/one", "share/two", "snapshot/two-monday").code == 0
    assert applied("plan", "--target", "backend/other").code == 0
    for name in ("share/one", "share/two", "snapshot/two-monday"):
        assert name not in applied("state", "list").out
    text = (applied.root / "all.yaml").read_text(encoding="utf-8")
    backend, _, _ = text.partition("---\napiVersion: sharectl/v1\nkind: Share\n")
    applied.write("all.yaml", backend + OTHER)
    ended = applied("plan", "--allow-empty")
    assert ended.code == 0
    assert "warning[backend.unknown]" in ended.err


def test_errors_win_over_changes(applied: Console) -> None:
    """With --detailed-exitcode, 2 is for those who have seen everything."""
    silence(applied)
    assert applied("plan", "--detailed-exitcode").code == 1
    assert applied("refresh", "--detailed-exitcode").code == 1
    assert applied("plan", "--detailed-exitcode", "--allow-unreadable", "sim").code == 2
    assert applied("refresh", "--detailed-exitcode", "--allow-unreadable", "sim").code == 2


def test_a_saved_plan_remembers_what_was_not_read(applied: Console) -> None:
    """It is saved, and exits 1 when it is made and when it is applied, unless either says that it is meant."""
    silence(applied)
    assert applied("plan", "--out", "p1").code == 1
    assert applied("apply", "p1").code == 1
    applied.write("more.yaml", OTHER.removeprefix("---\n").replace("other", "third"))
    assert applied("plan", "--out", "p2").code == 1
    assert applied("apply", "p2", "--allow-unreadable", "sim").code == 0
    assert applied("plan", "--out", "p3", "--allow-unreadable", "sim").code == 0
    assert applied("apply", "p3").code == 0


def test_json_says_what_was_not_read_and_how_it_ended(applied: Console) -> None:
    """The plan names the backends, and the result has the exit code as well."""
    silence(applied)
    planned = orjson.loads(applied("plan", "-o", "json").out)
    assert planned["unreadable"] == [{"backend": "sim", "allowed": False}]
    lines = applied("apply", "--yes", "-o", "json").out.splitlines()
    result = orjson.loads(lines[-1])
    assert (result["succeeded"], result["exit_code"]) == (True, 1)
    assert result["unreadable"] == [{"backend": "sim", "allowed": False}]


@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
def test_a_backend_to_do_without_has_to_exist(applied: Console, command: tuple[str, ...]) -> None:
    """A name that is nobody's is a slip, and the nearest is proposed."""
    ended = applied(*command, "--allow-unreadable", "simm")
    assert ended.code in {ExitCode.FAILED, ExitCode.USAGE}
    assert 'did you mean "sim"?' in ended.err


def test_the_page_has_the_table() -> None:
    """`docs/cli.md` says of each code what the program says of it."""
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for code, meaning in MEANINGS.items():
        assert f"| {code.value} | {meaning} |" in page
    assert set(MEANINGS) == set(ExitCode)
