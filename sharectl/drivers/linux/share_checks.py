"""What a linux backend cannot do, told before the storage host is reached, by the same functions that the calls ask."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.linux.agent import rights
from sharectl.drivers.linux.agent.contract import NOBODY, Rule, Squash
from sharectl.drivers.linux.agent.nfs.kernel import table
from sharectl.drivers.linux.agent.protocols import parts_of
from sharectl.drivers.linux.agent.servers import MAIN
from sharectl.drivers.linux.agent.smb.names import local_user, server_name
from sharectl.drivers.linux.agent.smb.people import people_in
from sharectl.drivers.linux.agent.tenant_checks import network_problem, service_problem
from sharectl.drivers.linux.agent.volumes.images.file_systems import FILE_SYSTEMS, size_problem
from sharectl.drivers.linux.agent.volumes.names import problem_of_share_name
from sharectl.drivers.linux.checks import root_of
from sharectl.drivers.linux.exports import treatment_of
from sharectl.drivers.linux.extra_specs import (
    EXTRA_SPECS,
    NFS_SNAPSHOTS_SPEC,
    TIME_MACHINE_SPEC,
    Asked,
    extra_spec_problems,
)
from sharectl.model import export_names
from sharectl.model.access import BOTH, protocols_in
from sharectl.model.checks import ShareProblem, ShareServerProblem, StoragePlace
from sharectl.model.quantities import format_size
from sharectl.model.specs import Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sharectl.drivers.linux.settings import LinuxSettings, PoolSettings
    from sharectl.model.backends import BackendSpec
    from sharectl.model.checks import WantedShare
    from sharectl.model.share_networks import ShareServerSpec

_SSH_PORT: Final = 22
_MADE_UP_SERVER: Final = re.compile(r"[A-Z0-9]{1,7}-[0-9A-F]{7}")


class ShareChecker:
    """Checks shares for one backend."""

    def __init__(self, settings: LinuxSettings) -> None:
        """Check against these settings; no password is looked at."""
        self._settings = settings
        self._users: dict[str, str | None] = dict.fromkeys(name.casefold() for name in settings.smb.users)
        self._people = people_in(settings.smb.people())
        self._server = server_name(MAIN)

    def __call__(self, share: WantedShare) -> Sequence[ShareProblem]:
        """Return all problems of the share."""
        return (*self._of_share(share), *self._of_rules(share))

    def _of_share(self, share: WantedShare) -> Iterator[ShareProblem]:
        if (problem := problem_of_share_name(share.name)) is not None:
            yield ShareProblem(("name",), problem, "give the share another name")
        if (problem := protocol_problem(self._settings, share.protocol)) is not None:
            there = " or ".join(protocols_of(self._settings))
            yield ShareProblem(("protocol",), problem, f"choose {there}, or turn its server on in the backend's config")
        elif (problem := export_name_problem(self._settings, share.export_name, share.protocol)) is not None:
            yield ShareProblem(("export_name",), problem, "write another exportName, or none")
        yield from offer_problems(self._settings, share.protocol, share.extra_specs, share.size_bytes)
        yield from mapping_problems(self._settings, share.protocol, share.extra_specs, share.pool)
        pools = self._settings.pools
        sizes = [
            size_problem(FILE_SYSTEMS[pool.file_system], share.size_bytes) if pool.type == "image" else None
            for name, pool in pools.items()
            if share.pool in {None, name}
        ]
        if sizes and None not in sizes:
            yield ShareProblem(("size",), str(sizes[0]), "write a larger size")
        yield from (problem for problem in extra_spec_problems(share.extra_specs) if problem.path[1] in EXTRA_SPECS)

    def _of_rules(self, share: WantedShare) -> Iterator[ShareProblem]:
        if not share.rules or protocol_problem(self._settings, share.protocol) is not None:
            return
        rules = {Rule(*rule): rule for rule in share.rules}
        users = rights.users_meant(list(rules), self._account, self._users)
        parts = parts_of(share.protocol, list(rules), users, self._people)
        if self._settings.nfs.server == "kernel" and (problem := table.problem_of_parts(parts.clients)) is not None:
            yield ShareProblem(("access",), problem, "keep larger networks out, or choose nfs.server: ganesha")
        for rule, (status, reason) in parts.statuses.items():
            if status != "active":
                yield ShareProblem(("access", rules[rule].key), reason, self._remedy(share, rule))

    def _account(self, user: str) -> str:
        domain = user.rpartition("\\")[0]
        if self._settings.share_servers and _MADE_UP_SERVER.fullmatch(domain):
            return local_user(
                user, domain
            )  # the name of a share server, which follows from an id that nobody knows yet
        return local_user(user, self._server)

    def _remedy(self, share: WantedShare, rule: Rule) -> str:
        if share.protocol == Protocol.NFS and rule.access_type != "ip":
            return "name an address or a network; users go with CIFS"
        if share.protocol == BOTH and rule.access_type == "ip" and rule.options:
            return "leave out squash and the anonymous ids: with both protocols all files have one owner"
        if share.protocol == BOTH and not any(
            each.key.startswith("ip:") and each.access_level == "rw" for each in share.rules
        ):
            return "write an address rule with level rw for where they come from, or no address rules"
        if rule.access_type == "group":
            there = ", ".join(sorted(self._settings.smb.groups)) or "none"
            return f"name one of the groups in the backend's smb.groups (now: {there}), or add this one there"
        if rule.access_type == "user" and rule.access_to != "*":
            there = ", ".join(sorted(self._settings.smb.users)) or "none"
            return f"name one of the users in the backend's smb.users (now: {there}), or add this one there"
        return "write a rule that the share's protocol knows, or remove this one"


def offer_problems(
    settings: LinuxSettings, protocol: str, extra_specs: Mapping[str, str], size_bytes: int | None
) -> Iterator[ShareProblem]:
    """Yield what a share of this type and size cannot offer."""
    asks_for_snapshots = Asked(extra_specs).flag("nfs_snapshots", otherwise=False)
    if Protocol.NFS in protocol and settings.nfs.server == "kernel" and asks_for_snapshots:
        yield ShareProblem(
            ("extra_specs", NFS_SNAPSHOTS_SPEC),
            f"the share type asks for {NFS_SNAPSHOTS_SPEC}, and clients of the host's own NFS server cannot be shown snapshots",
            "choose nfs.server: ganesha in the backend's config, or another type",
        )
    if Protocol.CIFS not in protocol:
        return
    if Protocol.NFS in protocol and treatment_of(settings.smb, extra_specs).recycle_bin is not None:
        yield ShareProblem(
            ("protocol",),
            "a share that NFS clients write to has no recycle bin: they can put a symbolic link to another share in its place, and smbd "
            "follows it",
            "choose a share type with 'linux:smb_recycle_bin': 'false', or CIFS alone",
        )
    if Asked(extra_specs).flag("smb_time_machine", otherwise=False) and not settings.smb.macos:
        yield ShareProblem(
            ("extra_specs", TIME_MACHINE_SPEC),
            f"the share type asks for {TIME_MACHINE_SPEC}, and the backend's server does not speak with Macs",
            "write `smb.macos: true` in the backend's config, or choose another type",
        )
    time_machine = treatment_of(settings.smb, extra_specs).time_machine
    limit = None if time_machine is None else time_machine.max_bytes
    if limit is not None and size_bytes is not None and limit > size_bytes:
        yield ShareProblem(
            ("size",),
            f"the share is to pretend to Time Machine that it has {format_size(limit)}, which is more than it has",
            "write a larger size, or a smaller maximum in the share type or the backend's smb.timeMachine.maxSize",
        )


def mapping_problems(
    settings: LinuxSettings, protocol: str, extra_specs: Mapping[str, str], pool: str | None
) -> Iterator[ShareProblem]:
    """Yield what keeps the files of a share with both protocols from having one owner, who may read and write them over each."""
    if protocol != BOTH:
        return
    nfs = settings.nfs
    squash = Asked(extra_specs).text("nfs_squash", nfs.squash if nfs.has_squash else Squash.ALL)
    if squash != Squash.ALL:
        yield ShareProblem(
            ("protocol",),
            f"NFS clients are to keep their users (squash {squash}), and SMB clients all work as one: neither could open what the other made",
            "choose a share type with 'linux:nfs_squash': all, by which all files have one owner, or one protocol",
        )
    elif nfs.anonymous != (NOBODY, NOBODY):
        yield ShareProblem(
            ("protocol",),
            f"NFS clients are to be the user {nfs.anonymous[0]} and the group {nfs.anonymous[1]}, and SMB clients are {NOBODY} and {NOBODY}",
            "take nfs.anonymous out of the backend's config, or choose one protocol",
        )
    closed = [name for name, each in settings.pools.items() if pool in {None, name} and not _lets_nobody_write(each)]
    if closed and len(closed) == len([name for name in settings.pools if pool in {None, name}]):
        yield ShareProblem(
            ("protocol",),
            f"clients of both protocols work as the user {NOBODY}, who may not write in the folder of a new share of the pool {closed[0]!r}",
            f"write shareMode '0777' or owner {{uid: {NOBODY}, gid: {NOBODY}}} in the pool",
        )


def _lets_nobody_write(pool: PoolSettings) -> bool:
    """Tell whether the account of both servers may read and write in the folder of a new share."""
    place = 6 if pool.uid == NOBODY else 3 if pool.gid == NOBODY else 0
    return pool.mode >> place & 0o7 == 0o7  # noqa: PLR2004 - read, write and enter


def protocols_of(settings: LinuxSettings) -> tuple[str, ...]:
    """Return the protocols that have a server."""
    found = []
    if settings.nfs.server != "none":
        found.append(Protocol.NFS.value)
    if settings.smb.enabled:
        found.append(Protocol.CIFS.value)
    return tuple(found)


def protocol_problem(settings: LinuxSettings, protocol: str) -> str | None:
    """Return why no share can be exported over this protocol, None where one can."""
    there = protocols_of(settings)
    missing = [each for each in protocols_in(protocol) if each not in there]
    return f"the backend has no {missing[0]} server; its settings turn it off" if missing else None


def export_name_problem(settings: LinuxSettings, name: str | None, protocol: str) -> str | None:
    """Return why clients cannot see a share of this protocol under the name, None where they can, or where it has none of its own."""
    if name is None:
        return None
    wrong = export_names.problem(name, protocols_in(protocol))
    if wrong is not None:
        return f"no share can be exported as {name!r}: {wrong}"
    if Protocol.NFS in protocols_in(protocol) and settings.nfs.server == "kernel":
        return "the kernel's NFS server (nfs.server: kernel) exports folders under their own paths alone"
    return None


def storage_places(backend: BackendSpec) -> Iterator[StoragePlace]:
    """Yield the root, the pools and their images; links are resolved on this machine alone."""
    yield _place(backend, root_of(backend), "the root", *(("root",) if "root" in backend.config else ()))
    for name, pool in backend.config["pools"].items():
        yield _pool_place(backend, name)
        if "image" in pool:
            yield _place(backend, pool["image"], f"the image of the pool {name!r}", "pools", name, "image")


def share_folders(backend: BackendSpec) -> dict[str, StoragePlace]:
    """Return the folder of each pool whose shares are subvolumes in it."""
    pools = backend.config["pools"]
    return {f"{name}/": _pool_place(backend, name) for name, pool in pools.items() if pool["type"] != "image"}


def _pool_place(backend: BackendSpec, name: str) -> StoragePlace:
    return _place(backend, backend.config["pools"][name]["path"], f"the pool {name!r}", "pools", name, "path")


def _place(backend: BackendSpec, location: str, what: str, *path: str) -> StoragePlace:
    ssh = backend.config.get("host", {}).get("ssh")
    host = "" if ssh is None else _host_of(ssh)
    return StoragePlace(host, os.path.normpath(location) if host else os.path.realpath(location), what, path)


def _host_of(ssh: Mapping[str, Any]) -> str:
    """Return the host that an address and a port lead to: behind one address each port may be forwarded to a host of its own."""
    address, port = ssh["address"].lower().rstrip("."), ssh.get("port", _SSH_PORT)
    if port == _SSH_PORT:
        return str(address)
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def share_server_problems(backend: BackendSpec, server: ShareServerSpec) -> Iterator[ShareServerProblem]:
    """Yield what keeps the storage host from having a share server in its subnet, with its directory services."""
    services = service_problem([service.name for service in server.security_services])
    network_type = server.subnet.network_type
    network = None if network_type is None else network_problem(backend.config.get("tenantNetworks", {}), network_type)
    yield from (ShareServerProblem(*problem) for problem in (services, network) if problem is not None)
