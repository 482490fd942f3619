"""Whatever instant the agent is killed at while it makes or removes a share server, the same request repeated finishes it."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.drivers.linux.lab import need
from tests.drivers.linux.tenants import namespaces
from tests.drivers.linux.test_linux_crashes import MIB, answers_of

if TYPE_CHECKING:
    from tests.drivers.linux.tenants import Switch

SERVER = "{n}" + uuid.uuid4().hex[:4] + "-0000-4000-8000-000000000000"
"""Other tests make namespaces of share servers at the same time; the ids of these are their own."""

CREATE = [
    "create_share_server",
    {
        "resource_id": SERVER,
        "name": "tenant-default",
        "share_network": "tenant",
        "security_services": [],
        "allocations": [
            {
                "allocation_id": f"{SERVER}/0",
                "share_server_id": SERVER,
                "ip_address": "10.20.0.10",
                "ip_version": 4,
                "cidr": "10.20.0.0/24",
                "gateway": "10.20.0.1",
                "network_type": "vxlan",
                "segmentation_id": 100,
                "mtu": 1450,
            }
        ],
    },
]
DELETE = ["delete_share_server", {"resource_id": SERVER}]


@pytest.fixture
def job(lab_directory: str, switch: Switch) -> dict[str, Any]:
    """Give a job without requests, on a backend with share servers that serve NFS."""
    need("mkfs.btrfs", "ganesha.nfsd", "dbus-daemon", file_system="btrfs")
    pool = {"type": "loop", "path": f"{lab_directory}/pool", "image": f"{lab_directory}/pool.img"}
    settings = {
        "root": f"{lab_directory}/root",
        "addresses": [],
        "export_hosts": [],
        "namespace": switch.path,
        "pools": {"fast": {**pool, "image_size_bytes": 256 * MIB, "mode": 0o777, "uid": 0, "gid": 0}},
        "nfs": {
            "server": "ganesha",
            "port": 2049,
            "squash": "none",
            "security": ["sys"],
            "minor_versions": [1, 2],
            "insecure": False,
            "anonymous": [65534, 65534],
        },
        "smb": {
            "enabled": False,
            "port": 445,
            "signing": "required",
            "encryption": "optional",
            "disk_free": "pool",
            "macos": False,
            "browsing": False,
            "treatment": {},
        },
        "tenant_networks": {"vxlan": {"local": "192.0.2.10", "remotes": ["192.0.2.11"], "port": 4789}},
    }
    return {"settings": settings, "lists": [["list_share_servers", {"resource_ids": None}]]}


def test_a_share_server_is_made_once_and_whole(job: dict[str, Any], lab_directory: str, switch: Switch) -> None:
    """With one namespace, one port, one tunnel; and its removal afterwards leaves nothing."""
    before = switch.links()
    answers = answers_of({**job, "before": [["prepare", {}]], "request": CREATE, "after": [DELETE]})
    for number, servers in answers:
        server_id = SERVER.replace("{n}", f"{number:04d}")
        assert servers == [
            {
                "resource_id": server_id,
                "backend_id": f"sharectl-{server_id}",
                "name": "tenant-default",
                "ip_addresses": ["10.20.0.10"],
                "healthy": True,
                "problem": "",
            }
        ]
    assert switch.links() == before
    assert not {name for name in namespaces() if name.endswith(SERVER.removeprefix("{n}"))}
    assert list(Path(lab_directory, "root", "servers").iterdir()) == []


def test_a_share_server_is_removed_with_all_that_belongs_to_it(
    job: dict[str, Any], lab_directory: str, switch: Switch
) -> None:
    """However often the removal was cut short."""
    before = switch.links()
    answers = answers_of({**job, "before": [["prepare", {}], CREATE], "request": DELETE, "after": []})
    assert all(servers == [] for _, servers in answers)
    assert switch.links() == before
    assert not {name for name in namespaces() if name.endswith(SERVER.removeprefix("{n}"))}
    assert list(Path(lab_directory, "root", "servers").iterdir()) == []
