"""No control character of a manifest, a backend or the state reaches a terminal through any table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from sharectl.model.access import AccessRule
from sharectl.model.canonical import canonical_json
from sharectl.model.observed import ObservedShare
from sharectl.model.records import (
    HistoryEntry,
    HistoryLine,
    Holder,
    LockStatus,
    OperationRecord,
    RuleRecord,
    RunRecord,
    Scope,
    StateView,
)
from sharectl.model.specs import ShareSpec
from sharectl.render.explain import explanation_lines
from sharectl.render.history import history_lines
from sharectl.render.pools import pools_lines, simulation_lines
from sharectl.render.resource import resource_lines, resource_object
from sharectl.render.state import lock_lines, record_lines, state_lines
from sharectl.render.text import Look
from sharectl.scheduler.decision import Decision, Outcome
from sharectl.scheduler.explanation import Explanation, FilterStage, PoolVerdict, WeightPart
from sharectl.scheduler.pools import Pool
from sharectl.scheduler.simulation import Pattern, Simulation
from sharectl.workspace.inspection import ResourceView
from tests.render.samples import a_record

if TYPE_CHECKING:
    from collections.abc import Iterable

TEXT = st.text(max_size=30) | st.sampled_from(["\x1b[2J", "a\nb", "\u202e", "\x9b31m", "\x00"])


def all_print(lines: Iterable[str]) -> bool:
    """Tell whether every line is made of characters that print."""
    return all(line.isprintable() for line in lines)


@settings(deadline=None)
@given(TEXT, TEXT)
def test_the_state_prints(name: str, other: str) -> None:
    """Lists, rows, intents, rules and history."""
    spec = canonical_json({"name": name, other: name})
    record = a_record(
        f"share/{name}", kind=other, resource_id=other, backend=name, pool=other, spec=spec, attributes=spec
    )
    rules = (
        RuleRecord(AccessRule("user", name, other), "error", other),
        RuleRecord(AccessRule(other, name, other), "active"),
    )
    intent = OperationRecord(name, other, name, other, name, other, name, other, b"{}")
    view = StateView(name, 1, {record.address: record}, (intent,))
    assert all_print(state_lines(view, {record.address: rules}))
    assert all_print(record_lines(record, rules))
    run = RunRecord(name, other, name, other, name, other, name, other, name)
    detail = canonical_json({name: other, "changes": [[name, other, None], name]})
    assert all_print(history_lines([HistoryLine(1, HistoryEntry(name, other, name, other, name, detail), run)]))
    scope = Scope(frozenset({name}), frozenset({name, other}))
    holder = Holder(name, other, 1, name, other, name)
    status = LockStatus(1, holder, other, name, expired=True, reason=other, scope=scope)
    assert all_print(lock_lines([status]))


@settings(deadline=None)
@given(TEXT, TEXT)
def test_a_resource_prints(name: str, other: str) -> None:
    """Its labels, its export locations and the commands to mount it."""
    spec = ShareSpec(name, 5, other, share_type=name, availability_zone=other, share_network=name, labels={name: other})
    seen = ObservedShare(name, other, name, other, 6, other, (), (f"{name}:/{other}", f"\\\\{name}\\{other}"), other)
    for protocol in ("NFS", "CIFS", other):
        view = ResourceView(
            f"share/{name}", replace(spec, protocol=protocol), a_record(), (), (a_record(name),), seen, 1
        )
        assert all_print(resource_lines(view))
        assert orjson.dumps(resource_object(view))


@settings(deadline=None)
@given(TEXT, TEXT)
def test_pools_and_explanations_print(name: str, other: str) -> None:
    """Whatever a driver reports."""
    facts = {"total_capacity_gb": name, "free_capacity_gb": other, "storage_protocol": [name, other], "dedupe": name}
    facts["replication_type"] = other
    assert all_print(pools_lines([Pool(name, other, name, other, capabilities=facts)], Look(width=100)))
    part = WeightPart(name, 1.0, 0.5, 0.5)
    verdicts = (
        PoolVerdict(name, other, name, weight=1.0, parts=(part,)),
        PoolVerdict(other, other, name, weight=0.0, parts=(part._replace(contribution=0.0),)),
        PoolVerdict(name, other, name, refused_by=other, reason=name, refusals=1),
    )
    for host in (name, None):
        decision = Decision(name, Outcome.SCHEDULED, host)
        explanation = Explanation(name, decision, verdicts, (FilterStage(other, 1, (name,)),), verdicts[2], ())
        assert all_print(explanation_lines(explanation, Look(width=40)))
    pattern = Pattern(2, 5, name, other, name, other)
    assert all_print(simulation_lines(Simulation(pattern, 1, 1, {name: 1}, (), explanation)))
