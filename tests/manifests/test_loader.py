"""Loading manifests: every mistake is found at its place, all at once, and what is right is wanted."""

from __future__ import annotations

import io
import itertools
import random
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sharectl.manifests.loader import load
from sharectl.manifests.schemas import DriverSchemas
from sharectl.manifests.validation import explain
from sharectl.model.access import AccessRule, access_digest
from sharectl.model.backends import BackendSpec, CapacityPolicy, NetworkPluginSpec
from sharectl.model.share_networks import ShareNetworkSubnet
from tests.manifests.support import brief, cifs, codes, document, load_folder, load_text, share

if TYPE_CHECKING:
    from pathlib import Path

BACKEND = document("Backend", "b", "{driver: open}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (document("Share", "a", "{size: 100, protocol: NFS}"), [("a.yaml:4:14", "schema")]),
        (document("Share", "a", "{size: 100gib, protocol: NFS}"), [("a.yaml:4:14", "schema")]),
        (document("Share", "a", "{size: 0GiB, protocol: NFS}"), [("a.yaml:4:14", "size")]),
        (document("Share", "a", "{size: -1GiB, protocol: NFS}"), [("a.yaml:4:14", "schema")]),
        (document("Share", "a", "{size: 0.5B, protocol: NFS}"), [("a.yaml:4:14", "size")]),
        (document("Share", "a", "{size: 1GiB, protocol: SMB}"), [("a.yaml:4:30", "schema")]),
        (document("Share", "a", "{protocol: NFS}"), [("a.yaml:4:7", "missing")]),
        (document("Share", "a", "[]"), [("a.yaml:4:7", "schema")]),
        (share("a", ", typ: x"), [("a.yaml:4:35", "unknown-field")]),
        (share("A"), [("a.yaml:3:18", "schema")]),
        (share("a..b"), [("a.yaml:3:18", "name")]),
        (cifs("com1.data"), [("a.yaml:3:18", "name")]),
        (cifs("homes"), [("a.yaml:3:18", "name")]),
        (share("a", metadata=", labels: {x: 010}"), [("a.yaml:3:33", "schema")]),
        (share("a", metadata=", labels: {'-x': y}"), [("a.yaml:3:30", "schema")]),
        (share("a", metadata=", labels: {x: ' y'}"), [("a.yaml:3:33", "schema")]),
        (share("a", metadata=", annotations: {sharectl/moved-from: A}"), [("a.yaml:3:56", "moved")]),
        (share("a", metadata=", annotations: {sharectl/moved-from: a}"), [("a.yaml:3:56", "moved")]),
        (
            document("Backend", "a", "{driver: open}", ", annotations: {sharectl/moved-from: b}"),
            [("a.yaml:3:35", "moved")],
        ),
        (share("a", ", type: gold"), [("a.yaml:4:41", "dangling")]),
        (
            share("a", ", shareNetwork: x, sourceSnapshot: y"),
            [("a.yaml:4:49", "dangling"), ("a.yaml:4:68", "dangling")],
        ),
        (
            share("a", ", schedulerHints: {sameHost: [x], differentHost: [y]}"),
            [("a.yaml:4:63", "dangling"), ("a.yaml:4:83", "dangling")],
        ),
        (share("a", ", access: [{type: user, to: x, level: rw}]"), [("a.yaml:4:51", "access-type")]),
        (share("a", ", access: [{type: ip, to: 10.0.0.1/8, level: rw}]"), [("a.yaml:4:59", "host-bits")]),
        (share("a", ", access: [{type: ip, to: 10.0.0.256, level: rw}]"), [("a.yaml:4:59", "ip")]),
        (share("a", ", access: [{type: ip, to: 10.0.0.0/255.0.0.0, level: rw}]"), [("a.yaml:4:59", "ip")]),
        (share("a", ", access: [{type: ip, to: 'fe80::1%eth0', level: rw}]"), [("a.yaml:4:59", "ip")]),
        *(
            (share("a", f", access: [{{type: ip, to: '{nobody}', level: rw}}]"), [("a.yaml:4:59", "nobody")])
            for nobody in (
                "0.0.0.0",  # noqa: S104 - a client
                "0.0.0.0/32",
                "0.0.0.0/8",
                "::",
                "::0/128",
                "0:0:0:0:0:0:0:0",
                "224.0.0.1",
                "255.255.255.255",
                "ff02::1",
                "::ffff:10.0.0.1",
                "::ffff:0:0",
                "::ffff:10.0.0.0/104",
                "::10.0.0.1",
            )
        ),
        (share("a", ", access: [{type: ip, to: '0/0', level: rw}]"), [("a.yaml:4:59", "ip")]),
        (share("a", ", access: [{type: ip, to: '000.000.000.000', level: rw}]"), [("a.yaml:4:59", "ip")]),
        (share("a", ", access: [{type: ip, to: '10.0.0.0/08', level: rw}]"), [("a.yaml:4:59", "ip")]),
        (
            document("AccessRule", "r", "{share: a, type: ip, to: 0.0.0.0, level: rw}") + share("a"),
            [("a.yaml:4:32", "nobody")],
        ),
        (
            share("a", ", access: [{type: ip, to: 10.0.0.1, level: rw}, {type: ip, to: 10.0.0.1/32, level: ro}]"),
            [("a.yaml:4:96", "duplicate-access")],
        ),
        (share("a") + share("a"), [("a.yaml:8:18", "duplicate-name")]),
        (share("a", ", x: 1") + share("a"), [("a.yaml:4:35", "unknown-field"), ("a.yaml:8:18", "duplicate-name")]),
        (
            BACKEND + document("Backend", "b", "{driver: opem}") + document("Backend", "b"),
            [
                ("a.yaml:8:18", "duplicate-name"),
                ("a.yaml:9:16", "driver"),
                ("a.yaml:13:18", "duplicate-name"),
                ("a.yaml:14:7", "missing"),
            ],
        ),
        (share("a", ", sourceSnapshot: s") + document("Snapshot", "s", "{share: a}"), [("a.yaml:4:51", "cycle")]),
        (share("a", ", revertTo: {snapshot: s, request: T-1}"), [("a.yaml:4:56", "dangling")]),
        (
            share("a", ", revertTo: {snapshot: s, request: 4711}"),
            [("a.yaml:4:56", "dangling"), ("a.yaml:4:68", "schema")],
        ),
        (share("a", ", revertTo: {snapshot: s}"), [("a.yaml:4:45", "missing"), ("a.yaml:4:56", "dangling")]),
        (
            share("a", ", revertTo: {snapshot: s, request: T-1}")
            + share("b")
            + document("Snapshot", "s", "{share: b}"),
            [("a.yaml:4:56", "revert")],
        ),
        (document("Snapshot", "s", "{share: x}"), [("a.yaml:4:15", "dangling")]),
        (document("Snapshot", "s", "{share: x, protect: 1}"), [("a.yaml:4:15", "dangling"), ("a.yaml:4:27", "schema")]),
        (document("AccessRule", "r", "{share: x, type: ip, to: 10.0.0.1, level: rw}"), [("a.yaml:4:15", "dangling")]),
        (
            share("a") + document("AccessRule", "r", "{shares: [a, x], type: ip, to: 10.0.0.1, level: rw}"),
            [("a.yaml:9:20", "dangling")],
        ),
        (
            share("a") + document("AccessRule", "r", "{shares: [a, a], type: ip, to: 10.0.0.1, level: rw}"),
            [("a.yaml:9:16", "schema")],
        ),
        (document("AccessRule", "r", "{shares: [], type: ip, to: 10.0.0.1, level: rw}"), [("a.yaml:4:16", "schema")]),
        (
            share("a") + document("AccessRule", "r", "{share: a, type: ip, to: 10.0.0.1, level: rw, shares: [a]}"),
            [("a.yaml:9:53", "schema")],
        ),
        (document("AccessRule", "r", "{type: ip, to: 10.0.0.1, level: rw}"), [("a.yaml:4:7", "missing")]),
        (
            share("a", ", access: [{type: ip, to: 10.0.0.1, level: rw}]")
            + share("b")
            + document("AccessRule", "r", "{shares: [b, a], type: ip, to: 10.0.0.1, level: rw}"),
            [("a.yaml:14:38", "duplicate-access")],
        ),
        (
            document("AccessRule", "r", "{share: x, type: ip, to: alice, level: rw}"),
            [("a.yaml:4:15", "dangling"), ("a.yaml:4:32", "ip")],
        ),
        (
            share("a") + document("AccessRule", "r", "{share: a, type: user, to: x, level: rw}"),
            [("a.yaml:9:24", "access-type")],
        ),
        (
            share("a", ", access: [{type: ip, to: 10.0.0.1, level: rw}]")
            + document("AccessRule", "r", "{share: a, type: ip, to: 10.0.0.1, level: rw}"),
            [("a.yaml:9:32", "duplicate-access")],
        ),
        (
            share("a") + 2 * document("AccessRule", "r", "{share: a, type: ip, to: 10.0.0.1, level: rw}"),
            [("a.yaml:13:18", "duplicate-name"), ("a.yaml:14:32", "duplicate-access")],
        ),
        (
            share("a")
            + document("AccessRule", "r", "{share: a, type: ip, to: 10.0.0.1, level: rw}")
            + document("AccessRule", "r", "{share: a, type: ip}"),
            [("a.yaml:13:18", "duplicate-name"), ("a.yaml:14:7", "missing"), ("a.yaml:14:7", "missing")],
        ),
        (share("a", metadata=", annotations: {sharectl/moved-from: b}") + share("b"), [("a.yaml:3:56", "moved")]),
        (
            share("a", metadata=", annotations: {sharectl/moved-from: c}")
            + share("b", metadata=", annotations: {sharectl/moved-from: c}"),
            [("a.yaml:8:56", "moved")],
        ),
        (
            document("Backend", "b", "{driver: simulated, config: {sed: 1, seed: x}}"),
            [("a.yaml:4:36", "unknown-field"), ("a.yaml:4:50", "schema")],
        ),
        (document("Backend", "b", "{driver: simulated, config: {login: []}}"), [("a.yaml:4:43", "schema")]),
        (
            document("Backend", "b", "{driver: open, lanes: 0, attempts: 1.5, stepTimeout: 5}"),
            [("a.yaml:4:29", "schema"), ("a.yaml:4:42", "schema"), ("a.yaml:4:60", "schema")],
        ),
        (document("Backend", "b", "{driver: open, stepTimeout: 0s}"), [("a.yaml:4:35", "duration")]),
        (
            document("Backend", "b", "{driver: open, lanes: 257, enabled: 'yes'}"),
            [("a.yaml:4:29", "schema"), ("a.yaml:4:43", "schema")],
        ),
        (
            document("ShareType", "t", "{extraSpecs: {driver_handles_share_servers: maybe}}"),
            [("a.yaml:4:51", "extra-spec")],
        ),
        (
            document("ShareType", "t", "{extraSpecs: {a: [], '': 1}}"),
            [("a.yaml:4:24", "schema"), ("a.yaml:4:28", "schema")],
        ),
        (
            document("ShareType", "t", "{extraSpecs: {availability_zones: 'x, y'}}")
            + share("a", ", type: t, availabilityZone: z"),
            [("a.yaml:9:62", "placement")],
        ),
        (
            document("ShareType", "t", "{extraSpecs: {driver_handles_share_servers: true}}") + share("a", ", type: t"),
            [("a.yaml:9:41", "placement")],
        ),
        (
            document("ShareType", "t", "{extraSpecs: {driver_handles_share_servers: false}}")
            + document("ShareNetwork", "n", "{subnets: [{}]}")
            + share("a", ", type: t, shareNetwork: n"),
            [("a.yaml:14:58", "placement")],
        ),
        (document("ShareNetwork", "n", "{subnets: []}"), [("a.yaml:4:17", "schema")]),
        (
            document("ShareNetwork", "n", "{subnets: [{}, {}], securityServices: [s, s]}"),
            [("a.yaml:4:22", "subnet"), ("a.yaml:4:45", "schema")],
        ),
        (document("ShareNetwork", "n", "{subnets: [{gateway: 10.0.0.1}]}"), [("a.yaml:4:18", "schema")]),
        (document("ShareNetwork", "n", "{subnets: [{cidr: 10.0.0.1}]}"), [("a.yaml:4:25", "ip")]),
        (
            document("ShareNetwork", "n", "{subnets: [{cidr: 10.0.0.0/24, gateway: 10.0.0.0/24}]}"),
            [("a.yaml:4:47", "ip")],
        ),
        *(
            (document("ShareNetwork", "n", f"{{subnets: [{{cidr: '{cidr}'}}]}}"), [("a.yaml:4:25", "subnet")])
            for cidr in (
                "127.0.0.0/24",
                "169.254.0.0/16",
                "224.0.0.0/24",
                "240.0.0.0/8",
                "0.0.0.0/8",
                "fe80::/64",
                "ff02::/64",
            )
        ),
        (
            document("ShareNetwork", "n", "{subnets: [{cidr: 10.0.0.0/24, gateway: 10.0.1.1}]}"),
            [("a.yaml:4:47", "subnet")],
        ),
        (
            document("ShareNetwork", "n", "{subnets: [{networkType: vlan, segmentationId: 4095}]}"),
            [("a.yaml:4:54", "subnet")],
        ),
        (document("ShareNetwork", "n", "{subnets: [{excluded: [10.0.0.1]}]}"), [("a.yaml:4:18", "schema")]),
        (
            document("ShareNetwork", "n", "{subnets: [{cidr: 10.0.0.0/24, excluded: [10.0.0.9-10.0.0.8, 10.0.1.1]}]}"),
            [("a.yaml:4:49", "subnet"), ("a.yaml:4:68", "subnet")],
        ),
        (
            document("ShareNetwork", "n", "{subnets: [{cidr: 10.0.0.0/24, allocationRanges: [10.0.0.4, router]}]}"),
            [("a.yaml:4:67", "subnet")],
        ),
        (
            document("ShareNetwork", "n", "{subnets: [{networkType: flat, segmentationId: 1}]}"),
            [("a.yaml:4:54", "subnet")],
        ),
        (document("ShareNetwork", "n", "{subnets: [{}, {}]}"), [("a.yaml:4:22", "subnet")]),
        (document("ShareNetwork", "n", "{subnets: [{}], securityServices: [x]}"), [("a.yaml:4:42", "dangling")]),
        (document("SecurityService", "s", "{type: ldap, dnsIp: dns.example}"), [("a.yaml:4:27", "ip")]),
        (document("SecurityService", "s", "{type: nis}"), [("a.yaml:4:14", "schema")]),
        (
            share("a")
            + document("AccessRule", "r", "{share: a, type: ip, to: 10.0.0.1, level: rw}")
            + document("AccessRule", "q", "{share: b, type: ip, to: 10.0.0.1, level: rw}"),
            [("a.yaml:14:15", "dangling")],
        ),
        ("apiVersion: v1\nkind: ConfigMap\n", [("a.yaml:1:13", "not-a-manifest")]),
        ("kind: Share\n", [("a.yaml:1:1", "not-a-manifest")]),
        ("- a\n", [("a.yaml:1:1", "not-a-manifest")]),
        ("apiVersion: sharectl/v1\n", [("a.yaml:1:1", "kind")]),
        ("apiVersion: sharectl/v1\nkind: Shar\n", [("a.yaml:2:7", "kind")]),
        ("apiVersion: sharectl/v1\nkind: []\n", [("a.yaml:2:7", "kind")]),
        ("apiVersion: sharectl/v1\nkind: Project\n", [("a.yaml:2:7", "kind")]),
        ("# nothing\n---\n", [("a.yaml:1:1", "empty"), ("a.yaml:1:1", "none")]),
        ("", [("a.yaml:1:1", "empty")]),
    ],
)
def test_a_mistake_is_found_at_its_place(tmp_path: Path, text: str, expected: list[tuple[str, str]]) -> None:
    """Code, line and column, with a summary; nothing else is reported beside it."""
    loaded = load_text(tmp_path, text)
    assert [brief(diagnostic) for diagnostic in loaded.diagnostics] == [
        (place, f"manifest.{code}") for place, code in expected
    ]
    assert all(diagnostic.summary and diagnostic.remedy for diagnostic in loaded.diagnostics)


def test_everything_is_found_at_once(tmp_path: Path) -> None:
    """A syntax error hides neither the documents around it nor other files."""
    (tmp_path / "b.yaml").write_text(share("b", ", type: gold"))
    loaded = load_text(tmp_path, share("a", ", x: 1") + "a: [\n---\n" + share("c", ", type: gold"))
    assert [brief(diagnostic)[0] for diagnostic in loaded.diagnostics] == [
        "a.yaml:4:35",
        "a.yaml:7:1",
        "a.yaml:11:41",
        "b.yaml:4:41",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            document(
                "Share",
                "a",
                "{size: 1Gi, protocol: NFS, typ: x, shareNetwork: n, access: [{type: ip, to: 10.0.0.1/8, level: rw},"
                " {type: user, to: bob, level: no}, {type: ip, to: 10.0.0.2, level: rw}, {type: ip, to: 10.0.0.2, level: ro}]}",
                ", annotations: {sharectl/moved-from: B}",
            ),
            ["moved", "schema", "unknown-field", "dangling", "host-bits", "access-type", "schema", "duplicate-access"],
        ),
        (cifs("homes", ", protect: x, sourceSnapshot: s"), ["name", "schema", "dangling"]),
        (
            document("Share", "homes", "{size: 1GiB, protocol: SMB, access: [{type: user, to: '@x', level: rw}]}"),
            ["schema", "user"],
        ),
        (document("Share", "A", "{size: 1GiB, protocol: NFS, type: gold}"), ["schema", "dangling"]),
        (document("Snapshot", "s", "{share: x, protect: 7}"), ["dangling", "schema"]),
        (document("AccessRule", "r", "{share: x, type: ip, to: 300.0.0.1, level: w}"), ["dangling", "ip", "schema"]),
        (
            document("AccessRule", "r", "{shares: [v, A, y], type: ip, to: 1.2.3.256, level: w}"),
            [*2 * ["dangling"], *2 * ["schema"], "ip"],
        ),
        (
            document("AccessRule", "r", "{share: x, shares: [y], type: ip, to: 300.0.0.1, level: w}"),
            ["dangling", "ip", *2 * ["schema"]],
        ),
        (
            document("AccessRule", "r", "{share: x, type: group, to: '@staff', level: no}"),
            ["dangling", "group", "schema"],
        ),
        (
            document("Backend", "b", "{driver: simulated, lanes: 0, config: {sed: 1, password: x}}"),
            ["schema", "unknown-field", "secret"],
        ),
        (document("Backend", "b", "{driver: simulatd, lanes: 0}"), ["driver", "schema"]),
        (
            document(
                "ShareNetwork",
                "n",
                "{subnets: [{cidr: 10.0.0.0/24, gateway: 10.0.1.1, mtu: x}], securityServices: [s]}",
            ),
            ["schema", "dangling"],
        ),
        (
            document(
                "ShareNetwork", "n", "{subnets: [{cidr: 10.0.0.0/24, gateway: 10.0.1.1}], x: 1, securityServices: [s]}"
            ),
            ["subnet", "unknown-field", "dangling"],
        ),
        (
            document("ShareType", "t", "{extraSpecs: {a: [], driver_handles_share_servers: maybe}}"),
            ["schema", "extra-spec"],
        ),
        (share("a", ", type: gold, type: gold, shareNetwork: n"), ["duplicate-key", "dangling", "dangling"]),
        (document("Share", "a", "{size: !own 1GiB, protocol: NFS, type: gold}"), ["tag", "dangling"]),
        (
            document("Share", "a", "{size: 1e999, protocol: nfs, type: gold, 7: x}"),
            ["number", "schema", "dangling", "key"],
        ),
        (
            document("Share", "a", "{<<: 7, size: 1GB, typ: gold, sourceSnapshot: s}"),
            ["merge", "unknown-field", "dangling"],
        ),
        (document("Share", "a", "!own {size: 1GiB, protocol: NFS, type: gold}"), ["tag", "dangling"]),
        (share("a", ", type: gold", ", annotations: {owner: '${TEAM}'}"), ["variable", "dangling"]),
        (share("a", ", typ: gold", ", annotations: {description: '${TEAM}', o: 7}"), ["unknown-field", "schema"]),
        (
            share("a", ", x: {y: '${A}'}, access: [{type: ip, to: '${B}', level: w}]"),
            ["unknown-field", "variable", "ip", "schema"],
        ),
        (
            share("a", ", sourceSnapshot: s", ", labels: 7") + document("Snapshot", "s", "{share: a, protect: 7}"),
            ["schema", "cycle", "schema"],
        ),
        (
            share("a", ", access: [{type: ip, to: 10.0.0.1, level: w}, {type: ip, to: 10.0.0.1, level: rw}]"),
            ["schema", "duplicate-access"],
        ),
    ],
)
def test_a_mistake_in_one_field_hides_nothing_in_the_others(tmp_path: Path, text: str, expected: list[str]) -> None:
    """And nothing is reported that only follows from it."""
    assert sorted(codes(load_text(tmp_path, text))) == sorted(expected)


def test_a_wrong_document_takes_part_in_what_others_say_of_it(tmp_path: Path) -> None:
    """A reference to it leads somewhere, a second one of its name is a namesake, and it is never called gone."""
    text = share("a", ", x: 1") + document("Snapshot", "s", "{share: a}") + share("b", ", sourceSnapshot: s")
    assert codes(load_text(tmp_path, text)) == ["unknown-field"]


def test_a_name_in_a_broken_document_is_not_called_dangling(tmp_path: Path) -> None:
    """The one error that there is is enough."""
    broken = "apiVersion: sharectl/v1\nkind: ShareType\nmetadata:\n  name: gold\nspec: [\n"
    assert codes(load_text(tmp_path, share("a", ", type: gold") + broken)) == ["syntax"]


def test_a_slip_in_a_name_gets_a_proposal(tmp_path: Path) -> None:
    """For references, fields, kinds and drivers."""
    text = (
        document("ShareType", "gold")
        + share("a", ", type: glod, proteect: true")
        + document("Backend", "b", "{driver: simulatd}")
    )
    remedies = [
        diagnostic.remedy
        for diagnostic in load_text(tmp_path, text + "apiVersion: sharectl/v1\nkind: Snapshto").diagnostics
    ]
    assert [remedy.partition("?")[0] for remedy in remedies] == [
        'did you mean "gold"',
        'did you mean "protect"',
        'did you mean "simulated"',
        'did you mean "Snapshot"',
    ]


def test_a_choice_that_yaml_read_as_a_number_is_shown_with_its_quotes() -> None:
    """What is to be written has to look other than what was written."""
    schema = {"properties": {"versions": {"items": {"enum": ["4.1", "4.2"]}}}}
    (found,) = explain({"versions": [4.2]}, schema, document=0)
    assert found.remedy == 'write "4.2", in quotes; choose one of 4.1, 4.2'


@pytest.mark.parametrize("written", [0.3, "0.3"])
def test_quotes_are_proposed_only_where_they_mend_it(written: object) -> None:
    """A schema of a driver may have no remedy of its own: then its description is one."""
    delay = {"type": "string", "pattern": "^[0-9]+ms$", "description": "A time such as 50ms."}
    (found,) = explain({"delay": written}, {"properties": {"delay": delay}}, document=0)
    assert found.remedy == "expected here: a time such as 50ms."


def test_quotes_are_proposed_where_they_mend_it_whatever_else_may_stand_there(tmp_path: Path) -> None:
    """A number for a label is the most common mistake of all."""
    (found,) = load_text(tmp_path, share("s", metadata=", labels: {cost: 12}")).diagnostics
    assert found.remedy == 'put it in quotes: "12"'


@pytest.mark.parametrize(
    ("value", "schema", "remedy"),
    [
        ("a", {"type": "array", "items": {"type": "string"}}, "write [a]; correct it"),
        (
            {"name": "a"},
            {"type": "array", "items": {"type": "object"}, "description": "NFS servers."},
            "put it after a dash: each item of a list begins with `- `; expected here: NFS servers.",
        ),
        ({}, {"type": "array", "items": {"type": "string"}, "description": "Names."}, "expected here: names."),
        (
            "a",
            {"type": "object", "properties": {"root": {}, "user": {}}, "description": "The host."},
            "expected here: the host. Its fields: root, user.",
        ),
        ("a", {"type": "object", "properties": {"name": {}}}, "expected here: a mapping with the fields name"),
    ],
)
def test_what_has_another_shape_is_told_how_to_get_the_right_one(
    value: object, schema: dict[str, object], remedy: str
) -> None:
    """An item of a list without its dash, a text where fields belong."""
    (found,) = explain({"field": value}, {"properties": {"field": schema}}, document=0)
    assert found.remedy == remedy


def test_what_is_missing_is_told_with_what_it_takes() -> None:
    """Where that is a choice, or has advice of its own."""
    schema = {
        "required": ["level", "size", "name"],
        "properties": {"level": {"enum": ["rw", "ro"]}, "size": {"errorMessage": "write 1GiB"}},
    }
    assert [found.remedy for found in explain({}, schema, document=0)] == [
        "add it; choose one of rw, ro",
        "add it; write 1GiB",
        "add it",
    ]


def test_a_document_without_its_separator_is_recognized_at_each_key(tmp_path: Path) -> None:
    """One mistake, one advice."""
    found = load_text(tmp_path, share("s").removesuffix("---\n") + share("t")).diagnostics
    assert {each.remedy for each in found} == {"keep one of the two, or separate two documents with a line `---`"}


def test_a_user_with_an_escape_of_yaml_is_told_what_became_of_the_backslash(tmp_path: Path) -> None:
    r"""`"CORP\alice"` holds a bell, and no backslash."""
    rule = ', access: [{type: user, to: "CORP\\alice", level: rw}]'
    (found,) = load_text(tmp_path, cifs("s", rule)).diagnostics
    assert found.remedy is not None
    assert "write the name without quotes" in found.remedy


def test_among_very_many_names_the_near_one_is_still_found(tmp_path: Path) -> None:
    """Promptly."""
    text = "".join(share(f"share-{number:05}") for number in range(2500)) + document(
        "Snapshot", "s", "{share: share-0234x}"
    )
    (found,) = load_text(tmp_path, text).diagnostics
    assert found.remedy.startswith('did you mean "share-0')


def test_the_norway_problem_does_not_exist(tmp_path: Path) -> None:
    """`no` and `on` are text; a number in a text field is an error that shows what was written."""
    loaded = load_text(tmp_path, share("no", metadata=", labels: {on: yes}, annotations: {a: 1:30}"))
    assert not loaded.diagnostics
    assert loaded.desired.share("share/no").labels == {"on": "yes"}
    (found,) = load_text(tmp_path, share("a", metadata=", labels: {x: 0x1F}") + share("b")).diagnostics
    assert "quotes" in found.remedy or "label" in found.remedy


@pytest.mark.parametrize(
    "text",
    [
        document("SecurityService", "s", "{type: ldap, password: hunter2, user: 7}"),
        document("SecurityService", "s", "\n  type: ldap\n  password:\n    hunter2"),
        document("SecurityService", "s", "\n  type: ldap\n  password: |\n    hunter2"),
        document("SecurityService", "s", "{type: ldap, password: {value: hunter2}}"),
        document("SecurityService", "s", "{type: ldap, password: [hunter2]}"),
        document("Backend", "b", "{driver: open, config: {adminPassword: hunter2}}"),
        document("Backend", "b", "{driver: open, config: {logins: [{api_token: hunter2}]}}"),
        document("Backend", "b", "{driver: open, network: {plugin: neutron, config: {password: hunter2}}}"),
        document("Backend", "b", "{driver: simulated, config: {password: hunter2}}"),
        document("Backend", "b", "{driver: open, config: {password: hunter2}, lanes: 0}"),
        "password: hunter2\n\tx: [",
        "secret: 'hunter2",
        document("Backend", "b", "{driver: simulated, config: {passwrd: hunter2}}"),
        document("Backend", "b", "{driver: simulated, config: {seed: x, passwrd: hunter2, y: 1}}"),
        document("Backend", "b", "{driver: simulated, config: {adminlogin: hunter2}, lanes: 0}"),
        document("Backend", "b", "{driver: simulated, config: {admin: [{login: hunter2}], seed: x}}"),
        document("Backend", "b", "{driver: simulatd, config: {adminlogin: hunter2}}"),
        document("Backend", "b", "\n  driver: simulated\n  config:\n    adminlogin: |\n      hunter2\n    seed: x"),
        document(
            "Backend",
            "b",
            "\n  driver: simulated\n  config:\n    passwrd: >-\n      a\n      hunter2\n      b\n    seed: x",
        ),
        document("Backend", "b", "{driver: simulated, config: {seed: x, seed: y, adminlogin: hunter2}}"),
        document("Backend", "b", "{driver: simulated, x: &p hunter2, config: {passwrd: *p}}"),
        document("Backend", "b", "{driver: simulated, x: &p {y: hunter2}, config: {<<: *p, passwrd: *p}, lanes: 0}"),
        document("Backend", "b", "{driver: open, lanes: 0, passwort: hunter2, config: {pwd: 1}}"),
        document("Backend", "b", "{driver: open, config: {password: *hunter2}}"),
        document("Backend", "b", "{driver: open, config: {password: !hunter2 x}}"),
        document("Backend", "b", "{driver: simulated, config: {'pass wrd': hunter2}, protect: yes}"),
        document("SecurityService", "s", "{type: ldap, passwd: hunter2, bindLogin: hunter2, user: 7}"),
        document("SecurityService", "s", "{type: ldap, pasword: {value: [hunter2]}}"),
        share("a", ", smb_password: hunter2, protect: yes"),
        "spec:\n  config:\n    passwrd:\n      hunter2\n     x: y\n",
        "spec: {config: {passwrd: hunter2",
        "spec:\n  config:\n    passwrd: |\n      hunter2\n  \t x: [\n",
    ],
)
def test_a_secret_is_never_shown(tmp_path: Path, text: str) -> None:
    """Not in a summary, not in a remedy, not in an excerpt."""
    loaded = load_text(tmp_path, text)
    assert loaded.diagnostics
    assert "hunter2" not in repr(loaded.diagnostics)


def test_a_very_long_line_is_shown_in_part(tmp_path: Path) -> None:
    """And as quickly for each mistake in it."""
    rules = "{type: ip, to: 10.0.0.1/8, level: rw}," * 5000
    loaded = load_text(tmp_path, share("a", f", access: [{rules}]"))
    assert codes(loaded)[0] == "host-bits"
    assert all(found.source and len(found.source.excerpt or "") <= 200 for found in loaded.diagnostics)


def test_of_very_many_wrong_documents_the_first_thousand_are_explained(tmp_path: Path) -> None:
    """One line says that there are more; references to the others lead somewhere all the same."""
    text = "".join(share(f"s{number}", ", x: 1") for number in range(1500)) + document(
        "Snapshot", "s", "{share: s1499}"
    )
    found = codes(load_text(tmp_path, text))
    assert found.count("unknown-field") == 1000
    assert found.count("too-many") == 1
    assert len(found) == 1001


@pytest.mark.parametrize("text", ["apiVersion: v1\nkind: List\nitems: []\n", "- apiVersion: sharectl/v1\n"])
def test_a_list_of_manifests_is_named_as_one(tmp_path: Path, text: str) -> None:
    """As kubectl and some programs write it."""
    (found,) = load_text(tmp_path, text).diagnostics
    assert "each item as a document" in found.remedy


def test_a_document_of_sops_is_named_as_encrypted(tmp_path: Path) -> None:
    """And not by each of its fields."""
    text = share("a") + "apiVersion: sharectl/v1\nkind: Share\nspec: {size: 'ENC[AES256_GCM,data:x]'}\nsops: {mac: x}\n"
    assert codes(load_text(tmp_path, text)) == ["encrypted"]


def test_two_documents_without_a_line_between_are_named(tmp_path: Path) -> None:
    """As files give that were put together."""
    text = share("a").removesuffix("---\n") + share("b")
    assert "separate two documents" in load_text(tmp_path, text).diagnostics[0].remedy


def test_secret_references_are_taken_as_they_are(tmp_path: Path) -> None:
    """They are resolved by whoever needs them."""
    text = document("SecurityService", "s", "{type: ldap, dnsIp: 10.0.0.1, password: {env: LDAP}}")
    text += document("Backend", "b", "{driver: open, config: {password: {file: /run/secret}}}")
    desired = load_text(tmp_path, text).desired
    assert desired.security_services["s"].config == {"dns_ip": "10.0.0.1", "password": {"env": "LDAP"}}
    assert desired.backends["b"].config == {"password": {"file": "/run/secret"}}


def test_every_kind_is_read(tmp_path: Path) -> None:
    """With all fields that differ from their defaults."""
    spec = (
        "{driver: open, config: {x: 1}, lanes: 8, enabled: false, shareServers: true, availabilityZone: z, capabilities: {fast: true},"
        " capacity: {reservedPercentage: 5, thinProvisioning: true}, stepTimeout: 90s, attempts: 2, network: {plugin: standalone}}"
    )
    text = document("Backend", "b", spec, ", labels: {l: b}")
    text += document(
        "ShareType", "t", "{description: fast, extraSpecs: {a: true, b: 1, c: 1.5, d: <is> True}}", ", labels: {l: t}"
    )
    text += document(
        "ShareNetwork",
        "n",
        "{subnets: [{cidr: 2001:db8::/64, gateway: '2001:db8::1', networkType: vxlan, segmentationId: 7, mtu: 1400}], securityServices: [s]}",
    )
    text += document("SecurityService", "s", "{type: kerberos, domain: corp.example}")
    desired = load_text(tmp_path, text).desired
    assert desired.backends["b"] == BackendSpec(
        "b", "open", {"x": 1}, lanes=8, enabled=False, share_servers=True, availability_zone="z",
        capacity=CapacityPolicy(reserved_percentage=5, thin_provisioning=True), capabilities={"fast": True},
        step_timeout_seconds=90.0, attempts=2, network=NetworkPluginSpec("standalone", {}), labels={"l": "b"},
    )  # fmt: skip
    assert desired.share_types["t"].extra_specs == {"a": "True", "b": "1", "c": "1.5", "d": "<is> True"}
    assert desired.share_networks["n"].subnets == (
        ShareNetworkSubnet(
            cidr="2001:db8::/64", gateway="2001:db8::1", network_type="vxlan", segmentation_id=7, mtu=1400
        ),
    )
    assert desired.security_services["s"].service_type == "kerberos"
    assert desired.addresses == ("backend/b", "share_type/t", "share_network/n", "security_service/s")
    assert [dict(desired.labels_of(address)) for address in ("backend/b", "share_type/t", "share_network/n")] == [
        {"l": "b"},
        {"l": "t"},
        {},
    ]


@pytest.mark.parametrize("user", [r"CORP\alice", "alice@corp.example", "alice", "Domain Users", "müller", "a" * 256])
def test_users_in_windows_notation_are_taken(tmp_path: Path, user: str) -> None:
    """Domain and name, user principal name, or a plain name."""
    loaded = load_text(tmp_path, cifs("a", f", access: [{{type: user, to: '{user}', level: rw}}]"))
    assert not loaded.diagnostics
    assert loaded.desired.access("share/a") == (AccessRule("user", user, "rw"),)


@pytest.mark.parametrize(
    "user",
    [
        r"A\B\c",
        r"A\ ".rstrip(" "),
        r"\c",
        "a/b",
        "a:b",
        "a|b",
        "a*",
        '"a"',
        "@group",
        "&a",
        "a@",
        "a@b@c",
        r"A\b@c",
        "...",
        " a",
        "a%u",
        "10.0.0.5",
        "::1",
        "a\u200bb",
    ],
)
def test_other_users_are_refused(tmp_path: Path, user: str) -> None:
    """Windows does not know them, or Samba would read something else."""
    assert codes(load_text(tmp_path, cifs("a", f", access: [{{type: user, to: '{user}', level: rw}}]"))) == ["user"]


def test_one_document_gives_the_same_rule_to_several_shares(tmp_path: Path) -> None:
    """As if each had a document of its own; a selection of one share finds it too."""
    rule = document("AccessRule", "r", "{shares: [b, a], type: ip, to: 10.0.0.0/8, level: ro}", ", labels: {l: r}")
    desired = load_text(tmp_path, share("a") + share("b") + share("c") + rule).desired
    wanted = (AccessRule("ip", "10.0.0.0/8", "ro"),)
    assert [desired.access(f"share/{name}") for name in "abc"] == [wanted, wanted, ()]
    assert desired.digests["share/a"][16:] == desired.digests["share/b"][16:] == access_digest(wanted)
    assert str(desired.source("share/b/access/ip:10.0.0.0/8")) == "a.yaml:18:18"
    assert desired.labels_of("share/b/access/ip:10.0.0.0/8") == {"l": "r"}
    assert desired.rule_documents() == dict.fromkeys(("share/a", "share/b"), frozenset({"ip:10.0.0.0/8"}))
    selected = load_folder(tmp_path, only={"share/a"}).desired
    assert (selected.access("share/a"), selected.digests) == (wanted, {"share/a": desired.digests["share/a"]})


def test_rules_of_both_origins_make_one_sorted_set(tmp_path: Path) -> None:
    """Addresses are canonical, and the digest is that of the whole set."""
    first = share("a", ", access: [{type: ip, to: 10.0.0.5/32, level: rw}, {type: ip, to: 2001:DB8::/32, level: ro}]")
    rule = document("AccessRule", "r", "{share: a, type: ip, to: 10.0.0.0/8, level: ro}", ", labels: {l: r}")
    desired = load_text(tmp_path, first + rule).desired
    assert desired.access("share/a") == (
        AccessRule("ip", "10.0.0.0/8", "ro"),
        AccessRule("ip", "10.0.0.5", "rw"),
        AccessRule("ip", "2001:db8::/32", "ro"),
    )
    inline = share(
        "a",
        ", access: [{type: ip, to: 2001:db8::/32, level: ro}, {type: ip, to: 10.0.0.5, level: rw}, {type: ip, to: 10.0.0.0/8, level: ro}]",
    )
    assert desired.digests == load_text(tmp_path / "other", inline).desired.digests
    assert str(desired.source("share/a/access/ip:10.0.0.0/8")) == "a.yaml:8:18"
    assert str(desired.source("share/a/access/ip:10.0.0.5")) == "a.yaml:4:44"
    assert str(desired.field_source("share/a/access/ip:10.0.0.0/8", "spec", "level")) == "a.yaml:9:51"
    assert str(desired.field_source("share/a/access/ip:10.0.0.5", "spec")) == "a.yaml:4:44"
    assert desired.labels_of("share/a/access/ip:10.0.0.0/8") == {"l": "r"}
    assert desired.labels_of("share/a/access/ip:10.0.0.5") == {}
    with pytest.raises(KeyError):
        desired.source("share/a/access/ip:10.9.9.9")


def test_anchors_and_merge_keys_serve_manifests(tmp_path: Path) -> None:
    """Also for the place of a field that was merged in."""
    text = (
        "apiVersion: sharectl/v1\nkind: Share\nmetadata: {name: a, annotations: {x: &size 2GiB}}\n"
        "spec:\n  <<: [{protocol: NFS}, {protect: true}]\n  size: *size\n"
    )
    desired = load_text(tmp_path, text).desired
    spec = desired.share("share/a")
    assert (spec.size_bytes, spec.protect) == (2 << 30, True)
    assert str(desired.field_source("share/a", "spec", "protect")) == "a.yaml:5:35"
    assert str(desired.field_source("share/a", "spec", "size")) == "a.yaml:3:38"
    assert str(desired.field_source("share/a", "spec", "nowhere")) == "a.yaml:5:3"


def test_a_move_is_known_by_its_new_address(tmp_path: Path) -> None:
    """Former names in order, each once."""
    text = share("a", metadata=", annotations: {sharectl/moved-from: 'x, y, x'}") + document(
        "Snapshot", "s", "{share: a}", ", annotations: {sharectl/moved-from: t}"
    )
    assert load_text(tmp_path, text).desired.moves == {"share/a": ("share/x", "share/y"), "snapshot/s": ("snapshot/t",)}


def test_asking_for_what_is_not_there_is_a_key_error(tmp_path: Path) -> None:
    """Also for the right name with the wrong kind."""
    desired = load_text(tmp_path, share("a")).desired
    for ask in (desired.share, desired.snapshot, desired.access, desired.source):
        with pytest.raises(KeyError):
            ask("snapshot/a" if ask == desired.share else "share/b")


def test_standard_input_is_read_once(tmp_path: Path) -> None:
    """Diagnostics call it <stdin>."""
    arguments = {"base_directory": tmp_path, "cache": None, "drivers": DriverSchemas({}.get, tuple)}
    loaded = load(["-", "-"], stdin=io.BytesIO(share("a", ", x: 1").encode()), **arguments)
    assert [brief(diagnostic) for diagnostic in loaded.diagnostics] == [("<stdin>:4:35", "manifest.unknown-field")]
    assert codes(load(["-"], stdin=None, **arguments)) == ["unreadable"]
    assert codes(load(["-"], stdin=io.BytesIO(b"# a"), **arguments)) == ["empty", "none"]


DOCUMENTS = (
    share("a", ", type: t, access: [{type: ip, to: 10.0.0.1, level: rw}]"),
    share("b", ", sourceSnapshot: s"),
    document("Snapshot", "s", "{share: a}"),
    document("ShareType", "t", "{extraSpecs: {x: 1}}"),
    document("Backend", "b", "{driver: open}"),
    document("AccessRule", "r", "{share: a, type: ip, to: 10.0.0.2, level: rw}"),
    document("AccessRule", "q", "{share: b, type: ip, to: 10.0.0.2, level: rw}"),
)


@given(
    order=st.permutations(range(len(DOCUMENTS))),
    cuts=st.lists(st.booleans(), min_size=len(DOCUMENTS), max_size=len(DOCUMENTS)),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_of_documents_and_files_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], cuts: list[bool]
) -> None:
    """Digests, rules and settings are the same."""
    folder = tmp_path_factory.mktemp("order")
    files = [""]
    for number, cut in zip(order, cuts, strict=True):
        files[-1] += DOCUMENTS[number]
        if cut:
            files.append("")
    for number, text in enumerate(filter(None, files)):
        (folder / f"{number}.yaml").write_text(text)
    loaded = load_folder(folder)
    base = load_text(folder / "base", "".join(DOCUMENTS)).desired
    (folder / "base" / "a.yaml").unlink()
    assert not loaded.diagnostics
    assert loaded.desired.digests == base.digests
    assert loaded.desired.access("share/a") == base.access("share/a")
    assert loaded.desired.backends == base.backends


WORDS = (
    "apiVersion",
    "kind",
    "metadata",
    "spec",
    "name",
    "Share",
    "size",
    "access",
    "[]",
    "{}",
    "null",
    "1",
    ": ",
    "\n",
    "- ",
    "x",
    "&a",
    "*a",
    "<<: *a",
    "'",
    "---\n",
    "\x00",
    "\ufffe",
)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_no_mutation_of_valid_manifests_makes_a_traceback(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """Words are cut out, doubled and replaced; each result is loaded or diagnosed."""
    randomness = random.Random(seed)  # noqa: S311 - a test's randomness
    text = "".join(randomness.sample(DOCUMENTS, 3))
    for _ in range(randomness.randint(1, 6)):
        begin = randomness.randrange(len(text))
        end = begin + randomness.randint(0, 12)
        text = text[:begin] + randomness.choice((*WORDS, "")) + text[end:]
    loaded = load_text(tmp_path_factory.mktemp("mutation"), text)
    for diagnostic in loaded.diagnostics:
        assert diagnostic.source is not None
        assert diagnostic.summary


def test_cycles_of_any_length_are_named_once(tmp_path: Path) -> None:
    """Two cycles, with a tail that leads into one of them."""
    links = [("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"), ("e", "e")]
    text = "".join(
        share(name, f", sourceSnapshot: {name}s") + document("Snapshot", f"{name}s", f"{{share: {source}}}")
        for name, source in links
    )
    summaries = [diagnostic.summary for diagnostic in load_text(tmp_path, text).diagnostics]
    assert summaries == [
        "a cycle: share/a → snapshot/as → share/b → snapshot/bs → share/c → snapshot/cs → share/a",
        "a cycle: share/e → snapshot/es → share/e",
    ]


def test_the_first_of_two_namesakes_is_named(tmp_path: Path) -> None:
    """Across files too."""
    for name, kind in itertools.product("ab", ("b", "c")):
        (tmp_path / f"{name}{kind}.yaml").write_text(share("x"))
    summaries = [diagnostic.summary for diagnostic in load_folder(tmp_path).diagnostics]
    assert summaries == ["the Share 'x' is described twice; the other place is ab.yaml:3:18"] * 3


def test_a_place_in_a_file_of_many_documents_is_that_of_the_whole_file(tmp_path: Path) -> None:
    """Whatever separates the documents, and whatever line ends they have: only the one document is read for it."""
    text = (
        "# first\n"
        + share("a", ", access: [{type: ip, to: 10.0.0.1, level: rw}]")
        + "\ufeff"
        + share("b")
        + "# nothing\n---\n"
        + share("c").replace("---\n", "...\n--- # and\n")
        + "%YAML 1.2\n---\n"
        + share("d")
        + "--- {apiVersion: sharectl/v1, kind: Share, metadata: {name: e},\nspec: {size: 1GiB, protocol: NFS}}\n"
    )
    for ends in ("\n", "\r\n"):
        desired = load_text(tmp_path, text.replace("\n", ends)).desired
        lines = text.replace("\ufeff", "").split("\n")
        assert len(desired.digests) == 5
        for address in desired.digests:
            name = address.removeprefix("share/")
            (line,) = (number for number, found in enumerate(lines, 1) if f"name: {name}" in found)
            assert desired.source(address).line == line
            assert f"name: {name}" in str(desired.source(address).excerpt)
            size = desired.field_source(address, "spec", "size")
            assert lines[size.line - 1][size.column - 1 :].startswith("1GiB")
            assert str(size.excerpt) == lines[size.line - 1]
        rule = desired.source("share/a/access/ip:10.0.0.1")
        assert (rule.line, rule.column) == (5, 44)


def test_what_is_masked_stays_masked_when_places_are_asked_for_later(tmp_path: Path) -> None:
    """Also when so many other files were looked into that the first has to be read again."""
    text = document("Backend", "b", "{driver: simulated, config: {colour: hunter2}}")
    for number in range(20):
        (tmp_path / f"s{number}.yaml").write_text(share(f"s{number}"))
    readable = load_text(tmp_path, text).readable
    for number in range(20):
        assert readable.field_source(f"share/s{number}", "spec", "size").line == 4
    assert "hunter2" not in str(readable.field_source("backend/b", "spec", "driver").excerpt)


def test_a_mistake_in_a_large_file_takes_no_more_room_than_the_file(tmp_path: Path) -> None:
    """Only its own document is read again for its place."""
    documents = [share(f"s{number}") for number in range(2000)]
    assert codes(load_text(tmp_path, share("last", ", x: 1"))) == [
        "unknown-field"
    ]  # what is imported for it takes room, too
    peaks = []
    for last in ("", ", x: 1", ", type: none"):
        tracemalloc.start()
        loaded = load_text(tmp_path, "".join(documents) + share("last", last))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(loaded.diagnostics) == (1 if last else 0)
        assert all(str(found.source).startswith("a.yaml:10004:") for found in loaded.diagnostics)
    assert max(peaks) < 1.5 * peaks[0]
