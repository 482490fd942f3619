"""Rules for the clients of an export: what is said, what is left out, and that nobody gets more than before."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharectl.legacy.exports import ExportedTo, ExportOption, read_exports
from sharectl.legacy.findings import Outcome, Place
from sharectl.legacy.nfs_clients import rank_of, rules_of_exports
from sharectl.legacy.treatment import TREATMENT_OPTIONS, Treatment, treatment_of_options, treatment_of_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.legacy.nfs_clients import RuleCheck, Said
    from sharectl.model.access import AccessRule

ROOT_SQUASHED: Final = (
    ("anonymous", "65534:65534"),
    ("insecure", "false"),
    ("security", "sys"),
    ("squash", "root"),
)


def takes_all(_rules: Sequence[AccessRule]) -> dict[AccessRule, str]:
    """Refuse nothing, as a driver that can do everything."""
    return {}


def takes_plain(rules: Sequence[AccessRule]) -> dict[AccessRule, str]:
    """Refuse options and the level none, as a driver that knows neither."""
    return {rule: "not here" for rule in rules if rule.options or rule.access_level == "none"}


def _said(line: str, check: RuleCheck = takes_all, **changed: str) -> Said:
    settings_ = tuple({**dict(ROOT_SQUASHED), **changed}.items())
    return rules_of_exports(read_exports(f"/a {line}", "exports"), settings_, check)


def _rules(said: Said) -> list[str]:
    return [f"{rule.access_to} {rule.grant}" for rule, _ in said.rules]


@pytest.mark.parametrize(
    ("line", "rules"),
    [
        ("10.0.0.1(rw) 10.0.0.0/8(ro)", ["10.0.0.1 rw", "10.0.0.0/8 ro"]),
        ("10.0.0.0/255.255.0.0(rw)", ["10.0.0.0/16 rw"]),
        ("10.0.0.7/24(rw)", ["10.0.0.0/24 rw"]),
        ("10.0.0.1/32", ["10.0.0.1 ro"]),
        ("0.0.0.0/0.0.0.0(ro)", ["0.0.0.0/0 ro"]),
        ("2001:db8::1(rw) 2001:db8::/32", ["2001:db8::1 rw", "2001:db8::/32 ro"]),
        ("::ffff:10.0.0.1(rw)", ["10.0.0.1 rw"]),
        ("*(ro,sync,no_subtree_check)", ["0.0.0.0/0 ro", "::/0 ro"]),
        ("10.0.0.1(rw,secure,root_squash,sec=sys)", ["10.0.0.1 rw"]),
        ("10.0.0.1(rw,no_root_squash)", ["10.0.0.1 rw (squash none)"]),
        (
            "10.0.0.1(all_squash,anonuid=-2,anongid=7)",
            ["10.0.0.1 ro (anonymousGid 7, anonymousUid 4294967294, squash all)"],
        ),
        ("10.0.0.1(rw,insecure,sec=krb5:sys)", ["10.0.0.1 rw (insecure true, security sys,krb5)"]),
    ],
)
def test_what_a_manifest_can_say(line: str, rules: list[str]) -> None:
    """Is said, and nothing else is to be said about it."""
    said = _said(line)
    assert _rules(said) == rules
    assert {found.outcome for found in said.findings} <= {Outcome.AS_SERVED}


@pytest.mark.parametrize(
    ("line", "rules", "words"),
    [
        ("ws1.example.org(rw)", [], "host names are not resolved"),
        ("*.example.org(rw)", [], "names with wildcards are not resolved"),
        ("@trusted(rw)", [], "netgroups"),
        ("10.0.*(rw)", [], "write 10.0.0.0/16"),
        ("gss/krb5i(rw)", [], "Kerberos"),
        ("10.0.0.0/255.0.255.0(rw)", [], "is not a network with a prefix length"),
        ("0.0.0.0(rw)", [], "which no client has"),
        ("fe80::1%eth0(rw)", [], "has a zone"),
        ("10.0.0.1 (rw)", ["10.0.0.1 ro"], "for the space before the bracket"),
        ("", [], "no client is named"),
        ("10.0.0.1(rw,anonuid=many)", [], "is no number"),
        ("10.0.0.1(rw) 10.0.0.1(ro)", ["10.0.0.1 rw"], "names this client before"),
        ("10.0.0.0/8(rw) 10.0.0.0/255.0.0.0(ro)", ["10.0.0.0/8 rw"], "names this client before"),
        ("10.0.0.1(rw,all_squash)", [], "squash all → root"),
        ("10.0.0.1(rw,sec=krb5p)", [], "security krb5p → sys"),
        ("10.0.0.1(rw,xprtsec=mtls)", [], "keeps clients out in a way that no rule can say"),
        ("10.0.0.1(rw,refer=/b@other)", [], "sent to another server"),
        ("10.0.0.0/8(ro) 10.1.0.0/16(rw)", ["10.0.0.0/8 ro"], "comes first, and decides"),
        ("10.0.0.1(rw,async)", ["10.0.0.1 rw"], "async"),
        ("10.0.0.1(rw,fsid=0)", ["10.0.0.1 rw"], "root of what NFSv4 clients see"),
        ("10.0.0.1(rw,crossmnt)", ["10.0.0.1 rw"], "make a share of each file system"),
    ],
)
def test_what_is_left_out(line: str, rules: list[str], words: str) -> None:
    """Is named at its line with the reason, and no rule says it."""
    said = _said(line, takes_plain)
    assert _rules(said) == rules
    left_out = [str(found) for found in said.findings if found.outcome is Outcome.LEFT_OUT]
    assert any(words in text and text.startswith("exports:1: ") for text in left_out), left_out


@pytest.mark.parametrize(
    ("line", "rules", "words"),
    [
        ("10.0.0.1(rw,no_root_squash)", ["10.0.0.1 rw"], "squash none → root"),
        ("10.0.0.1(rw,insecure)", ["10.0.0.1 rw"], "insecure true → false"),
        ("10.0.0.1(rw,anonuid=1000)", ["10.0.0.1 rw"], "anonymous 1000:65534 → 65534:65534"),
        ("10.0.0.1(rw,sec=sys:krb5)", ["10.0.0.1 rw"], "security krb5,sys → sys"),
        ("10.0.0.0/8(rw) 10.1.0.0/16(ro)", ["10.0.0.0/8 rw", "10.1.0.0/16 ro"], "of rules the narrower does"),
        ("ws1(ro) 10.0.0.0/8(rw)", ["10.0.0.0/8 ro"], "so all of them get ro"),
        ("10.0.0.5(ro,sec=krb5) 10.0.0.0/8(ro) 10.9.0.0/16(ro)", ["10.9.0.0/16 ro"], ""),
        ("@trusted(ro) 10.0.0.0/8(rw) *(rw)", ["10.0.0.0/8 rw", "0.0.0.0/0 ro", "::/0 ro"], "so all of them get ro"),
    ],
)
def test_what_is_narrowed(line: str, rules: list[str], words: str) -> None:
    """A rule that cannot be said as it is becomes a narrower one, or none where another client would get more by it."""
    said = _said(line, takes_plain)
    assert _rules(said) == rules
    assert any(words in str(found) for found in said.findings if found.outcome is not Outcome.AS_SERVED)


def test_a_backend_that_gives_more_than_the_export() -> None:
    """No rule is written for a client whose root was nobody, where a share lets root be root; an option says it where there is one."""
    line = "10.0.0.1(rw) 10.0.0.2(rw,no_root_squash)"
    assert _rules(_said(line, takes_plain, squash="none")) == ["10.0.0.2 rw"]
    assert _rules(_said(line, squash="none")) == ["10.0.0.1 rw (squash root)", "10.0.0.2 rw"]


def test_a_rule_that_the_backend_refuses_holds_wider_ones_back() -> None:
    """Without it, whoever it shut out would have got in by them; a rule that shuts the client out does it as well."""
    line = "10.0.0.1(ro) 10.0.0.0/8(rw) 11.0.0.0/8(rw)"

    def refuses_host(rules: Sequence[AccessRule]) -> dict[AccessRule, str]:
        return {rule: "not here" for rule in rules if rule.access_to == "10.0.0.1" and rule.access_level != "none"}

    def refuses_none(rules: Sequence[AccessRule]) -> dict[AccessRule, str]:
        return {**refuses_host(rules), **takes_plain(rules)}

    assert _rules(_said(line, refuses_host)) == ["10.0.0.1 none", "10.0.0.0/8 rw", "11.0.0.0/8 rw"]
    assert _rules(_said(line, refuses_none)) == ["10.0.0.0/8 ro", "11.0.0.0/8 rw"]


def test_who_needs_not_be_kept_out_is_not() -> None:
    """A client that is left out, and that no wider rule lets in."""
    assert _rules(_said("10.0.0.1(rw,xprtsec=tls) 11.0.0.0/8(rw)")) == ["11.0.0.0/8 rw"]
    assert _rules(_said("11.0.0.1(rw,xprtsec=tls) 11.0.0.0/8(rw)")) == ["11.0.0.1 none", "11.0.0.0/8 rw"]


HOSTS: Final = tuple(f"10.0.0.{number}" for number in range(8))
NAMES: Final = ("n1", "n2", "*.x", "@g")
CLIENTS: Final = (
    *HOSTS,
    *NAMES,
    "10.0.0.0/30",
    "10.0.0.4/30",
    "10.0.0.0/29",
    "10.0.0.2/255.255.255.254",
    "10.0.0.0/255.255.255.254",
    "*",
)
OPTIONS: Final = tuple(
    ExportOption(name)
    for name in (
        *("rw", "ro", "rw", "root_squash", "no_root_squash", "all_squash", "no_all_squash", "insecure", "secure"),
        *("async", "sync", "crossmnt", "no_wdelay"),
    )
) + tuple(
    ExportOption(name, value)
    for name, value in (
        *(("sec", "sys"), ("sec", "krb5"), ("sec", "krb5:sys"), ("anonuid", "1000"), ("anongid", "-2")),
        *(("fsid", "3"), ("xprtsec", "tls")),
    )
)
some_options = st.sampled_from([(), (ExportOption("rw"),)]) | st.lists(st.sampled_from(OPTIONS), max_size=4).map(tuple)
exported = st.lists(st.tuples(st.integers(1, 30), st.sampled_from(CLIENTS), some_options), min_size=2, max_size=7).map(
    lambda found: [ExportedTo(Place("exports", line), "/a", *client) for line, *client in found]
)
who_is_who = st.fixed_dictionaries({name: st.sets(st.sampled_from(HOSTS), min_size=1) for name in NAMES})


def _covers(client: str, address: str, names: Mapping[str, set[str]]) -> bool:
    if client in names:
        return address in names[client]
    network = "0.0.0.0/0" if client == "*" else client
    return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)


def _of_server(exports: Sequence[ExportedTo], address: str, names: Mapping[str, set[str]]) -> Treatment:
    """Return what the old server gives: the first client that matches, by exports(5)."""
    for _, export in sorted(enumerate(exports), key=lambda pair: (rank_of(pair[1].client), pair[0])):
        if _covers(export.client, address, names):
            treatment = treatment_of_options(export.options)
            shut = any(option.name == "xprtsec" for option in export.options)
            return Treatment("none") if treatment is None or shut else treatment
    return Treatment("none")


def _treatment(rule: AccessRule) -> Treatment:
    """Return how a rule treats its client; what its options do not say is as for the share."""
    named = dict(ROOT_SQUASHED) | dict(rule.options)
    return treatment_of_settings(tuple(named.items()), rule.access_level)


def _of_rules(rules: Sequence[AccessRule], address: str) -> Treatment | None:
    """Return what the rules give: the narrowest network decides; None for nobody."""
    networks = {ipaddress.ip_network(rule.access_to): rule for rule in rules if ":" not in rule.access_to}
    around = [network for network in networks if ipaddress.ip_address(address) in network]
    deciding = networks[max(around, key=lambda one: one.prefixlen)] if around else None
    return None if deciding is None or deciding.access_level == "none" else _treatment(deciding)


@settings(max_examples=300, deadline=None)
@given(exported, who_is_who, st.sampled_from([takes_all, takes_plain]))
def test_nobody_gets_more_than_before(exports: list[ExportedTo], names: dict[str, set[str]], check: RuleCheck) -> None:
    """Whatever hosts the names in the file stand for."""
    rules = [rule for rule, _ in rules_of_exports(exports, ROOT_SQUASHED, check).rules]
    for address in HOSTS:
        given_now = _of_rules(rules, address)
        if given_now is not None:
            before = _of_server(exports, address, names)
            assert before.level != "none", address
            assert not given_now.beyond(before), address


@settings(max_examples=300, deadline=None)
@given(exported, st.sampled_from([takes_all, takes_plain]))
def test_nothing_is_dropped_in_silence(exports: list[ExportedTo], check: RuleCheck) -> None:
    """Each client has a rule that treats it as it was, or a finding at its line; each option is in one of both."""
    said = rules_of_exports(exports, ROOT_SQUASHED, check)
    texts = [(found.place, found.what) for found in said.findings]
    for export in exports:
        at_its_line = [what for place, what in texts if place == export.place]
        is_said = any(place == export.place and _is_said(export, rule) for rule, place in said.rules)
        assert is_said or any(what.startswith(f"/a {export.client}") for what in at_its_line), export
        for option in export.options:
            if option.name not in TREATMENT_OPTIONS:
                assert any(what == str(option) or what.endswith(f": {option}") for what in at_its_line), option


def _is_said(export: ExportedTo, rule: AccessRule) -> bool:
    return treatment_of_options(export.options) == _treatment(rule)
