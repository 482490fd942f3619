"""Snapshot policies in manifests: what is wrong with one is named at its line, and a backend that cannot follow one is no candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from tests.cli.test_checks import DIRECTORY, LINUX, PROJECT, backend, share, share_type

if TYPE_CHECKING:
    from tests.cli.console import Console

POLICY = "{hourly: {keep: 24}}"
SIMULATED = backend("sim", "simulated", "stateFile: a.db")


@pytest.fixture
def repository(console: Console) -> Console:
    """Give an empty repository."""
    console.write("sharectl.yaml", PROJECT)
    return console


@pytest.mark.parametrize("driver", [DIRECTORY, SIMULATED], ids=["directory", "simulated"])
@pytest.mark.parametrize("of_type", [False, True], ids=["of the share", "of its type"])
def test_a_driver_that_takes_no_snapshots_by_itself_refuses_a_policy(
    repository: Console, driver: str, *, of_type: bool
) -> None:
    """At the field, before anything is asked; with another backend that can, the share goes there."""
    gold = (
        f"---\napiVersion: sharectl/v1\nkind: ShareType\nmetadata: {{name: gold}}\nspec: {{snapshotPolicy: {POLICY}}}\n"
    )
    documents = (gold, share("s", type="gold")) if of_type else (share("s", snapshotPolicy=POLICY),)
    repository.write("all.yaml", "".join((driver, *documents)))
    for command in ("validate", "plan"):
        ended = repository(command)
        assert ended.code == 1
        assert "takes no snapshots by itself" in ended.err
        assert "all.yaml:" in ended.err
    repository.write("all.yaml", "".join((driver, backend("lnas", "linux", LINUX), *documents)))
    assert repository("validate").code == 0


def test_a_share_that_is_there_cannot_get_a_policy_that_its_driver_cannot_follow(repository: Console) -> None:
    """Of its type either; `snapshotPolicy: {}` in the share is the way out."""
    repository.write(
        "all.yaml", SIMULATED + share_type("gold", "    snapshot_support: true\n") + share("s", type="gold")
    )
    assert repository("apply", "--yes").code == 0
    gold = (
        f"---\napiVersion: sharectl/v1\nkind: ShareType\nmetadata: {{name: gold}}\nspec: {{snapshotPolicy: {POLICY}}}\n"
    )
    repository.write("all.yaml", SIMULATED + gold + share("s", type="gold"))
    for command in ("validate", "plan"):
        ended = repository(command)
        assert ended.code == 1
        assert "takes no snapshots by itself" in ended.err
    repository.write("all.yaml", SIMULATED + gold + share("s", type="gold", snapshotPolicy="{}"))
    assert repository("validate").code == 0
    assert repository("apply", "--yes").code == 0
    assert orjson.loads(repository("plan", "-o", "json").out)["steps"] == []


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("{hourly: {keep: 24}, timeZone: Europe/Berlim}", 'did you mean "Europe/Berlin"'),
        ("{hourly: {keep: 24}, timeZone: Mars/Olympus}", "there is no time zone 'Mars/Olympus'"),
        ("{hourly: {keep: 24}, timeZone: '../../etc/passwd'}", "name a time zone of IANA's database"),
        ("{hourly: {keep: 24}, timeZone: '+02:00'}", "name a time zone of IANA's database"),
        ("{hourly: {}}", "`keep` is missing"),
        ("{hourly: {keep: -1}}", "keep"),
        ("{hourly: {keep: 1001}}", "keep"),
        ("{hourly: {keep: 1, minute: 60}}", "minute"),
        ("{hourly: {keep: 1, hour: 1}}", "hour"),
        ("{daily: {keep: 1, hour: 24}}", "hour"),
        ("{weekly: {keep: 1, weekday: sun}}", "weekday"),
        ("{monthly: {keep: 1, day: 0}}", "day"),
        ("{yearly: {keep: 1}}", "yearly"),
    ],
)
def test_what_is_wrong_with_a_policy_is_named_at_its_line(repository: Console, policy: str, said: str) -> None:
    """With what to write instead where that can be told."""
    repository.write("all.yaml", backend("lnas", "linux", LINUX) + share("s", snapshotPolicy=policy))
    ended = repository("validate")
    assert ended.code == 1
    assert said in ended.err
    assert "all.yaml:" in ended.err
