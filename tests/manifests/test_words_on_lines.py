"""The place of a rule is found by the text of its client, where that stands alone on one line of its document."""

from __future__ import annotations

import pytest

from sharectl.manifests.positions import FilePositions


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("- to: 10.0.0.5", (1, 7)),
        ("- to: 10.0.0.50\n- to: 10.0.0.5", (2, 7)),
        ("- to: 110.0.0.5\n  in: [10.0.0.51, 10.0.0.5]", (2, 19)),
        ("- to: 'ä 10.0.0.5'", (1, 10)),
        ("- to: 10.0.0.5/32", None),
        ("- to: 10.0.0.5\n- to: 10.0.0.5", None),
        ("# 10.0.0.5\n- to: 10.0.0.5", None),
        ("# 10.0.0.50\n- to: 10.0.0.5", (2, 7)),
        ("---\n- to: 10.0.0.5", None),
        ("- to: 10.0.0.5\n---\n- to: 10.0.0.5", (1, 7)),
        ("- to: 10.0.0.5\r\n", None),
        ("- to: 10.0.0.5 # \u2028", None),
    ],
)
def test_a_client_that_is_said_once_is_found(content: str, expected: tuple[int, int] | None) -> None:
    """Not as a part of another, not in a comment, not twice, not in the next document, and not where lines may end in another way."""
    found = FilePositions("m.yaml", content.encode()).line_with(1, "10.0.0.5")
    assert (found and (found.line, found.column)) == expected


def test_no_text_is_nowhere() -> None:
    """Guests have no name."""
    assert FilePositions("m.yaml", b"- to: ''\n").line_with(1, "") is None
