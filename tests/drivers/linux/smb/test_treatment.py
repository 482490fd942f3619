"""What an SMB share offers, in its forms: one means what the others mean."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sharectl.drivers.linux.agent.smb import treatment
from sharectl.drivers.linux.agent.smb.treatment import BIN_FOLDER, PLAIN, RecycleBin, SmbTreatment, TimeMachine
from sharectl.drivers.linux.exports import treatment_of
from sharectl.drivers.linux.settings import smb_of

_BINS = st.builds(RecycleBin, st.from_regex(BIN_FOLDER, fullmatch=True), st.booleans(), st.booleans(), st.booleans())
TREATMENTS = st.builds(
    SmbTreatment,
    recycle_bin=st.none() | _BINS,
    previous_versions=st.booleans(),
    macos=st.booleans(),
    time_machine=st.none() | st.builds(TimeMachine, st.none() | st.integers(1)),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(wanted=TREATMENTS)
def test_each_form_has_the_whole(wanted: SmbTreatment) -> None:
    """The records' JSON, a comment of a section, and the driver's texts."""
    assert treatment.problem_of(wanted) is None
    assert treatment.of_options(json.loads(json.dumps(treatment.to_options(wanted)))) == wanted
    (comment,) = treatment.comments_of(wanted) or (None,)
    assert treatment.of_comment(comment and comment.removeprefix("# treatment = ")) == wanted
    assert treatment.untold(treatment.told(wanted)) == wanted


@pytest.mark.parametrize("text", ["", "{", "[]", "1", '{"recycle_bin": {"size": 1}}', '{"recycle_bin":null}', '"x"'])
def test_a_comment_that_nobody_wrote_means_nothing(text: str) -> None:
    """Not even where it could be read."""
    assert treatment.of_comment(text) is None


def test_a_share_of_before_offers_files_alone() -> None:
    """Its record and its section say nothing of it."""
    assert treatment.of_options({"squash": "root"}) == treatment.of_comment(None) == treatment.untold({}) == PLAIN


@pytest.mark.parametrize(
    ("config", "specs", "wanted"),
    [
        ({}, {}, None),
        ({"recycleBin": {}}, {}, RecycleBin()),
        ({"recycleBin": {"enabled": False}}, {}, None),
        ({"recycleBin": {}}, {"linux:smb_recycle_bin": "False"}, None),
        ({}, {"linux:smb_recycle_bin": "True"}, RecycleBin()),
        ({}, {"linux:smb_recycle_bin_folder": "Trash"}, None),
        (
            {"recycleBin": {"enabled": False, "folder": "Trash", "visible": False}},
            {"linux:smb_recycle_bin": "true", "linux:smb_recycle_bin_versions": "false"},
            RecycleBin("Trash", versions=False, visible=False),
        ),
        (
            {"recycleBin": {"visible": False}},
            {
                "linux:smb_recycle_bin_folder": ".bin",
                "linux:smb_recycle_bin_keep_tree": "false",
                "linux:smb_recycle_bin_visible": "true",
            },
            RecycleBin(".bin", keep_tree=False),
        ),
        ({"recycleBin": {}}, {"linux:smb_recycle_bin_folder": "../x", "linux:smb_recycle_bin": "maybe"}, RecycleBin()),
    ],
)
def test_the_share_type_goes_before_the_backend(
    config: dict[str, object], specs: dict[str, str], wanted: RecycleBin | None
) -> None:
    """For each setting by itself; a wrong value, which is refused elsewhere, counts as none."""
    assert treatment_of(smb_of({"smb": config}), specs) == SmbTreatment(recycle_bin=wanted)


@pytest.mark.parametrize(
    ("config", "specs", "wanted"),
    [
        ({}, {}, False),
        ({"previousVersions": True}, {}, True),
        ({"previousVersions": True}, {"linux:smb_previous_versions": "False"}, False),
        ({}, {"linux:smb_previous_versions": "True"}, True),
        ({}, {"linux:smb_previous_versions": "maybe"}, False),
    ],
)
def test_previous_versions_are_those_of_the_type_or_the_backend(
    config: dict[str, object], specs: dict[str, str], *, wanted: bool
) -> None:
    """And off where neither says anything."""
    assert treatment_of(smb_of({"smb": config}), specs) == SmbTreatment(previous_versions=wanted)


@pytest.mark.parametrize(
    ("config", "specs", "wanted"),
    [
        ({"macos": True}, {}, None),
        ({"macos": True, "timeMachine": {}}, {}, TimeMachine()),
        ({"macos": True, "timeMachine": {"maxSize": "1 KiB"}}, {}, TimeMachine(1024)),
        ({"macos": True, "timeMachine": {}}, {"linux:smb_time_machine": "False"}, None),
        ({"macos": True}, {"linux:smb_time_machine": "True"}, TimeMachine()),
        (
            {"macos": True},
            {"linux:smb_time_machine": "True", "linux:smb_time_machine_max_size": "2KiB"},
            TimeMachine(2048),
        ),
        ({"macos": True}, {"linux:smb_time_machine": "True", "linux:smb_time_machine_max_size": "0B"}, TimeMachine()),
        ({}, {"linux:smb_time_machine": "True"}, None),
    ],
)
def test_time_machine_is_for_share_types(
    config: dict[str, object], specs: dict[str, str], wanted: TimeMachine | None
) -> None:
    """On a server that speaks with Macs."""
    is_for_macs = bool(config.get("macos"))
    found = treatment_of(smb_of({"smb": config}), specs)
    assert found == SmbTreatment(macos=is_for_macs, time_machine=wanted)
