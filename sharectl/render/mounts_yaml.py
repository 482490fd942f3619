"""Mounts as volumes of Kubernetes, and as tasks of Ansible."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.specs import Protocol
from sharectl.render.mounts_tables import (
    SMB_VERSION,
    credentials_file,
    file_system_type,
    header,
    mount_options,
    remark,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sharectl.model.canonical import JsonObject
    from sharectl.mounting.selection import Mount
    from sharectl.render.mounts_tables import MountSettings, Origin

SECRET: Final = "smb-credentials"  # noqa: S105 - the name of one, not a secret
_DRIVER: Final = "smb.csi.k8s.io"
_MANAGED: Final = {"app.kubernetes.io/managed-by": "sharectl"}
_ADDRESS: Final = "sharectl/address"
_DNS_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_DIGEST_SIZE_BYTES: Final = 4
_WIDE: Final = 4096


class _Given(str):
    """A text that is always written in quotes: what comes from elsewhere could mean a number or a date to some reader of YAML."""

    __slots__ = ()


class _Untemplated(_Given):
    """A text in which Ansible looks for no template."""

    __slots__ = ()


def kubernetes_lines(mounts: Sequence[Mount], settings: MountSettings, origin: Origin) -> Iterator[str]:
    """Yield a PersistentVolume and the PersistentVolumeClaim that is bound to it for each mount.

    The fields are those of the API `v1`; a share of SMB needs the driver smb.csi.k8s.io in the cluster, and a Secret.
    """
    hints = ("Volumes of Kubernetes, each with its claim: kubectl apply -f FILE",)
    secret = f"SMB: the driver {_DRIVER} takes username, password and domain from the Secret {SECRET} in {settings.namespace}."
    yield from header(mounts, origin, hints, secret)
    dump = _dumper()
    for mount in mounts:
        name = volume_name(mount.name)
        yield "---"
        yield remark(mount)
        yield from dump(_volume(mount, name, settings))
        yield "---"
        yield from dump(_claim(mount, name, settings))


def volume_name(name: str) -> str:
    """Return the name of the share as a DNS name, which those of volumes have to be; one that had to be changed ends in a digest.

    The rule is RFC 1123's, as Kubernetes has it: no `_`, and no `-` beside a dot.
    """
    if _DNS_NAME.fullmatch(name):
        return name
    plain = ".".join(part.strip("-") or "0" for part in name.replace("_", "-").split("."))
    return f"{plain}-{hashlib.blake2b(name.encode(), digest_size=_DIGEST_SIZE_BYTES).hexdigest()}"


def kubernetes_problem(mount: Mount) -> str | None:
    """Return why there can be no volume of the mount, or None where there can."""
    if not mount.size_bytes:
        return "Kubernetes asks for the capacity of a volume, and the state does not know its size"
    if mount.location.protocol is Protocol.NFS and ".." in mount.location.path.split("/"):
        return "Kubernetes refuses a path with `..` in it"
    return None


def ansible_lines(mounts: Sequence[Mount], settings: MountSettings, origin: Origin) -> Iterator[str]:
    """Yield a list of tasks, which mount the shares and write them to fstab; the module is in the collection ansible.posix."""
    hints = ("Tasks of Ansible: `ansible.builtin.include_tasks: FILE`, with `become: true`",)
    yield from header(mounts, origin, hints, credentials_file(settings))
    yield "---"
    dump = _dumper()
    if not mounts:
        yield "[]"
    for mount in mounts:
        yield remark(mount)
        yield from dump([_task(mount, settings)])


def _volume(mount: Mount, name: str, settings: MountSettings) -> JsonObject:
    location = mount.location
    spec: JsonObject = {
        "capacity": {"storage": _Given(mount.size_bytes)},
        "accessModes": _access_modes(mount),
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "",
        "claimRef": {"namespace": _Given(settings.namespace), "name": _Given(name)},
    }
    if location.protocol is Protocol.NFS:
        # The kubelet puts the brackets around an IPv6 address.
        spec["nfs"] = {"server": _Given(location.host), "path": _Given(location.path), "readOnly": mount.read_only}
    else:
        spec["mountOptions"] = [SMB_VERSION]
        spec["csi"] = {
            "driver": _DRIVER,
            "volumeHandle": _Given(mount.resource_id),
            "readOnly": mount.read_only,
            "volumeAttributes": {"source": _Given(location.source)},
            "nodeStageSecretRef": {"name": SECRET, "namespace": _Given(settings.namespace)},
        }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": _metadata(mount, name), "spec": spec}


def _claim(mount: Mount, name: str, settings: MountSettings) -> JsonObject:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": _metadata(mount, name) | {"namespace": _Given(settings.namespace)},
        "spec": {
            "accessModes": _access_modes(mount),
            "storageClassName": "",
            "volumeName": _Given(name),
            "resources": {"requests": {"storage": _Given(mount.size_bytes)}},
        },
    }


def _metadata(mount: Mount, name: str) -> JsonObject:
    return {"name": _Given(name), "labels": _MANAGED, "annotations": {_ADDRESS: _Given(mount.address)}}


def _access_modes(mount: Mount) -> list[str]:
    return ["ReadOnlyMany" if mount.read_only else "ReadWriteMany"]


def _task(mount: Mount, settings: MountSettings) -> JsonObject:
    return {
        "name": _Untemplated(f"Mount {mount.address}"),
        "ansible.posix.mount": {
            "src": _Untemplated(mount.location.source),
            "path": _Untemplated(mount.point(settings.mount_root)),
            "fstype": file_system_type(mount),
            "opts": _Given(",".join((*mount_options(mount, settings), "_netdev", "nofail"))),
            "state": "mounted",
        },
    }


def _dumper() -> Callable[[object], list[str]]:
    """Return what writes a document as lines of YAML 1.1 and 1.2 alike."""
    import yaml  # noqa: PLC0415 - two of the formats need it

    class Dumper(yaml.CSafeDumper):
        """Knows texts that are always quoted."""

        def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - the signature of the base class
            return True

    def given(dumper: Any, text: str) -> Any:  # noqa: ANN401 - as PyYAML types them
        return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style='"')

    def untemplated(dumper: Any, text: str) -> Any:  # noqa: ANN401 - as PyYAML types them
        return dumper.represent_scalar("!unsafe", str(text), style='"') if "{" in text else given(dumper, text)

    Dumper.add_representer(_Given, given)
    Dumper.add_representer(_Untemplated, untemplated)

    def dump(document: object) -> list[str]:
        return yaml.dump(document, Dumper=Dumper, sort_keys=False, width=_WIDE).splitlines()

    return dump
