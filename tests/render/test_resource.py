"""One resource with everything known of it, and how to mount it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.model.canonical import canonical_json
from sharectl.model.observed import ObservedShare
from sharectl.model.specs import ShareSpec, SnapshotSpec
from sharectl.render.resource import resource_lines, resource_object
from sharectl.render.text import Look
from sharectl.workspace.inspection import ResourceView
from tests.render.samples import GIB, RULES, a_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Golden = Callable[[str, Iterable[str]], None]

SNAPSHOT = a_record(
    "snapshot/daily",
    kind="snapshot",
    spec=canonical_json({"name": "daily", "share": "home"}),
    attributes=canonical_json(
        {
            "backend_id": "default/home@daily",
            "name": "daily",
            "share_backend_id": "default/home",
            "share_resource_id": "id",
        }
    ),
    size_bytes=GIB,
)
SEEN = ObservedShare(
    "id",
    "default/home",
    "home",
    "default",
    120 * GIB,
    "NFS",
    (RULES[0].rule,),
    ("nas1.example:/srv/home", "[fd00::1]:/srv/home"),
)


def test_a_share_that_is_there(golden: Golden) -> None:
    """Its place, size, use, access with the status of each rule, mount commands and snapshots."""
    spec = ShareSpec(
        "home",
        100 * GIB,
        "NFS",
        share_type="gold",
        availability_zone="az1",
        share_network="tenant",
        protect=True,
        labels={"team": "research"},
    )
    view = ResourceView(
        "share/home", spec, a_record(), RULES, (SNAPSHOT, a_record("snapshot/odd", size_bytes=None)), SEEN, 30 * GIB
    )
    golden("resource.txt", resource_lines(view))
    golden("resource-color.txt", resource_lines(view, Look(color=True)))


def test_a_share_that_the_backend_was_not_asked_about(golden: Golden) -> None:
    """What the state remembers is shown; its manifest may be gone."""
    golden("resource-remembered.txt", resource_lines(ResourceView("share/home", None, a_record())))


def test_a_share_that_is_only_planned(golden: Golden) -> None:
    """It has no place yet."""
    golden("resource-planned.txt", resource_lines(ResourceView("share/x", ShareSpec("x", GIB, "CIFS"), None)))


def test_a_share_of_no_size_has_no_percentage() -> None:
    """A backend may report zero."""
    view = ResourceView("share/home", None, a_record(), observed=SEEN._replace(size_bytes=0), used_bytes=5)
    assert "  used           5 B" in resource_lines(view)


def test_a_share_in_the_trash_says_since_when() -> None:
    """And has no export locations."""
    trashed = SEEN._replace(trashed_at="2026-01-02T03:04:05+00:00", export_locations=())
    lines = list(resource_lines(ResourceView("share/home", None, a_record(), observed=trashed)))
    assert "  in the trash   since 2026-01-02T03:04:05+00:00" in lines
    assert "Export locations" not in lines


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("snapshot", ResourceView("snapshot/daily", SnapshotSpec("daily", "home"), SNAPSHOT)),
        ("snapshot-forgotten", ResourceView("snapshot/daily", None, SNAPSHOT)),
        (
            "backend",
            ResourceView(
                "backend/nas1",
                None,
                a_record(
                    "backend/nas1",
                    kind="backend",
                    size_bytes=None,
                    spec=b'{"driver":"directory"}',
                    attributes=b'{"identity":"u"}',
                ),
            ),
        ),
        ("aside", ResourceView("share/home", None, a_record(backend=None, pool=None))),
    ],
)
def test_other_kinds(golden: Golden, name: str, view: ResourceView) -> None:
    """Snapshots name their share; a backend's identity is its id."""
    golden(f"resource-{name}.txt", resource_lines(view))
    assert orjson.loads(orjson.dumps(resource_object(view)))["address"] == view.address


def test_a_resource_as_json() -> None:
    """Everything in the text, with the mount commands."""
    view = ResourceView("share/home", None, a_record(), RULES, (SNAPSHOT,), SEEN, 30 * GIB)
    plain = orjson.loads(orjson.dumps(resource_object(view)))
    assert (plain["format"], plain["version"]) == ("sharectl-resource", 1)
    assert plain["in_manifests"] is False
    assert plain["spec"]["share_type"] == "gold"
    assert plain["observed"]["access"] == [{"access_type": "ip", "access_to": "10.0.0.0/8", "access_level": "rw"}]
    four, six = plain["export_locations"]
    assert (four["location"], four["host"], four["path"], four["ip_version"]) == (
        "nas1.example:/srv/home",
        "nas1.example",
        "/srv/home",
        None,
    )
    assert (six["host"], six["ip_version"]) == ("fd00::1", 6)
    assert four["mount"][0] == {
        "system": "Linux",
        "command": "mount -t nfs nas1.example:/srv/home /mnt/home",
    }
    assert (plain["snapshots"], plain["used_bytes"]) == (["snapshot/daily"], 30 * GIB)


def test_a_planned_resource_as_json_has_no_record() -> None:
    """What is not known is null."""
    plain = resource_object(ResourceView("share/x", ShareSpec("x", GIB, "NFS"), None))
    assert (plain["record"], plain["observed"], plain["export_locations"]) == (None, None, [])
