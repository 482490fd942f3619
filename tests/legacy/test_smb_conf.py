"""The reader of smb.conf(5): it sees what Samba sees."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

from sharectl.legacy.smb_conf import read_smb_conf
from sharectl.model.diagnostics import DiagnosticError

if TYPE_CHECKING:
    from pathlib import Path

    from sharectl.legacy.smb_conf import SmbConf


def _read(text: str, **others: str) -> SmbConf:
    return read_smb_conf(text, "smb.conf", others.get)


def _values(conf: SmbConf) -> dict[str, dict[str, str]]:
    return {each.name: {name: found.value for name, found in each.parameters.items()} for each in conf.sections}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("[a]\npath=/x", {"a": {"path": "/x"}}),
        ("; c\n# c \\\n[a]\n Path = /x ; y", {"a": {"path": "/x ; y"}}),
        ("[a]\nWRITE  able = Yes\npublic=no", {"a": {"read only": "no", "guest ok": "no"}}),
        ("[a]\nwrite ok = 0\nallow hosts = 10.", {"a": {"read only": "yes", "hosts allow": "10."}}),
        ("[a]\nvalid users = alice, \\\n   bob", {"a": {"valid users": "alice, bob"}}),
        ("[a]\npath = /x\\\ny", {"a": {"path": "/xy"}}),
        ("[A  b]\npath = /x\n[a B]\npath = /y", {"A b": {"path": "/y"}}),
        ("guest ok = yes\n[a]\npath = /x", {"a": {"guest ok": "yes", "path": "/x"}}),
        ("[a]\n[global]\nguest ok=yes\n[b]\n", {"a": {}, "b": {"guest ok": "yes"}}),
        (
            "[a]\npath=/x\nguest ok=1\n[b]\ncopy=A\npath=/y",
            {"a": {"path": "/x", "guest ok": "1"}, "b": {"path": "/y", "guest ok": "1"}},
        ),
        ("[a]\r\npath = /x\r\n", {"a": {"path": "/x"}}),
        ("[a]\nnonsense\npath = /x\n", {"a": {"path": "/x"}}),
    ],
)
def test_sections(text: str, values: dict[str, dict[str, str]]) -> None:
    """Case and spaces of names, synonyms, continued lines, comments, defaults from what stands before, and copies."""
    assert _values(_read(text)) == values


def test_files_that_are_included() -> None:
    """The section goes on in them and after them, as for Samba; what cannot be read is remembered."""
    conf = _read("[a]\ninclude = x\nguest ok = yes\ninclude = %m\n", x="path = /x\n[b]\npath = /b\n")
    assert _values(conf) == {"a": {"path": "/x"}, "b": {"path": "/b", "guest ok": "yes"}}
    assert [str(found.place) for found in conf.sections[0].own] == ["smb.conf:2", "x:1"]
    assert [str(found) for found in conf.sections[1].unread] == ["include = %m"]
    endless = read_smb_conf("include = x\n", "x", lambda _name: "include = x\n")
    assert endless.globals_.unread


def test_a_section_without_an_end_is_an_error() -> None:
    """Samba does not start with it either."""
    with pytest.raises(DiagnosticError) as caught:
        _read("[a]\n[b\npath = /x")
    assert [str(found.source) for found in caught.value.diagnostics] == ["smb.conf:2:1"]


ODD: Final = """\
workgroup = X
[global]
 Guest OK = yes
 hosts allow = 10.
[Data Share]
 path = /srv/a\\
b
 WRITE  able = yes
 valid users = alice ; bob
# comment \\
 comment = Hello \\
   world
[two]
 copy = data share
 path = /t
[global]
 read only = no
 hosts allow = 11.
[three]
 path=/x
 hosts allow =
[data  share]
 browseable = no
"""


def test_testparm_sees_the_same(tmp_path: Path) -> None:
    """Each parameter of each section that we read has the value that testparm shows."""
    if shutil.which("testparm") is None:
        pytest.skip("needs testparm (samba-common-bin)")
    (tmp_path / "smb.conf").write_text(ODD, encoding="utf-8")
    conf = _read(ODD)
    assert [section.name for section in conf.sections] == ["Data Share", "two", "three"]
    for section in conf.sections:
        for name in ("path", "read only", "guest ok", "hosts allow", "browseable", "comment"):
            ended = subprocess.run(
                ["testparm", "-s", "--section-name", section.name, "--parameter-name", name, tmp_path / "smb.conf"],  # noqa: S607 - where the system has it
                check=True,
                capture_output=True,
                text=True,
            )
            ours = section.value(name) or {"read only": "yes", "guest ok": "no", "browseable": "yes"}.get(name, "")
            assert ours.lower() == ended.stdout.strip().lower(), (section.name, name)
