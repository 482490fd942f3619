"""Share servers: a backend that is to make them is refused as long as no driver can."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

_MANIFEST = """\
apiVersion: sharectl/v1
kind: Backend
metadata:
  name: tenants
spec:
  driver: directory
  shareServers: true
  config: {root: storage}
"""


def test_a_backend_that_cannot_make_share_servers_is_refused_where_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else shares with a network would be placed on it, and nobody would give them one."""
    (tmp_path / "backend.yaml").write_text(_MANIFEST)
    assert main(["validate", "-C", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "backend tenants is to make share servers, and its driver directory cannot" in said
    assert "backend.yaml:7:" in said
