"""The reader of exports(5): it sees the clients that exportfs sees."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

from sharectl.legacy.exports import ExportedTo, read_exports
from sharectl.model.diagnostics import DiagnosticError

if TYPE_CHECKING:
    from pathlib import Path


def _clients(text: str) -> list[tuple[int, str, str, str]]:
    return [_plain(export) for export in read_exports(text, "exports")]


def _plain(export: ExportedTo) -> tuple[int, str, str, str]:
    return export.place.line, export.path, export.client, ",".join(map(str, export.options))


@pytest.mark.parametrize(
    ("text", "clients"),
    [
        ("", []),
        ("# nothing \\\n", []),
        ("/a 10.0.0.1(rw)", [(1, "/a", "10.0.0.1", "rw")]),
        ("/a\t10.0.0.1(rw)\t# tail (ro) \\\n/b *", [(1, "/a", "10.0.0.1", "rw"), (2, "/b", "*", "")]),
        ("/a h1 h2(rw)", [(1, "/a", "h1", ""), (1, "/a", "h2", "rw")]),
        ("/a \\\n  h1(ro) \\\n\th2(rw)\n/b h3\n", [(2, "/a", "h1", "ro"), (3, "/a", "h2", "rw"), (4, "/b", "h3", "")]),
        ("/a h1(rw)\\\nh2(ro)", [(1, "/a", "h1", "rw"), (2, "/a", "h2", "ro")]),
        ('"/a b" h1(rw)', [(1, "/a b", "h1", "rw")]),
        (r"/a\040b\134c h1(rw)", [(1, r"/a b\c", "h1", "rw")]),
        (r"/Caf\303\251 h1", [(1, "/Café", "h1", "")]),
        (r"/Caf\351 h1", [(1, "/Caf\udce9", "h1", "")]),
        ("/a -ro,sync h1 h2(rw)", [(1, "/a", "h1", "ro,sync"), (1, "/a", "h2", "ro,sync,rw")]),
        ("/a h1 -all_squash h2(rw)", [(1, "/a", "h1", ""), (1, "/a", "h2", "all_squash,rw")]),
        ("/a h1 (rw)", [(1, "/a", "h1", ""), (1, "/a", "*", "rw")]),
        ("/a", [(1, "/a", "*", "")]),
        ("/a -rw", [(1, "/a", "*", "rw")]),
        ("/a h1(rw,,anonuid=7,)", [(1, "/a", "h1", "rw,anonuid=7")]),
        ("/a h1(rw)\r\n/b h2(ro)\r\n", [(1, "/a", "h1", "rw"), (2, "/b", "h2", "ro")]),
        (
            "/a @g(rw) *.x(ro) 2001:db8::/32(rw)",
            [(1, "/a", "@g", "rw"), (1, "/a", "*.x", "ro"), (1, "/a", "2001:db8::/32", "rw")],
        ),
        ("/a h1(rw) \\", [(1, "/a", "h1", "rw")]),
    ],
)
def test_clients(text: str, clients: list[tuple[int, str, str, str]]) -> None:
    """Lines, continued ones, comments, quotes, octal bytes and default options."""
    assert _clients(text) == clients


def test_a_world_that_nobody_wrote_is_marked() -> None:
    """The space before a bracket, and a folder without a client."""
    stray, silent, plain = (read_exports(text, "exports")[-1] for text in ("/a h1 (rw)", "/a -rw", "/a *(rw)"))
    assert (stray.is_stray, stray.is_silent) == (True, False)
    assert (silent.is_stray, silent.is_silent) == (False, True)
    assert (plain.is_stray, plain.is_silent) == (False, False)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("/a h1(rw, sync)", "exports:1:4"),
        ("/a h1(rw", "exports:1:4"),
        ("/a h1(rw)x", "exports:1:4"),
        ("\n /a h1(rw)#c", "exports:2:5"),
        ('/ok h\n"/a b h1(rw)', "exports:2:1"),
        ('/a"b h1', "exports:1:1"),
    ],
)
def test_what_exportfs_cannot_read_is_an_error_at_its_place(text: str, place: str) -> None:
    """A server serves nothing from there on, and what the line means is not known."""
    with pytest.raises(DiagnosticError) as caught:
        read_exports(text, "exports")
    assert [str(found.source) for found in caught.value.diagnostics] == [place]


def test_all_mistakes_of_a_file_at_once() -> None:
    """Each at its line, with the line itself."""
    with pytest.raises(DiagnosticError) as caught:
        read_exports("/a h(ro\n/b h\n/c h(rw, x)\n", "exports")
    sources = [found.source for found in caught.value.diagnostics]
    assert [(source.line, source.excerpt) for source in sources if source] == [(1, "/a h(ro"), (3, "/c h(rw, x)")]


ODD: Final = r"""
# comment \
ROOT/a -ro,sync 10.0.0.1 10.0.0.0/8(rw) \
   *(ro) # tail
"ROOT/sp ace" 192.168.0.0/255.255.255.0 (rw)
ROOT/sp\040ace	10.0.0.9(sec=krb5:sys,rw,all_squash,anonuid=5)
ROOT/b
ROOT/b 10.0.0.1 -rw 10.0.0.2 10.0.0.3(no_root_squash)\
10.0.0.4(ro) 10.9.0.5/24(rw) @trusted *.lab.example(ro) 2001:db8::/32(rw)
"""


def test_exportfs_sees_the_same_clients(tmp_path: Path) -> None:
    """What it writes into its table, in a mount namespace of its own: each folder with each client, and whether that may write."""
    if shutil.which("exportfs") is None:
        pytest.skip("needs exportfs (nfs-kernel-server)")
    for name in ("a", "b", "sp ace"):
        (tmp_path / name).mkdir()
    text = ODD.replace("ROOT", str(tmp_path))
    (tmp_path / "exports").write_text(text, encoding="utf-8")
    script = (
        "mount --make-rprivate / && mount -t tmpfs none /var/lib/nfs && touch /var/lib/nfs/etab /var/lib/nfs/rmtab && "
        'mount --bind "$1" /etc/exports && { exportfs -a; cat /var/lib/nfs/etab; }'
    )
    ended = subprocess.run(
        ["unshare", "--mount", "--net", "sh", "-c", script, "sh", tmp_path / "exports"],  # noqa: S607 - where the system has it
        check=False,
        capture_output=True,
        text=True,
    )
    if ended.returncode and "Operation not permitted" in ended.stderr:
        pytest.skip("needs a mount namespace of its own")
    assert ended.returncode == 0, ended.stderr
    seen = set()
    for line in ended.stdout.splitlines():
        folder, client = line.split("\t")
        seen.add((folder.replace("\\040", " "), client.partition("(")[0] or "*", "(rw," in client))
    ours = {(export.path, export.client, _writes(export)) for export in read_exports(text, "exports")}
    assert ours == seen


def _writes(export: ExportedTo) -> bool:
    levels = [option.name for option in export.options if option.name in {"rw", "ro"}]
    return levels[-1:] == ["rw"]
