"""Writing manifests: what is written is read back as the same, by this reader and by those of YAML 1.1."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sharectl.manifests.access import AccessError, canonical_client
from sharectl.manifests.reader import read_documents
from sharectl.manifests.write import (
    ManifestDocument,
    document_of,
    dump,
)
from sharectl.model.access import AccessRule
from sharectl.model.backends import BackendSpec, CapacityPolicy, NetworkPluginSpec
from sharectl.model.share_networks import SecurityServiceSpec, ShareNetworkSpec, ShareNetworkSubnet
from sharectl.model.specs import (
    DailySnapshots,
    HourlySnapshots,
    MonthlySnapshots,
    RevertRequest,
    SchedulerHints,
    ShareSpec,
    ShareTypeSpec,
    SnapshotPolicy,
    SnapshotSpec,
    WeeklySnapshots,
)
from tests.desired import desired_of
from tests.manifests.support import load_text

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,10}[a-z0-9])?", fullmatch=True).map(lambda name: f"n{name}")
LABELS = st.dictionaries(
    NAMES, st.sampled_from(["on", "no", "010", "1.5", "x", "", "1e3", "true", "null", "0x1F"]), max_size=3
)
TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=40) | st.sampled_from(
    [
        "on",
        "010",
        "1:30",
        "2001-01-01",
        "~",
        "a: b",
        "a #b",
        "- x",
        " x",
        "x ",
        "{",
        "%",
        "@",
        "'",
        '"',
        "\\",
        "a\nb",
        "\t",
        "\x07",
        "---",
        "...",
        "!x",
        "&x",
        "*x",
        "?",
        ":",
        "=",
        "<<",
        "x" * 300,
    ]
)


def _is_a_clients(address: str) -> bool:
    try:
        return canonical_client(address) == address
    except AccessError:
        return False


ADDRESSES = st.ip_addresses().map(str).filter(_is_a_clients)
USERS = st.sampled_from([r"CORP\alice", "alice@corp.example", "no", "0123", "1e3"])
LEVELS = st.sampled_from(["rw", "ro", "none"])
RULES = (
    st.builds(AccessRule, st.just("ip"), ADDRESSES, LEVELS, st.just(()))
    | st.builds(AccessRule, st.sampled_from(["user", "group"]), USERS, LEVELS, st.just(()))
    | st.builds(AccessRule, st.sampled_from(["user", "guest"]), st.just("*"), LEVELS, st.just(()))
)
SHARES = st.builds(
    ShareSpec,
    name=NAMES,
    size_bytes=st.integers(1, 10**15 - 1),
    protocol=st.just("CIFS"),
    availability_zone=st.none() | NAMES,
    revert_to=st.none()
    | TEXTS.filter(lambda text: 0 < len(text.strip()) == len(text) <= 100 and text.isprintable()).map(
        lambda text: RevertRequest("", text)
    ),
    retain_access=st.booleans(),
    hints=st.just(SchedulerHints())
    | st.builds(SchedulerHints, only_host=TEXTS.filter(lambda text: 0 < len(text) < 256)),
    deletion_policy=st.sampled_from(["retain", "delete", "trash"]),
    protect=st.booleans(),
    allow_shrink=st.booleans(),
    replacement=st.sampled_from(["refuse", "createFirst", "deleteFirst"]),
    labels=LABELS,
)


@given(
    shares=st.lists(
        st.tuples(SHARES, st.lists(RULES, max_size=4, unique_by=lambda rule: rule.key)),
        max_size=4,
        unique_by=lambda pair: pair[0].name,
    )
)
@settings(max_examples=25, deadline=None)
def test_shares_are_read_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, shares: list[tuple[ShareSpec, list[AccessRule]]]
) -> None:
    """Specs, rules and digests."""
    specs = [
        spec if spec.revert_to is None else replace(spec, revert_to=replace(spec.revert_to, snapshot=f"s-{spec.name}"))
        for spec, _ in shares
    ]
    access = {f"share/{spec.name}": rules for spec, rules in shares}
    snapshots = [
        SnapshotSpec(f"s-{spec.name}", spec.name, "delete", protect=True, labels=spec.labels) for spec in specs
    ]
    documents = [document_of(spec, rules) for spec, (_, rules) in zip(specs, shares, strict=True)]
    text = dump([*documents, *map(document_of, snapshots)])
    if not specs:
        assert text == ""
        return
    loaded = load_text(tmp_path_factory.mktemp("written"), text)
    assert not loaded.diagnostics
    expected = desired_of(shares=specs, access=access, snapshots=snapshots)
    assert loaded.desired.digests == expected.digests
    for spec in specs:
        address = f"share/{spec.name}"
        assert loaded.desired.share(address) == expected.share(address) == spec
        assert loaded.desired.access(address) == expected.access(address)
    for snapshot in snapshots:
        assert loaded.desired.snapshot(f"snapshot/{snapshot.name}") == snapshot


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(TEXTS, parts, max_size=3),
    max_leaves=12,
)


@given(config=st.dictionaries(TEXTS, VALUES, max_size=4), comment=st.text(max_size=40))
@settings(max_examples=150, deadline=None)
def test_any_data_is_read_back_as_it_was_written(config: dict[str, Any], comment: str) -> None:
    """Keys and values alike, whatever the comment."""
    text = dump([ManifestDocument("Backend", "b", {"driver": "d", "config": config}, comment=comment)] * 2)
    reading = read_documents(text.encode())
    assert not reading.problems
    assert [document.value["spec"]["config"] for document in reading.documents] == [config, config]


@given(texts=st.lists(TEXTS, max_size=5))
@settings(max_examples=100, deadline=None)
def test_a_reader_of_yaml_1_1_takes_the_same_strings(texts: list[str]) -> None:
    """Nobody's `on` becomes true."""
    text = dump([ManifestDocument("Backend", "b", {"config": {"texts": texts, "keys": dict.fromkeys(texts, 1)}})])
    read = yaml.safe_load(text)["spec"]["config"]
    assert read == {"texts": texts, "keys": dict.fromkeys(texts, 1)}


def test_every_other_kind_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """With every field set, and with none."""
    backends = (
        BackendSpec(
            "full", "open", {"root": "/srv", "password": {"env": "X"}}, lanes=7, enabled=False, share_servers=True,
            availability_zone="z", capacity=CapacityPolicy(5.0, 6.0, 7.5, 2.0, thin_provisioning=False), capabilities={"a": [1, "on"], "b": False},
            step_timeout_seconds=90.0, attempts=9, network=NetworkPluginSpec("neutron", {"net": "n"}), labels={"a": "on"},
        ),
        BackendSpec("bare", "open", {}, step_timeout_seconds=0.5),
    )  # fmt: skip
    types = (
        ShareTypeSpec(
            "t", {"snapshot_support": "True", "x": "<is> True", "y": "010"}, "for all: everything", {"l": "1"},
            SnapshotPolicy(HourlySnapshots(24, 5), DailySnapshots(7, 1, 2), WeeklySnapshots(4, "friday", 3, 4), MonthlySnapshots(12, 31, 5, 6), "Europe/Berlin"),
        ),
        ShareTypeSpec("u", {}),
    )  # fmt: skip
    networks = (
        ShareNetworkSpec("n", (ShareNetworkSubnet("z", "10.0.0.0/24", "10.0.0.1", "vlan", 5, 1500, allocation_ranges=("10.0.0.10-10.0.0.20",), excluded=("10.0.0.12",)), ShareNetworkSubnet(neutron_net_id="a", neutron_subnet_id="b", nova_net_id="c")), ("s",)),
    )  # fmt: skip
    services = (
        SecurityServiceSpec("s", "ldap", {"dns_ip": "10.0.0.1", "user": "no", "password": {"file": "p"}}, {"l": "x"}),
    )
    rule = {"share": "a", "type": "ip", "to": "10.0.0.0/8", "level": "ro"}
    text = dump(
        [
            *map(document_of, backends),
            *map(document_of, types),
            *map(document_of, networks),
            *map(document_of, services),
            document_of(ShareSpec("a", 1 << 30, "NFS"), comment="found on the filer\n\n\x00as it was"),
            ManifestDocument("AccessRule", "r", rule, {"x": "y"}),
            document_of(SnapshotSpec("p", "a")),
        ]
    )
    loaded = load_text(tmp_path, text)
    assert not loaded.diagnostics
    desired = loaded.desired
    assert tuple(desired.backends.values()) == tuple(sorted(backends, key=lambda backend: backend.name))
    assert tuple(desired.share_types.values()) == types
    assert tuple(desired.share_networks.values()) == networks
    assert tuple(desired.security_services.values()) == services
    assert desired.access("share/a") == (AccessRule("ip", "10.0.0.0/8", "ro"),)
    memory = desired_of(backends=backends, share_types=types, share_networks=networks, security_services=services)
    assert (memory.backends, memory.share_types, memory.share_networks, memory.security_services) == (
        desired.backends,
        desired.share_types,
        desired.share_networks,
        desired.security_services,
    )


def test_a_manifest_is_written_as_a_person_would() -> None:
    """Block style, plain where that is safe, a comment above."""
    spec = ShareSpec("projects", 100 << 30, "NFS", share_type="gold", labels={"team": "on"})
    text = dump([document_of(spec, [AccessRule("ip", "10.0.0.0/8", "rw")], comment="found on filer-1")] * 2)
    one = """# found on filer-1
apiVersion: sharectl/v1
kind: Share
metadata:
  name: projects
  labels:
    team: "on"
spec:
  size: 100GiB
  protocol: NFS
  type: gold
  access:
    - type: ip
      to: 10.0.0.0/8
      level: rw
"""
    assert text == f"{one}---\n{one}"
