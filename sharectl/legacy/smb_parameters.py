"""Parameters of smb.conf(5): their synonyms, and what becomes of those that are no access rules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sharectl.legacy.export_options import Fate
from sharectl.legacy.findings import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

RULES: Final = frozenset(
    {
        *("path", "available", "read only", "guest ok", "guest only", "valid users", "invalid users"),
        *("read list", "write list", "hosts allow", "hosts deny", "printable"),
    }
)
"""Parameters that access rules are made of, or that say whether there is a share at all."""

_SPELLINGS: Final = {
    name.replace(" ", ""): name
    for name in (
        *RULES,
        *("config file", "config backend", "force user", "force group", "admin users", "vfs objects", "smb encrypt"),
        *("create mask", "directory mask", "force create mode", "force directory mode", "server signing", "veto files"),
        *("map to guest", "restrict anonymous", "only user", "max connections", "preexec close", "root preexec close"),
        *("hide unreadable", "inherit acls", "hide dot files", "follow symlinks", "wide links", "usershare path"),
    )
}
_SYNONYMS: Final = {
    "directory": "path",
    "public": "guest ok",
    "onlyguest": "guest only",
    "allowhosts": "hosts allow",
    "denyhosts": "hosts deny",
    "printok": "printable",
    "browsable": "browseable",
    "group": "force group",
    "vfsobject": "vfs objects",
    "createmode": "create mask",
    "directorymode": "directory mask",
    "serversmbencrypt": "smb encrypt",
    "user": "username",
    "users": "username",
    "exec": "preexec",
}
_INVERTED: Final = frozenset({"writeable", "writable", "writeok"})
_BOOLEANS: Final = {
    **dict.fromkeys(("yes", "true", "on", "1"), True),
    **dict.fromkeys(("no", "false", "off", "0"), False),
}
_SPACES: Final = re.compile(r"\s+")


def canonical_name(written: str, value: str) -> tuple[str, str]:
    """Return the parameter under its one name, with its value: `Write OK = yes` is `read only = no`."""
    squeezed = _SPACES.sub("", written).lower()
    if squeezed in _INVERTED:
        truth = truth_of(value)
        return "read only", value if truth is None else ("no" if truth else "yes")
    plain = _SPACES.sub(" ", written.strip()).lower()
    return _SYNONYMS.get(squeezed) or _SPELLINGS.get(squeezed) or plain, value


def truth_of(value: str) -> bool | None:
    """Return what a boolean says, None where it is none."""
    return _BOOLEANS.get(value.lower())


_LEFT: Final = Outcome.LEFT_OUT
_SERVED: Final = Fate(Outcome.AS_SERVED, "it changes nothing in who may do what, and shares need no word for it")
_SERVER: Final = Fate(Outcome.AS_SERVED, "it is a setting of the old server as a whole; the new one has its own")
_FILES: Final = Fate(
    _LEFT,
    "all users of a share work on its files as one, so that the rights of a file keep nobody of them out",
    "split what not all may see into shares of its own",
)
_KEEPS_OUT: Final = Fate(
    _LEFT,
    "it keeps somebody out, or hides something, in a way that no rule can say",
    "remove it if it does not matter, then import again",
    shuts_out=True,
)
_UNKNOWN: Final = Fate(
    _LEFT,
    "what it asks of clients is not known here",
    "remove it if it keeps nobody out, then import again",
    shuts_out=True,
)
_OF_SHARES: Final[Mapping[str, Fate]] = {
    **dict.fromkeys(
        (
            *("comment", "case sensitive", "preserve case", "short preserve case", "default case", "oplocks"),
            *("level2 oplocks", "kernel oplocks", "locking", "strict locking", "posix locking", "csc policy", "volume"),
            *("map archive", "map hidden", "map system", "map readonly", "store dos attributes", "ea support"),
            *(
                "inherit permissions",
                "inherit acls",
                "inherit owner",
                "dos filemode",
                "dos filetimes",
                "nt acl support",
            ),
            *("hide dot files", "hide special files", "hide files", "use sendfile", "aio read size", "aio write size"),
            *("strict sync", "sync always", "strict allocate", "delete readonly", "mangled names", "min print space"),
            *(
                "follow symlinks",
                "printing",
                "acl allow execute always",
                "durable handles",
                "smb2 leases",
                "kernel share modes",
            ),
            *("hide unreadable", "hide unwriteable files", "access based share enum", "dos filetime resolution"),
        ),
        _SERVED,
    ),
    **dict.fromkeys(("create mask", "directory mask", "force create mode", "force directory mode"), _FILES),
    **dict.fromkeys(("security mask", "directory security mask", "force security mode"), _FILES),
    **dict.fromkeys(
        ("force user", "force group"),
        Fate(
            _LEFT,
            "the driver says as whom the users of a share work on its files",
            "see that this user may read and write the folder",
        ),
    ),
    "admin users": Fate(
        Outcome.NARROWED, "nobody is root in a share", "let root of the storage host mend what needs it"
    ),
    "wide links": Fate(Outcome.NARROWED, "no link leads out of a share", "make a share of what it leads to"),
    "browseable": Fate(
        _LEFT, "whether a share is shown to those who browse is a setting of the backend, if its driver has one"
    ),
    "vfs objects": Fate(
        _LEFT,
        "modules of Samba are not loaded by their names",
        "see the settings of the backend for what they did: recycle bins, shadow copies, macOS",
    ),
    **dict.fromkeys(
        ("preexec", "postexec", "root preexec", "root postexec"),
        Fate(_LEFT, "no program of the host is run for a client", "run it by other means"),
    ),
    **dict.fromkeys(
        ("veto files", "only user", "username", "max connections", "preexec close", "root preexec close"), _KEEPS_OUT
    ),
}
_OF_SERVER: Final[Mapping[str, Fate]] = {
    "usershare path": Fate(
        _LEFT, "shares that users made themselves are not in this file", "look into the folder that it names"
    ),
    **dict.fromkeys(
        ("server min protocol", "min protocol", "ntlm auth", "lanman auth"),
        Fate(
            _LEFT, "the backend says what clients have to speak", "compare it with the settings of the backend (`smb`)"
        ),
    ),
    "username map": Fate(
        _LEFT, "a user has one name", "write the users of the rules under the names that they log in with"
    ),
}
_RESTRICTING_MODULES: Final = frozenset({"readonly", "worm", "virusfilter", "expand_msdfs"})


_KEEPING_OUT: Final = frozenset({"only user", "preexec close", "root preexec close"})


def fate_of_parameter(name: str, value: str, *, of_server: bool) -> Fate:
    """Return what becomes of a parameter that is none of RULES; `of_server` tells of one that stands in [global]."""
    if of_server and name.startswith("idmap config "):  # testparm(1) prints one always
        return _SERVER
    if ":" in name:
        return Fate(_LEFT, "it is of a module of Samba, which shares do not load by its name")
    if name == "vfs objects" and _RESTRICTING_MODULES.intersection(value.lower().split()):
        return _KEEPS_OUT
    is_idle = (name in _KEEPING_OUT and truth_of(value) is False) or (name == "max connections" and value == "0")
    if is_idle or (name == "browseable" and truth_of(value)):
        return _SERVED
    by_default = _OF_SERVER.get(name, _SERVER) if of_server else _UNKNOWN
    return _OF_SHARES.get(name, by_default)
