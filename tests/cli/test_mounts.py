"""`sharectl mounts`: from the state alone, what a client mounts."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.console import Console

MANIFESTS = """\
apiVersion: sharectl/v1
kind: Backend
metadata: {name: sim}
spec: {driver: simulated, config: {stateFile: sim.db, pools: [{name: gold1, total: 10TiB}]}}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: home, labels: {team: a}}
spec: {size: 1GiB, protocol: NFS, access: [{type: ip, to: 10.0.0.0/8, level: ro}, {type: ip, to: 127.0.0.1, level: rw}]}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: win}
spec: {size: 1GiB, protocol: CIFS, access: [{type: user, to: 'CORP\\alice', level: rw}]}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: lonely}
spec: {size: 1GiB, protocol: NFS}
"""


@pytest.fixture
def site(console: Console) -> Console:
    """Return a repository with a share of each protocol and one that nobody may reach, applied."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write("all.yaml", MANIFESTS)
    assert console("apply", "--yes").code == 0
    return console


def entries(text: str) -> list[str]:
    """Return the lines that are no remarks."""
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_a_client_gets_what_it_may_reach(site: Console) -> None:
    """As fstab unless another format is asked for, with the command at the top that makes it again."""
    ended = site("mounts", "--for", "10.0.0.5")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("# Made by `sharectl mounts --format fstab --for 10.0.0.5` from the state ")
    at_boot = "_netdev,nofail,x-systemd.automount 0 0"
    assert entries(ended.out) == [
        f"simulated.invalid:/gold1/home /mnt/home nfs ro,{at_boot}",
        f"//simulated.invalid/gold1-win /mnt/win cifs rw,credentials=/etc/smb-credentials,vers=3.1.1,{at_boot}",
    ]
    assert site("mounts", "--for", "10.0.0.5").out == ended.out


@pytest.mark.parametrize(
    "words",
    [
        ("--mount-root", "/srv/x", "--credentials", "/etc/c"),
        ("--format", "kubernetes", "--namespace", "prod"),
        ("--user", "carol", "--backend", "sim"),
    ],
    ids=" ".join,
)
def test_the_command_at_the_top_makes_the_same_again(site: Console, words: tuple[str, ...]) -> None:
    """With all options that decide what is written."""
    made = site("mounts", *words).out
    command = made.partition("`")[2].partition("`")[0]
    assert site(*shlex.split(command)[1:]).out == made
    assert set(words) <= {*shlex.split(command)}


@pytest.mark.parametrize("style", ["fstab", "autofs", "systemd", "kubernetes", "ansible"])
def test_each_format_is_written(site: Console, style: str) -> None:
    """To standard output; what is left out is said beside it."""
    ended = site("mounts", "--format", style)
    assert ended.code == 0
    assert "simulated.invalid" in ended.out
    assert "lonely" not in ended.out
    assert ended.err == "1 share left out, since no access rule is in force: share/lonely\n"


def test_no_backend_is_asked(site: Console) -> None:
    """Neither the manifests nor the storage have to be there."""
    (site.root / "sim.db").unlink()
    (site.root / "all.yaml").unlink()
    assert "/mnt/home" in site("mounts").out


def test_a_choice_of_shares(site: Console) -> None:
    """By address, label, backend, user; and the choice is part of the command at the top."""
    assert len(entries(site("mounts", "share/home").out)) == 1
    by_label = site("mounts", "--label", "team=a", "--backend", "sim")
    assert len(entries(by_label.out)) == 1
    assert "`sharectl mounts --format fstab --label team=a --backend sim`" in by_label.out
    by_user = site("mounts", "--user", "corp\\ALICE", "--for", "192.0.2.1")
    assert entries(by_user.out)[0].startswith("//simulated.invalid/gold1-win ")
    assert entries(site("mounts", "share/home", "--backend", "sim", "--for", "192.0.2.1").out) == []


def test_a_host_is_resolved(site: Console) -> None:
    """One that is this machine to itself alone is remarked on."""
    ended = site("mounts", "--for", "localhost", "share/home")
    assert entries(ended.out)[0].split()[3].startswith("rw,")
    assert "servers see nobody but themselves" in ended.err


def test_that_there_is_nothing_is_said(site: Console) -> None:
    """And is no error: so it may be."""
    ended = site("mounts", "--for", "192.0.2.1", "share/home")
    assert (ended.code, entries(ended.out)) == (0, [])
    assert "nothing to mount: no access rule in force lets 192.0.2.1 reach any of these shares" in ended.err


def test_units_are_written_as_files(site: Console) -> None:
    """Under the names that systemd asks for; a second time nothing changes, and a narrower choice leaves the others."""
    (site.root / "units").mkdir()
    command = ("mounts", "--format", "systemd", "--mount-root", "/net/x-y", "--directory", "units")
    first = site(*command)
    assert (first.code, first.out) == (0, "")
    assert {path.name for path in (site.root / "units").iterdir()} == {
        rf"net-x\x2dy-{name}.{kind}" for name in ("home", "win") for kind in ("mount", "automount")
    }
    assert "4 files written" in first.err
    assert "0 files written" in site(*command).err
    assert "2 files of an earlier run left there" in site(*command, "share/win").err


def test_a_unit_of_somebody_else_is_not_overwritten(site: Console) -> None:
    """Nothing is written then."""
    site.write("units/mnt-home.mount", "[Mount]\n")
    ended = site("mounts", "--format", "systemd", "--directory", "units")
    assert ended.code == 1
    assert "error[mounts.foreign-file]" in ended.err
    assert [path.name for path in (site.root / "units").iterdir()] == ["mnt-home.mount"]


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (["--for", "10.0.0"], 64, "usage.client"),
        (["--for", "nobody.invalid"], 1, "mounts.unknown-host"),
        (["--user", "a/b"], 64, "usage.user"),
        (["--label", "team"], 64, "usage.label"),
        (["--backend", "sym"], 1, "backend.unknown-name"),
        (["share/hom"], 1, 'did you mean "share/home"?'),
        (["home"], 64, "usage.address"),
        (["--mount-root", "mnt"], 64, "usage.mount-root"),
        (["--mount-root", "/mnt/../etc"], 64, "usage.mount-root"),
        (["--mount-root", "//mnt"], 64, "usage.mount-root"),
        (["--mount-root", "/a b"], 64, "usage.mount-root"),
        (["--credentials", "/a,uid=0"], 64, "usage.credentials"),
        (["--namespace", "A"], 64, "usage.namespace"),
        (["--directory", "."], 64, "usage.directory"),
        (["--format", "systemd", "--directory", "none"], 1, "mounts.folder"),
    ],
)
def test_a_mistake_is_named(site: Console, arguments: list[str], code: int, what: str) -> None:
    """With how to mend it, and nothing is written."""
    ended = site("mounts", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert what in ended.err


def test_without_a_state_there_are_no_mounts(console: Console) -> None:
    """Nothing has been applied, or it is the wrong folder."""
    assert "error[state.missing]" in console("mounts").err
