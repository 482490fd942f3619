"""What an editor knows: the schema that each manifest of a new repository names, with the settings of drivers and plugins."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from ruamel.yaml import YAML

from sharectl.drivers.registry import driver_names
from sharectl.manifests.schemas import schema_names
from sharectl.workspace.init import FILES
from tests.cli.console import run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.console import Console

MODELINE = re.compile(r"\A# yaml-language-server: \$schema=(\S+)\n")


def validator_of(path: Path) -> Draft202012Validator:
    """Return the check that an editor makes by the schema at a path, which finds others beside it."""

    def beside(uri: str) -> Resource[Any]:
        return Resource.from_contents(json.loads((path.parent / uri).read_text(encoding="utf-8")))

    schema = json.loads(path.read_text(encoding="utf-8"))
    assert schema["$id"] == path.name
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, registry=Registry(retrieve=beside))  # type: ignore[call-arg]


@pytest.mark.parametrize("state", ["sqlite", "postgresql"])
def test_a_new_repository_is_checked_as_it_is_typed(state: str, tmp_path: Path) -> None:
    """Each manifest names its schema, which is there, allows it, and is no part of what git sees."""
    assert run("init", "--state", state, cwd=tmp_path).code == 0
    for name in FILES:
        if name.endswith(".yaml"):
            text = (tmp_path / name).read_text(encoding="utf-8")
            named = MODELINE.match(text)
            assert named is not None
            schema = ((tmp_path / name).parent / named[1]).resolve()
            validator_of(schema).validate(YAML(typ="safe").load(text))
            assert schema.parent == tmp_path / ".sharectl/schemas"
    assert (tmp_path / ".sharectl/.gitignore").read_text(encoding="utf-8").endswith("*\n")


@pytest.mark.parametrize(
    ("driver", "config", "wrong"),
    [
        ("directory", {"rooot": "storage"}, "rooot"),
        ("ontap", {"address": "filer", "port": "many"}, "many"),
    ],
)
def test_settings_of_drivers_are_known(driver: str, config: dict[str, str], wrong: str, tmp_path: Path) -> None:
    """By the schema of any kind as well."""
    assert run("schema", "--write", "schemas", cwd=tmp_path).code == 0
    backend = {
        "apiVersion": "sharectl/v1",
        "kind": "Backend",
        "metadata": {"name": "nas"},
        "spec": {"driver": driver, "config": config},
    }
    for name in ("backend", "manifest"):
        found = [str(error) for error in validator_of(tmp_path / f"schemas/{name}.schema.json").iter_errors(backend)]
        assert any(wrong in each for each in found)
        assert not any(other in each for other in set(driver_names()) - {driver} for each in found)


def test_settings_of_network_plugins_are_known(tmp_path: Path) -> None:
    """Beside those of the driver."""
    assert run("schema", "--write", ".", cwd=tmp_path).code == 0
    network = {"plugin": "neutron", "config": {"authUrl": 5}}
    spec = {"driver": "simulated", "config": {"stateFile": "a.db"}, "shareServers": True, "network": network}
    backend = {"apiVersion": "sharectl/v1", "kind": "Backend", "metadata": {"name": "nas"}, "spec": spec}
    found = [error.json_path for error in validator_of(tmp_path / "backend.schema.json").iter_errors(backend)]
    assert any(path.startswith("$.spec.network.config") for path in found)


def test_every_schema_is_printed_as_it_is_written(tmp_path: Path) -> None:
    """One by one, or all at once."""
    assert run("schema", "--write", ".", cwd=tmp_path).code == 0
    assert {path.name.partition(".")[0] for path in tmp_path.glob("*.json")} == set(schema_names())
    for name in ("share", "backend"):
        assert run("schema", name, cwd=tmp_path).out == (tmp_path / f"{name}.schema.json").read_text(encoding="utf-8")


def test_an_editor_asks_for_nothing_that_the_project_gives_by_default(console: Console) -> None:
    """What one can leave out, or be without, depends on the project; where its file is wrong, on nothing, for it has to be mended."""
    project = (
        "apiVersion: sharectl/v1\nkind: Project\nspec: {defaults: [{kind: Share, spec: {protocol: NFS, type: t}}]}\n"
    )
    share = {
        "apiVersion": "sharectl/v1",
        "kind": "Share",
        "metadata": {"name": "a"},
        "spec": {"size": "1GiB", "type": None},
    }
    allowed = []
    for text in ("", project, project.replace("type: t", "access: []")):
        if text:
            console.write("sharectl.yaml", text)
        assert console("schema", "--write", str(console.root / "schemas")).code == 0
        check = validator_of(console.root / "schemas" / "share.schema.json")
        allowed.append(
            [
                check.is_valid({**share, "spec": {**share["spec"], **more}})
                for more in ({}, {"type": 1}, {"protocol": "NFS", "protocols": ["NFS"]})
            ]
        )  # type: ignore[dict-item]
        assert json.loads(console("schema", "share").out) == check.schema
    assert allowed == [[False, False, False], [True, False, False], [False, False, False]]
