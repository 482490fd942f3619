"""URLs of states: those that name one, and what is said of the others."""

from __future__ import annotations

import pytest

from sharectl.model.state_urls import StateUrlError, is_state_url, path_in_state_url


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:state.db", "state.db"),
        ("sqlite:/var/lib/state.db", "/var/lib/state.db"),
        ("sqlite:///var/lib/state.db", "/var/lib/state.db"),
        ("sqlite:~/a b?c#d", "~/a b?c#d"),
    ],
)
def test_a_url_names_a_file(url: str, path: str) -> None:
    """Everything after the kind is the path, to the letter."""
    assert is_state_url(url)
    assert path_in_state_url(url) == path


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://me:hunter2@db/state", "kind postgresql"),
        ("sqlight:state.db", "kind sqlight"),
        ("sqlite:", "no file"),
        ("sqlite://other.example/state.db", "another machine"),
        ("/var/lib/state.db", "which kind"),
    ],
)
def test_any_other_url_is_refused_with_those_that_there_are(url: str, words: str) -> None:
    """And no password in it is repeated."""
    with pytest.raises(StateUrlError, match=words) as refused:
        path_in_state_url(url)
    assert "sqlite:PATH" in refused.value.remedy
    assert "hunter2" not in str(refused.value) + refused.value.remedy


def test_a_path_is_not_a_url() -> None:
    """Whatever is in it."""
    assert not is_state_url("/var/lib/state.db")
    assert not is_state_url("./a:b")
