"""Export policies: their rules, the order of these, and what is refused."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

import pytest

from tests.emulators.ontap import client_matches, export_rules
from tests.emulators.ontap.access_records import ExportPolicy
from tests.emulators.ontap.errors import Refused
from tests.emulators.ontap.export_rules import Level, Rule
from tests.emulators.ontap.storage_calls import rule

if TYPE_CHECKING:
    from tests.emulators.ontap.storage_calls import Storage

PATH = "/protocols/nfs/export-policies"


def test_rules_come_with_the_policy(storage: Storage) -> None:
    """All rules of the body of a POST stand in the policy, in their order."""
    policy = storage.policy("p", rule("10.0.0.5"), rule("10.0.0.0/24", level="ro"))
    assert [(each["index"], each["clients"], each["rw_rule"]) for each in storage.rules(policy)] == [
        (1, [{"match": "10.0.0.5"}], ["sys"]),
        (2, [{"match": "10.0.0.0/24"}], ["never"]),
    ]


def test_a_rename_shows_in_volumes_at_once(storage: Storage) -> None:
    """Volumes know their policy by its id."""
    policy = storage.policy("p")
    volume = storage.volume("v", **{"nas.export_policy.name": "p"})
    storage.client.patch(f"{PATH}/{policy}", {"name": "q"})
    assert storage.show(volume, "nas.export_policy")["nas"]["export_policy"] == {"id": policy, "name": "q"}


def test_a_used_policy_is_not_deleted(storage: Storage) -> None:
    """Nor the policy called default, whether or not it is used."""
    policy = storage.policy("p")
    volume = storage.volume("v", **{"nas.export_policy.name": "p"})
    default = storage.client.get(f"{PATH}?name=default").records[0]["id"]
    assert storage.client.delete(f"{PATH}/{policy}").code == 1703945
    assert storage.client.delete(f"{PATH}/{default}").code == 1703947
    storage.delete(volume)
    assert storage.client.delete(f"{PATH}/{policy}").status == 200


def test_a_policy_may_still_be_in_use_after_a_switch(storage: Storage) -> None:
    """By a setting, for some seconds."""
    storage.client.emulator.world.settings.policy_in_use_seconds = 10
    policy = storage.policy("p")
    storage.policy("q")
    volume = storage.volume("v", **{"nas.export_policy.name": "p"})
    storage.change(volume, nas__export_policy__name="q")
    assert storage.client.delete(f"{PATH}/{policy}").code == 1703945
    storage.client.emulator.world.pass_time(10)
    assert storage.client.delete(f"{PATH}/{policy}").status == 200


_POLICY_REFUSALS: dict[str, tuple[dict[str, Any], int]] = {
    "a name with a space": ({"name": "a b"}, 1703952),
    "a name of 257 characters": ({"name": "p" * 257}, 1704047),
    "a taken name": ({"name": "default"}, 1),
    "a rule without clients": ({"rules": [{"ro_rule": ["sys"], "rw_rule": ["sys"]}]}, 262212),
    "host bits": ({"rules": [rule("10.0.0.1/24")]}, 1704040),
    "one client twice in a rule": ({"rules": [rule("10.0.0.1", "10.0.0.1/32")]}, 1704050),
    "a rule twice": ({"rules": [rule("10.0.0.1"), rule("10.0.0.1")]}, 1704070),
    "index 0": ({"rules": [rule("10.0.0.1", index=0)]}, 3277162),
    "a flavour that there is not": ({"rules": [rule("10.0.0.1", ro_rule=["root"])]}, 262197),
    "a user out of range": ({"rules": [rule("10.0.0.1", anonymous_user="4294967296")]}, 3277083),
    "no user": ({"rules": [rule("10.0.0.1", anonymous_user="")]}, 3277149),
    "no such SVM": ({"svm.name": "vs9"}, 2621462),
}


@pytest.mark.parametrize(("fields", "code"), _POLICY_REFUSALS.values(), ids=_POLICY_REFUSALS)
def test_a_wrong_policy_is_refused(storage: Storage, fields: dict[str, Any], code: int) -> None:
    """Each mistake has the array's own code, and no policy is left of it."""
    got = storage.client.post(PATH, {"svm.name": "vs1", "name": "p", **fields})
    assert (got.code, [each["name"] for each in storage.client.get(PATH).records]) == (code, ["default"])


def test_equal_rules_were_allowed_once(storage: Storage) -> None:
    """Releases before 9.15 take two rules with the same values."""
    storage.client.emulator.world.version = (9, 14, 1)
    assert len(storage.rules(storage.policy("p", rule("10.0.0.1"), rule("10.0.0.1")))) == 2
    storage.client.emulator.world.version = (9, 16, 1)


def test_a_rule_takes_the_place_that_it_asks_for(storage: Storage) -> None:
    """The rule that stands there and those after it move up to the next hole; without an index it comes last."""
    policy = storage.policy("p", rule("10.0.0.1"), rule("10.0.0.2"), rule("10.0.0.3"))
    rules = f"{PATH}/{policy}/rules"
    storage.client.delete(f"{rules}/3")
    storage.client.post(rules, rule("10.0.0.9", index=5))
    got = storage.client.post(rules, rule("10.0.0.8", index=1))
    last = storage.client.post(rules, rule("10.0.0.7"))
    assert [got.headers["location"].rpartition("/")[2], last.headers["location"].rpartition("/")[2]] == ["1", "6"]
    assert [(each["index"], each["clients"][0]["match"][-1]) for each in storage.rules(policy)] == [
        (1, "8"),
        (2, "1"),
        (3, "2"),
        (5, "9"),
        (6, "7"),
    ]


def test_one_rule_changes_in_one_step(storage: Storage) -> None:
    """Its level, its list of clients, or its place."""
    policy = storage.policy("p", rule("10.0.0.1"), rule("10.0.0.0/24"))
    rules = f"{PATH}/{policy}/rules"
    storage.client.patch(f"{rules}/1", {"rw_rule": ["never"], "clients": [{"match": "10.0.0.1"}, {"match": "fd00::1"}]})
    storage.client.patch(f"{rules}/1?new_index=2", {})
    changed = storage.client.get(f"{rules}/2").body
    assert (changed["rw_rule"], [each["match"] for each in changed["clients"]]) == (["never"], ["10.0.0.1", "fd00::1"])
    assert [each["index"] for each in storage.rules(policy)] == [2, 3]
    assert storage.client.patch(f"{rules}/1", {"rw_rule": ["sys"]}).code == 4


def test_one_client_is_added_and_taken_out(storage: Storage) -> None:
    """Of the list of a rule, with a slash in the address of the call."""
    policy = storage.policy("p", rule("10.0.0.1"))
    clients = f"{PATH}/{policy}/rules/1/clients"
    assert storage.client.post(clients, {"match": "10.1.0.0/16"}).status == 201
    assert storage.client.post(clients, {"match": "10.1.0.0/16"}).code == 1704050
    assert storage.client.delete(f"{clients}/10.1.0.0%2F16").status == 200
    assert [each["match"] for each in storage.client.get(clients).records] == ["10.0.0.1"]


def test_rules_that_are_replaced_are_away_for_a_moment(storage: Storage) -> None:
    """PATCH of a policy's rules takes all of them away, then adds the new ones."""
    policy = storage.policy("p", rule("10.0.0.1"))
    world = storage.client.emulator.world
    before = len(world.events)
    storage.client.patch(f"{PATH}/{policy}", {"rules": [rule("10.0.0.1"), rule("10.0.0.2")]})
    seen = [len(each.record.rules) for each in world.events[before:] if each.kind is ExportPolicy]
    assert seen == [0, 2]


def test_a_listing_cuts_a_policy_of_more_than_500_rules(storage: Storage) -> None:
    """From 9.18.1 on, and says so; its own rules are all there."""
    world = storage.client.emulator.world
    policy = storage.policy("p", *(rule(f"10.0.{number // 256}.{number % 256}") for number in range(501)))
    world.version = (9, 18, 1)
    cut = storage.client.get(f"{PATH}/{policy}").body
    whole = storage.client.get(f"{PATH}/{policy}/rules").records
    world.version = (9, 16, 1)
    assert (cut["are_rules_truncated"], len(cut["rules"]), len(whole)) == (True, 500, 501)
    assert len(storage.rules(policy)) == 501


def test_all_rules_of_all_policies_are_one_listing(storage: Storage) -> None:
    """With the rules in it, whether they are asked for by name or with `*`."""
    storage.policy("p", rule("10.0.0.1"))
    for fields in ("id,name,rules", "*"):
        listed = storage.client.get(f"{PATH}?svm.name=vs1&fields={fields}").records
        assert {each["name"]: len(each["rules"]) for each in listed} == {"default": 1, "p": 1}


_MATCHES = {
    "": 1704039,
    "10.0.0.256": 1704039,
    "10.0.0.1/24": 1704040,
    "0.0.0.5/24": 1704041,
    "10.0.0.0/33": 1704042,
    "10.0.0.0/255.0.255.0": 1704043,
    "10.0.0.0/0.0.0.255": 1704043,
    "/24": 1704037,
    "@": 1704038,
    "@a b": 1704054,
    ".": 1704036,
    ".exa mple": 1704045,
    "." + "a" * 256: 1704065,
    "ho!st": 1704044,
    "a" * 256: 1704064,
    "fd00::/129": 1704042,
    "fd00::1/64": 1704040,
}


@pytest.mark.parametrize(("match", "code"), _MATCHES.items(), ids=range(len(_MATCHES)))
def test_a_wrong_client_match_is_refused(match: str, code: int) -> None:
    """Each mistake in an address, network, name or netgroup has a code."""
    with pytest.raises(Refused) as refused:
        client_matches.refuse_wrong([match])
    assert refused.value.code == code


@pytest.mark.parametrize(
    "match", ["10.0.0.1", "10.0.0.0/24", "10.0.0.0/255.255.255.0", "0.0.0.0/0", "::/0", "fd00::1", "host", ".a.b", "@g"]
)
def test_a_right_client_match_is_taken(match: str) -> None:
    """Addresses, networks by length and by mask, names, domains, netgroups."""
    client_matches.refuse_wrong([match])


def test_the_first_rule_that_matches_decides_alone() -> None:
    """A host that may only read stays so in a network that may write."""
    rules = (
        Rule(1, ("10.0.0.5",), ("sys",), ("never",), superuser=("none",)),
        Rule(2, ("10.0.0.0/24",), ("sys",), ("sys",), superuser=("sys",)),
    )
    levels = [export_rules.level_of(rules, ipaddress.ip_address(text)) for text in ("10.0.0.5", "10.0.0.6", "10.1.0.1")]
    assert levels == [Level(read=True), Level(read=True, write=True, root=True), Level()]
