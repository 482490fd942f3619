"""Files with ClientLists whose names have other addresses now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.model.diagnostics import DiagnosticError
from sharectl.workspace.client_files import check_text, differences, new_list, read_list, write_list

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "apiVersion: sharectl/v1\nkind: ClientList\nmetadata: {name: lab}  # ours\n"


@pytest.mark.parametrize(
    ("text", "names", "changed"),
    [
        (
            "spec:\n  clients: [10.9.0.0/16]\n  names:\n    # the first\n    a.x: [10.0.0.1]   # one\n    b.x:\n    - 10.0.0.2  # two\n\n    # last\n",
            {"a.x": ["10.0.0.1"], "b.x": ["10.0.0.2", "2001:db8::2"], "c.x": ["10.0.0.3"]},
            "spec:\n  clients: [10.9.0.0/16]\n  names:\n    # the first\n    a.x: [10.0.0.1]   # one\n    b.x:\n    - 10.0.0.2\n    - 2001:db8::2  # two\n    c.x:\n      - 10.0.0.3\n\n    # last\n",
        ),
        (
            "spec:\n  names:\n    a.x: [10.0.0.1]\n    '@b': [\n      10.0.0.2,\n    ]\n  clients: []\n",
            {"a.x": ["10.0.0.9", "2001:db8::1"], "@b": ["10.0.0.3"]},
            "spec:\n  names:\n    a.x: [10.0.0.9, \"2001:db8::1\"]\n    '@b': [10.0.0.3]\n  clients: []\n",
        ),
        (
            "spec:\n    clients:\n    - 10.9.0.0/16",
            {"@b": ["10.0.0.1"]},
            'spec:\n    clients:\n    - 10.9.0.0/16\n    names:\n      "@b":\n        - 10.0.0.1',
        ),
        ("spec:\n  names: {}\n", {"a.x": ["10.0.0.1"]}, "spec:\n  names: \n    a.x:\n      - 10.0.0.1\n"),
        (
            "spec:\n  names:\n    a.x:\n    b.x: []\n",
            {"a.x": ["10.0.0.1"], "b.x": ["10.0.0.2"]},
            "spec:\n  names:\n    a.x: [10.0.0.1]\n    b.x: [10.0.0.2]\n",
        ),
        ("spec:\n  names:\n    a.x: [10.0.0.2, 10.0.0.1]\n", {"a.x": ["10.0.0.1", "10.0.0.2"]}, None),
    ],
)
def test_only_what_has_other_addresses_changes(
    tmp_path: Path, text: str, names: dict[str, list[str]], changed: str | None
) -> None:
    """Comments, styles, and documents beside it stay as they are; so does the order of addresses that are the same."""
    before, after = "# a share\nkind: Share\n---\n" + HEAD, "\n---\nkind: ShareType  # other\n"
    path = tmp_path / "lab.yaml"
    path.write_text(before + text + after, encoding="utf-8")
    new = read_list(path, None).with_names(names)
    assert new == before + (text if changed is None else changed) + after


@pytest.mark.parametrize(
    "spec",
    ["{names: {a.x: [10.0.0.1]}}", "\n  clients: &x [10.0.0.1]\n  names:\n    a.x: *x", "\n  names: {a.x: [10.0.0.1]}"],
)
def test_a_file_that_no_program_can_change_stays_as_it_is(tmp_path: Path, spec: str) -> None:
    """What would come of it is read again and compared before it is written."""
    path = tmp_path / "lab.yaml"
    path.write_text(f"{HEAD}spec: {spec}\n", encoding="utf-8")
    with pytest.raises(DiagnosticError, match="cannot be changed by a program"):
        read_list(path, None).with_names({"a.x": ["10.0.0.2"], "b.x": ["10.0.0.3"]})


def test_a_new_list_is_a_manifest(tmp_path: Path) -> None:
    """And can be changed like any other."""
    path = tmp_path / "new" / "lab.yaml"
    text = new_list("lab", {"ws01.x": ["10.0.0.1", "1:2:3:4:5:6:7:8"], "@nodes": ["10.0.0.2"], "1e3": ["10.0.0.4"]})
    check_text(path, text, tmp_path)
    write_list(path, text)
    found = read_list(path, "lab")
    assert found.names == {"ws01.x": ["10.0.0.1", "1:2:3:4:5:6:7:8"], "@nodes": ["10.0.0.2"], "1e3": ["10.0.0.4"]}
    assert found.with_names(found.names) == text


def test_what_is_written_has_to_be_a_manifest(tmp_path: Path) -> None:
    """An older mistake beside it is told."""
    with pytest.raises(DiagnosticError, match="is not an IP address"):
        check_text(tmp_path / "x", f"{HEAD}spec: {{clients: [10.0.0.256]}}\n", tmp_path)


def test_what_stands_beside_a_list_may_have_its_fields_by_default(tmp_path: Path) -> None:
    """As in every command that reads the file; without the defaults it is told what is missing."""
    text = f"{HEAD}spec: {{clients: [10.0.0.2]}}\n---\napiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: a}}\nspec: {{size: 1GiB}}\n"
    with pytest.raises(DiagnosticError, match="`protocol` or `protocols` is missing"):
        check_text(tmp_path / "x", text, tmp_path)
    (tmp_path / "sharectl.yaml").write_text(
        "apiVersion: sharectl/v1\nkind: Project\nspec: {defaults: [{kind: Share, spec: {protocol: NFS}}]}\n"
    )
    check_text(tmp_path / "x", text, tmp_path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kind: Share\n", "holds no ClientList"),
        (f"{HEAD}---\n{HEAD.replace('lab', 'other')}", "several ClientLists: lab, other"),
        ("a: b: c\n", "cannot begin here"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_file_without_one_list_is_refused(tmp_path: Path, text: str | bytes, problem: str) -> None:
    """With what is in it instead."""
    path = tmp_path / "lab.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DiagnosticError, match=problem):
        read_list(path, None)


def test_a_file_keeps_its_mode_and_a_link_its_place(tmp_path: Path) -> None:
    """A repository may have its lists elsewhere."""
    target, link = tmp_path / "real.yaml", tmp_path / "lab.yaml"
    target.write_text("old", encoding="utf-8")
    target.chmod(0o640)
    link.symlink_to(target)
    write_list(link, "new\n")
    assert (target.read_text(encoding="utf-8"), target.stat().st_mode & 0o777, link.is_symlink()) == (
        "new\n",
        0o640,
        True,
    )


def test_differences_name_what_came_and_went() -> None:
    """The order of addresses is none."""
    before = {"a": ["10.0.0.2", "10.0.0.1"], "b": ["10.0.0.3"]}
    after = {"a": ["10.0.0.1", "10.0.0.2"], "b": ["10.0.0.4", "10.0.0.5"], "c": ["10.0.0.6"]}
    assert list(differences(before, after)) == ["b: -10.0.0.3 +10.0.0.4 +10.0.0.5", "c: +10.0.0.6"]
