"""ShareSets: each share is what its own document would make of it, and each mistake is told at the value that is wrong."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from sharectl.manifests.cache import ManifestCache
from sharectl.manifests.compile import compile_file, names_in_text
from sharectl.manifests.defaults import Defaults
from sharectl.manifests.expansion import expanded
from sharectl.manifests.findings import Checker
from sharectl.manifests.layout import arranged
from sharectl.manifests.places import entry_alone
from sharectl.manifests.reader import Document, read_documents
from sharectl.manifests.schemas import DriverSchemas
from sharectl.manifests.share_sets import RangeError, members_of, names_of, patched
from sharectl.manifests.syntax import MAX_EVENTS_PER_DOCUMENT
from sharectl.manifests.validation import SoundDocument
from tests.manifests.support import SCHEMAS, codes, document, load_folder, load_text, share
from tools.set_schema import SCHEMA, share_set_schema

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "apiVersion: sharectl/v1\nkind: ShareSet\n"
SET = f"""\
{HEAD}metadata: {{name: homes, labels: {{team: hr, site: b}}}}
spec:
  template:
    size: 10GiB
    protocol: NFS
    access:
      - {{type: ip, to: 10.0.0.0/8, level: rw}}
      - {{type: ip, to: 10.9.0.0/16, level: none}}
    snapshotPolicy: {{daily: {{keep: 7, hour: 3}}}}
  shares:
    home-alice: {{}}
    home-bob: {{size: 50GiB, access: [{{type: ip, to: 10.1.0.0/16, level: ro}}]}}
    home-carol:
      labels: {{team: it, site: null}}
      snapshotPolicy: {{daily: {{hour: null}}, weekly: {{keep: 2}}}}
    scratch-[01-03]: {{}}
"""
MEMBERS = ["home-alice", "home-bob", "home-carol", "scratch-01", "scratch-02", "scratch-03"]


def told(folder: Path, text: str) -> list[tuple[str, str, str | None]]:
    """Return place and code, summary and address of each diagnostic of a file."""
    found = load_text(folder, text).diagnostics
    return [(f"{each.source} {each.code.removeprefix('manifest.')}", each.summary, each.address) for each in found]


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("a", ["a"]),
        ("a-[1-3]", ["a-1", "a-2", "a-3"]),
        ("a-[08-11].x", ["a-08.x", "a-09.x", "a-10.x", "a-11.x"]),
        ("[8-10]", ["8", "9", "10"]),
        ("a[01-02,7]b", ["a01b", "a02b", "a7b"]),
        ("a[0-1]", ["a0", "a1"]),
    ],
)
def test_a_range_stands_for_its_names(key: str, names: list[str]) -> None:
    """As the host lists of clusters do; zeros in front say how many digits there are."""
    assert names_of(key) == names


@pytest.mark.parametrize(
    "key",
    [
        *("a[]", "a[1-]", "a[3-1]", "a[01-100]", "a[1-05]", "a[1][2]", "a[x]", "a[1,]"),
        *("[1-3]-", ".[1-2]", "a[0-200000]", "a[1-999999999]", f"{'a' * 62}[10-11]"),
    ],
)
def test_what_is_no_range_is_refused(key: str) -> None:
    """Nothing is guessed, and nothing huge is made of a few characters."""
    with pytest.raises(RangeError):
        names_of(key)


def test_an_entry_is_a_merge_patch_of_the_template() -> None:
    """The examples of RFC 7396, those that are mappings."""
    for target, patch, result in (
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ):
        assert patched(target, patch) == result


def test_shares_of_a_set_are_as_if_written_out(tmp_path: Path) -> None:
    """The digests are the same, and with them everything that a plan compares; comments above the set stay."""
    rule = document("AccessRule", "r", "{share: home-alice, type: ip, to: 11.0.0.1, level: ro}")
    snapshot = document("Snapshot", "s", "{share: scratch-02}")
    before = "# ours\n" + SET + "---\n" + rule + snapshot
    after, problems = expanded("a.yaml", before)
    assert problems == []
    assert after.startswith("# ours\napiVersion: sharectl/v1\nkind: Share\n")
    assert after.endswith(rule + snapshot)
    one, other = (load_text(tmp_path, text) for text in (before, after))
    assert one.diagnostics == other.diagnostics == ()
    assert one.desired.digests == other.desired.digests
    assert list(one.desired.digests) == [*(f"share/{name}" for name in MEMBERS), "snapshot/s"]
    for address in one.desired.digests:
        assert one.desired.plain(address) == other.desired.plain(address)
    assert one.desired.plain("share/home-carol")["labels"] == {"team": "it"}
    assert [rule.key for rule in one.desired.access("share/home-bob")] == ["ip:10.1.0.0/16"]
    assert one.desired.plain("share/home-carol")["snapshot_policy"] == {"daily": {"keep": 7}, "weekly": {"keep": 2}}
    assert one.desired.shares_of_set("share_set/homes") == [f"share/{name}" for name in MEMBERS]


def test_a_share_of_a_set_is_found_where_it_is_said(tmp_path: Path) -> None:
    """Its name at its entry, each field there or in the template; also where only this share is loaded, and from the cache."""
    (tmp_path / "c").mkdir()
    for _ in range(2):
        cache = ManifestCache(tmp_path / "cache")
        desired = load_text(tmp_path / "m", SET, cache=cache, only={"share/home-bob", "share/scratch-02"}).desired
        assert list(desired.digests) == ["share/home-bob", "share/scratch-02"]
        places = {
            ("home-bob",): "a.yaml:14:5",
            ("scratch-02",): "a.yaml:18:5",
            ("home-bob", "spec", "size"): "a.yaml:14:22",
            ("home-bob", "spec", "protocol"): "a.yaml:7:15",
            ("home-bob", "spec", "snapshotPolicy", "daily", "keep"): "a.yaml:11:36",
            ("scratch-02", "spec", "size"): "a.yaml:6:11",
            ("scratch-02", "metadata", "labels", "team"): "a.yaml:3:40",
            ("home-bob", "spec", "access", 1): "a.yaml:14:37",  # there is none: the list of the entry is all
            ("home-bob", "spec", "type"): "a.yaml:14:15",
        }
        for (name, *path), place in places.items():
            address = f"share/{name}"
            source = desired.field_source(address, *path) if path else desired.source(address)
            assert str(source) == place, (name, path)
        assert str(desired.rule_source("share/home-bob/access/ip:10.1.0.0/16")) == "a.yaml:14:38"
        assert str(desired.rule_source("share/scratch-02/access/ip:10.0.0.0/8")) == "a.yaml:9:9"
    carol = load_text(tmp_path / "m", SET).desired
    assert str(carol.field_source("share/home-carol", "spec", "snapshotPolicy", "weekly", "keep")) == "a.yaml:17:60"
    assert str(carol.field_source("share/home-carol", "spec", "snapshotPolicy", "daily", "keep")) == "a.yaml:11:36"
    assert str(carol.field_source("share/home-carol", "metadata", "labels", "team")) == "a.yaml:16:22"


@pytest.mark.parametrize(
    ("old", "new", "place", "words", "address"),
    [
        ("size: 10GiB", "size: 10", "6:11 schema", "spec.template.size must be text", "share_set/homes"),
        ("    size: 10GiB\n", "", "6:5 missing", "`size` is missing in spec (in 5 shares of share_set/homes)", "share_set/homes"),
        ("protocol: NFS", "protocol: NFS\n    type: gold", "8:11 dangling", "'gold' (in 6 shares of", "share_set/homes"),
        ("10.0.0.0/8", "10.0.0.1/8", "9:24 host-bits", "(in 5 shares of share_set/homes)", "share_set/homes"),
        ("to: 10.1.0.0/16", "to: 10.1.0.1/16", "14:53 host-bits", "names a host within", "share/home-bob"),
        ("50GiB, ", "50GiB, type: gold, ", "14:35 dangling", "there is no ShareType 'gold'", "share/home-bob"),
        ("home-alice: {}", "home-alice: {size: x}", "13:24 schema", "spec.shares.home-alice.size cannot", "share_set/homes"),
        ("home-alice: {}", "home-alice: {sise: 5GiB}", "13:18 unknown-field", "no field `sise`", "share_set/homes"),
        ("home-alice: {}", "home-alice: 5", "13:17 schema", "must be a mapping, not the number", "share_set/homes"),
        ("home-alice: {}", "home-alice:", "13:16 schema", "must be a mapping, not empty", "share_set/homes"),
        ("home-alice: {}", "home-alice: {size: null}", "13:18 missing", "`size` is missing", "share/home-alice"),
        ("home-alice: {}", "home-alice: {protocols: [NFS, CIFS]}", "13:18 schema", "cannot stand beside", "share/home-alice"),
        ("keep: 7, ", "", "11:29 missing", "`keep` is missing", "share_set/homes"),
        ("keep: 7", "keep: -7", "11:36 schema", "must be at least 0", "share_set/homes"),
        ("home-alice", "Home-Alice", "13:5 schema", "'Home-Alice' cannot be a name", "share_set/homes"),
        ("home-alice", "home-bob", "14:5 duplicate-key", "`home-bob` stands twice", None),
        ("home-alice", "scratch-02", "18:5 duplicate-name", "the other place is a.yaml:13:5", "share/scratch-02"),
        ("[01-03]", "[01-3]", "18:5 range", "have 2 and 1 digits", "share_set/homes"),
        ("labels: {team: hr", "annotations: {sharectl/moved-from: x", "3:39 moved", "only a share", "share_set/homes"),
        ("team: hr", "team: 5", "3:40 schema", "metadata.labels.team must be text", "share_set/homes"),
        ("size: 10GiB", "size: ${SIZE}", "6:11 schema", "spec.template.size cannot be", "share_set/homes"),
        ("name: homes", "name: Homes", "3:18 schema", "metadata.name cannot be", None),
    ],
)  # fmt: skip
def test_a_mistake_is_told_where_it_is_and_once(  # noqa: PLR0913, PLR0917 - the parts of a case
    old: str, new: str, place: str, words: str, address: str | None, tmp_path: Path
) -> None:
    """With the number of shares where it is the template's; nothing that follows from it is told as well."""
    assert old in SET
    rule = document("AccessRule", "r", "{shares: [home-carol, home-bob], type: ip, to: 11.0.0.1, level: ro}")
    found = told(tmp_path, SET.replace(old, new, 1) + "---\n" + rule)
    assert [each[0] for each in found][: 1 if old == "keep: 7, " else None] == [f"a.yaml:{place}"], found
    assert words in found[0][1]
    assert found[0][2] == address


def test_a_name_that_is_part_of_the_message_does_not_tell_it_apart(tmp_path: Path) -> None:
    """Each of these names stands in `there is no ShareType 'nope'`, none of them as a name."""
    text = f"{HEAD}metadata: {{name: homes}}\nspec:\n  template: {{size: 1GiB, protocol: NFS, type: nope}}\n  shares: {{a: {{}}, e: {{}}, no: {{}}, home: {{}}}}\n"
    assert [summary for _, summary, _ in told(tmp_path, text)] == [
        "there is no ShareType 'nope' (in 4 shares of share_set/homes)"
    ]


def test_what_shares_of_a_set_without_a_name_have_wrong_is_of_no_address(tmp_path: Path) -> None:
    """Nothing else has the place of an address."""
    text = f"{HEAD}metadata: {{name: Homes}}\nspec:\n  template: {{size: 1GiB, protocol: NFS, type: nope}}\n  shares: {{a: {{}}, b: {{}}}}\n"
    assert told(tmp_path, text)[1][1:] == ("there is no ShareType 'nope' (in 2 shares of a ShareSet)", None)


@pytest.mark.parametrize(
    ("entry", "remedy"),
    [
        ("spec: {size: 2GiB}", "without `spec` around them"),
        ("metadata: {labels: {a: b}}", "write `labels` and `annotations` here"),
        ("name: x", "the key of the entry is the name"),
    ],
)
def test_an_entry_written_as_a_document_is_told_what_it_takes(tmp_path: Path, entry: str, remedy: str) -> None:
    """Who has written Shares so far writes the same here first."""
    text = f"{HEAD}metadata: {{name: homes}}\nspec:\n  template: {{size: 1GiB, protocol: NFS}}\n  shares: {{a: {{{entry}}}}}\n"
    (found,) = load_text(tmp_path, text).diagnostics
    assert (found.code, remedy in found.remedy) == ("manifest.unknown-field", True)


def test_an_empty_set_is_refused(tmp_path: Path) -> None:
    """What is to be removed is removed in sight: nobody loses shares by a loop that wrote nothing."""
    for shares in ("{}", "", "[]"):
        found = told(tmp_path, f"{HEAD}metadata: {{name: a}}\nspec: {{shares: {shares}}}\n")
        assert [place for place, *_ in found] == ["a.yaml:4:16 schema"], found
    assert [place for place, *_ in told(tmp_path, f"{HEAD}metadata: {{name: a}}\nspec: {{}}\n")] == [
        "a.yaml:4:7 missing"
    ]


def test_two_definitions_of_a_share_are_told_with_both_places(tmp_path: Path) -> None:
    """Two sets, or a set and a document; two sets of one name as well."""
    one = f"{HEAD}metadata: {{name: a}}\nspec:\n  template: {{size: 1GiB, protocol: NFS}}\n  shares: {{x: {{}}, y: {{}}}}\n---\n"
    found = told(tmp_path, one + one.replace("name: a", "name: b").replace("y:", "z:") + share("z"))
    assert [(place, summary.rpartition(" ")[2]) for place, summary, _ in found] == [
        ("a.yaml:13:12 duplicate-name", "a.yaml:6:12"),
        ("a.yaml:17:18 duplicate-name", "a.yaml:13:19"),
    ]
    found = told(tmp_path, one + one.replace("x: ", "w: ").replace("y:", "z:"))
    assert [place for place, *_ in found] == ["a.yaml:10:18 duplicate-name"]


def test_a_share_keeps_its_address_whatever_describes_it(tmp_path: Path) -> None:
    """Another name of the set, another set, a document of its own: nothing changes."""
    digests = load_text(tmp_path, SET).desired.digests
    assert load_text(tmp_path, SET.replace("name: homes", "name: other")).desired.digests == digests
    two = SET.replace("    scratch-[01-03]: {}\n", "")
    rest = (
        SET.replace("name: homes", "name: rest").partition("    home-alice")[0]
        + "    scratch-[01,02]: {}\n    scratch-03: {}\n"
    )
    assert dict(load_text(tmp_path, f"{two}---\n{rest}").desired.digests) == dict(digests)


def test_anchors_and_merge_keys_work_as_anywhere(tmp_path: Path) -> None:
    """A share that is merged into the names has a place, too."""
    text = f"""\
{HEAD}metadata: {{name: a}}
spec:
  template: {{size: 1GiB, protocol: NFS}}
  shares:
    x: &big {{size: 2GiB}}
    y: *big
    z: {{<<: *big, protect: true}}
"""
    desired = load_text(tmp_path, text).desired
    assert [desired.plain(f"share/{name}")["size_bytes"] >> 30 for name in "xyz"] == [2, 2, 2]
    assert desired.plain("share/z")["protect"] is True
    assert str(desired.field_source("share/z", "spec", "size")) == "a.yaml:7:20"
    merged = f"{HEAD}metadata: {{name: a}}\nspec:\n  shares: {{<<: {{v: {{size: 1GiB, protocol: NFS}}}}, w: {{size: x, protocol: NFS}}}}\n"
    loaded = load_text(tmp_path, merged)
    assert codes(loaded) == ["schema"]
    assert str(loaded.readable.source("share/v")) == "a.yaml:5:12"


def test_a_share_can_have_moved_into_a_set(tmp_path: Path) -> None:
    """The annotation is that of its entry."""
    text = SET.replace("home-alice: {}", "home-alice: {annotations: {sharectl/moved-from: alice}}")
    assert load_text(tmp_path, text).desired.moves == {"share/home-alice": ("share/alice",)}


def test_names_of_a_set_that_cannot_be_read_may_be_there(tmp_path: Path) -> None:
    """A rule that names one of them is not told to name nothing."""
    assert names_in_text(SET.encode()) >= {*MEMBERS, "homes"}
    rule = document("AccessRule", "r", "{shares: [home-alice, scratch-02], type: ip, to: 11.0.0.1, level: ro}")
    assert codes(load_text(tmp_path, SET.replace("home-bob: {", "home-bob: [") + "---\n" + rule)) == ["syntax"]


def test_a_set_too_large_is_refused() -> None:
    """At the name that is too much; the promise is a hundred thousand."""
    shares = {"a[1-60000]": {}, "b[1-60000]": {}}
    value = {"metadata": {"name": "a"}, "spec": {"template": {"size": "1GiB", "protocol": "NFS"}, "shares": shares}}
    checker = Checker((0, 1), "share_set/a", [])
    found = list(members_of(Document(0, value, 1, 1, 1, sound=True), SoundDocument(value), checker))
    assert (len(found), found[-1].name) == (60_000, "a60000")
    assert [(each.code, each.path[-1]) for each in checker.findings] == [("manifest.too-large", "b[1-60000]")]


def test_a_set_costs_no_more_than_its_documents() -> None:
    """Where all of its shares differ, too; it may hold more values than any other document."""
    head = f"{HEAD}metadata: {{name: a}}\nspec:\n  template: {{protocol: NFS}}\n  shares:\n"
    drivers = DriverSchemas(SCHEMAS.get, lambda: tuple(SCHEMAS))
    small = head + "".join(f"    home-{number}: {{size: {number + 1}GiB}}\n" for number in range(1_500))
    documents = "".join(share(f"home-{number}") for number in range(1_500))
    seconds = []
    for text in (small, documents, small, documents):  # the first two load what is needed
        begin = time.process_time()
        compiled, _ = compile_file(text.encode(), drivers)
        seconds.append(time.process_time() - begin)
        assert (len(compiled.index.addresses), compiled.findings) == (1_500, [])
    assert seconds[2] < 2 * seconds[3]
    many = f"{head}    a: [{'x,' * MAX_EVENTS_PER_DOCUMENT}]\n"
    assert read_documents(many.encode()).problems == []


def test_fields_are_put_into_the_order_of_the_reference() -> None:
    """In the template and in each entry; the names stay in theirs."""
    text = SET.replace("    size: 10GiB\n    protocol: NFS\n", "    protocol: NFS\n    size: 10GiB\n")
    assert arranged(text) == SET
    entry = "    home-carol:\n      snapshotPolicy: {}\n      size: 1GiB\n    home-alice: {}\n"
    done = arranged(f"{HEAD}spec:\n  shares:\n{entry}metadata: {{name: a}}\n")
    assert (
        done
        == f"{HEAD}metadata: {{name: a}}\nspec:\n  shares:\n    home-carol:\n      size: 1GiB\n      snapshotPolicy: {{}}\n    home-alice: {{}}\n"
    )


def test_a_set_that_is_wrong_is_not_written_out(tmp_path: Path) -> None:
    """It stays as it is, and the reason has a place."""
    text = SET.replace("    protocol: NFS\n", "")
    after, problems = expanded("a.yaml", text)
    assert after == text
    assert [(str(each.source), each.code) for each in problems] == [("a.yaml:12:5", "manifest.share-set")]
    del tmp_path


def test_the_schema_follows_from_that_of_shares() -> None:
    """`python -m tools.reference` writes it."""
    assert SCHEMA.read_text(encoding="utf-8") == share_set_schema()


def test_defaults_of_the_project_are_for_shares_of_sets(tmp_path: Path) -> None:
    """By the labels of each; what the template says goes before, and `null` keeps template and default away."""
    defaults = Defaults(
        [
            {"kind": "Share", "spec": {"protect": True, "deletionPolicy": "trash", "size": "9GiB"}},
            {"kind": "Share", "matchLabels": {"team": "it"}, "spec": {"type": "gold"}},
        ]
    )
    types = "".join(document("ShareType", name, "{extraSpecs: {}}") for name in ("gold", "basic"))
    head = f"{HEAD}metadata: {{name: a, labels: {{team: it}}}}\nspec:\n"
    text = f"""\
{types}{head}  template: {{protocol: NFS, deletionPolicy: retain, type: basic}}
  shares:
    a: {{}}
    b: {{size: 1GiB, type: null}}
    c: {{labels: {{team: hr}}, type: null, deletionPolicy: null}}
"""
    before = load_text(tmp_path, text, defaults=defaults)
    assert before.diagnostics == ()
    found = {name: before.desired.plain(f"share/{name}") for name in "abc"}
    assert [each["size_bytes"] >> 30 for each in found.values()] == [9, 1, 9]
    assert [each.get("share_type") for each in found.values()] == ["basic", None, None]
    assert [each.get("deletion_policy", "retain") for each in found.values()] == ["retain", "retain", "trash"]
    assert all(each["protect"] for each in found.values())
    after, problems = expanded("a.yaml", text, defaults)
    assert problems == []
    assert load_text(tmp_path, after, defaults=defaults).desired.digests == before.desired.digests
    untyped = load_text(tmp_path, text.replace("type: basic", "type: null"), defaults=defaults).desired
    assert [untyped.plain(f"share/{name}").get("share_type") for name in "ab"] == [None, None]
    without = text.replace("NFS,", "NFS, size: 1GiB,").replace("type: basic", "type: null")
    assert [place for place, *_ in told(tmp_path, without)] == ["a.yaml:15:71 schema"]


def test_an_edit_of_one_name_is_read_and_the_rest_is_not(tmp_path: Path) -> None:
    """A set is kept by the cache as any file."""
    load_text(tmp_path / "m", SET, cache=ManifestCache(tmp_path / "cache"))
    (tmp_path / "m/b.yaml").write_text(share("z"), encoding="utf-8")
    known = ManifestCache(tmp_path / "cache")
    data = (tmp_path / "m/a.yaml").read_bytes()
    assert known.same(str(tmp_path / "m/a.yaml"), None, data) is not None
    assert len(load_folder(tmp_path / "m", cache=known).desired.digests) == len(MEMBERS) + 1


_NOTES = "".join(f"    # {number}: {'a note that makes the file long ' * 3}\n" for number in range(600))
LARGE = f"""\
{HEAD}metadata: {{name: homes}}
spec:
  template:
    size: 10GiB
    protocol: NFS
    access: [{{type: ip, to: 10.0.0.0/8, level: rw}}]
  shares:
    plain: {{}}
    within:
      access:
      - type: ip
        to: 10.1.0.0/16
# a note that stands at the beginning of its line

        level: ro
    "quoted": {{access: [{{type: ip, to: 10.2.0.0/16, level: rw}}]}}
    named: &named
      access: [{{type: ip, to: 10.3.0.0/16, level: rw}}]
    again: *named
{_NOTES}    ranged-[1-3]:
      access: [{{type: ip, to: 10.4.0.0/16, level: rw}}]
    last: {{size: 20GiB}}
---
{document("Share", "other", "size: 1GiB, protocol: NFS")}"""
ALONE = LARGE.replace("&named", "").replace("*named", "{}")
LINES = {"plain": (8, "10.0.0.0/8"), "within": (13, "10.1.0.0/16"), "quoted": (18, "10.2.0.0/16")} | dict.fromkeys(
    ("named", "again"), (20, "10.3.0.0/16")
)


@pytest.mark.parametrize("text", [LARGE, ALONE, ALONE.replace("\n", "\r\n")], ids=["anchors", "alone", "crlf"])
def test_a_share_of_a_large_set_stands_where_it_does_when_the_whole_set_is_read(tmp_path: Path, text: str) -> None:
    """A rule is looked for in its own entry and in the template, without reading a hundred thousand others."""
    desired = load_text(tmp_path, text).desired
    lines = {**LINES, "again": LINES["named" if "&named" in text else "plain"]}
    places = {name: str(desired.rule_source(f"share/{name}/access/ip:{to}")) for name, (_, to) in lines.items()}
    whole = load_text(tmp_path, text).desired
    for _ in range(11):  # more than are read alone
        whole.field_source("share/last", "spec", "size")
    for name, (line, to) in lines.items():
        address = f"share/{name}/access/ip:{to}"
        assert places[name] == str(whole.rule_source(address)), name
        assert places[name].split(":")[1] == str(line), name
        assert whole.rule_source(address).excerpt == desired.rule_source(address).excerpt


def test_of_a_large_set_one_entry_is_read() -> None:
    """And the template, each on its line; not where what is left may name an anchor in another entry."""
    line, column = ALONE.split("\n").index("    within:"), 4
    alone = entry_alone(ALONE.encode(), line, column)
    assert alone is not None
    assert alone.count(b"\n") == ALONE.count("\n")
    assert all(said in alone for said in (b"10.0.0.0/8", b"10.1.0.0/16", b"level: ro", b"other"))
    assert not any(said in alone for said in (b"plain", b"10.2.0.0/16", b"last", b"the file long"))
    assert entry_alone(LARGE.encode(), line, column) is None
