"""The pages for people who come from other tools: whole, and true of the commands and fields that they name."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

import pytest
from jsonschema import validate
from ruamel.yaml import YAML
from typer.core import TyperGroup
from typer.main import get_command

from sharectl.cli.commands import COMMANDS, app_of
from sharectl.manifests.schemas import schema_text
from sharectl.planner.backends.problems import KNOWN_SPECS
from tools.sessions import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES: Final = ("docs/from-manila.md", "docs/from-terraform.md", "docs/from-exports.md")
_OPERATIONS: Final = ROOT / "tests/docs/data/manila-operations.txt"
_CODE: Final = re.compile(r"`([^`\n]+)`")


def text_of(page: str) -> str:
    """Return a page as it stands."""
    return (ROOT / page).read_text(encoding="utf-8")


def typed(page: str) -> Iterator[list[str]]:
    """Yield the words of each command of sharectl that a page names."""
    for code in _CODE.findall(text_of(page)):
        words = code.split()
        if words[0] == "sharectl" and len(words) > 1:
            yield words[1:]


@pytest.mark.parametrize("page", PAGES)
def test_each_command_that_a_page_names_can_be_typed(page: str) -> None:
    """With its options."""
    found = list(typed(page))
    assert len(found) > 4
    for name, *words in found:
        assert name in COMMANDS, f"sharectl {name}"
        command = get_command(app_of(name))
        if isinstance(command, TyperGroup) and words:
            command = command.commands[words.pop(0)]
        command.make_context(name, words)  # raises what a mistake in them is


def test_each_operation_of_manilas_client_stands_once_in_the_tables() -> None:
    """There, partly, or not."""
    wanted = [line for line in _OPERATIONS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    rows = [line.split("|") for line in text_of("docs/from-manila.md").splitlines() if line.startswith("| `share ")]
    told = [operation for _, operations, *_ in rows for operation in _CODE.findall(operations)]
    assert sorted(told) == sorted(wanted)
    assert {verdict.strip() for _, _, verdict, *_ in rows} == {"there", "partly", "not"}


def test_each_extra_spec_that_is_known_here_is_told_of() -> None:
    """But for figures that pools report and no type asks for."""
    figures = {"driver_version", "size_enforced", "ipv4_support", "ipv6_support", "max_over_subscription_ratio"}
    figures |= {"free_capacity_gb", "total_capacity_gb"}
    told = set(_CODE.findall(text_of("docs/from-manila.md")))
    assert set(KNOWN_SPECS) - told == figures


def test_the_share_of_an_exports_line_is_a_manifest() -> None:
    """As its schema says."""
    block = re.search(r"```yaml\n(.*?)```", text_of("docs/from-exports.md"), re.DOTALL)
    assert block is not None
    validate(YAML(typ="safe").load(block[1]), json.loads(schema_text("share")))
