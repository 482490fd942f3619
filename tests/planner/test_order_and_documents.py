"""A plan is the same whatever the order of its inputs, and the same after it was written and read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharectl.model.backends import CapacityPolicy, NetworkPluginSpec
from sharectl.model.diagnostics import DiagnosticError, Source, error
from sharectl.plan import plan
from sharectl.planner.exports import NO_EXPORTS
from sharectl.planner.observed import find_deviations
from sharectl.planner.options import PlanOptions
from sharectl.planner.saved.document import PlanDocumentError, plan_from_document, plan_to_document
from sharectl.planner.selection import addresses_with_rules, compare
from sharectl.workspace.planfile import read_plan_file, write_plan_file
from tests.desired import desired_of
from tests.planner.model import settle
from tests.planner.world import World, change_lines, codes, rule, step_lines

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from sharectl.model.plans import Plan


def _busy_world() -> World:
    """Return a world in which a bit of everything is due, refusals too."""
    world = World("x", "y")
    for name in "abcdefgh":
        world.wants(name, access=["ip:10.0.0.1", "ip:10.0.0.2=ro"], deletion_policy="delete", labels={"n": name})
    for name, of in (("s", "a"), ("t", "a"), ("u", "b"), ("v", "c")):
        world.wants_snapshot(name, of)
    world.wants("clone", source_snapshot="v")
    settle(world)
    world.wants("c", "2GiB", access=["ip:10.0.0.3"])
    world.wants("d", protocol="CIFS", replacement="createFirst")
    world.wants("e", protocol="CIFS")
    world.drops("share/f", "share/a", "snapshot/s", "snapshot/t").renames("share/g", "share/z").vanishes("share/h")
    world.by_hand("share/b", access=(rule("ip:10.0.0.9"),), pool="p9")
    for number in range(5):
        world.wants(f"n{number}", "1GiB" if number % 2 else "9000GiB").holds_unmanaged("y", f"vol{number}")
    world.wants("i").leaves_open("share/q", "share/p")
    return world


def _shuffled(items: Any, chance: random.Random) -> dict[Any, Any]:  # noqa: ANN401 - any mapping
    pairs = list(items.items())
    chance.shuffle(pairs)
    return dict(pairs)


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_plan_does_not_depend_on_the_order_of_anything(chance: random.Random) -> None:
    """Manifests, rows, listings, pools, intents and options in any order give one and the same plan."""
    world = _busy_world()
    options = world.options(imports={"share/i": "y:vol3"})
    expected = plan(world.desired(), world.view(), world.observed(), world.pools(), options)
    for name in ("shares", "access", "snapshots", "backends", "moves", "records", "rules"):
        setattr(world, name, _shuffled(getattr(world, name), chance))
    for address, rules in world.access.items():
        world.access[address] = chance.sample(rules, len(rules))
    for backend in world.backends.values():
        backend.shares, backend.snapshots = _shuffled(backend.shares, chance), _shuffled(backend.snapshots, chance)
        chance.shuffle(backend.unmanaged)
    world.operations = tuple(chance.sample(world.operations, len(world.operations)))
    pools = world.pools()
    chance.shuffle(pools)
    found = plan(world.desired(), world.view(), _shuffled(world.observed(), chance), pools, options)
    assert found == expected
    assert orjson.dumps(plan_to_document(found)) == orjson.dumps(plan_to_document(expected))


def test_the_busy_world_is_busy() -> None:
    """What the order is tried on holds many verbs and refusals."""
    result = _busy_world().plan(imports={"share/i": "y:vol3"})
    assert len({step.verb for step in result.steps}) >= 7
    assert {"share.immutable share/e", "scheduler.no-valid-host share/n0", "share.kept-snapshots share/a"} <= set(
        codes(result)
    )


def test_deviations_that_were_found_before_may_be_handed_in() -> None:
    """A caller that needs them to read the access rules does not pay twice."""
    world = _busy_world()
    deviations = find_deviations(world.view(), world.observed())
    again = plan(world.desired(), world.view(), world.observed(), world.pools(), world.options(), deviations=deviations)
    assert again == world.plan()


def test_the_rules_that_a_plan_wants_to_see_are_those_of_shares_that_are_not_as_they_should_be() -> None:
    """Shares whose access changes or that may be replaced, renamed and drifted ones; not those that keep their access, and not snapshots."""
    world = World().wants("a").wants("b").wants("c").wants("d").wants("f").wants("g").wants_snapshot("s", "d")
    settle(world)
    world.wants("a", access=["ip:10.0.0.1"]).renames("share/b", "share/e").by_hand("share/c", pool="p2")
    world.wants("f", "2GiB").wants("g", labels={"team": "a"}, replacement="createFirst").vanishes("snapshot/s")
    deviations = find_deviations(world.view(), world.observed())
    desired, view = world.desired(), world.view()
    found = addresses_with_rules(desired, view, compare(desired, view.records), deviations, PlanOptions(), NO_EXPORTS)
    assert found == {"share/a", "share/b", "share/c", "share/g"}


def test_a_plan_is_equal_after_it_was_written_and_read(tmp_path: Path) -> None:
    """Steps, drift, diagnostics with their sources, backends with all their settings, and extra specs."""
    world = _busy_world()
    world.has_type("gold", snapshot_support="<is> True").wants("g2", share_type="gold")
    world.has_backend(
        "x",
        capacity=CapacityPolicy(reserved_percentage=5),
        network=NetworkPluginSpec("standalone", {"gateway": "10.0.0.1"}),
        labels={"site": "a"},
    )
    made = world.plan(imports={"share/i": "y:vol3"})
    source = Source("shares.yaml", 3, 7, 1, "  size: 1GiB")
    made = replace(
        made, diagnostics=(*made.diagnostics, error("x.y", "sum", detail="why", remedy="how", source=source))
    )
    path = tmp_path / "plan.json"
    write_plan_file(path, made)
    assert read_plan_file(path) == made
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["plan.json"]


def test_a_plan_carries_what_it_runs_on() -> None:
    """The backends of all candidates and the extra specs of new shares, and no others."""
    world = World("x", "y", "z").has_type("gold", snapshot_support="<is> True").has_type("iron")
    settle(world)
    result = world.wants("a", share_type="gold", only_host="x#p1").plan()
    assert sorted(result.backends) == ["x"]
    assert result.extra_specs == {"gold": {"snapshot_support": "<is> True"}}


TAMPERED = {
    "another format": lambda plan: {**plan, "format": "else"},
    "another version": lambda plan: {**plan, "version": 99},
    "a step without an address": lambda plan: {**plan, "steps": [{"id": "x"}]},
    "an unknown verb": lambda plan: {**plan, "steps": [{"id": "x", "address": "a", "verb": "jump"}]},
    "steps that are no list": lambda plan: {**plan, "steps": 5},
    "a step that is no object": lambda plan: {**plan, "steps": ["x"]},
    "a summary of another shape": lambda plan: {**plan, "summary": {"all": 1}},
    "a list": lambda plan: [plan],
}


@pytest.mark.parametrize("change", TAMPERED.values(), ids=TAMPERED.keys())
def test_a_document_of_another_shape_is_refused(change: Any) -> None:  # noqa: ANN401 - a function
    """No traceback, and no half of a plan."""
    document = orjson.loads(orjson.dumps(plan_to_document(_busy_world().plan())))
    with pytest.raises(PlanDocumentError):
        plan_from_document(change(document))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_saved_plan_that_was_cut_or_changed_anywhere_is_refused(data: st.DataObject) -> None:
    """Whichever byte: a diagnostic that says what to do, or the very same plan where the change means nothing."""
    import tempfile  # noqa: PLC0415 - hypothesis and tmp_path do not mix
    from pathlib import Path  # noqa: PLC0415 - the annotation's import is for types alone

    made = settle(World().wants("a", access=["ip:10.0.0.1"]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan"
        write_plan_file(path, made)
        whole = path.read_bytes()
        place = data.draw(st.integers(0, len(whole) - 2))
        cut = data.draw(st.booleans())
        path.write_bytes(
            whole[:place] if cut else whole[:place] + data.draw(st.binary(min_size=1, max_size=1)) + whole[place + 1 :]
        )
        assert _read_or_refused(path) in (made, "plan.not-a-plan")


def _read_or_refused(path: Path) -> Plan | str:
    """Return the plan, or the code of the diagnostic that refuses it."""
    try:
        return read_plan_file(path)
    except DiagnosticError as problem:
        return problem.diagnostics[0].code


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"null", b"\xff\x00", b'{"checksum":1,"plan":{}}', b"5"], ids=repr
)
def test_what_is_no_plan_is_refused(tmp_path: Path, content: bytes) -> None:
    """Any other file."""
    path = tmp_path / "plan"
    path.write_bytes(content)
    with pytest.raises(DiagnosticError, match="cannot be applied"):
        read_plan_file(path)


def test_a_plan_of_another_version_says_so(tmp_path: Path) -> None:
    """A newer sharectl may have written it."""
    import hashlib  # noqa: PLC0415 - only this test signs

    body = orjson.dumps({"format": "sharectl-plan", "version": 2})
    path = tmp_path / "plan"
    path.write_bytes(
        b'{"checksum":"' + hashlib.blake2b(body, digest_size=16).hexdigest().encode() + b'","plan":' + body + b"}"
    )
    with pytest.raises(DiagnosticError, match="its version is 2, and this sharectl reads 1"):
        read_plan_file(path)


def test_a_missing_plan_and_a_missing_folder_are_said(tmp_path: Path) -> None:
    """Reading and writing name the file and the reason."""
    made = World().plan()
    with pytest.raises(DiagnosticError, match="No such file"):
        read_plan_file(tmp_path / "none")
    with pytest.raises(DiagnosticError, match="No such file"):
        write_plan_file(tmp_path / "none" / "plan", made)


def test_a_plan_that_cannot_take_its_place_leaves_nothing_behind(tmp_path: Path) -> None:
    """The target is a folder: it stays, and so does no temporary file."""
    (tmp_path / "plan").mkdir()
    with pytest.raises(DiagnosticError, match="directory"):
        write_plan_file(tmp_path / "plan", World().plan())
    assert [file.name for file in tmp_path.iterdir()] == ["plan"]


def test_the_default_options_plan_everything() -> None:
    """An empty world, with neither options nor settings."""
    result = plan(desired_of(), World().view(), {}, ())
    assert result.is_empty
    assert (step_lines(result), change_lines(result), codes(result)) == ([], [], [])


def test_the_summary_counts_resources_by_their_strongest_action_and_rules_apart() -> None:
    """A replacement counts once, its old share aside not at all."""
    world = World().wants("a", access=["ip:10.0.0.1", "ip:10.0.0.2"]).wants("b").wants("c").wants("d")
    settle(world)
    world.wants("a", "2GiB", access=["ip:10.0.0.2=ro", "ip:10.0.0.3"]).renames("share/b", "share/e").drops("share/c")
    summary = world.plan(replaces=["share/d"]).summary
    assert summary.by_action == {"create-then-delete": 1, "forget": 2, "move": 1, "update": 1}
    assert summary.rules_by_action == {"create": 1, "delete": 1, "update": 1}
    assert summary.unchanged == 0
