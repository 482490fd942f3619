"""Client lists: what is in them, what rules that name them come to, and what is wrong with either."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.manifests.cache import ManifestCache
from sharectl.manifests.clients import _MOST_KEPT, ClientLists
from sharectl.model.access import AccessRule, access_digest
from tests.manifests.support import brief, cifs, codes, document, load_folder, load_text, share

if TYPE_CHECKING:
    from pathlib import Path

    from sharectl.manifests.desired import Desired


def client_list(name: str, spec: str) -> str:
    """Return a ClientList."""
    return document("ClientList", name, f"{{{spec}}}")


def uses(*lists: str, level: str = "rw") -> str:
    """Return the inline rules of a share that name these lists."""
    return ", access: [" + ", ".join(f"{{type: clients, to: {name}, level: {level}}}" for name in lists) + "]"


LAB = client_list("lab", "clients: [10.0.0.5, 10.1.0.0/24, '2001:DB8::5/128']")
RULES = (
    AccessRule("ip", "10.0.0.5", "rw"),
    AccessRule("ip", "10.1.0.0/24", "rw"),
    AccessRule("ip", "2001:db8::5", "rw"),
)


def access(desired: Desired, name: str = "a") -> list[str]:
    """Return what a share gives to whom."""
    return [f"{rule.access_to} {rule.access_level}" for rule in desired.access(f"share/{name}")]


@pytest.mark.parametrize(
    "text",
    [
        share("a", uses("lab")) + LAB,
        LAB + share("a", uses("lab")),
        share("a") + document("AccessRule", "r", "{shares: [a], type: clients, to: lab, level: rw}") + LAB,
        share("a", ", access: [{type: ip, to: 10.0.0.5, level: rw}, {type: clients, to: lab, level: rw}]") + LAB,
        share("a", uses("all")) + client_list("all", "lists: [lab]") + LAB,
        share("a", uses("all", "lab")) + client_list("all", "lists: [lab, b]") + client_list("b", "lists: [lab]") + LAB,
        share("a", uses("n")) + client_list("n", "clients: [10.1.0.0/24], names: {h.x: [10.0.0.5, '2001:db8::5']}"),
    ],
)
def test_a_rule_that_names_a_list_is_one_for_each_client(tmp_path: Path, text: str) -> None:
    """In canonical form, once each, however they come together; the digest is that of the same rules written one by one."""
    desired = load_text(tmp_path, text).desired
    assert desired.access("share/a") == RULES
    assert desired.digests["share/a"][16:] == access_digest(RULES)
    selected = load_folder(tmp_path, only={"share/a"}).desired
    assert (selected.access("share/a"), selected.digests) == (RULES, desired.digests)


def test_what_a_rule_says_of_a_client_it_says_of_each_in_the_list(tmp_path: Path) -> None:
    """The options of NFS, and that it shuts out; on CIFS the options are refused as they are for a client."""
    text = share(
        "a", ", access: [{type: clients, to: x, level: none}, {type: clients, to: lab, level: rw, squash: all}]"
    )
    text += client_list("x", "clients: [10.1.0.7]") + LAB
    rules = {rule.access_to: rule for rule in load_text(tmp_path, text).desired.access("share/a")}
    assert rules["10.1.0.7"] == AccessRule("ip", "10.1.0.7", "none")
    assert rules["10.0.0.5"] == AccessRule("ip", "10.0.0.5", "rw", (("squash", "all"),))
    rule = "{share: a, type: clients, to: lab, level: rw, insecure: true}"
    assert codes(load_text(tmp_path, cifs("a") + LAB + document("AccessRule", "r", rule))) == ["access-option"]
    assert codes(load_text(tmp_path, cifs("a", f", access: [{rule.replace('share: a, ', '')}]") + LAB)) == [
        "access-option"
    ]


def test_rules_beside_a_list_are_added_to_its_clients(tmp_path: Path) -> None:
    """And so are those of several lists with levels of their own; an empty one adds nobody."""
    rules = ", access: [{type: ip, to: 10.9.0.0/16, level: ro}, {type: clients, to: lab, level: rw}, {type: clients, to: x, level: ro}]"
    text = share("a", rules) + LAB + client_list("x", "clients: []")
    text += document("AccessRule", "r", "{share: a, type: ip, to: 10.0.0.7, level: rw}")
    desired = load_text(tmp_path, text).desired
    assert access(desired) == ["10.0.0.5 rw", "10.0.0.7 rw", "10.1.0.0/24 rw", "10.9.0.0/16 ro", "2001:db8::5 rw"]
    assert desired.digests["share/a"][16:] == access_digest(desired.access("share/a"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (client_list("l", ""), [("a.yaml:4:7", "schema")]),
        (client_list("l", "clients: [10.0.0.0]"), []),
        (client_list("l", "clients: [10.0.0.1/8]"), [("a.yaml:4:18", "host-bits")]),
        (client_list("l", "clients: [10.0.0.1, 0.0.0.0]"), [("a.yaml:4:28", "nobody")]),
        (client_list("l", "clients: [ws01.example.org, '@hpc', '*.x']"), 3 * ["ip"]),
        (client_list("l", "clients: [10.0, '']"), [("a.yaml:4:18", "schema"), ("a.yaml:4:24", "schema")]),
        (client_list("l", "names: {h.x: []}"), [("a.yaml:4:21", "schema")]),
        (client_list("l", "names: {h.x: [10.0.0.1, h.y]}"), [("a.yaml:4:32", "ip")]),
        (client_list("l", "names: {'*.x': [10.0.0.1]}"), [("a.yaml:4:16", "schema")]),
        (client_list("l", "lists: [l]"), [("a.yaml:4:16", "cycle")]),
        (client_list("l", "lists: [m, n]"), [("a.yaml:4:16", "dangling"), ("a.yaml:4:19", "dangling")]),
        (share("a", uses("lab")), [("a.yaml:4:64", "dangling")]),
        (share("a", uses("L")), [("a.yaml:4:64", "list")]),
        (share("a", uses("10.0.0.0/8")), [("a.yaml:4:64", "list")]),
        (share("a", uses("lab", "lab")) + LAB, [("a.yaml:4:101", "duplicate-access")]),
        (
            cifs("a", ", access: [{type: user, to: alice, level: rw}, {type: clients, to: l, level: rw}]")
            + client_list("l", "lists: [m]")
            + client_list("m", "clients: []"),
            [("a.yaml:4:101", "empty-list")],
        ),
        (
            cifs(
                "a",
                ", access: [{type: user, to: alice, level: rw}, {type: clients, to: l, level: rw}, {type: ip, to: 10.0.0.1, level: rw}]",
            )
            + client_list("l", "clients: []"),
            [],
        ),
        (
            cifs("a", ", access: [{type: user, to: alice, level: rw}, {type: clients, to: l, level: none}]")
            + client_list("l", "clients: []"),
            [],
        ),
        (
            share("a", ", access: [{type: clients, to: l, level: w}, {type: clients, to: m, level: ro}]")
            + client_list("l", "clients: [10.0.0.1]")
            + client_list("m", "lists: [l]"),
            [("a.yaml:4:74", "schema")],
        ),
        (
            cifs("a", ", access: [{type: user, to: alice, level: rw}, {type: clients, to: l, level: rw}]")
            + client_list("l", "lists: [m]"),
            [("a.yaml:9:16", "dangling")],
        ),
        (LAB + LAB, [("a.yaml:8:18", "duplicate-name")]),
        (
            share("a") + document("AccessRule", "r", "{share: a, type: clients, to: lab, level: rw}"),
            [("a.yaml:9:37", "dangling")],
        ),
        (
            share("a", uses("lab"))
            + LAB
            + document("AccessRule", "r", "{share: a, type: clients, to: lab, level: ro}"),
            [("a.yaml:14:37", "duplicate-access")],
        ),
        (
            share("a", uses("lab")[:-1] + ", {type: ip, to: 10.0.0.5, level: ro}]") + LAB,
            [("a.yaml:4:96", "duplicate-access")],
        ),
        (
            share("a", uses("lab"))
            + LAB
            + document("AccessRule", "r", "{share: a, type: ip, to: 10.0.0.5, level: ro}"),
            [("a.yaml:14:32", "duplicate-access")],
        ),
        (
            share("a", uses("lab")[:-1] + ", {type: clients, to: m, level: ro}]")
            + share("b", uses("lab")[:-1] + ", {type: clients, to: m, level: ro}]")
            + LAB
            + client_list("m", "clients: [10.1.0.0, 10.1.0.0/24]"),
            [("a.yaml:19:28", "duplicate-access")],
        ),
        (
            client_list("a", "lists: [b]")
            + client_list("b", "lists: [d, c]")
            + client_list("c", "lists: [a]")
            + client_list("d", "clients: []"),
            [("a.yaml:4:16", "cycle")],
        ),
        (
            client_list("a", "lists: [b], clients: [10.0.0.1/8]") + client_list("b", "lists: [a, x]"),
            [("a.yaml:4:16", "cycle"), ("a.yaml:4:30", "host-bits"), ("a.yaml:9:19", "dangling")],
        ),
    ],
)
def test_a_mistake_is_found_at_its_place(
    tmp_path: Path, text: str, expected: list[tuple[str, str]] | list[str]
) -> None:
    """And nothing follows from it that is not one itself."""
    found = load_text(tmp_path, text)
    if expected and isinstance(expected[0], str):
        assert codes(found) == expected
    else:
        assert [brief(each) for each in found.diagnostics] == [(place, f"manifest.{code}") for place, code in expected]


def test_what_two_lists_give_differently_is_told_with_both_places(tmp_path: Path) -> None:
    """Once, however many shares name the two."""
    text = "".join(share(name, uses("lab")[:-1] + ", {type: clients, to: m, level: ro}]") for name in "abc")
    (found,) = load_text(
        tmp_path, text + LAB + client_list("m", "lists: [n]") + client_list("n", "clients: [10.0.0.5]")
    ).diagnostics
    assert str(found.source) == "a.yaml:29:18"
    assert found.summary == (
        "share/a gives 10.0.0.5 ro by client_list/m, and rw by client_list/lab; the other place is a.yaml:19:18"
    )


def test_a_list_that_is_named_with_two_levels_is_told_at_the_second_rule(tmp_path: Path) -> None:
    """Itself by one and as a part of another by the other."""
    text = share("a", uses("all")) + document("AccessRule", "r", "{share: a, type: clients, to: lab, level: ro}")
    (found,) = load_text(tmp_path, text + client_list("all", "lists: [lab]") + LAB).diagnostics
    assert (str(found.source), found.address) == ("a.yaml:9:37", "access_rule/r")
    assert found.summary == (
        "share/a gives 10.0.0.5 ro by client_list/lab, and rw by client_list/all; the other place is a.yaml:4:64; "
        "and 2 more clients"
    )


def test_a_mistake_in_a_list_is_told_once_and_not_of_the_shares(tmp_path: Path) -> None:
    """One whose document cannot be used is not called missing."""
    shares = share("a", uses("l")) + share("b", uses("l"))
    assert codes(load_text(tmp_path, shares + client_list("l", "clients: [10.0.0.256]"))) == ["ip"]
    assert codes(load_text(tmp_path, shares + client_list("l", "clients: 7"))) == ["schema"]
    assert codes(load_text(tmp_path, shares + client_list("l", "clients: [}"))) == ["syntax"]


def test_a_selection_finds_the_lists_that_are_not_there(tmp_path: Path) -> None:
    """Once for a document that gives the rule to several shares."""
    rule = document("AccessRule", "r", "{shares: [a, b, c], type: clients, to: lab, level: rw}")
    load_text(tmp_path, share("a") + share("b") + share("c", uses("l")) + rule)
    places = [str(each.source) for each in load_folder(tmp_path, only={"share/a", "share/b"}).diagnostics]
    assert places == ["a.yaml:19:46"]
    assert codes(load_folder(tmp_path, only={"share/c"})) == ["dangling", "dangling"]


def test_a_list_that_changes_in_another_file_changes_its_shares(tmp_path: Path) -> None:
    """Also those whose own files are taken from the cache, and whose lists hold it."""
    load_text(tmp_path, share("a", uses("all")) + share("b") + client_list("all", "lists: [lab]"))
    (tmp_path / "lab.yaml").write_text(LAB, encoding="utf-8")

    def loaded() -> Desired:
        return load_folder(tmp_path, "a.yaml", "lab.yaml", cache=ManifestCache(tmp_path / "cache")).desired

    first = loaded()
    assert dict(loaded().digests) == dict(first.digests)
    (tmp_path / "lab.yaml").write_text(client_list("lab", "clients: [10.0.0.5]"), encoding="utf-8")
    second = loaded()
    assert (access(second), access(second, "b")) == (["10.0.0.5 rw"], [])
    assert second.digests["share/a"] == first.digests["share/a"][:16] + access_digest(second.access("share/a"))
    assert second.digests["share/b"] == first.digests["share/b"]


def test_the_place_of_a_listed_rule_is_that_of_its_client(tmp_path: Path) -> None:
    """Its labels are those of the document that names the list."""
    rule = document("AccessRule", "r", "{share: b, type: clients, to: all, level: ro}", ", labels: {l: r}")
    text = (
        share("a", uses("all")[:-1] + ", {type: ip, to: 10.0.0.5, level: rw}]", ", labels: {l: a}") + share("b") + rule
    )
    desired = load_text(tmp_path, text + client_list("all", "lists: [lab]") + LAB).desired
    network = "access/ip:10.1.0.0/24"
    assert str(desired.source(f"share/a/{network}")) == "a.yaml:24:28"
    assert str(desired.field_source(f"share/b/{network}", "spec", "level")) == "a.yaml:24:28"
    assert desired.clients_of_lists("share/b") == dict.fromkeys((rule.key for rule in RULES), "client_list/lab")
    assert [desired.labels_of(f"share/{name}/{network}") for name in "ab"] == [{"l": "a"}, {"l": "r"}]
    assert str(desired.source("share/a/access/ip:10.0.0.5")) == "a.yaml:4:81"
    assert desired.clients_of_lists("share/a").keys() == {rule.key for rule in RULES[1:]}
    assert [desired.users_of(f"client_list/{name}") for name in ("lab", "all", "b")] == [
        ["share/a", "share/b"],
        ["share/a", "share/b"],
        [],
    ]
    assert desired.client_lists_of("share/a") == {"client_list/all"}
    assert desired.rule_documents() == {"share/b": frozenset(rule.key for rule in RULES)}
    with pytest.raises(KeyError):
        desired.source("share/b/access/ip:10.9.9.9")


def test_a_list_within_thousands_of_others_is_found(tmp_path: Path) -> None:
    """However deep: nothing of it is recursive."""
    deep = "".join(client_list(f"l{number}", f"lists: [l{number + 1}]") for number in range(3000))
    desired = load_text(tmp_path, share("a", uses("l0")) + deep + client_list("l3000", "clients: [10.0.0.5]")).desired
    assert access(desired) == ["10.0.0.5 rw"]


def test_what_is_kept_does_not_grow_with_the_shares() -> None:
    """Not even where each has rules of its own."""
    lists = ClientLists({})
    for number in range(3 * _MOST_KEPT):
        lists.access((AccessRule("clients", f"l{number}", "rw"),))
    assert len(lists._expansions) <= _MOST_KEPT
    assert len(lists._sets) <= _MOST_KEPT
