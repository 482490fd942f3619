"""Which settings an export is to have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.linux import FACTORY
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
