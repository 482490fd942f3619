"""What holds of every plan, whatever is wanted and whatever has happened: nothing is lost that is protected, and nothing is done by half."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from sharectl.model.plans import Action
from sharectl.model.specs import ShareSpec
from sharectl.model.verbs import Verb
from sharectl.planner.records import DEPOSED_MARK

if TYPE_CHECKING:
    from collections.abc import Collection

    from sharectl.model.plans import Plan, Step
    from sharectl.model.records import Record
    from tests.planner.world import World

_LOSING = {Verb.DELETE_SHARE, Verb.TRASH_SHARE, Verb.FORGET, Verb.DELETE_SNAPSHOT, Verb.REVERT_SHARE}
_REPLACING = {Action.CREATE_THEN_DELETE, Action.DELETE_THEN_CREATE}
_UNTOUCHED = ("move.", "import.")
"""Codes of refusals that leave even the row of a resource alone: it may not be the one that the manifest means."""


def hold_to_promises(world: World, plan: Plan, backends: Collection[str] = ()) -> None:
    """Hold a plan that is about to be carried out in `world` to its promises; `backends` are those that it was narrowed to."""
    formers = {step.address: step.former for step in plan.steps if step.former is not None}
    for step in plan.steps:
        record = _record(world, step, formers)
        if step.verb in _LOSING and record is not None:
            _keeps_what_is_protected(world, step, record)
        if step.verb in {Verb.EXTEND_SHARE, Verb.SHRINK_SHARE} and record is not None:
            _resizes_the_right_way(world, step, record)
        if backends:
            tried = {candidate.backend for candidate in step.candidates} | {step.backend}
            assert tried <= {*backends, None}, f"{step.step_id} goes to a backend that was left out"
    _replaces_whole(plan)
    refused = {d.address for d in plan.diagnostics if d.severity == "error"}
    assert {each.cause for each in plan.held} == refused, "a refusal holds nothing, or something is held without one"


def recorded_as_wanted(world: World, plan: Plan) -> None:
    """Check that the state says of all that is in it what the manifests say of protection and policy, once a full `plan` is done.

    Whatever else is refused: what is recorded needs no backend.
    """
    untouched = {each.address for each in plan.held if each.code.startswith(_UNTOUCHED)}
    wanted = {f"share/{name}": spec for name, spec in world.shares.items()}
    snapshots = {f"snapshot/{name}": spec for name, spec in world.snapshots.items()}
    for address, spec in {**wanted, **snapshots}.items():
        record = world.records.get(address)
        if record is None or address in untouched or not _is_there(world, record):
            continue
        assert record.protect == spec.protect, f"{address} is not protected as its manifest says"
        assert orjson.loads(record.spec).get("deletion_policy", "retain") == spec.deletion_policy, address


def done_as_wanted(world: World, plan: Plan) -> None:
    """Check that all shares of the state are what their manifests say, once nothing is left to do but what `plan` holds or warns of."""
    held = {each.address for each in plan.held}
    warned = {found.address for found in plan.diagnostics}
    for name, spec in world.shares.items():
        record = world.records.get(f"share/{name}")
        if record is None or record.address in held or not _is_there(world, record):
            continue
        assert orjson.loads(record.spec)["size_bytes"] == spec.size_bytes, (
            f"{record.address} is recorded with another size"
        )
        backend = world.backends[record.backend or ""]
        if record.address in warned or backend.error is not None or record.backend not in world.declared:
            continue
        seen = backend.shares[record.resource_id]
        assert seen.size_bytes in {None, spec.size_bytes}, f"{record.address} has another size"
        assert set(seen.access) == set(world.access[record.address]), f"{record.address} is open to others"


def _is_there(world: World, record: Record) -> bool:
    backend = world.backends[record.backend or ""]
    return record.resource_id in backend.shares or record.resource_id in backend.snapshots


def _place(address: str) -> str:
    return address.partition(DEPOSED_MARK)[0]


def _record(world: World, step: Step, formers: dict[str, str]) -> Record | None:
    """Return the row that the step begins with; earlier steps may bring it to the step's address."""
    address = step.address
    for _ in range(3):
        if address in world.records:
            return world.records[address]
        address = formers.get(address, address)
    return None


def _keeps_what_is_protected(world: World, step: Step, record: Record) -> None:
    gone = record.kind in {"share", "snapshot"} and not _is_there(world, record)
    assert gone or not record.protect, f"{step.step_id} takes away what is protected"
    policy = orjson.loads(record.spec).get("deletion_policy", "retain")
    if step.verb in {Verb.DELETE_SHARE, Verb.DELETE_SNAPSHOT}:
        assert policy == "delete", f"{step.step_id} destroys what is to be kept"
    if step.verb is Verb.TRASH_SHARE:
        assert policy == "trash"


def _resizes_the_right_way(world: World, step: Step, record: Record) -> None:
    assert isinstance(step.spec, ShareSpec)
    has_bytes = world.backends[record.backend or ""].shares[record.resource_id].size_bytes or record.size_bytes or 0
    if step.verb is Verb.SHRINK_SHARE:
        assert world.shares[step.spec.name].allow_shrink, f"{step.step_id} shrinks without leave"
        assert step.spec.size_bytes < has_bytes
    else:
        assert step.spec.size_bytes > has_bytes, f"{step.step_id} makes the share smaller"


def _replaces_whole(plan: Plan) -> None:
    halves: dict[str, set[str]] = {}
    for step in plan.steps:
        if step.address.startswith("share/") and step.action in _REPLACING and step.verb is not Verb.UPDATE_ACCESS:
            halves.setdefault(_place(step.address), set()).add("make" if step.verb is Verb.CREATE_SHARE else "remove")
        elif step.verb is Verb.FORGET and step.address.startswith("share/"):
            halves.setdefault(_place(step.address), set()).add("forget")
    for address, parts in halves.items():
        assert "make" not in parts or len(parts) > 1, f"a second {address} is made, and the first stays"
        assert "remove" not in parts or "make" in parts, f"{address} is removed, and there is no new one"
