"""Each document that commands write is as its published schema says; whatever else tests run is held against them too (`tests.outputs`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.render.outputs import output_names
from tests.outputs import documents_in

if TYPE_CHECKING:
    from tests.cli.console import Console

COMMANDS = {
    "sharectl-plan": "plan --target share/three",
    "sharectl-drift": "refresh",
    "sharectl-validation": "validate",
    "sharectl-resource": "show share/two",
    "sharectl-pools": "pools --after-plan",
    "sharectl-explanation": "explain share/three",
    "sharectl-trash": "trash list",
    "sharectl-state": "state list --rules",
    "sharectl-record": "state show share/two",
    "sharectl-history": "history",
    "sharectl-copies": "state restore",
    "sharectl-operations": "state operations",
    "sharectl-lock": "lock status",
    "sharectl-list": "list",
    "sharectl-who": "who 10.0.0.1",
    "sharectl-error": "show share/nowhere",
}
"""A command for each format, of a repository with a share that is not made yet. What they write is checked as they end."""

ELSEWHERE = {
    "sharectl-events": "test_a_run_is_events_and_a_result",
    "sharectl-result": "test_a_run_is_events_and_a_result",
    "sharectl-diff": "test_what_a_run_did_and_its_reverse",
    "sharectl-undo": "test_what_a_run_did_and_its_reverse",
    "sharectl-takeover": "tests/cli/test_takeover.py",
    "sharectl-share-server": "tests/cli/test_share_servers.py",
    "sharectl-share-network": "tests/cli/test_share_servers.py",
    "sharectl-workers": "tests/cli/test_workers.py",
}
"""Formats whose commands need more than that, and where they are run."""


@pytest.fixture
def asked(applied: Console) -> Console:
    """Return an applied repository whose manifests want one share more."""
    applied.write(
        "three.yaml",
        "apiVersion: sharectl/v1\nkind: Share\nmetadata: {name: three}\n"
        "spec: {size: 1GiB, protocol: NFS, access: [{type: ip, to: 10.0.0.0/8, level: rw}]}\n",
    )
    return applied


def test_every_format_is_written_by_some_command_here() -> None:
    """Or in the tests that are named."""
    assert {*COMMANDS, *ELSEWHERE} == {*output_names()}


def test_what_looks_writes_documents_of_their_formats(asked: Console) -> None:
    """All on one repository."""
    for name, command in COMMANDS.items():
        ended = asked(*command.split(), "--output", "json")
        assert [found["format"] for found in documents_in(ended.out)] == [name], (command, ended)


def test_a_run_is_events_and_a_result(asked: Console) -> None:
    """One object on each line."""
    found = documents_in(asked("apply", "--yes", "--output", "json").out)
    assert {each["format"] for each in found[:-1]} == {"sharectl-events"}
    assert found[-1]["format"] == "sharectl-result"


def test_what_a_run_did_and_its_reverse(asked: Console) -> None:
    """Of the run that made all there is."""
    run = orjson.loads(asked("history", "--output", "json").out)["entries"][0]["run"]["run_id"]
    for command in ("diff", "undo"):
        ended = asked(command, run, "--output", "json")
        assert [found["format"] for found in documents_in(ended.out)] == [f"sharectl-{command}"], ended


def test_the_schema_of_an_output_can_be_printed(asked: Console) -> None:
    """By the name of its format."""
    ended = asked("schema", "sharectl-plan")
    assert orjson.loads(ended.out)["title"] == "sharectl-plan"
