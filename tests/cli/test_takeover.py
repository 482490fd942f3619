"""Taking over what another server exports: its files are read, and what no manifest says is reported line by line."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import orjson
import pytest

if TYPE_CHECKING:
    from tests.cli.console import Console

BACKEND = """\
apiVersion: sharectl/v1
kind: Backend
metadata: {name: nas}
spec:
  driver: directory
  config: {root: storage}
"""


@pytest.fixture
def filer(console: Console) -> Console:
    """Return a console in a repository with a directory backend that holds folders, and no share."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write("nas.yaml", BACKEND)
    for name in ("projects", "homes", "sp ace", "scans/deep"):
        (console.root / "storage" / name).mkdir(parents=True)
    return console


def exports(console: Console, text: str, name: str = "exports") -> str:
    """Write an exports file; `S` in it is the folder of the storage."""
    console.write(name, text.replace("S/", f"{console.root}/storage/"))
    return name


def test_a_proposal_changes_nothing(filer: Console) -> None:
    """Without --write there is the report, with the rules of each manifest that would be written, and no state."""
    name = exports(filer, "S/projects 10.0.0.0/8(rw,sync) 10.0.0.9\n'S/sp\\040ace 10.1.0.0/16(ro)\n".replace("'", ""))
    ended = filer("import", "--exports", name, "--backend", "nas")
    assert ended.code == 0, ended.err
    assert "share/projects" in ended.out
    assert "  access ip:10.0.0.0/8 rw\n" in ended.out
    assert "share/sp-ace" in ended.out
    assert "exports:1: sync: so is every share" in ended.out
    assert "2 new manifests; everything was taken over." in ended.out
    assert {path.name for path in filer.root.iterdir()} <= {
        "sharectl.yaml",
        "nas.yaml",
        "exports",
        "storage",
        ".sharectl",
    }
    assert filer("state", "list").code == 1
    assert "there is no state" in filer("state", "list").err


def test_what_is_written_is_imported_and_applied(filer: Console) -> None:
    """The data stays, the next plan adds the rules, apply puts them in force, and a second report has nothing to add."""
    (filer.root / "storage/projects/file").write_text("kept", encoding="utf-8")
    name = exports(
        filer, "S/projects 10.0.0.0/255.0.0.0(rw) 10.0.0.9\nS/homes 10.1.0.0/16(rw,all_squash,anonuid=1000)\n"
    )
    ended = filer("import", "--exports", name, "--backend", "nas", "--write", "taken", "--yes", "--size", "5GiB")
    assert ended.code == 0, ended.err
    text = (filer.root / "taken/imported-nas.yaml").read_text(encoding="utf-8")
    assert "name: homes\n" in text
    assert "size: 5GiB" in text
    planned = filer("plan").out
    assert "+ access ip:10.0.0.0/8 rw" in planned
    assert "+ access ip:10.0.0.9 ro" in planned
    assert "+ access ip:10.1.0.0/16 rw (anonymousUid 1000, squash all)" in planned
    assert filer("apply", "--yes").code == 0
    assert filer("plan", "--detailed-exitcode").code == 0
    assert (filer.root / "storage/projects/file").read_text(encoding="utf-8") == "kept"
    again = filer("import", "--exports", name, "--backend", "nas", "--write", "taken", "--yes")
    assert again.code == 0, again.out
    assert "0 new manifests; everything was taken over." in again.out
    assert len(list((filer.root / "taken").iterdir())) == 1


def test_what_cannot_be_said_ends_with_2(filer: Console) -> None:
    """Each line is named, in the report and above the manifest, and the rest is taken over all the same."""
    name = exports(filer, "S/projects ws1.example.org(rw) \\\n 10.0.0.1(rw,xprtsec=tls)\\\n 10.0.0.2(rw)\n")
    ended = filer("import", "--exports", name, "--backend", "nas", "--write", "taken", "--yes")
    assert ended.code == 2, ended.err
    assert "exports:1: " in ended.out
    assert "host names are not resolved" in ended.out
    assert "exports:2: " in ended.out
    assert "xprtsec=tls" in ended.out
    text = (filer.root / "taken/imported-nas.yaml").read_text(encoding="utf-8")
    assert "# Left out: exports:1: " in text
    assert "to: 10.0.0.2" in text
    assert "to: 10.0.0.1\n" not in text
    assert filer("validate").code == 0


def test_where_a_folder_is(filer: Console) -> None:
    """What is no share that can be taken over is said with the reason, for each of its clients."""
    bad = "S/gone h1(rw)\nS/. h2\nS/scans/deep h3\n/elsewhere h4 h5\n"
    ended = filer("import", "--exports", exports(filer, bad), "--backend", "nas")
    assert ended.code == 2
    for words in (
        "gone h1(rw): backend nas lists no share gone; never used so far",
        "h2: it is the pool 'default' of backend nas",
        "deep h3: the folder lies within another",
        "/elsewhere h4: the folder is in no pool of backend nas",
        "/elsewhere h5: the folder is in no pool of backend nas",
    ):
        assert words in ended.out, words
    assert "0 new manifests; 5 not taken over" in ended.out
    assert filer("apply", "--yes").code == 0
    again = filer("import", "--exports", "exports", "--backend", "nas")
    assert "gone h1(rw): backend nas has no share gone" in again.out


def test_links_and_other_spellings_lead_to_the_same_folder(filer: Console) -> None:
    """The clients of both lines are of one share, as exportfs has it."""
    (filer.root / "link").symlink_to(filer.root / "storage/projects")
    name = exports(filer, f"{filer.root}/link 10.0.0.1(rw)\nS//projects/ 10.0.0.2\n")
    ended = filer("import", "--exports", name, "--backend", "nas")
    assert ended.code == 0, ended.out
    assert "2 rules" in ended.out
    assert "1 new manifest;" in ended.out


def test_a_manifest_that_is_there_decides(filer: Console) -> None:
    """It is not written anew; a client that it does not have is reported."""
    filer.write(
        "projects.yaml",
        "apiVersion: sharectl/v1\nkind: Share\nmetadata: {name: projects}\n"
        "spec: {size: 1GiB, protocol: NFS, access: [{type: ip, to: 10.0.0.1, level: rw}]}\n",
    )
    name = exports(filer, "S/projects 10.0.0.1(rw) 10.0.0.2(rw)\n")
    ended = filer("import", "--exports", name, "--backend", "nas", "--write", "taken", "--yes")
    assert ended.code == 2, ended.err
    assert "10.0.0.2 rw: the manifest of share/projects is there already, and has no such rule" in ended.out
    assert "10.0.0.1 rw:" not in ended.out
    assert not (filer.root / "taken").exists()
    assert "share/projects" in filer("state", "list").out


def test_names_that_are_not_utf8(filer: Console) -> None:
    """Such a folder cannot be taken over, and its line is shown with escapes."""
    odd = filer.root / "storage" / b"Caf\xe9".decode("utf-8", "surrogateescape")
    odd.mkdir()
    ended = filer("import", "--exports", exports(filer, "S/Caf\\351 10.0.0.1(rw)\n"), "--backend", "nas", "-o", "json")
    assert ended.code == 2
    [found] = orjson.loads(ended.out)["findings"]
    assert found["what"].endswith("/storage/Caf\\xe9 10.0.0.1(rw)")
    assert "its name is not UTF-8" in found["why"]


def test_fragments_in_a_folder_and_standard_input(filer: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a folder those files that exportfs reads; `-` is standard input."""
    exports(filer, "S/projects 10.0.0.1(rw)\n", "exports.d/a.exports")
    exports(filer, "S/homes 10.0.0.1(rw)\n", "exports.d/b.exports")
    exports(filer, "nonsense(\n", "exports.d/.c.exports")
    exports(filer, "nonsense(\n", "exports.d/d.exports.bak")
    data = f"{filer.root}/storage/scans *(ro)\n".encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    ended = filer("import", "--exports", "exports.d", "--exports", "-", "--backend", "nas")
    assert ended.code == 0, ended.err
    assert "3 new manifests; everything was taken over." in ended.out


def test_a_file_that_cannot_be_read(filer: Console) -> None:
    """Neither one that is not there nor one that exportfs would refuse is taken for an empty one."""
    for name, words in (
        ("none", "none could not be read: it does not exist"),
        (exports(filer, "S/x h(rw, ro)"), "--> exports:1:"),
    ):
        ended = filer("import", "--exports", name, "--backend", "nas", "--write", "taken", "--yes")
        assert ended.code == 1
        assert words in ended.err
    assert not (filer.root / "taken").exists()


def test_wrong_usage(filer: Console) -> None:
    """The files are for one backend, and for what it holds."""
    exports(filer, "S/projects h\n")
    for wrong in (
        ("import", "--exports", "exports"),
        ("import", "--exports", "exports", "--backend", "nas", "--all"),
        ("import", "share/x", "x", "--exports", "exports", "--backend", "nas"),
        ("import", "--exports", "exports", "--backend", "nas", "--write", "taken", "-o", "json"),
    ):
        ended = filer(*wrong)
        assert ended.code == 64, wrong
    ended = filer("import", "--exports", "exports", "--backend", "sna")
    assert ended.code == 1
    assert 'did you mean "nas"?' in ended.err


def test_a_driver_without_folders(simulated: Console) -> None:
    """Says so, and what to do instead."""
    simulated.write("exports", "/a h\n")
    ended = simulated("import", "--exports", "exports", "--backend", "sim")
    assert ended.code == 1
    assert "error[import.no-folders]" in ended.err
    assert "sharectl import --backend sim --all" in ended.err


def test_json_and_markdown(filer: Console) -> None:
    """The report in the other formats; with --write its JSON is the first line, before the events."""
    name = exports(filer, "S/projects 10.0.0.1(rw,async)\n")
    found = orjson.loads(filer("import", "--exports", name, "--backend", "nas", "-o", "json").out)
    assert (found["format"], found["version"], found["whole"]) == ("sharectl-takeover", 1, False)
    [share] = found["shares"]
    assert share["address"] == "share/projects"
    assert share["access"] == [{"access_type": "ip", "access_to": "10.0.0.1", "access_level": "rw"}]
    assert "kind: Share" in found["manifests"]
    [finding] = found["findings"]
    assert (finding["path"], finding["line"], finding["outcome"]) == ("exports", 1, "left-out")
    markdown = filer("import", "--exports", name, "--backend", "nas", "-o", "markdown").out
    assert "#### Not taken over" in markdown
    lines = filer(
        "import", "--exports", name, "--backend", "nas", "--write", "t", "--yes", "-o", "json"
    ).out.splitlines()
    formats = [orjson.loads(line).get("format") for line in lines]
    assert formats[0] == "sharectl-takeover"
    assert formats[-1] == "sharectl-result"


def test_ten_thousand_lines(filer: Console) -> None:
    """Are read, matched and written down together."""
    clients = (f"10.{n // 250}.{n % 250}.0/24(rw) 10.{n // 250}.{n % 250}.7(ro) h{n}(ro)" for n in range(10_000))
    name = exports(filer, "".join(f"S/projects {client}\n" for client in clients))
    ended = filer("import", "--exports", name, "--backend", "nas")
    assert ended.code == 2
    assert "20000 rules" in ended.out


SMB_CONF = """\
[global]
   workgroup = OFFICE
   hosts allow = 192.168.
[homes]
   valid users = %S
[Marketing Team]
   path = S/scans
   Write OK = yes
   valid users = @marketing, alice
[projects]
   path = S/projects
   guest ok = yes
[gone]
   path = /srv/none
   Writeable = yes
   valid users = carol
"""


def test_a_samba_server(filer: Console) -> None:
    """Sections become shares of CIFS under their names, with users, groups, guests and hosts; the rest is reported line by line."""
    exports(filer, SMB_CONF, "smb.conf")
    ended = filer("import", "--smb-conf", "smb.conf", "--backend", "nas", "--write", "taken", "--yes")
    assert ended.code == 2, ended.err
    for words in (
        "smb.conf:4: [homes]: it makes a share for each user who comes",
        "smb.conf:5: [homes] valid users = %S",
        "smb.conf:13: [gone]: the folder is in no pool",
        "smb.conf:16: [gone] valid users = carol",
        "smb.conf:2: workgroup = OFFICE",
        "smb.conf:15: [gone] Writeable = yes",
    ):
        assert words in ended.out, words
    text = (filer.root / "taken/imported-nas.yaml").read_text(encoding="utf-8")
    assert "name: marketing-team\nspec:\n  size: 1GiB\n  protocol: CIFS\n  exportName: Marketing Team\n" in text
    assert filer("apply", "--yes").code == 0
    assert filer("plan", "--detailed-exitcode").code == 0
    sections = "".join(path.read_text(encoding="utf-8") for path in (filer.root / "storage/.sharectl/smb.d").iterdir())
    assert "[Marketing Team]" in sections
    assert 'valid users = "alice" @"marketing"' in sections
    assert sections.count("hosts allow = 192.168.0.0/16\n    hosts deny = ALL") == 2
    again = filer("import", "--smb-conf", "smb.conf", "--backend", "nas")
    assert "[Marketing Team]" not in again.out
    assert "0 new manifests" in again.out


def test_one_folder_in_both_files(filer: Console) -> None:
    """It becomes one share of both protocols, whose users come from where NFS clients may write; with --protocol CIFS it is of SMB alone."""
    name = exports(filer, "S/projects 10.0.0.1(rw)\n")
    exports(filer, "[data]\npath = S/projects\nvalid users = alice\n", "smb.conf")
    both = ("import", "--exports", name, "--smb-conf", "smb.conf", "--backend", "nas")
    cifs = filer(*both, "--protocol", "CIFS").out
    assert "access user:alice ro" in cifs
    assert "projects 10.0.0.1(rw): the share is of CIFS alone" in cifs
    assert ": --protocol CIFS asks for that; without --protocol CIFS its exports are taken over" in cifs
    assert "access ip:10.0.0.1" not in cifs
    ended = filer(*both, "--write", "taken", "--yes")
    assert ended.code == 2, ended.err
    assert "smb.conf:1: [data]: its users come from where NFS clients may write" in ended.out
    text = (filer.root / "taken/imported-nas.yaml").read_text(encoding="utf-8")
    assert "name: data\n" in text
    assert "protocols:\n    - NFS\n    - CIFS\n" in text
    assert filer("apply", "--yes").code == 0
    assert filer("plan", "--detailed-exitcode").code == 0
    folder = filer.root / "storage/.sharectl"
    assert "10.0.0.1(rw" in "".join(path.read_text(encoding="utf-8") for path in (folder / "exports.d").iterdir())
    assert 'valid users = "alice"' in "".join(path.read_text(encoding="utf-8") for path in (folder / "smb.d").iterdir())


@pytest.mark.parametrize(
    ("line", "section", "words"),
    [
        ("10.0.0.1(rw)", "hosts allow = 192.168.", "the section has hosts of its own"),
        ("10.0.0.1(ro)", "", "from where NFS clients may write, and there are no such rules"),
        ("10.0.0.1(rw)", "veto files = /x/", "there are no such rules"),
    ],
)
def test_rules_that_would_say_more_of_both_protocols(filer: Console, line: str, section: str, words: str) -> None:
    """Address rules of such a share are for both: where one file lets in others than the other, NFS alone is taken over."""
    name = exports(filer, f"S/projects {line}\n")
    exports(filer, f"[data]\npath = S/projects\nvalid users = alice\n{section}\n", "smb.conf")
    ended = filer("import", "--exports", name, "--smb-conf", "smb.conf", "--backend", "nas")
    assert "NFS, 1 rule\n" in ended.out
    assert "access user:" not in ended.out
    assert "smb.conf:1: [data]: the share is of NFS alone: " in ended.out
    assert words in ended.out
    assert "smb.conf:3: [data] valid users = alice" in ended.out


def test_an_smb_conf_that_includes_others(filer: Console) -> None:
    """Their sections are read, with their own lines; one that cannot be read lets nobody in by what it may change."""
    exports(filer, "[data]\npath = S/projects\ninclude = more.conf\n", "smb.conf")
    exports(filer, "valid users = alice\n[other]\npath = S/homes\nveto files = /x/\n", "more.conf")
    ended = filer("import", "--smb-conf", "smb.conf", "--backend", "nas")
    assert "access user:alice ro" in ended.out
    assert "more.conf:4: [other] veto files = /x/" in ended.out
    (filer.root / "more.conf").unlink()
    ended = filer("import", "--smb-conf", "smb.conf", "--backend", "nas")
    assert "CIFS, 0 rules" in ended.out
    assert "smb.conf:3: [data] include = more.conf: what it brings is not known" in ended.out


PROJECTS = """\
apiVersion: sharectl/v1
kind: Share
metadata: {name: projects}
spec: {size: 1GiB, PROTOCOL, access: [{type: ip, to: 10.0.0.1, level: rw}, {type: user, to: alice, level: rw}]}
"""


def applied(filer: Console, protocol: str) -> None:
    """Write a manifest for the folder `projects`, and take it over with that."""
    text = PROJECTS.replace("PROTOCOL", protocol)
    if "CIFS" not in protocol:
        text = text.replace(", {type: user, to: alice, level: rw}", "")
    filer.write("projects.yaml", text)
    ended = filer("import", "share/projects", "projects", "--backend", "nas", "--yes")
    assert ended.code == 0, ended.err
    assert filer("apply", "--yes").code == 0


@pytest.mark.parametrize(
    ("section", "seen_as"),
    [("data", "Old Data"), ("projects", "Old Data"), ("old data", None), ("OLD DATA", None)],
)
def test_who_knows_a_share_under_another_name_is_told_of(filer: Console, section: str, seen_as: str | None) -> None:
    """The name that counts is the one under which clients will see the share, whatever its manifest is called."""
    applied(filer, "protocols: [NFS, CIFS], exportName: Old Data")
    exports(filer, f"[{section}]\npath = S/projects\nvalid users = alice\n", "smb.conf")
    told = f"smb.conf:1: [{section}]: clients know the share under this name, and will see it as {seen_as}"
    assert (told in filer("import", "--smb-conf", "smb.conf", "--backend", "nas").out) is (seen_as is not None)


def test_a_share_that_is_served_over_one_protocol_stays_so(filer: Console) -> None:
    """--protocol is for folders that are no shares yet, and is not named as the way out."""
    applied(filer, "protocol: NFS")
    name = exports(filer, "S/projects 10.0.0.1(rw)\n")
    exports(filer, "[projects]\npath = S/projects\nvalid users = alice\n", "smb.conf")
    for more in ((), ("--protocol", "CIFS")):
        out = filer("import", "--exports", name, "--smb-conf", "smb.conf", "--backend", "nas", *more).out
        assert "smb.conf:1: [projects]: the share is of NFS alone: it is exported over NFS already\n" in out
        assert "access ip:10.0.0.1 rw" in out


def test_a_share_of_both_protocols_stays_so(filer: Console) -> None:
    """Also with --protocol CIFS; what its rules cannot say is left out by what is the case."""
    applied(filer, "protocols: [NFS, CIFS]")
    name = exports(filer, "S/projects 10.0.0.1(rw)\n")
    exports(filer, "[projects]\npath = S/projects\nvalid users = alice\nread only = no\n", "smb.conf")
    both = ("import", "--exports", name, "--smb-conf", "smb.conf", "--backend", "nas", "--protocol", "CIFS")
    out = filer(*both).out
    assert "access ip:10.0.0.1 rw" in out
    assert "access user:alice rw" in out
    exports(filer, "[projects]\npath = S/projects\nvalid users = alice\nhosts allow = 192.168.\n", "smb.conf")
    out = filer(*both).out
    assert "projects 10.0.0.1(rw): only what the other file says is taken over: the section has hosts of its own" in out
    assert "NFS and CIFS" in out
