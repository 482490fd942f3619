"""kustomize and sharectl together: the configuration in the package, the example, and what the page says of both, by the real program."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from ruamel.yaml import YAML

from sharectl.manifests.schemas import schemas_directory
from sharectl.model.fields import rule_of, written_name
from sharectl.model.kinds import KINDS, Kind
from sharectl.model.specs import RevertRequest, SchedulerHints
from sharectl.model.table import SPECS
from tests.cli.console import Console, run
from tools.sessions import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARTS = {"hints": SchedulerHints, "revert_to": RevertRequest}
_OF_RULES = {("Share", "AccessRule", "spec/share"), ("Share", "AccessRule", "spec/shares")}
"""Rules have no spec of their own; what they name is resolved when manifests are linked."""

EXAMPLE = ROOT / "examples" / "kustomize"
CONFIGURATION = schemas_directory() / "kustomize"


def kustomize() -> str:
    """Return the program that `.ci/kustomize/setup` has built; skip where it is not there."""
    root = Path(os.environ.get("SHARECTL_KUSTOMIZE") or Path.home() / ".cache" / "sharectl" / "kustomize")
    if not (root / "kustomize").exists():
        pytest.skip("needs kustomize: .ci/kustomize/setup")
    return str(root / "kustomize")


def built(folder: Path) -> bytes:
    """Return what kustomize makes of a folder."""
    return subprocess.run([kustomize(), "build", str(folder)], check=True, capture_output=True, timeout=300).stdout


def planned(console: Console) -> dict[str, dict[str, Any]]:
    """Return the steps of a plan of what was built, beside the project's own manifests, by verb and address."""
    ended = console("plan", "-f", "built.yaml", "-f", "own", "--output", "json")
    assert ended.code == 0, ended.err
    return {f"{step['verb']} {step['address']}": step for step in orjson.loads(ended.out)["steps"]}


def build_in(console: Console) -> bytes:
    """Build the environment that the console is in, and keep what came of it beside it."""
    manifests = built(console.root)
    (console.root / "built.yaml").write_bytes(manifests)
    return manifests


@pytest.fixture
def console(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Console:
    """Return a console in an empty folder."""
    return Console(tmp_path, capsys)


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """Return a copy of the example."""
    return shutil.copytree(EXAMPLE, tmp_path / "kustomize", ignore=shutil.ignore_patterns(".sharectl", "storage"))


def references(kind: Kind, spec: type, prefix: str = "spec") -> Iterator[tuple[str, str, str]]:
    """Yield the kind that is named, the kind that names it, and the field, as in the configuration."""
    for field in fields(spec):
        path = f"{prefix}/{written_name(field)}"
        if field.name in _PARTS:
            yield from references(kind, _PARTS[field.name], path)
        elif (named := rule_of(field).refers_to) is not None:
            yield named.document_kind, kind.document_kind, path


def test_the_configuration_names_every_reference() -> None:
    """A new one in the table of kinds has to be added to it; client lists stay out of a build, as the page says."""
    configuration = YAML(typ="safe").load(CONFIGURATION / "names.yaml")["nameReference"]
    told = {(each["kind"], field["kind"], field["path"]) for each in configuration for field in each["fieldSpecs"]}
    outside = Kind.CLIENT_LIST
    written = [kind for kind, entry in KINDS.items() if entry.schema and kind in SPECS and kind is not outside]
    of_sets = {
        (named, "ShareSet", path) for named, _, path in references(Kind.SHARE, SPECS[Kind.SHARE], "spec/template")
    }
    assert told == {found for kind in written for found in references(kind, SPECS[kind])} | _OF_RULES | of_sets


def test_the_command_writes_what_the_example_has(console: Console, tmp_path: Path) -> None:
    """File by file, so that the example is what a user gets."""
    assert console("schema", "--kustomize", str(tmp_path / "made")).code == 0
    names = {path.name for path in CONFIGURATION.iterdir()}
    for folder in (tmp_path / "made", EXAMPLE / "base" / "sharectl"):
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
            name: (CONFIGURATION / name).read_bytes() for name in names
        }


def test_names_in_a_set_stay_as_they_are(tmp_path: Path) -> None:
    """And so does `null`; what the template names gets the prefix, and a patch of the template adds a rule."""
    base = "apiVersion: sharectl/v1\nkind"
    (tmp_path / "all.yaml").write_text(
        f"{base}: ShareType\nmetadata: {{name: gold}}\nspec: {{extraSpecs: {{}}}}\n---\n"
        f"{base}: ShareSet\nmetadata: {{name: homes}}\nspec:\n"
        "  template: {type: gold, access: [{type: ip, to: 10.0.0.1, level: ro}]}\n"
        "  shares: {a: {}, b: {type: null}, 'c-[01-02]': {type: gold}}\n",
        encoding="utf-8",
    )
    rule = "{type: ip, to: 10.0.0.2, level: rw}"
    patch = (
        f"{base}: ShareSet\nmetadata: {{name: homes}}\nspec: {{template: {{access: [{rule}]}}, shares: {{d: {{}}}}}}\n"
    )
    (tmp_path / "patch.yaml").write_text(patch, encoding="utf-8")
    shutil.copytree(CONFIGURATION, tmp_path / "sharectl")
    (tmp_path / "kustomization.yaml").write_text(
        "namePrefix: dev-\nresources: [all.yaml]\ncomponents: [sharectl]\npatches: [{path: patch.yaml}]\n",
        encoding="utf-8",
    )
    documents = list(YAML(typ="safe").load_all(built(tmp_path)))
    spec = next(each["spec"] for each in documents if each["kind"] == "ShareSet")
    assert spec["shares"] == {"a": {}, "b": {"type": None}, "c-[01-02]": {"type": "gold"}, "d": {}}
    assert spec["template"]["type"] == "dev-gold"
    assert {each["to"] for each in spec["template"]["access"]} == {"10.0.0.1", "10.0.0.2"}


def test_dev_has_names_of_its_own_that_lead_to_each_other(example: Path, console: Console) -> None:
    """Applied through a pipe, there is nothing left to do; a share that leaves the base is removed by a plan of what is built."""
    dev = replace(console, root=example / "dev")
    piped = run("apply", "-f", "-", "-f", "own", "--yes", cwd=dev.root, stdin=build_in(dev))
    assert piped.code == 0, piped.err
    assert not planned(dev)
    listed = orjson.loads(dev("list", "--output", "json").out)["shares"]
    assert {share["address"]: share["size_bytes"] for share in listed} == {
        "share/dev-projects": 1 << 30,
        "share/dev-scratch": 1 << 30,
    }
    assert (
        orjson.loads(dev("show", "share/dev-projects", "--output", "json").out)["record"]["spec"]["share_type"]
        == "dev-standard"
    )
    assert "dev-scratch" in dev("who", "10.99.9.9").out
    shares = (example / "base" / "shares.yaml").read_text(encoding="utf-8").partition("---\n")[0]
    (example / "base" / "shares.yaml").write_text(shares, encoding="utf-8")
    access = example / "base" / "access.yaml"
    access.write_text(access.read_text(encoding="utf-8").replace(", scratch", ""), encoding="utf-8")
    build_in(dev)
    assert set(planned(dev)) == {"trash-share share/dev-scratch"}


def test_a_patch_of_access_rules_keeps_the_others(example: Path, console: Console) -> None:
    """By the schema in the package, they are merged by whom they are for; a namespace changes no name."""
    prod = replace(console, root=example / "prod")
    assert b"namespace: production" in build_in(prod)
    steps = planned(prod)
    create, access = steps["create-share share/projects"], steps["update-access share/projects"]
    assert (create["spec"]["size_bytes"], create["spec"]["protect"]) == (100 << 30, True)
    grants = {
        "access/ip:10.20.0.0/24": "rw",
        "access/ip:10.20.0.15": "ro",
        "access/ip:10.20.0.16": "rw",
        "access/ip:10.20.9.9": "ro",
    }
    assert {each["field"]: each["after"] for each in access["changes"]} == grants
    patch = prod.root / "projects.yaml"
    text = patch.read_text(encoding="utf-8")
    patch.write_text(f"{text}    - {{type: ip, to: 10.20.0.15, $patch: delete}}\n", encoding="utf-8")
    build_in(prod)
    access = planned(prod)["update-access share/projects"]
    del grants["access/ip:10.20.0.15"]
    assert {each["field"]: each["after"] for each in access["changes"]} == grants


def test_patches_by_path_change_what_they_name(example: Path, console: Console) -> None:
    """The page's own: of two operations on one rule, `test` stops the build where a rule of the base stands in front of it."""
    dev = replace(console, root=example / "dev")
    page = (ROOT / "docs" / "kustomize.md").read_text(encoding="utf-8")
    shown = re.search(r"```yaml\n(patches:\n.*?)```", page, re.DOTALL)
    assert shown is not None
    kustomization = "namePrefix: dev-\nresources: [../base]\n"
    (dev.root / "kustomization.yaml").write_text(kustomization + shown[1], encoding="utf-8")
    assert b"stage: dev" in build_in(dev)
    steps = planned(dev)
    assert steps["create-share share/dev-projects"]["spec"]["size_bytes"] == 2 << 30
    assert {each["field"]: each["after"] for each in steps["update-access share/dev-projects"]["changes"]} == {
        "access/ip:10.20.0.15": "rw",
        "access/ip:10.99.9.9": "ro",
    }
    shares = example / "base" / "shares.yaml"
    text = shares.read_text(encoding="utf-8")
    rule = "    - {type: ip, to: 10.20.0.14, level: ro}\n"
    shares.write_text(text.replace("  access:\n", f"  access:\n{rule}"), encoding="utf-8")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        build_in(dev)
    assert (failed.value.stdout, b"test failed" in failed.value.stderr) == (b"", True)
    refused = run("apply", "-f", "-", "-f", "own", "--yes", cwd=dev.root, stdin=failed.value.stdout)
    assert (refused.code, "standard input is empty" in refused.err) == (1, True)


def test_client_lists_that_kustomize_has_renamed_are_refused(example: Path, console: Console) -> None:
    """It keeps them, but cannot know where `to` means one: the rules lead nowhere, and nobody's access is taken away."""
    dev = replace(console, root=example / "dev")
    (dev.root / "own" / "clients.yaml").rename(example / "base" / "clients.yaml")
    kustomization = example / "base" / "kustomization.yaml"
    text = kustomization.read_text(encoding="utf-8")
    kustomization.write_text(text.replace("resources: [", "resources: [clients.yaml, "), encoding="utf-8")
    assert b"name: dev-workstations" in build_in(dev)
    ended = dev("plan", "-f", "built.yaml", "-f", "own")
    assert ended.code == 1
    assert "there is no ClientList 'workstations'" in ended.err


def test_two_namespaces_are_one_room_for_names(console: Console) -> None:
    """A name stands for one thing in the whole project, and a second one is refused whatever its namespace."""
    text = (
        "apiVersion: sharectl/v1\nkind: Share\nmetadata: {name: a, namespace: NS}\nspec: {size: 1GiB, protocol: NFS}\n"
    )
    console.write("a.yaml", "---\n".join(text.replace("NS", name) for name in ("one", "two")))
    ended = console("validate")
    assert ended.code == 1
    assert "the Share 'a' is described twice" in ended.err


@pytest.mark.parametrize("place", ["metadata", "spec"])
def test_a_variable_stays_text(console: Console, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a description as it was written, everywhere else as an error; the environment is not looked at."""
    monkeypatch.setenv("TEAM", "x")
    size, team = ("1GiB", "${TEAM}") if place == "metadata" else ("${TEAM}", "a")
    console.write(
        "a.yaml",
        "apiVersion: sharectl/v1\nkind: ShareType\nmetadata: {name: t}\nspec: {description: 'of ${TEAM}'}\n---\n"
        f"apiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: a, annotations: {{team: '{team}'}}}}\n"
        f"spec: {{size: '{size}', protocol: NFS, type: t}}\n",
    )
    ended = console("validate")
    assert ended.code == 1
    assert ended.err.count("error[") == 1
    assert "sharectl expands no variables" in ended.err
    assert "of ${TEAM}" in console("show", "share_type/t").out


def test_the_page_says_what_the_example_does() -> None:
    """Its commands are those of the example, and each file that it shows is there as it is shown."""
    page = (ROOT / "docs" / "kustomize.md").read_text(encoding="utf-8")
    readme = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^\$? ?(kustomize build .*)$", page, re.MULTILINE)
    assert commands
    assert all(command in readme for command in commands)
    shown = re.findall(r"```yaml\n# (\S+\.yaml)\n(.*?)```", page, re.DOTALL)
    assert len(shown) > 1
    for name, text in shown:
        assert text.strip() in (EXAMPLE / name).read_text(encoding="utf-8"), name
