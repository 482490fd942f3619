"""Rules for sections of smb.conf: what is said, what is left out, and that nobody gets more than before."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharectl.legacy.findings import Outcome
from sharectl.legacy.smb_conf import read_smb_conf
from sharectl.legacy.smb_parameters import RULES
from sharectl.legacy.smb_sections import findings_of_globals, rules_of_section, why_no_share

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sharectl.legacy.nfs_clients import RuleCheck, Said
    from sharectl.model.access import AccessRule

SIGNED: Final = (("encryption", "optional"), ("signing", "required"))


def refusing(test: Callable[[AccessRule], bool]) -> RuleCheck:
    """Return the check of a driver that refuses some rules."""
    return lambda rules: {rule: "not here" for rule in rules if test(rule)}


CHECKS: Final[Mapping[str, RuleCheck]] = {
    "all": refusing(lambda _rule: False),
    "no none": refusing(lambda rule: rule.access_level == "none"),
    "no groups": refusing(lambda rule: rule.access_type == "group"),
    "no all users": refusing(lambda rule: rule.access_to == "*"),
    "no u1": refusing(lambda rule: rule.access_to == "u1"),
    "users alone": refusing(
        lambda rule: rule.access_type not in {"user", "ip"} or rule.access_level == "none" or rule.access_to == "*"
    ),
}


def _said(lines: str, before: str = "", check: str = "all") -> Said:
    text = f"[global]\n{before}\n[data]\npath = /a\n{lines}\n"
    conf = read_smb_conf(text, "smb.conf", lambda _name: None)
    return rules_of_section(conf, conf.sections[0], SIGNED, CHECKS[check])


def _rules(said: Said) -> list[str]:
    return [f"{rule.key} {rule.access_level}" for rule, _ in said.rules]


@pytest.mark.parametrize(
    ("lines", "rules"),
    [
        ("", ["user:* ro"]),
        ("writeable = yes", ["user:* rw"]),
        ("Write OK = Yes\nvalid users = alice, @staff", ["user:alice rw", "group:staff rw"]),
        ("read only = no\nvalid users = alice bob\nread list = bob", ["user:alice rw", "user:bob ro"]),
        ("valid users = alice bob\nwrite list = bob", ["user:alice ro", "user:bob rw"]),
        ("write list = +staff", ["user:* ro", "group:staff rw"]),
        ("read only = no\nread list = @pupils", ["user:* rw", "group:pupils ro"]),
        ('valid users = @"CORP\\Domain Users" CORP\\bob', [r"group:CORP\Domain Users ro", r"user:CORP\bob ro"]),
        ("invalid users = bob", ["user:* ro", "user:bob none"]),
        ("public = yes\nread only = no", ["user:* rw", "guest:* rw"]),
        ("guest ok = yes\nguest only = yes", ["user:* ro", "guest:* ro"]),
        (
            "hosts allow = 192.168.1. 10.0.0.0/255.0.0.0 ::1",
            ["user:* ro", "ip:192.168.1.0/24 rw", "ip:10.0.0.0/8 rw", "ip:::1 rw"],
        ),
        (
            "hosts allow = 192.168.1. EXCEPT 192.168.1.5\nhosts deny = ALL",
            ["user:* ro", "ip:192.168.1.0/24 rw", "ip:192.168.1.5 none"],
        ),
        ("hosts deny = 10.0.0.7", ["user:* ro", "ip:10.0.0.7 none"]),
        ("hosts deny = ALL EXCEPT 10.", ["user:* ro", "ip:10.0.0.0/8 rw"]),
        ("hosts allow = ALL", ["user:* ro"]),
    ],
)
def test_what_a_manifest_can_say(lines: str, rules: list[str]) -> None:
    """Is said, and nothing of it is left out."""
    said = _said(lines)
    assert _rules(said) == rules
    assert {found.outcome for found in said.findings} <= {Outcome.AS_SERVED}


@pytest.mark.parametrize(
    ("lines", "rules", "words"),
    [
        ("valid users = %S alice", ["user:alice ro"], "does not say who is meant"),
        ("invalid users = %U", [], "is to be kept out, and no rule can name it"),
        ("valid users = alice\ninvalid users = @out", [], "may be in @out"),
        ("hosts allow = ws1 10.0.0.1", ["user:* ro", "ip:10.0.0.1 rw"], "host names are not resolved"),
        ("hosts allow = ws1", [], "none of the hosts"),
        ("hosts deny = ws1", [], "ws1 is to be kept out"),
        (
            "hosts allow = 10.\nhosts deny = ALL EXCEPT 192.168.",
            ["user:* ro", "ip:192.168.0.0/16 rw"],
            "it is let in beside the exceptions",
        ),
        ("hosts allow = 10. EXCEPT @g", [], "@g is to be kept out"),
        ("valid users = @staff\nguest ok = yes", ["group:staff ro"], "guest account may be among"),
        ("veto files = /*.exe/", [], "keeps somebody out, or hides something"),
        ("new thing = 7", [], "is not known here"),
        ("vfs objects = worm", [], "keeps somebody out"),
        ("vfs objects = recycle", ["user:* ro"], "see the settings of the backend"),
        ("recycle:keeptree = yes", ["user:* ro"], "of a module of Samba"),
        ("create mask = 0600", ["user:* ro"], "all users of a share work on its files as one"),
        ("force user = www", ["user:* ro"], "as whom the users"),
        ("smb encrypt = required", [], "the backend does not ask that of clients"),
        ("read only = perhaps", [], "neither yes nor no"),
        ("include = /etc/samba/%m.conf", [], "what it brings is not known"),
        ("copy = nothing", [], "what it brings is not known"),
    ],
)
def test_what_is_left_out(lines: str, rules: list[str], words: str) -> None:
    """Is named at its line with the reason; where it may have kept somebody out, nobody gets in by rules."""
    said = _said(lines)
    assert _rules(said) == rules
    assert any(words in str(found) for found in said.findings if found.outcome is Outcome.LEFT_OUT)


@pytest.mark.parametrize(
    ("before", "rules"),
    [
        ("hosts allow = 10.", ["user:* ro", "ip:10.1.0.0/16 rw"]),
        ("hosts allow = 10.1.2.", ["user:* ro", "ip:10.1.2.0/24 rw"]),
        ("hosts allow = 11.", []),
        ("hosts deny = 10.1.0.9", ["user:* ro", "ip:10.1.0.9 none"]),
        ("security = share", []),
        ("server signing = mandatory", ["user:* ro", "ip:10.1.0.0/16 rw"]),
        ("smb encrypt = mandatory", []),
        ("config backend = registry", []),
        ("include = /x", []),
        ("veto files = /x/", []),
        ("writeable = yes", ["user:* rw", "ip:10.1.0.0/16 rw"]),
    ],
)
def test_what_global_says_holds_too(before: str, rules: list[str]) -> None:
    """Its hosts beside those of the section, its demands, and its defaults."""
    assert _rules(_said("hosts allow = 10.1.", before)) == rules


def test_what_testparm_prints_of_itself_is_not_left_out() -> None:
    """It always names the default of how users get numbers, which is a matter of the old server."""
    conf = read_smb_conf(
        "[global]\nidmap config * : backend = tdb\nrecycle:keeptree = yes\n", "smb.conf", lambda _name: None
    )
    assert [found.outcome for found in findings_of_globals(conf)] == [Outcome.AS_SERVED, Outcome.LEFT_OUT]


def test_sections_that_are_no_shares() -> None:
    """Each with the reason."""
    text = "[homes]\n[printers]\nprintable=yes\n[off]\npath=/a\navailable=no\n[none]\n[each]\npath=/home/%U\n[plain]\npath=/b\n"
    conf = read_smb_conf(text, "smb.conf", lambda _name: None)
    reasons = {section.name: why_no_share(section) for section in conf.sections}
    assert reasons.pop("plain") is None
    assert all(reasons.values())


def test_a_refused_reader_holds_wider_rules_back() -> None:
    """Without its rule it would write by that of all users."""
    assert _rules(_said("read only = no\nread list = @pupils", check="no groups")) == ["user:* ro"]
    assert _rules(_said("invalid users = bob", check="no none")) == []


USERS: Final = ("u1", "u2", "u3", "nobody")
GROUPS: Final = ("g1", "g2")
names = st.lists(st.sampled_from([*USERS, "@g1", "+g2", "%U"]), max_size=3).map(" ".join)
yes_no = st.sampled_from(["yes", "no"])
people = st.fixed_dictionaries(
    {},
    optional={
        "valid users": names,
        "invalid users": st.sampled_from(["u1", "@g1", "u2 @g2", ""]),
        "read list": names,
        "write list": names,
        "read only": yes_no,
        "guest ok": yes_no,
        "guest only": st.just("no"),
    },
)
members = st.fixed_dictionaries({group: st.sets(st.sampled_from(USERS)) for group in GROUPS})


def _holds(listed: str, user: str, groups: Mapping[str, set[str]]) -> bool:
    for word in listed.split():
        plain = user if word == "%U" else word
        if plain == user or (plain[0] in "@+" and user in groups[plain[1:]]):
            return True
    return False


def _of_samba(section: Mapping[str, str], user: str, groups: Mapping[str, set[str]]) -> str:
    """Return what Samba gives a user (`smbd/share_access.c`: write list over read list over read only)."""
    if _holds(section.get("invalid users", ""), user, groups):
        return "none"
    valid = section.get("valid users", "")
    if valid and not _holds(valid, user, groups):
        return "none"
    if _holds(section.get("write list", ""), user, groups):
        return "rw"
    if _holds(section.get("read list", ""), user, groups):
        return "ro"
    return "ro" if section.get("read only", "yes") == "yes" else "rw"


def _of_rules(rules: Sequence[AccessRule], user: str, groups: Mapping[str, set[str]]) -> str:
    """Return what the narrowest rule gives; of several groups the one that gives most, but for one that is kept out."""
    by_key = {rule.key: rule.access_level for rule in rules}
    if f"user:{user}" in by_key:
        return by_key[f"user:{user}"]
    levels = {
        by_key[f"group:{group}"] for group, inside in groups.items() if user in inside and f"group:{group}" in by_key
    }
    if levels:
        return "none" if "none" in levels else max(levels)
    return by_key.get("user:*", "none")


RANKS: Final = ("none", "ro", "rw")


@settings(max_examples=300, deadline=None)
@given(people, members, st.sampled_from(sorted(CHECKS)))
def test_nobody_gets_more_than_before(section: dict[str, str], groups: dict[str, set[str]], check: str) -> None:
    """Whoever is in the groups, and whatever the backend refuses."""
    said = _said("\n".join(f"{name} = {value}" for name, value in section.items()), check=check)
    rules = [rule for rule, _ in said.rules]
    for user in USERS:
        before, after = _of_samba(section, user, groups), _of_rules(rules, user, groups)
        assert RANKS.index(after) <= RANKS.index(before), user
    guest = next((rule.access_level for rule in rules if rule.access_type == "guest"), "none")
    before = _of_samba(section, "nobody", groups) if section.get("guest ok") == "yes" else "none"
    assert RANKS.index(guest) <= RANKS.index(before)


HOSTS: Final = tuple(f"10.0.0.{number}" for number in range(8))
hosts = st.lists(
    st.sampled_from([*HOSTS, "10.0.0.0/30", "10.0.0.4/255.255.255.252", "10.0.0.", "ALL", "EXCEPT", "ws1"]), max_size=4
).map(" ".join)


def _matches(listed: list[str], address: str, ws1: str) -> bool:
    end = listed.index("EXCEPT") if "EXCEPT" in listed else len(listed)
    found = any(
        word == "ALL"
        or (word == "ws1" and address == ws1)
        or (word == "10.0.0." and address.startswith(word))
        or (word[0] == "1" and word[-1] != "." and ipaddress.ip_address(address) in ipaddress.ip_network(word))
        for word in listed[:end]
    )
    return found and not (end < len(listed) and _matches(listed[end + 1 :], address, ws1))


def _reaches(allow: str, deny: str, address: str, ws1: str) -> bool:
    """Tell what Samba does (`lib/util/access.c`)."""
    if not allow and not deny:
        return True
    if not deny:
        return _matches(allow.split(), address, ws1)
    if not allow:
        return not _matches(deny.split(), address, ws1)
    return _matches(allow.split(), address, ws1) or not _matches(deny.split(), address, ws1)


@settings(max_examples=300, deadline=None)
@given(st.tuples(hosts, hosts), st.tuples(hosts, hosts), st.sampled_from(HOSTS), st.sampled_from(["all", "no none"]))
def test_no_host_gets_in_that_did_not(own: tuple[str, str], of_server: tuple[str, str], ws1: str, check: str) -> None:
    """Both lists of the section and both of the server, with exceptions."""
    lines = "\n".join(f"hosts {name} = {value}" for name, value in zip(("allow", "deny"), own, strict=True))
    before = "\n".join(f"hosts {name} = {value}" for name, value in zip(("allow", "deny"), of_server, strict=True))
    rules = [rule for rule, _ in _said(lines, before, check).rules]
    networks = {ipaddress.ip_network(rule.access_to): rule for rule in rules if rule.access_type == "ip"}
    is_open = bool(rules) and all(rule.access_level == "none" for rule in networks.values())
    for address in HOSTS:
        around = [network for network in networks if ipaddress.ip_address(address) in network]
        narrowest = networks[max(around, key=lambda one: one.prefixlen)] if around else None
        reaches = is_open if narrowest is None else narrowest.access_level != "none"
        if reaches:
            assert _reaches(*own, address, ws1)
            assert _reaches(*of_server, address, ws1)


@settings(max_examples=200, deadline=None)
@given(
    people,
    hosts,
    st.sampled_from(sorted(CHECKS)),
    st.sets(
        st.sampled_from(["comment = x", "foo = 1", "vfs objects = fruit", "max connections = 2", "printable = no"])
    ),
)
def test_nothing_is_dropped_in_silence(section: dict[str, str], allow: str, check: str, more: set[str]) -> None:
    """Each user, group and host is in a rule or in a finding, and so is each parameter that makes no rules."""
    lines = [*(f"{name} = {value}" for name, value in section.items()), f"hosts allow = {allow}", *sorted(more)]
    said = _said("\n".join(lines), check=check)
    texts = "\n".join(map(str, said.findings))
    ruled = {rule.access_to for rule, _ in said.rules}
    for name in ("valid users", "invalid users", "read list", "write list"):
        for word in section.get(name, "").split():
            assert word.lstrip("@+") in ruled or word.lstrip("@+") in texts, word
    for word in allow.split():
        if word not in {"ALL", "EXCEPT"}:
            network = (
                "10.0.0.0/24"
                if word == "10.0.0."
                else str(ipaddress.ip_network(word)).removesuffix("/32")
                if word != "ws1"
                else word
            )
            assert network in ruled or word in texts or network in texts, word
    assert all(line in texts for line in more if not line.startswith("printable"))


def test_each_parameter_of_global_is_told() -> None:
    """What is of the server, and what holds for the sections below."""
    text = "[global]\nworkgroup = X\nguest ok = yes\nserver min protocol = SMB3\nfruit:aapl = yes\n"
    conf = read_smb_conf(text, "smb.conf", lambda _name: None)
    found = {each.what: each.outcome for each in findings_of_globals(conf)}
    assert found["workgroup = X"] is Outcome.AS_SERVED
    assert found["guest ok = yes"] is Outcome.AS_SERVED
    assert found["server min protocol = SMB3"] is Outcome.LEFT_OUT
    assert found["fruit:aapl = yes"] is Outcome.LEFT_OUT
    assert "guest ok" in RULES
