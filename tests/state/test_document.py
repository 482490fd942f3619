"""The exported document: strict on the way in, the same on the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharectl.model.canonical import canonical_json
from sharectl.model.records import HistoryEntry, RunRecord
from sharectl.state.document import Document, DocumentError, compose, parse
from sharectl.state.testing.samples import RUN, make_entry, make_operation, make_record, make_rule

if TYPE_CHECKING:
    from collections.abc import Callable

WHOLE = Document(
    lineage="lineage-1",
    serial=7,
    records=[make_record("a"), make_record("b", backend=None, pool=None, size_bytes=None)],
    rules=[("share/a", (make_rule("10.0.0.1"), make_rule("10.0.0.2", "ro", "error", "refused")))],
    operations=[make_operation()],
    runs=[RUN],
    history=[(1, make_entry("share/a")), (5, make_entry("share/b", "failed"))],
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(TEXTS, values, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(TEXTS, JSON_VALUES, max_size=4).map(canonical_json)


def composed(document: Document) -> bytes:
    """Return the whole text of a document."""
    return b"".join(compose(document))


def test_a_document_is_parsed_as_it_was_composed() -> None:
    """Nothing is lost or changed on the way, and resources are in the order of their addresses."""
    assert parse(composed(WHOLE)) == WHOLE
    assert [item["address"] for item in orjson.loads(composed(WHOLE))["resources"]] == ["share/a", "share/b"]


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 1200])
def test_parts_make_the_text_that_a_writer_of_json_would_make(count: int) -> None:
    """Sorted keys, indented by two, whatever fits into a part."""
    names = [f"s{number:04}" for number in range(count)]
    document = Document(
        lineage="lineage-1",
        serial=7,
        records=map(make_record, names),
        rules=((f"share/{name}", (make_rule("10.0.0.1"),)) for name in names),
        operations=[make_operation(name, name) for name in names],
        runs=[RUN] * count,
        history=((number, make_entry(name)) for number, name in enumerate(names)),
    )
    text = composed(document)
    options = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    assert text == orjson.dumps(orjson.loads(text), option=options)


@given(spec=OBJECTS, attributes=OBJECTS, detail=OBJECTS, texts=st.lists(TEXTS, min_size=7, max_size=7))
def test_composing_and_parsing_is_identity(spec: bytes, attributes: bytes, detail: bytes, texts: list[str]) -> None:
    """Whatever text and JSON the records hold."""
    document = Document(
        lineage="lineage-1",
        serial=1,
        records=[make_record("a", spec=spec, attributes=attributes, backend=texts[0], resource_id=texts[1])],
        rules=[("share/a", (make_rule(texts[2], reason=texts[3]),))],
        operations=[],
        runs=[RunRecord("run", texts[4], texts[5], texts[6], "t", author=texts[0])],
        history=[(3, HistoryEntry("run", "t", "share/a", "v", "done", detail))],
    )
    text = composed(document)
    assert parse(text) == document
    assert composed(parse(text)) == text


def remove(*path: str | int) -> Callable[[Any], None]:
    """Return a change that removes what is at `path`."""

    def change(plain: Any) -> None:  # noqa: ANN401 - JSON
        for step in path[:-1]:
            plain = plain[step]
        del plain[path[-1]]

    return change


def put(value: object, *path: str | int) -> Callable[[Any], None]:
    """Return a change that puts `value` at `path`."""

    def change(plain: Any) -> None:  # noqa: ANN401 - JSON
        for step in path[:-1]:
            plain = plain[step]
        plain[path[-1]] = value

    return change


def repeat(*path: str | int) -> Callable[[Any], None]:
    """Return a change that adds the first item of the list at `path` once more."""

    def change(plain: Any) -> None:  # noqa: ANN401 - JSON
        for step in path:
            plain = plain[step]
        plain.append(plain[0])

    return change


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (put("terraform", "format"), 'format must be "sharectl-state"'),
        (put(2, "version"), "version must be 1"),
        (put("1", "version"), "version must be a whole number"),
        (put("", "lineage"), "lineage must not be empty"),
        (put("../other", "lineage"), "lineage must be letters, digits and hyphens, at most 64"),
        (put(-1, "serial"), "serial must not be negative"),
        (put(True, "serial"), "serial must be a whole number"),  # noqa: FBT003 - a value of JSON
        (remove("runs"), "runs is missing"),
        (put([], "locks"), "locks is not part of the format"),
        (put({}, "resources"), "resources must be a list"),
        (put("x", "resources", 1), "resources[1] must be an object"),
        (remove("resources", 1, "digest"), "resources[1].digest is missing"),
        (put("xyz", "resources", 1, "digest"), "resources[1].digest must be hexadecimal"),
        (put(0, "resources", 1, "version"), "resources[1].version must be 1 or more"),
        (put(-5, "resources", 1, "size_bytes"), "resources[1].size_bytes must not be negative"),
        (put("5", "resources", 1, "size_bytes"), "resources[1].size_bytes must be a whole number or null"),
        (put(1, "resources", 1, "protect"), "resources[1].protect must be true or false"),
        (put("snapshot", "resources", 1, "kind"), "resources[1].kind must be the kind in its address"),
        (put("b", "resources", 1, "address"), "resources[1].address must be an address"),
        (put("cow/b", "resources", 1, "address"), "resources[1].address must be an address"),
        (repeat("resources"), "resources[2].address (share/a) occurs before"),
        (put([], "rules", "share/nobody"), "rules[share/nobody] is not a share in resources"),
        (put({}, "rules", "share/a"), "rules[share/a] must be a list"),
        (put("IP", "rules", "share/a", 0, "access_type"), "rules[share/a][0].access_type must be a word"),
        (put("new", "rules", "share/a", 1, "status"), "rules[share/a][1].status must be active or error"),
        (repeat("rules", "share/a"), "rules[share/a][2].access_to (ip:10.0.0.1) occurs before"),
        (repeat("operations"), "operations[1].operation_id (operation-1) occurs before"),
        (repeat("operations"), "operations[1].resource_id (create-share of id-projects on filer) occurs before"),
        (put(None, "operations", 0, "payload"), "operations[0].payload must be an object"),
        (repeat("runs"), "runs[1].run_id (run-1) occurs before"),
        (put("maybe", "history", 0, "outcome"), "history[0].outcome must be done or failed"),
        (put("run-2", "history", 0, "run_id"), "history[0].run_id (run-2) is not in runs"),
        (put(1, "history", 1, "sequence"), "history[1].sequence must be above 1"),
    ],
)
def test_a_document_that_is_not_exactly_a_state_is_refused(change: Callable[[Any], None], finding: str) -> None:
    """The finding says where and what."""
    plain = orjson.loads(composed(WHOLE))
    change(plain)
    with pytest.raises(DocumentError) as caught:
        parse(orjson.dumps(plain))
    assert finding in str(caught.value)


def test_all_findings_are_told_up_to_ten() -> None:
    """The rest is counted."""
    plain = orjson.loads(composed(WHOLE))
    plain["resources"] = ["x"] * 25
    with pytest.raises(DocumentError) as caught:
        parse(orjson.dumps(plain))
    message = str(caught.value)
    assert message.count("must be an object") == 10
    assert message.endswith("and 16 more")
