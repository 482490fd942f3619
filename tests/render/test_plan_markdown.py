"""A plan as a comment on a pull request."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from sharectl.model.access import AccessRule
from sharectl.model.candidates import Candidate
from sharectl.model.diagnostics import Source, error
from sharectl.model.field_changes import FieldChange
from sharectl.model.plans import Action, Drift, DriftKind
from sharectl.model.verbs import Verb
from sharectl.render.markdown import code, fence_for, prose
from sharectl.render.plan_markdown import MOST_CHARACTERS, plan_markdown
from sharectl.render.text import visible
from tests.render.samples import a_plan, a_step, held_shares, new_share, rich_plan, shrink_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sharectl.model.plans import Plan

    Golden = Callable[[str, Iterable[str]], None]

HOSTILE = (
    st.text()
    | st.text("`*_[]()<>|~#@:\\/-+!&;$\n x.1", max_size=60)
    | st.sampled_from(
        [
            "</details>",
            "```\n# heading",
            "| a | b |",
            "</code><script>",
            "@admins",
            "![x](http://e)",
            "https://e.example/",
            "-->",
            "&#96;",
        ]
    )
)


def outline(text: str) -> list[str]:
    """Return the structure of Markdown: its blocks and inline marks without their text."""
    shape = []
    for token in MarkdownIt("gfm-like", {"html": True, "linkify": False}).parse(text):
        shape.append(token.type)
        if token.type in {"fence", "html_block"}:
            shape.append(token.info)
        shape += [
            f"{child.type}{child.content if child.type == 'html_inline' else ''}"
            for child in token.children or ()
            if child.type not in {"text", "text_special"} and child.content != "<!-- -->"
        ]
    return shape


def hostile_plan(name: str, reason: str) -> Plan:
    """Return a plan in which every foreign text is one of the two."""
    deletion = a_step(
        f"share/{name}",
        Action.DELETE,
        Verb.DELETE_SHARE,
        reason,
        backend="nas1",
        changes=(FieldChange("size", name, None),),
    )
    forgotten = a_step(f"share/b{name}", Action.DELETE_THEN_CREATE, Verb.FORGET, reason)
    creation = a_step(
        f"share/b{name}",
        Action.DELETE_THEN_CREATE,
        Verb.CREATE_SHARE,
        reason,
        backend="nas1",
        candidates=(Candidate(name, reason, 0.5), Candidate(reason, name, 0.4)),
    )
    update = a_step(
        f"share/c{name}",
        Action.UPDATE,
        Verb.UPDATE_ACCESS,
        reason,
        backend=name,
        changes=(FieldChange(f"access/user:{name}", None, reason), FieldChange(reason, name, None)),
    )
    found = error("a.b", reason, remedy=name, source=Source(name, 1, 1))
    drift = Drift(name, DriftKind.CHANGED, reason, (FieldChange(name, reason, None),))
    return a_plan(deletion, forgotten, creation, update, drift=(drift,), diagnostics=(found,), by_action={"delete": 1})


def test_the_comment_has_the_summary_first_and_what_is_lost_in_a_box(golden: Golden) -> None:
    """Then what should be known, drift, and the changes to unfold."""
    golden("plan.md", plan_markdown(rich_plan()))


def test_an_empty_plan_is_one_sentence() -> None:
    """Nothing to unfold."""
    assert list(plan_markdown(a_plan())) == [
        "## sharectl plan",
        "",
        "**No changes. 118 resources are as their manifests say.**",
    ]


def test_errors_are_said_at_the_top() -> None:
    """A reviewer must not take the plan for one that can be applied."""
    lines = list(plan_markdown(a_plan(*new_share(), diagnostics=(shrink_error(),))))
    assert "This plan has 1 error and cannot be applied." in lines


def test_what_is_held_is_a_table_of_its_own() -> None:
    """A reviewer sees what the merge will not do."""
    plan = a_plan(*new_share(), diagnostics=(shrink_error(),), held=held_shares())
    lines = list(plan_markdown(plan))
    assert "### 2 resources are held, apply does the rest" in lines
    (row,) = [line for line in lines if line.startswith("|") and "copy" in line and "create-share" in line]
    assert "which is held" in row
    assert not any("cannot be applied" in line for line in lines)


@settings(deadline=None)
@given(HOSTILE, HOSTILE)
def test_no_foreign_text_changes_the_structure_of_the_comment(name: str, reason: str) -> None:
    """Whatever names and reasons hold, the comment has the blocks, cells and spans that it has for harmless ones."""
    harmless = outline("\n".join(plan_markdown(hostile_plan("name", "reason"))))
    assert outline("\n".join(plan_markdown(hostile_plan(name, reason)))) == harmless


@settings(deadline=None)
@given(HOSTILE)
def test_a_text_is_read_as_it_was_written(text: str) -> None:
    """A Markdown reader shows the text itself, as a code span and as prose."""
    plain = text[:40]
    for rendered in (f"a {code(plain)} b", f"a {prose(plain)} b"):
        tokens = MarkdownIt("gfm-like", {"html": True, "linkify": False}).parse(rendered)
        children = [child for token in tokens for child in token.children or ()]
        shown = "".join(child.content for child in children if child.type in {"text", "text_special"})
        assert shown == f"a {visible(plain)} b"


@pytest.mark.parametrize("text", ["@admins", "#12", "see @a/b and #3"])
def test_prose_mentions_nobody(text: str) -> None:
    """A comment stands between the sign and the name."""
    assert not re.search(r"[@#]\w", html.unescape(prose(text)))


def test_a_fence_is_longer_than_any_in_it() -> None:
    """At least three backticks."""
    assert fence_for(["a", "``"]) == "```"
    assert fence_for(["a ```` b", "```"]) == "`````"


@pytest.mark.parametrize("name", ["s", "<&>|`" * 200])
def test_a_huge_plan_is_cut_to_what_a_comment_holds(name: str) -> None:
    """It says how much is missing, the fence and the fold are closed, and there is room for the sender's own words."""
    steps = []
    for number in range(3000):
        address = f"share/{name}{number:04d}"
        why = f"{number} {name}"  # of its own, so that it cannot be brought together with others
        steps.append(a_step(address, Action.DELETE, Verb.DELETE_SHARE, why, backend="nas1"))
        steps.append(a_step(f"{address}r", Action.DELETE_THEN_CREATE, Verb.FORGET, why))
    drift = tuple(Drift(f"share/{name}{n}", DriftKind.CHANGED, name) for n in range(3000))
    found = tuple(replace(shrink_error(), summary=name) for _ in range(3000))
    lines = list(plan_markdown(a_plan(*steps, drift=drift, diagnostics=found)))
    text = "\n".join(lines)
    assert len(text) <= MOST_CHARACTERS
    assert "</details>" in lines
    assert "more resources are not shown" in lines[-1]
    assert sum(line.startswith("and ") for line in lines) == 2
    assert sum(line.startswith("> - and ") for line in lines) == 2


def test_a_small_plan_is_unfolded_and_a_large_one_is_not() -> None:
    """Twenty resources are read at once."""
    assert any("<details open>" in line for line in plan_markdown(a_plan(*new_share())))
    steps = [step for number in range(30) for step in new_share(f"s{number}")]
    assert any("<details>" in line for line in plan_markdown(a_plan(*steps)))


@pytest.mark.parametrize("name", ["s", "<&>|`" * 200])
def test_equal_changes_are_one_with_their_names_to_unfold(name: str) -> None:
    """As many names as there is room for; whatever they are, the comment is one that a forge takes."""
    steps = [
        a_step(f"share/{name}{number:04d}", Action.DELETE, Verb.DELETE_SHARE, "its manifest is gone", backend="nas1")
        for number in range(3000)
    ]
    text = "\n".join(plan_markdown(a_plan(*steps)))
    lines = text.splitlines()
    assert len(text) <= MOST_CHARACTERS
    assert "- delete 3,000 shares  on nas1: its manifest is gone" in lines
    assert "<details><summary>delete 3,000 shares</summary>" in lines
    assert "more" in lines[-3]
    assert text.count("<details") == text.count("</details>")


def test_the_answers_come_first_and_access_can_be_unfolded() -> None:
    """One that somebody should think about is in bold."""
    lines = list(plan_markdown(rich_plan()))
    answers = [line for line in lines if line.startswith(("| Is ", "| Does "))]
    assert [line.split("|")[2].strip() for line in answers] == ["**yes**", "**yes**", "unknown"]
    assert "<details><summary>Who gains and who loses access</summary>" in lines
    assert "<details><summary>Where new shares go</summary>" in lines


def test_rules_that_let_everybody_in_are_in_a_box() -> None:
    """With the shares that they open."""
    lines = list(plan_markdown(a_plan(*new_share("open", AccessRule("ip", "0.0.0.0/0", "rw")))))
    assert "> **New rules let everybody in.**" in lines
    assert any("every IPv4 client" in line and "share/open" in line for line in lines)
