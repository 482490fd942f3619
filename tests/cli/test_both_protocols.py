"""Shares of both protocols: declared, planned, exported and mounted."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.cli.test_export_names import DIRECTORY, SIMULATED, flat

if TYPE_CHECKING:
    from tests.cli.console import Console

LINUX = """
apiVersion: sharectl/v1
kind: Backend
metadata: {name: nas}
spec:
  driver: linux
  config:
    addresses: [192.0.2.10]
    pools: {fast: {type: btrfs, path: /srv/fast}}
    smb: {users: {alice: {password: {env: ALICE_PASSWORD}}}}
"""
ACCESS = "[{type: ip, to: 10.0.0.0/24, level: rw}, {type: user, to: alice, level: rw}]"


def share(protocols: str, access: str = ACCESS, **more: str) -> str:
    """Return the manifest of a share with this line for its protocols."""
    fields = {"size": "1GiB", "deletionPolicy": "delete", "access": access, **more}
    lines = "".join(f"  {key}: {value}\n" for key, value in fields.items())
    return f"apiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: projects}}\nspec:\n  {protocols}\n{lines}"


@pytest.fixture(params=[SIMULATED, DIRECTORY], ids=["simulated", "directory"])
def repository(request: pytest.FixtureRequest, console: Console) -> Console:
    """Return a console in a repository with one backend, of each driver that needs no servers."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write("backend.yaml", request.param)
    return console


def test_a_share_of_both_protocols_has_two_exports(repository: Console) -> None:
    """Listed by show with their commands; the next plan is empty, and a machine mounts the one without a password."""
    repository.write("a.yaml", share("protocols: [CIFS, NFS]"))
    assert repository("apply", "--yes").code == 0
    assert repository("plan", "--detailed-exitcode").code == 0
    shown = json.loads(repository("show", "share/projects", "--output", "json").out)
    assert shown["spec"]["protocol"] == "NFS_CIFS"
    nfs, cifs = shown["export_locations"]
    assert ":/" in nfs["location"]
    assert cifs["location"].startswith("\\\\")
    assert {command["system"] for command in cifs["mount"]} == {"Linux", "macOS", "Windows"}
    assert "mount -t nfs" in repository("show", "share/projects").out
    assert " nfs " in repository("mounts", "--for", "10.0.0.7", "--format", "fstab").out
    assert repository("mounts", "--for", "10.9.0.7", "--format", "fstab").out.count("projects") == 0


def test_people_read_both_protocols_in_the_same_words(repository: Console) -> None:
    """In plans, records and histories; JSON has one word for them."""
    repository.write("a.yaml", share("protocol: NFS", "[{type: ip, to: 10.0.0.0/24, level: rw}]"))
    assert repository("apply", "--yes").code == 0
    repository.write("a.yaml", share("protocols: [NFS, CIFS]"))
    said = [
        repository("plan").out,
        repository("plan", "--output", "markdown").out,
        repository("show", "share/projects").out,
    ]
    assert all("protocol  NFS → NFS and CIFS" in text for text in said)
    assert repository("apply", "--yes").code == 0
    said = [repository(*words.split()).out for words in ("show share/projects", "state show share/projects", "history")]
    repository.write("b.yaml", share("protocols: [NFS, CIFS]").replace("projects", "other"))
    said += [repository("plan").out, repository("explain", "share/other").out]
    assert [text for text in said[:4] if "NFS and CIFS" not in text] == []
    assert [text for text in said if "NFS_CIFS" in text] == []


def test_a_protocol_comes_and_goes_in_place(repository: Console) -> None:
    """The plan says which, and whom that cuts off; a saved plan does what it shows."""
    only_nfs = "[{type: ip, to: 10.0.0.0/24, level: rw}]"
    for protocols, access, said in (
        ("protocol: NFS", only_nfs, ""),
        ("protocols: [NFS, CIFS]", ACCESS, "CIFS comes"),
        ("protocol: NFS", only_nfs, "CIFS goes: whoever has mounted the share over it is cut off"),
        ("protocols: [NFS, CIFS]", ACCESS, "CIFS comes"),
        ("protocol: CIFS", ACCESS, "NFS goes"),
    ):
        repository.write("a.yaml", share(protocols, access))
        planned = repository("plan", "--out", "saved.plan")
        assert planned.code == 0, planned.err
        assert said in flat(planned.out)
        assert repository("apply", "saved.plan").code == 0
        assert repository("plan", "--detailed-exitcode").code == 0, protocols
    assert "mount -t nfs" not in repository("show", "share/projects").out


def test_one_protocol_for_the_other_is_no_change_in_place(repository: Console) -> None:
    """Nobody would find the share as before; by way of both it goes."""
    repository.write("a.yaml", share("protocol: NFS", "[]"))
    assert repository("apply", "--yes").code == 0
    repository.write("a.yaml", share("protocol: CIFS", "[]"))
    assert "protocol cannot change in place" in flat(repository("plan").err)


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("protocol: [NFS, CIFS]", "manifest.schema", "write protocols: [NFS, CIFS]"),
        ("protocol: NFS\n  protocols: [CIFS]", "manifest.schema", "keep one of them"),
        ("labels: {}", "manifest", "`protocol` or `protocols` is missing"),
        ("protocols: [NFS, NFS]", "manifest.schema", ""),
    ],
)
def test_what_says_no_protocols_is_refused_with_what_to_write(
    console: Console, line: str, code: str, said: str
) -> None:
    """Exactly one of both fields, each protocol once."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write("backend.yaml", SIMULATED)
    console.write("a.yaml", share(line))
    refused = console("validate")
    assert refused.code == 1
    assert f"error[{code}" in refused.err
    assert said in flat(refused.err)


def test_a_name_has_to_suit_both(console: Console) -> None:
    """What Samba keeps for itself, and a path, which is for NFS alone."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write("backend.yaml", SIMULATED)
    console.write("a.yaml", share("protocols: [NFS, CIFS]", exportName="lab/data"))
    assert "SMB has no /" in flat(console("validate").err)


def test_a_backend_of_one_protocol_is_no_place(console: Console) -> None:
    """Nor is one whose driver exports a share over one protocol alone."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write("a.yaml", share("protocols: [NFS, CIFS]"))
    console.write("backend.yaml", SIMULATED.replace("stateFile: sim.db", "stateFile: sim.db, protocols: [NFS]"))
    assert console("plan").code == 1
    console.write("backend.yaml", SIMULATED.replace("stateFile: sim.db", "stateFile: sim.db, without: [protocols]"))
    assert "exports a share over one protocol alone" in flat(console("plan").err)


@pytest.mark.parametrize(
    ("config", "specs", "said"),
    [
        ("", "", None),
        ("nfs: {squash: all}", "", None),
        ("nfs: {squash: root}", "{'linux:nfs_squash': all}", None),
        ("nfs: {squash: root}", "", "NFS clients are to keep their users (squash root)"),
        ("", "{'linux:nfs_squash': none}", "NFS clients are to keep their users (squash none)"),
        ("nfs: {anonymous: {uid: 1000, gid: 1000}}", "", "NFS clients are to be the user 1000"),
        ("nfs: {server: none}", "", "the backend has no NFS server"),
    ],
)
def test_the_linux_driver_says_where_files_would_have_two_owners(
    console: Console, config: str, specs: str, said: str | None
) -> None:
    """Once, at the line that asks for both, with the way out, before the storage host is reached."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    kind = {"type": "office"} if specs else {}
    console.write("a.yaml", share("protocols: [NFS, CIFS]", **kind))
    if specs:
        type_ = f"kind: ShareType\nmetadata: {{name: office}}\nspec: {{extraSpecs: {specs}}}\n"
        console.write("type.yaml", f"apiVersion: sharectl/v1\n{type_}")
    console.write("backend.yaml", f"{LINUX}    {config}\n")
    found = console("validate")
    if said is None:
        assert found.code == 0, found.err
        return
    assert found.code == 1
    assert found.err.count("error[") == 1
    assert said in flat(found.err)
    assert "protocols: [NFS, CIFS]" in found.err


@pytest.mark.parametrize(
    ("pool", "is_right"),
    [
        ("shareMode: '0770'", False),
        ("shareMode: '2775', owner: {uid: 0, gid: 100}", False),
        ("shareMode: '0770', owner: {uid: 0, gid: 65534}", True),
        ("shareMode: '0700', owner: {uid: 65534, gid: 0}", True),
        ("shareMode: '1777'", True),
    ],
)
def test_a_folder_that_its_owner_may_not_write_is_refused(console: Console, pool: str, *, is_right: bool) -> None:
    """Clients of neither protocol could."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write("a.yaml", share("protocols: [NFS, CIFS]"))
    console.write("backend.yaml", LINUX.replace("path: /srv/fast", f"path: /srv/fast, {pool}"))
    found = console("validate")
    assert (found.code == 0) is is_right, found.err
    assert is_right or "who may not write in the folder of a new share of the pool 'fast'" in flat(found.err)


def test_a_rule_of_a_share_with_both_protocols_is_refused_at_its_line(console: Console) -> None:
    """A client with an owner of its own, and people where no address may write."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write("backend.yaml", LINUX)
    odd = ACCESS.replace("level: rw}, {type: user", "level: rw, squash: none}, {type: user", 1)
    console.write("a.yaml", share("protocols: [NFS, CIFS]", odd))
    refused = console("validate")
    assert refused.code == 1
    assert "would have another owner (squash)" in flat(refused.err)
    assert "with both protocols all files have one owner" in flat(refused.err)
    console.write("a.yaml", share("protocols: [NFS, CIFS]", ACCESS.replace("level: rw}, ", "level: ro}, ", 1)))
    refused = console("validate")
    assert refused.code == 1
    assert "none of the address rules is rw" in flat(refused.err)
    assert "write an address rule with level rw" in flat(refused.err)


@pytest.mark.parametrize(
    "access", [ACCESS, ACCESS.replace("level: rw}, ", "level: ro}, {type: ip, to: 10.0.0.9, level: rw}, ")]
)
def test_samba_reads_the_section_as_it_was_meant(console: Console, access: str) -> None:
    """No client keeps changes to itself, and users come from where NFS clients may write alone."""
    if shutil.which("testparm") is None:
        pytest.skip("needs testparm")
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write("backend.yaml", DIRECTORY)
    console.write("a.yaml", share("protocols: [NFS, CIFS]", access))
    assert console("apply", "--yes").code == 0
    (section,) = (console.root / "storage" / ".sharectl" / "smb.d").glob("*.conf")
    argv = ["testparm", "--suppress-prompt", "--verbose", "--section-name=projects", str(section)]
    read = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=300).stdout
    values = dict(line.strip().split(" = ", 1) for line in read.splitlines() if " = " in line)
    assert (values["oplocks"], values["level2 oplocks"], values["strict locking"]) == ("No", "No", "Yes")
    assert values["hosts allow"] == ("10.0.0.9" if "ro" in access else "10.0.0.0/24")
    assert values["hosts deny"] == "ALL"
    assert values["valid users"] == "alice"


def test_a_protocol_that_was_taken_away_by_hand_comes_back(console: Console) -> None:
    """It is drift."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write("backend.yaml", SIMULATED)
    console.write("a.yaml", share("protocols: [NFS, CIFS]"))
    assert console("apply", "--yes").code == 0
    with closing(sqlite3.connect(console.root / "sim.db")) as connection, connection:
        connection.execute("UPDATE shares SET protocol = 'NFS'")
    assert "its protocols were changed on the backend; CIFS comes" in flat(console("plan").out)
    assert console("apply", "--yes").code == 0
    assert console("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("folder", ["exports.d", "smb.d"])
def test_a_fragment_of_one_protocol_that_is_gone_is_written_again(console: Console, folder: str) -> None:
    """Whichever it is."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write("backend.yaml", DIRECTORY)
    console.write("a.yaml", share("protocols: [NFS, CIFS]"))
    assert console("apply", "--yes").code == 0
    (fragment,) = (console.root / "storage" / ".sharectl" / folder).glob("*")
    text = fragment.read_text(encoding="utf-8")
    fragment.unlink()
    assert console("plan", "--detailed-exitcode").code == 2
    assert console("apply", "--yes").code == 0
    assert fragment.read_text(encoding="utf-8") == text
