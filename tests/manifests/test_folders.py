"""Nothing that might be a manifest is left out without a word."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.manifests.cache import ManifestCache
from sharectl.manifests.loader import load
from sharectl.manifests.schemas import DriverSchemas
from sharectl.model.diagnostics import Severity
from tests.manifests.support import SCHEMAS, load_folder, share

if TYPE_CHECKING:
    from pathlib import Path

    from sharectl.manifests.loader import Loaded


def _brief(loaded: Loaded) -> list[tuple[str, str, str]]:
    return [
        (str(found.source and found.source.path), found.severity.value, found.code.removeprefix("manifest."))
        for found in loaded.diagnostics
    ]


def _git(folder: Path, *arguments: str) -> None:
    settings = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always"]
    subprocess.run(["git", *settings, *arguments], cwd=folder, check=True, capture_output=True)  # noqa: S607 - the git of whoever runs the tests


@pytest.mark.parametrize("name", ["a.YAML", "a.Yml", "a.yAML"])
def test_an_ending_in_capitals_is_read(tmp_path: Path, name: str) -> None:
    """Windows and cameras write such names."""
    (tmp_path / name).write_text(share("a"))
    loaded = load_folder(tmp_path)
    assert not loaded.diagnostics
    assert list(loaded.desired.digests) == ["share/a"]


@pytest.mark.parametrize(
    "name",
    [
        "a.yaml~",
        "a.yaml.orig",
        "#a.yaml#",
        "a.yml.disabled",
        "a.json",
        ".a.yaml",
        "a.ymal",
        "a",
        "a.txt",
        "a.BAK",
        "a.off",
    ],
)
def test_a_manifest_under_a_name_that_is_not_read_is_named(tmp_path: Path, name: str) -> None:
    """A warning: such a name may be how somebody took it away."""
    (tmp_path / name).write_text(share("a"))
    loaded = load_folder(tmp_path)
    assert _brief(loaded) == [(name, "warning", "skipped")]
    assert "not wanted" in loaded.diagnostics[0].detail


@pytest.mark.parametrize("name", [".a.yaml", "a.txt", "a.yaml.j2"])
def test_a_manifest_of_any_name_that_is_named_itself_is_read(tmp_path: Path, name: str) -> None:
    """As the warning proposes; then it is not called skipped any more."""
    (tmp_path / name).write_text(share("a"))
    loaded = load(
        [".", name],
        base_directory=tmp_path,
        cache=None,
        drivers=DriverSchemas(SCHEMAS.get, lambda: tuple(SCHEMAS)),
    )
    assert not loaded.diagnostics
    assert list(loaded.desired.digests) == ["share/a"]


@pytest.mark.parametrize("name", ["a.yaml~", "a.yaml.orig", "#a.yaml#", "a.bak", "a"])
def test_a_copy_beside_its_manifest_needs_no_word(tmp_path: Path, name: str) -> None:
    """Editors and git leave such copies."""
    (tmp_path / name).write_text(share("a"))
    (tmp_path / "a.yaml").write_text(share("a"))
    assert not load_folder(tmp_path).diagnostics


@pytest.mark.parametrize("name", ["README", "notes.txt"])
def test_a_text_that_quotes_a_manifest_needs_no_word(tmp_path: Path, name: str) -> None:
    """Indented or within a line, in a file that is not named as a manifest."""
    (tmp_path / name).write_text("Begin with `apiVersion: sharectl/v1`:\n\n    apiVersion: sharectl/v1\n")
    assert not load_folder(tmp_path).diagnostics


@pytest.mark.parametrize("name", [".github/ci.yml", ".pre-commit.yaml", "package.json", "README.md", "a.yaml.txt"])
def test_what_is_no_manifest_needs_no_word(tmp_path: Path, name: str) -> None:
    """A repository holds other YAML than manifests, under other names."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("on: push\n")
    assert not load_folder(tmp_path).diagnostics


def test_what_is_encrypted_may_be_a_manifest(tmp_path: Path) -> None:
    """Nobody can tell."""
    (tmp_path / "a.yaml.gpg").write_bytes(b"\x85\x01")
    assert _brief(load_folder(tmp_path)) == [("a.yaml.gpg", "warning", "skipped")]


def test_a_hidden_folder_with_manifests_is_named(tmp_path: Path) -> None:
    """Once, with one of its files."""
    (tmp_path / ".old" / "deep").mkdir(parents=True)
    for name in ("a", "b"):
        (tmp_path / ".old" / "deep" / f"{name}.yaml").write_text(share(name))
    loaded = load_folder(tmp_path)
    assert _brief(loaded) == [(".old", "warning", "skipped")]
    assert ".old/deep/a.yaml" in loaded.diagnostics[0].summary


def test_a_linked_folder_within_the_working_tree_is_read(tmp_path: Path) -> None:
    """One folder with common manifests, linked into each environment."""
    _git(tmp_path, "init", "-q")
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "a.yaml").write_text(share("a"))
    (tmp_path / "env" / "prod").mkdir(parents=True)
    (tmp_path / "env" / "prod" / "base").symlink_to("../../base")
    loaded = load_folder(tmp_path / "env" / "prod")
    assert not loaded.diagnostics
    assert list(loaded.desired.digests) == ["share/a"]


@pytest.mark.parametrize("target", ["nowhere", "loop"])
def test_a_link_that_leads_to_no_folder_is_an_error(tmp_path: Path, target: str) -> None:
    """There may have been manifests behind it."""
    (tmp_path / "loop").symlink_to(target)
    assert _brief(load_folder(tmp_path)) == [("loop", "error", "unreadable")]


def test_a_link_to_a_folder_without_yaml_needs_no_word(tmp_path: Path) -> None:
    """A result of a build, say."""
    (tmp_path / "out").mkdir()
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "result").symlink_to(tmp_path / "out")
    assert not load_folder(tmp_path / "m").diagnostics


def test_manifests_in_a_file_called_as_the_project_are_an_error(tmp_path: Path) -> None:
    """A nested project's settings alone are passed over."""
    for name, text in (("a", share("a")), ("b", "apiVersion: sharectl/v1\nkind: Project\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sharectl.yaml").write_text(text)
    assert _brief(load_folder(tmp_path)) == [("a/sharectl.yaml", "error", "unreadable")]


def test_storage_among_the_manifests_is_not_read(tmp_path: Path) -> None:
    """What users put into their shares is no manifest; a manifest beside the shares is an error, for nobody reads it."""
    private = tmp_path / "storage" / ".sharectl"
    private.mkdir(parents=True)
    (private / "backend.json").write_text("{}")
    (tmp_path / "storage" / "projects").mkdir()
    (tmp_path / "storage" / "projects" / "compose.yaml").write_text("services: {}")
    (tmp_path / "storage" / "projects" / "gone").symlink_to("nowhere")
    assert not load_folder(tmp_path).diagnostics
    (tmp_path / "storage" / "a.yaml").write_text(share("a"))
    assert _brief(load_folder(tmp_path)) == [("storage", "error", "unreadable")]


def test_a_submodule_that_is_not_checked_out_is_an_error(tmp_path: Path) -> None:
    """As a clone without --recurse-submodules leaves it; also where the project is not at the top."""
    for name in ("common", "main"):
        (tmp_path / name).mkdir()
        _git(tmp_path / name, "init", "-q")
    (tmp_path / "common" / "a.yaml").write_text(share("a"))
    _git(tmp_path / "common", "add", ".")
    _git(tmp_path / "common", "commit", "-qm", "a")
    _git(tmp_path / "main", "submodule", "add", "-q", str(tmp_path / "common"), "env/common")
    _git(tmp_path / "main", "commit", "-qm", "b")
    _git(tmp_path, "clone", "-q", str(tmp_path / "main"), "clone")
    assert not load_folder(tmp_path / "main").diagnostics
    loaded = load_folder(tmp_path / "clone")
    assert _brief(loaded) == [("env/common", "error", "unreadable")]
    assert "git submodule update --init" in loaded.diagnostics[0].remedy
    assert _brief(load_folder(tmp_path / "clone" / "env")) == [("common", "error", "unreadable")]
    assert _brief(load_folder(tmp_path / "clone", "env/common")) == [("env/common", "error", "unreadable")]


def test_what_a_sparse_checkout_leaves_out_is_an_error(tmp_path: Path) -> None:
    """Files elsewhere in the repository do not matter."""
    _git(tmp_path, "init", "-q")
    for name in ("env/a.yaml", "env/teams/b.yaml", "other/c.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(share(name[-6]))
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-qm", "a")
    _git(tmp_path, "sparse-checkout", "set", "--no-cone", "/env/*.yaml", "!/env/teams/")
    loaded = load_folder(tmp_path / "env")
    assert _brief(loaded) == [(".", "error", "unreadable")]
    assert "(1): teams/b.yaml" in loaded.diagnostics[0].summary
    _git(tmp_path, "sparse-checkout", "set", "--no-cone", "/env/")
    assert not load_folder(tmp_path / "env").diagnostics


def test_a_repository_among_the_manifests_does_not_speak_for_the_checkout(tmp_path: Path) -> None:
    """One without a `.git` may be committed; asked in its place, it would say that the checkout leaves nothing out."""
    _git(tmp_path, "init", "-q")
    (tmp_path / "env").mkdir()
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / "env" / name).write_text(share(name[0]))
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-qm", "a")
    _git(tmp_path, "sparse-checkout", "set", "--no-cone", "/env/a.yaml")
    _git(tmp_path / "env", "init", "-q", "--bare", ".")
    for setting in (("core.bare", "false"), ("core.worktree", str(tmp_path / "env"))):
        _git(tmp_path / "env", "config", "--file=config", *setting)
    assert (".", "error", "unreadable") in _brief(load_folder(tmp_path / "env"))


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", b" \r\n"])
def test_an_empty_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    """A disk that was full, or an editor that died, leaves one; nobody writes one on purpose."""
    (tmp_path / "a.yaml").write_bytes(content)
    (tmp_path / "b.yaml").write_text(share("b"))
    assert _brief(load_folder(tmp_path)) == [("a.yaml", "error", "empty")]


@pytest.mark.parametrize("content", ["# notes\n", "---\n", "null\n", "---\n# a\n---\n"])
def test_a_file_without_documents_is_named_each_time(tmp_path: Path, content: str) -> None:
    """Also where the cache knows the file."""
    (tmp_path / "a.yaml").write_text(content)
    (tmp_path / "b.yaml").write_text(share("b"))
    for _ in range(2):
        loaded = load_folder(tmp_path, cache=ManifestCache(tmp_path / ".cache"))
        assert _brief(loaded) == [("a.yaml", "warning", "empty")]


def test_empty_standard_input_is_an_error(tmp_path: Path) -> None:
    """The command before the pipe has failed; other files beside it do not change that."""
    from io import BytesIO  # noqa: PLC0415 - here alone

    (tmp_path / "b.yaml").write_text(share("b"))
    loaded = load(
        ["-", "b.yaml"],
        base_directory=tmp_path,
        cache=None,
        drivers=DriverSchemas(SCHEMAS.get, lambda: tuple(SCHEMAS)),
        stdin=BytesIO(b""),
    )
    assert _brief(loaded) == [("<stdin>", "error", "empty")]


def test_a_named_folder_without_manifests_is_an_error(tmp_path: Path) -> None:
    """An empty mount point, or a slip in the name; the folder of the project itself may be empty."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.yaml").write_text(share("a"))
    loaded = load_folder(tmp_path, "a.yaml", "empty")
    assert _brief(loaded) == [("empty", "error", "unreadable")]
    (tmp_path / "empty" / "none.yaml").write_text("# nothing yet\n")
    assert all(found.severity is Severity.WARNING for found in load_folder(tmp_path, "a.yaml", "empty").diagnostics)


def test_a_pattern_is_said_to_be_none(tmp_path: Path) -> None:
    """It is looked for as a name, and nothing has it."""
    (tmp_path / "a.yaml").write_text(share("a"))
    (found,) = load_folder(tmp_path, "*.yaml").diagnostics
    assert "a pattern is not expanded" in found.remedy


def test_a_name_that_is_not_utf_8_is_read_and_can_be_shown(tmp_path: Path) -> None:
    """In text and in JSON."""
    path = os.fsencode(tmp_path) + b"/gr\xfc\xdfe.yaml"
    with open(path, "wb") as file:  # noqa: PTH123 - a path of bytes
        file.write(share("a").encode() + b"---\nkind: x\n")
    loaded = load_folder(tmp_path)
    assert list(loaded.desired.digests) == ["share/a"]
    (found,) = loaded.diagnostics
    assert str(found.source).startswith("gr\\xfc\\xdfe.yaml:")
    orjson.dumps(dataclasses.asdict(found))


def test_a_pool_of_the_linux_driver_among_the_manifests_is_not_read(tmp_path: Path) -> None:
    """Else whoever may write to a share could put a manifest there, and the next plan would do what it says."""
    (tmp_path / "pool" / ".sharectl" / "staging").mkdir(parents=True)
    (tmp_path / "pool" / "projects").mkdir()
    (tmp_path / "pool" / "projects" / "evil.yaml").write_text(share("a"))
    (tmp_path / "b.yaml").write_text(share("b"))
    assert list(load_folder(tmp_path).desired.digests) == ["share/b"]
