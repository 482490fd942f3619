"""The JSON contract in docs/json.md is what is written."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

import sharectl.render
from sharectl.model import events
from sharectl.model.specs import ShareSpec
from sharectl.planner.saved.document import FORMAT, plan_to_document
from sharectl.render.history import history_object
from sharectl.render.pools import pools_object
from sharectl.render.resource import resource_object, share_network_object, share_server_object
from sharectl.render.state import lock_object, record_object, state_object
from sharectl.workspace.inspection import ResourceView
from tests.render.samples import GIB, RULES, a_record, rich_plan
from tests.render.test_share_servers import A_NETWORK, A_SERVER
from tests.render.test_tables import HELD, POOLS, a_view, lines_of_history

CONTRACT = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")


def names_in(plain: object, without: tuple[str, ...] = ()) -> set[str]:
    """Return every name of a field in a JSON value; what is under the names in `without` belongs to others."""
    if isinstance(plain, dict):
        return set(plain) | {
            name for key, value in plain.items() if key not in without for name in names_in(value, without)
        }
    if isinstance(plain, list | tuple):
        return {name for value in plain for name in names_in(value, without)}
    return set()


def formats() -> set[str]:
    """Return the formats that the renderers write."""
    written = (found.read_text(encoding="utf-8") for found in Path(sharectl.render.__path__[0]).glob("*.py"))
    return {f"sharectl-{name}" for text in written for name in re.findall(r'document\(\s*"([a-z-]+)"', text)} | {FORMAT}


def test_every_format_is_documented() -> None:
    """With its version in the table, and a section."""
    assert len(formats()) > 15
    for name in formats():
        assert re.search(rf"^\| \[`{name}`\]\(#{name}\) \| 1 \|", CONTRACT, re.MULTILINE)
        assert f"\n## {name}\n" in CONTRACT


@pytest.mark.parametrize("event", get_args(events.Event))
def test_every_event_is_documented_with_its_fields(event: type) -> None:
    """In their order."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", event.__name__).lower()
    row = ", ".join(f"`{each.name}`" for each in fields(event))
    assert f"| `{name}` | {row} |" in CONTRACT


@pytest.mark.parametrize(
    "plain",
    [
        {key: value for key, value in plan_to_document(rich_plan()).items() if key != "backends"},
        resource_object(ResourceView("share/home", ShareSpec("home", GIB, "NFS"), a_record(), RULES)),
        pools_object(POOLS),
        state_object(a_view(), {"share/home": RULES}),
        record_object(a_record(), RULES),
        {**history_object(lines_of_history()), "entries": list(history_object(lines_of_history())["entries"])},
        lock_object([HELD]),
        share_server_object(A_SERVER),
        share_network_object(A_NETWORK),
    ],
    ids=lambda plain: plain["format"],
)
def test_every_field_is_documented(plain: dict[str, object]) -> None:
    """Apart from specs and capabilities, which are described by their kinds and by Manila."""
    foreign = ("spec", "capabilities", "by_action", "rules_by_action", "weights", "before", "after", "simulation")
    missing = {name for name in names_in(plain, foreign) if f"`{name}`" not in CONTRACT and f'"{name}"' not in CONTRACT}
    assert missing <= {"format", "version"}
