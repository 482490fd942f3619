"""What `validate` says of share types for ontap backends: before any array is reached, each at its place, with what to write."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.cli.console import run

if TYPE_CHECKING:
    from pathlib import Path

MANIFESTS = """\
apiVersion: sharectl/v1
kind: Backend
metadata: {name: filer}
spec:
  driver: ontap
  config: {address: filer.example.org, user: sharectl, password: {env: NOT_SET}, svm: vs1}
---
apiVersion: sharectl/v1
kind: ShareType
metadata: {name: odd}
spec:
  extraSpecs:
    driver_handles_share_servers: false
    compression: <is> True
    netapp:thin_provisoned: true
    netapp:max_files: many
    netapp:fpolicy_file_operations: create
    linux:nfs_squash: all
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: projects}
spec: {type: odd, protocol: NFS, size: 1GiB}
"""


def test_each_spec_is_told_once_at_its_line_with_what_to_write(tmp_path: Path) -> None:
    """Of Manila's scope as of the driver's own; what does not go together is told of the share that is to be made so."""
    (tmp_path / "sharectl.yaml").write_text(
        "apiVersion: sharectl/v1\nkind: Project\nspec: {manifests: [manifests.yaml]}\n", encoding="utf-8"
    )
    (tmp_path / "manifests.yaml").write_text(MANIFESTS, encoding="utf-8")
    ended = run("validate", "--output", "json", cwd=tmp_path)
    assert ended.code == 1
    told = {(each["code"], each["source"]["line"]): each["remedy"] for each in json.loads(ended.out)["diagnostics"]}
    lines = {number: line.strip() for number, line in enumerate(MANIFESTS.splitlines(), start=1)}
    named = {(code, lines[line].partition(": ")[0].partition(" ")[0]): remedy for (code, line), remedy in told.items()}
    assert set(named) == {
        ("share_type.extra-spec", "netapp:thin_provisoned"),
        ("share_type.extra-spec", "netapp:max_files"),
        ("share_type.extra-spec", "netapp:fpolicy_file_operations"),
        ("share.unfit", "spec"),
    }
    assert "netapp:thin_provisioned" in str(named["share_type.extra-spec", "netapp:thin_provisoned"])
    assert "dedupe" in str(named["share.unfit", "spec"])


POLICIES = """\
---
apiVersion: sharectl/v1
kind: ShareType
metadata: {name: often}
spec: {extraSpecs: {driver_handles_share_servers: false}, snapshotPolicy: {monthly: {keep: 3, day: 31}}}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: papers}
spec: {type: often, protocol: NFS, size: 1GiB}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: drafts}
spec: {type: often, protocol: NFS, size: 1GiB, snapshotPolicy: {hourly: {keep: 24}}}
"""


def test_a_snapshot_policy_that_no_array_can_have_is_refused(tmp_path: Path) -> None:
    """Of the share or of its type, before any array is reached."""
    (tmp_path / "sharectl.yaml").write_text(
        "apiVersion: sharectl/v1\nkind: Project\nspec: {manifests: [manifests.yaml]}\n", encoding="utf-8"
    )
    backend = MANIFESTS.partition("---")[0]
    (tmp_path / "manifests.yaml").write_text(backend + POLICIES, encoding="utf-8")
    ended = run("validate", "--output", "json", cwd=tmp_path)
    (found,) = json.loads(ended.out)["diagnostics"]
    assert (found["code"], found["address"]) == ("scheduler.capability", "share/papers")
    assert "no day 31" in found["summary"]
