"""The configuration of a linux backend, as the driver uses it and as the agent gets it."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from sharectl.drivers.base import DriverError
from sharectl.drivers.linux.agent.contract import NOBODY
from sharectl.drivers.linux.agent.smb.treatment import RecycleBin, TimeMachine, to_options
from sharectl.drivers.linux.checks import find_problems, root_of
from sharectl.drivers.linux.schema import (
    CONFIG_SCHEMA,
    DEFAULT_MOUNT_PORT,
    DEFAULT_NFS_VERSIONS,
    DEFAULT_SQUASH,
    NFS_V3,
)
from sharectl.model.quantities import SizeError, parse_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.model.backends import BackendSpec
    from sharectl.model.canonical import JsonObject


@dataclass(frozen=True, slots=True)
class SshSettings:
    """How ssh(1) reaches a host; None is what ssh_config(5) says. Paths are absolute."""

    address: str
    port: int | None = None
    user: str | None = None
    identity_file: str | None = None
    known_hosts_file: str | None = None
    connect_timeout_seconds: int = 10


@dataclass(frozen=True, slots=True)
class HostSettings:
    """Where the agent runs: this machine where `ssh` is None. `python` is a program; None is the default of the place."""

    ssh: SshSettings | None = None
    python: str | None = None
    become: Literal["none", "sudo"] = "none"


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """A pool. `image` and `image_size_bytes` are those of a loop pool; `mode`, `uid` and `gid` those of the folder of a new share."""

    type: Literal["btrfs", "image", "loop"]
    path: str
    file_system: Literal["ext4", "xfs"]
    image: str | None
    image_size_bytes: int | None
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class NfsSettings:
    """The NFS server; the names of `squash` and `security` are those of the agent's exports, `minor_versions` those of NFSv4.

    `mount_port` is the port of the MOUNT protocol, which NFSv3 (`v3`) alone has.
    `has_squash` says whether the configuration itself asks for the squash.
    """

    server: Literal["ganesha", "kernel", "none"]
    port: int
    squash: Literal["none", "root", "all"]
    security: tuple[str, ...]
    minor_versions: tuple[int, ...]
    insecure: bool = False
    anonymous: tuple[int, int] = (NOBODY, NOBODY)
    v3: bool = False
    mount_port: int = DEFAULT_MOUNT_PORT
    has_squash: bool = False
    snapshots: bool = False


@dataclass(frozen=True, slots=True)
class SmbSettings:
    """The SMB server, and what its shares offer unless their type asks for something else.

    `users` are references to passwords by name, resolved by the driver when a request needs them. `recycle_bin` is what a share has
    that is to have one, `has_recycle_bin` whether all are to; so with Time Machine. `groups` are the names of their members; `guests`
    lets those in who come without a password, where a rule says so.
    """

    enabled: bool
    port: int
    users: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    signing: Literal["required", "optional"] = "required"
    encryption: Literal["required", "optional", "off"] = "optional"
    disk_free: Literal["share", "pool"] = "share"
    macos: bool = False
    browsing: bool = False
    has_time_machine: bool = False
    time_machine: TimeMachine = field(default_factory=TimeMachine)
    has_recycle_bin: bool = False
    recycle_bin: RecycleBin = field(default_factory=RecycleBin)
    previous_versions: bool = False
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    guests: bool = False

    def people(self) -> JsonObject:
        """Return whom rules can mean, by folded name, without passwords."""
        return {
            "users": sorted(user.casefold() for user in self.users),
            "groups": {name.casefold(): [user.casefold() for user in members] for name, members in self.groups.items()},
            "guests": self.guests,
        }

    def for_agent(self) -> JsonObject:
        """Return plain values, without the users; `treatment` is what the share of a type that asks for nothing offers."""
        from sharectl.drivers.linux.exports import treatment_of  # noqa: PLC0415 - only a backend that is opened needs it

        names = ("enabled", "port", "signing", "encryption", "disk_free", "macos", "browsing", "guests")
        return {**{name: getattr(self, name) for name in names}, "treatment": to_options(treatment_of(self, {}))}


@dataclass(frozen=True, slots=True)
class VxlanSettings:
    """The tunnels of tenants' networks: this end, the other ends and the UDP port."""

    local: str
    remotes: tuple[str, ...]
    port: int


@dataclass(frozen=True, slots=True)
class TenantNetworkSettings:
    """The host's side of share networks; None where the host has none of a type. `{id}` in `vlan_bridge` is the segmentation id."""

    flat_bridge: str | None = None
    vlan_bridge: str | None = None
    vxlan: VxlanSettings | None = None

    def for_agent(self) -> JsonObject:
        """Return plain values by network type."""
        plain: JsonObject = {}
        if self.flat_bridge is not None:
            plain["flat"] = {"bridge": self.flat_bridge}
        if self.vlan_bridge is not None:
            plain["vlan"] = {"bridge": self.vlan_bridge}
        if self.vxlan is not None:
            plain["vxlan"] = {**asdict(self.vxlan), "remotes": list(self.vxlan.remotes)}
        return plain


@dataclass(frozen=True, slots=True)
class LinuxSettings:
    """A linux backend. `root`, `namespace` and the pools' paths are on the storage host."""

    backend: str
    share_servers: bool
    host: HostSettings
    root: str
    addresses: tuple[str, ...]
    export_host: str | None
    namespace: str | None
    pools: Mapping[str, PoolSettings]
    tenant_networks: TenantNetworkSettings
    nfs: NfsSettings
    smb: SmbSettings
    supervisor: Literal["auto", "systemd", "process", "none"] = "auto"

    @property
    def export_hosts(self) -> tuple[str, ...]:
        """What clients write before the path: the host name, or the first address of each family."""
        if self.export_host is not None:
            return (self.export_host,)
        first = {":" in address: address for address in reversed(self.addresses)}
        return tuple(address for address in self.addresses if address in first.values())

    def for_agent(self) -> JsonObject:
        """Return what the agent's operations are opened with: plain values, without the passwords and the way to the host."""
        return {
            "backend": self.backend,
            "root": self.root,
            "addresses": list(self.addresses),
            "export_host": self.export_host,
            "export_hosts": list(self.export_hosts),
            "namespace": self.namespace,
            "pools": {name: asdict(pool) for name, pool in self.pools.items()},
            "tenant_networks": self.tenant_networks.for_agent(),
            "nfs": asdict(self.nfs),
            "smb": self.smb.for_agent(),
            "supervisor": self.supervisor,
        }


def read_settings(backend: BackendSpec, base_directory: str) -> LinuxSettings:
    """Return the settings of a backend; paths on this machine are under `base_directory`, or in the home folder (`~/`).

    Raises DriverError for what cannot work. The schema is asked again: its patterns are what keeps hostile values from command lines
    and from the servers' own configuration.
    """
    config = backend.config
    if not _meets_schema(config):
        message = f"the configuration of the backend {backend.name} does not meet the schema of the linux driver; `sharectl validate` says where"
        raise DriverError(message)
    for problem in find_problems(backend):
        place = ".".join(("spec", "config", *(str(step) for step in problem.path)))
        message = f"backend {backend.name}, {place}: {problem.summary}; {problem.remedy}"
        raise DriverError(message)
    return LinuxSettings(
        backend=backend.name,
        share_servers=backend.share_servers,
        host=_host(config.get("host", {}), base_directory),
        root=root_of(backend),
        addresses=tuple(config.get("addresses", ())),
        export_host=config.get("exportHost"),
        namespace=config.get("namespace"),
        pools={name: _pool(plain) for name, plain in config["pools"].items()},
        tenant_networks=_tenant_networks(config.get("tenantNetworks", {})),
        nfs=nfs_of(config),
        smb=smb_of(config),
        supervisor=config.get("supervisor", "auto"),
    )


def _meets_schema(config: Mapping[str, Any]) -> bool:
    import jsonschema_rs  # noqa: PLC0415 - only a backend that is opened needs it

    return jsonschema_rs.Draft202012Validator(CONFIG_SCHEMA).is_valid(config)


def _host(plain: Mapping[str, Any], base_directory: str) -> HostSettings:
    ssh = plain.get("ssh")
    return HostSettings(
        ssh=None if ssh is None else _ssh(ssh, base_directory),
        python=plain.get("python"),
        become=plain.get("become", "none"),
    )


def _ssh(plain: Mapping[str, Any], base_directory: str) -> SshSettings:
    def local_path(text: str | None) -> str | None:
        return None if text is None else os.path.join(base_directory, os.path.expanduser(text))  # noqa: PTH111, PTH118 - ssh takes text

    return SshSettings(
        address=plain["address"],
        port=plain.get("port"),
        user=plain.get("user"),
        identity_file=local_path(plain.get("identityFile")),
        known_hosts_file=local_path(plain.get("knownHostsFile")),
        connect_timeout_seconds=plain.get("connectTimeoutSeconds", 10),
    )


def _pool(plain: Mapping[str, Any]) -> PoolSettings:
    owner = plain.get("owner", {})
    return PoolSettings(
        type=plain["type"],
        path=plain["path"],
        file_system=plain.get("fileSystem", "ext4"),
        image=plain.get("image"),
        image_size_bytes=parse_size(plain["size"]) if "size" in plain else None,
        mode=int(plain.get("shareMode", "0777"), 8),
        uid=owner.get("uid", 0),
        gid=owner.get("gid", 0),
    )


def _tenant_networks(plain: Mapping[str, Any]) -> TenantNetworkSettings:
    vxlan = plain.get("vxlan")
    return TenantNetworkSettings(
        flat_bridge=plain.get("flat", {}).get("bridge"),
        vlan_bridge=plain.get("vlan", {}).get("bridge"),
        vxlan=None
        if vxlan is None
        else VxlanSettings(vxlan["local"], tuple(vxlan.get("remotes", ())), vxlan.get("port", 4789)),
    )


def nfs_of(config: Mapping[str, Any]) -> NfsSettings:
    """Return the settings of the NFS server in a configuration that meets the schema."""
    plain = config.get("nfs", {})
    anonymous = plain.get("anonymous", {})
    versions = plain.get("versions", DEFAULT_NFS_VERSIONS)
    return NfsSettings(
        server=plain.get("server", "ganesha"),
        port=plain.get("port", 2049),
        squash=plain.get("squash", DEFAULT_SQUASH),
        has_squash="squash" in plain,
        security=tuple(plain.get("security", ("sys",))),
        minor_versions=tuple(int(version.partition(".")[2]) for version in versions if version != NFS_V3),
        insecure=plain.get("insecure", False),
        anonymous=(anonymous.get("uid", NOBODY), anonymous.get("gid", NOBODY)),
        v3=NFS_V3 in versions,
        mount_port=plain.get("mountPort", DEFAULT_MOUNT_PORT),
        snapshots=plain.get("snapshots", False),
    )


def _size(text: str | None) -> int | None:
    with suppress(SizeError):  # which is told of the configuration
        return None if text is None else parse_size(text)
    return None


def smb_of(config: Mapping[str, Any]) -> SmbSettings:
    """Return those of the SMB server."""
    plain = config.get("smb", {"enabled": False})
    recycle_bin = plain.get("recycleBin", {"enabled": False})
    time_machine = plain.get("timeMachine", {"enabled": False})
    users = {name: user["password"] for name, user in plain.get("users", {}).items()}
    return SmbSettings(
        plain.get("enabled", True),
        plain.get("port", 445),
        users,
        signing=plain.get("signing", "required"),
        encryption=plain.get("encryption", "optional"),
        disk_free=plain.get("diskFree", "share"),
        macos=plain.get("macos", False),
        browsing=plain.get("browsing", False),
        has_time_machine=time_machine.get("enabled", True),
        time_machine=TimeMachine(_size(time_machine.get("maxSize"))),
        has_recycle_bin=recycle_bin.get("enabled", True),
        recycle_bin=RecycleBin(
            folder=recycle_bin.get("folder", ".recycle"),
            keep_tree=recycle_bin.get("keepTree", True),
            versions=recycle_bin.get("versions", True),
            visible=recycle_bin.get("visible", True),
        ),
        previous_versions=plain.get("previousVersions", False),
        groups={name: tuple(members) for name, members in plain.get("groups", {}).items()},
        guests=plain.get("guests", False),
    )
