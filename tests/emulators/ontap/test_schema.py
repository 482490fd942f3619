"""What a body may hold: the fields of the table, in the release and for the method, and every other thing is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.emulators.ontap.errors import Refused
from tests.emulators.ontap.facts import OPERATIONS, RESOURCES, operations, version_of
from tests.emulators.ontap.schema import Mode, read_body, size_of

if TYPE_CHECKING:
    from collections.abc import Mapping

OLDEST, NEWEST = version_of("9.12.1"), version_of("9.19.1")


def read(resource: str, body: Mapping[str, Any], mode: Mode = "c", version: tuple[int, int, int] = NEWEST) -> Any:  # noqa: ANN401 - JSON
    """Return a body made plain."""
    return read_body(RESOURCES[resource], mode, version, frozenset(), body)[0]


def code_of(resource: str, body: Mapping[str, Any], mode: Mode = "c", version: tuple[int, int, int] = NEWEST) -> int:
    """Return the code with which a body is refused."""
    with pytest.raises(Refused) as caught:
        read(resource, body, mode, version)
    return caught.value.code


def test_every_operation_of_the_table_has_its_place() -> None:
    """All are routed, and those whose collection has fields know them."""
    assert len(operations()) == len(OPERATIONS)
    snapshot = operations()["PATCH /storage/volumes/{volume.uuid}/snapshots/{uuid}"]
    assert snapshot.resource is RESOURCES["snapshot"]
    assert (snapshot.own_keys, snapshot.on_instance) == (("uuid",), True)
    assert not operations()["GET /storage/volumes/{volume.uuid}/snapshots"].on_instance


def test_dotted_and_nested_names_become_one_object() -> None:
    """Both forms may be mixed in one body."""
    body = {
        "svm.name": "vs1",
        "nas": {"path": "/a"},
        "nas.security_style": "unix",
        "space.snapshot.reserve_percent": "5",
    }
    assert read("volume", body) == {
        "svm": {"name": "vs1"},
        "nas": {"path": "/a", "security_style": "unix"},
        "space": {"snapshot": {"reserve_percent": 5}},
    }


def test_a_name_stands_for_its_object() -> None:
    """Also inside of an array."""
    body = {"svm": "vs1", "aggregates": ["aggr1"]}
    assert read("volume", body) == {"svm": {"name": "vs1"}, "aggregates": [{"name": "aggr1"}]}


def test_an_array_may_be_written_by_its_columns() -> None:
    """`aggregates.name: [a, b]` is a list of two objects."""
    assert read("volume", {"aggregates.name": ["a", "b"]}) == {"aggregates": [{"name": "a"}, {"name": "b"}]}


@pytest.mark.parametrize(
    ("written", "bytes_"),
    [
        (20, 20),
        ("20", 20),
        ("20MB", 20 * 2**20),
        ("1.5gb", 3 * 2**29),
        ("2 TB", 2**41),
        ("1K", 1024),
        ("x", None),
        (True, None),
    ],
)
def test_sizes_are_numbers_with_or_without_a_unit(written: object, bytes_: int | None) -> None:
    """Units are powers of 1024."""
    assert size_of(written) == bytes_


@pytest.mark.parametrize("written", [True, "true", "True", "TRUE"])
def test_booleans_may_be_words(written: object) -> None:
    """In any case."""
    assert read("export_policy", {"rules": [{"allow_suid": written}]}) == {"rules": [{"allow_suid": True}]}


@pytest.mark.parametrize(
    ("resource", "body", "code"),
    [
        ("volume", {"nonsense": 1}, 262179),
        ("volume", {"nas": {"nonsense": 1}}, 262179),
        ("volume", {"nas.nonsense": 1}, 262179),
        ("volume", {"uuid": "1"}, 262196),
        ("volume", {"create_time": "2026-01-01T00:00:00+01:00"}, 262196),
        ("volume", {"size": "huge"}, 262197),
        ("volume", {"size": {"a": 1}}, 262201),
        ("volume", {"size": None}, 262201),
        ("volume", {"nas": "vs1"}, 262201),
        ("volume", {"aggregates": 5}, 262254),
        ("volume", {"style": "flexible"}, 262197),
        ("snapshot", {"snapmirror_label": "x" * 32}, 262197),
        ("volume", {"nas": {"path": "/a"}, "nas.path": "/b"}, 262188),
        ("export_policy", {"rules": [{"ro_rule": "sys"}]}, 262254),
        ("export_policy", {"rules": [{"ro_rule": ["sys", "sys"]}]}, 262222),
    ],
)
def test_what_the_table_does_not_allow_is_refused(resource: str, body: dict[str, Any], code: int) -> None:
    """Unknown, read-only, of the wrong type, out of its range, or said twice."""
    assert code_of(resource, body) == code


def test_a_field_that_only_a_post_takes_is_refused_in_a_patch() -> None:
    """Create-only fields are not settable later."""
    assert read("account", {"name": "bob"}, "c") == {"name": "bob"}
    assert code_of("account", {"name": "bob"}, "u") == 262196


def test_a_field_of_a_later_release_is_unknown() -> None:
    """A client may only send what the release has."""
    body = {"_tags": ["a:b"]}
    assert read("volume", body, version=NEWEST) == body
    assert code_of("volume", body, version=OLDEST) == 262179


def test_an_operations_parameters_may_stand_in_the_body() -> None:
    """`restore_to` is one, dotted or nested, and is no field."""
    names = frozenset({"restore_to.snapshot.name", "force"})
    for body in ({"restore_to": {"snapshot": {"name": "s"}}}, {"restore_to.snapshot.name": "s"}):
        assert read_body(RESOURCES["volume"], "u", NEWEST, names, body) == ({}, {"restore_to.snapshot.name": "s"})
    assert read_body(RESOURCES["cifs_service"], "c", NEWEST, names, {"force": True}) == ({}, {"force": "true"})
