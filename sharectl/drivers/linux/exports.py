"""The settings of exports that a backend and a share type ask for, as the driver tells them: a text for each."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.linux.agent.contract import NOBODY, Squash
from sharectl.drivers.linux.agent.nfs import treatment as nfs_treatment
from sharectl.drivers.linux.agent.smb import treatment as smb_treatment
from sharectl.drivers.linux.agent.smb.treatment import SmbTreatment, TimeMachine
from sharectl.drivers.linux.extra_specs import Asked
from sharectl.model.access import BOTH, CIFS, NFS, protocols_in
from sharectl.model.quantities import parse_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sharectl.drivers.linux.settings import LinuxSettings, NfsSettings, SmbSettings

_ONE_OWNER: Final[Mapping[str, str]] = {"anonymous": f"{NOBODY}:{NOBODY}", "squash": Squash.ALL.value}
"""How the export of a share with both protocols treats its clients: they are whom smbd works as."""


NOT_TOLD: Final = {"snapshots": "false"}
"""What holds for an export that says nothing of it."""

_MOST_NAMED: Final = 10


def nfs_settings(nfs: NfsSettings, extra_specs: Mapping[str, str]) -> dict[str, str]:
    """Return how an export treats its clients."""
    asked = Asked(extra_specs)
    told = nfs_treatment.told(
        {
            "squash": nfs.squash,
            "security": nfs.security,
            "insecure": nfs.insecure,
            "anonymous": nfs.anonymous,
            "snapshots": asked.flag("nfs_snapshots", otherwise=nfs.snapshots),
        }
    )
    return {
        **told,
        "squash": asked.text("nfs_squash", told["squash"]),
        "insecure": asked.text("nfs_insecure", told["insecure"]),
    }


def smb_settings(smb: SmbSettings, extra_specs: Mapping[str, str]) -> dict[str, str]:
    """Return what a share offers its clients."""
    return smb_treatment.told(treatment_of(smb, extra_specs))


def treatment_of(smb: SmbSettings, extra_specs: Mapping[str, str]) -> SmbTreatment:
    """Return the same as the agent has it."""
    asked = Asked(extra_specs)
    own = smb.recycle_bin
    recycle_bin = replace(
        own,
        folder=asked.text("smb_recycle_bin_folder", own.folder),
        keep_tree=asked.flag("smb_recycle_bin_keep_tree", otherwise=own.keep_tree),
        versions=asked.flag("smb_recycle_bin_versions", otherwise=own.versions),
        visible=asked.flag("smb_recycle_bin_visible", otherwise=own.visible),
    )
    has_bin = asked.flag("smb_recycle_bin", otherwise=smb.has_recycle_bin)
    max_size = asked.text("smb_time_machine_max_size", "")
    time_machine = TimeMachine(parse_size(max_size)) if max_size else smb.time_machine
    backs_up = smb.macos and asked.flag("smb_time_machine", otherwise=smb.has_time_machine)
    return SmbTreatment(
        recycle_bin=recycle_bin if has_bin else None,
        previous_versions=asked.flag("smb_previous_versions", otherwise=smb.previous_versions),
        macos=smb.macos,
        time_machine=time_machine if backs_up else None,
    )


def nfs_server_settings(nfs: NfsSettings) -> dict[str, str]:
    """Return what holds for all exports of the server: it exports nothing while it runs with something else."""
    if nfs.server != "ganesha":
        return {"server": nfs.server}
    minors = [f"4.{minor}" for minor in sorted(nfs.minor_versions)]
    if nfs.v3:
        return {"versions": ",".join(["3", *minors]), "mountPort": str(nfs.mount_port)}
    return {"versions": ",".join(minors)}


def smb_server_settings(smb: SmbSettings) -> dict[str, str]:
    """Return the same of the SMB server."""
    told: dict[str, str] = {"diskFree": smb.disk_free, "encryption": smb.encryption, "signing": smb.signing}
    flags = {"browsing": smb.browsing, "guests": smb.guests}
    return {**told, **{name: "true" for name, is_set in flags.items() if is_set}}


def smb_people_settings(smb: SmbSettings) -> dict[str, str]:
    """Return whom rules for several people mean, by the key of the rule."""
    groups = {f"group:{name.casefold()}": _named(members) for name, members in smb.groups.items()}
    return {**groups, "user:*": _named(smb.users)} if smb.users else groups


def _named(users: Iterable[str]) -> str:
    """Return users in a few words, no two sets of them in the same."""
    names = sorted({user.casefold() for user in users})
    text = ", ".join(names)
    if len(names) <= _MOST_NAMED:
        return text or "nobody"
    digest = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
    return f"{', '.join(names[:_MOST_NAMED])} and {len(names) - _MOST_NAMED} more ({digest})"


def share_settings(
    nfs: NfsSettings, smb: SmbSettings, protocol: str | None, extra_specs: Mapping[str, str]
) -> dict[str, str]:
    """Return the settings of a share of this protocol; with both, its files have one owner, and it has no recycle bin."""
    if protocol == BOTH:
        offered = smb_treatment.told(replace(treatment_of(smb, extra_specs), recycle_bin=None))
        return {**nfs_settings(nfs, extra_specs), **_ONE_OWNER, **offered}
    protocols = protocols_in(protocol)
    return {
        **(nfs_settings(nfs, extra_specs) if NFS in protocols else {}),
        **(smb_settings(smb, extra_specs) if CIFS in protocols else {}),
    }


def server_settings(nfs: NfsSettings, smb: SmbSettings, protocol: str | None) -> dict[str, str]:
    """Return those that hold for all shares of the servers of this protocol."""
    protocols = protocols_in(protocol)
    return {
        **(nfs_server_settings(nfs) if NFS in protocols else {}),
        **(smb_server_settings(smb) if CIFS in protocols else {}),
    }


def options_of(settings: LinuxSettings, extra_specs: Mapping[str, str]) -> dict[str, Any]:
    """Return the options of a new share, as the agent's records keep them."""
    nfs = nfs_treatment.untold({**NOT_TOLD, **nfs_settings(settings.nfs, extra_specs)})
    return {**nfs, **smb_treatment.to_options(treatment_of(settings.smb, extra_specs))}


def options_told(settings: Mapping[str, str] | None) -> dict[str, Any]:
    """Return the options that told settings stand for; none where nothing is told."""
    if settings is None:
        return {}
    return {
        **nfs_treatment.untold({**NOT_TOLD, **settings}),
        **smb_treatment.to_options(smb_treatment.untold(settings)),
    }
