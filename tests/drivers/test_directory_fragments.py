"""Whatever rule comes in, its fragment reads back to exactly it, or its status is an error."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharectl.drivers.directory import exports
from sharectl.drivers.directory.exports import escape_path, export_options, parse_exports, render_exports
from sharectl.drivers.directory.samba import (
    parse_includes,
    parse_section,
    render_includes,
    render_section,
    section_problem,
)
from sharectl.model.access import AccessRule

OPTIONS = export_options(None, None)
networks = st.one_of(
    st.ip_addresses().map(str),
    st.builds(
        lambda address, bits: str(ipaddress.ip_network((address, bits % (address.max_prefixlen + 1)), strict=False)),
        st.ip_addresses(),
        st.integers(0, 128),
    ),
)
users = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["CORP\\alice", "alice@corp.example", "@group", "CORP\\", 'a" "b', "%U", "Ünal", "two words", " x"]
    ),
)
options = st.dictionaries(
    st.sampled_from(["squash", "anonymousUid", "anonymousGid", "security", "insecure", "fsid"]),
    st.sampled_from(["none", "root", "all", "true", "false", "0", "65534", "-1", "sys", "krb5,krb5p", "rw", "x,y"]),
    max_size=3,
).map(lambda found: tuple(sorted(found.items())))
rules = st.builds(
    AccessRule,
    st.sampled_from(["ip", "ip", "user", "group", "guest", "cert"]),
    st.one_of(networks, users, st.just("*")),
    st.sampled_from(["rw", "ro", "rw", "ro", "none"]),
    st.one_of(st.just(()), st.just(()), options),
)
close = st.builds(
    lambda last, bits: str(ipaddress.ip_network((f"10.0.0.{last}", bits), strict=False)).removesuffix("/32"),
    st.integers(0, 255),
    st.integers(24, 32),
)
close_rules = st.builds(AccessRule, st.just("ip"), close, st.sampled_from(["rw", "ro", "none"]), st.just(()))
paths = st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" "), min_size=1, max_size=20).map(
    "/srv/".__add__
)


@given(st.lists(rules, max_size=8), paths)
def test_exports_read_back_exactly_what_is_active(wanted: list[AccessRule], path: str) -> None:
    """The rest has an error with a reason."""
    text, statuses = render_exports(path, wanted, OPTIONS)
    active = {rule for rule, status in statuses.items() if status.status == "active"}
    assert set(statuses) == set(wanted)
    assert all(status.reason for status in statuses.values() if status.status == "error")
    assert (text is None) == (not active)
    if text is not None:
        assert set(parse_exports(text, path, OPTIONS)) == active


@given(st.lists(rules, max_size=8), st.sampled_from(["projects", "Ünal's", "two words"]))
def test_sections_read_back_exactly_what_is_active(wanted: list[AccessRule], section: str) -> None:
    """The rest has an error with a reason."""
    path = f"/srv/{section}"
    assert section_problem(section, path) is None
    text, statuses = render_section(section, path, wanted)
    active = {rule for rule, status in statuses.items() if status.status == "active"}
    assert set(statuses) == set(wanted)
    assert (text is None) == (not active)
    if text is not None:
        assert set(parse_section(text, section, path)) == active
        assert len(text.splitlines()) == len(text.split("\n")) - 1


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_as_a_fragment_are_read(content: bytes, appended: bool) -> None:  # noqa: FBT001 - drawn
    """What sharectl did not write shows as a rule that nobody asked for, or as the rules that stand there."""
    wanted = [AccessRule("ip", "10.0.0.0/8", "rw")]
    text = content.decode(errors="replace")
    before, _ = render_exports("/srv/x", wanted, OPTIONS)
    assert parse_exports(f"{before}{text}" if appended else text, "/srv/x", OPTIONS)
    assert parse_section(text, "x", "/srv/x")


@given(st.one_of(networks, st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9]{1,3})?", fullmatch=True)))
def test_the_quick_look_at_a_network_agrees_with_the_thorough_one(access_to: str) -> None:
    """For every text that looks like an address or network."""
    assert exports._names_network(access_to) == (exports.network_of(access_to) is not None)


def test_the_narrowest_network_comes_first_and_the_world_is_spelled_out() -> None:
    """The first that matches counts; a prefix of 0 is written as a mask."""
    wanted = [
        AccessRule("ip", "0.0.0.0/0", "ro"),
        AccessRule("ip", "10.0.0.0/8", "rw"),
        AccessRule("ip", "10.1.2.3", "ro"),
        AccessRule("ip", "::/0", "ro"),
    ]
    text, _ = render_exports("/srv/a b", wanted, export_options(65534, 100))
    tail = "sync,no_subtree_check,root_squash,anonuid=65534,anongid=100"
    assert text is not None
    assert text.splitlines()[1].split(" ") == [
        "/srv/a\\040b",
        f"10.1.2.3(ro,{tail})",
        f"10.0.0.0/8(rw,{tail})",
        f"0.0.0.0/0.0.0.0(ro,{tail})",
        f"::/0(ro,{tail})",
    ]


def test_bytes_that_mean_something_are_written_in_octal() -> None:
    """Quotes, hashes, backslashes and everything that is not ASCII."""
    assert escape_path('/a"#\\é') == "/a\\042\\043\\134\\303\\251"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("(rw,", "(rw,no_root_squash,"),
        ("root_squash", "no_root_squash"),
        ("10.0.0.0/8", "10.0.0.1/8"),
        ("10.0.0.0/8", "*"),
        ("(rw,", "(wr,"),
        ("(rw", "("),
        ("/srv/x", "/srv/y"),
        ("10.0.0.0/8", "0.0.0.0/0"),
    ],
)
def test_an_export_changed_by_hand_reads_as_another(before: str, after: str) -> None:
    """No option is overlooked."""
    rule = AccessRule("ip", "10.0.0.0/8", "rw")
    text, _ = render_exports("/srv/x", [rule], OPTIONS)
    assert text is not None
    assert set(parse_exports(text.replace(before, after), "/srv/x", OPTIONS)) != {rule}


def test_the_same_address_with_two_levels_is_an_error() -> None:
    """`10.0.0.1` and `10.0.0.1/32` are one client."""
    one, other = AccessRule("ip", "10.0.0.1", "rw"), AccessRule("ip", "10.0.0.1/32", "ro")
    _, statuses = render_exports("/srv/x", [one, other], OPTIONS)
    assert [statuses[rule].status for rule in (one, other)] == ["active", "error"]


def test_a_section_says_who_and_from_where() -> None:
    """Users with their levels, addresses as hosts; long prefixes as the masks that Samba understands."""
    wanted = [
        AccessRule("user", "CORP\\alice", "rw"),
        AccessRule("user", "bob", "ro"),
        AccessRule("ip", "10.0.0.0/8", "rw"),
        AccessRule("ip", "2001:db8::/112", "rw"),
    ]
    text, _ = render_section("x", "/srv/x", wanted)
    assert text is not None
    assert text.splitlines()[1:] == [
        "[x]",
        "    path = /srv/x",
        "    guest ok = no",
        "    read only = yes",
        '    valid users = "CORP\\alice" "bob"',
        '    read list = "bob"',
        '    write list = "CORP\\alice"',
        "    hosts allow = 10.0.0.0/8 2001:db8::/ffff:ffff:ffff:ffff:ffff:ffff:ffff:0",
        "    hosts deny = ALL",
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("guest ok = no", "guest ok = yes"),
        ('"bob"', '"bob" "eve"'),
        ('write list = "bob"', "write list = bob"),
        ("path = /srv/x", "path = /"),
        ("[x]", "[y]"),
        ("hosts deny = ALL", "hosts deny ="),
        ("10.0.0.0/8", "10.0.0.0/8 2001::/x:y"),
    ],
)
def test_a_section_changed_by_hand_reads_as_another(before: str, after: str) -> None:
    """No line is overlooked."""
    wanted = [AccessRule("user", "bob", "rw"), AccessRule("ip", "10.0.0.0/8", "rw")]
    text, _ = render_section("x", "/srv/x", wanted)
    assert text is not None
    assert before in text
    assert set(parse_section(text.replace(before, after), "x", "/srv/x")) != set(wanted)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (AccessRule("ip", "10.0.0.0/8", "ro"), "read-only by address"),
        (AccessRule("ip", "10.0.0.1/8", "rw"), "canonical"),
        (AccessRule("ip", "fe80::1%eth0", "rw"), "canonical"),
        (AccessRule("user", "@staff", "rw"), "group"),
        (AccessRule("user", "S-1-1-0", "rw"), "everybody"),
        (AccessRule("user", "Everyone", "rw"), "whoever has logged in"),
        (AccessRule("group", r"NT Authority\Authenticated Users", "rw"), "whoever has logged in"),
        (AccessRule("user", "a%U", "rw"), "percent"),
        (AccessRule("user", "", "rw"), "is not the name of a user"),
        (AccessRule("cert", "x", "rw"), "knows addresses, users, groups and guests"),
        (AccessRule("user", "bob", "admin"), "levels"),
    ],
)
def test_what_samba_cannot_say_is_an_error(rule: AccessRule, reason: str) -> None:
    """And is never written."""
    text, statuses = render_section("x", "/srv/x", [rule])
    assert text is None
    assert reason in statuses[rule].reason


def test_two_spellings_of_a_user_with_two_levels_are_an_error() -> None:
    """Samba ignores case."""
    one, other = AccessRule("user", "Alice", "ro"), AccessRule("user", "alice", "rw")
    text, statuses = render_section("x", "/srv/x", [one, other])
    assert [statuses[rule].status for rule in (one, other)] == ["active", "error"]
    assert "write list" not in str(text)


@pytest.mark.parametrize("section", ["global", "HOMES", "a%b", "a/b", "a[b", "x" * 81, "tab\t", " x", 'q"'])
def test_a_section_name_that_samba_or_windows_would_misread_is_refused(section: str) -> None:
    """With a reason."""
    assert section_problem(section, "/srv/x")


@pytest.mark.parametrize("path", ["/srv/100%", "/srv/a\nb", '/srv/"', "/srv/x "])
def test_a_path_that_samba_would_misread_is_refused(path: str) -> None:
    """With a reason."""
    assert section_problem("x", path)


def test_includes_read_back() -> None:
    """The file that an administrator includes."""
    paths = ["/srv/.sharectl/smb.d/a.conf", "/srv/with space/b.conf"]
    assert parse_includes(render_includes(paths)) == set(paths)


@given(st.lists(close_rules, max_size=6, unique_by=lambda rule: rule.access_to), st.integers(0, 255))
def test_a_client_may_what_the_narrowest_rule_says(wanted: list[AccessRule], last: int) -> None:
    """Also where a rule keeps a part of a network out, for which exports(5) has no words: the network is cut into the rest."""
    client = ipaddress.ip_address(f"10.0.0.{last}")
    around = [rule for rule in wanted if client in ipaddress.ip_network(rule.access_to)]
    expected = (
        max(around, key=lambda rule: ipaddress.ip_network(rule.access_to).prefixlen).access_level if around else "none"
    )
    text, _ = render_exports("/srv/x", wanted, OPTIONS)
    line = next((line for line in (text or "").splitlines() if not line.startswith("#")), "")
    for word in line.split(" ")[1:]:  # the server takes the first that matches
        network, _, given_options = word.partition("(")
        if client in ipaddress.ip_network(network):
            assert given_options.startswith(f"{expected},")
            return
    assert expected == "none"


def test_a_client_has_options_of_its_own() -> None:
    """In place of the export's; one that says the same as the export is there as well, and read back."""
    wanted = [
        AccessRule("ip", "10.0.0.0/8", "ro"),
        AccessRule("ip", "10.0.0.5", "rw", (("insecure", "true"), ("security", "krb5i,krb5p"), ("squash", "none"))),
        AccessRule("ip", "10.0.0.6", "rw", (("anonymousGid", "7"), ("anonymousUid", "1000"), ("squash", "root"))),
    ]
    own = export_options(1000, None)
    text, statuses = render_exports("/srv/x", wanted, own)
    assert {status.status for status in statuses.values()} == {"active"}
    assert text is not None
    assert text.splitlines()[2].split(" ")[1:] == [
        "10.0.0.5(rw,sync,no_subtree_check,no_root_squash,anonuid=1000,insecure,sec=krb5i:krb5p)",
        "10.0.0.6(rw,sync,no_subtree_check,root_squash,anonuid=1000,anongid=7)",
        "10.0.0.0/8(ro,sync,no_subtree_check,root_squash,anonuid=1000)",
    ]
    assert exports.settings_in(text) == (own, (("anonymousUid", "1000"),))
    assert set(parse_exports(text, "/srv/x", own)) == set(wanted)
    for before, after in (("no_root_squash", "root_squash"), ("10.0.0.5(", "10.0.0.7("), ("insecure", "secure")):
        assert set(parse_exports(text.replace(before, after, 1), "/srv/x", own)) != set(wanted)


def test_nobody_gets_in_by_a_wider_rule_where_the_one_that_keeps_somebody_out_is_refused() -> None:
    """An address that no client has, an option that no server has, a level by address on Samba."""
    wide = AccessRule("ip", "10.0.0.0/8", "rw")
    for odd in (
        AccessRule("ip", "host.example", "none"),
        AccessRule("ip", "10.0.0.5", "rw", (("squash", "most"),)),
    ):
        text, statuses = render_exports("/srv/x", [wide, odd], OPTIONS)
        assert (text, statuses[wide].status, statuses[odd].status) == (None, "error", "error")
    odd = AccessRule("group", "@interns", "none")
    everybody = AccessRule("user", "*", "rw")
    text, statuses = render_section("x", "/srv/x", [everybody, odd])
    assert (text, statuses[everybody].status, statuses[odd].status) == (None, "error", "error")


@pytest.mark.parametrize(
    ("keys", "lines"),
    [
        ("group:CORP\\Domain_Users=rw user:bob=none", ['valid users = @"CORP\\Domain Users"', 'invalid users = "bob"']),
        ("user:*=ro user:alice=rw", ["read only = yes", 'write list = "alice"']),
        ("user:*=rw user:bob=ro", ["read only = no", 'read list = "bob"']),
        ("group:staff=rw user:bob=ro", ["read only = no", 'valid users = "bob" @"staff"', 'read list = "bob"']),
        ("guest:*=ro group:staff=rw", ["guest ok = yes", "read only = yes", 'write list = @"staff"']),
        ("guest:*=rw", ["guest ok = yes", "read only = no"]),
        ("user:alice=rw ip:10.0.0.13=none", ["hosts deny = 10.0.0.13"]),
        (
            "user:alice=rw ip:10.0.0.12/30=rw ip:10.0.0.13=none",
            ["hosts allow = 10.0.0.12 10.0.0.14/31", "hosts deny = ALL"],
        ),
        ("user:bob=none", ["available = no"]),
        ("user:*=none guest:*=none", ["available = no"]),
    ],
)
def test_a_section_says_groups_guests_and_who_is_kept_out(keys: str, lines: list[str]) -> None:
    """And everybody who has a user, by leaving the list of users out."""
    wanted = []
    for text in keys.split(" "):
        key, _, level = text.partition("=")
        access_type, _, access_to = key.partition(":")
        wanted.append(AccessRule(access_type, access_to.replace("_", " "), level))
    text, statuses = render_section("x", "/srv/x", wanted)
    assert {status.status for status in statuses.values()} == {"active"}
    assert text is not None
    assert [line for line in lines if f"    {line}\n" not in text] == []
    assert set(parse_section(text, "x", "/srv/x")) == set(wanted)
    assert "valid users" not in text or "*" not in keys


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("user:*=rw", "guest:*=ro"),
        ("group:interns=none", "user:boss=rw"),
        ("user:*=ro group:staff=rw", "user:bob=ro"),
    ],
)
def test_what_samba_would_mean_otherwise_is_refused(one: str, other: str) -> None:
    """A member of a group that is kept out is out whatever else says that he is in; the write list goes before the read list."""
    wanted = [AccessRule(*key.replace("=", ":").split(":")) for key in (*one.split(" "), other)]
    _, statuses = render_section("x", "/srv/x", wanted)
    assert statuses[wanted[-1]].status == "error"
    assert statuses[wanted[-1]].reason
