"""Share servers as the array has them: every SVM that serves data, whoever made it, and what was left of one. Pure but for the reading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.ontap.names import OWNER
from sharectl.drivers.ontap.requests import Pattern
from sharectl.drivers.ontap.share_servers.directory import ACTIVE_DIRECTORY
from sharectl.drivers.ontap.share_servers.names import ROOT_POLICY, segment_in
from sharectl.drivers.ontap.share_servers.network import IPSPACES, LIF_FIELDS, LIFS, found_lifs
from sharectl.drivers.ontap.share_servers.svm import (
    JOINED_NOTE,
    LIFS_NOTE,
    NAME_NOTE,
    POLICIES,
    RUNNING,
    SVM_FIELDS,
    SVMS,
    is_root_rule_alone,
    policy_of,
    root_volumes,
    svm_of,
)
from sharectl.model.frozen import dataclass
from sharectl.model.observed import ObservedShareServer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sharectl.drivers.ontap.client import Array
    from sharectl.drivers.ontap.share_servers.svm import Svm
    from sharectl.drivers.ontap.share_servers.wanted import FoundLif
    from sharectl.model.canonical import JsonObject

_DATA: Final = frozenset({"data_nfs", "data_cifs"})
_ONLINE: Final = "online"
_TRANSFER: Final = "transport.tcp_max_transfer_size"


@dataclass(frozen=True, slots=True)
class Seen:
    """All that the array shows of its SVMs; LIFs and policies by the name of their SVM."""

    svms: tuple[Svm, ...]
    lifs: Mapping[str, Sequence[JsonObject]]
    roots: Mapping[str, JsonObject]
    root_policies: Mapping[str, JsonObject]
    ipspaces: tuple[str, ...]
    transfer_bytes: Mapping[str, int]
    """Most bytes at once over NFS."""


def look(array: Array) -> Seen:
    """Read it, by six requests whatever the number of SVMs."""
    svms = tuple(svm_of(record) for record in array.records(SVMS, fields=SVM_FIELDS))
    lifs: dict[str, list[JsonObject]] = {}
    for record in array.records(LIFS, fields=LIF_FIELDS):
        lifs.setdefault(_svm_name(record), []).append(record)
    policies = array.records(POLICIES, query={"name": ROOT_POLICY}, fields=("svm.name", "rules"))
    spaces = array.records(IPSPACES, query={"name": Pattern(f"{OWNER}_*")}, fields=("name",))
    services = array.records("protocols/nfs/services", fields=("svm.name", _TRANSFER))
    return Seen(
        svms,
        lifs,
        {_svm_name(volume): volume for volume in root_volumes(array)},
        {_svm_name(policy): policy for policy in policies},
        tuple(str(space["name"]) for space in spaces),
        {
            _svm_name(each): int(each["transport"]["tcp_max_transfer_size"])
            for each in services
            if each.get("transport")
        },
    )


def servers_in(seen: Seen, transfer_bytes: int) -> Iterator[ObservedShareServer]:
    """Yield every share server, and what is left of those whose creation or removal was cut short before or after their SVM.

    `transfer_bytes` is what each is to read or write at once over NFS.
    """
    for svm in seen.svms:
        yield observed(svm, seen, transfer_bytes)
    inhabited = {svm.ipspace for svm in seen.svms}
    known = {svm.note.resource_id for svm in seen.svms if svm.note is not None}
    for space in seen.ipspaces:
        segment = segment_in(space)
        if segment is not None and space not in inhabited and segment[1] not in known:
            problem = "its creation or removal was cut short: its IPspace is there, and no SVM"
            yield ObservedShareServer(segment[1], space, space, (), healthy=False, problem=problem)


def observed(svm: Svm, seen: Seen, transfer_bytes: int) -> ObservedShareServer:
    """Return an SVM as a share server; of one that sharectl did not make nothing is said but where it answers."""
    records = seen.lifs.get(svm.name, ())
    if svm.note is None:
        addresses = (record["ip"]["address"] for record in records if _carries_data(record))
        return ObservedShareServer(None, svm.uuid, svm.name, tuple(sorted(addresses)))
    lifs = found_lifs(records)
    problem = _problem_of_root(seen.roots.get(svm.name), seen.root_policies.get(svm.name))
    there = seen.transfer_bytes.get(svm.name, transfer_bytes)
    if not problem and there != transfer_bytes:
        problem = f"its NFS server moves {there} bytes at once, not {transfer_bytes}"
    return server_of(svm, lifs, problem)


def server_of(svm: Svm, lifs: Iterable[FoundLif], other_problem: str = "") -> ObservedShareServer:
    """Return an SVM that sharectl made as a share server, with what is wrong with it."""
    lifs = tuple(lifs)
    values = {} if svm.note is None else svm.note.values
    problem = _problem_of_svm(svm) or problem_of_lifs(lifs, values.get(LIFS_NOTE, "")) or other_problem
    return ObservedShareServer(
        None if svm.note is None else svm.note.resource_id,
        svm.uuid,
        values.get(NAME_NOTE, svm.name),
        tuple(sorted(lif.address for lif in lifs)),
        not problem,
        problem,
    )


def _problem_of_svm(svm: Svm) -> str:
    if svm.state != RUNNING:
        return f"its SVM {svm.name} is {svm.state}"
    if not svm.serves_nfs:
        return "its NFS server is off"
    joined = "" if svm.note is None else svm.note.values.get(JOINED_NOTE, "")
    if ACTIVE_DIRECTORY in joined.split(",") and not svm.serves_cifs:
        return "its CIFS server is off or gone"
    return ""


def problem_of_lifs(lifs: Iterable[FoundLif], wanted: str) -> str:
    """Return what is wrong with the LIFs of a share server. One that is up on another node than its own is well."""
    lifs = tuple(lifs)
    for lif in lifs:
        if not lif.is_enabled or not lif.is_up:
            return f"its LIF {lif.name} ({lif.address}) is {'down' if lif.is_enabled else 'disabled'}"
    if wanted.isdecimal() and len(lifs) < int(wanted):
        return f"it has {len(lifs)} of its {wanted} LIFs"
    return ""


def _problem_of_root(volume: JsonObject | None, policy: JsonObject | None) -> str:
    if volume is None:
        return "its root volume is gone"
    if volume.get("state", _ONLINE) != _ONLINE:
        return f"its root volume is {volume['state']}"
    if policy is None or policy_of(volume) != ROOT_POLICY:
        return f"its root volume is not under the export policy {ROOT_POLICY}"
    return "" if is_root_rule_alone(policy) else f"the rules of its export policy {ROOT_POLICY} were changed"


def _carries_data(record: JsonObject) -> bool:
    return not _DATA.isdisjoint(record.get("services") or ())


def _svm_name(record: JsonObject) -> str:
    return str((record.get("svm") or {}).get("name", ""))
