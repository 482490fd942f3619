"""The nouns of sharectl: kinds, addresses, specifications and settings, as frozen values without I/O."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

API_VERSION: Final = "sharectl/v1"
DIGEST_SIZE_BYTES: Final = 16
NO_ACCESS_DIGEST: Final = bytes(DIGEST_SIZE_BYTES)

Address = str
"""`kind/name` in lower case: `share/projects`; an access rule's stands under its share: `share/projects/access/ip:10.0.0.0/8`."""

JsonObject = dict[str, Any]


class Kind(StrEnum):
    """The kinds of resources; the value is how an address spells it."""

    BACKEND = "backend"
    SHARE_TYPE = "share_type"
    SHARE = "share"
    ACCESS_RULE = "access_rule"
    SNAPSHOT = "snapshot"
    SHARE_NETWORK = "share_network"
    SECURITY_SERVICE = "security_service"
    SHARE_SERVER = "share_server"
    NETWORK_ALLOCATION = "network_allocation"
    IMPORT = "import"

    @property
    def document_kind(self) -> str:
        """The `kind:` of a manifest: `ShareType` for `share_type`."""
        return "".join(word.capitalize() for word in self.value.split("_"))


DERIVED_KINDS: Final = frozenset({Kind.SHARE_SERVER, Kind.NETWORK_ALLOCATION, Kind.IMPORT})
"""Kinds that nobody writes a manifest for: the planner derives share servers, what they take from the network follows, and an import leaves its row until it is done."""

KIND_OF_DOCUMENT: Final[dict[str, Kind]] = {kind.document_kind: kind for kind in Kind if kind not in DERIVED_KINDS}
_ACCESS_SEPARATOR: Final = "/access/"


class Protocol(StrEnum):
    """File-sharing protocols under Manila's names; CIFS is what Windows and Samba call SMB."""

    NFS = "NFS"
    CIFS = "CIFS"


class AccessType(StrEnum):
    """What an access rule names: an address or CIDR, or a user."""

    IP = "ip"
    USER = "user"


class AccessLevel(StrEnum):
    """What an access rule grants."""

    READ_WRITE = "rw"
    READ_ONLY = "ro"


class DeletionPolicy(StrEnum):
    """What happens to a share or snapshot on its backend once its manifest is gone."""

    RETAIN = "retain"
    DELETE = "delete"
    TRASH = "trash"


class UnusedShareServers(StrEnum):
    """What becomes of a share server when its last share is gone."""

    DELETE = "delete"
    KEEP = "keep"


class Replacement(StrEnum):
    """Whether a change that cannot be made in place may make a new share and remove the old one, and in which order."""

    REFUSE = "refuse"
    CREATE_FIRST = "createFirst"
    DELETE_FIRST = "deleteFirst"


class Verb(StrEnum):
    """What a step does; the value is stored with intents and history, so it never changes its meaning."""

    PREPARE_BACKEND = "prepare-backend"
    CREATE_SHARE = "create-share"
    EXTEND_SHARE = "extend-share"
    SHRINK_SHARE = "shrink-share"
    REVERT_SHARE = "revert-share"
    UPDATE_ACCESS = "update-access"
    UPDATE_RECORD = "update-record"
    DELETE_SHARE = "delete-share"
    TRASH_SHARE = "trash-share"
    CREATE_SNAPSHOT = "create-snapshot"
    DELETE_SNAPSHOT = "delete-snapshot"
    ADOPT = "adopt"
    RESTORE_SHARE = "restore-share"
    FORGET = "forget"
    MOVE = "move"
    CREATE_SHARE_SERVER = "create-share-server"
    REPAIR_SHARE_SERVER = "repair-share-server"
    UPDATE_SHARE_SERVER = "update-share-server"
    DELETE_SHARE_SERVER = "delete-share-server"
    RELEASE_ALLOCATION = "release-allocation"


class AccessRule(NamedTuple):
    """One grant on a share. `access_to` is canonical: an IP address or network as `ipaddress` prints it, or a user name.

    Two rules of one share are the same rule when `key` is equal; the level of a rule can change in place.
    """

    access_type: str
    access_to: str
    access_level: str

    @property
    def key(self) -> str:
        r"""`ip:10.0.0.0/8` or `user:CORP\\alice`: unique within a share."""
        return f"{self.access_type}:{self.access_to}"


@dataclass(frozen=True, slots=True)
class SchedulerHints:
    """Wishes about the place of a new share, with Manila's names; `same_host` and `different_host` hold names of shares."""

    same_host: tuple[str, ...] = ()
    different_host: tuple[str, ...] = ()
    only_host: str | None = None


NO_HINTS: Final = SchedulerHints()


@dataclass(frozen=True, slots=True)
class RevertRequest:
    """The wish to turn a share back to the snapshot called `snapshot`, once for each new `request` (a date, a ticket number).

    In the state it is the last request that was begun. Never in a manifest are `cut_short` (the attempt ended without an answer,
    so that nobody knows whether the share was turned back) and `withdrawn` (the manifest no longer asks, and the state
    remembers what was answered, so that the same text does not lose data a second time when it comes back).
    """

    snapshot: str
    request: str
    cut_short: bool = False
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class ShareSpec:
    """What a Share manifest asks for, access rules apart (they are a set of their own, see `access_digest`)."""

    name: str
    size_bytes: int
    protocol: str
    share_type: str | None = None
    availability_zone: str | None = None
    share_network: str | None = None
    source_snapshot: str | None = None
    revert_to: RevertRequest | None = None
    hints: SchedulerHints = NO_HINTS
    deletion_policy: str = DeletionPolicy.RETAIN
    retain_access: bool = False
    protect: bool = False
    allow_shrink: bool = False
    replacement: str = Replacement.REFUSE
    labels: Mapping[str, str] = field(default_factory=dict)

    def as_plain(self) -> JsonObject:
        """Return the JSON object from which `from_plain` makes an equal value; defaults are left out."""
        return _without_defaults(
            {
                "name": self.name,
                "size_bytes": self.size_bytes,
                "protocol": self.protocol,
                "share_type": self.share_type,
                "availability_zone": self.availability_zone,
                "share_network": self.share_network,
                "source_snapshot": self.source_snapshot,
                "revert_to": None if self.revert_to is None else _plain_request(self.revert_to),
                "same_host": list(self.hints.same_host),
                "different_host": list(self.hints.different_host),
                "only_host": self.hints.only_host,
                "deletion_policy": str(self.deletion_policy),
                "retain_access": self.retain_access,
                "protect": self.protect,
                "allow_shrink": self.allow_shrink,
                "replacement": str(self.replacement),
                "labels": dict(self.labels),
            },
            _SHARE_DEFAULTS,
        )

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ShareSpec:
        """Return the spec that `as_plain` wrote."""
        values = {**_SHARE_DEFAULTS, **plain}
        same_host, different_host, only_host = (values.pop(key) for key in ("same_host", "different_host", "only_host"))
        hints = NO_HINTS
        if same_host or different_host or only_host:
            hints = SchedulerHints(tuple(same_host), tuple(different_host), only_host)
        if values["revert_to"] is not None:
            values["revert_to"] = RevertRequest(**values["revert_to"])
        return cls(hints=hints, **values)


def _plain_request(request: RevertRequest) -> JsonObject:
    plain: JsonObject = {"snapshot": request.snapshot, "request": request.request}
    marks = {"cut_short": request.cut_short, "withdrawn": request.withdrawn}
    return {**plain, **{mark: True for mark, is_set in marks.items() if is_set}}


_SHARE_DEFAULTS: Final[JsonObject] = {
    "share_type": None,
    "availability_zone": None,
    "share_network": None,
    "source_snapshot": None,
    "revert_to": None,
    "same_host": [],
    "different_host": [],
    "only_host": None,
    "deletion_policy": "retain",
    "retain_access": False,
    "protect": False,
    "allow_shrink": False,
    "replacement": "refuse",
    "labels": {},
}


@dataclass(frozen=True, slots=True)
class SnapshotSpec:
    """What a Snapshot manifest asks for: a point-in-time copy of the share named `share`."""

    name: str
    share: str
    deletion_policy: str = DeletionPolicy.RETAIN
    protect: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)

    def as_plain(self) -> JsonObject:
        """Return the JSON object from which `from_plain` makes an equal value; defaults are left out."""
        return _without_defaults(
            {
                "name": self.name,
                "share": self.share,
                "deletion_policy": str(self.deletion_policy),
                "protect": self.protect,
                "labels": dict(self.labels),
            },
            _SNAPSHOT_DEFAULTS,
        )

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> SnapshotSpec:
        """Return the spec that `as_plain` wrote."""
        return cls(**{**_SNAPSHOT_DEFAULTS, **plain})


_SNAPSHOT_DEFAULTS: Final[JsonObject] = {"deletion_policy": "retain", "protect": False, "labels": {}}


@dataclass(frozen=True, slots=True)
class CapacityPolicy:
    """What the operator adds to a backend's own report of capacity; percentages are of the total, None keeps the driver's value."""

    reserved_percentage: float | None = None
    reserved_snapshot_percentage: float | None = None
    reserved_share_extend_percentage: float | None = None
    max_over_subscription_ratio: float | None = None
    thin_provisioning: bool | None = None


@dataclass(frozen=True, slots=True)
class NetworkPluginSpec:
    """Which network service gives the share servers of a backend their addresses, with the service's own settings."""

    plugin: str
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """A storage system that sharectl may place shares on.

    `lanes` is how many driver calls may run on it at once. `config` belongs to the driver; secrets in it are
    references (`{env: NAME}`, `{file: PATH}`), resolved only when the driver is opened. With `share_servers` it makes a server
    for each share network, at most `max_share_servers` of them, whose addresses come from `network`. `ignore` are the patterns of what it leaves alone (see `ignoring.IgnoreList`).
    """

    name: str
    driver: str
    config: Mapping[str, Any]
    lanes: int = 4
    enabled: bool = True
    share_servers: bool = False
    availability_zone: str | None = None
    capacity: CapacityPolicy = CapacityPolicy()
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    step_timeout_seconds: float = 300.0
    attempts: int = 4
    network: NetworkPluginSpec | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    max_share_servers: int | None = None
    unused_share_servers: str = UnusedShareServers.DELETE
    ignore: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShareTypeSpec:
    """A class of service: Manila's extra specs, every value a string as Manila stores it."""

    name: str
    extra_specs: Mapping[str, str]
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShareNetworkSubnet:
    """One subnet of a share network: either described here, or by ids of the network service.

    `allocation_ranges` are the only addresses that share servers may get (all hosts of `cidr` where there are none), `excluded` those
    that they may not; each is an address, `first-last` or a CIDR.
    """

    availability_zone: str | None = None
    cidr: str | None = None
    gateway: str | None = None
    network_type: str | None = None
    segmentation_id: int | None = None
    mtu: int | None = None
    neutron_net_id: str | None = None
    neutron_subnet_id: str | None = None
    nova_net_id: str | None = None
    allocation_ranges: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ShareNetworkSpec:
    """A tenant's network, on which share servers answer."""

    name: str
    subnets: tuple[ShareNetworkSubnet, ...]
    security_services: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SecurityServiceSpec:
    """A directory service: `service_type` is `active_directory`, `ldap` or `kerberos`; the password is a reference."""

    name: str
    service_type: str
    config: Mapping[str, Any]
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShareServerSpec:
    """What the planner wants of a share server: the subnet of its network, how many addresses, which directory services it joins.

    `name` is `NETWORK-SUBNET`, where SUBNET is the subnet's availability zone or `default`.
    """

    name: str
    share_network: str
    subnet: ShareNetworkSubnet
    address_count: int = 1
    security_services: tuple[SecurityServiceSpec, ...] = ()

    def as_plain(self) -> JsonObject:
        """Return the JSON object from which `from_plain` makes an equal value; what is None or empty is left out."""
        subnet = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self.subnet).items() if v}
        services = [asdict(service) for service in self.security_services]
        plain = {"name": self.name, "share_network": self.share_network, "subnet": subnet}
        return {**plain, "address_count": self.address_count, **({"security_services": services} if services else {})}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ShareServerSpec:
        """Return the spec that `as_plain` wrote."""
        subnet: JsonObject = {
            name: tuple(value) if isinstance(value, list) else value for name, value in plain["subnet"].items()
        }
        services = tuple(SecurityServiceSpec(**service) for service in plain.get("security_services", ()))
        return cls(
            plain["name"], plain["share_network"], ShareNetworkSubnet(**subnet), plain["address_count"], services
        )


def address_of(kind: Kind, name: str) -> Address:
    """Return `kind/name`."""
    return f"{kind.value}/{name}"


def rule_address(share_address: Address, rule_key: str) -> Address:
    """Return the address of an access rule under its share."""
    return f"{share_address}{_ACCESS_SEPARATOR}{rule_key}"


def split_rule_address(address: Address) -> tuple[Address, str | None]:
    """Return the share's address and the rule's key; the key is None where `address` is not an access rule's."""
    share_address, separator, key = address.partition(_ACCESS_SEPARATOR)
    return share_address, key if separator else None


def kind_of(address: Address) -> Kind:
    """Return the kind of the resource at `address`; raises ValueError where it is no address."""
    kind, separator, name = address.partition("/")
    if not separator or not name:
        message = f"{address!r} is no address; write kind/name, such as share/projects"
        raise ValueError(message)
    if _ACCESS_SEPARATOR in address:
        return Kind.ACCESS_RULE
    return Kind(kind)


def name_of(address: Address) -> str:
    """Return the name in `kind/name`."""
    return address.partition("/")[2]


def canonical_json(plain: object) -> bytes:
    """Return the one JSON text of `plain`: sorted keys, no white space."""
    return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)


def digest_of(data: bytes) -> bytes:
    """Return the 16-byte BLAKE2b digest that marks equal content."""
    return hashlib.blake2b(data, digest_size=DIGEST_SIZE_BYTES).digest()


def access_digest(rules: Iterable[AccessRule]) -> bytes:
    """Return the digest of a set of rules, whatever their order; of no rules, NO_ACCESS_DIGEST."""
    lines = sorted(f"{access_type}:{access_to}={level}" for access_type, access_to, level in rules)
    return digest_of("\n".join(lines).encode()) if lines else NO_ACCESS_DIGEST


def _without_defaults(plain: JsonObject, defaults: JsonObject) -> JsonObject:
    return {key: value for key, value in plain.items() if key not in defaults or defaults[key] != value}


@dataclass(frozen=True, slots=True)
class SafetyLimits:
    """How many shares and snapshots one apply may remove before it asks for more than `--yes`.

    A plan is refused when it removes more than `deletion_floor` of them and more than `max_deletion_percentage` of all in the state.
    """

    max_deletion_percentage: float = 10.0
    deletion_floor: int = 3


@dataclass(frozen=True, slots=True)
class PackSettings:
    """How hard the placement `pack` tries.

    `effort` is in the solver's units of counted work, each of which takes a few seconds. `max_choices` are the most choices (different
    shares times the pools that they may go to) that it is given.
    """

    effort: float = 2.0
    max_choices: int = 50_000


@dataclass(frozen=True, slots=True)
class SchedulerSettings:
    """How shares are placed; names are those of Manila's filters and weighers. None keeps the scheduler's default list.

    `options` are what third parties' filters and weighers are made with, by their names.
    """

    filters: tuple[str, ...] | None = None
    weighers: tuple[str, ...] | None = None
    multipliers: Mapping[str, float] = field(default_factory=dict)
    max_attempts: int = 3
    max_over_subscription_ratio: float = 20.0
    options: Mapping[str, Any] = field(default_factory=dict)
    algorithm: str = "manila"
    extend_filters: tuple[str, ...] | None = None
    pack: PackSettings = PackSettings()
