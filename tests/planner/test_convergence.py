"""Whatever is wanted and whatever happens: a plan that was carried out leaves nothing for the next, and order never matters."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sharectl.model.diagnostics import has_errors
from sharectl.model.quantities import GIB
from sharectl.model.specs import RevertRequest
from sharectl.model.verbs import Verb
from tests.planner.model import carry_out
from tests.planner.promises import done_as_wanted, hold_to_promises, recorded_as_wanted
from tests.planner.world import World, codes, rule, step_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.model.specs import ShareSpec

FREE = {"allow_deletions": 99, "allow_recreations": 99, "allow_revocations": 99, "allow_empty": True}
NAMES = st.sampled_from(("a", "b", "c", "d"))
SNAPSHOTS = st.sampled_from(("s", "t", "u"))
BACKENDS = st.sampled_from(("x", "y", "t"))
RULES = st.lists(st.sampled_from(("ip:10.0.0.1=rw", "ip:10.0.0.1=ro", "ip:10.0.0.2=rw")), unique_by=lambda r: r[:11])
POLICIES = st.sampled_from(("retain", "delete", "trash"))

Draw = st.DataObject


def _wants(world: World, data: Draw) -> None:
    name = data.draw(NAMES)
    sources = [None, *world.snapshots]
    own = [snapshot.name for snapshot in world.snapshots.values() if snapshot.share == name]
    reverts = st.builds(RevertRequest, st.sampled_from(own), st.sampled_from(("1", "2"))) if own else st.none()
    world.wants(
        name,
        data.draw(st.sampled_from(("1GiB", "2GiB", "3GiB"))),
        access=data.draw(RULES),
        protocol=data.draw(st.sampled_from(("NFS", "NFS", "CIFS"))),
        deletion_policy=data.draw(POLICIES),
        replacement=data.draw(st.sampled_from(("refuse", "createFirst", "deleteFirst"))),
        allow_shrink=data.draw(st.booleans()),
        protect=data.draw(st.sampled_from((False, False, False, True))),
        source_snapshot=data.draw(st.sampled_from(sources)),
        revert_to=data.draw(st.none() | reverts),
        labels=data.draw(st.sampled_from(({}, {"team": "red"}))),
        only_host=data.draw(st.sampled_from((None, None, "x#p1", "y#p2"))),
        share_network=data.draw(st.sampled_from((None, None, "red", "blue"))),
    )


def _wants_snapshot(world: World, data: Draw) -> None:
    if world.shares:
        name = data.draw(SNAPSHOTS)
        world.wants_snapshot(
            name,
            data.draw(st.sampled_from(sorted(world.shares))),
            deletion_policy=data.draw(st.sampled_from(("retain", "delete"))),
            protect=data.draw(st.sampled_from((False, False, True))),
        )


def _drops(world: World, data: Draw) -> None:
    wanted = [f"share/{name}" for name in world.shares] + [f"snapshot/{name}" for name in world.snapshots]
    if wanted:
        world.drops(data.draw(st.sampled_from(sorted(wanted))))


def _renames(world: World, data: Draw) -> None:
    kind = data.draw(st.sampled_from(("share", "snapshot")))
    names = world.shares if kind == "share" else world.snapshots
    new = data.draw(NAMES if kind == "share" else SNAPSHOTS)
    if names and new not in names:
        world.renames(f"{kind}/{data.draw(st.sampled_from(sorted(names)))}", f"{kind}/{new}")


def _forgets_moves(world: World, data: Draw) -> None:
    world.moves.clear()


def _cuts_short(world: World, data: Draw) -> None:
    asking = [
        address
        for address, record in world.records.items()
        if record.kind == "share" and address in world.access and world.shares[address[6:]].revert_to is not None
    ]
    if asking:
        world.cuts_short(data.draw(st.sampled_from(sorted(asking))))


def _by_hand(world: World, data: Draw) -> None:
    shares = [
        a
        for a, r in world.records.items()
        if r.kind == "share" and r.resource_id in world.backends[r.backend or ""].shares
    ]
    if not shares:
        return
    address = data.draw(st.sampled_from(sorted(shares)))
    change = data.draw(
        st.sampled_from(
            (
                {"size_bytes": 2 * GIB},
                {"size_bytes": None},
                {"access": (rule("ip:10.0.0.9=rw"),)},
                {"access": ()},
                {"pool": "p2"},
                {"export_locations": ("elsewhere:/x",)},
                {"trashed_at": "2026-01-01T00:00:00Z", "access": ()},
            )
        )
    )
    world.by_hand(address, **change)


def _vanishes(world: World, data: Draw) -> None:
    there = [a for a, record in world.records.items() if record.kind in {"share", "snapshot"}]
    if there:
        address = data.draw(st.sampled_from(sorted(there)))
        record = world.records[address]
        backend = world.backends[record.backend or ""]
        if record.resource_id in backend.shares:
            backend_id = backend.shares[record.resource_id].backend_id
            backend.snapshots = {i: s for i, s in backend.snapshots.items() if s.share_backend_id != backend_id}
        world.vanishes(address)


def _retires(world: World, data: Draw) -> None:
    """Take away the manifest of a backend, or put it back; what is on it cannot be reached meanwhile."""
    name = data.draw(st.sampled_from(("x", "y")))
    world.declared ^= {name}


def _silences(world: World, data: Draw) -> None:
    backend = world.backends[data.draw(BACKENDS)]
    backend.error = None if backend.error else "no route to host"


def _changes_networks(world: World, data: Draw) -> None:
    services = data.draw(st.sampled_from(([], ["ad"])))
    excluded = data.draw(st.sampled_from(([], ["10.0.0.9"])))
    world.has_network(data.draw(st.sampled_from(("red", "blue"))), services=services, excluded=excluded)
    world.backends["t"].address_count = data.draw(st.sampled_from((1, 1, 2)))


def _meddles_with_servers(world: World, data: Draw) -> None:
    there = [
        address
        for address, record in world.records.items()
        if record.kind == "share_server" and record.resource_id in world.backends["t"].servers
    ]
    kind = data.draw(st.sampled_from(("breaks", "vanishes", "loses", "leaks", "network")))
    if kind == "leaks":
        world.leaks("t", "ghost")
    elif kind == "network":
        world.backends["t"].network_error = data.draw(st.sampled_from((None, "connection refused")))
    elif there:
        address = data.draw(st.sampled_from(sorted(there)))
        if kind == "breaks":
            world.breaks_server(address)
        elif kind == "vanishes":
            world.vanishes(address)
        elif f"{world.records[address].resource_id}/0" in world.backends["t"].allocations:
            world.loses_allocation(address)


def _holds_strangers(world: World, data: Draw) -> None:
    """Let storage appear that the state does not know: somebody's own, or another state's."""
    backend, name = data.draw(BACKENDS), data.draw(st.sampled_from(("a", "b", "C", "other")))
    if data.draw(st.booleans()):
        world.holds_foreign(backend, name, data.draw(st.sampled_from(("p1", "p2"))))
    elif all(share.backend_id != name for share in world.backends[backend].unmanaged):
        world.holds_unmanaged(backend, name)


CHANGES: tuple[Callable[[World, Draw], None], ...] = (
    _wants,
    _wants,
    _wants_snapshot,
    _drops,
    _renames,
    _forgets_moves,
    _cuts_short,
    _by_hand,
    _vanishes,
    _retires,
    _silences,
    _changes_networks,
    _meddles_with_servers,
    _holds_strangers,
)


def _hears_of_losses(world: World) -> None:
    """Let the backends speak on which something is gone: apply would fail there, which is for the engine's tests."""
    for record in world.records.values():
        backend = world.backends[record.backend or ""]
        there = {**backend.shares, **backend.snapshots, **backend.servers}
        if (record.kind != "backend" and record.resource_id not in there) or (
            record.kind == "share_server" and not backend.servers[record.resource_id].healthy
        ):
            backend.error = None


def _is_valid(world: World) -> bool:
    """Tell whether the manifests would pass validation: nothing dangles, nothing is in a circle."""
    if any(snapshot.share not in world.shares for snapshot in world.snapshots.values()):
        return False
    for share in world.shares.values():
        revert_to = share.revert_to
        if revert_to is not None and (
            revert_to.snapshot not in world.snapshots or world.snapshots[revert_to.snapshot].share != share.name
        ):
            return False
        seen: set[str] = set()
        current: ShareSpec | None = share
        while current is not None and current.source_snapshot is not None:
            if current.name in seen or current.source_snapshot not in world.snapshots:
                return False
            seen.add(current.name)
            current = world.shares[world.snapshots[current.source_snapshot].share]
    wanted = {f"share/{name}" for name in world.shares} | {f"snapshot/{name}" for name in world.snapshots}
    return not any(former in wanted for formers in world.moves.values() for former in formers)


def _drawn_options(world: World, data: Draw) -> dict[str, object]:
    words: dict[str, object] = dict(FREE)
    kinds = data.draw(
        st.sets(st.sampled_from(("replace", "target", "exclude", "backend", "label", "destroy")), max_size=2)
    )
    shares = [f"share/{name}" for name in sorted(world.shares)]
    known = [*shares, *(f"snapshot/{name}" for name in sorted(world.snapshots))]
    if "replace" in kinds and shares:
        words["replaces"] = [data.draw(st.sampled_from(shares))]
    for kind in sorted(kinds & {"target", "exclude"}) if known else ():
        words[f"{kind}s"] = [data.draw(st.sampled_from(known))]
    if "backend" in kinds:
        words["backends"] = [data.draw(st.sampled_from(sorted(world.declared)))]
    if "label" in kinds:
        words["labels"] = {"team": "red"}
    if "destroy" in kinds:
        words["destroy"] = True
    return words


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_the_plan_after_an_apply_is_empty_also_after_a_crash_in_the_middle(data: Draw) -> None:
    """Manifests change, backends are meddled with, runs are cut short anywhere: the next full plan finishes, and then all is still."""
    world = World("x", "y").has_tenants("t", max_share_servers=data.draw(st.sampled_from((None, 1))))
    world.has_service("ad").has_network("red").has_network("blue")
    for _ in range(data.draw(st.integers(1, 8))):
        before = copy.deepcopy(world)
        for _ in range(data.draw(st.integers(1, 4))):
            data.draw(st.sampled_from(CHANGES))(world, data)
        if not _is_valid(world):
            world = before
            continue
        _hears_of_losses(world)
        words = _drawn_options(world, data)
        first = world.plan(**words)
        if first.is_stopped:
            world = before
            continue
        hold_to_promises(world, first, words.get("backends", ()))  # type: ignore[arg-type]
        carry_out(world, first, steps=data.draw(st.integers(0, len(first.steps))) if data.draw(st.booleans()) else None)
        trial = copy.deepcopy(world)
        second = trial.plan(**FREE)
        if any(found.code in {"backend.foreign", "backend.unseen", "move.unknown"} for found in second.diagnostics):
            continue
        assert not second.is_stopped, codes(second)
        hold_to_promises(trial, second)
        carry_out(trial, second)
        recorded_as_wanted(trial, second)
        third = trial.plan(**FREE)
        waiting = len(second.held) + sum(found.code == "share.held" for found in second.diagnostics)
        for _ in range(0 if third.is_stopped else waiting):  # what waited for other changes can be done after them
            hold_to_promises(trial, third)
            carry_out(trial, third)
            third = trial.plan(**FREE)
        assert step_lines(third) == []
        assert bool(third.held) == has_errors(third.diagnostics)
        done_as_wanted(trial, third)
        if data.draw(st.booleans()):
            world = trial


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_lost_state_makes_nothing_whatever_is_asked_for(data: Draw) -> None:
    """With shares of it on any backend that answers, or with a backend that does not answer, no plan makes a share."""
    world = World("x", "y").has_tenants("t")
    world.has_network("red").has_network("blue")
    for _ in range(data.draw(st.integers(1, 6))):
        _wants(world, data)
    if not _is_valid(world):
        return
    first = world.plan(**FREE)
    if first.is_stopped:
        return
    carry_out(world, first)
    for _ in range(data.draw(st.integers(0, 2))):
        data.draw(st.sampled_from((_silences, _by_hand, _holds_strangers)))(world, data)
    answering = [backend for backend in world.backends.values() if backend.error is None]
    world.loses_state()
    plan = world.plan(**_drawn_options(world, data))
    if any(backend.shares for backend in answering) or len(answering) < len(world.backends):
        assert plan.is_stopped or not [step for step in plan.steps if step.verb is Verb.CREATE_SHARE]
    if any(backend.shares for backend in answering):
        assert "backend.foreign" in {found.code for found in plan.diagnostics}
