"""Export rules as the array has them: it takes the first that matches, sharectl the narrowest."""

from __future__ import annotations

import ipaddress
import itertools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharectl.drivers.ontap.access import as_asked, asked_in
from sharectl.drivers.ontap.exports import Treatment, owner_of_policy, policy_name, read, render, same_rules
from sharectl.model.access import AccessRule
from sharectl.model.precedence import deciding, network_of

if TYPE_CHECKING:
    from collections.abc import Sequence

USUAL = Treatment()
NETWORKS = (
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.3",
    "10.1.2.4",
    "10.2.0.0/16",
    "10.2.3.4",
    "0.0.0.0/0",
    "::/0",
    "2001:db8::/32",
    "2001:db8::1",
)
PROBES = (
    "10.1.2.3",
    "10.1.2.4",
    "10.1.2.9",
    "10.1.9.9",
    "10.2.3.4",
    "10.9.9.9",
    "192.0.2.1",
    "2001:db8::1",
    "2001:db8::2",
    "2001:dead::1",
)
OPTIONS = st.sampled_from(
    [
        (),
        (("squash", "none"),),
        (("squash", "all"),),
        (("anonymousUid", "7"),),
        (("security", "krb5,krb5i"),),
        (("squash", "root"),),
    ]
)
GRANTS = st.tuples(st.sampled_from(["rw", "ro", "none"]), OPTIONS)


def rule(access_to: str, level: str = "rw", **options: str) -> AccessRule:
    """Return a rule for an address."""
    return AccessRule("ip", access_to, level, tuple(sorted(options.items())))


@st.composite
def rule_sets(draw: st.DrawFn) -> list[AccessRule]:
    """Draw rules, each for another network."""
    networks = draw(st.lists(st.sampled_from(NETWORKS), unique=True, max_size=8))
    found = []
    for network in networks:
        level, options = draw(GRANTS)
        found.append(AccessRule("ip", network, level, () if level == "none" else options))
    return found


def first_match(rules: Sequence[dict[str, Any]], address: str) -> dict[str, Any] | None:
    """Return the rule that an array takes for a client."""
    for each in rules:
        for client in each["clients"]:
            network = ipaddress.ip_network(client["match"])
            if ipaddress.ip_address(address) in network:
                return each
    return None


@given(rule_sets())
def test_the_first_that_matches_is_the_narrowest(rules: list[AccessRule]) -> None:
    """For every client, whatever networks lie in each other."""
    rendered = render(rules, USUAL).rules
    granted = {network_of(each.access_to): each for each in rules}
    for address in PROBES:
        network = network_of(address)
        assert network is not None
        wanted = deciding(network, granted)  # type: ignore[arg-type]  # all are networks
        found = first_match(rendered, address)
        if wanted is None:
            assert found is None
        else:
            assert found is not None
            (alone,) = render([wanted], USUAL).rules
            assert {**found, "clients": alone["clients"]} == alone


@given(rule_sets())
def test_rules_are_read_as_they_were_given(rules: list[AccessRule]) -> None:
    """With the options that were asked for, those that change nothing among them."""
    rendered = render(rules, USUAL)
    asked = asked_in(rules, rendered.rules, USUAL)
    assert set(as_asked(read(rendered.rules, USUAL), asked, USUAL)) == set(rules)


@given(rule_sets())
def test_no_two_rules_of_a_policy_are_alike_beside_each_other(rules: list[AccessRule]) -> None:
    """An array of 9.15 refuses the second: clients of one grant share a rule wherever no network inside them has another."""
    rendered = render(rules, USUAL).rules
    bodies = [{key: value for key, value in each.items() if key != "clients"} for each in rendered]
    assert all(one != other for one, other in itertools.pairwise(bodies))


def test_two_clients_with_one_grant_are_one_rule() -> None:
    """And each value is said, whatever the array would take without it."""
    (only,) = render([rule("10.0.0.9"), rule("2001:db8::1"), rule("10.0.0.0/24")], USUAL).rules
    assert [client["match"] for client in only["clients"]] == ["10.0.0.0/24", "10.0.0.9", "2001:db8::1"]
    assert only == {
        "clients": only["clients"],
        "ro_rule": ["sys"],
        "rw_rule": ["sys"],
        "superuser": ["none"],
        "anonymous_user": "65534",
        "protocols": ["nfs"],
    }


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (rule("10.0.0.1", "ro"), (["sys"], ["never"], ["none"], "65534")),
        (rule("10.0.0.1", "none"), (["never"], ["never"], ["none"], "65534")),
        (rule("10.0.0.1", squash="none"), (["sys"], ["sys"], ["sys"], "65534")),
        (rule("10.0.0.1", squash="all", anonymousUid="9"), (["none"], ["none"], ["none"], "9")),
        (rule("10.0.0.1", security="sys,krb5p"), (["sys", "krb5p"], ["sys", "krb5p"], ["none"], "65534")),
    ],
)
def test_a_grant_is_said_in_the_words_of_the_array(given: AccessRule, wanted: tuple[object, ...]) -> None:
    """Level, squash, user and flavours."""
    (only,) = render([given], USUAL).rules
    assert (only["ro_rule"], only["rw_rule"], only["superuser"], only["anonymous_user"]) == wanted


@pytest.mark.parametrize(
    "wrong",
    [
        rule("10.0.0.1/24"),
        rule("host.example.org"),
        rule("0.0.0.0"),  # noqa: S104 - nothing is bound to it
        rule("10.0.0.1", "owner"),
        rule("10.0.0.1", insecure="true"),
        rule("10.0.0.1", anonymousGid="7"),
        rule("10.0.0.1", anonymousUid="-1"),
        rule("10.0.0.1", squash="most"),
        rule("10.0.0.1", security="krb6"),
        rule("10.0.0.1", squash="all", security="krb5"),
        AccessRule("user", "alice", "rw"),
    ],
    ids=lambda each: f"{each.key} {each.grant}",
)
def test_a_rule_that_the_array_cannot_say_is_refused(wrong: AccessRule) -> None:
    """Before anything is called; the others are given, unless it keeps somebody out."""
    rendered = render([wrong, rule("192.0.2.1")], USUAL)
    status = rendered.statuses[wrong]
    assert status.status == "error"
    assert status.reason
    given = [client["match"] for each in rendered.rules for client in each["clients"]]
    assert given == ([] if wrong.options else ["192.0.2.1"])


def test_what_no_access_rule_says_comes_back_as_a_remark() -> None:
    """Host names, netgroups, a flavour of its own for root, rules for one version alone, set-uid programs that are kept off."""
    usual = {
        "ro_rule": ["sys"],
        "rw_rule": ["sys"],
        "superuser": ["sys"],
        "anonymous_user": "65534",
        "protocols": ["nfs"],
    }
    odd: list[dict[str, Any]] = [
        {"clients": [{"match": match}], **usual} for match in ("host", ".example.org", "@staff", "\n", "10.0.0.1/24")
    ]
    odd += [
        {**usual, "clients": [{"match": f"10.0.0.{number}"}], **changed}
        for number, changed in enumerate(
            (
                {"superuser": ["krb5"]},
                {"protocols": ["nfs3"]},
                {"allow_suid": False},
                {"rw_rule": ["krb5"]},
                {"anonymous_user": "nobody"},
                {"ro_rule": ["never"]},
            ),
            1,
        )
    ]
    found = read(odd, USUAL)
    assert len(found) == len(odd)
    assert all(
        each.is_remark and each.access_to.startswith("unreadable:") and each.access_to.isprintable() for each in found
    )


def test_a_network_that_an_earlier_rule_covers_counts_for_nothing() -> None:
    """The array never looks at it."""
    body = {"superuser": ["any"], "anonymous_user": "65534", "protocols": ["any"]}
    found = read(
        [
            {"clients": [{"match": "10.0.0.0/8"}], "ro_rule": ["any"], "rw_rule": ["any"], **body},
            {"clients": [{"match": "10.0.0.1"}], "ro_rule": ["never"], "rw_rule": ["never"], **body},
            {"clients": [{"match": "192.0.2.0/255.255.255.0"}], "ro_rule": ["sys"], "rw_rule": ["never"], **body},
        ],
        USUAL,
    )
    assert found == (
        rule("10.0.0.0/8", squash="none", security="sys,krb5,krb5i,krb5p"),
        rule("192.0.2.0/24", "ro", squash="none"),
    )


def test_a_policy_is_named_for_its_share_and_its_rules() -> None:
    """So that one that is made again is the same, and one that is left over is known."""
    first = render([rule("10.0.0.1"), rule("10.0.0.2", "ro")], USUAL).rules
    again = render([rule("10.0.0.2", "ro"), rule("10.0.0.1")], USUAL).rules
    name = policy_name("share-1", first)
    assert name == policy_name("share-1", again) != policy_name("share-1", first[:1])
    assert policy_name("share-1", first, 1) != name
    assert owner_of_policy(name) == "share-1"
    assert [owner_of_policy(each) for each in ("default", "sharectl_none", "sharectl_root", "other_a_b")] == [None] * 4


def test_an_array_may_say_more_of_a_rule_than_was_asked() -> None:
    """What it adds by itself is as usual; what somebody changed is not."""
    (asked,) = render([rule("10.0.0.1")], USUAL).rules
    told = {**asked, "index": 1, "allow_suid": True, "chown_mode": "restricted"}
    assert same_rules([told], [asked])
    for changed in ({"rw_rule": ["any"]}, {"allow_suid": False}, {"clients": [{"match": "10.0.0.2"}]}):
        assert not same_rules([{**told, **changed}], [asked])
