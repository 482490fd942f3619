"""`sharectl history`: a part of it, by time, user, run, address and outcome."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.cli.session import parse_time
from sharectl.model.diagnostics import DiagnosticError

if TYPE_CHECKING:
    from sharectl.model.canonical import JsonObject
    from tests.cli.console import Console

FAULTS = '    faults: [{call: extend_share, effect: error, message: "the array says no"}]\n---\n'
NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def failed(applied: Console) -> Console:
    """Return a repository in which a second apply has failed in part."""
    text = (applied.root / "all.yaml").read_text(encoding="utf-8")
    text = text.replace("---\n", FAULTS, 1).replace("size: 1GiB", "size: 3GiB").replace("{team: b}", "{team: c}")
    applied.write("all.yaml", text)
    assert applied("apply", "--yes").code == 1
    return applied


def entries(console: Console, *words: str) -> list[JsonObject]:
    """Return the entries that the command shows."""
    ended = console("history", *words, "-o", "json")
    assert ended.code == 0, ended
    found: list[JsonObject] = orjson.loads(ended.out)["entries"]
    return found


def test_failures_are_shown_with_their_errors(failed: Console) -> None:
    """Nothing else with --failed."""
    shown = failed("history", "--failed")
    assert "the array says no" in shown.out
    assert [(each["address"], each["outcome"]) for each in entries(failed, "--failed")] == [("share/one", "failed")]


def test_the_text_names_each_run_by_what_run_takes(failed: Console) -> None:
    """The beginning of its id is enough, and last is the newest."""
    last, *_, first = entries(failed)
    short = first["run"]["run_id"][:8]
    assert f"run {short}" in failed("history").out
    assert {each["run"]["run_id"] for each in entries(failed, "--run", short)} == {first["run"]["run_id"]}
    assert {each["run"]["run_id"] for each in entries(failed, "--run", "last")} == {last["run"]["run_id"]}


def test_conditions_are_met_together(failed: Console) -> None:
    """An address as the argument or as an option, a user, and a time."""
    user = entries(failed)[0]["run"]["user"]
    everything = entries(failed, "share/one")
    assert entries(failed, "--address", "share/one", "--user", user.upper(), "--since", "1d") == everything
    assert entries(failed, "share/one", "--since", "2100-01-01") == []
    assert "matches" in failed("history", "--since", "2100-01-01").out


@pytest.mark.parametrize(
    "words",
    [("--user", "nobody-here"), ("--run", "zz"), ("--since", "yesterday"), ("share/one", "--address", "share/one")],
)
def test_what_names_nothing_is_refused_with_a_way_out(failed: Console, words: tuple[str, ...]) -> None:
    """Rather than showing that nothing was done."""
    ended = failed("history", *words)
    assert ended.code in {1, 64}
    assert ended.out == ""
    assert ended.err.count("\n") > 1


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2h", "2026-05-04T10:00:00.000Z"),
        ("7d", "2026-04-27T12:00:00.000Z"),
        ("2026-05-01", "2026-05-01T00:00:00.000Z"),
        ("2026-05-01T08:30", "2026-05-01T08:30:00.000Z"),
        ("2026-05-01T08:30+02:00", "2026-05-01T06:30:00.000Z"),
    ],
)
def test_times_are_ages_or_dates_in_utc(text: str, meant: str) -> None:
    """Written as the history writes them."""
    assert parse_time(text, NOW) == meant


@pytest.mark.parametrize("text", ["", "2", "-1d", "999999999d", "2026-13-01", "now"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """With what one looks like."""
    with pytest.raises(DiagnosticError, match="is not a time"):
        parse_time(text, NOW)
