"""Calls and answers travel as JSON: what comes out is what went in, and nothing else is let in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, get_args, get_origin

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharectl.executors import answers, calls
from sharectl.executors.answers import Answer, Failure
from sharectl.executors.calls import Call, ListShares, MakeServer, RevertShare, UpdateAccess
from sharectl.executors.wire import TYPES, WireError, decode, encode, hints_of
from sharectl.model.access import AccessRule
from sharectl.model.observed import ObservedShare
from sharectl.model.requests import ShareRef, ShareServerRequest

TEXT = st.text(max_size=8)
JSON = st.recursive(st.none() | st.booleans() | st.integers(-5, 5) | TEXT, lambda inner: st.lists(inner, max_size=2))


def values_of(kind: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401, PLR0911 - any type of a field; one case for each
    """Return a strategy for the values of a type of a field."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return JSON
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(values_of(arguments[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values_of, arguments))
    if origin is Mapping:
        return st.dictionaries(TEXT, values_of(arguments[1]), max_size=2)
    if arguments:
        return st.one_of(*map(values_of, arguments))
    if is_dataclass(kind) or (isinstance(kind, type) and issubclass(kind, tuple)):
        return st.builds(kind, **{name: values_of(hint) for name, hint in hints_of(kind).items()})
    plain = {
        str: TEXT,
        int: st.integers(0, 1 << 60),
        bool: st.booleans(),
        float: st.floats(0, 1e6),
        type(None): st.none(),
    }
    return plain[kind] if kind in plain else st.sampled_from(list(kind))


@given(st.sampled_from(sorted(TYPES)).flatmap(lambda name: values_of(TYPES[name])))
def test_what_comes_out_is_what_went_in(value: Call[Answer] | Answer | Failure) -> None:
    """Every kind of call, answer and failure, whatever is in it."""
    assert decode(encode(value)) == value


def test_a_field_that_is_as_by_default_is_not_sent() -> None:
    """A worker of an older sharectl makes a share server, though the request has come to know what a server joined before."""
    request = ShareServerRequest("id", "name", "network", ())
    sent = orjson.loads(encode(MakeServer(request, updates=False)))
    plain = {"resource_id": "id", "name": "name", "share_network": "network", "allocations": []}
    assert sent["value"] == {"request": plain}


def test_a_listing_without_use_is_one_that_an_older_sharectl_takes() -> None:
    """What a named tuple has at its end as by default is not sent; what stands before that is."""
    share = ObservedShare("id", "backend-id", "name", "pool", 1, "NFS")
    for listed, said in ((share, 6), (share._replace(export_name="name"), 16), (share._replace(used_bytes=5), 17)):
        sent = orjson.loads(encode(answers.SharesListed((listed,))))
        assert len(sent["value"]["shares"][0]) == said
        assert decode(encode(answers.SharesListed((listed,)))) == answers.SharesListed((listed,))


def test_every_call_and_every_answer_has_a_form() -> None:
    """None that is added later is forgotten."""
    values = (*vars(answers).values(), *vars(calls).values())
    found = [kind for kind in values if isinstance(kind, type) and issubclass(kind, Call | Answer)]
    assert {kind.__name__ for kind in found} - {"Call", "Answer"} <= TYPES.keys()


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_no_row_of_the_state_is_in_them(kind: str) -> None:
    """Nor anything that is made of one."""
    seen: set[str] = set()
    left: list[Any] = [TYPES[kind]]
    while left:
        each = left.pop()
        left += get_args(each)
        if is_dataclass(each) or (isinstance(each, type) and issubclass(each, tuple) and each is not tuple):
            assert not each.__module__.startswith(("sharectl.state", "sharectl.model.records")), each
            if each.__name__ not in seen:
                seen.add(each.__name__)
                left += hints_of(each).values()
    assert seen


def test_the_form_has_a_version() -> None:
    """As the documentation shows it."""
    document = orjson.loads(encode(ListShares(("a", "b"))))
    assert document == {"version": 1, "type": "ListShares", "value": {"resource_ids": ["a", "b"]}}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"version": 2, "type": "ListShares", "value": {"resource_ids": []}}',
        b'{"version": 1, "type": "Popen", "value": {}}',
        b'{"version": 1, "type": "ListShares", "value": {}}',
        b'{"version": 1, "type": "ListShares", "value": {"resource_ids": "abc"}}',
        b'{"version": 1, "type": "ListShares", "value": {"resource_ids": [1]}}',
        b'{"version": 1, "type": "ListShares", "value": {"resource_ids": [], "more": 1}}',
        b'{"version": 1, "type": "Size", "value": {"size_bytes": true}}',
        b'{"version": 1, "type": "Failure", "value": []}',
        b'{"version": 1, "type": "Failure", "value": {"kind": "of a later version", "message": ""}}',
        b'{"version": 1, "type": ["Size"], "value": {}}',
        b"\xff",
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    """Whoever has sent it."""
    with pytest.raises(WireError):
        decode(data)


def test_only_a_revert_may_not_be_repeated() -> None:
    """A call says so itself."""
    kinds = [kind for kind in TYPES.values() if issubclass(kind, Call)]
    assert [kind for kind in kinds if not kind.repeatable] == [RevertShare]


def test_named_tuples_and_mappings_are_what_they_were() -> None:
    """Drivers compare rules and read settings."""
    share = ShareRef("id", "backend", "name", "pool", "NFS", 1, export_settings={"squash": "root"})
    rule = AccessRule("ip", "10.0.0.0/8", "rw")
    found = decode(encode(UpdateAccess(share, (rule,))))
    assert isinstance(found, UpdateAccess)
    assert isinstance(found.rules[0], AccessRule)
    assert found.share.export_settings == {"squash": "root"}
    observed = decode(encode(answers.SharesListed((ObservedShare("a", "b", "c", "d", None, "NFS", (rule,)),))))
    assert isinstance(observed, answers.SharesListed)
    assert observed.shares[0].access[0].key == "ip:10.0.0.0/8"
    assert [field.name for field in fields(observed)] == ["shares"]
