"""Defaults of a project: documents say them where they say nothing themselves, and never an old one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sharectl.manifests.cache as cache_module
import sharectl.manifests.compile as compile_module
from sharectl.manifests.cache import ManifestCache
from sharectl.manifests.defaults import Defaults
from sharectl.manifests.project import find_project
from sharectl.model.diagnostics import DiagnosticError, Source
from tests.manifests.support import brief, codes, document, load_folder, load_text, share

if TYPE_CHECKING:
    from pathlib import Path

    from sharectl.manifests.findings import Path as FieldPath

TYPES = document("ShareType", "gold", "{extraSpecs: {x: 1}}") + document("ShareType", "plain", "{extraSpecs: {x: 1}}")
GOLD = {"kind": "Share", "matchLabels": {"tier": "gold"}, "spec": {"type": "gold"}}
PROJECT = "apiVersion: sharectl/v1\nkind: Project\nspec:\n  defaults:\n"


def place(path: FieldPath) -> Source:
    """Stand in for the project file: the line is the number of the entry."""
    return Source("sharectl.yaml", int(path[1]) + 1, 1)


def defaults(*entries: dict[str, Any]) -> Defaults:
    """Return defaults, each with a place."""
    return Defaults(entries, place)


def bare(name: str, spec: str = "{}", labels: str = "") -> str:
    """Return a share that may lack what is required."""
    return document("Share", name, spec, f", labels: {labels}" if labels else "")


def test_a_document_says_what_it_says_and_has_the_rest_by_default(tmp_path: Path) -> None:
    """Of entries that match, the last one wins, field by field and label by label."""
    given = defaults(
        {"kind": "Share", "spec": {"size": "1GiB", "protocol": "NFS", "type": "plain", "protect": True}},
        {"kind": "Share", "metadata": {"labels": {"owner": "nas", "tier": "none"}}, "spec": {"size": "2GiB"}},
        GOLD,
        {"kind": "Snapshot", "spec": {"protect": True}},
    )
    text = (
        TYPES
        + bare("a")
        + bare("b", "{size: 3GiB, type: plain, protect: false}", "{tier: gold, owner: me}")
        + bare("c", "{}", "{tier: gold}")
        + document("Snapshot", "s", "{share: a}")
    )
    desired = load_text(tmp_path, text, defaults=given).desired
    a, b, c = (desired.share(f"share/{name}") for name in "abc")
    assert (a.size_bytes, a.protocol, a.share_type, a.protect) == (2 << 30, "NFS", "plain", True)
    assert dict(a.labels) == {"owner": "nas", "tier": "none"}
    assert (b.size_bytes, b.share_type, b.protect, dict(b.labels)) == (
        3 << 30,
        "plain",
        False,
        {"tier": "gold", "owner": "me"},
    )
    assert (c.size_bytes, c.share_type) == (2 << 30, "gold")
    assert desired.snapshot("snapshot/s").protect
    assert {field: source and source.line for field, source in desired.by_default("share/c").items()} == {
        "metadata.labels.owner": 2,
        "spec.protect": 1,
        "spec.protocol": 1,
        "spec.size": 2,
        "spec.type": 3,
    }


def test_labels_that_are_given_match_no_entry(tmp_path: Path) -> None:
    """Else what matches would depend on the order, and on more than the document and one entry."""
    labelled = {"kind": "Share", "metadata": {"labels": {"tier": "gold"}}}
    loaded = load_text(tmp_path, TYPES + share("a"), defaults=defaults(labelled, GOLD))
    assert loaded.desired.share("share/a").share_type is None
    assert loaded.unmatched == ((1, "Share"),)


def test_a_mapping_is_taken_as_a_whole(tmp_path: Path) -> None:
    """A document without snapshots does not get those of the default, and one with others not its hours."""
    given = defaults({"kind": "Share", "spec": {"snapshotPolicy": {"daily": {"keep": 7, "hour": 3}}}})
    text = share("a") + share("b", ", snapshotPolicy: {}") + share("c", ", snapshotPolicy: {daily: {keep: 2}}")
    desired = load_text(tmp_path, text, defaults=given).desired
    assert desired.plain("share/a")["snapshot_policy"]["daily"] == {"keep": 7, "hour": 3}
    assert desired.plain("share/b")["snapshot_policy"] == {}
    assert desired.plain("share/c")["snapshot_policy"]["daily"] == {"keep": 2}


def test_of_protocol_and_protocols_the_one_that_is_written_stands_alone(tmp_path: Path) -> None:
    """In a document, and in an entry behind another."""
    first = {"kind": "Share", "spec": {"size": "1GiB", "protocol": "CIFS"}}
    second = {"kind": "Share", "matchLabels": {"x": "y"}, "spec": {"protocols": ["NFS", "CIFS"]}}
    text = (
        bare("a")
        + bare("b", "{protocols: [NFS, CIFS]}")
        + bare("c", "{}", "{x: y}")
        + bare("d", "{protocol: NFS}", "{x: y}")
    )
    desired = load_text(tmp_path, text, defaults=defaults(first, second)).desired
    found = [desired.share(f"share/{name}").protocol for name in "abcd"]
    assert found == ["CIFS", "NFS_CIFS", "NFS_CIFS", "NFS"]


def test_null_takes_a_default_away_where_no_value_would(tmp_path: Path) -> None:
    """Where there is none to take away, and where a value says the same, it is as wrong as ever: it may be a value that was forgotten."""
    given = defaults({"kind": "Share", "spec": {"type": "plain", "protect": True, "size": "1GiB"}})
    desired = load_text(tmp_path / "a", TYPES + share("a", ", type: null"), defaults=given).desired
    assert desired.share("share/a").share_type is None
    assert "spec.type" not in desired.by_default("share/a")
    for wrong in (", protect: null", ", availabilityZone: null", ", protect: ~"):
        loaded = load_text(tmp_path / "b", TYPES + share("a", wrong), defaults=given)
        assert codes(loaded) == ["schema"]
    assert codes(load_text(tmp_path / "b", TYPES + bare("a", "{size: null, protocol: NFS}"), defaults=given)) == [
        "schema"
    ]


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the files that are compiled; the status of a file counts at once."""
    calls: list[int] = []
    original = compile_module.compile_file

    def counted(data: bytes, *others: object) -> object:
        calls.append(len(data))
        return original(data, *others)

    monkeypatch.setattr(compile_module, "compile_file", counted)
    monkeypatch.setattr(cache_module, "_SETTLED_NANOSECONDS", -(10**12))
    return calls


def test_a_changed_default_is_never_answered_from_the_cache(tmp_path: Path, compiled: list[int]) -> None:
    """Whether it is changed, taken away or brought back; files that hold nothing that takes defaults are not compiled again."""
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "types.yaml").write_text(TYPES)
    (folder / "shares.yaml").write_text(share("a") + share("b", ", type: plain"))
    plain, gold = ({"kind": "Share", "spec": {"type": name}} for name in ("plain", "gold"))
    asked: list[tuple[list[dict[str, Any]], str | None]] = [
        ([], None),
        ([plain], "plain"),
        ([plain], "plain"),
        ([gold], "gold"),
        ([plain, gold], "gold"),
        ([gold, plain], "plain"),
        ([], None),
    ]
    numbers = []
    for entries, wanted in asked:
        for only in (None, {"share/a"}):
            cache = ManifestCache(tmp_path / "cache")
            desired = load_folder(folder, cache=cache, only=only, defaults=defaults(*entries)).desired
            assert desired.share("share/a").share_type == wanted
            assert bool(desired.by_default("share/a")) == bool(entries)
        assert desired.addresses
        numbers.append(len(compiled))
    assert numbers == [2, 3, 3, 4, 5, 6, 7]


def test_what_the_cache_keeps_of_others_is_not_taken_for_these_defaults(tmp_path: Path, compiled: list[int]) -> None:
    """Files that a run does not read keep their place in the cache, also where it is put in order: but only with the same defaults."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a.yaml").write_text(share("a"))
    given = defaults({"kind": "Share", "spec": {"protect": True}})
    load_folder(tmp_path / "m", cache=ManifestCache(tmp_path / "cache"))
    for number in range(10):  # more than the packs that are kept apart
        load_text(tmp_path / f"other-{number}", share("b"), cache=ManifestCache(tmp_path / "cache"), defaults=given)
        (tmp_path / f"other-{number}" / "a.yaml").write_text(share(f"b{number}"))
        load_folder(tmp_path / f"other-{number}", cache=ManifestCache(tmp_path / "cache"), defaults=given)
    before = len(compiled)
    desired = load_folder(tmp_path / "m", cache=ManifestCache(tmp_path / "cache"), defaults=given).desired
    assert desired.share("share/a").protect
    assert len(compiled) == before + 1


def test_what_is_wrong_by_default_is_said_once_and_where_it_stands(tmp_path: Path) -> None:
    """With one of the shares; what a share says itself is said there."""
    given = defaults({"kind": "Share", "spec": {"protocol": "NFS"}}, {"kind": "Share", "spec": {"type": "silver"}})
    text = TYPES + "".join(share(name) for name in "abc") + share("d", ", type: bronze")
    loaded = load_text(tmp_path, text, defaults=given)
    assert [brief(found) for found in loaded.diagnostics] == [
        ("a.yaml:29:41", "manifest.dangling"),
        ("sharectl.yaml:2:1", "manifest.dangling"),
    ]
    assert loaded.diagnostics[1].address == "share/a"
    assert loaded.diagnostics[1].detail == "share/a and 2 more have it by default."


FIELDS = {
    "size": st.sampled_from(["1GiB", "2TiB"]),
    "protocol": st.sampled_from(["NFS", "CIFS"]),
    "type": st.sampled_from(["gold", "plain"]),
    "deletionPolicy": st.sampled_from(["retain", "trash"]),
    "protect": st.booleans(),
    "snapshotPolicy": st.sampled_from([{}, {"daily": {"keep": 1}}]),
}
LABELS = st.dictionaries(st.sampled_from(["tier", "x"]), st.sampled_from(["gold", "y"]), max_size=2)
SPECS = st.fixed_dictionaries({}, optional=FIELDS)


@st.composite
def entries(draw: st.DrawFn) -> dict[str, Any]:
    """Draw an entry of the defaults."""
    entry: dict[str, Any] = {"kind": "Share", "spec": draw(SPECS), "metadata": {"labels": draw(LABELS)}}
    wanted = draw(LABELS)
    return {**entry, "matchLabels": wanted} if wanted else entry


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=st.lists(entries(), max_size=4), spec=SPECS, labels=LABELS)
def test_a_document_with_defaults_is_that_document_written_out(
    tmp_path: Path, entries: list[dict[str, Any]], spec: dict[str, Any], labels: dict[str, str]
) -> None:
    """To the last bit of its digest, so that writing a default out, or leaving one to it, changes nothing."""
    matching = [each for each in entries if each.get("matchLabels", {}).items() <= labels.items()]
    base = {"kind": "Share", "spec": {"size": "1GiB", "protocol": "NFS"}}
    whole: dict[str, Any] = dict(base["spec"])  # type: ignore[call-overload]
    whole_labels: dict[str, str] = {}
    for each in matching:
        whole |= each["spec"]
        whole_labels |= each["metadata"]["labels"]
    texts = []
    for chosen, chosen_labels in ((spec, labels), ({**whole, **spec}, {**whole_labels, **labels})):
        texts.append(TYPES + document("Share", "a", repr_flow(chosen), f", labels: {repr_flow(chosen_labels)}"))
    short = load_text(tmp_path / "short", texts[0], defaults=defaults(base, *entries))
    full = load_text(tmp_path / "full", texts[1])
    assert short.desired.digests == full.desired.digests
    assert short.desired.labels_of("share/a") == full.desired.labels_of("share/a")
    assert short.diagnostics == full.diagnostics == ()


def repr_flow(value: object) -> str:
    """Return JSON, which is YAML in flow style."""
    return orjson.dumps(value).decode()


WRONG = {
    "{kind: Backend, spec: {driver: x}}": ("5:14", "choose Share or Snapshot; documents of this kind are few"),
    "{kind: AccessRule}": ("5:14", "a ClientList"),
    "{kind: Share, protect: true}": ("5:21", "under `spec` of this entry"),
    "{kind: Share, labels: {x: y}}": ("5:21", "under `metadata` of this entry"),
    "{kind: Share, spec: {access: []}}": ("5:28", "who reaches a share is said by the share itself"),
    "{kind: Share, spec: {allowShrink: true}}": ("5:28", "write it in them"),
    "{kind: Share, spec: {replacement: deleteFirst}}": ("5:28", "write it in them"),
    "{kind: Share, spec: {revertTo: {snapshot: s, request: x}}}": ("5:28", "write it in them"),
    "{kind: Share, spec: {sourceSnapshot: s}}": ("5:28", "of one document alone"),
    "{kind: Share, spec: {exportName: X}}": ("5:28", "of one document alone"),
    "{kind: Share, spec: {deletionPolicy: delete}}": ("5:44", "a default that destroys data"),
    "{kind: Share, spec: {typo: x}}": ("5:28", 'did you mean "type"?'),
    "{kind: Share, spec: {type: null}}": ("5:34", "a name is"),
    "{kind: Share, spec: {size: 1}}": ("5:34", "1GiB"),
    "{kind: Share, spec: {protocol: NFS, protocols: [NFS]}}": ("5:43", "keep one of them"),
    "{kind: Share, spec: {snapshotPolicy: {timeZone: Mars/Base}}}": ("5:55", "IANA"),
    "{kind: Share, spec: {availabilityZone: a}, matchLabels: {}}": ("5:63", "expected here"),
    "{kind: Share, metadata: {name: x}}": ("5:32", "of one document alone"),
    "{kind: Share, metadata: {annotations: {x: y}}}": ("5:32", "of one document alone"),
    '{kind: Share, metadata: {labels: {x: "${TEAM}"}}}': ("5:44", "expands no variables"),
    '{kind: Share, spec: {size: "${SIZE}"}}': ("5:34", "expands no variables"),
    "{kind: Share}": ("5:7", "leave it out"),
    "{kind: Snapshot, spec: {type: x}}": ("5:31", "deletionPolicy and protect"),
    "{kind: Snapshot, spec: {share: x}}": ("5:31", "of one document alone"),
}


@pytest.mark.parametrize("entry", WRONG)
def test_what_can_be_no_default_is_said_at_its_place(tmp_path: Path, entry: str) -> None:
    """Once, with what to do; and nothing of the manifests is judged by what is left of the project file."""
    (tmp_path / "sharectl.yaml").write_text(f"{PROJECT}    - {entry}\n")
    with pytest.raises(DiagnosticError) as caught:
        find_project(tmp_path)
    assert caught.value.project is None  # type: ignore[attr-defined]
    first = caught.value.diagnostics[0]
    assert (str(first.source), WRONG[entry][1] in first.remedy) == (f"sharectl.yaml:{WRONG[entry][0]}", True), first
