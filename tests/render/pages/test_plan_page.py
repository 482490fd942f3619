"""A plan as one page that needs no other file."""

from __future__ import annotations

import re

from sharectl.model.access import AccessRule
from sharectl.model.plans import Action
from sharectl.model.verbs import Verb
from sharectl.render.pages.engine import hash_of
from sharectl.render.pages.plan import MOST_CHANGES, plan_html
from tests.render.pages.test_site import HOSTILE, _Reader
from tests.render.samples import a_plan, a_step, held_shares, new_share, rich_plan


def _text(*steps: object, **parts: object) -> str:
    return "\n".join(plan_html(a_plan(*steps, **parts)))  # type: ignore[arg-type]


def test_the_page_asks_for_nothing_and_runs_nothing() -> None:
    """Its style stands in it, and is the only one that its policy lets in."""
    text = "\n".join(plan_html(rich_plan()))
    page = _Reader(text)
    assert (page.links, page.acting) == ([], [])
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    assert f"style-src '{hash_of(style[1])}'" in text


def test_the_three_answers_stand_on_top() -> None:
    """Whether data is lost, anybody is locked out, and all fits; then what goes, and whether that can be undone."""
    text = "\n".join(plan_html(rich_plan()))
    places = [text.index(words) for words in ("Is data lost?", "Is anyone locked out?", "Does everything fit?")]
    assert places == sorted(places)
    assert max(places) < text.index("Data that goes") < text.index("Changes:")
    assert "destroyed for good" in text


def test_equal_changes_are_one_line_that_can_be_opened() -> None:
    """With the names in it."""
    steps = [step for number in range(30) for step in new_share(f"s{number}", AccessRule("ip", "0.0.0.0/0", "rw"))]
    page = _Reader(_text(*steps))
    assert page.words.count("30 shares") == 2  # where new shares go, and the changes
    assert "share/s29" in page.words
    assert "New rules let everybody in" in page.words


def test_hostile_text_is_text() -> None:
    """Reasons and names of resources come from elsewhere."""
    step = a_step(f"share/{HOSTILE}", Action.DELETE, Verb.DELETE_SHARE, HOSTILE, backend=HOSTILE)
    page = _Reader(_text(step))
    assert page.acting == []
    assert not any("\u202e" in words for words in page.words)


def test_what_is_held_is_named_with_the_reason() -> None:
    """And what depends on it."""
    page = _Reader(_text(held=held_shares()))
    assert "share/home would shrink from 200GiB to 100GiB" in page.words
    assert "depends on share/home, which is held" in page.words


def test_a_plan_without_changes_says_so() -> None:
    """The page is there all the same."""
    assert "No changes. 118 resources are as their manifests say." in _text()


def test_of_very_many_changes_the_first_are_named_and_the_others_counted() -> None:
    """A browser would not open a page of a hundred thousand."""
    steps = [step for number in range(MOST_CHANGES + 7) for step in new_share(f"s{number}")]
    assert "and 7 more" in _text(*steps)
