"""The ground floor: addresses, specs as plain JSON, sizes, diagnostics, digests."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharectl.model.access import NO_ACCESS_DIGEST, AccessRule, access_digest
from sharectl.model.canonical import canonical_json
from sharectl.model.codec import Likes
from sharectl.model.diagnostics import DiagnosticError, Severity, Source, did_you_mean, error, has_errors, warning
from sharectl.model.kinds import Kind, address_of, kind_of, name_of, rule_address, split_rule_address
from sharectl.model.quantities import GIB, SizeError, approximate_size, format_size, parse_size
from sharectl.model.specs import SchedulerHints, ShareSpec, SnapshotSpec

NAMES = st.text("abcxyz-09", min_size=1, max_size=12)
LABELS = st.dictionaries(NAMES | st.just("name"), NAMES, max_size=3)
MAYBE = st.none() | NAMES
SHARES = st.builds(
    ShareSpec,
    name=NAMES,
    size_bytes=st.integers(1, 1 << 60),
    protocol=st.sampled_from(("NFS", "CIFS")),
    share_type=MAYBE,
    availability_zone=MAYBE,
    share_network=MAYBE,
    source_snapshot=MAYBE,
    hints=st.builds(
        SchedulerHints,
        st.lists(NAMES, max_size=2).map(tuple),
        st.lists(NAMES, max_size=2).map(tuple),
        MAYBE,
    ),
    deletion_policy=st.sampled_from(("retain", "delete", "trash")),
    protect=st.booleans(),
    allow_shrink=st.booleans(),
    replacement=st.sampled_from(("refuse", "createFirst", "deleteFirst")),
    labels=LABELS,
)
SNAPSHOTS = st.builds(SnapshotSpec, NAMES, NAMES, st.sampled_from(("retain", "delete")), st.booleans(), LABELS)
RULES = st.builds(AccessRule, st.sampled_from(("ip", "user")), NAMES, st.sampled_from(("rw", "ro")), st.just(()))


@given(SHARES)
def test_a_share_is_equal_after_it_was_made_plain_and_back(spec: ShareSpec) -> None:
    """Whatever it holds."""
    assert ShareSpec.from_plain(spec.as_plain()) == spec


@given(
    st.lists(
        SHARES.flatmap(lambda spec: st.lists(NAMES).map(lambda names: [replace(spec, name=name) for name in names])),
        max_size=4,
    )
)
def test_a_share_made_after_one_that_is_alike_is_equal_to_its_own_text(groups: list[list[ShareSpec]]) -> None:
    """Whatever is called `name` besides, and whatever was read before; and what they have in common is that of shares that differ in their names alone."""
    likes = Likes(ShareSpec)
    seen: dict[object, ShareSpec] = {}
    for spec in [*chain.from_iterable(groups), *chain.from_iterable(groups)]:
        text = canonical_json(spec.as_plain())
        like = likes.like(text, lambda text=text: ShareSpec.from_plain(orjson.loads(text)))
        assert like.named(spec.name) == spec
        assert replace(like.example, name=spec.name) == spec
        assert like.is_shared or like.example == spec
        assert replace(seen.setdefault(like, spec), name=spec.name) == spec


@pytest.mark.parametrize("labels", [{"name": "a"}, {"name": "b"}, {'"name":"a"': "x"}])
def test_a_label_is_never_taken_for_the_name(labels: dict[str, str]) -> None:
    """Nor is the name of one share left in another that is read after it."""
    likes = Likes(ShareSpec)
    for name in ("a", "b", "a"):
        spec = ShareSpec(name, 1, "NFS", labels=labels)
        text = canonical_json(spec.as_plain())
        assert likes.read(text, lambda text=text: ShareSpec.from_plain(orjson.loads(text))) == spec


@pytest.mark.parametrize("name", ['a"b', 'b","labels":{"x":"y"},"size_bytes":2,"z":"', "a\\", "\u00e9", "a\0b", ""])
def test_a_name_is_never_taken_for_more_or_less_than_it_is(name: str) -> None:
    """Whatever JSON writes in place of its characters."""
    likes = Likes(ShareSpec)
    for each in ("a", name, "b", name):
        spec = ShareSpec(each, 1, "NFS")
        text = canonical_json(spec.as_plain())
        assert likes.read(text, lambda text=text: ShareSpec.from_plain(orjson.loads(text))) == spec


@given(SNAPSHOTS)
def test_a_snapshot_is_equal_after_it_was_made_plain_and_back(spec: SnapshotSpec) -> None:
    """Whatever it holds."""
    assert SnapshotSpec.from_plain(spec.as_plain()) == spec


def test_defaults_are_left_out_of_the_plain_spec() -> None:
    """So that a default which is written out makes no difference."""
    assert ShareSpec("a", 1, "NFS", deletion_policy="retain", labels={}).as_plain() == {
        "name": "a",
        "size_bytes": 1,
        "protocol": "NFS",
    }


@given(st.lists(RULES, max_size=6), st.randoms(use_true_random=False))
def test_the_digest_of_a_set_of_rules_does_not_depend_on_their_order(rules: list[AccessRule], chance: object) -> None:
    """Only on what they grant."""
    shuffled = sorted(rules, key=lambda _: chance.random())  # type: ignore[attr-defined]
    assert access_digest(shuffled) == access_digest(rules)


def test_the_digest_tells_levels_and_no_rules_apart() -> None:
    """A level is a difference; no rules are sixteen zeros."""
    assert access_digest([AccessRule("ip", "10.0.0.1", "rw")]) != access_digest([AccessRule("ip", "10.0.0.1", "ro")])
    assert access_digest([]) == NO_ACCESS_DIGEST == bytes(16)


def test_canonical_json_sorts_keys() -> None:
    """Equal objects are equal bytes."""
    assert canonical_json({"b": 1, "a": [2]}) == canonical_json({"a": [2], "b": 1}) == b'{"a":[2],"b":1}'


def test_addresses_are_taken_apart_as_they_are_put_together() -> None:
    """A kind and a name; a rule under its share, also where its user has a slash."""
    address = address_of(Kind.SHARE, "projects")
    ruled = rule_address(address, "user:CORP/access/x")
    assert (address, name_of(address), kind_of(address)) == ("share/projects", "projects", Kind.SHARE)
    assert split_rule_address(ruled) == (address, "user:CORP/access/x")
    assert split_rule_address(address) == (address, None)
    assert kind_of(ruled) is Kind.ACCESS_RULE
    assert Kind.SHARE_TYPE.document_kind == "ShareType"


@pytest.mark.parametrize("text", ["projects", "share/", "", "table/x"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """With ValueError."""
    with pytest.raises(ValueError, match=r"address|Kind"):
        kind_of(text)


@given(st.integers(1, 1 << 60))
def test_a_size_is_the_same_after_it_was_written_and_read(size_bytes: int) -> None:
    """To the byte, up to an exbibyte."""
    assert parse_size(format_size(size_bytes)) == size_bytes


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("100GiB", 100 * GIB),
        ("1.5TiB", 1536 * GIB),
        ("500GB", 500 * 10**9),
        ("750 MiB", 750 << 20),
        ("1kB", 1000),
        ("1KB", 1000),
        ("7B", 7),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size_bytes: int) -> None:
    """Binary and decimal units."""
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("100", "not a size"),
        ("-1GiB", "not a size"),
        ("1gib", "not a size"),
        ("1e3GiB", "not a size"),
        ("٣GiB", "not a size"),
        ("1GiB\n", "not a size"),
        ("0.5B", "whole number"),
        ("0GiB", "zero"),
        ("1025PiB", "1024PiB"),
        ("9999999999999999999PiB", "1024PiB"),
    ],
)
def test_what_is_no_size_is_refused_with_the_reason(text: str, reason: str) -> None:
    """And with what a size looks like."""
    with pytest.raises(SizeError, match=reason):
        parse_size(text)


@pytest.mark.parametrize(
    ("size_bytes", "exact", "near"),
    [
        (GIB, "1GiB", "1.0 GiB"),
        (1536 * GIB, "1.5TiB", "1.5 TiB"),
        (500 * 10**9, "500GB", "465.7 GiB"),
        (999, "999B", "999 B"),
        (1500, "1.5kB", "1.5 KiB"),
    ],
)
def test_sizes_are_written_in_the_largest_unit_that_keeps_them(size_bytes: int, exact: str, near: str) -> None:
    """Exactly, and for reading only."""
    assert format_size(size_bytes) == exact
    assert approximate_size(size_bytes) == near


def test_only_errors_stop_a_command() -> None:
    """A warning does not."""
    assert not has_errors([warning("a.b", "careful")])
    assert has_errors([warning("a.b", "careful"), error("a.c", "no")])
    assert error("a.c", "no").severity is Severity.ERROR


def test_an_error_that_carries_diagnostics_reads_as_their_summaries() -> None:
    """For logs and tests; the command line renders them whole."""
    problem = DiagnosticError(error("a.b", "one"), error("a.c", "two"))
    assert (str(problem), len(problem.diagnostics)) == ("one; two", 2)


def test_a_source_reads_as_editors_follow_it() -> None:
    """file:line:col."""
    assert str(Source("a.yaml", 3, 7)) == "a.yaml:3:7"


def test_a_near_name_is_guessed_and_a_far_one_is_not() -> None:
    """Did you mean."""
    assert did_you_mean("projcts", ["projects", "home"]) == 'did you mean "projects"?'
    assert not did_you_mean("zzz", ["projects"])


def test_a_near_name_is_found_among_very_many() -> None:
    """A slip in one place leaves the beginning and the end alone."""
    known = [f"share/team-{number:05d}" for number in range(20_000)]
    assert did_you_mean("share/projcets", [*known, "share/projects"]) == 'did you mean "share/projects"?'
