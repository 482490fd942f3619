"""The order of fields: every line and comment is kept, with the field that it belongs to."""

from __future__ import annotations

from collections import Counter
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sharectl.manifests.layout import arranged
from sharectl.manifests.schemas import schema_of
from sharectl.workspace.init import FILES, filled
from tools.sessions import ROOT

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = sorted(
    path.relative_to(ROOT) for path in (ROOT / "examples").rglob("*.yaml") if ".sharectl" not in path.parts
)


def of(text: str) -> str:
    """Return what becomes of an indented text."""
    return arranged(dedent(text))


def test_a_field_takes_its_comments_along() -> None:
    """Those above it and the one behind it; blank lines stay between fields, and what heads or ends the document stays there."""
    assert of("""\
        # Our projects.
        kind: Share
        apiVersion: sharectl/v1
        spec:
          # who
          access:
            - {level: rw, type: ip, to: 10.0.0.0/24}  # lab

          # how big
          size: 1GiB  # small
          protocol: NFS
        metadata:
          name: projects
        # the end
        """) == dedent("""\
        # Our projects.
        apiVersion: sharectl/v1
        kind: Share
        metadata:
          name: projects
        spec:
          # how big
          size: 1GiB  # small
          protocol: NFS

          # who
          access:
            - {level: rw, type: ip, to: 10.0.0.0/24}  # lab
        # the end
        """)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "- 1\n- 2\n",
        "b: 1\na: 2\n",
        "kind: Share\napiVersion: other/v1\n",
        "kind: Other\napiVersion: sharectl/v1\n",
        "{kind: Share, apiVersion: sharectl/v1}\n",
        "kind: &k Share\napiVersion: sharectl/v1\nmetadata: {name: *k}\n",
        "? kind\n: Share\n? apiVersion\n: sharectl/v1\n",
        "kind: [Share]\napiVersion: sharectl/v1\n",
        "--- {kind: Share, apiVersion: sharectl/v1}\n",
    ],
)
def test_what_is_not_understood_stays_as_it_is(text: str) -> None:
    """Documents of others, anchors, brackets, and what is no manifest at all."""
    assert arranged(text) == text


def test_each_document_of_a_file_is_by_itself() -> None:
    """With its own separators, line ends and missing last line end."""
    text = "kind: Share\napiVersion: sharectl/v1\n---\nz: 1\na: 2\n--- # third\nkind: Snapshot\napiVersion: sharectl/v1\n...\n---\nkind: Share\r\napiVersion: sharectl/v1"
    assert arranged(text) == (
        "apiVersion: sharectl/v1\nkind: Share\n---\nz: 1\na: 2\n--- # third\napiVersion: sharectl/v1\nkind: Snapshot\n...\n---\napiVersion: sharectl/v1\nkind: Share\r"
    )


def test_text_that_looks_like_fields_and_comments_stays_in_its_value() -> None:
    """Blocks and long texts are moved whole."""
    done = of("""\
        kind: ShareType
        apiVersion: sharectl/v1
        spec:
          extraSpecs:
            b: |
              # not a comment
              apiVersion: none

              spec:
            a: "two
              # lines"
          description: >
            of a kind
        metadata: {name: gold}
        """)
    assert list(yaml.safe_load(done)) == ["apiVersion", "kind", "metadata", "spec"]
    assert "      # not a comment\n      apiVersion: none\n\n      spec:\n" in done


@given(st.data())
def test_any_order_becomes_that_of_the_reference(data: st.DataObject) -> None:
    """Whatever stands between the lines; nothing is lost, and a second time changes nothing."""
    spec = [name for name in schema_of("Share")["properties"]["spec"]["properties"] if name != "access"]
    parts = {
        "apiVersion": "apiVersion: sharectl/v1\n",
        "kind": "kind: Share\n",
        "metadata": "metadata:\n  name: a\n",
        "spec": "spec:\n"
        + "".join(
            f"{data.draw(st.sampled_from(('', '  # of it', chr(10), '  # above' + chr(10) + chr(10) + '  # of it')))}\n  {name}: '{name}'\n"
            for name in data.draw(st.permutations(spec))
        ),
    }
    text = "".join(parts[name] for name in data.draw(st.permutations(list(parts))))
    done = arranged(text)
    document = yaml.safe_load(done)
    assert document == yaml.safe_load(text)
    assert list(document) == ["apiVersion", "kind", "metadata", "spec"]
    assert list(document["spec"]) == spec
    assert Counter(done.split("\n")) == Counter(text.split("\n"))
    assert arranged(done) == done


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".yaml")])
@pytest.mark.parametrize("state", ["sqlite", "postgresql"])
def test_what_init_writes_is_in_order(name: str, state: str) -> None:
    """For each kind of state."""
    text = filled(FILES[name], state)
    assert arranged(text) == text


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_examples_are_in_order(path: Path) -> None:
    """A reader finds fields where they stand everywhere."""
    text = (ROOT / path).read_text(encoding="utf-8")
    assert arranged(text) == text


def test_a_last_line_without_an_end_gets_that_of_the_others_where_it_moves() -> None:
    """Lines of Windows stay such lines; the file still ends without one."""
    text = "kind: Share\r\nmetadata: {name: a}\r\nspec: {size: 1GiB, protocol: NFS}\r\napiVersion: sharectl/v1"
    after = "apiVersion: sharectl/v1\r\nkind: Share\r\nmetadata: {name: a}\r\nspec: {size: 1GiB, protocol: NFS}"
    assert (arranged(text), arranged(after)) == (after, after)
