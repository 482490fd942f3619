"""Where clients mount a share: the data LIFs of its SVM, those on the node of its aggregate first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sharectl.drivers.ontap.errors import ArrayError
from sharectl.drivers.ontap.names import read_note
from sharectl.model.access import CIFS, NFS, protocols_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sharectl.drivers.ontap.client import Array
    from sharectl.model.canonical import JsonObject

SVMS: Final = "svm/svms"
INTERFACES: Final = "network/ip/interfaces"
INTERFACE_FIELDS: Final = ("name", "uuid", "svm.name", "ip", "enabled", "state", "services", "location.home_node.name")
_SERVICES: Final = {NFS: "data_nfs", CIFS: "data_cifs"}


@dataclass(frozen=True, slots=True)
class DataLif:
    """An address of an SVM that serves data; `protocols` are those that it may serve."""

    svm: str
    address: str
    protocols: tuple[str, ...]
    home_node: str | None
    is_enabled: bool


def data_lifs(array: Array, svm: str | None) -> tuple[DataLif, ...]:
    """Return the data LIFs of an SVM, or of all."""
    records = array.records(INTERFACES, svm=svm, fields=INTERFACE_FIELDS)
    return tuple(lif for lif in map(_lif, records) if lif.protocols)


def _lif(record: JsonObject) -> DataLif:
    services = record.get("services") or ()
    location = record.get("location") or {}
    return DataLif(
        svm=str((record.get("svm") or {}).get("name", "")),
        address=str((record.get("ip") or {}).get("address", "")),
        protocols=tuple(protocol for protocol, service in _SERVICES.items() if service in services),
        home_node=(location.get("home_node") or {}).get("name"),
        is_enabled=bool(record.get("enabled", True)),
    )


@dataclass(frozen=True, slots=True)
class Places:
    """Where shares are: the data LIFs of all SVMs, the home nodes of aggregates, and the share servers that SVMs are, by their names."""

    lifs: tuple[DataLif, ...] = ()
    nodes: Mapping[str, str] = field(default_factory=dict)
    servers: Mapping[str, str] = field(default_factory=dict)


def home_nodes(array: Array) -> dict[str, str]:
    """Return the home node of each aggregate; of none to a login that may not see them."""
    try:
        records = array.records("storage/aggregates", fields=("name", "home_node.name"))
    except ArrayError as problem:
        if problem.kind != "auth":
            raise
        return {}
    return {record["name"]: (record.get("home_node") or {}).get("name", "") for record in records}


def servers_by_svm(array: Array) -> dict[str, str]:
    """Return the ids of the share servers on an array by the names of their SVMs."""
    notes = {
        record["name"]: read_note(record.get("comment")) for record in array.records(SVMS, fields=("name", "comment"))
    }
    return {svm: note.resource_id for svm, note in notes.items() if note is not None}


def preferred_first(lifs: Iterable[DataLif], svm: str, node: str | None) -> list[DataLif]:
    """Return the LIFs of an SVM in the order in which clients should try them.

    One at home on `node`, where the aggregate of a share is, spares them the way between nodes.
    """
    ours = (lif for lif in lifs if lif.svm == svm and lif.is_enabled)
    return sorted(ours, key=lambda lif: (lif.home_node != node, ":" in lif.address, lif.address))


def export_locations(lifs: Iterable[DataLif], path: str | None, protocol: str, share: str = "") -> tuple[str, ...]:
    """Return the export locations of a share that is mounted at `path`, none where it is not; `share` is its name over CIFS."""
    return () if path is None else tuple(_written(tuple(lifs), path, protocol, share))


def _written(lifs: Sequence[DataLif], path: str, protocol: str, share: str) -> Iterator[str]:
    for each in protocols_in(protocol):
        for lif in lifs:
            if each not in lif.protocols:
                continue
            if each == NFS:
                yield f"[{lif.address}]:{path}" if ":" in lif.address else f"{lif.address}:{path}"
            elif share:
                yield f"\\\\{lif.address}\\{share}"
