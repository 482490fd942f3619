"""What always holds of rules, their order, space, filters and the oracle."""

from __future__ import annotations

import dataclasses
import ipaddress
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.emulators.ontap import export_rules
from tests.emulators.ontap.access_records import ExportPolicy
from tests.emulators.ontap.export_rules import Rule
from tests.emulators.ontap.oracle import Oracle
from tests.emulators.ontap.query import filter_test
from tests.emulators.ontap.space import Space
from tests.emulators.ontap.svm_records import Svm
from tests.emulators.ontap.volume_records import Volume
from tests.emulators.ontap.world import World

if TYPE_CHECKING:
    from collections.abc import Mapping

_FEW = settings(max_examples=40)
_CLIENTS = ("10.0.0.1", "10.0.0.2", "10.0.0.0/30", "10.0.0.0/24", "10.1.0.0/16", "fd00::1", "fd00::/64")
_MEANT = st.dictionaries(st.sampled_from(_CLIENTS), st.sampled_from(("ro", "rw")), max_size=5)
_TEXT = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S", "Zs")), max_size=8)
_PLAIN = st.text("abcXYZ019_-", min_size=1, max_size=6)


def _rules(meant: Mapping[str, str]) -> tuple[Rule, ...]:
    """Return rules in the order in which they mean what they say: longer prefixes first."""
    ordered = sorted(meant, key=lambda client: -ipaddress.ip_network(client).prefixlen)
    return tuple(
        Rule(number, (client,), ("sys",), ("sys" if meant[client] == "rw" else "never",))
        for number, client in enumerate(ordered, start=1)
    )


def _world(meant: Mapping[str, str]) -> World:
    world = World()
    world[Svm].put(Svm(uuid="svm", name="vs1", ipspace="Default"))
    readable = Rule(1, ("0.0.0.0/0", "::/0"), ("any",), ("never",))
    world[ExportPolicy].put(ExportPolicy(id=1, name="root", svm="svm", rules=(readable,)))
    world[ExportPolicy].put(ExportPolicy(id=2, name="old", svm="svm", rules=_rules(meant)))
    volume = Volume(
        uuid="r",
        name="r",
        svm="svm",
        aggregates=("a",),
        size=2**30,
        create_time=0,
        msid=1,
        path="/",
        policy=1,
        root=True,
    )
    world[Volume].put(volume)
    world[Volume].put(dataclasses.replace(volume, uuid="v", name="v", path="/v", policy=2, root=False))
    return world


@_FEW
@given(_MEANT, _MEANT)
def test_a_policy_switch_never_has_a_gap_or_a_surplus(before: dict[str, str], after: dict[str, str]) -> None:
    """Whatever the rules were and become."""
    world = _world(before)
    watching = Oracle(world)
    since = watching.now()
    world[ExportPolicy].put(ExportPolicy(id=3, name="new", svm="svm", rules=_rules(after)))
    world[Volume].change("v", policy=3)
    world[ExportPolicy].remove(2)
    assert watching.check_between("v", before, after, since) == []


@_FEW
@given(_MEANT, _MEANT)
def test_replacing_the_rules_has_a_gap_for_whoever_stays(before: dict[str, str], after: dict[str, str]) -> None:
    """The oracle names exactly the clients whom both let in, and nobody else."""
    world = _world(before)
    watching = Oracle(world)
    since = watching.now()
    world[ExportPolicy].change(2, rules=())
    world[ExportPolicy].change(2, rules=_rules(after))
    found = watching.check_between("v", before, after, since)
    stay = {
        each.who
        for each in found
        if all(export_rules.level_of(_rules(meant), ipaddress.ip_address(each.who)).read for meant in (before, after))
    }
    assert {each.who for each in found} == stay
    assert {each.kind for each in found} <= {"gap"}
    assert bool(found) == any(_both_let_in(before, after))


def _both_let_in(before: Mapping[str, str], after: Mapping[str, str]) -> list[bool]:
    ends = [
        address
        for client in (*before, *after)
        for address in (ipaddress.ip_network(client)[0], ipaddress.ip_network(client)[-1])
    ]
    return [all(export_rules.level_of(_rules(meant), end).read for meant in (before, after)) for end in ends]


@_FEW
@given(st.lists(st.integers(1, 6), max_size=7))
def test_rules_keep_their_order_and_their_places(indexes: list[int]) -> None:
    """A rule stands where it asked to; the others stay in the order in which they were, each with an index of its own."""
    rules: tuple[Rule, ...] = ()
    for number, index in enumerate(indexes):
        before = [rule.clients for rule in rules]
        rules = export_rules.placed(rules, Rule(index, (f"10.0.0.{number}",), ("sys",), ("sys",)))
        assert [rule.clients for rule in rules if rule.clients != (f"10.0.0.{number}",)] == before
        assert next(rule.index for rule in rules if rule.clients == (f"10.0.0.{number}",)) == index
        assert len({rule.index for rule in rules}) == len(rules)


@_FEW
@given(st.integers(0, 2**40), st.integers(0, 2**38), st.integers(0, 99))
def test_the_least_size_holds_what_is_there_and_no_less_does(data: int, snapshots: int, reserve: int) -> None:
    """But for the few bytes that come of rounding the reserve."""
    least = Space(2**50, reserve, data, snapshots).least_size
    at_least, below = Space(least, reserve, data, snapshots), Space(least - 200, reserve, data, snapshots)
    assert at_least.used <= at_least.total
    assert least <= 200 or below.used > below.total
    assert at_least.available(None) >= 0


@_FEW
@given(_TEXT, _TEXT)
def test_a_quoted_filter_means_itself_alone(text: str, other: str) -> None:
    """Whatever characters are in it, as long as they are not the quotes."""
    if '"' in text:
        return
    passes = filter_test(f'"{text}"')
    assert passes([text])
    assert passes([other]) == (text == other)


@_FEW
@given(_PLAIN, _PLAIN, _PLAIN)
def test_or_not_and_stars_are_what_they_say(one: str, two: str, value: str) -> None:
    """`a|b` and `a,b` are either, `!a` is the opposite of `a`, `a*` begins with it."""
    assert filter_test(f"{one}|{two}")([value]) == filter_test(f"{one},{two}")([value]) == (value in {one, two})
    assert filter_test(f"!{one}")([value]) != filter_test(one)([value])
    assert filter_test(f"{one}*")([value]) == value.startswith(one)
    assert filter_test(f"*{one}*")([value]) == (one in value)


@_FEW
@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_bounds_are_those_of_numbers(low: int, high: int, value: int) -> None:
    """A range has both ends in it, and an unset field passes no bound."""
    assert filter_test(f"{low}..{high}")([value]) == (low <= value <= high)
    assert filter_test(f">{low}")([value]) == (value > low)
    assert filter_test(f"<={low}")([value]) == (value <= low)
    assert not filter_test(f">={low}")([])
    assert filter_test("null")([]) != filter_test("!null")([])
