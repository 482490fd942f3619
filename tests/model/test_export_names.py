"""Names under which clients see shares."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharectl.drivers.directory.samba import section_problem
from sharectl.drivers.linux.agent.contract import Section
from sharectl.drivers.linux.agent.smb.configuration import check_section
from sharectl.model.export_names import canonical, key, outer_keys, problem

BOTH = ("NFS", "CIFS")
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=90)


@pytest.mark.parametrize(
    "name",
    [
        *("projects", "Marketing Team", "Scans$", "Donn\u00e9es", "\u5171\u6709", "\u05de\u05e9\u05d5\u05ea\u05e3"),
        *("R&D (old) #2 {x} 'y'", "a..b", "x" * 80, "\U0001d11e" * 40),
    ],
)
def test_names_that_people_use_are_taken(name: str) -> None:
    """By servers of both protocols."""
    assert problem(name, BOTH) is None


@pytest.mark.parametrize("character", list('[]%/\\:|<>+=;,*?"'))
def test_what_smb_reads_as_something_else_is_refused(character: str) -> None:
    """In any place."""
    assert problem(f"a{character}b", ("CIFS",)) is not None


@pytest.mark.parametrize(
    "name", ["global", "Homes", "PRINTERS", "ipc$", "print$", "ADMIN$", "con", "LPT1.txt", "@team", "&x", "a."]
)
def test_names_with_a_meaning_of_their_own_are_for_nfs_alone(name: str) -> None:
    """Whatever their case."""
    assert problem(name, ("CIFS",)) is not None
    assert problem(name, ("NFS",)) is None


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            " a",
            "a ",
            "a  b",
            "a\tb",
            "a\nb",
            "a\u00a0b",
            "a\u202eb",
            "a\u3164b",
            "a\u2028b",
            "e\u0301",
            "x" * 81,
            "\U0001d11e" * 41,
        ),
        *("a\0", "a\ue000", "a\ud800"),
    ],
)
def test_what_nobody_can_read_is_refused(name: str) -> None:
    """Controls, what does not show, spaces that are dropped, what is not composed, and what is too long for Windows."""
    assert problem(name, ("NFS",)) is not None
    assert problem(name, ("CIFS",)) is not None


@pytest.mark.parametrize("name", ["lab/data", "a/b/c", "lab/R&D (old)"])
def test_a_path_is_for_nfs_alone(name: str) -> None:
    """SMB has no slash in the name of a share."""
    assert problem(name, ("NFS",)) is None
    assert problem(name, BOTH) is not None


@pytest.mark.parametrize(
    "name", ["/a", "a/", "a//b", "a/../b", "..", ".", "a/ b", "a /b", 'a"b', "a\\b", "a/.Snapshots"]
)
def test_what_leads_elsewhere_is_no_path(name: str) -> None:
    """Nor what ends the quotes of a server's configuration, nor the place of a share's snapshots."""
    assert problem(name, ("NFS",)) is not None


def test_names_are_one_whatever_their_case_and_composition() -> None:
    """As Windows compares them, or stricter."""
    assert key("Marketing TEAM") == key("marketing team")
    assert key("DONN\u00c9ES") == key("donne\u0301es")
    assert key("stra\u00dfe") == key("STRASSE")
    assert key("\u0131x") == key("IX")
    assert list(outer_keys("Lab/Data/2024")) == ["lab", "lab/data"]


@given(texts)
def test_what_is_taken_for_smb_no_driver_misreads(text: str) -> None:
    """What the model accepts, both grammars of smb.conf do."""
    name = canonical(text)
    if problem(name, ("CIFS",)) is None:
        assert section_problem(name, "/srv/x") is None
        check_section(Section(name, "/srv/x"), "NAS")


@given(texts)
def test_a_name_and_its_capitals_have_one_key(text: str) -> None:
    """And so have its forms."""
    assert key(text) == key(unicodedata.normalize("NFD", text))
    if text.upper().lower() == text.lower():
        assert key(text.upper()) == key(text.lower())
