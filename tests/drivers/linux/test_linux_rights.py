"""Access rules as rights of one server: what each server can put in force, what it cannot and why, and the way back."""

from __future__ import annotations

import pytest

from sharectl.drivers.linux.agent.contract import Client, Rule, Section
from sharectl.drivers.linux.agent.rights import (
    ACTIVE,
    SmbRights,
    User,
    nfs_clients,
    rules_asked,
    rules_of_clients,
    rules_of_section,
    smb_rights,
)
from sharectl.drivers.linux.agent.smb.people import People
from sharectl.drivers.linux.agent.smb.treatment import PLAIN

KNOWN = {
    "alice": User("alice"),
    "server\\alice": User("alice"),
    "server\\carol": User("carol"),
    "dave": User("dave", "the password of dave cannot be had"),
    "corp\\erin": User("corp\\erin", "the user belongs to a domain"),
}
HOSTILE_TEXTS = (
    '10.0.0.0/8"; } CLIENT { Clients = *',
    "10.0.0.0/8\nhosts allow = ALL",
    "10.0.0.0/8 10.0.0.1",
    "10.0.0.1,10.0.0.2",
    "*",
    "@group",
    "host.example",
    "10.0.0.1/8",
    "10.0.0.0/33",
    "010.0.0.1",
    "fe80::1%eth0",
    "fe80::1%}",
    "2001:DB8::1",
    "2001:db8:0::1",
    "::ffff:10.0.0.300",
    "1\u0660.0.0.1",
    "",
    " 10.0.0.1",
    "%s",
    "0",
    "10",
)


def test_each_address_is_a_client_of_an_export() -> None:
    """And the clients are the rules again."""
    rules = [Rule("ip", "10.0.0.0/8", "ro"), Rule("ip", "10.0.0.7", "rw"), Rule("ip", "::/0", "rw")]
    clients, statuses = nfs_clients(rules)
    assert clients == {Client("10.0.0.0/8", "ro"), Client("10.0.0.7", "rw"), Client("::/0", "rw")}
    assert statuses == dict.fromkeys(rules, ACTIVE)
    assert rules_of_clients(clients) == tuple(sorted(rules))


def test_an_nfs_server_knows_no_users_and_one_level_for_an_address() -> None:
    """What it cannot do is told, and the rest is in force."""
    rules = [Rule("ip", "10.0.0.7", "rw"), Rule("ip", "10.0.0.7", "ro"), Rule("user", "alice", "rw")]
    clients, statuses = nfs_clients(rules)
    assert clients == {Client("10.0.0.7", "ro")}
    assert statuses == {
        rules[0]: ("error", "another rule gives the same address something else"),
        rules[1]: ACTIVE,
        rules[2]: ("error", "an NFS server knows addresses, not users"),
    }


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=repr)
def test_what_is_no_canonical_address_reaches_no_server(text: str) -> None:
    """Neither's grammar."""
    rule = Rule("ip", text, "rw")
    expected = ("error", f"{text!r} is not an address or network in canonical form")
    assert nfs_clients([rule]) == (frozenset(), {rule: expected})
    assert smb_rights([rule], KNOWN) == (SmbRights(frozenset(), frozenset(), frozenset()), {rule: expected})


@pytest.mark.parametrize("level", ["", "root", "RW", "rw\n"])
def test_a_level_is_rw_or_ro(level: str) -> None:
    """On both servers."""
    expected = ("error", f"the levels are rw, ro and none, not {level!r}")
    for rule in (Rule("ip", "10.0.0.7", level), Rule("user", "alice", level)):
        assert smb_rights([rule], KNOWN)[1] == {rule: expected}
    assert nfs_clients([Rule("ip", "10.0.0.7", level)])[1] == {Rule("ip", "10.0.0.7", level): expected}


def test_users_and_addresses_are_both_asked_by_smb() -> None:
    """And the section is the rules again."""
    rules = [Rule("ip", "10.0.0.0/8", "rw"), Rule("user", "SERVER\\Carol", "ro"), Rule("user", "alice", "rw")]
    granted, statuses = smb_rights(rules, KNOWN)
    assert granted == SmbRights(frozenset({"alice"}), frozenset({"SERVER\\Carol"}), frozenset({"10.0.0.0/8"}))
    assert granted.users == {"alice", "SERVER\\Carol"}
    assert statuses == dict.fromkeys(rules, ACTIVE)
    section = granted.section("office", "/srv/office", PLAIN)
    assert rules_of_section(section, granted.users) == tuple(sorted(rules))


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (
            Rule("ip", "10.0.0.7", "ro"),
            "Samba cannot make a share read-only by address; write a user rule with level ro",
        ),
        (Rule("cert", "alice", "rw"), "an SMB server knows addresses, users, groups and guests, not 'cert:alice'"),
        (
            Rule("user", "mallory", "rw"),
            "the backend knows no user 'mallory': add it with its password under smb.users",
        ),
        (Rule("user", "alice\nwrite list = mallory", "rw"), "the backend knows no user"),
        (Rule("user", "Dave", "rw"), "the password of dave cannot be had"),
        (Rule("user", "CORP\\erin", "rw"), "the user belongs to a domain"),
    ],
    ids=["read-only address", "other type", "unknown", "hostile", "no password", "domain"],
)
def test_what_smb_cannot_put_in_force_is_told(rule: Rule, reason: str) -> None:
    """And no part of it is."""
    granted, statuses = smb_rights([rule], KNOWN)
    assert granted == SmbRights(frozenset(), frozenset(), frozenset())
    ((status, said),) = statuses.values()
    assert status == "error"
    assert said.startswith(reason)


@pytest.mark.parametrize("other", ["alice", "SERVER\\alice"])
def test_a_user_is_named_once_whatever_the_notation(other: str) -> None:
    """The first rule holds."""
    rules = [Rule("user", "ALICE", "ro"), Rule("user", other, "rw")]
    granted, statuses = smb_rights(rules, KNOWN)
    assert granted.users == {"ALICE"}
    assert statuses[rules[1]] == ("error", "another rule names the same user; Samba ignores case")


def test_a_user_who_cannot_log_in_has_no_right() -> None:
    """Whatever the section says."""
    section = Section("office", "/srv/office", frozenset({"alice"}), frozenset({"bob"}))
    assert rules_of_section(section, ["bob"]) == (Rule("user", "bob", "ro"),)


@pytest.mark.parametrize(
    "odd",
    [
        Rule("ip", "host.example", "none"),
        Rule("ip", "10.0.0.13", "rw", (("squash", "most"),)),
        Rule("ip", "10.0.0.13", "rw", (("security", "krb5p"),)),
    ],
)
def test_nobody_gets_in_by_a_wider_rule_where_one_that_restricts_is_refused(odd: Rule) -> None:
    """Its client would get what the wider one gives."""
    wide = Rule("ip", "10.0.0.0/8", "rw")
    clients, statuses = nfs_clients([wide, odd])
    assert clients == frozenset()
    assert [status for status, _ in statuses.values()] == ["error", "error"]


def test_options_of_a_client_and_who_is_kept_out_are_clients_of_an_export() -> None:
    """And the rules again."""
    rules = [
        Rule("ip", "10.0.0.0/8", "ro"),
        Rule("ip", "10.0.0.13", "none"),
        Rule(
            "ip",
            "10.0.0.5",
            "rw",
            (("anonymousUid", "7"), ("insecure", "true"), ("security", "sys"), ("squash", "all")),
        ),
    ]
    clients, statuses = nfs_clients(rules)
    assert set(statuses.values()) == {ACTIVE}
    assert rules_of_clients(clients) == tuple(sorted(rules))


PEOPLE = People(
    frozenset({"alice", "bob", "carol", "dave"}),
    {"staff": frozenset({"alice", "bob"}), "interns": frozenset({"bob", "carol"})},
    guests=True,
)
USERS = {name: User(name) for name in PEOPLE.users}


@pytest.mark.parametrize(
    ("texts", "writers", "readers", "others"),
    [
        ("group:staff=rw", "alice bob", "", "none"),
        ("group:Staff=rw user:alice=ro", "bob", "alice", "none"),
        ("group:staff=rw group:interns=ro", "alice", "bob carol", "none"),
        ("group:staff=rw group:interns=none", "alice", "", "none"),
        ("user:*=ro user:alice=rw", "alice", "bob carol dave", "none"),
        ("user:*=rw group:interns=none user:bob=rw", "alice bob dave", "", "none"),
        ("guest:*=ro user:alice=rw", "alice", "", "ro"),
        ("guest:*=rw user:alice=none", "", "", "rw"),
        ("user:alice=none", "", "", "none"),
    ],
)
def test_the_narrowest_rule_decides_for_each_user(texts: str, writers: str, readers: str, others: str) -> None:
    """That for a user, for a group (of several the one that grants least), for all users, for guests."""
    rules = [Rule(*text.replace("=", ":").split(":")) for text in texts.split(" ")]
    granted, statuses = smb_rights(rules, USERS, PEOPLE)
    assert set(statuses.values()) == {ACTIVE}
    assert (granted.writers, granted.readers) == (frozenset(writers.split()), frozenset(readers.split()))
    assert granted.guest == others
    assert set(granted.asked) == set(rules)
    assert granted.shut_out == (frozenset({"alice"}) if texts == "guest:*=rw user:alice=none" else frozenset())


def test_from_where_people_may_come() -> None:
    """From what is left of a network, or from everywhere but what is kept out."""
    alice, wide, hole = Rule("user", "alice", "rw"), Rule("ip", "10.0.0.12/30", "rw"), Rule("ip", "10.0.0.13", "none")
    within, _ = smb_rights([alice, wide, hole], USERS, PEOPLE)
    assert (within.networks, within.denied) == (frozenset({"10.0.0.12", "10.0.0.14/31"}), frozenset())
    without, _ = smb_rights([alice, hole], USERS, PEOPLE)
    assert (without.networks, without.denied) == (frozenset(), frozenset({"10.0.0.13"}))


@pytest.mark.parametrize(
    ("rule", "people", "reason"),
    [
        (Rule("group", "wheel", "rw"), PEOPLE, "the backend knows no group 'wheel'"),
        (Rule("guest", "*", "ro"), PEOPLE._replace(guests=False), "the backend lets no guests in"),
        (Rule("guest", "me", "ro"), PEOPLE, "an SMB server knows addresses, users, groups and guests"),
        (Rule("user", "alice", "ro", (("squash", "all"),)), PEOPLE, "an SMB server knows no options of a client"),
    ],
)
def test_people_whom_the_settings_do_not_know_are_told(rule: Rule, people: People, reason: str) -> None:
    """With the setting that would."""
    granted, statuses = smb_rights([rule], USERS, people)
    assert granted.is_nothing
    assert statuses[rule][1].startswith(reason)


def test_rules_for_several_are_in_force_while_they_mean_the_same_people() -> None:
    """A change of members shows as drift, and so does a member who cannot log in with the password; one without a password is not asked."""
    rules = [Rule("group", "staff", "rw"), Rule("user", "carol", "ro"), Rule("ip", "10.0.0.13", "none")]
    granted, _ = smb_rights(rules, USERS, PEOPLE)
    section, everybody = granted.section("office", "/srv/office", PLAIN), {"alice", "bob", "carol"}
    assert set(rules_asked(section, everybody, everybody, granted)) == set(rules)
    assert set(rules_asked(section, {"alice", "carol"}, everybody, granted)) == set(rules[1:])
    assert set(rules_asked(section, {"alice", "carol"}, {"alice", "carol"}, granted)) == set(rules)
    fewer, _ = smb_rights(rules, USERS, PEOPLE._replace(groups={"staff": frozenset({"alice"})}))
    assert set(rules_asked(section, everybody, everybody, fewer)) == set(rules[1:])


def test_where_all_networks_are_kept_out_nobody_gets_in_over_smb() -> None:
    """No networks would stand for everywhere."""
    halves = [Rule("ip", "10.0.0.0/9", "none"), Rule("ip", "10.128.0.0/9", "none")]
    granting = [Rule("user", "alice", "rw"), Rule("ip", "10.0.0.0/8", "rw")]
    granted, statuses = smb_rights([*granting, *halves], KNOWN)
    assert granted.users == frozenset()
    assert {rule for rule, status in statuses.items() if status != ACTIVE} == set(granting)
