"""The language of pool functions."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharectl.scheduler.expressions import MAX_LENGTH, ExpressionError, compile_expression

NAMES: dict[str, dict[str, Any]] = {
    "stats": {"free_capacity_gb": 30.5, "vendor_name": "NetApp"},
    "capabilities": {"iops": "5000", "flag": True, "none": None, "list": [1], "text": '"x"'},
    "extra": {"tier": "gold"},
    "share": {"size": 10},
}


def value(text: str) -> Any:  # noqa: ANN401 - a number, a truth or a text
    """Evaluate the text over NAMES."""
    return compile_expression(text).evaluate(NAMES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("7 / 2", 3.5),
        ("2 ^ 3 ^ 2", 512),
        ("-2 ^ 2", -4),
        ("--2", 2),
        ("+3 - -1", 4),
        ("1 < 2 < 3", True),
        ("1 < 3 < 2", False),
        ("1 <> 2", True),
        ("not 1 == 2", False),
        ("!0", True),
        ("not not 5", True),
        ("1 and 0", 0),
        ("1 && 2", 2),
        ("0 or 3", 3),
        ("0 OR 0 || 7", 7),
        ("1 and 1 and 0", 0),
        ("0 or 0 or 1", 1),
        ("share.size < 20 ? 100 : 5", 100),
        ("0 ? 1 : 0 ? 2 : 3", 3),
        ("1 ? 5 : missing.name", 5),
        ("max(1, share.size, 3)", 10),
        ("min(4, 2)", 2),
        ("abs(-5)", 5),
        ("abs 5", 5),
        ("abs abs 5", 5),
        ("stats.free_capacity_gb", 30),
        ("capabilities.iops > 1000", True),
        ("capabilities.flag", 1),
        ("extra.tier == gold", True),
        ('extra.tier == "gold"', True),
        ("capabilities.text == x", True),
        ("max == max", True),
        ("1.5 + 1", 2.5),
        ("2 ^ 0.5 > 1.4", True),
    ],
)
def test_an_expression_has_a_value(text: str, expected: object) -> None:
    """Operators, precedence, names and the truncation of reported numbers."""
    assert value(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "broken ((",
        "1 +",
        "(1",
        "max(1",
        "1 2",
        "1 ? 2",
        "# 1",
        "and",
        "a.b.c d",
        "1, 2",
        "(" * 60 + "1" + ")" * 60,
        "abs " * 60 + "1",
        "1" * (MAX_LENGTH + 1),
    ],
)
def test_what_is_not_in_the_language_is_refused_when_it_is_compiled(text: str) -> None:
    """Syntax, nesting and length are bounded."""
    with pytest.raises(ExpressionError):
        compile_expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "capabilities.missing > 3",
        "nowhere.x",
        "capabilities.none",
        "capabilities.list",
        "1 / 0",
        "gold < 3",
        "gold + 1",
        "max(1)",
        "9 ^ 9 ^ 9",
        "(0 - 8) ^ 0.5",
        "0 and capabilities.missing",
        "1 or capabilities.missing",
        "0 ^ (0 - 1)",
        "10.0 ^ 9999",
    ],
)
def test_what_has_no_value_is_an_error(text: str) -> None:
    """Missing names, wrong types and numbers too large: both sides of `and` and `or` are always looked at."""
    with pytest.raises(ExpressionError):
        value(text)


def test_a_long_chain_needs_no_deep_stack() -> None:
    """The length of an expression is no depth."""
    assert value("+".join(["1"] * 2000)) == 2000
    assert value("1" + "^1" * 1500) == 1
    assert value("-" * 2000 + "1") == 1


def test_the_names_that_an_expression_reads_are_known() -> None:
    """What it reads tells whether its value can change."""
    assert compile_expression("stats.x + share.size").names == {("stats", "x"), ("share", "size")}


@given(st.text(alphabet="0123456789.+-*/^()<>=!?:&|, abcdnort\"'_", max_size=60))
def test_no_text_does_anything_but_have_a_value_or_be_refused(text: str) -> None:
    """Foreign text is never a traceback."""
    with contextlib.suppress(ExpressionError):
        compile_expression(text).evaluate(NAMES)
