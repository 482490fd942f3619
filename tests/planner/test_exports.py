"""Which settings an export is to have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.linux import FACTORY
from sharectl.drivers.linux.exports import smb_people_settings
from sharectl.drivers.linux.settings import SmbSettings
from sharectl.model.backends import BackendSpec
from sharectl.planner.exports import export_policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.model.access import ExportSettings


TYPES = {"gold": {"linux:nfs_squash": "all"}, "plain": {"snapshot_support": "True"}, "wrong": {"linux:nfs_squash": "x"}}


@pytest.mark.parametrize(
    ("config", "share_type", "squash"),
    [
        ({}, None, "root"),
        ({"nfs": {"squash": "none"}}, None, "none"),
        ({"nfs": {"squash": "root"}}, None, "root"),
        ({"nfs": {"squash": "root"}}, "plain", "root"),
        ({"nfs": {"squash": "root"}}, "gold", "all"),
        ({"nfs": {"squash": "all"}}, "gold", "all"),
        ({"nfs": {"squash": "root"}}, "wrong", "root"),
        ({"nfs": {"squash": "root"}}, "gone", "root"),
    ],
)
def test_the_share_type_goes_before_the_backend(config: dict[str, object], share_type: str | None, squash: str) -> None:
    """As for a new share."""
    backend = BackendSpec("nas", "linux", config)

    def settings_of(protocol: str, extra_specs: Mapping[str, str]) -> ExportSettings:
        return FACTORY.export_settings(backend, protocol, extra_specs)  # type: ignore[attr-defined,no-any-return]

    policy = export_policy(settings_of, ("NFS", "CIFS"), TYPES)
    assert policy.of("NFS", share_type) == (
        ("anonymous", "65534:65534"),
        ("insecure", "false"),
        ("security", "sys"),
        ("squash", squash),
        ("versions", "4.1,4.2"),
    )
    assert policy.of("CIFS", share_type) == (("diskFree", "share"), ("encryption", "optional"), ("signing", "required"))
    assert policy.of(None, share_type) is None


PEOPLE = {
    "users": {name: {"password": {"env": "X"}} for name in ("alice", "bob")},
    "groups": {"Staff": ["alice"], "All": []},
}


@pytest.mark.parametrize(
    ("keys", "meant"),
    [
        ((), []),
        (("user:alice", "ip:10.0.0.0/8"), []),
        (("group:staff",), [("group:staff", "alice")]),
        (("group:all", "user:*"), [("group:all", "nobody"), ("user:*", "alice, bob")]),
        (("group:gone",), []),
    ],
)
def test_whom_a_rule_means_is_a_setting_of_shares_with_that_rule(keys: list[str], meant: list[tuple[str, str]]) -> None:
    """Of those of SMB alone."""
    backend = BackendSpec("nas", "linux", {"smb": PEOPLE})

    def settings_of(protocol: str, extra_specs: Mapping[str, str]) -> ExportSettings:
        return FACTORY.export_settings(backend, protocol, extra_specs)  # type: ignore[attr-defined,no-any-return]

    policy = export_policy(settings_of, ("NFS", "CIFS"), TYPES)
    found = policy.of("CIFS", None, keys)
    assert found is not None
    assert [each for each in found if ":" in each[0]] == meant
    assert policy.of("NFS", None, keys) == policy.of("NFS", None)


def test_no_two_sets_of_many_people_are_told_alike() -> None:
    """A few are named, and a digest stands for all."""
    users = [f"u{number:03}" for number in range(300)]
    told = [
        smb_people_settings(SmbSettings(enabled=True, port=445, groups={"g": tuple(members)}))
        for members in (users, users[:-1])
    ]
    assert told[0] != told[1]
    assert all(len(each["group:g"]) < 100 for each in told)
