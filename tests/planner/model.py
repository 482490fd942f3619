"""A model of apply, without threads, drivers or failures: it carries a plan out in a World, one step after the other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sharectl.manifests.names import safe_name
from sharectl.model.observed import ObservedShare, ObservedShareServer, ObservedSnapshot
from sharectl.model.plans import Action, Adopt, ScheduleSnapshots, UpdateAccess
from sharectl.model.records import RuleRecord
from sharectl.model.share_networks import ShareServerSpec
from sharectl.model.specs import ShareSpec, SnapshotSpec
from sharectl.model.verbs import Verb
from sharectl.planner.records import (
    backend_record,
    recorded_revert,
    share_record,
    share_server_record,
    snapshot_record,
    with_access,
    with_policy,
    with_spec,
)
from sharectl.planner.share_servers.changes import allocation_ids
from sharectl.state.rows import allocations_of, attributes_of, server_spec_of, share_spec_of, snapshot_spec_of
from tests.planner.world import allocation

if TYPE_CHECKING:
    from sharectl.model.plans import Plan, Step
    from sharectl.model.records import Record
    from tests.planner.world import Backend, World


def carry_out(world: World, plan: Plan, *, steps: int | None = None) -> None:
    """Do the first `steps` steps of the plan (all, unless told), holding it to its own promises."""
    assert not plan.is_stopped, plan.diagnostics
    done: set[str] = set()
    _check_versions(world, plan)
    ids = {step.step_id for step in plan.steps}
    assert len(ids) == len(plan.steps), "a step id is used twice"
    for step in plan.steps[:steps]:
        assert done.issuperset(step.waits_for), f"{step.step_id} comes before what it waits for"
        assert ids.issuperset(step.waits_for), f"{step.step_id} waits for what is not in the plan"
        if step.backend is not None:
            assert step.backend in plan.backends, "the plan does not carry the backend"
        _PERFORM[step.verb](world, step)
        done.add(step.step_id)


def settle(world: World, **words: object) -> Plan:
    """Plan, carry the plan out, and return it."""
    plan = world.plan(**words)
    carry_out(world, plan)
    return plan


def _check_versions(world: World, plan: Plan) -> None:
    """Hold the first step on each row to the version that it expects, as apply does before it begins."""
    rows: set[str] = set()
    for step in plan.steps:
        row = step.former or step.address
        if row not in rows:
            record = world.records.get(row)
            assert step.expected_version == (None if record is None else record.version), f"{step.step_id} is stale"
        rows.add(row)


def _put(world: World, record: Record) -> None:
    known = world.records.get(record.address)
    world.records[record.address] = record._replace(version=1 if known is None else known.version + 1)


def _backend(world: World, record: Record) -> Backend:
    return world.backends[record.backend or ""]


def _share(step: Step) -> ShareSpec:
    assert isinstance(step.spec, ShareSpec)
    return step.spec


def _prepare(world: World, step: Step) -> None:
    backend = world.backends[step.backend or ""]
    backend.identity = backend.identity or f"id-of-{step.backend}"
    _put(world, backend_record(step.address, backend.identity, backend.spec.driver))


def _create_share(world: World, step: Step) -> None:
    spec, place, record = _share(step), step.candidates[0], world.records.get(step.address)
    assert f"backend/{place.backend}" in world.records, "the backend was never prepared"
    if spec.source_snapshot is not None:
        source = world.records[f"snapshot/{spec.source_snapshot}"]
        assert source.backend == place.backend
        assert source.resource_id in _backend(world, source).snapshots, "there is nothing to clone"
    world.ids["share"] += 1
    resource_id = record.resource_id if record is not None else f"{world.ids['share']:08d}-share"
    _expect_no_twin(world, step, spec.name)
    name = f"{spec.name}-{resource_id[:8]}"
    host, server_id = place.backend, None
    assert (place.share_server is not None) == (spec.share_network is not None), (
        "a share is on the wrong kind of server"
    )
    assert world.backends[place.backend].spec.share_servers == (place.share_server is not None)
    if place.share_server is not None:
        server = world.records[place.share_server]
        assert server.backend == place.backend
        assert server_spec_of(server).share_network == spec.share_network, "the server is on another network"
        server_id, seen = server.resource_id, _backend(world, server).servers[server.resource_id]
        assert seen.healthy, "the share server does not answer"
        host = seen.ip_addresses[0]
    observed = ObservedShare(
        resource_id,
        name,
        spec.name,
        place.pool,
        spec.size_bytes,
        str(spec.protocol),
        (),
        (f"{host}:/{name}",),
        share_server_id=server_id,
        export_name=spec.export_name or spec.name,
    )
    shares = world.backends[place.backend].shares
    assert resource_id not in shares, "a share is made twice"
    shares[resource_id] = observed
    world.rules[step.address] = ()
    _put(world, share_record(step.address, resource_id, place.backend, spec, observed, ()))


def _expect_no_twin(world: World, step: Step, name: str) -> None:
    """Hold a new share to the promise that no storage of its name, which the state does not know, was listed anywhere.

    A replacement may be made beside what earlier ones have left there.
    """
    known = {record.resource_id for record in world.records.values()}
    replaces = step.action in {Action.CREATE_THEN_DELETE, Action.DELETE_THEN_CREATE}
    for backend in (world.backends[declared] for declared in world.declared):
        managed = [] if replaces else [s for i, s in backend.shares.items() if i not in known and s.trashed_at is None]
        twins = [s.backend_id for s in (*managed, *backend.unmanaged) if safe_name(s.name) == name]
        assert backend.error is not None or not twins, f"{step.address} is made beside {twins}"


def _resize(world: World, step: Step) -> None:
    record, size_bytes = world.records[step.address], _share(step).size_bytes
    world.by_hand(step.address, size_bytes=size_bytes)
    spec = replace(share_spec_of(record), size_bytes=size_bytes)
    _put(world, with_spec(record, spec)._replace(size_bytes=size_bytes))


def _revert_share(world: World, step: Step) -> None:
    record, wanted = world.records[step.address], _share(step).revert_to
    assert wanted is not None
    source = world.records[f"snapshot/{wanted.snapshot}"]
    snapshot = _backend(world, source).snapshots[source.resource_id]
    assert (source.backend, snapshot.share_backend_id) == (record.backend, _backend_id(record)), (
        "it is of another share"
    )
    known = share_spec_of(record)
    assert known.revert_to is None or known.revert_to.request != wanted.request, "a request is answered twice"
    _put(world, with_spec(record, replace(known, revert_to=wanted)))


def _update_access(world: World, step: Step) -> None:
    assert isinstance(step.work, UpdateAccess)
    rules = step.work.rules
    world.by_hand(step.address, access=rules)
    world.rules[step.address] = tuple(RuleRecord(rule, "active") for rule in rules)
    record = world.records[step.address]
    if step.work.spec is not None:
        named, protocol = step.work.spec.export_name, str(step.work.spec.protocol)
        world.by_hand(step.address, export_name=named or step.work.spec.name, protocol=protocol)
        record = with_spec(record, replace(share_spec_of(record), export_name=named, protocol=protocol))
    _put(world, with_access(record, rules))


def _schedule(world: World, step: Step) -> None:
    assert isinstance(step.work, ScheduleSnapshots)
    world.by_hand(step.address, snapshot_policy=step.work.policy)
    record = world.records[step.address]
    if step.work.spec is not None:
        record = with_spec(record, replace(share_spec_of(record), snapshot_policy=step.work.spec.snapshot_policy))
    _put(world, with_policy(record, step.work.policy))


def _update_record(world: World, step: Step) -> None:
    record = world.records[step.address]
    if isinstance(step.spec, SnapshotSpec):
        _put(world, with_spec(record, step.spec))
        return
    if isinstance(step.spec, ShareServerSpec):
        _put(world, with_spec(record, step.spec))
        return
    recorded = share_spec_of(record).revert_to
    spec = replace(_share(step), revert_to=recorded_revert(_share(step).revert_to, recorded))
    if step.backend is None:
        _put(world, with_spec(record, spec))
        return
    seen = world.observed_share(step.address)
    world.rules[step.address] = tuple(RuleRecord(rule, "active") for rule in seen.access)
    _put(world, share_record(step.address, record.resource_id, step.backend, spec, seen, seen.access))


def _delete_share(world: World, step: Step) -> None:
    record = world.records.pop(step.address)
    world.rules.pop(step.address, None)
    backend = _backend(world, record)
    known = {other.resource_id for other in world.records.values()}
    mine = {i: s for i, s in backend.snapshots.items() if s.share_backend_id == _backend_id(record)}
    left = known.intersection(mine)
    assert not left, "a share is deleted before its snapshots"
    backend.shares.pop(record.resource_id, None)
    for forgotten in mine:
        del backend.snapshots[forgotten]


def _trash_share(world: World, step: Step) -> None:
    world.by_hand(step.address, trashed_at="2026-01-01T00:00:00Z", access=())
    del world.records[step.address]
    world.rules.pop(step.address, None)


def _backend_id(record: Record) -> str:
    return str(attributes_of(record)["backend_id"])


def _create_snapshot(world: World, step: Step) -> None:
    assert isinstance(step.spec, SnapshotSpec)
    owner, record = world.records[f"share/{step.spec.share}"], world.records.get(step.address)
    assert owner.resource_id in _backend(world, owner).shares, "there is nothing to take a snapshot of"
    world.ids["snapshot"] += 1
    resource_id = record.resource_id if record is not None else f"{world.ids['snapshot']:08d}-snapshot"
    observed = ObservedSnapshot(resource_id, resource_id, step.spec.name, _backend_id(owner), owner.size_bytes)
    _backend(world, owner).snapshots[resource_id] = observed
    _put(world, snapshot_record(step.address, resource_id, step.spec, observed, owner))


def _delete_snapshot(world: World, step: Step) -> None:
    record = world.records.pop(step.address)
    _backend(world, record).snapshots.pop(record.resource_id, None)


def _take_over(world: World, step: Step) -> None:
    assert isinstance(step.work, Adopt)
    backend = world.backends[step.backend or ""]
    assert f"backend/{step.backend}" in world.records, "the backend was never prepared"
    world.ids["share"] += 1
    resource_id = step.work.resource_id or f"{world.ids['share']:08d}-share"
    known = [*backend.unmanaged, *backend.shares.values()]
    found = next(s for s in known if s.backend_id == step.work.backend_id)
    backend.unmanaged = [s for s in backend.unmanaged if s is not found]
    size_bytes = found.size_bytes or _share(step).size_bytes
    seen = found._replace(resource_id=resource_id, trashed_at=None, size_bytes=size_bytes)
    backend.shares[resource_id] = seen
    spec = replace(_share(step), size_bytes=size_bytes)
    world.rules[step.address] = tuple(RuleRecord(rule, "active") for rule in seen.access)
    _put(world, share_record(step.address, resource_id, backend.spec.name, spec, seen, seen.access))


def _forget(world: World, step: Step) -> None:
    if step.backend is not None:
        shares = world.backends[step.backend].shares
        resource_id = world.records[step.address].resource_id
        shares[resource_id] = shares[resource_id]._replace(access=())
    del world.records[step.address]
    world.rules.pop(step.address, None)


def _move(world: World, step: Step) -> None:
    assert step.address not in world.records, "the address is taken"
    record = world.records.pop(step.former or "")._replace(address=step.address)
    if step.address.startswith("share/"):
        world.rules[step.address] = world.rules.pop(step.former or "", ())
    world.records[step.address] = record._replace(version=record.version + 1)
    if isinstance(step.spec, ShareSpec):
        old = share_spec_of(record)
        _put(world, with_spec(world.records[step.address], replace(old, name=step.spec.name)))
    elif isinstance(step.spec, SnapshotSpec):
        snapshot = snapshot_spec_of(record)
        _put(world, with_spec(world.records[step.address], replace(snapshot, name=step.spec.name)))


def _make_server(world: World, step: Step) -> None:
    """Make a share server, make it well, or update it; its shares answer on its first address."""
    assert isinstance(step.spec, ShareServerSpec)
    record, backend = world.records.get(step.address), world.backends[step.backend or ""]
    assert f"backend/{step.backend}" in world.records, "the backend was never prepared"
    if step.verb is Verb.CREATE_SHARE_SERVER:
        assert record is None, "a share server is made twice"
        known = [*backend.servers, *backend.unmanaged_servers]
        limits = [n for n in (backend.most_servers, backend.spec.max_share_servers) if n is not None]
        assert not limits or len(known) < min(limits), "there are more share servers than there may be"
    world.ids["server"] += 1
    server_id = f"{world.ids['server']:08d}-server" if record is None else record.resource_id
    allocations = []
    for allocation_id in allocation_ids(server_id, step.spec.address_count):
        held = backend.allocations.get(allocation_id)
        if held is None:
            world.ids["address"] += 1
            held = allocation(
                allocation_id, server_id, f"10.{world.ids['address'] // 250}.1.{world.ids['address'] % 250}"
            )
        allocations.append(held)
        backend.allocations[allocation_id] = held
    addresses = tuple(sorted(held.ip_address for held in allocations))
    seen = ObservedShareServer(server_id, f"vserver-{server_id}", step.spec.name, addresses)
    backend.servers[server_id] = seen
    former = set() if record is None else {held.ip_address for held in allocations_of(record)}
    for share_id, share in backend.shares.items():
        if share.share_server_id == server_id and share.trashed_at is None:
            host, _, path = share.export_locations[0].partition(":")
            location = f"{addresses[0]}:{path}" if host in former else share.export_locations[0]
            backend.shares[share_id] = share._replace(export_locations=(location,))
    _put(world, share_server_record(step.address, server_id, step.backend or "", step.spec, seen, allocations))


def _delete_server(world: World, step: Step) -> None:
    record = world.records.pop(step.address)
    backend = _backend(world, record)
    there = [*backend.shares.values(), *backend.unmanaged]
    assert not [share for share in there if share.share_server_id == record.resource_id], "shares are on the server"
    backend.servers.pop(record.resource_id, None)
    for held in allocations_of(record):
        backend.allocations.pop(held.allocation_id, None)


def _release(world: World, step: Step) -> None:
    del world.backends[step.backend or ""].allocations[step.address.partition("/")[2]]


_PERFORM = {
    Verb.CREATE_SHARE_SERVER: _make_server,
    Verb.REPAIR_SHARE_SERVER: _make_server,
    Verb.UPDATE_SHARE_SERVER: _make_server,
    Verb.DELETE_SHARE_SERVER: _delete_server,
    Verb.RELEASE_ALLOCATION: _release,
    Verb.PREPARE_BACKEND: _prepare,
    Verb.CREATE_SHARE: _create_share,
    Verb.EXTEND_SHARE: _resize,
    Verb.SHRINK_SHARE: _resize,
    Verb.REVERT_SHARE: _revert_share,
    Verb.UPDATE_ACCESS: _update_access,
    Verb.SCHEDULE_SNAPSHOTS: _schedule,
    Verb.UPDATE_RECORD: _update_record,
    Verb.DELETE_SHARE: _delete_share,
    Verb.TRASH_SHARE: _trash_share,
    Verb.CREATE_SNAPSHOT: _create_snapshot,
    Verb.DELETE_SNAPSHOT: _delete_snapshot,
    Verb.ADOPT: _take_over,
    Verb.RESTORE_SHARE: _take_over,
    Verb.FORGET: _forget,
    Verb.MOVE: _move,
}
