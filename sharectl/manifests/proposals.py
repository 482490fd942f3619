"""Propose what to write in place of what was written, computed from it, for those who know other programs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_VARIABLE: Final = re.compile(r"\$\{|\$\(|\{\{|<no value>|<nil>|%\{|^\$[A-Za-z_]\w*$")
_UNFILLED: Final = re.compile(r"\$\{[A-Za-z_]|\$\([A-Za-z_]|\{\{|^\$[A-Z_][A-Z0-9_]*(?:/|$)")
_ONE_VARIABLE: Final = re.compile(
    r"\$([A-Za-z_]\w*)|\$\{([A-Za-z_]\w*)\}|\$\(([A-Za-z_]\w*)\)|\{\{ *(?:env\.)?([A-Za-z_]\w*) *\}\}", re.ASCII
)
_FREE_TEXT: Final = "description"
_TRUE: Final = frozenset({"true", "yes", "on", "y", "1", "enabled"})
_FALSE: Final = frozenset({"false", "no", "off", "n", "0", "disabled"})
_SIZE: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)[ _]*([A-Za-z]*)")
_PLAIN_WORD: Final = re.compile(r"[A-Za-z0-9][\w.-]*")
_LARGEST_NUMBER_OF_GIB: Final = 10**8

NO_VARIABLES: Final = "sharectl expands no variables; let envsubst, kustomize or helm do it, and pass what they write: `… | sharectl plan -f -`"
NO_SECRETS: Final = "A secret in a manifest would be in the repository for ever."
REFERENCE_REMEDY: Final = "write a reference instead, {env: NAME} or {file: PATH}"
_SEVERAL_PROTOCOLS: Final = "where both kinds of clients are to find the same files, write protocols: [NFS, CIFS]"
_API_SERVER: Final = "it is of the Kubernetes API server, and means nothing here; leave it out"
_ANCHORS: Final = (
    "there are no fields for anchors alone; put the anchor where the value is used first in this document, "
    "and write the value again in another document"
)

_CIFS: Final = "the protocol that Windows and Samba call SMB has Manila's name here: write CIFS"


def _by_word(remedies: Mapping[str, str]) -> dict[str, str]:
    """Return the remedies by each of the words that they are for."""
    return {word: remedy for remedy, words in remedies.items() for word in words.split()}


_OTHER_CHOICES: Final = {
    "type": _by_word(
        {
            "write group, and its name": "groups netgroup",
            'write guest, and `to: "*"`': "guests anonymous public",
            'write user, and `to: "*"`': "everyone everybody",
            "write ip, and the host's address": "host hostname",
            "write clients, and the name of a ClientList": "client clientlist list",
            "write ip, and the network as 10.20.0.0/24": "network",
            "write ip": "cidr",
        }
    ),
    "level": _by_word(
        {
            "write none": "deny denied no noaccess",
            "write ro": "read r readonly",
            "write rw": "write w readwrite full change",
        }
    ),
    "protocol": _by_word(
        {_CIFS: "smb smb3 samba", "write NFS; the backend decides which versions it speaks": "nfs3 nfs4 nfsv3 nfsv4"}
    ),
    "squash": _by_word(
        {"write none": "norootsquash no false off", "write root": "rootsquash yes true on", "write all": "allsquash"}
    ),
    "security": _by_word({"write sys": "unix authsys authunix none null"}),
    "deletionPolicy": _by_word(
        {
            "write trash": "recycle",
            "write retain": "keep orphan",
            "a default that destroys data would be seen in none of the documents: write it in those that it is for": "delete",
        }
    ),
    "kind": _by_word(
        {
            "choose Share or Snapshot; documents of this kind are few, and each says all of itself": (
                "backend sharetype clientlist sharenetwork securityservice"
            ),
            "choose Share or Snapshot; what many access rules have in common is a ClientList": "accessrule",
        }
    ),
}
"""What other programs write for a choice, in lower-case letters and digits alone."""

_IS_NAMED: Final = _by_word(
    {
        "protocol": "shareproto proto protocols",
        "type": "sharetype sharetypename volumetype storageclass storageclassname accesstype",
        "to": "accessto client",
        "level": "accesslevel permission",
        "access": "clients acl accessrules",
        "sourceSnapshot": "snapshotid sourcesnapshotid datasource",
        "shareNetwork": "sharenetworkid",
        "share": "shareid sharename",
        "deletionPolicy": "reclaimpolicy persistentvolumereclaimpolicy",
        "driver": "provisioner sharedriver",
        "extraSpecs": "parameters",
        "securityServices": "securityserviceid",
        "shareServers": "dhss driverhandlesshareservers",
        "squash": "rootsquash nfssquash",
        "anonymousUid": "anonuid anonymoususer",
        "anonymousGid": "anongid anonymousgroup",
        "security": "sec secflavor securityflavor secflavour",
        "size": "quota capacity sizegb sizegib",
        "address": "host hostname server managementlif endpoint",
    }
)
"""What other programs call the fields, without separators between words."""

_ADVICE: Final = _by_word(
    {
        "in place of resources.requests.storage, write `size: 250GiB`": "resources",
        "who may read and who may write is said by access rules: `level: ro` or `level: rw`": "accessmodes",
        'who comes without a password is let in by an access rule, `{type: guest, to: "*", level: ro}`': "ispublic public guestok",
        "say it with the `level: ro` of an access rule": "readonly",
        "write it as an annotation: `metadata: {annotations: {description: …}}`": "description comment",
        "how a client mounts is said by the client: add it to the lines that `sharectl mounts` writes": "mountoptions",
        "write one: `access: [{type: user, to: NAME, level: rw}]`": "users validusers writelist readlist groups hosts",
        "it stands in `metadata`, beside `spec`": "labels annotations",
        "the name is `metadata.name`": "displayname sharename name",
        "it stands in `metadata`, and has no meaning here: a name stands for one thing in the whole project": "namespace",
        "write Manila's metadata as `metadata: {labels: {…}}`, beside `spec`": "metadata",
        "sharectl makes share servers itself, one for each network and backend": "shareserverid",
        "write `type: user` and `to: NAME`": "user",
        "write `type: ip` and `to: ADDRESS`": "ip",
        _API_SERVER: "status finalizers ownerreferences resourceversion uid creationtimestamp generation",
    }
)


_IN_SHARE: Final = _by_word(
    {
        "to choose the pool, write `schedulerHints: {onlyHost: backend#pool}`": "host pool server backend nas",
        "the driver chooses the folder; the name that clients see is `exportName`": "path exportpath directory subdir folder",
        "Windows does not list a share whose name ends with $: write `exportName: NAME$`": "hidden browseable browsable",
        "for snapshots by a schedule write `snapshotPolicy: {daily: {keep: 7}}`; one that is taken once is a Snapshot": "snapshots",
        "the share's type turns it on where the driver can do it, by an extra spec such as `linux:smb_recycle_bin: true`": "recycle recyclebin",
        "ask for it in extraSpecs of the share's type": "thin thinprovisioning compression dedupe encrypted encryption",
        "who owns files is decided within the share, by a client; the driver's reference says what a new share begins with": (
            "owner group mode permissions uid gid umask"
        ),
        "there are none: sharectl makes no replicas of a share": "replicas replica replicationtype",
    }
)
"""What to write instead of a field that would be one of a share."""

_IN_ENTRY: Final = {
    "metadata": "write `labels` and `annotations` here, without `metadata` around them",
    "name": "the key of the entry is the name",
    "spec": "write its fields here, without `spec` around them",
}
"""What to write in the entry of a share of a set, which is written as if it were a document of its own."""


_IN_LIST: Final = _by_word(
    {
        "write `clients`": "hosts addresses address networks network ips ip cidrs members subnets",
        "write `names`, which `sharectl clients resolve` fills": "hostnames fqdns netgroups dnsnames",
    }
)
"""What to write instead of a field of a ClientList."""


def instead_of_field(name: str, known: Sequence[str]) -> str:
    """Return what to write instead of the unknown field `name`, where `known` fields may stand; empty where nobody can tell."""
    joined = re.sub(r"[-_]", "", name.lower())
    wanted = next((field for field in known if field.lower() == joined), _IS_NAMED.get(joined, ""))
    if wanted in known:
        return f"write `{wanted}`"
    if joined in _IN_ENTRY and ({"labels", "size"} <= set(known) or (joined == "spec" and "size" in known)):
        return _IN_ENTRY[joined]
    for mark, words in (("schedulerHints", _IN_SHARE), ("lists", _IN_LIST)):
        if joined in words and mark in known:
            return words[joined]
    if joined in _ADVICE:
        return _ADVICE[joined]
    if name.lower().startswith(("x-", "x_")):
        return _ANCHORS
    return did_you_mean(name, known)


def instead_of_choice(field: str, value: object, choices: Sequence[str]) -> str:
    """Return what to write instead of a value that a field does not offer; empty where nobody can tell."""
    if isinstance(value, list):
        return _SEVERAL_PROTOCOLS if field == "protocol" else "write one of them"
    if field == "type" and "ip" not in choices:  # not that of an access rule
        return ""
    text = str(value).lower()
    return _OTHER_CHOICES.get(field, {}).get(re.sub(r"[^a-z0-9]", "", text), "")


def instead_of_list(value: object, *, is_access: bool) -> str:
    """Return how to write as a list several items that stand in one text, or nothing; empty for anything else."""
    if value is None:
        return "write [], or leave the field out"
    items = [] if is_access or not isinstance(value, str) else re.split(r"[\s,;:]+", value.strip())
    return f"write a list: [{', '.join(items)}]" if len(items) > 1 and all(map(_PLAIN_WORD.fullmatch, items)) else ""


def instead_of_rule(value: object) -> str:
    """Return how to write an access rule that is one text; empty where nobody can tell."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9A-Fa-f.:]+(?:/[0-9]+)?", value):
        return "write `{type: ip, to: ADDRESS, level: ro}`, or `rw`"
    return f"write {{type: ip, to: {value if value[-1] != ':' else repr(value)}, level: ro}}, or rw"


def instead_of_number(field: str, value: object) -> str:
    """Return what to write instead of what is no whole number of those allowed; empty where nobody can tell."""
    text = str(value).strip()
    if field.startswith("anonymous") and text == "-2":
        return "exports(5) means 4294967294 by it: write that, or 65534, which is nobody on most hosts"
    if field.startswith("anonymous") and isinstance(value, str) and not text.isdigit():
        return f"write the number; `id {'-g' if field.endswith('Gid') else '-u'} NAME` on the server says it"
    return f"write {text}, without quotes" if isinstance(value, str) and text.isdigit() else ""


def instead_of_boolean(value: object) -> str:
    """Return what to write instead of what is neither true nor false; empty where nobody can tell."""
    text = str(value).strip().lower()
    if text in _TRUE | _FALSE:
        return f"write {str(text in _TRUE).lower()}, without quotes"
    return ""


def instead_of_size(value: object) -> str:
    """Return what to write instead of something that is not a size; empty where nobody can tell."""
    match = _SIZE.fullmatch(str(value).strip().lstrip("+"))
    if match is None or isinstance(value, bool):
        return ""
    number, unit = match[1], match[2].lower()
    if unit in {"b", "byte", "bytes"} or (not unit and float(number) > _LARGEST_NUMBER_OF_GIB):
        return f"write {number}B"
    if not unit:
        return f"write {number}GiB (as Manila counts), or {number} with another unit"
    binary, decimal = f"{number}{unit[0].upper()}iB", f"{number}{unit[0].upper()}B".replace("KB", "kB")
    meanings = {
        "i": f"write {binary}",
        "ib": f"write {binary}",
        "b": f"write {decimal}, or {binary} for the binary unit",
        "": f"write {binary}, or {decimal} for the decimal unit",
    }
    return meanings.get(unit[1:], "") if unit[0] in "kmgtp" else ""


def instead_of_secret_name(text: object) -> str:
    """Return what to write instead of a text that is not the name of the environment variable with a secret; the text is not repeated."""
    named = _ONE_VARIABLE.fullmatch(str(text).strip())
    name = next((part for part in named.groups() if part), "") if named else "NAME"
    return f"write the name of the variable alone, as {{env: {name}}}: it is read when the driver needs the secret"


def mentions_variable(text: str) -> bool:
    """Tell whether a text looks like one that some program was to fill in."""
    return _VARIABLE.search(text) is not None


def places_of_variables(value: object, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of each text within `value` that some program was to fill in; descriptions may say what they like."""
    if isinstance(value, str):
        if _UNFILLED.search(value):
            yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            if key != _FREE_TEXT:
                yield from places_of_variables(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from places_of_variables(item, (*path, number))
