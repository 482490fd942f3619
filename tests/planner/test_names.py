"""A plan tells of rules whose names lead a reviewer astray."""

from __future__ import annotations

import pytest

from tests.planner.model import settle
from tests.planner.world import World

CYRILLIC_A, GREEK_O = "\u0430", "\u03bf"


def _told(world: World) -> list[str]:
    return [found.summary for found in world.plan().diagnostics if found.code == "access.look-alike"]


def test_a_name_with_letters_of_two_scripts_is_told_once_for_all_its_shares() -> None:
    """With the letter that is out of place; nothing stops."""
    rules = [f"user:{CYRILLIC_A}lice=rw"]
    world = World().wants("a", protocol="CIFS", access=rules).wants("b", protocol="CIFS", access=rules)
    told = f"the rule user:{CYRILLIC_A}lice of share/a and 1 more mixes scripts in one word: {CYRILLIC_A} (U+0430, Cyrillic)"
    assert _told(world) == [told]
    assert not world.plan().held


@pytest.mark.parametrize(
    "name", ["user:CORP\\Иван", "group:Отдел IT-support", "user:Jürgen", "group:研究 team", "user:alice"]
)
def test_a_name_of_one_script_in_each_word_is_as_any_other(name: str) -> None:
    """A domain and a name, and two words of a name, may be of two scripts."""
    assert _told(World().wants("a", protocol="CIFS", access=[f"{name}=rw"])) == []


def test_a_rule_that_is_known_already_is_not_told_again() -> None:
    """It is of new and changed rules that a reviewer has to judge."""
    world = World().wants("a", protocol="CIFS", access=[f"group:c{GREEK_O}rp=ro"])
    assert len(_told(world)) == 1
    settle(world)
    assert _told(world) == []
