"""Options of exports(5) other than those that say how a client is treated: what becomes of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.legacy.findings import Outcome

if TYPE_CHECKING:
    from sharectl.legacy.exports import ExportOption


class Fate(NamedTuple):
    """What becomes of an option. One that `shuts_out` keeps clients out in a way that no manifest can say: without it, more would get in."""

    outcome: Outcome
    why: str
    remedy: str = ""
    shuts_out: bool = False


_SERVED: Final = Fate(Outcome.AS_SERVED, "so is every share")
_LEFT: Final = Outcome.LEFT_OUT
_MOUNTS: Final = Fate(
    _LEFT,
    "a share ends where another file system is mounted in its folder",
    "make a share of each file system that is to be seen",
)
_ROOT: Final = Fate(
    _LEFT,
    "this folder is the root of what NFSv4 clients see, and shares have paths of their own",
    "mount by the paths that `sharectl mounts` writes",
)
_HANDLES: Final = Fate(Outcome.AS_SERVED, "shares have file handles of their own, and clients mount them anew")
_HINT: Final = Fate(
    Outcome.AS_SERVED, "it changes only how soon writes reach the disk, or what NFSv3 locks; a share needs none"
)
_REFERRAL: Final = Fate(_LEFT, "clients are sent to another server", "let them mount from there", shuts_out=True)
_FATES: Final = {
    **dict.fromkeys(("sync", "no_subtree_check", "hide", "nocrossmnt", "acl", "no_pnfs"), _SERVED),
    **dict.fromkeys(
        ("wdelay", "no_wdelay", "auth_nlm", "no_auth_nlm", "secure_locks", "insecure_locks", "nordirplus"), _HINT
    ),
    "async": Fate(
        _LEFT,
        "a share answers when the data is on the disk, so that a crash loses nothing that a client takes for written",
        "expect slower writes of many small files",
    ),
    "subtree_check": Fate(
        _LEFT,
        "no server checks that a file handle lies in the exported folder",
        "give clients that are not to reach each other's data pools of their own",
    ),
    **dict.fromkeys(("crossmnt", "nohide"), _MOUNTS),
    **dict.fromkeys(
        ("mountpoint", "mp"), Fate(Outcome.AS_SERVED, "no share is exported while its pool is not mounted")
    ),
    "no_acl": Fate(_LEFT, "it hides ACLs from NFSv3 clients, which a share does not"),
    "pnfs": Fate(_LEFT, "shares offer no pNFS layouts; clients go through the server"),
    "security_label": Fate(_LEFT, "shares hand out no SELinux labels", "label the mount on the client (`context=`)"),
    **dict.fromkeys(("refer", "replicas"), _REFERRAL),
}


def fate_of(option: ExportOption) -> Fate:
    """Return what becomes of an option that is none of a treatment."""
    if option.name == "fsid":
        return _ROOT if option.value in {"0", "root"} else _HANDLES
    unknown = Fate(
        _LEFT,
        "what it asks of clients is not known here",
        "look it up in exports(5) of the old server, and write the rule yourself if it does not matter",
        shuts_out=True,
    )
    return _FATES.get(option.name, unknown)
