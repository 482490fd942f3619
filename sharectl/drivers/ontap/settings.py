"""The configuration of an ontap backend, as the driver uses it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sharectl.drivers.base import DriverError
from sharectl.drivers.ontap.checks import find_problems
from sharectl.drivers.ontap.exports import FLAVOURS, Treatment
from sharectl.drivers.ontap.pools import FLEXGROUP_MEMBERS, FlexGroupPool
from sharectl.drivers.ontap.qtrees.settings import QtreePool, qtrees_in
from sharectl.drivers.ontap.schema import (
    CONFIG_SCHEMA,
    DEFAULT_OPERATION_SECONDS,
    DEFAULT_REQUESTS_AT_ONCE,
    DEFAULT_SNAPSHOT_RESERVE,
    HTTPS_PORT,
)
from sharectl.drivers.ontap.share_servers.settings import ShareServerSettings, share_server_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.model.backends import BackendSpec


@dataclass(frozen=True, slots=True)
class ArraySettings:
    """How the array is reached: `password` and `key` are references, paths are absolute.

    `server_name` is the name in the array's certificate where that is not `address`; None trusts what this machine trusts where
    `ca_file` is. Either `user` and `password` are set, or `certificate` and `key`.
    """

    address: str
    port: int = HTTPS_PORT
    server_name: str | None = None
    ca_file: str | None = None
    user: str | None = None
    password: Mapping[str, str] | None = None
    certificate: str | None = None
    key: Mapping[str, str] | None = None
    requests_at_once: int = DEFAULT_REQUESTS_AT_ONCE
    operation_seconds: float = DEFAULT_OPERATION_SECONDS

    @property
    def place(self) -> str:
        """Where the array is, for messages."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return host if self.port == HTTPS_PORT else f"{host}:{self.port}"

    @property
    def login(self) -> str:
        """Whom the array takes us for, in words."""
        return f"the account {self.user!r}" if self.user is not None else f"the certificate {self.certificate}"


@dataclass(frozen=True, slots=True)
class SmbSettings:
    """How shares are exported over SMB: `from_anywhere` where address rules of a share of both protocols are not meant for its SMB users."""

    from_anywhere: bool = False


@dataclass(frozen=True, slots=True)
class OntapSettings:
    """An ontap backend. `svm` is None where each share network gets an SVM of its own."""

    backend: str
    array: ArraySettings
    svm: str | None
    treatment: Treatment = field(default_factory=Treatment)
    snapshot_reserve_percent: int = DEFAULT_SNAPSHOT_RESERVE
    past_recovery_queue: bool = False
    aggregates: str = ".*"
    flexgroups: tuple[FlexGroupPool, ...] = ()
    qtrees: tuple[QtreePool, ...] = ()
    smb: SmbSettings | None = None
    share_servers: ShareServerSettings | None = None


def read_settings(backend: BackendSpec, base_directory: str) -> OntapSettings:
    """Return the settings of a backend; paths are under `base_directory`, or in the home folder (`~/`). Raises DriverError."""
    config = backend.config
    if not _meets_schema(config):
        message = f"the configuration of the backend {backend.name} does not meet the schema of the ontap driver; `sharectl validate` says where"
        raise DriverError(message)
    for problem in find_problems(backend):
        place = ".".join(("spec", "config", *(str(step) for step in problem.path)))
        message = f"backend {backend.name}, {place}: {problem.summary}; {problem.remedy}"
        raise DriverError(message)
    return OntapSettings(
        backend=backend.name,
        array=_array(config, base_directory),
        svm=config.get("svm"),
        treatment=treatment_in(config),
        snapshot_reserve_percent=config.get("snapshotReserve", DEFAULT_SNAPSHOT_RESERVE),
        past_recovery_queue=config.get("recoveryQueue") == "skip",
        aggregates=config.get("aggregates", ".*"),
        flexgroups=flexgroups_in(config),
        qtrees=qtrees_in(config),
        smb=smb_in(config),
        share_servers=share_server_settings(config) if backend.share_servers else None,
    )


def flexgroups_in(config: Mapping[str, Any]) -> tuple[FlexGroupPool, ...]:
    """Return the pools of FlexGroups."""
    return tuple(
        FlexGroupPool(name, tuple(pool["aggregates"]), pool.get("membersPerAggregate", FLEXGROUP_MEMBERS))
        for name, pool in config.get("flexGroups", {}).items()
    )


def smb_in(config: Mapping[str, Any]) -> SmbSettings | None:
    """Return how shares are exported over SMB; None where they are not."""
    return SmbSettings(config["smb"].get("fromAnywhere", False)) if "smb" in config else None


def treatment_in(config: Mapping[str, Any]) -> Treatment:
    """Return how NFS clients are treated unless a rule says otherwise."""
    nfs = config.get("nfs", {})
    usual = Treatment()
    return Treatment(
        nfs.get("squash", usual.squash),
        str(nfs.get("anonymousUid", usual.anonymous_uid)),
        tuple(flavour for flavour in FLAVOURS if flavour in nfs.get("security", usual.security)),
    )


def _meets_schema(config: Mapping[str, Any]) -> bool:
    import jsonschema_rs  # noqa: PLC0415 - only a backend that is opened needs it

    return jsonschema_rs.Draft202012Validator(CONFIG_SCHEMA).is_valid(config)


def _array(config: Mapping[str, Any], base_directory: str) -> ArraySettings:
    def local_path(text: str | None) -> str | None:
        return None if text is None else os.path.join(base_directory, os.path.expanduser(text))  # noqa: PTH111, PTH118 - ssl takes text

    certificate = config.get("clientCertificate", {})
    return ArraySettings(
        address=config["address"],
        port=config.get("port", HTTPS_PORT),
        server_name=config.get("serverName"),
        ca_file=local_path(config.get("caFile")),
        user=config.get("user"),
        password=config.get("password"),
        certificate=local_path(certificate.get("certificate")),
        key=certificate.get("key"),
        requests_at_once=config.get("requestsAtOnce", DEFAULT_REQUESTS_AT_ONCE),
        operation_seconds=config.get("operationTimeout", DEFAULT_OPERATION_SECONDS),
    )
