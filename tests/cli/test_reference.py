"""The page about the command line is made from the commands, and current."""

from __future__ import annotations

from sharectl.cli.codes import ExitCode
from sharectl.cli.commands import COMMANDS, app_of
from tools.cli_reference import REFERENCE, current_page


def test_the_page_is_current() -> None:
    """After a change of a command or an option: `python -m tools.cli_reference`."""
    assert REFERENCE.read_text(encoding="utf-8") == current_page()


def test_an_option_without_a_default_is_required() -> None:
    """And shows nothing of Python."""
    page = current_page()
    assert "The role in the database. Required. |" in page
    assert "inspect" not in page


def test_every_exit_code_is_documented() -> None:
    """They are part of the contract."""
    text = REFERENCE.read_text(encoding="utf-8")
    for code in ExitCode:
        assert f"| {code.value} |" in text


def test_the_help_lists_commands_that_exist() -> None:
    """What the help says of commands stands apart from their modules, so that it needs none of them."""
    for name in COMMANDS:
        assert app_of(name).registered_commands, name
