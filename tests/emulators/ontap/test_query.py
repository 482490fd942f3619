"""The language of filters, of `fields` and of `order_by`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulators.ontap.errors import Refused
from tests.emulators.ontap.facts import RESOURCES, version_of
from tests.emulators.ontap.query import chosen, filter_of, filter_test, order_of, selection_of, values_at, wanted_by

VERSION = version_of("9.16.1")
VOLUME = RESOURCES["volume"]
RECORD: dict[str, Any] = {
    "uuid": "u1",
    "name": "team_a",
    "size": 2**30,
    "comment": 'say "hi", a|b',
    "is_svm_root": False,
    "svm": {"name": "vs1", "uuid": "s1"},
    "aggregates": [{"name": "aggr1"}, {"name": "aggr2"}],
    "nas": {"path": "/team-a", "security_style": "unix", "export_policy": {"name": "p", "id": 7}},
    "space": {"used": 100, "snapshot": {"reserve_percent": 5}, "footprint": 3},
}
EXPENSIVE = ("nas.path", "nas.security_style", "nas.export_policy.id", "space.footprint")


def passes(name: str, text: str) -> bool:
    """Say whether the record passes a filter."""
    return filter_of(VOLUME, name, text, VERSION).passes(RECORD)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("name", "team_a", True),
        ("name", "team", False),
        ("name", "team*", True),
        ("name", "*_a", True),
        ("name", '"team*"', False),
        ("name", "{team*}", False),
        ("name", '"team_a"', True),
        ("name", "x|team_a", True),
        ("name", "x,team_a", True),
        ("name", "!team_a", False),
        ("name", "!x", True),
        ("name", "!x,!team_a", False),
        ("name", "!x*|!y*", True),
        ("comment", '"say "*', True),
        ("comment", "null", False),
        ("comment", "!null", True),
        ("qos.policy.name", "null", True),
        ("qos.policy.name", "!null", False),
        ("size", "1GB", True),
        ("size", "1073741824", True),
        ("size", ">1023MB", True),
        ("size", ">1GB", False),
        ("size", ">=1GB", True),
        ("size", "<2GB", True),
        ("size", "1MB..1GB", True),
        ("size", "2GB..3GB", False),
        ("space.available", "<5", False),
        ("is_svm_root", "False", True),
        ("is_svm_root", "true", False),
        ("svm", "vs1", True),
        ("svm.name", "vs*", True),
        ("aggregates", "aggr2", True),
        ("aggregates.name", "!aggr2", False),
        ("nas.export_policy", "p", True),
        ("metric.iops.total", ">0", False),
    ],
)
def test_a_filter_lets_the_right_records_pass(name: str, text: str, expected: bool) -> None:  # noqa: FBT001 - a table
    """`*`, `|`, `,`, `!`, quotes, ranges and null; an object's name stands for its `name`; what is unset passes no comparison."""
    assert passes(name, text) is expected


def test_what_is_quoted_is_taken_as_it_stands() -> None:
    """So that a client can look for any name."""
    for name in ("a|b", "a*", "a,b", "!a", "a..b", ">a", "null", "{x}"):
        assert filter_test(f'"{name}"')([name]), name
        assert not filter_test(f'"{name}"')(["a"]), name


@pytest.mark.parametrize(
    ("name", "text", "code"), [("nonsense", "1", 262179), ("nas", "x", 262179), ("size", ">", 262194)]
)
def test_a_filter_that_makes_no_sense_is_refused(name: str, text: str, code: int) -> None:
    """An unknown name, an object without a name, an operator without a value."""
    with pytest.raises(Refused) as caught:
        filter_of(VOLUME, name, text, VERSION)
    assert caught.value.code == code


def picked(fields: str) -> list[str]:
    """Return the dotted names of what `fields` gives of the record."""
    shown = chosen(RECORD, wanted_by(selection_of(VOLUME, fields, VERSION), EXPENSIVE))
    return sorted(
        name for name in VOLUME.names if values_at(shown, name) and not isinstance(values_at(shown, name)[0], dict)
    )


def test_a_star_leaves_the_expensive_fields_out() -> None:
    """Two stars give them too."""
    assert "nas.path" not in picked("*")
    assert {"nas.export_policy.name", "space.used"} <= set(picked("*"))
    assert {"nas.path", "space.footprint"} <= set(picked("**"))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("nas.path", ["nas.path"]),
        ("size,nas.{path,security_style}", ["nas.path", "nas.security_style", "size"]),
        ("space", ["space.footprint", "space.snapshot.reserve_percent", "space.used"]),
        ("space,!space.used", ["space.footprint", "space.snapshot.reserve_percent"]),
        ("metric", []),
    ],
)
def test_fields_name_what_is_shown(fields: str, expected: list[str]) -> None:
    """Single fields, whole objects, groups in braces, and exceptions."""
    assert picked(fields) == expected


def test_an_unknown_field_is_refused_unless_told_to_ignore_it() -> None:
    """And one of a later release is unknown."""
    with pytest.raises(Refused) as caught:
        selection_of(VOLUME, "name,nonsense", VERSION)
    assert (caught.value.code, caught.value.target) == (262197, "fields")
    assert selection_of(VOLUME, "name,nonsense", VERSION, ignore_unknown=True).named == {"name"}
    with pytest.raises(Refused):
        selection_of(VOLUME, "_tags", version_of("9.12.1"))


def test_an_order_names_known_fields() -> None:
    """Each may be descending."""
    assert order_of(VOLUME, "name desc,size", VERSION) == [("name", True), ("size", False)]
    with pytest.raises(Refused) as caught:
        order_of(VOLUME, "nonsense", VERSION)
    assert caught.value.code == 262268
