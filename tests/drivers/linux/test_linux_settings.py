"""The configuration of a linux backend: what it means, and what is refused at which place, before any host is reached."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

from sharectl.drivers.base import Capability, ChecksConfig, DriverEnvironment, DriverError, capabilities_of
from sharectl.drivers.linux.agent.operations import open_backend
from sharectl.drivers.linux.agent.smb.treatment import RecycleBin, TimeMachine
from sharectl.drivers.linux.connection import AgentConnection
from sharectl.drivers.linux.exports import share_settings
from sharectl.drivers.linux.schema import CONFIG_SCHEMA
from sharectl.drivers.linux.settings import (
    HostSettings,
    NfsSettings,
    PoolSettings,
    SmbSettings,
    SshSettings,
    VxlanSettings,
    read_settings,
)
from sharectl.drivers.linux.share_checks import offer_problems
from sharectl.drivers.registry import driver_factory, driver_names, make_secret_resolver
from sharectl.manifests.project import find_project
from sharectl.model.backends import BackendSpec
from sharectl.model.diagnostics import Severity
from sharectl.workspace.validation import load_manifests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.model.diagnostics import Diagnostic

POOL: dict[str, Any] = {"type": "btrfs", "path": "/srv/pool"}
LOOP: dict[str, Any] = {"type": "loop", "path": "/srv/trial", "image": "/var/trial.img", "size": "10 GiB"}


def config(**changes: object) -> dict[str, Any]:
    """Return a configuration that works, with changes; None leaves a field out."""
    whole: dict[str, Any] = {"addresses": ["10.0.0.5"], "pools": {"fast": POOL}, **changes}
    return {field: value for field, value in whole.items() if value is not None}


def backend(**changes: Any) -> BackendSpec:  # noqa: ANN401 - parts of documents have many types
    """Return a backend with such a configuration."""
    share_servers = changes.pop("share_servers", False)
    return BackendSpec("nas", "linux", config(**changes), share_servers=share_servers)


def problems(spec: BackendSpec) -> list[tuple[str, str]]:
    """Return what the factory finds: where, and what."""
    factory = driver_factory("linux")
    assert isinstance(factory, ChecksConfig)
    return [(".".join(map(str, found.path)), found.summary) for found in factory.config_problems(spec)]


def is_valid(**changes: object) -> bool:
    """Tell whether such a configuration meets the schema."""
    return jsonschema_rs.Draft202012Validator(CONFIG_SCHEMA).is_valid(config(**changes))


def test_the_driver_is_known() -> None:
    """By its name, with what it can do."""
    assert "linux" in driver_names()
    factory = driver_factory("linux")
    assert factory.config_schema is CONFIG_SCHEMA
    assert {
        *(Capability.EXTEND, Capability.SHRINK, Capability.SNAPSHOT, Capability.CLONE),
        *(Capability.REVERT, Capability.TRASH, Capability.ADOPT, Capability.USAGE),
    } <= factory.capabilities


def test_a_backend_is_opened_without_reaching_its_host(tmp_path: Path) -> None:
    """And its driver has the capabilities that the factory names."""
    factory = driver_factory("linux")
    spec = backend(host={"ssh": {"address": "nas.invalid"}})
    driver = factory.open(spec, DriverEnvironment(str(tmp_path), make_secret_resolver(str(tmp_path))))
    assert capabilities_of(driver) == factory.capabilities
    driver.close()


def test_little_has_to_be_said() -> None:
    """Addresses and a pool; everything else has a default."""
    settings = read_settings(backend(), "/repository")
    assert settings.host == HostSettings(ssh=None, python=None, become="none")
    assert settings.root == "/var/lib/sharectl/nas"
    assert settings.namespace is None
    assert settings.pools == {"fast": PoolSettings("btrfs", "/srv/pool", "ext4", None, None, 0o777, 0, 0)}
    assert settings.nfs == NfsSettings("ganesha", 2049, "root", ("sys",), (1, 2))
    assert settings.smb == SmbSettings(enabled=False, port=445, users={})


def test_everything_can_be_said() -> None:
    """Each field means itself."""
    spec = backend(
        host={
            "ssh": {
                "address": "nas1",
                "port": 2222,
                "user": "storage",
                "identityFile": "keys/nas",
                "knownHostsFile": "~/nas_hosts",
                "connectTimeoutSeconds": 3,
            },
            "python": "/opt/python/bin/python3",
            "become": "sudo",
        },
        root="/srv/sharectl",
        addresses=["10.0.0.5", "fd00::5"],
        exportHost="nas1.example",
        namespace="/run/netns/storage",
        pools={
            "fast": {**POOL, "shareMode": "0750", "owner": {"uid": 7, "gid": 8}},
            "slow": {"type": "image", "path": "/srv/images", "fileSystem": "xfs"},
            "trial": LOOP,
        },
        tenantNetworks={
            "flat": {"bridge": "br0"},
            "vlan": {"bridge": "br-{id}"},
            "vxlan": {"local": "10.1.0.1", "remotes": ["10.1.0.2"], "port": 8472},
        },
        nfs={
            "server": "ganesha",
            "port": 12049,
            "squash": "none",
            "insecure": True,
            "anonymous": {"uid": 9},
            "security": ["sys"],
            "versions": ["4.0", "4.2"],
        },
        smb={
            "port": 1445,
            "signing": "optional",
            "encryption": "required",
            "diskFree": "pool",
            "browsing": True,
            "macos": True,
            "timeMachine": {"enabled": False, "maxSize": "1GiB"},
            "recycleBin": {"folder": "Trash", "keepTree": False, "versions": False, "visible": False},
            "previousVersions": True,
            "users": {"alice": {"password": {"env": "ALICE"}}},
        },
    )
    assert problems(spec) == []
    settings = read_settings(spec, "/repository")
    assert settings.host.ssh == SshSettings(
        "nas1", 2222, "storage", "/repository/keys/nas", str(Path.home() / "nas_hosts"), 3
    )
    assert (settings.host.python, settings.host.become) == ("/opt/python/bin/python3", "sudo")
    assert settings.pools["fast"] == PoolSettings("btrfs", "/srv/pool", "ext4", None, None, 0o750, 7, 8)
    assert settings.pools["slow"].file_system == "xfs"
    assert settings.pools["trial"].image_size_bytes == 10 << 30
    assert settings.tenant_networks.vxlan == VxlanSettings("10.1.0.1", ("10.1.0.2",), 8472)
    assert settings.nfs == NfsSettings(
        "ganesha", 12049, "none", ("sys",), (0, 2), insecure=True, anonymous=(9, 65534), has_squash=True
    )
    assert settings.smb == SmbSettings(
        enabled=True,
        port=1445,
        users={"alice": {"env": "ALICE"}},
        signing="optional",
        encryption="required",
        disk_free="pool",
        browsing=True,
        macos=True,
        time_machine=TimeMachine(1 << 30),
        has_recycle_bin=True,
        recycle_bin=RecycleBin("Trash", keep_tree=False, versions=False, visible=False),
        previous_versions=True,
    )


def test_the_agent_gets_plain_values_without_secrets() -> None:
    """Neither passwords, nor references to them, nor the way to the host."""
    spec = backend(
        host={"ssh": {"address": "nas1", "identityFile": "/keys/nas"}},
        tenantNetworks={"flat": {"bridge": "br0"}, "vlan": {"bridge": "br-{id}"}, "vxlan": {"local": "10.1.0.1"}},
        smb={"users": {"alice": {"password": {"env": "ALICE"}}}},
    )
    plain = json.loads(json.dumps(read_settings(spec, "/").for_agent()))
    assert plain["nfs"]["minor_versions"] == [1, 2]
    assert plain["tenant_networks"] == {
        "flat": {"bridge": "br0"},
        "vlan": {"bridge": "br-{id}"},
        "vxlan": {"local": "10.1.0.1", "remotes": [], "port": 4789},
    }
    assert plain["pools"]["fast"]["mode"] == 0o777
    assert plain["smb"] == {
        "enabled": True,
        "port": 445,
        "signing": "required",
        "encryption": "optional",
        "disk_free": "share",
        "guests": False,
        "macos": False,
        "browsing": False,
        "treatment": {"recycle_bin": None, "previous_versions": False, "macos": False, "time_machine": None},
    }
    assert not any(word in json.dumps(plain) for word in ("ALICE", "alice", "nas1", "/keys"))


def test_the_watch_opens_a_backend_by_the_settings_of_an_older_sharectl(tmp_path: Path) -> None:
    """Which say nothing of what SMB shares offer; they stay on the host until the next change."""
    plain = {**read_settings(backend(), "/").for_agent(), "root": str(tmp_path / "root")}
    del plain["smb"]["treatment"]
    assert open_backend(plain).restore() == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"addresses": ["10.0.0.5"]}, ("10.0.0.5",)),
        ({"addresses": ["10.0.0.5", "10.0.0.6", "fd00::5", "fd00::6"]}, ("10.0.0.5", "fd00::5")),
        ({"addresses": ["fd00::5", "10.0.0.5"]}, ("fd00::5", "10.0.0.5")),
        ({"addresses": ["10.0.0.5"], "exportHost": "nas1"}, ("nas1",)),
    ],
)
def test_locations_carry_the_first_address_of_each_kind_or_the_host_name(
    changes: dict[str, Any], expected: tuple[str, ...]
) -> None:
    """In the order of the manifest."""
    settings = read_settings(backend(**changes), "/")
    assert settings.export_hosts == expected
    assert settings.for_agent()["export_hosts"] == list(expected)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"addresses": None}, ("", "`addresses` is missing")),
        ({"addresses": ["nas1"]}, ("addresses.0", "'nas1' is not an address")),
        ({"addresses": ["10.0.0.5", "10.0.0.0/24"]}, ("addresses.1", "'10.0.0.0/24' is not an address")),
        ({"addresses": ["fd00::5", "fd00:0::5"]}, ("addresses.1", "'fd00:0::5' is the same address as 'fd00::5'")),
        ({"addresses": ["FD00::5"]}, ("addresses.0", "'FD00::5' is another spelling of 'fd00::5'")),
        ({"addresses": ["::"]}, ("addresses.0", "clients cannot mount from ::")),
        ({"addresses": ["fe80::1"]}, ("addresses.0", "clients cannot mount from fe80::1")),
        ({"addresses": ["239.1.1.1"]}, ("addresses.0", "clients cannot mount from 239.1.1.1")),
        (
            {"pools": {"a": {**POOL, "path": "/srv/../etc"}}},
            ("pools.a.path", "'/srv/../etc' has an empty part, `.`, `..`, or a part with a space at its end"),
        ),
        ({"pools": {"a": {**POOL, "path": "/srv/a\n"}}}, ("pools.a.path", "'/srv/a\\n' has a control character")),
        (
            {"pools": {"a": {**POOL, "path": "/srv/pool/"}}},
            ("pools.a.path", "'/srv/pool/' has an empty part, `.`, `..`, or a part with a space at its end"),
        ),
        (
            {"pools": {"a": {**POOL, "path": "/srv/.sharectl"}}},
            ("pools.a.path", "'/srv/.sharectl' is the agent's own folder"),
        ),
        (
            {"pools": {"a": {**POOL, "path": "/home"}}},
            ("pools.a.path", "'/home' is the host's own, and the folder of a pool is closed to everybody on the host"),
        ),
        (
            {"pools": {"a": {**POOL, "path": "/etc/shares"}}},
            (
                "pools.a.path",
                "'/etc/shares' is the host's own, and the folder of a pool is closed to everybody on the host",
            ),
        ),
        (
            {"pools": {"a": {**POOL, "size": "10GiB"}}},
            ("pools.a.size", "a pool of type btrfs has no `size`"),
        ),
        (
            {"pools": {"a": {**POOL, "fileSystem": "xfs"}}},
            ("pools.a.fileSystem", "a pool of type btrfs has no `fileSystem`"),
        ),
        (
            {"pools": {"a": {**LOOP, "fileSystem": "xfs"}}},
            ("pools.a.fileSystem", "a pool of type loop has no `fileSystem`"),
        ),
        ({"pools": {"a": {**LOOP, "size": "100MB"}}}, ("pools.a.size", "100MB is too small for btrfs")),
        (
            {"pools": {"a": {**LOOP, "size": "0GiB"}}},
            ("pools.a.size", "'0GiB' is not a size that a file can have"),
        ),
        (
            {"pools": {"a": {**LOOP, "image": "/srv/trial/it.img"}}},
            ("pools.a.image", "the image file is in the folder that it is mounted on"),
        ),
        (
            {"pools": {"a": POOL, "b": {**POOL, "path": "/srv/pool/b"}}},
            ("pools.b.path", "the pool 'b' is inside the pool 'a'"),
        ),
        ({"pools": {"a": POOL, "b": POOL}}, ("pools.b.path", "the pool 'b' is inside the pool 'a'")),
        (
            {"pools": {"a": LOOP, "b": {**LOOP, "path": "/srv/b"}}},
            ("pools.b.image", "the pool 'a' has the same image file"),
        ),
        (
            {"pools": {"a": {**POOL, "path": "/var/lib/sharectl/nas/pool"}}},
            ("pools.a.path", "the pool 'a' and the root, /var/lib/sharectl/nas, are one inside the other"),
        ),
        (
            {"root": "/srv/pool/root"},
            ("pools.fast.path", "the pool 'fast' and the root, /srv/pool/root, are one inside the other"),
        ),
        (
            {"tenantNetworks": {"vxlan": {"local": "nas1"}}},
            ("tenantNetworks.vxlan.local", "'nas1' is not an address"),
        ),
        (
            {"tenantNetworks": {"vxlan": {"local": "10.0.0.1", "remotes": ["10.0.0.2", "xx"]}}},
            ("tenantNetworks.vxlan.remotes.1", "'xx' is not an address"),
        ),
        (
            {"tenantNetworks": {"vxlan": {"local": "10.0.0.1", "remotes": ["fd00::1"]}}},
            ("tenantNetworks.vxlan", "a tunnel has two ends of one kind, IPv4 or IPv6"),
        ),
        (
            {"nfs": {"security": ["sys", "krb5p"]}},
            ("nfs.security.1", "the linux driver cannot set up Kerberos for NFS yet (krb5p)"),
        ),
        (
            {"nfs": {"server": "kernel", "port": 12049}},
            ("nfs.port", "the port of the host's own NFS server is set on the host"),
        ),
        (
            {"nfs": {"server": "kernel", "versions": ["4.2"]}},
            ("nfs.versions", "the versions of the host's own NFS server are set on the host"),
        ),
        (
            {"nfs": {"server": "kernel", "mountPort": 20048}},
            ("nfs.mountPort", "the mountPort of the host's own NFS server is set on the host"),
        ),
        (
            {"nfs": {"server": "kernel", "snapshots": True}},
            ("nfs.snapshots", "clients of the host's own NFS server cannot be shown snapshots"),
        ),
        ({"nfs": {"mountPort": 20048}}, ("nfs.mountPort", "NFSv4 has no MOUNT protocol that needs a port")),
        ({"nfs": {"versions": ["3"]}}, ("nfs.versions", "NFSv3 comes beside NFSv4 alone")),
        (
            {"nfs": {"versions": ["3", "4.2"], "mountPort": 111}},
            ("nfs.mountPort", "111 is where clients of NFSv3 ask for ports"),
        ),
        (
            {"nfs": {"versions": ["3", "4.2"], "port": 20048}},
            ("nfs.port", "NFS and its MOUNT protocol need a port each"),
        ),
        (
            {"nfs": {"versions": ["3", "4.2"]}, "root": "/run/sharectl"},
            (
                "nfs.versions",
                "the root /run/sharectl is in /run, in place of which an NFS server that speaks NFSv3 sees another folder",
            ),
        ),
        (
            {"nfs": {"server": "kernel"}, "namespace": "/run/netns/storage"},
            ("nfs.server", "the host's own NFS server serves no network namespace"),
        ),
        (
            {"smb": {"timeMachine": {}}},
            ("smb.timeMachine", "Time Machine needs a server that speaks with Macs"),
        ),
        (
            {"smb": {"macos": True, "timeMachine": {"maxSize": "0B"}}},
            ("smb.timeMachine.maxSize", "'0B' is not a size that a share can have"),
        ),
        (
            {"smb": {"activeDirectory": {"domain": "corp.example"}}},
            ("smb.activeDirectory", "the linux driver cannot join an Active Directory yet"),
        ),
        (
            {"smb": {"users": {"root": {"password": {"env": "A"}}}}},
            ("smb.users.root", "'root' cannot be an SMB user: the server needs the account root itself"),
        ),
        (
            {"smb": {"users": {"Nobody": {"password": {"env": "A"}}}}},
            ("smb.users.Nobody", "'Nobody' cannot be an SMB user: the server needs the account nobody itself"),
        ),
        (
            {"smb": {"users": {"www-data": {"password": {"env": "A"}}}}},
            ("smb.users.www-data", "'www-data' cannot be an SMB user: www-data is a system account"),
        ),
        (
            {"smb": {"users": {"alice": {"password": {"env": "A"}}, "Alice": {"password": {"env": "A"}}}}},
            ("smb.users.Alice", "'Alice' and 'alice' are one user to Windows and Samba"),
        ),
        (
            {"smb": {"users": {"alice": {"password": {"env": "A"}}}, "groups": {"staff": ["Alice", "bob"]}}},
            ("smb.groups.staff.1", "the group 'staff' has a member 'bob', who is none of smb.users"),
        ),
        (
            {"smb": {"users": {}, "groups": {"staff": [], "Staff": []}}},
            ("smb.groups.Staff", "'Staff' and 'staff' are one group to Windows and Samba"),
        ),
        ({"nfs": {"server": "none"}}, ("", "neither an NFS nor an SMB server is left to export shares")),
    ],
)
def test_what_cannot_work_is_found_at_its_place(changes: dict[str, Any], expected: tuple[str, str]) -> None:
    """Though it meets the schema; and no driver is opened on it, whoever asks."""
    assert is_valid(**changes)
    assert problems(backend(**changes)) == [expected]
    place = ".".join(word for word in ("spec.config", expected[0]) if word)
    with pytest.raises(DriverError) as caught:
        read_settings(backend(**changes), "/")
    assert str(caught.value).startswith(f"backend nas, {place}: {expected[1]}; ")


@pytest.mark.parametrize("field", ["image", "size"])
def test_a_loop_pool_says_what_it_is_made_of(field: str) -> None:
    """Its file and the size of it."""
    pool = {name: value for name, value in LOOP.items() if name != field}
    assert problems(backend(pools={"a": pool})) == [("pools.a", f"`{field}` is missing in a loop pool")]


def test_share_servers_get_their_addresses_from_networks() -> None:
    """So the backend needs none of its own."""
    assert problems(backend(addresses=None, share_servers=True)) == []
    assert read_settings(backend(addresses=None, share_servers=True), "/").addresses == ()


def test_the_root_of_share_servers_with_smb_is_short() -> None:
    """Samba's sockets are below it, and a socket's path is short."""
    long = "/srv/" + "r" * 29
    assert problems(backend(addresses=None, share_servers=True, root=long)) == []
    assert problems(backend(addresses=None, share_servers=True, root=long[:-1], smb={})) == []
    ((place, words),) = problems(backend(addresses=None, share_servers=True, root=long, smb={}))
    assert place == "root"
    assert "at most 33 characters" in words


def test_the_kernels_server_is_one_and_share_servers_are_many() -> None:
    """So they need an NFS server of their own each."""
    found = problems(backend(addresses=None, share_servers=True, nfs={"server": "kernel"}))
    assert found == [("nfs.server", "the host has one NFS server of its own, and share servers need one each")]


def test_a_type_that_shows_snapshots_needs_ganesha() -> None:
    """Which the kernel's server cannot; a share of SMB alone has no part in it."""
    specs = {"linux:nfs_snapshots": "True"}
    for server, protocol, number in (("ganesha", "NFS", 0), ("kernel", "NFS", 1), ("kernel", "CIFS", 0)):
        settings = read_settings(backend(nfs={"server": server}, smb={}), "/")
        assert len(list(offer_problems(settings, protocol, specs, 1 << 30))) == number, (server, protocol)


def test_nfsv3_has_a_port_of_its_own_for_mounts() -> None:
    """Which has a default."""
    settings = read_settings(backend(nfs={"versions": ["3", "4.1", "4.2"]}), "/")
    assert (settings.nfs.v3, settings.nfs.minor_versions, settings.nfs.mount_port) == (True, (1, 2), 20048)
    told = read_settings(backend(nfs={"versions": ["4.2", "3"], "mountPort": 4002}), "/").for_agent()["nfs"]
    assert (told["v3"], told["minor_versions"], told["mount_port"]) == (True, (2,), 4002)


def test_smb_alone_is_enough() -> None:
    """A backend without NFS."""
    assert problems(backend(nfs={"server": "none"}, smb={})) == []


HOSTILE = ("a\nb", "a\0b", 'a"b', "a'b", "a\\b", "a`id`", "$HOME", "a;b", "a b\t", "-oProxyCommand=id", "", "a\r")


@pytest.mark.parametrize("value", [*HOSTILE, "user@host", "ssh://host", "host name", "a/b", "%h"])
def test_a_host_is_a_host(value: str) -> None:
    """Not an option, not a user, not a shell's word."""
    assert not is_valid(host={"ssh": {"address": value}})
    assert not is_valid(exportHost=value)


@pytest.mark.parametrize("value", [*HOSTILE, "a b", "root;id", "a:b"])
def test_a_user_is_a_user(value: str) -> None:
    """Of the storage host."""
    assert not is_valid(host={"ssh": {"address": "nas", "user": value}})


@pytest.mark.parametrize("value", [*HOSTILE, "python3 -c", "./python3", "bin/python3", "~/python3"])
def test_python_is_a_program(value: str) -> None:
    """By its name or its absolute path."""
    assert not is_valid(host={"python": value})


@pytest.mark.parametrize("value", ['a"b', "a\\b", "${HOME}/key", ""])
def test_files_of_ssh_are_paths(value: str) -> None:
    """They go into the grammar of ssh's configuration."""
    assert not is_valid(host={"ssh": {"address": "nas", "identityFile": value}})
    assert not is_valid(host={"ssh": {"address": "nas", "knownHostsFile": value}})


@pytest.mark.parametrize("value", [*HOSTILE, "relative", "/", "/a/../b", "/a/", "/a b", "/ä", "/a%b", "/" + "a" * 64])
def test_the_root_is_a_short_plain_path(value: str) -> None:
    """The servers' own configuration and their sockets are under it."""
    assert not is_valid(root=value)


@pytest.mark.parametrize("value", ['/a"b', "/a'b", "/a\\b", "/a%b", "/a$b", "/a`b", "relative", "/"])
def test_a_pool_is_at_a_plain_path(value: str) -> None:
    """What a server's configuration would read otherwise is refused."""
    assert not is_valid(pools={"fast": {**POOL, "path": value}})
    assert not is_valid(pools={"fast": {**LOOP, "image": value}})


@pytest.mark.parametrize("value", [*HOSTILE, "/run/netns/../x", "/run/netns/", "storage", "/tmp/x", "/run/netns/a b"])  # noqa: S108 - only a path in a case
def test_a_namespace_is_the_file_of_one(value: str) -> None:
    """As ip-netns(8) makes them."""
    assert not is_valid(namespace=value)


@pytest.mark.parametrize(
    "value", [*HOSTILE, "CORP\\alice", "alice@corp", "a:b", "a%b", "@group", "+group", "&x", "a/b", "[a]", " a", "a "]
)
def test_a_user_of_smb_is_a_plain_name(value: str) -> None:
    """Without a domain, and without signs that Samba reads."""
    assert not is_valid(smb={"users": {value: {"password": {"env": "A"}}}})


@pytest.mark.parametrize("value", [*HOSTILE, ".", "..", "a/b", "/a", "a b", "a%U", "trash.", "a;b", "a*", "x" * 65, 1])
def test_the_folder_of_a_recycle_bin_is_one_plain_name(value: object) -> None:
    """At the top of the share, and nowhere else."""
    assert is_valid(smb={"recycleBin": {"folder": ".Trash-1"}})
    assert not is_valid(smb={"recycleBin": {"folder": value}})


@pytest.mark.parametrize("value", ["hunter2", {"env": "A", "file": "b"}, {}, {"vault": "a"}])
def test_a_password_is_a_reference(value: object) -> None:
    """Never the secret itself."""
    assert not is_valid(smb={"users": {"alice": {"password": value}}})


@pytest.mark.parametrize(
    "changes",
    [
        {"pools": {}},
        {"pools": {"a b": POOL}},
        {"pools": {".a": POOL}},
        {"pools": {"a": {"type": "zfs", "path": "/a"}}},
        {"pools": {"a": {**POOL, "shareMode": "0888"}}},
        {"nfs": {"server": "samba"}},
        {"nfs": {"port": 0}},
        {"nfs": {"security": []}},
        {"nfs": {"security": ["none"]}},
        {"smb": {"port": 65536}},
        {"host": {"become": "su"}},
        {"addresses": []},
        {"tenantNetworks": {"vlan": {"bridge": "br0"}}},
        {"tenantNetworks": {"flat": {"bridge": "a/b"}}},
        {"unknown": 1},
    ],
)
def test_what_does_not_meet_the_schema_is_opened_by_nobody(changes: dict[str, Any]) -> None:
    """A driver does not rely on somebody having asked the schema before."""
    assert not is_valid(**changes)
    with pytest.raises(DriverError, match="the configuration of the backend nas does not meet the schema"):
        read_settings(backend(**changes), "/")


def test_every_field_of_the_schema_is_described() -> None:
    """Editors and the reference show the texts."""

    def undescribed(schema: dict[str, Any], path: str) -> Sequence[str]:
        found = []
        for name, field in schema.get("properties", {}).items():
            inner = f"{path}.{name}"
            if not field.get("description") and not field.get("properties"):
                found.append(inner)
            found += undescribed(field, inner)
            if isinstance(field.get("additionalProperties"), dict):
                found += undescribed(field["additionalProperties"], f"{inner}.*")
        return found

    assert undescribed(CONFIG_SCHEMA, "") == []


MANIFEST = """\
apiVersion: sharectl/v1
kind: Backend
metadata:
  name: nas
spec:
  driver: linux
  config:
    addresses:
      - 10.0.0.5
      - nowhere
    pools:
      fast: {type: btrfs, path: /srv/pool}
      inner: {type: btrfs, path: /srv/pool/inner}
    nfs:
      security: [krb5]
    smb:
      activeDirectory:
        domain: corp.example
"""


def diagnostics(folder: Path, manifest: str) -> list[tuple[str, int, int, str]]:
    """Return what is wrong with a repository of one manifest: code, line, column, summary."""
    (folder / "backend.yaml").write_text(manifest, encoding="utf-8")
    project = find_project(folder)
    found: Sequence[Diagnostic] = load_manifests(project, ["backend.yaml"], directory=folder).diagnostics
    assert all(diagnostic.severity is Severity.ERROR and diagnostic.remedy for diagnostic in found)
    return [
        (diagnostic.code, diagnostic.source.line, diagnostic.source.column, diagnostic.summary)
        for diagnostic in found
        if diagnostic.source is not None
    ]


def test_each_problem_is_shown_at_its_line_and_column(tmp_path: Path) -> None:
    """All of them at once."""
    assert diagnostics(tmp_path, MANIFEST) == [
        ("backend.config", 10, 9, "'nowhere' is not an address"),
        ("backend.config", 13, 34, "the pool 'inner' is inside the pool 'fast'"),
        ("backend.config", 15, 18, "the linux driver cannot set up Kerberos for NFS yet (krb5)"),
        ("backend.config", 18, 9, "the linux driver cannot join an Active Directory yet"),
    ]


def test_what_does_not_meet_the_schema_is_shown_in_words(tmp_path: Path) -> None:
    """With the schema's own remedy."""
    manifest = MANIFEST.partition("    nfs:")[0].replace("nowhere", "10.0.0.6").replace("/srv/pool/inner", "srv")
    ((code, line, _, summary),) = diagnostics(tmp_path, manifest)
    assert (code, line) == ("manifest.schema", 13)
    assert "srv" in summary


def test_no_connection_is_made_by_looking_at_a_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`validate` reaches no host."""

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("the agent was asked")

    monkeypatch.setattr(AgentConnection, "call", refuse)
    assert diagnostics(tmp_path, MANIFEST.replace("nowhere", "fd00::5"))


@pytest.mark.parametrize(
    ("protocol", "specs", "is_refused"),
    [
        ("CIFS", {}, False),
        ("NFS", {}, False),
        ("NFS_CIFS", {}, True),
        ("NFS_CIFS", {"linux:smb_recycle_bin": "False"}, False),
    ],
)
def test_a_share_of_both_protocols_has_no_recycle_bin(
    protocol: str, specs: dict[str, str], *, is_refused: bool
) -> None:
    """An NFS client could put a link in its place, and smbd would make folders behind it."""
    settings = read_settings(backend(smb={"recycleBin": {}}), "/")
    found = [problem.summary for problem in offer_problems(settings, protocol, specs, 1 << 30)]
    assert any("symbolic link" in summary for summary in found) is is_refused


def test_a_share_of_both_protocols_is_never_asked_for_a_recycle_bin() -> None:
    """Whatever its backend says since it was made: it would not get one, and each plan would ask for it again."""
    settings = read_settings(backend(smb={"recycleBin": {}, "previousVersions": True}), "/")
    nfs, smb = settings.nfs, settings.smb
    both = share_settings(nfs, smb, "NFS_CIFS", {"linux:smb_recycle_bin": "True"})
    assert "recycleBin" not in both
    assert both["previousVersions"] == "true"
    assert "recycleBin" in share_settings(nfs, smb, "CIFS", {})
