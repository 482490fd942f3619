"""Changes of single values in the text of a manifest leave everything else of it as it was."""

from __future__ import annotations

from difflib import ndiff

import pytest

from sharectl.manifests.edits import ADD, CannotEditError, Edit, edited, without_document

TEXT = """\
# the department
apiVersion: sharectl/v1
kind: Share
metadata: {name: one, labels: {team: a}}   # names
spec:
  size: 1GiB    # grown in May
  protocol: "NFS"
  access:
    - {type: ip, to: 10.0.0.0/8, level: rw}   # all

    # the lab
    - type: ip
      to: 10.0.3.0/24
      level: ro
  # after
  deletionPolicy: trash
---
kind: Share
spec: {size: 1GiB, access: [{type: ip, to: 10.0.0.1, level: rw}, {type: ip, to: 10.0.0.2, level: rw}]}
"""
FIRST, SECOND = 2, 19
ALICE = {"type": "user", "to": "CORP\\alice", "level": "rw"}


def changed(text: str, line: int, *edits: Edit) -> list[str]:
    """Return the lines that go (`-`) and come (`+`)."""
    after = edited(text, line, edits)
    return [
        each.rstrip("\n")
        for each in ndiff(text.splitlines(keepends=True), after.splitlines(keepends=True))
        if each[0] in "+-"
    ]


@pytest.mark.parametrize(
    ("line", "edits", "expected"),
    [
        (
            FIRST,
            [Edit(("spec", "size"), "2GiB")],
            ["-   size: 1GiB    # grown in May", "+   size: 2GiB    # grown in May"],
        ),
        (FIRST, [Edit(("spec", "access", 0), None)], ["-     - {type: ip, to: 10.0.0.0/8, level: rw}   # all"]),
        (
            FIRST,
            [Edit(("spec", "access", 1), None)],
            ["-     - type: ip", "-       to: 10.0.3.0/24", "-       level: ro"],
        ),
        (FIRST, [Edit(("spec", "access", 1, "level"), "rw")], ["-       level: ro", "+       level: rw"]),
        (
            FIRST,
            [Edit(("spec", "access", ADD), ALICE)],
            ["+     - type: user", "+       to: CORP\\alice", "+       level: rw"],
        ),
        (FIRST, [Edit(("spec", "protect"), value=True)], ["+   protect: true"]),
        (FIRST, [Edit(("spec", "snapshotPolicy"), {"daily": {"keep": 7}})], ["+   snapshotPolicy: {daily: {keep: 7}}"]),
        (
            FIRST,
            [Edit(("metadata", "labels", "team"), None)],
            ["- metadata: {name: one, labels: {team: a}}   # names", "+ metadata: {name: one}   # names"],
        ),
        (
            FIRST,
            [Edit(("metadata", "annotations", "a/b"), "x: y")],
            [
                "- metadata: {name: one, labels: {team: a}}   # names",
                '+ metadata: {name: one, labels: {team: a}, annotations: {a/b: "x: y"}}   # names',
            ],
        ),
        (
            SECOND,
            [Edit(("spec", "access", 1), None), Edit(("spec", "access", 0), None)],
            [
                "- spec: {size: 1GiB, access: [{type: ip, to: 10.0.0.1, level: rw}, {type: ip, to: 10.0.0.2, level: rw}]}",
                "+ spec: {size: 1GiB}",
            ],
        ),
        (SECOND, [Edit(("metadata", "labels", "x"), "ö")], ['+ metadata: {labels: {x: "\\xF6"}}']),
    ],
)
def test_only_what_is_meant_is_changed(line: int, edits: list[Edit], expected: list[str]) -> None:
    """In blocks and within brackets; comments, quotes and empty lines stay where they are."""
    assert changed(TEXT, line, *edits) == expected


def test_the_last_part_of_a_block_goes_with_its_key() -> None:
    """So that no key without a value is left; what follows stays."""
    text = "spec:\n  access:\n    - a: 1\n  # after\n  size: 1GiB\n"
    assert edited(text, 1, [Edit(("spec", "access", 0), None)]) == "spec:\n  # after\n  size: 1GiB\n"


def test_a_key_that_is_missing_is_made_with_all_that_it_needs() -> None:
    """A list has a line for each of its items; lines end as the others do."""
    text = "spec:\r\n  size: 1GiB\r\n"
    after = edited(text, 1, [Edit(("spec", "access", ADD), ALICE)])
    assert after == text + "  access:\r\n    - {type: user, to: CORP\\alice, level: rw}\r\n"
    assert (
        edited("spec:\n  size: 1GiB", 1, [Edit(("spec", "protect"), value=True)])
        == "spec:\n  size: 1GiB\n  protect: true\n"
    )


@pytest.mark.parametrize(
    ("text", "edit"),
    [
        ("a: &x {b: 1}\nc: *x\n", Edit(("a", "b"), "2")),
        ("a: &x {b: 1}\nc: *x\n", Edit(("c", "b"), "2")),
        ("a: |\n  long\n  text\n", Edit(("a",), "short")),
        ("a:\n  b: 1\n", Edit(("a",), "short")),
        ("base: &b {x: 1}\na:\n  <<: *b\n  y: 2\n", Edit(("a", "x"), None)),
        ("- a: 1\n  b: 2\n", Edit((0, "a"), None)),
        ("a: 1\rb: 2\n", Edit(("a",), "3")),
        ("a: [\n", Edit(("a",), "3")),
        ("a: 1\n", Edit(("b",), None)),
        ("a: 1\n", Edit(("a",), None)),
        ("a: 1\n", Edit(("a", "b"), "3")),
    ],
)
def test_what_cannot_be_changed_with_certainty_is_left(text: str, edit: Edit) -> None:
    """Anchors, texts over several lines, lines that hold more than that, and what is no YAML."""
    with pytest.raises(CannotEditError):
        edited(text, 1, [edit])


def test_a_document_is_taken_out_of_its_file() -> None:
    """The others stay as they are; of the only one nothing is left."""
    assert without_document(TEXT, SECOND) == TEXT[: TEXT.index("---")]
    assert without_document(TEXT, FIRST) == TEXT[TEXT.index("---") :]
    assert without_document("# why\na: 1\n", 2) == without_document("---\na: 1\n", 2) == ""
