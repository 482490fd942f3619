"""Names and comments on the array."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharectl.drivers.base import DriverError
from sharectl.drivers.ontap.creation import candidate_names
from sharectl.drivers.ontap.exports import Treatment
from sharectl.drivers.ontap.names import Note, comment_of, id_filter, read_note, volume_name
from sharectl.drivers.ontap.qtrees.names import MOST_ASKED, Marks, place_of, policy_name, read_policy_name

IDS = st.uuids().map(str)
WORDS = st.text(st.characters(blacklist_categories=("Cs",)), max_size=80)


@given(IDS, st.dictionaries(st.sampled_from(["name", "protocol", "trashed"]), WORDS), WORDS)
def test_a_note_is_read_as_it_was_written(resource_id: str, values: dict[str, str], words: str) -> None:
    """Whatever is in it, and whatever others wrote."""
    note = Note(resource_id, values, words)
    if len(comment_of(Note(resource_id, values))) + len(words) < 1000:
        assert read_note(comment_of(note)) == note


@pytest.mark.parametrize(
    "comment", [None, 3, "", "sharectl", "sharectl:", "sharectl:a b", "my sharectl:1", "sharectl:1;x"]
)
def test_a_comment_of_others_is_none_of_ours(comment: object) -> None:
    """Not even where it looks alike."""
    assert read_note(comment) is None


def test_the_words_of_others_are_cut_only_where_they_do_not_fit() -> None:
    """Ours have to, whole."""
    long = comment_of(Note("1", {"name": "a"}, "x" * 2000))
    assert (len(long), long[:20], long[-2:]) == (1023, "sharectl:1 name=a; x", "x…")
    assert read_note(long) == Note("1", {"name": "a"}, long.partition("; ")[2])
    fits = "y" * (1023 - len("sharectl:1; "))
    assert read_note(comment_of(Note("1", {}, fits))) == Note("1", {}, fits)
    assert comment_of(Note("1", {"name": "x" * 1006}, "words")) == f"sharectl:1 name={'x' * 1006}"
    with pytest.raises(DriverError, match="does not fit"):
        comment_of(Note("1", {"name": "x" * 2000}))
    assert id_filter("1") == "sharectl:1*"


@settings(max_examples=40)
@given(st.text(max_size=220), IDS)
def test_volumes_have_names_that_the_array_takes(name: str, resource_id: str) -> None:
    """Letters, digits and `_`, a letter or `_` first, at most 203; the second is no other share's."""
    names = [volume for volume, _ in candidate_names(name, resource_id)]
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,202}", each) for each in names)
    assert names[1] not in [volume for volume, _ in candidate_names(name, "another")]


def test_shares_with_alike_names_have_volumes_of_their_own() -> None:
    """What the array cannot write is `_`, so the id tells them apart."""
    (plain, _), (other, path) = candidate_names("a-b", "1")
    assert plain == volume_name("a_b") != other
    assert path.startswith("/a-b-")


@given(IDS, IDS, st.sampled_from(["root", "none", "all"]))
def test_the_longest_name_of_a_policy_fits_and_is_read_as_it_was_written(share: str, volume: str, squash: str) -> None:
    """An array takes 256 letters."""
    treatment = Treatment(squash, str(2**32 - 1), ("sys", "krb5", "krb5i", "krb5p"))
    marks = Marks("NFS_CIFS", treatment, "1" * MOST_ASKED, "20260101T000000Z", place_of(volume, 4994, "alice"))
    name = policy_name(share, [], marks, attempt=19)
    assert len(name) <= 256
    assert read_policy_name(name) == (share, marks)
