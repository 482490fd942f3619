"""What keeps a configuration of a linux backend from working although it meets the schema."""

from __future__ import annotations

import ipaddress
import itertools
from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.linux.agent.smb.names import problem_of_user
from sharectl.drivers.linux.schema import DEFAULT_MOUNT_PORT, NFS_V3
from sharectl.model.checks import ConfigProblem
from sharectl.model.quantities import SIZE_HINT, SizeError, parse_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sharectl.model.backends import BackendSpec

DEFAULT_ROOT: Final = "/var/lib/sharectl"
NFS_PORT: Final = 2049
RPCBIND_PORT: Final = 111
SMALLEST_IMAGE_BYTES: Final = 256 << 20
"""btrfs cannot be resized to less, so that a smaller image might not grow."""

_LONGEST_ROOT: Final = 33
_FIELDS_OF: Final[Mapping[str, str]] = {"fileSystem": "image", "image": "loop", "size": "loop"}
_AGENT_FOLDER: Final = ".sharectl"
_FOLDERS_OF_HOST: Final = frozenset(
    f"/{name}"
    for name in (
        *("bin", "boot", "dev", "etc", "home", "lib", "lib64", "proc", "root", "run", "sbin", "sys", "tmp", "usr"),
        *("var", "var/lib", "var/log", "var/tmp"),
    )
)
"""What a host and its users need open, as hier(7) has it; the folder of a pool is closed to them."""
_ALL_OF_HOST: Final = ("/boot", "/dev", "/etc", "/proc", "/sys", "/usr")


def root_of(backend: BackendSpec) -> str:
    """Return the folder of the backend on the storage host."""
    return str(backend.config.get("root", f"{DEFAULT_ROOT}/{backend.name}"))


def find_problems(backend: BackendSpec) -> tuple[ConfigProblem, ...]:
    """Return all of them; the configuration meets the schema."""
    config = backend.config
    return (
        *_addresses(config, share_servers=backend.share_servers),
        *_pools(config["pools"]),
        *_overlaps(config["pools"], root_of(backend)),
        *_tunnels(config.get("tenantNetworks", {}).get("vxlan", {})),
        *_nfs(config.get("nfs", {}), share_servers=backend.share_servers, has_namespace="namespace" in config),
        *_nfs_snapshots(config.get("nfs", {})),
        *_nfs_v3(config.get("nfs", {}), root_of(backend)),
        *_smb(config.get("smb", {})),
        *_smb_groups(config.get("smb", {})),
        *_protocols(config),
        *_length_of_root(backend),
    )


def _addresses(config: Mapping[str, Any], *, share_servers: bool) -> Iterator[ConfigProblem]:
    if "addresses" not in config and not share_servers:
        yield ConfigProblem(
            (), "`addresses` is missing", "name the addresses of the storage host on which its servers listen"
        )
    seen: dict[Any, str] = {}
    for number, text in enumerate(config.get("addresses", ())):
        path = ("addresses", number)
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            yield ConfigProblem(path, f"{text!r} is not an address", "write an IPv4 or IPv6 address, without a prefix")
            continue
        if address in seen:
            yield ConfigProblem(path, f"{text!r} is the same address as {seen[address]!r}", "keep one of the two")
        elif str(address) != text:
            yield ConfigProblem(path, f"{text!r} is another spelling of {str(address)!r}", f"write {address}")
        elif address.is_unspecified or address.is_multicast or address.is_link_local:
            yield ConfigProblem(path, f"clients cannot mount from {text}", "name an address that clients can reach")
        seen.setdefault(address, text)


def _pools(pools: Mapping[str, Any]) -> Iterator[ConfigProblem]:
    for name, pool in pools.items():
        path = ("pools", name)
        for field in ("path", "image"):
            if field in pool and (reason := path_problem(pool[field])):
                yield ConfigProblem(
                    (*path, field), f"{pool[field]!r} {reason}", "name an absolute path in its plain form"
                )
        if pool["path"] in _FOLDERS_OF_HOST or any(_is_within(pool["path"], each) for each in _ALL_OF_HOST):
            yield ConfigProblem(
                (*path, "path"),
                f"{pool['path']!r} is the host's own, and the folder of a pool is closed to everybody on the host",
                "name a folder for shares alone, such as /srv/shares",
            )
        for field, pool_type in _FIELDS_OF.items():
            if field in pool and pool["type"] != pool_type:
                yield ConfigProblem(
                    (*path, field),
                    f"a pool of type {pool['type']} has no `{field}`",
                    f"remove it, or choose type {pool_type}",
                )
        if pool["type"] == "loop":
            yield from _loop(path, pool)


def _loop(path: tuple[str, str], pool: Mapping[str, Any]) -> Iterator[ConfigProblem]:
    for field, meaning in (("image", "the image file"), ("size", "the size of the image file")):
        if field not in pool:
            yield ConfigProblem(path, f"`{field}` is missing in a loop pool", f"name {meaning}")
    if _is_within(pool.get("image", ""), pool["path"]):
        yield ConfigProblem(
            (*path, "image"),
            "the image file is in the folder that it is mounted on",
            "put the image beside that folder",
        )
    if "size" in pool:
        try:
            size_bytes = parse_size(pool["size"])
        except SizeError:
            yield ConfigProblem((*path, "size"), f"{pool['size']!r} is not a size that a file can have", SIZE_HINT)
            return
        if size_bytes < SMALLEST_IMAGE_BYTES:
            yield ConfigProblem((*path, "size"), f"{pool['size']} is too small for btrfs", "give it 256MiB or more")


def path_problem(path: str) -> str | None:
    """Return why the path cannot be used, None where it can: it goes into the grammars of several servers."""
    if not path.isprintable():
        return "has a control character"
    parts = path.split("/")[1:]
    if any(part in {"", ".", ".."} or part != part.strip() for part in parts):
        return "has an empty part, `.`, `..`, or a part with a space at its end"
    return "is the agent's own folder" if _AGENT_FOLDER in parts else None


def _overlaps(pools: Mapping[str, Any], root: str) -> Iterator[ConfigProblem]:
    """Pools and the root are apart: what is in a pool is a share, and what is in the root is the servers' and nobody else's."""
    for (name, pool), (other, other_pool) in itertools.permutations(pools.items(), 2):
        is_same = pool["path"] == other_pool["path"]
        if (_is_within(pool["path"], other_pool["path"]) and not is_same) or (is_same and name > other):
            yield ConfigProblem(
                ("pools", name, "path"), f"the pool {name!r} is inside the pool {other!r}", "keep them apart"
            )
        if "image" in pool and name > other and pool["image"] == other_pool.get("image"):
            yield ConfigProblem(
                ("pools", name, "image"), f"the pool {other!r} has the same image file", "give each pool its own"
            )
    for name, pool in pools.items():
        if _is_within(pool["path"], root) or _is_within(root, pool["path"]):
            yield ConfigProblem(
                ("pools", name, "path"),
                f"the pool {name!r} and the root, {root}, are one inside the other",
                "keep them apart",
            )


def _is_within(path: str, folder: str) -> bool:
    return f"{path}/".startswith(f"{folder}/")


def _tunnels(vxlan: Mapping[str, Any]) -> Iterator[ConfigProblem]:
    path = ("tenantNetworks", "vxlan")
    ends: dict[tuple[str | int, ...], str] = {(*path, "local"): vxlan["local"]} if vxlan else {}
    ends |= {(*path, "remotes", number): text for number, text in enumerate(vxlan.get("remotes", ()))}
    versions = set()
    for place, text in ends.items():
        try:
            versions.add(ipaddress.ip_address(text).version)
        except ValueError:
            yield ConfigProblem(place, f"{text!r} is not an address", "write an IPv4 or IPv6 address, without a prefix")
    if len(versions) > 1:
        yield ConfigProblem(path, "a tunnel has two ends of one kind, IPv4 or IPv6", "name addresses of one kind")


def _nfs(nfs: Mapping[str, Any], *, share_servers: bool, has_namespace: bool) -> Iterator[ConfigProblem]:
    if nfs.get("server") == "kernel" and share_servers:
        yield ConfigProblem(
            ("nfs", "server"),
            "the host has one NFS server of its own, and share servers need one each",
            "choose ganesha",
        )
    elif nfs.get("server") == "kernel" and has_namespace:
        yield ConfigProblem(
            ("nfs", "server"),
            "the host's own NFS server serves no network namespace",
            "choose ganesha, or remove `namespace`",
        )
    for number, flavour in enumerate(nfs.get("security", ())):
        if flavour != "sys":
            yield ConfigProblem(
                ("nfs", "security", number),
                f"the linux driver cannot set up Kerberos for NFS yet ({flavour})",
                "write sys",
            )
    if nfs.get("server") == "kernel":
        own = {
            "port": nfs.get("port", NFS_PORT) != NFS_PORT,
            "mountPort": "mountPort" in nfs,
            "versions": "versions" in nfs,
        }
        for field in (name for name, is_set in own.items() if is_set):
            yield ConfigProblem(
                ("nfs", field),
                f"the {field} of the host's own NFS server {'are' if field == 'versions' else 'is'} set on the host",
                "remove it, or choose ganesha",
            )


def _nfs_snapshots(nfs: Mapping[str, Any]) -> Iterator[ConfigProblem]:
    if nfs.get("server") == "kernel" and nfs.get("snapshots", False):
        yield ConfigProblem(
            ("nfs", "snapshots"),
            "clients of the host's own NFS server cannot be shown snapshots",
            "remove it, or choose ganesha",
        )


def _nfs_v3(nfs: Mapping[str, Any], root: str) -> Iterator[ConfigProblem]:
    """Find versions without NFSv4, of which everything else here speaks, and ports that two servers would listen at."""
    versions = nfs.get("versions", ())
    if nfs.get("server", "ganesha") != "ganesha":
        return
    if NFS_V3 not in versions:
        if "mountPort" in nfs:
            remedy = "remove it, or add 3 to `versions`"
            yield ConfigProblem(("nfs", "mountPort"), "NFSv4 has no MOUNT protocol that needs a port", remedy)
        return
    if len(versions) == 1:
        remedy = "add 4.1 and 4.2: clients choose the highest that they speak"
        yield ConfigProblem(("nfs", "versions"), "NFSv3 comes beside NFSv4 alone", remedy)
    if _is_within(root, "/run") or _is_within(root, "/var/run"):
        summary = f"the root {root} is in /run, in place of which an NFS server that speaks NFSv3 sees another folder"
        yield ConfigProblem(("nfs", "versions"), summary, "name another root, or take 3 out")
    ports = {"port": nfs.get("port", NFS_PORT), "mountPort": nfs.get("mountPort", DEFAULT_MOUNT_PORT)}
    for field, port in ports.items():
        if port == RPCBIND_PORT:
            yield ConfigProblem(("nfs", field), f"{port} is where clients of NFSv3 ask for ports", "choose another")
    if ports["port"] == ports["mountPort"]:
        field = "mountPort" if "mountPort" in nfs else "port"
        yield ConfigProblem(("nfs", field), "NFS and its MOUNT protocol need a port each", "choose another")


def _smb(smb: Mapping[str, Any]) -> Iterator[ConfigProblem]:
    if "activeDirectory" in smb:
        yield ConfigProblem(
            ("smb", "activeDirectory"),
            "the linux driver cannot join an Active Directory yet",
            "remove it, and name the users in smb.users",
        )
    if "timeMachine" in smb:
        yield from _time_machine(smb["timeMachine"], has_macos=smb.get("macos", False))
    seen: dict[str, str] = {}
    for name in smb.get("users", {}):
        if (problem := problem_of_user(name)) is not None:
            yield ConfigProblem(
                ("smb", "users", name), f"{name!r} cannot be an SMB user: {problem}", "choose another name"
            )
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            yield ConfigProblem(
                ("smb", "users", name),
                f"{name!r} and {other!r} are one user to Windows and Samba",
                "keep one of the two",
            )


def _time_machine(time_machine: Mapping[str, Any], *, has_macos: bool) -> Iterator[ConfigProblem]:
    path = ("smb", "timeMachine")
    if time_machine.get("enabled", True) and not has_macos:
        yield ConfigProblem(path, "Time Machine needs a server that speaks with Macs", "write `macos: true` beside it")
    try:
        parse_size(time_machine.get("maxSize", "1B"))
    except SizeError:
        shown = time_machine["maxSize"]
        yield ConfigProblem((*path, "maxSize"), f"{shown!r} is not a size that a share can have", SIZE_HINT)


def _smb_groups(smb: Mapping[str, Any]) -> Iterator[ConfigProblem]:
    users = {name.casefold() for name in smb.get("users", {})}
    seen: dict[str, str] = {}
    for name, members in smb.get("groups", {}).items():
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            summary = f"{name!r} and {other!r} are one group to Windows and Samba"
            yield ConfigProblem(("smb", "groups", name), summary, "keep one of the two")
        for number, user in enumerate(members):
            if user.casefold() not in users:
                summary = f"the group {name!r} has a member {user!r}, who is none of smb.users"
                remedy = "add the user there, or take the name out"
                yield ConfigProblem(("smb", "groups", name, number), summary, remedy)


def _length_of_root(backend: BackendSpec) -> Iterator[ConfigProblem]:
    """Find a root that is too long: a socket's path has at most 107 bytes, and Samba has one below the folder of each share server."""
    smb = backend.config.get("smb")
    if not backend.share_servers or smb is None or not smb.get("enabled", True):
        return
    root = root_of(backend)
    if len(root) > _LONGEST_ROOT:
        yield ConfigProblem(
            ("root",) if "root" in backend.config else (),
            f"the root {root} is too long: SMB on share servers needs one of at most {_LONGEST_ROOT} characters",
            "name a shorter one in config.root",
        )


def _protocols(config: Mapping[str, Any]) -> Iterator[ConfigProblem]:
    has_smb = "smb" in config and config["smb"].get("enabled", True)
    if config.get("nfs", {}).get("server") == "none" and not has_smb:
        yield ConfigProblem((), "neither an NFS nor an SMB server is left to export shares", "leave one of them on")
