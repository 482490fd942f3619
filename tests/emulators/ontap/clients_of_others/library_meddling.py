"""What another program does, with NetApp's Python library, beside and to what sharectl keeps on an SVM.

`library_meddling.py HOST PORT CA_FILE USER PASSWORD`: lets somebody into each volume that sharectl made, and makes a volume of its own.
"""

from __future__ import annotations

import sys

from netapp_ontap import HostConnection, config
from netapp_ontap.resources import ExportPolicy, ExportRule, Volume

OPEN = {"clients": [{"match": "192.0.2.0/24"}], "ro_rule": ["any"], "rw_rule": ["any"], "superuser": ["any"]}


def main() -> None:
    """Do both."""
    host, port, ca_file, user, password = sys.argv[1:]
    config.CONNECTION = HostConnection(host, port=int(port), username=user, password=password, verify=ca_file)
    for volume in list(Volume.get_collection(comment="sharectl:*", fields="nas.export_policy")):
        ExportRule(volume.nas.export_policy.id, **OPEN).post(hydrate=True)
    ExportPolicy.from_dict({"name": "theirs", "svm": {"name": "vs1"}, "rules": [OPEN]}).post()
    theirs = {
        "name": "theirs",
        "svm": {"name": "vs1"},
        "aggregates": [{"name": "aggr2"}],
        "style": "flexvol",
        "size": 2**30,
        "nas": {"path": "/theirs", "export_policy": {"name": "theirs"}},
    }
    Volume.from_dict(theirs).post(poll_interval=0.05)


if __name__ == "__main__":
    main()
