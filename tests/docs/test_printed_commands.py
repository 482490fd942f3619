"""What the pages tell people to type is there: commands and options of sharectl, and packages of Debian."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

import pytest
from typer.main import get_command

from sharectl.cli.commands import COMMANDS, app_of
from tools.sessions import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES: Final = (
    "docs/linux.md",
    "docs/mounting.md",
    "examples/linux-nas/README.md",
    "examples/tenants/README.md",
)
_AGENT: Final = ROOT / "sharectl/drivers/linux/agent"
_FENCED: Final = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INDENTED: Final = re.compile(r"^ {4}(\S[^\n]*)", re.MULTILINE)


def commands_of(text: str) -> Iterator[list[str]]:
    """Yield the words of each command of sharectl in the blocks of a page, without what the shell makes of them."""
    typed = _INDENTED.findall(_FENCED.sub("", text))
    for kind, block in _FENCED.findall(text):
        if kind == "sh":
            typed += block.splitlines()
        if kind == "console":
            typed += [line[2:] for line in block.splitlines() if line.startswith("$ ")]
    for line in typed:
        if re.search(r"\bsharectl ", line) is not None:
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            yield from _invocations(list(lexer))


def _invocations(words: list[str]) -> Iterator[list[str]]:
    for place, word in enumerate(words):
        starts = place == 0 or words[place - 1] in {"|", "&&", ";", "||", "("} or "=" in words[place - 1]
        if word == "sharectl" and starts:
            rest = words[place + 1 :]
            yield rest[: next((n for n, each in enumerate(rest) if set(each) <= set("|&;<>()")), len(rest))]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_is_printed_can_be_typed(page: str) -> None:
    """Each is a command with these options and arguments."""
    found = list(commands_of((ROOT / page).read_text(encoding="utf-8")))
    assert found
    for name, *words in found:
        assert name in COMMANDS, f"sharectl {name}"
        get_command(app_of(name)).make_context(name, list(words))  # raises what a mistake in them is


def test_the_guide_names_every_package_that_the_agent_may_ask_for() -> None:
    """Who has installed what it lists is not told of another one half way; each of its line is explained in its table."""
    guide = (ROOT / "docs/linux.md").read_text(encoding="utf-8")
    asked = set()
    for path in _AGENT.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        asked |= set(re.findall(r"install (?:the package )?([a-z0-9]+(?:-[a-z0-9]+)+|iproute2)\b", source))
        for table in re.findall(
            r"^_PACKAGES?: Final(?:\[.*?\])? = (\{.*?^\}|\".*?\")", source, re.MULTILINE | re.DOTALL
        ):
            asked |= set(re.findall(r'(?:: |^)"([a-z0-9-]+)"', table, re.MULTILINE))
    installed = re.search(r"^apt-get install --no-install-recommends (.+)$", guide, re.MULTILINE)
    assert installed is not None
    packages = set(installed[1].split())
    explained = set(re.findall(r"`([a-z0-9-]+)`", guide))
    assert len(asked) > 8
    assert asked <= packages | explained
    assert packages <= explained
