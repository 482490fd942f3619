"""Mounts in the format of each reader, and read back by the reader itself where it is here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sharectl.manifests.names import is_name
from sharectl.model.access import AccessRule
from sharectl.mounting.folder import Written
from sharectl.mounting.locations import parse_location
from sharectl.mounting.selection import LeftOut, Mount, Selected
from sharectl.render.mounts import MountFormat, left_out_lines, mount_problem, mounts_lines, nothing_line, written_lines
from sharectl.render.mounts_tables import MountSettings, Origin, fstab_field, unit_files, unit_name
from sharectl.render.mounts_yaml import volume_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Golden = Callable[[str, Iterable[str]], None]

GIB = 1 << 30
SETTINGS = MountSettings()
ORIGIN = Origin("0a1b2c3d", 7, "sharectl mounts --for 10.0.0.5")
HOSTILE = "/a b\tc\\d#e%f&g$h'i*(j){{k}}:l,m ü\\040n"
GENERATOR = Path("/usr/lib/systemd/system-generators/systemd-fstab-generator")


def a_mount(name: str, location: str, *rules: str, protocol: str = "NFS", **fields: Any) -> Mount:  # noqa: ANN401 - parts of documents have many types
    """Return a mount of a share; rules are written `TYPE:WHOM LEVEL`."""
    parsed = parse_location(protocol, location)
    assert parsed is not None
    keys = [rule.rpartition(" ") for rule in rules or ("ip:10.0.0.0/8 rw",)]
    access = tuple(AccessRule(*key.partition(":")[::2], level) for key, _, level in keys)
    values: dict[str, Any] = {"others": (), "read_only": False, "size_bytes": 10 * GIB, "resource_id": f"id-{name}"}
    return Mount(address=f"share/{name}", location=parsed, access=access, **values | fields)


MOUNTS = (
    a_mount("home", "nas1.example:/srv/home", "ip:10.0.0.0/8 rw", "ip:10.0.0.5 ro", read_only=True),
    a_mount("six", "[fd00::1]:/srv/six", others=(parse_location("NFS", "10.0.0.1:/srv/six"),)),
    a_mount("odd.path", "nas1:/srv/it's 100% {{mine}}"),
    a_mount("win_share", r"\\nas1\My Data", "ip:10.0.0.0/8 rw", "user:CORP\\alice rw", "user:bob ro", protocol="CIFS"),
)
SELECTED = Selected(MOUNTS, ())


def hostile(path: str, name: str = "home") -> Mount:
    """Return a mount whose location has passed for one, whatever is in its path."""
    mount = a_mount(name, "nas1:/x")
    location = type(mount.location)(mount.location.protocol, "nas1", path, None)
    return Mount(**{field: getattr(mount, field) for field in Mount.__slots__} | {"location": location})


def program(name: str) -> str:
    """Return the path of a program; without it the test cannot say anything."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}")
    return found


def run(*command: str, **environ: str) -> str:
    """Run a program, and return what it wrote to standard output."""
    env = os.environ | environ
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, env=env).stdout


@pytest.mark.parametrize("style", list(MountFormat))
def test_the_mounts_of_a_client(golden: Golden, style: MountFormat) -> None:
    """What they were made from, how they are used, and each with the rules that let the client in."""
    golden(f"mounts-{style}.txt", mounts_lines(style, SELECTED, SETTINGS, ORIGIN))


@pytest.mark.parametrize("style", list(MountFormat))
def test_without_mounts_there_are_remarks_alone(style: MountFormat) -> None:
    """And for a reader of YAML an empty list of tasks; SMB is not spoken of."""
    lines = list(mounts_lines(style, Selected((), ()), SETTINGS, ORIGIN))
    assert [line for line in lines if not line.startswith("#")] == (["---", "[]"] if style == "ansible" else [])
    assert not any("SMB" in line for line in lines)


@pytest.mark.parametrize("style", list(MountFormat))
def test_a_remark_stays_on_its_line(style: MountFormat) -> None:
    """A user or a command line with a line end adds no line of its own."""
    mount = a_mount("home", "nas1:/x", "user:eve\nevil /etc nfs rw\x85x rw")
    origin = Origin("x", 1, "sharectl mounts --for 'a\nevil'")
    lines = "\n".join(mounts_lines(style, Selected((mount,), ()), SETTINGS, origin)).splitlines()
    assert any("eve" in line for line in lines)
    assert not any(line.startswith("evil") for line in lines)


def test_the_settings_of_the_client_are_in_every_table() -> None:
    """Where it mounts, and where it has its password."""
    settings = MountSettings("/net/shares", "/root/smb", "storage")
    for style in MountFormat:
        text = "\n".join(mounts_lines(style, SELECTED, settings, ORIGIN))
        assert ("storage" if style == "kubernetes" else "/root/smb") in text
        assert "/mnt" not in text


def test_fstab_is_read_by_findmnt(tmp_path: Path) -> None:
    """As it was meant, and it has nothing to object to once the mount points are there."""
    mounts = (*MOUNTS, hostile(HOSTILE, "hostile"))
    for mount in mounts:
        Path(mount.point(str(tmp_path))).mkdir()
    table = tmp_path / "fstab"
    lines = mounts_lines(MountFormat.FSTAB, Selected(mounts, ()), MountSettings(str(tmp_path)), ORIGIN)
    table.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    rows = yaml.safe_load(run(program("findmnt"), "--fstab", "--tab-file", str(table), "--json", "--list"))[
        "filesystems"
    ]
    expected = [(mount.location.source, mount.point(str(tmp_path))) for mount in mounts]
    assert [(row["source"], row["target"]) for row in rows] == expected
    assert rows[0]["options"] == "ro,_netdev,nofail,x-systemd.automount"
    assert "Success, no errors or warnings" in run(program("findmnt"), "--verify", "--tab-file", str(table))


def test_systemd_reads_fstab_and_units_alike(tmp_path: Path) -> None:
    """Its own generator makes units of the fstab: the same names, locations and mount points as ours."""
    if not GENERATOR.exists():
        pytest.skip("needs systemd")
    mounts = (*MOUNTS, hostile(HOSTILE, "hostile"))
    table = tmp_path / "fstab"
    table.write_text(
        "\n".join([*mounts_lines(MountFormat.FSTAB, Selected(mounts, ()), SETTINGS, ORIGIN), ""]), encoding="utf-8"
    )
    folders = [tmp_path / name for name in ("normal", "early", "late")]
    for folder in folders:
        folder.mkdir()
    run(str(GENERATOR), *map(str, folders), SYSTEMD_FSTAB=str(table))
    ours = dict(unit_files(mounts, SETTINGS))
    theirs = {path.name: path.read_text(encoding="utf-8") for path in folders[0].iterdir() if path.is_file()}
    assert ours.keys() == theirs.keys()

    def settings_in(text: str) -> dict[str, str]:
        return dict(re.findall(r"^(What|Where|Type)=(.*)$", text, re.MULTILINE))

    assert {name: settings_in(text) for name, text in ours.items()} == {
        name: settings_in(text) for name, text in theirs.items()
    }


def test_systemd_finds_no_mistake_in_the_units(tmp_path: Path) -> None:
    """Among others it would see a unit whose name is not that of its mount point."""
    files = list(unit_files((*MOUNTS, hostile(HOSTILE, "hostile")), SETTINGS))
    for name, text in files:
        (tmp_path / name).write_text(text, encoding="utf-8")
    verified = subprocess.run(
        [program("systemd-analyze"), "verify", "--man=no", *(str(tmp_path / name) for name, _ in files)],
        check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert (verified.returncode, [line for line in verified.stderr.splitlines() if str(tmp_path) in line]) == (0, [])


PATHS = ["/", "/mnt", "/mnt/a-b", "/mnt//x/", "/.hidden/.x", "/mnt/ü x", "/mnt/a:b_c.d", "/mnt/a\\b%c@d"]


@pytest.mark.parametrize(
    ("path", "name"),
    list(zip(PATHS, ["-", "mnt", r"mnt-a\x2db", "mnt-x", r"\x2ehidden-.x", r"mnt-\xc3\xbc\x20x", "mnt-a:b_c.d", r"mnt-a\x5cb\x25c\x40d"], strict=True)),
)  # fmt: skip
def test_the_name_of_a_unit_follows_from_its_path(path: str, name: str) -> None:
    """As systemd.unit(5) has it."""
    assert unit_name(path) == name


def test_systemd_gives_units_the_same_names() -> None:
    """Its own program agrees on each of the cases above."""
    assert run(program("systemd-escape"), "--path", *PATHS).split() == [unit_name(path) for path in PATHS]


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\x00"), min_size=1))
def test_a_name_of_a_unit_is_read_back(text: str) -> None:
    """No two paths have the same name."""
    path = "/" + "/".join(part for part in text.split("/") if part)
    pieces = re.findall(r"\\x[0-9a-f]{2}|.", unit_name(path))
    data = b"".join(
        bytes.fromhex(piece[2:]) if len(piece) > 1 else piece.replace("-", "/").encode() for piece in pieces
    )
    assert f"/{data.decode()}".replace("//", "/") == path


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_field_of_fstab_is_read_back(text: str) -> None:
    """It stays one field on one line."""
    field = fstab_field(text)
    assert not set(field) & set(" \t\n")
    assert re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field) == text


@pytest.mark.parametrize(
    ("style", "mount", "reason"),
    [
        ("systemd", hostile("/ends in a blank "), "blank or a backslash"),
        ("systemd", hostile("/ends so\\"), "blank or a backslash"),
        ("systemd", hostile("/x", "a" + "-" * 40 + "a"), None),
        ("systemd", hostile("/x", "a" + "-" * 61 + "a"), "longer than 255"),
        ("kubernetes", hostile("/a/../b"), "refuses a path"),
        ("kubernetes", hostile("/a..b"), None),
        ("kubernetes", a_mount("home", "nas1:/x", size_bytes=None), "capacity"),
        ("autofs", hostile('/say "x"'), "double quote"),
        ("autofs", hostile(HOSTILE), None),
        ("fstab", hostile('/say "x"\\'), None),
        ("ansible", hostile('/say "x"\\'), None),
    ],
)
def test_what_a_format_cannot_say_has_a_reason(style: MountFormat, mount: Mount, reason: str | None) -> None:
    """Rather no mount than another one."""
    problem = mount_problem(MountFormat(style), SETTINGS)(mount)
    assert problem is None if reason is None else reason in (problem or "")


def test_a_map_of_autofs_has_odd_locations_in_quotes() -> None:
    """In quotes nothing has a meaning to it: neither `&`, which would be the key, nor `$`, `#`, blanks or backslashes."""
    found = Selected((hostile(HOSTILE), a_mount("six", r"\\fd00::1\data", protocol="CIFS")), ())
    entries = [line for line in mounts_lines(MountFormat.AUTOFS, found, SETTINGS, ORIGIN) if line[0] != "#"]
    assert entries[0] == f'home -fstype=nfs,rw "nas1:{HOSTILE}"'
    assert entries[1].endswith(' "://fd00::1/data"')


class _NoTemplate(str):
    """A text with the tag `!unsafe`."""

    __slots__ = ()


class _Ansible(yaml.SafeLoader):
    """Reads as Ansible does: a text with the tag `!unsafe` is no template."""


_Ansible.add_constructor("!unsafe", lambda loader, node: _NoTemplate(loader.construct_scalar(node)))


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_tasks_are_read_back(rest: str) -> None:
    """Whatever is in the location; and a text with braces is marked as no template."""
    lines = list(mounts_lines(MountFormat.ANSIBLE, Selected((hostile(f"/{rest}"),), ()), SETTINGS, ORIGIN))
    (task,) = yaml.load("\n".join(lines), Loader=_Ansible)  # noqa: S506 - derived from SafeLoader
    assert task["ansible.posix.mount"] == {
        "src": f"nas1:/{rest}",
        "path": "/mnt/home",
        "fstype": "nfs",
        "opts": "rw,_netdev,nofail",
        "state": "mounted",
    }
    assert isinstance(task["ansible.posix.mount"]["src"], _NoTemplate) == ("{" in rest)


def a_schema(**fields: object) -> dict[str, object]:
    """Return the schema of an object that has these fields and no others."""
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


TEXT = {"type": "string", "minLength": 1}
DNS_NAME = {
    "type": "string",
    "maxLength": 253,
    "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
}
QUANTITY = a_schema(storage={"type": "string", "pattern": "^[1-9][0-9]*$"})
MODES = {"type": "array", "items": {"enum": ["ReadWriteMany", "ReadOnlyMany"]}, "minItems": 1}
LABELS = {"type": "object", "additionalProperties": {"type": "string", "pattern": "^[A-Za-z0-9]{1,63}$"}}
NOTES = {"type": "object", "additionalProperties": TEXT}
SECRET = a_schema(name=DNS_NAME, namespace=DNS_NAME)
COMMON = {
    "capacity": QUANTITY,
    "accessModes": MODES,
    "persistentVolumeReclaimPolicy": {"const": "Retain"},
    "storageClassName": {"const": ""},
    "claimRef": a_schema(namespace=DNS_NAME, name=DNS_NAME),
}
OPTIONS = {"type": "array", "items": TEXT}
NFS_SOURCE = a_schema(server=TEXT, path={"type": "string", "pattern": "^/"}, readOnly={"type": "boolean"})
CSI_SOURCE = a_schema(
    driver=DNS_NAME,
    volumeHandle=TEXT,
    readOnly={"type": "boolean"},
    volumeAttributes=NOTES,
    nodeStageSecretRef=SECRET,
)
VOLUME = a_schema(
    apiVersion={"const": "v1"},
    kind={"const": "PersistentVolume"},
    metadata=a_schema(name=DNS_NAME, labels=LABELS, annotations=NOTES),
    spec={"oneOf": [a_schema(**COMMON, nfs=NFS_SOURCE), a_schema(**COMMON, mountOptions=OPTIONS, csi=CSI_SOURCE)]},
)
CLAIM = a_schema(
    apiVersion={"const": "v1"},
    kind={"const": "PersistentVolumeClaim"},
    metadata=a_schema(name=DNS_NAME, labels=LABELS, annotations=NOTES, namespace=DNS_NAME),
    spec=a_schema(
        accessModes=MODES, storageClassName={"const": ""}, volumeName=DNS_NAME, resources=a_schema(requests=QUANTITY)
    ),
)


def test_volumes_have_the_fields_of_kubernetes() -> None:
    """Those of its API `v1`, with names that it takes; each claim and its volume name each other."""
    documents = list(yaml.safe_load_all("\n".join(mounts_lines(MountFormat.KUBERNETES, SELECTED, SETTINGS, ORIGIN))))
    for volume, claim in zip(documents[::2], documents[1::2], strict=True):
        Draft202012Validator(VOLUME).validate(volume)
        Draft202012Validator(CLAIM).validate(claim)
        assert volume["spec"]["claimRef"] == {key: claim["metadata"][key] for key in ("namespace", "name")}
        assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
        assert claim["spec"]["resources"]["requests"] == volume["spec"]["capacity"] == {"storage": str(10 * GIB)}
    assert documents[2]["spec"]["nfs"]["server"] == "fd00::1"
    assert documents[0]["spec"]["accessModes"] == ["ReadOnlyMany"]


@pytest.mark.parametrize("name", ["1e3", "0o17", "no", "12", "2026-01-02", "null"])
def test_no_reader_of_yaml_takes_a_name_for_something_else(name: str) -> None:
    """Whatever its version: what comes from elsewhere is in quotes."""
    lines = list(
        mounts_lines(MountFormat.KUBERNETES, Selected((a_mount(name, f"{name}:/{name}"),), ()), SETTINGS, ORIGIN)
    )
    assert f'  name: "{name}"' in lines
    assert f'    server: "{name}"' in lines


@given(st.from_regex(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?", fullmatch=True), st.data())
def test_every_share_has_a_volume_of_its_own(name: str, data: st.DataObject) -> None:
    """With a name that Kubernetes takes, and that no other share has."""
    assert is_name(name)
    assert re.fullmatch(DNS_NAME["pattern"], volume_name(name))
    assert len(volume_name(name)) <= 253
    other = data.draw(st.sampled_from([name.replace("_", "-"), name.replace("-", "_"), name.replace("-.", ".")]))
    assert (volume_name(name) == volume_name(other)) == (name == other)


def test_shares_that_are_left_out_are_named_by_reason() -> None:
    """The first of them, and how many there are."""
    selected = Selected(
        (), (*(LeftOut(f"share/s{number}", "why") for number in range(7)), LeftOut("share/x\n", "also"))
    )
    assert list(left_out_lines(selected)) == [
        "1 share left out, since also: share/x\\n",
        "7 shares left out, since why: share/s0, share/s1, share/s2, share/s3, share/s4 and 2 more",
    ]


def test_what_became_of_the_units_is_said() -> None:
    """And which are of no mount any more."""
    assert list(written_lines("/etc/u", Written(1, 2, ()))) == ["1 file written to /etc/u, 2 unchanged."]
    assert list(written_lines("/etc/u", Written(2, 0, ("mnt-x.mount",))))[1] == (
        "1 file of an earlier run left there that no mount needs any more: mnt-x.mount"
    )


def test_that_there_is_nothing_to_mount_is_said() -> None:
    """An empty table could as well be a mistake."""
    assert "lets anybody reach" in nothing_line(None)
    assert "lets db1\\n reach" in nothing_line("db1\n")


def test_a_share_for_guests_is_mounted_without_a_password() -> None:
    """Where users may use it too, as a user."""
    guests, users = (
        a_mount(name, rf"\\nas1\{name}", *rules, protocol="CIFS")
        for name, rules in (("public", ["guest:* ro"]), ("office", ["guest:* ro", "user:bob rw"]))
    )
    lines = list(mounts_lines(MountFormat.FSTAB, Selected((guests, users), ()), SETTINGS, ORIGIN))
    assert [("guest," in line, "credentials=" in line) for line in lines if line.startswith("//")] == [
        (True, False),
        (False, True),
    ]
