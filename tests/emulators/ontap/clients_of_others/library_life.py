"""What a program does with NetApp's Python library: a server from its IPspace to its teardown, and shares on an SVM that is there.

`library_life.py HOST PORT CA_FILE USER PASSWORD SVM_USER SVM_PASSWORD`: what it sees it writes as JSON to standard output.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from netapp_ontap import HostConnection, config, resources
from netapp_ontap.error import NetAppRestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from netapp_ontap.resource import Resource

MIB = 2**20
ADMINISTRATOR = {"user": "Administrator", "password": "Secret-1"}
WAIT = {"poll_interval": 0.05}


def made(kind: str, body: dict[str, object]) -> Resource:
    """Make an object, and read it."""
    one = getattr(resources, kind).from_dict(body)
    one.post(hydrate=True, **WAIT)
    return one


def refusal(work: Callable[..., object], *arguments: object) -> int | str:
    """Return the code with which something is refused; of a job the library tells the words alone."""
    try:
        work(*arguments)
    except NetAppRestError as error:
        return int(error.response_body["error"]["code"]) if error.response_body else str(error)
    return 0


def names(kind: str, **filters: str) -> list[str]:
    """Return the names of all objects of a kind."""
    return sorted(one.name for one in getattr(resources, kind).get_collection(**filters))


def segment() -> list[Resource]:
    """Make an IPspace with a VLAN on both nodes, and return what is to be removed in its order."""
    ipspace = made("Ipspace", {"name": "ips_lib"})
    domain = made("BroadcastDomain", {"name": "bd_lib", "mtu": 1500, "ipspace": {"name": "ips_lib"}})
    ports = [
        made(
            "Port",
            {
                "type": "vlan",
                "node": {"name": node},
                "vlan": {"base_port": {"name": "e0c", "node": {"name": node}}, "tag": 77},
                "broadcast_domain": {"name": "bd_lib", "ipspace": {"name": "ips_lib"}},
            },
        )
        for node in ("n1", "n2")
    ]
    return [*ports, domain, ipspace]


def server() -> tuple[Resource, dict[str, object]]:
    """Make an SVM with LIFs, a route, DNS, NFS and a CIFS server."""
    aggregates = [{"name": "aggr1"}, {"name": "aggr2"}]
    svm = made("Svm", {"name": "svm_lib", "ipspace": {"name": "ips_lib"}, "aggregates": aggregates})
    for number, node in enumerate(("n1", "n2"), start=10):
        port = {"name": "e0c-77", "node": {"name": node}}
        made(
            "IpInterface",
            {
                "name": f"lif_{node}",
                "svm": {"name": "svm_lib"},
                "ip": {"address": f"10.9.0.{number}", "netmask": "24"},
                "location": {"home_node": {"name": node}, "home_port": port},
                "service_policy": {"name": "default-data-files"},
            },
        )
    made("NetworkRoute", {"svm": {"name": "svm_lib"}, "gateway": "10.9.0.1"})
    made("Dns", {"svm": {"name": "svm_lib"}, "domains": ["example.com"], "servers": ["10.0.0.2"]})
    made("NfsService", {"svm": {"name": "svm_lib"}, "enabled": True, "protocol": {"v41_enabled": True}})
    cifs: dict[str, object] = {"svm": {"name": "svm_lib"}, "name": "LIB"}
    wrong = {**cifs, "ad_domain": {**ADMINISTRATOR, "fqdn": "example.com", "password": "wrong"}}
    refused = refusal(made, "CifsService", wrong)
    made("CifsService", {**cifs, "ad_domain": {**ADMINISTRATOR, "fqdn": "example.com"}})
    lifs = names("IpInterface", **{"svm.name": "svm_lib"})
    return svm, {"state": svm.state, "lifs": lifs, "wrong password": refused}


def share(svm: str) -> dict[str, object]:
    """Make a volume that is exported and shared, change it and all that hangs on it, and remove it."""
    rule = {"clients": [{"match": "10.9.0.0/24"}], "ro_rule": ["sys"], "rw_rule": ["sys"], "superuser": ["sys"]}
    policy = made("ExportPolicy", {"name": "p_lib", "svm": {"name": svm}, "rules": [rule]})
    volume = made(
        "Volume",
        {
            "name": "vol_lib",
            "svm": {"name": svm},
            "aggregates": [{"name": "aggr1"}],
            "style": "flexvol",
            "size": 100 * MIB,
            "snapshot_policy": {"name": "none"},
            "nas": {"path": "/vol_lib", "export_policy": {"name": "p_lib"}},
        },
    )
    volume.size = 200 * MIB
    volume.comment = 'say "hello"'
    volume.patch(hydrate=True, **WAIT)
    seen = {"volume": [volume.size, volume.comment, volume.state], "rules": rules(policy)}
    seen["policy in use"] = refusal(policy.delete)
    seen |= {"acls": cifs_share(svm), "snapshot of a clone": snapshots(volume)}
    qtree_and_quality(svm)
    volume.nas = {"path": ""}
    volume.patch(**WAIT)
    volume.delete(**WAIT)
    policy.delete()
    return seen


def rules(policy: Resource) -> list[object]:
    """Add a rule to a policy, change it, show all, and remove it."""
    added = resources.ExportRule(policy.id, clients=[{"match": "10.9.1.7"}], ro_rule=["sys"], rw_rule=["never"])
    added.post(hydrate=True)
    added.rw_rule = ["sys"]
    added.patch(hydrate=True)
    policy.get(fields="rules")
    shown = [[each.index, [client.match for client in each.clients]] for each in policy.rules]
    added.delete()
    return [*shown, added.rw_rule]


def cifs_share(svm: str) -> list[object]:
    """Share the volume, let another in, show who may, and stop sharing it."""
    acls = [{"user_or_group": "EXAMPLE\\bob", "type": "windows", "permission": "read"}]
    one = made("CifsShare", {"svm": {"name": svm}, "name": "share_lib", "path": "/vol_lib", "acls": acls})
    entry = resources.CifsShareAcl(
        one.svm.uuid, "share_lib", user_or_group="EXAMPLE\\alice", type="windows", permission="change"
    )
    entry.post(hydrate=True)
    entry.permission = "full_control"
    entry.patch(hydrate=True)
    one.get(fields="acls")
    shown = sorted([each.user_or_group, each.permission] for each in one.acls)
    entry.delete()
    one.delete()
    return shown


def snapshots(volume: Resource) -> int | str:
    """Make a snapshot, go back to it, clone it, and return what is said of removing it while there is a clone."""
    snapshot = resources.Snapshot(volume.uuid, name="snap_lib", comment="by the library")
    snapshot.post(hydrate=True, **WAIT)
    resources.Volume(uuid=volume.uuid).patch(**{"restore_to.snapshot.name": "snap_lib"}, **WAIT)
    clone = {"is_flexclone": True, "parent_volume": {"name": "vol_lib"}, "parent_snapshot": {"name": "snap_lib"}}
    copied = made("Volume", {"name": "clone_lib", "svm": {"name": volume.svm.name}, "clone": clone})
    refused = refusal(snapshot.delete)
    copied.delete(force=True, **WAIT)
    snapshot.delete(**WAIT)
    return refused


def qtree_and_quality(svm: str) -> None:
    """Make a qtree with a quota, and a policy of quality of service, and remove them."""
    place: dict[str, object] = {"svm": {"name": svm}, "volume": {"name": "vol_lib"}}
    qtree = made("Qtree", {**place, "name": "tree_lib"})
    limit = {"type": "tree", "qtree": {"name": "tree_lib"}, "space": {"hard_limit": 10 * MIB}}
    rule = made("QuotaRule", {**place, **limit})
    rule.delete(**WAIT)
    qtree.delete(**WAIT)
    quality = made("QosPolicy", {"svm": {"name": svm}, "name": "qos_lib", "fixed": {"max_throughput_iops": 500}})
    quality.delete(**WAIT)


def teardown(svm: Resource, below: list[Resource]) -> dict[str, object]:
    """Take down the server, and what it stood on."""
    refused = refusal(svm.delete)
    cifs = resources.CifsService.from_dict({"svm": {"uuid": svm.uuid}})
    cifs.delete(body={"ad_domain": ADMINISTRATOR}, **WAIT)
    for lif in list(resources.IpInterface.get_collection(**{"svm.name": "svm_lib"})):
        lif.delete()
    svm.delete(**WAIT)
    for one in below:
        one.delete()
    return {"svm in a domain": refused, "left": [names("Ipspace"), names("Svm")]}


def main() -> None:
    """Go through all of it, first as the cluster's administrator, then as that of an SVM."""
    host, port, ca_file, *logins = sys.argv[1:]

    def connect(user: str, password: str) -> None:
        config.CONNECTION = HostConnection(host, port=int(port), username=user, password=password, verify=ca_file)

    connect(*logins[:2])
    below = segment()
    svm, seen = server()
    seen["with servers"] = share("svm_lib")
    seen |= teardown(svm, below)
    connect(*logins[2:])
    seen["without servers"] = share("vs1")
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    main()
