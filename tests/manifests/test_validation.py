"""Schemas: both validators agree, every field is described, and the examples are valid."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sharectl.manifests.project import find_project
from sharectl.manifests.schemas import accepts, schema_name_of, schema_names, schema_of, schema_text
from sharectl.manifests.validation import explain
from sharectl.model.kinds import KIND_OF_DOCUMENT
from tests.manifests.support import load_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples" / "kinds").glob("*.yaml"))
KINDS = (*KIND_OF_DOCUMENT, "Project")


def test_there_is_a_schema_for_each_kind() -> None:
    """And one for any of them."""
    assert set(schema_names()) == {"manifest", *map(schema_name_of, KINDS)}
    with pytest.raises(KeyError):
        schema_text("../pyproject")


@pytest.mark.parametrize("name", schema_names())
def test_each_schema_is_valid_and_describes_every_field(name: str) -> None:
    """So that editors explain them."""
    schema = orjson.loads(schema_text(name))
    Draft202012Validator.check_schema(schema)
    missing = [path for path, part in _fields(schema, name) if not part.get("description")]
    assert not missing


def _fields(schema: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:  # noqa: ANN401 - any part of a schema
    if isinstance(schema, dict):
        for keyword, part in schema.items():
            if keyword == "properties" and not {"if", "then"} & {
                *path.split("/")
            }:  # what these narrow is described where it is defined
                for name, field in part.items():
                    yield f"{path}.{name}", field
            if keyword not in {"const", "enum", "default"}:
                yield from _fields(part, f"{path}/{keyword}")
    elif isinstance(schema, list):
        for number, part in enumerate(schema):
            yield from _fields(part, f"{path}/{number}")


@cache
def _example_documents() -> tuple[dict[str, Any], ...]:
    return tuple(document for path in EXAMPLES for document in yaml.safe_load_all(path.read_text()))


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_the_quick_validator_and_the_one_that_explains_agree(data: st.DataObject) -> None:
    """On valid documents with fields removed, added and replaced."""
    document = copy.deepcopy(data.draw(st.sampled_from(_example_documents())))
    for _ in range(data.draw(st.integers(0, 3))):
        target: Any = document
        while True:
            keys = list(target) if isinstance(target, dict) else list(range(len(target)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if isinstance(target[key], dict | list) and target[key] and data.draw(st.booleans()):
                target = target[key]
                continue
            value = data.draw(
                st.none()
                | st.booleans()
                | st.integers(-5, 300)
                | st.sampled_from(
                    [
                        0.5,
                        1.0,
                        1e30,
                        "",
                        "x",
                        "a\n",
                        "100GiB",
                        "100GiB\n",
                        "NFS",
                        [],
                        {},
                        ["x", "x"],
                        {"env": "A"},
                        "ü" * 64,
                    ]
                )
            )
            if data.draw(st.booleans()):
                target[key] = value
            elif isinstance(target, dict):
                del target[key]
                target[data.draw(st.sampled_from(["x", "nam", "", "a b", "ü"]))] = value
            break
    kind = document.get("kind")
    kind = kind if kind in KINDS else "Share"
    findings = explain(document, schema_of(kind), document=0)
    assert accepts(kind)(document) == (not findings)
    assert all(finding.summary and finding.remedy for finding in findings)


def test_there_is_an_example_of_each_kind_and_all_are_valid() -> None:
    """Together they make a repository; each tells the editor its schema."""
    loaded = load_folder(ROOT / "examples" / "kinds", ".", cache=None)
    assert [diagnostic for diagnostic in loaded.diagnostics if "driver" not in diagnostic.code] == []
    assert {path.stem for path in EXAMPLES} == {schema_name_of(kind) for kind in (*KIND_OF_DOCUMENT, "Project")} - {
        "project"
    } | {"sharectl"}
    for path in EXAMPLES:
        name = "project" if path.stem == "sharectl" else path.stem
        assert f"# yaml-language-server: $schema=../../schemas/{name}.schema.json" in path.read_text().splitlines()[0]


def test_the_example_of_a_project_is_valid() -> None:
    """It sets every setting."""
    project = find_project(ROOT / "examples" / "kinds")
    assert project.file == ROOT / "examples" / "kinds" / "sharectl.yaml"
