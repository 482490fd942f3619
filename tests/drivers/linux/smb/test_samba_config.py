"""What is written to smb.conf means what was asked for, to us and to Samba, whatever names people choose."""

from __future__ import annotations

import ipaddress
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sharectl.drivers.linux.agent.contract import Problem, Rule, Section
from sharectl.drivers.linux.agent.smb.configuration import (
    HEADER,
    Cut,
    check_section,
    cut_needed,
    join_sections,
    parse_section,
    path_problem,
    render_section,
    split_sections,
)
from sharectl.drivers.linux.agent.smb.names import local_user, server_name
from sharectl.drivers.linux.agent.smb.nt_hash import md4, nt_hash
from sharectl.drivers.linux.agent.smb.treatment import BIN_FOLDER, RecycleBin, SmbTreatment, TimeMachine
from tests.drivers.linux.lab import need

if TYPE_CHECKING:
    from pathlib import Path

SERVER = "NAS1"
SLOWLY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
BIN = SmbTreatment(recycle_bin=RecycleBin())


def _section(
    name: str = "data", path: str = "/pool/data", writers: str = "", readers: str = "", networks: str = ""
) -> Section:
    return Section(name, path, frozenset(writers.split()), frozenset(readers.split()), frozenset(networks.split()))


def _guests(level: str, writers: str = "", readers: str = "") -> Section:
    return replace(_section(writers=writers, readers=readers), guest=level)


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        (b"", "31d6cfe0d16ae931b73c59d7e0c089c0"),
        (b"abc", "a448017aaf21d8525fc10ae87aa6729d"),
        (
            b"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
            "e33b4ddc9c38f2199c3e7b164fcc0536",
        ),
    ],
)
def test_md4_is_that_of_rfc_1320(data: bytes, digest: str) -> None:
    """The test suite of the RFC, section A.5."""
    assert md4(data).hex() == digest


def test_the_hash_of_a_password_is_the_one_of_ms_nlmp() -> None:
    """The example of MS-NLMP, section 4.2.2.1.2."""
    assert nt_hash("Password") == "A4F49C406510BDCAB6824EE7C30FD852"


@pytest.mark.parametrize(
    ("instance", "name"),
    [("main", "MAIN"), ("nas-1", "NAS-1"), ("a" * 15, "A" * 15)],
)
def test_a_server_has_the_name_of_its_instance(instance: str, name: str) -> None:
    """In capitals, as Windows shows it."""
    assert server_name(instance) == name


@pytest.mark.parametrize("instance", ["a" * 16, "nas_1", "-x", "日本", "123", "0f6d2c1e-8f3b-4f5c-9a54-0f6d2c1e8f3b"])
def test_an_instance_whose_name_windows_does_not_take_gets_one_of_its_own(instance: str) -> None:
    """At most 15 letters and digits, stable, and different for different instances."""
    name = server_name(instance)
    assert len(name) <= 15
    assert name.replace("-", "").isalnum()
    assert name.isascii()
    assert name == server_name(instance) != server_name(f"{instance}x")


@pytest.mark.parametrize("user", ["alice", "Alice", "NAS1\\alice", "nas1\\ALICE", ".\\alice"])
def test_a_user_of_the_server_may_be_written_with_its_name(user: str) -> None:
    """Case makes no difference to Samba."""
    assert local_user(user, SERVER) == "alice"


@pytest.mark.parametrize("user", ["CORP\\alice", "alice@corp.example", "NAS1\\alice@corp", "CORP\\NAS1\\alice"])
def test_a_user_of_a_domain_is_refused(user: str) -> None:
    """The message says what can be had instead."""
    with pytest.raises(Problem, match=r"cannot join one yet: .* alice or NAS1.alice"):
        local_user(user, SERVER)


@pytest.mark.parametrize(
    "user",
    [
        "", " alice", "alice ", "a  b", "@staff", "+staff", "&staff", "-x", "#x", "a\nb", 'a"b', "%U", "a:b", "a;b", "a,b",
        "machine$", "root", "Nobody", "_files", "x" * 65, "straße", "İ", "\u2028", "a\x00b", "\ud800", "NAS1\\", "dot.",
    ],
)  # fmt: skip
def test_a_name_that_samba_would_take_for_something_else_is_no_user(user: str) -> None:
    """Groups, variables, list separators, fields of passwd(5), machine accounts, accounts of the server itself."""
    with pytest.raises(Problem, match="cannot exist on an SMB server"):
        local_user(user, SERVER)


@pytest.mark.parametrize(
    "name",
    [
        "", "global", "Homes", "printers", "IPC$", "print$", "admin$", "a]b", "[a", "a\nb", "a%b", "a/b", "a\\b", 'a"b', "a;b",
        "a=b", "a:b", " a", "a ", "a  b", "..", "x" * 81, "a\x7fb", "a\u00a0b", "a*", "a?",
    ],
)  # fmt: skip
def test_a_name_that_is_no_share_name_is_refused(name: str) -> None:
    """Reserved sections, and what the grammar or Windows would misread."""
    with pytest.raises(Problem):
        check_section(_section(name), SERVER)


@pytest.mark.parametrize(
    "path", ["", "/", "relative", "/a/../b", "/a\nb", '/a"b', "/a%Sb", "/a\\", "/a  b", "/a ", "/a\u2028"]
)
def test_a_path_that_samba_would_misread_is_refused(path: str) -> None:
    """Samba replaces variables, joins spaces and continues lines in a path."""
    assert path_problem(path) is not None
    with pytest.raises(Problem):
        check_section(_section(path=path), SERVER)


@pytest.mark.parametrize(
    "folder",
    ["", ".", "..", "a/b", "/a", "a b", "%U", "a\nb", "a;b", "a*", "a?", ".recycle.", "a\\", '"a"', "x" * 65, "\u00fc"],
)
def test_a_folder_that_samba_or_windows_would_misread_is_no_recycle_bin(folder: str) -> None:
    """Variables, patterns, other folders."""
    section = replace(_section(), treatment=SmbTreatment(recycle_bin=RecycleBin(folder)))
    with pytest.raises(Problem, match="recycle bin"):
        check_section(section, SERVER)


@pytest.mark.parametrize(
    "network", ["10.0.0.1/8", "example.org", "ALL", "10.0.0.0/8 EXCEPT 10.1.1.1", "10.0.0", "::1%eth0", ""]
)
def test_a_network_that_is_not_canonical_is_refused(network: str) -> None:
    """Names, words of hosts_access(5) and host bits never reach `hosts allow`."""
    with pytest.raises(Problem, match="canonical form"):
        check_section(Section("data", "/pool/data", networks=frozenset({network})), SERVER)


def test_a_section_that_says_from_where_alone_and_from_where_not_is_refused() -> None:
    """Of both Samba would read one, and be left open from where it is to be closed."""
    section = replace(_section(writers="alice", networks="10.0.0.0/8"), denied=frozenset({"10.0.0.13"}))
    with pytest.raises(Problem, match="reads one of the two"):
        check_section(section, SERVER)


def test_a_user_who_is_named_twice_is_refused() -> None:
    """One account cannot both read and write, in whatever notation it stands."""
    with pytest.raises(Problem, match="names the user 'alice' twice"):
        check_section(_section(writers="Alice", readers="NAS1\\alice"), SERVER)


def test_nobody_gets_in_without_users() -> None:
    """An empty list of valid users would let everybody in."""
    assert "    available = no\n" in render_section(_section(networks="10.0.0.0/8"), SERVER)


def test_users_are_written_as_the_servers_own() -> None:
    """Alone, `Everyone` would be the well-known group, and `S-1-1-0` its identifier."""
    text = render_section(_section(writers="Everyone", readers="S-1-1-0"), SERVER)
    assert '    valid users = "NAS1\\everyone" "NAS1\\s-1-1-0"\n' in text
    assert '    write list = "NAS1\\everyone"\n' in text


def test_a_long_ipv6_prefix_is_written_as_a_mask() -> None:
    """Samba reads a prefix of three digits as a mask that is an address."""
    text = render_section(_section(networks="2001:db8::/126 ::/0 2001:db8::/64"), SERVER)
    assert "    hosts allow = 2001:db8::/126 " not in text
    assert "    hosts allow = 2001:db8::/ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffc 2001:db8::/64 ::/0\n" in text


_TEXT = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=12)
_NETWORKS = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
    st.tuples(st.ip_addresses(v=4), st.integers(0, 32)).map(lambda it: str(ipaddress.ip_network(it, strict=False))),
    st.tuples(st.ip_addresses(v=6), st.integers(0, 128)).map(lambda it: str(ipaddress.ip_network(it, strict=False))),
)

_BINS = st.builds(RecycleBin, st.from_regex(BIN_FOLDER, fullmatch=True), st.booleans(), st.booleans(), st.booleans())
_TREATMENTS = st.builds(
    SmbTreatment,
    recycle_bin=st.none() | _BINS,
    macos=st.booleans(),
    time_machine=st.none() | st.builds(TimeMachine, st.none() | st.integers(1)),
)


@st.composite
def sections(draw: st.DrawFn) -> Section:
    """Draw a section that Samba can have, from hostile parts."""
    users = draw(st.lists(st.one_of(_TEXT, _TEXT.map(lambda name: f"nas1\\{name}")), max_size=4))
    writers = draw(st.integers(0, 4))
    section = Section(
        draw(_TEXT),
        f"/{draw(_TEXT)}",
        frozenset(users[:writers]),
        frozenset(users[writers:]),
        frozenset(draw(st.lists(_NETWORKS, max_size=4))),
        draw(_TREATMENTS),
    )
    try:
        check_section(section, SERVER)
    except Problem:
        return _section(f"plain {draw(st.integers())}", writers="alice")
    return section


@SLOWLY
@given(sections())
def test_what_is_written_is_read_back_exactly(section: Section) -> None:
    """Names, notation and networks come back as they were given."""
    text = render_section(section, SERVER)
    assert parse_section(text, SERVER) == section
    assert list(split_sections(HEADER + text).values()) == [text]


@SLOWLY
@given(sections(), st.data())
def test_a_text_that_was_changed_is_not_read_as_another_section(section: Section, data: st.DataObject) -> None:
    """One character removed, doubled or replaced: it is no section of ours any more, or one that differs."""
    text = render_section(section, SERVER)
    place = data.draw(st.integers(0, len(text) - 1))
    changed = (
        text[:place] + data.draw(st.sampled_from(["", text[place] * 2, "#", "\n", " ", '"', "%"])) + text[place + 1 :]
    )
    if changed != text:
        assert parse_section(changed, SERVER) != section


def test_a_line_that_was_added_makes_a_section_unreadable() -> None:
    """Even one that the users and networks know nothing of."""
    text = render_section(_section(writers="alice"), SERVER)
    assert parse_section(f"{text}    guest ok = yes\n", SERVER) is None


def test_the_lists_that_samba_reads_cannot_differ_from_the_comments() -> None:
    """The comments tell how users were given; changed lists are seen all the same."""
    text = render_section(_section(writers="alice", readers="bob"), SERVER)
    assert parse_section(text.replace('write list = "NAS1\\alice"', 'write list = "NAS1\\bob"'), SERVER) is None


def test_a_file_of_sections_is_split_and_joined() -> None:
    """Sections are sorted; what stands before the first one is noticed."""
    first, second = (render_section(_section(name, writers="alice"), SERVER) for name in ("A", "b"))
    text = join_sections({"b": second, "a": first})
    assert text == HEADER + first + second
    assert split_sections(text) == {"a": first, "b": second}
    assert split_sections(f"map to guest = bad user\n{first}") == {"": "map to guest = bad user\n", "a": first}


@pytest.mark.parametrize(
    ("before", "after", "cut"),
    [
        (None, _section(writers="alice"), Cut()),
        (_section(writers="alice"), _section(writers="alice bob"), Cut()),
        (_section(writers="alice"), _section(writers="Alice"), Cut()),
        (_section(readers="alice"), _section(writers="alice"), Cut()),
        (_section(writers="alice", networks="10.0.0.0/8"), _section(writers="alice"), Cut()),
        (_section(writers="alice", networks="10.0.0.0/8"), _section(writers="alice", networks="10.0.0.0/8 ::1"), Cut()),
        (_section(writers="alice bob"), _section(writers="alice"), Cut(frozenset({"bob"}))),
        (_section(writers="alice bob"), _section(writers="alice", readers="bob"), Cut(frozenset({"bob"}))),
        (_section(writers="alice"), _section(), Cut(frozenset({"alice"}))),
        (_section(writers="alice"), _section(writers="alice", networks="10.0.0.0/8"), Cut(is_whole=True)),
        (_section(writers="alice", networks="10.0.0.0/8 ::1"), _section(writers="alice", networks="::1"), Cut(is_whole=True)),
        (_section(writers="alice"), _section(path="/pool/other", writers="alice"), Cut(is_whole=True)),
        (_section(writers="alice"), None, Cut(is_whole=True)),
        (_section(writers="alice"), replace(_section(writers="alice"), treatment=BIN), Cut(is_whole=True)),
        (_guests("rw"), _guests("ro"), Cut(is_whole=True)),
        (_guests("ro"), _guests("rw"), Cut()),
        (_guests("ro"), _guests("none", writers="alice"), Cut(is_whole=True)),
        (_guests("rw"), _guests("rw", readers="alice"), Cut(frozenset({"alice"}))),
        (_guests("ro", writers="alice"), _guests("ro"), Cut(frozenset({"alice"}))),
        (_guests("rw"), replace(_guests("rw"), shut_out=frozenset({"bob"})), Cut(frozenset({"bob"}))),
        (replace(_guests("rw"), shut_out=frozenset({"bob"})), _guests("rw"), Cut()),
        (_section(writers="alice"), replace(_section(writers="alice"), denied=frozenset({"10.0.0.13"})), Cut(is_whole=True)),
        (replace(_section(writers="alice"), denied=frozenset({"10.0.0.13"})), _section(writers="alice"), Cut()),
    ],
)  # fmt: skip
def test_sessions_are_cut_only_where_a_right_was_taken_away(
    before: Section | None, after: Section | None, cut: Cut
) -> None:
    """Those of the users who may do less now; all of the share's where one cannot tell."""
    texts = [None if section is None else render_section(section, SERVER) for section in (before, after)]
    assert cut_needed(*texts, SERVER) == cut


@pytest.mark.parametrize(
    "section",
    [
        _guests("ro", writers="alice"),
        replace(_guests("rw", readers="alice"), shut_out=frozenset({"bob", "SERVER\\Carol"})),
        replace(_section(writers="alice"), denied=frozenset({"10.0.0.13", "2001:db8::/112"})),
        replace(_section(), asked=(Rule("group", "staff", "none"),)),
        replace(_section(writers="alice"), asked=(Rule("group", 'a "] = %U', "rw"), Rule("ip", "10.0.0.13", "none"))),
    ],
)
def test_a_section_with_guests_groups_and_who_is_kept_out_is_read_back(section: Section) -> None:
    """To the letter; another one is none."""
    text = render_section(section, "SERVER")
    assert parse_section(text, "SERVER") == section
    assert parse_section(text.replace("guest ok = ", "guest ok =  "), "SERVER") is None
    for before, after in (
        ("# asked = [[", "# asked = [[["),
        ("invalid users", "# invalid users"),
        ("hosts deny", "# hosts deny"),
    ):
        assert before not in text or parse_section(text.replace(before, after), "SERVER") != section


def test_guests_are_in_no_list_of_users() -> None:
    """Such a list would let nobody but those in it in; who is kept out is in one of its own."""
    text = render_section(replace(_guests("ro", writers="alice"), shut_out=frozenset({"bob"})), "SERVER")
    assert "    valid users" not in text
    for line in ("guest ok = yes", "read only = yes", 'invalid users = "SERVER\\bob"', 'write list = "SERVER\\alice"'):
        assert f"    {line}\n" in text
    assert "guest ok = no" in render_section(_section(writers="alice"), "SERVER")


def test_a_section_that_was_changed_by_hand_gave_nobody_knows_what() -> None:
    """So all sessions of the share are cut."""
    assert cut_needed("[data]\nguest ok = yes\n", render_section(_section(writers="alice"), SERVER), SERVER) == Cut(
        is_whole=True
    )


def _testparm(text: str, folder: Path) -> dict[str, dict[str, str]]:
    path = folder / "smb.conf"
    places = "".join(
        f"{place} = {folder}\n" for place in ("lock directory", "private dir", "state directory", "cache directory")
    )
    path.write_text(f"[global]\n{places}{text}", encoding="utf-8")
    argv = ["testparm", "--suppress-prompt", "-s", str(path)]
    result = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=300)
    found: dict[str, dict[str, str]] = {}
    for line in result.stdout.splitlines():
        if line.startswith("["):
            values = found.setdefault(line[1:-1], {})
        elif " = " in line and not line.startswith("#"):
            key, _, value = line.strip().partition(" = ")
            values[key] = value
    return found


@settings(SLOWLY, max_examples=15)
@given(st.lists(sections(), min_size=1, max_size=20, unique_by=lambda section: section.name.casefold()))
def test_samba_reads_what_was_written(tmp_path_factory: pytest.TempPathFactory, drawn: list[Section]) -> None:
    """Each section under its name, at its path, and no parameter that nobody wrote."""
    need("testparm")
    text = join_sections({section.name.casefold(): render_section(section, SERVER) for section in drawn})
    found = _testparm(text, tmp_path_factory.mktemp("testparm"))
    assert found.keys() == {"global", *(section.name for section in drawn)}
    for section in drawn:
        values = found[section.name]
        assert values["path"] == section.path
        assert values.get("hosts deny") == ("ALL" if section.networks else None)
        assert len(values.get("hosts allow", "").split()) == len(section.networks)
        assert values.get("available") == (None if section.writers | section.readers else "No")
        users = {local_user(user, SERVER) for user in section.writers | section.readers}
        listed = values.get("valid users", "")
        assert all(f"{SERVER}\\{user}" in listed for user in users)
        assert listed.count(f"{SERVER}\\") == len(users)
        bin_ = section.treatment.recycle_bin
        assert values.get("recycle:repository") == (None if bin_ is None else bin_.folder)
        for_macs = ["catia", "fruit", "streams_xattr"] if section.treatment.macos else []
        assert values.get("vfs objects", "").split() == [*for_macs, *([] if bin_ is None else ["recycle"])]
        assert values.get("veto files") == (None if bin_ is None or bin_.visible else f"/{bin_.folder}/")
        assert {key for key in values if not key.startswith(("recycle:", "fruit:"))} <= {
            "path",
            "available",
            "valid users",
            "read list",
            "write list",
            "hosts allow",
            "hosts deny",
            "vfs objects",
            "veto files",
            "dfree command",
        }
