"""NFS exports as text: which clients win, what may reach a grammar at all, and the way back from what servers show."""

from __future__ import annotations

import ipaddress
import json
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharectl.drivers.linux.agent.contract import Client, Export, Problem, ProblemKind, Squash
from sharectl.drivers.linux.agent.nfs.clients import Line, in_force, ordered
from sharectl.drivers.linux.agent.nfs.exports import DEFINITION, checked, defined, definition
from sharectl.drivers.linux.agent.nfs.ganesha import configuration
from sharectl.drivers.linux.agent.nfs.kernel import table
from sharectl.drivers.linux.agent.nfs.narrowing import grants_no_more, left_in, lets_in
from sharectl.drivers.linux.agent.nfs.treatment import Treatment, as_shown

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEVELS = st.sampled_from(("rw", "ro"))

RW, RO, NONE = 0x1E0, 0x0A0, 0x0
ROOT_SQUASH, ALL_SQUASH, ROOT_ID_SQUASH = 0x2, 0x4, 0x1
SYS, KRB5 = 0x2000, 0x4000
PRIVILEGED_PORT = 0x200
ALL_SET = 0x1F3E7


def _network(version: int, address: int, length: int) -> str:
    bits = 32 if version == 4 else 128
    kept = address >> (bits - length) << (bits - length) if length else 0
    host = ipaddress.IPv4Address(kept) if version == 4 else ipaddress.IPv6Address(kept)
    return str(host) if length == bits else f"{host}/{length}"


def _is_mapped(network: str) -> bool:
    parsed = ipaddress.ip_network(network)
    return parsed.version == 6 and parsed.subnet_of(ipaddress.ip_network("::ffff:0:0/96"))


_V4 = st.builds(_network, st.just(4), st.integers(0, 2**32 - 1), st.integers(0, 32))
_V6 = st.builds(_network, st.just(6), st.integers(0, 2**128 - 1), st.integers(0, 128))
# Few distinct bits, so that networks often lie in one another and half the space is asked for as such.
_NESTED = st.builds(
    lambda length, low: _network(4, 0x0A000000 if low else 0x8A000000, length), st.integers(0, 32), st.booleans()
)
_NETWORKS = st.one_of(_V4, _V6, _NESTED).filter(lambda network: not _is_mapped(network))
_CLIENTS = st.dictionaries(_NETWORKS, _LEVELS, max_size=8).map(
    lambda levels: frozenset(Client(network, level) for network, level in levels.items())
)
_EXPORT = Export(7, "/srv/exports/a", "/shares/a", frozenset({Client("10.0.0.0/8", "ro"), Client("10.1.2.3", "rw")}))


def _first_match(address: str, lines: Sequence[Client]) -> str | None:
    """Return what a server gives that takes the first line."""
    host = ipaddress.ip_address(address)
    networks = ((ipaddress.ip_network(line.network), line.level) for line in lines)
    return next((level for network, level in networks if network.version == host.version and host in network), None)


def _longest_prefix(address: str, clients: frozenset[Client]) -> str | None:
    host = ipaddress.ip_address(address)
    matching = [
        (network.prefixlen, level)
        for network, level in ((ipaddress.ip_network(client.network), client.level) for client in clients)
        if network.version == host.version and host in network
    ]
    return max(matching)[1] if matching else None


@given(clients=_CLIENTS, more=st.lists(st.one_of(_V4, _V6), max_size=4))
def test_the_first_match_in_the_written_order_is_the_longest_prefix(
    clients: frozenset[Client], more: list[str]
) -> None:
    """For addresses inside, at the edges of and outside of the networks."""
    lines = ordered(clients)
    networks = [ipaddress.ip_network(text) for text in (*(client.network for client in clients), *more)]
    for address in {str(edge) for network in networks for edge in (network[0], network[-1])}:
        assert _first_match(address, lines) == _longest_prefix(address, clients)


@given(clients=_CLIENTS)
def test_reading_the_written_order_gives_the_clients_back(clients: frozenset[Client]) -> None:
    """Also where half of the address space, or both halves, are asked for beside the whole."""
    assert in_force(ordered(clients)) == clients


@given(clients=_CLIENTS)
def test_no_line_has_a_prefix_of_zero(clients: frozenset[Client]) -> None:
    """No server's grammar has words for it."""
    assert not [client for client in ordered(clients) if client.network.endswith("/0")]


@pytest.mark.parametrize(
    ("network", "halves"),
    [("0.0.0.0/0", ["128.0.0.0/1", "0.0.0.0/1"]), ("::/0", ["8000::/1", "::/1"])],
)
def test_all_addresses_of_a_family_are_written_as_two_halves(network: str, halves: list[str]) -> None:
    """And the other family stays outside."""
    assert [line.network for line in ordered({Client(network, "ro")})] == halves


def test_both_halves_as_rules_of_their_own_are_not_taken_for_the_whole() -> None:
    """Else a rule that is as it should be would show as drift."""
    halves = frozenset({Client("0.0.0.0/1", "rw"), Client("128.0.0.0/1", "rw")})
    assert in_force(ordered(halves)) == halves


def test_a_line_after_one_that_covers_it_is_not_in_force() -> None:
    """A list that somebody turned round is another set of clients."""
    lines = [Client("10.0.0.0/8", "rw"), Client("10.1.2.3/32", "ro"), Client("11.0.0.1/32", "ro")]
    assert in_force(lines) == {Client("10.0.0.0/8", "rw"), Client("11.0.0.1", "ro")}


def test_nothing_after_everybody_is_in_force() -> None:
    """The rest of the list is never reached."""
    assert in_force([Client("*", "rw"), Client("10.0.0.1", "ro")]) == {Client("*", "rw")}


def test_what_is_no_network_stays_as_it_was_read() -> None:
    """A host name that somebody put in by hand is shown, not swallowed."""
    assert in_force([Client("*.example.org", "rw")]) == {Client("*.example.org", "rw")}


def test_an_order_cannot_be_made_of_what_is_no_network() -> None:
    """The caller has to check first."""
    with pytest.raises(ValueError, match="is not a network"):
        ordered({Client("everybody", "rw")})


def test_a_good_export_comes_out_of_the_check_with_its_flavours_in_one_order() -> None:
    """A server does not keep the order that it was given."""
    assert checked(replace(_EXPORT, security=("krb5p", "sys"))).security == ("sys", "krb5p")


_HOSTILE_TEXT = ('a"b', "a\nb", "a\\b", "a\0b", "a\x1b[31m", "a\u2028b", "a\udcffb", "../b", "a/./b", "")


@pytest.mark.parametrize("text", _HOSTILE_TEXT)
def test_no_hostile_path_reaches_a_grammar(text: str) -> None:
    """Not what ends a quoted text or a line, nor what leads elsewhere."""
    with pytest.raises(Problem) as raised:
        checked(replace(_EXPORT, path=f"/srv/{text}"))
    assert raised.value.kind is ProblemKind.REFUSED
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("path", ["srv", "//srv", "/", "/srv/", "/" + "a" * 4096])
def test_a_path_is_absolute_short_and_in_its_simplest_form(path: str) -> None:
    """The root of the host is not exported either."""
    with pytest.raises(Problem, match="path"):
        checked(replace(_EXPORT, path=path))


@pytest.mark.parametrize("path", ["/srv/a b", "/srv/ümläut", "/srv/{}#;'$(x)%s", "/srv/日本"])
def test_a_path_may_hold_what_quotes_carry(path: str) -> None:
    """Spaces, other scripts and the grammar's own marks."""
    assert checked(replace(_EXPORT, path=path)).path == path


@pytest.mark.parametrize("pseudo", [*(f"/shares/{text}" for text in _HOSTILE_TEXT), "/a", "/shares/" + "a" * 256])
def test_the_path_for_clients_is_one_below_the_exports_that_servers_can_hold(pseudo: str) -> None:
    """A name of a share for people, or a path (see `model.export_names`)."""
    with pytest.raises(Problem, match="cannot be what clients mount"):
        checked(replace(_EXPORT, pseudo=pseudo))


@pytest.mark.parametrize("pseudo", ["/shares/a/b", "/shares/a;}", "/shares/é", "/shares/-a", "/shares/a b"])
def test_the_path_for_clients_may_hold_what_quotes_carry(pseudo: str) -> None:
    """A path of several parts, other scripts and the grammar's own marks."""
    assert checked(replace(_EXPORT, pseudo=pseudo)).pseudo == pseudo


@pytest.mark.parametrize("export_id", [0, -1, 65536, True, "7"])
def test_an_id_fits_into_16_bits(export_id: int) -> None:
    """And 0 is the server's own."""
    with pytest.raises(Problem, match="id"):
        checked(replace(_EXPORT, export_id=export_id))


@pytest.mark.parametrize(
    "network",
    [
        *("*", "", "host.example.org", "@group", "10.0.0.0/8; }", "10.0.0.1 }\n", "10.0.0.1/8", "10.0.0.1/32"),
        *("10.0.0.1/255.0.0.0", "010.0.0.1", "10.0.0.0/33", "\uff110.0.0.1", "fe80::1%eth0", "FD00::1", "fd00:0::1"),
        *("::ffff:10.0.0.1", "::ffff:a00:1", "::ffff:a00:0/104"),
    ],
)  # fmt: skip
def test_a_client_is_a_canonical_network(network: str) -> None:
    """A name, a pattern, host bits, other digits, a zone and IPv4 in IPv6's clothes are all refused."""
    with pytest.raises(Problem, match="the client"):
        checked(replace(_EXPORT, clients=frozenset({Client(network, "rw")})))


def test_a_client_has_one_level_and_a_known_one() -> None:
    """Two levels for one network have no longest prefix."""
    with pytest.raises(Problem, match="two levels"):
        checked(replace(_EXPORT, clients=frozenset({Client("10.0.0.1", "rw"), Client("10.0.0.1", "ro")})))
    with pytest.raises(Problem, match="not rw, ro or none"):
        checked(replace(_EXPORT, clients=frozenset({Client("10.0.0.1", "rw; }")})))


@pytest.mark.parametrize("security", [(), ("none",), ("sys; }",), ("sys", "krb6")])
def test_security_is_made_of_known_flavours(security: tuple[str, ...]) -> None:
    """At least one, and none that lets in who proves nothing."""
    with pytest.raises(Problem, match="security"):
        checked(replace(_EXPORT, security=security))


def test_squash_is_typed() -> None:
    """A word of a server's own is not it."""
    with pytest.raises(Problem, match="squash"):
        checked(replace(_EXPORT, squash="No_Root_Squash"))  # type: ignore[arg-type]


def test_all_problems_of_an_export_are_said_at_once() -> None:
    """Who mends them wants to mend them once."""
    with pytest.raises(Problem) as raised:
        checked(Export(0, "x", "y", frozenset({Client("z", "w")})))
    assert str(raised.value).count(";") == 4


def test_the_note_in_a_file_gives_the_export_back() -> None:
    """With everything that it has, and on one line."""
    export = replace(_EXPORT, path="/srv/ü b", squash=Squash.ALL, security=("sys", "krb5"))
    line = DEFINITION + definition(export)
    assert "\n" not in line
    assert defined(line) == export


@pytest.mark.parametrize(
    "line", ["", "# something else", f"{DEFINITION}[", f"{DEFINITION}[]", f"{DEFINITION}{{}}", f"{DEFINITION}7"]
)
def test_a_note_that_was_changed_is_an_error(line: str) -> None:
    """A file of somebody else is not taken for ours."""
    with pytest.raises(ValueError, match=r"holds no export|lacks something|Expecting"):
        defined(line)


def test_a_note_that_was_made_hostile_is_refused() -> None:
    """What is read back goes through the same check."""
    with pytest.raises(Problem):
        defined(DEFINITION + definition(replace(_EXPORT, path='/a"b')))


def _row(
    client: str, options: int, are_set: int = ALL_SET, nobody: tuple[int, int] = (65534, 65534)
) -> tuple[object, ...]:
    return (client, 0, 0, 0, 0, *nobody, 0, options ^ PRIVILEGED_PORT, are_set)


def _shown(*rows: tuple[object, ...]) -> Export:
    return configuration.shown_export((7, "/srv/exports/a", "/shares/a", "", list(rows)))


_NOBODY_ELSE = _row("*", NONE | ROOT_SQUASH | SYS)


def test_ganesha_shows_what_it_was_given() -> None:
    """Clients, squash and flavours; the line that shuts everybody else out is ours, not a client."""
    shown = _shown(
        _row("10.1.2.3/32", RW | ALL_SQUASH | SYS | KRB5),
        _row("10.0.0.0/8", RO | ALL_SQUASH | SYS | KRB5),
        _row("*", NONE | ALL_SQUASH | SYS | KRB5),
    )
    assert shown == replace(_EXPORT, squash=Squash.ALL, security=("sys", "krb5"))


@pytest.mark.parametrize(
    ("rows", "clients"),
    [
        ([_row("10.0.0.1/32", RW | ROOT_SQUASH | SYS)], {("10.0.0.1", "rw"), ("*", "unknown")}),
        ([], {("*", "unknown")}),
        ([_row("*", RW | ROOT_SQUASH | SYS)], {("*", "rw")}),
        ([_row("10.0.0.1/32", 0x80 | ROOT_SQUASH | SYS), _NOBODY_ELSE], {("10.0.0.1", "other")}),
        ([_row("10.0.0.1/32", NONE | SYS, 0x1E0), _NOBODY_ELSE], {("10.0.0.1", "none with the options of the export")}),
        ([_row("10.0.0.1/32", RW | ROOT_ID_SQUASH | SYS), _NOBODY_ELSE], {("10.0.0.1", "rw with squash other and security sys")}),
        ([_row("10.0.0.1/32", RW, 0x1E0), _NOBODY_ELSE], {("10.0.0.1", "rw with the options of the export")}),
        ([_row("<unknown>", RW | ROOT_SQUASH | SYS), _NOBODY_ELSE], {("<unknown>", "rw")}),
        ([_row("*", NONE | ROOT_ID_SQUASH | SYS)], {("*", "none with squash other and security sys"), ("*", "unknown")}),
    ],
)  # fmt: skip
def test_what_ganesha_shows_and_nobody_asked_for_differs(
    rows: list[tuple[object, ...]], clients: set[tuple[str, str]]
) -> None:
    """Whatever somebody did by hand, it is not equal to an export that `checked` lets through."""
    shown = _shown(*rows)
    assert {client[:2] for client in shown.clients} <= clients
    with pytest.raises(Problem):
        checked(shown)


def test_the_kernels_line_of_an_export_has_everything_that_it_needs() -> None:
    """The mount point is checked, the file system has a name of its own, the longest prefix is first."""
    text = table.file_text([table.Stored(_EXPORT, is_withheld=False)])
    line = text.splitlines()[-1]
    path, first, second = line.split(" ")
    assert (path, first.partition("(")[0], second.partition("(")[0]) == ("/srv/exports/a", "10.1.2.3", "10.0.0.0/8")
    options = first.partition("(")[2].rstrip(")").split(",")
    assert options[:-1] == [
        *("rw", "sync", "no_subtree_check", "secure", "no_root_squash"),
        *("anonuid=65534", "anongid=65534", "sec=sys", "mountpoint"),
    ]
    assert uuid.UUID(options[-1].removeprefix("fsid="))


def test_an_export_without_clients_or_withheld_has_no_line() -> None:
    """A path without clients would be exported to the whole world."""
    stored = [
        table.Stored(replace(_EXPORT, clients=frozenset()), is_withheld=False),
        table.Stored(replace(_EXPORT, export_id=8), is_withheld=True),
    ]
    text = table.file_text(stored)
    assert all(line.startswith("#") for line in text.splitlines())
    assert list(table.stored_exports(text).values()) == stored


@given(
    path=st.text(
        st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp"), exclude_characters='"\\'), max_size=30
    )
)
def test_a_path_in_exports_is_one_plain_word_that_means_it(path: str) -> None:
    """Whatever the folder is called."""
    word = table.escaped_path(f"/{path}")
    assert word.isascii()
    assert not set(word) & set(" \t\n#\"'()")
    row = f"{word}\t10.0.0.1(rw,sec=sys,no_root_squash)\n"
    assert table.table_lines(row) == {
        f"/{path}": [Line("10.0.0.1", "rw", Treatment(Squash.NONE, ("sys",), insecure=False, anonymous=(65534, 65534)))]
    }


def test_the_table_is_read_in_the_order_in_which_the_kernel_tries_it() -> None:
    """Hosts go first (exports(5), "Machine Name Formats"); what is no line of the table is passed over."""
    rows = ["/a\t10.0.0.0/8(ro,sec=sys)", "# no line", "/a\t*(rw,sec=sys)", "/a\t10.1.2.3(rw,sec=sys)"]
    lines = table.table_lines("\n".join(rows))["/a"]
    assert [line.network for line in lines] == ["10.1.2.3", "10.0.0.0/8", "*"]


def test_one_client_that_is_squashed_otherwise_has_an_option() -> None:
    """Which nobody asked for, so that the export differs."""
    stored = table.Stored(_EXPORT, is_withheld=False)
    lines = table.table_lines("/a\t10.1.2.3(rw,sec=sys)\n/a\t10.0.0.0/8(rw,sec=sys,all_squash)")["/a"]
    live = table.live_export(stored, lines)
    assert live is not None
    assert Client("10.0.0.0/8", "rw", (("squash", "all"),)) in live.clients


@pytest.mark.parametrize(
    ("option", "meaning"),
    [
        ("insecure", ("insecure", "true")),
        ("anonuid=0", ("anonymousUid", "0")),
        ("sec=sys:krb5", ("security", "sys,krb5")),
    ],
)
def test_one_client_that_is_treated_otherwise_has_that_option(option: str, meaning: tuple[str, str]) -> None:
    """Likewise."""
    stored = table.Stored(_EXPORT, is_withheld=False)
    lines = table.table_lines(f"/a\t10.1.2.3(rw,sec=sys,secure)\n/a\t10.0.0.0/8(rw,sec=sys,{option})")["/a"]
    live = table.live_export(stored, lines)
    assert live is not None
    assert Client("10.0.0.0/8", "rw", (meaning,)) in live.clients


def test_a_note_of_an_older_version_means_what_held_then() -> None:
    """Any port, and nobody as everywhere: so that it differs from what is asked for now, and is carried over."""
    line = definition(_EXPORT)
    old = json.dumps({key: value for key, value in json.loads(line).items() if key not in {"insecure", "anonymous"}})
    assert defined(f"{DEFINITION}{old}") == replace(_EXPORT, insecure=True)


@pytest.mark.parametrize("anonymous", [(1,), (-1, 0), (0, 4294967295), ("0", "0"), (True, 0)])
def test_nobody_is_a_user_and_a_group(anonymous: tuple[int, int]) -> None:
    """By their numbers, of 32 bits, of which the last is nobody's at all."""
    with pytest.raises(Problem, match="numbers of a user and a group"):
        checked(replace(_EXPORT, anonymous=anonymous))


@pytest.mark.parametrize(
    ("row", "client"),
    [
        (_row("10.0.0.1/32", NONE | ROOT_SQUASH | SYS), Client("10.0.0.1", "none")),
        (_row("10.0.0.1/32", NONE | SYS), Client("10.0.0.1", "none")),
        (_row("10.0.0.1/32", RW | SYS), Client("10.0.0.1", "rw", (("squash", "none"),))),
        (_row("10.0.0.1/32", RO | ALL_SQUASH | SYS), Client("10.0.0.1", "ro", (("squash", "all"),))),
        (_row("10.0.0.1/32", RW | ROOT_SQUASH | KRB5), Client("10.0.0.1", "rw", (("security", "krb5"),))),
        (
            _row("10.0.0.1/32", RW | ROOT_SQUASH | SYS | PRIVILEGED_PORT),
            Client("10.0.0.1", "rw", (("insecure", "true"),)),
        ),
        (
            _row("10.0.0.1/32", RW | ROOT_SQUASH | SYS, ALL_SET, (0, 7)),
            Client("10.0.0.1", "rw", (("anonymousGid", "7"), ("anonymousUid", "0"))),
        ),
    ],
)
def test_ganesha_shows_how_one_client_is_treated(row: tuple[object, ...], client: Client) -> None:
    """By what differs from the line that shuts all others out, which has the treatment of the export."""
    assert _shown(row, _NOBODY_ELSE).clients == {client}


_OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "squash": st.sampled_from(tuple(Squash)).map(str),
        "insecure": st.sampled_from(("true", "false")),
        "anonymousUid": st.sampled_from(("0", "65534", "1000")),
        "anonymousGid": st.sampled_from(("0", "65534")),
        "security": st.just("sys"),
    },
).map(lambda options: tuple(sorted(options.items())))
_NEAR = st.builds(_network, st.just(4), st.integers(10 << 24, (10 << 24) + 255), st.integers(24, 32))
_TREATED = st.dictionaries(_NEAR, st.tuples(st.sampled_from(("rw", "ro", "none")), _OPTIONS), max_size=6).map(
    lambda found: frozenset(Client(network, level, options) for network, (level, options) in found.items())
)


def _of(clients: frozenset[Client], address: int) -> Client:
    """Return the client that decides for an address."""
    host = ipaddress.ip_address((10 << 24) + address)
    around = [client for client in clients if host in ipaddress.ip_network(client.network)]
    return max(around, key=lambda client: ipaddress.ip_network(client.network).prefixlen, default=Client("", "none"))


@given(clients=_TREATED)
def test_the_note_in_a_file_gives_options_back(clients: frozenset[Client]) -> None:
    """Those too that say what the export says, which no server shows."""
    export = replace(_EXPORT, clients=clients)
    assert defined(DEFINITION + definition(export)) == checked(export)
    assert as_shown(as_shown(export)) == as_shown(export)


@given(clients=_TREATED, address=st.integers(0, 255))
def test_the_kernels_lines_give_each_address_what_the_narrowest_rule_says(
    clients: frozenset[Client], address: int
) -> None:
    """A part that is kept out is in none of them: exports(5) has no words for it."""
    export = replace(_EXPORT, clients=clients)
    text = table.file_text([table.Stored(export, is_withheld=False)])
    words = next((line for line in text.splitlines() if not line.startswith("#")), "").split(" ")[1:]
    host = ipaddress.ip_address((10 << 24) + address)
    found = next((word for word in words if host in ipaddress.ip_network(word.partition("(")[0])), None)
    decides = _of(as_shown(export).clients, address)
    assert (found is None) == (decides.level == "none")
    if found is not None:
        assert f"({decides.level}," in found
        assert ("no_root_squash" in found) == (dict(decides.options).get("squash", "none") == "none")
        assert (",insecure," in found) == (dict(decides.options).get("insecure") == "true")


@given(clients=_TREATED)
def test_the_table_gives_back_what_was_asked(clients: frozenset[Client]) -> None:
    """With its options, and with those who are kept out."""
    export = replace(_EXPORT, clients=clients)
    stored = table.Stored(export, is_withheld=False)
    line = next((line for line in table.file_text([stored]).splitlines() if not line.startswith("#")), "")
    rows = "".join(f"/srv/exports/a\t{word}\n" for word in line.split(" ")[1:])
    assert table.live_export(stored, table.table_lines(rows).get("/srv/exports/a", [])) == export


@given(before=_TREATED, wanted=_TREATED, address=st.integers(0, 255))
def test_a_change_that_fails_gives_nobody_more(
    before: frozenset[Client], wanted: frozenset[Client], address: int
) -> None:
    """Each address has the less of what it had and what it is to have, and is treated as is wanted."""
    ranks = {"none": 0, "ro": 1, "rw": 2}
    old, new, left = (_of(clients, address) for clients in (before, wanted, left_in(before, wanted)))
    assert ranks[left.level] == min(ranks[old.level], ranks[new.level])
    assert left.level == "none" or left.options == new.options
    narrowed, asked = (replace(_EXPORT, clients=clients) for clients in (left_in(before, wanted), wanted))
    assert grants_no_more(narrowed, asked)


@given(clients=_TREATED)
def test_nothing_is_left_out_of_a_change_that_holds_already(clients: frozenset[Client]) -> None:
    """It is as it was asked."""
    assert left_in(clients, clients) == clients
    assert lets_in(clients) == any(client.level != "none" for client in clients)


def test_a_network_that_comes_to_too_many_parts_is_refused() -> None:
    """The kernel's server looks through all of them for each client."""
    holes = {Client(f"{0x2000 + 0x100 * number:x}::1", "none") for number in range(40)}
    assert table.problem_of_parts({Client("::/0", "rw"), *holes})
    assert table.problem_of_parts({Client("10.0.0.0/8", "rw"), Client("10.0.0.13", "none")}) is None


def test_an_export_of_which_all_networks_are_kept_out_has_no_line() -> None:
    """A path without clients would be exported to the whole world."""
    clients = (("10.0.0.0/8", "rw"), ("10.0.0.0/9", "none"), ("10.128.0.0/9", "none"))
    stored = table.Stored(replace(_EXPORT, clients=frozenset(Client(*each) for each in clients)), is_withheld=False)
    assert [line for line in table.file_text([stored]).splitlines() if not line.startswith("#")] == []
    assert table.live_export(stored, []) == stored.export
