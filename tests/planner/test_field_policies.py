"""Every field of every recorded spec does what its policy says: what a manifest changes is never "No changes"."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.model.fields import Policy, fields_with, rule_of
from sharectl.model.share_networks import SecurityServiceSpec, ShareNetworkSpec, ShareNetworkSubnet, ShareServerSpec
from sharectl.model.specs import HourlySnapshots, RevertRequest, SchedulerHints, ShareSpec, SnapshotPolicy, SnapshotSpec
from sharectl.model.table import SPECS
from sharectl.model.verbs import Verb
from tests.planner.model import settle
from tests.planner.world import World

if TYPE_CHECKING:
    from dataclasses import Field

    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan

SERVER = "share_server/red-here@nas"
CHANGED = (Policy.METADATA, Policy.IN_PLACE, Policy.IMMUTABLE)


def ruled_fields(cls: type) -> list[Any]:
    """Return a pytest parameter for each field of which a change is planned."""
    return [pytest.param(field, id=field.name) for field in fields(cls) if rule_of(field).policy in CHANGED]


def another(field: Field[Any], value: object) -> object:
    """Return a value of the field's type that is not `value`."""
    rule = rule_of(field)
    if field.name == "export_name":
        return "Other's"  # there is a share called `other`
    if rule.choices is not None:
        return next(choice for choice in rule.choices if choice != value)
    by_type: dict[str, object] = {
        "str": "other",
        "str | None": "other",
        "bool": not value,
        "int": 2 * value if isinstance(value, int) else 1,
        "int | None": 77,
        "tuple[str, ...]": ("10.0.0.8-10.0.0.9",),
        "Mapping[str, str]": {"team": "other"},
        "Mapping[str, Any]": {"domain": "other"},
        "RevertRequest | None": RevertRequest("daily", "once"),
        "SnapshotPolicy | None": SnapshotPolicy(HourlySnapshots(24)),
        "SchedulerHints": SchedulerHints(different_host=("other",)),
    }
    return by_type[str(field.type)]


def changed_fields(plan: Plan, address: Address) -> set[str]:
    """Return the fields of which a step at the address shows a change."""
    return {change.field for step in plan.steps if step.address == address for change in step.changes}


def expect_policy(plan: Plan, field: Field[Any], address: Address, refused: Address) -> None:
    """Hold a plan after one changed field against the field's rule; a refusal is at the address `refused`."""
    rule = rule_of(field)
    verbs = {step.verb for step in plan.steps if step.address == address}
    errors = [found for found in plan.diagnostics if found.address == refused]
    if rule.policy is Policy.METADATA:
        assert verbs == {Verb.UPDATE_RECORD}
        assert changed_fields(plan, address)
        assert errors == []
    elif rule.policy is Policy.IN_PLACE:
        assert verbs & set(rule.verbs)
        assert errors == []
    else:
        assert [found.code for found in errors] in (
            [f"{refused.partition('/')[0]}.immutable"],
            ["share_network.subnet-in-use"],
        )
        assert errors[0].detail
        assert errors[0].remedy
        assert plan.held


def expect_quiet_afterwards(world: World) -> None:
    """Carry the plan out where it is whole, and hold that the next one is empty."""
    if not world.plan().held:
        settle(world)
        assert world.plan().steps == ()


def world_of_shares() -> World:
    """Return a world with the shares `a` and `other`, a snapshot of `a`, and all else that a share can name."""
    world = World().has_type("other").has_network("other").wants("other").wants("a", availability_zone="here")
    world.has_backend("nas", availability_zone="here")
    world.wants_snapshot("daily", "a")
    settle(world)
    return world


def world_of_networks() -> World:
    """Return a world with a share on the network `red`, whose share server has joined the directory service `ldap`."""
    world = World().has_tenants("nas").has_service("ldap", domain="one").has_service("other", domain="two")
    world.has_network(
        "red", "here", services=["ldap"], gateway="10.0.0.1", network_type="vlan", segmentation_id=7, mtu=1500
    )
    world.has_tenants("nas", availability_zone="here").wants("a", share_network="red")
    settle(world)
    return world


@pytest.mark.parametrize("field", ruled_fields(ShareSpec))
def test_a_changed_field_of_a_share_does_what_its_policy_says(field: Field[Any]) -> None:
    """Followed by the state, changed in place, or refused with the reason and the way out."""
    world = world_of_shares()
    spec = world.shares["a"]
    world.shares["a"] = replace(spec, **{field.name: another(field, getattr(spec, field.name))})
    expect_policy(world.plan(), field, "share/a", "share/a")
    expect_quiet_afterwards(world)


@pytest.mark.parametrize("field", ruled_fields(SnapshotSpec))
def test_a_changed_field_of_a_snapshot_does_what_its_policy_says(field: Field[Any]) -> None:
    """As those of a share."""
    world = world_of_shares()
    spec = world.snapshots["daily"]
    world.snapshots["daily"] = replace(spec, **{field.name: another(field, getattr(spec, field.name))})
    expect_policy(world.plan(), field, "snapshot/daily", "snapshot/daily")
    expect_quiet_afterwards(world)


@pytest.mark.parametrize("field", ruled_fields(ShareNetworkSubnet))
def test_a_changed_field_of_a_subnet_does_what_its_policy_says(field: Field[Any]) -> None:
    """Its share server follows in the state, or the change is refused at the network."""
    world = world_of_networks()
    network = world.networks["red"]
    subnet = network.subnets[0]
    changed = replace(subnet, **{field.name: another(field, getattr(subnet, field.name))})
    world.networks["red"] = replace(network, subnets=(changed,))
    expect_policy(world.plan(), field, SERVER, "share_network/red")


@pytest.mark.parametrize("field", ruled_fields(ShareNetworkSpec))
def test_a_changed_field_of_a_network_does_what_its_policy_says(field: Field[Any]) -> None:
    """Its share server joins the other directory service."""
    world = world_of_networks()
    world.networks["red"] = replace(world.networks["red"], **{field.name: ("other",)})
    expect_policy(world.plan(), field, SERVER, "share_network/red")
    expect_quiet_afterwards(world)


@pytest.mark.parametrize("field", ruled_fields(SecurityServiceSpec))
def test_a_changed_field_of_a_directory_service_does_what_its_policy_says(field: Field[Any]) -> None:
    """The share servers that have joined it are told."""
    world = world_of_networks()
    spec = world.services["ldap"]
    world.services["ldap"] = replace(spec, **{field.name: another(field, getattr(spec, field.name))})
    expect_policy(world.plan(), field, SERVER, "security_service/ldap")
    expect_quiet_afterwards(world)


def test_every_recorded_or_followed_field_is_among_these() -> None:
    """A kind whose fields have such policies is one of the kinds above."""
    above = {ShareSpec, SnapshotSpec, ShareNetworkSpec, SecurityServiceSpec, ShareServerSpec}
    assert {spec for spec in SPECS.values() if fields_with(spec, *CHANGED)} <= above
