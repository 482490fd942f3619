"""The JSON Schema of the configuration of a linux backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.linux.people_schema import GROUPS, GUESTS
from sharectl.drivers.linux.smb_schema import OFFERED, SIZE_EXAMPLES, SIZE_PATTERN

if TYPE_CHECKING:
    from sharectl.model.canonical import JsonObject

NAME_PATTERN: Final = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"
SECURITY_FLAVOURS: Final = ("sys", "krb5", "krb5i", "krb5p")
NFS_V3: Final = "3"
NFS_VERSIONS: Final = (NFS_V3, "4.0", "4.1", "4.2")
DEFAULT_NFS_VERSIONS: Final = ("4.1", "4.2")
DEFAULT_SQUASH: Final = "root"
DEFAULT_MOUNT_PORT: Final = 20048

_NAME_HINT: Final = "a name is 1 to 63 letters, digits, '-', '_' or '.', and starts with a letter or digit"
_HOST_PATTERN: Final = "^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,254}$"
_PATH_HINT: Final = "name an absolute path on the storage host, without `.`, `..`, quotation marks, `\\`, `%` or `$`"


def _host_path(description: str) -> JsonObject:
    return {
        "type": "string",
        "pattern": "^/[^\"'\\\\%$`]+$",
        "maxLength": 1024,
        "errorMessage": _PATH_HINT,
        "description": description,
    }


def _port(description: str) -> JsonObject:
    return {"type": "integer", "minimum": 1, "maximum": 65535, "description": description}


def _identifier(description: str) -> JsonObject:
    return {"type": "integer", "minimum": 0, "maximum": 4294967294, "description": description}


_SSH: Final[JsonObject] = {
    "type": "object",
    "required": ["address"],
    "additionalProperties": False,
    "description": "How ssh(1) reaches the storage host. What is left out is as in ~/.ssh/config. The host's key has to be known already.",
    "properties": {
        "address": {
            "type": "string",
            "pattern": _HOST_PATTERN,
            "errorMessage": "name a host or an address, without a user or a port",
            "description": "Host name, address, or name in ~/.ssh/config.",
        },
        "port": _port("Port of the SSH server. Default: 22."),
        "user": {
            "type": "string",
            "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,62}$",
            "errorMessage": "name a user of the storage host: letters, digits and `_ . @ + -`",
            "description": "User to log in as: root, or one that may become root (`become`). Default: the user who runs sharectl.",
        },
        "identityFile": {
            "type": "string",
            "pattern": '^[^"\\\\$]+$',
            "maxLength": 1024,
            "description": "Private key on this machine; a relative path is under the folder of the project file, `~` is the home folder. "
            "Default: the keys of the SSH agent and of ~/.ssh.",
        },
        "knownHostsFile": {
            "type": "string",
            "pattern": '^[^"\\\\$]+$',
            "maxLength": 1024,
            "description": "File on this machine with the host's key, in place of ~/.ssh/known_hosts; paths as for `identityFile`.",
        },
        "connectTimeoutSeconds": {
            "type": "integer",
            "minimum": 1,
            "maximum": 600,
            "description": "How long to wait for the host to answer. Default: 10.",
        },
    },
}

_HOST: Final[JsonObject] = {
    "type": "object",
    "additionalProperties": False,
    "description": "Where the storage is. Default: this machine.",
    "properties": {
        "ssh": _SSH,
        "python": {
            "type": "string",
            "pattern": "^(/[A-Za-z0-9_./+-]+|[A-Za-z0-9_][A-Za-z0-9_.+-]*)$",
            "maxLength": 255,
            "errorMessage": "name a program, or its absolute path",
            "description": "Python there, 3.11 or newer. Default: python3; on this machine, the Python that runs sharectl.",
        },
        "become": {
            "enum": ["none", "sudo"],
            "description": "How to become root there: sudo asks for no password (NOPASSWD in sudoers). Default: none.",
        },
    },
}

_POOL: Final[JsonObject] = {
    "type": "object",
    "required": ["type", "path"],
    "additionalProperties": False,
    "properties": {
        "type": {
            "enum": ["btrfs", "image", "loop"],
            "description": "btrfs: a folder on a btrfs file system. image: a folder on any file system, with a file system in an image file for "
            "each share. loop: a btrfs file system in an image file that sharectl makes, to try things out.",
        },
        "path": _host_path("Folder of the pool on the storage host; of a loop pool, where it is mounted."),
        "fileSystem": {
            "enum": ["ext4", "xfs"],
            "description": "Of an image pool: the file system of each share. Default: ext4.",
        },
        "image": _host_path("Of a loop pool: its image file."),
        "size": {
            "type": "string",
            "pattern": SIZE_PATTERN,
            "errorMessage": SIZE_EXAMPLES,
            "description": "Of a loop pool: the size of its image file, at least 256MiB; a larger one makes the pool larger.",
        },
        "shareMode": {
            "type": "string",
            "pattern": "^[0-7]{3,4}$",
            "errorMessage": 'write three or four octal digits in quotes, such as "0770"',
            "description": "Permissions of the folder of a new share, in octal. Default: 0777.",
        },
        "owner": {
            "type": "object",
            "additionalProperties": False,
            "description": "Owner of the folder of a new share. Default: root.",
            "properties": {"uid": _identifier("User. Default: 0."), "gid": _identifier("Group. Default: 0.")},
        },
    },
}

_NFS: Final[JsonObject] = {
    "type": "object",
    "additionalProperties": False,
    "description": "The NFS server of the backend.",
    "properties": {
        "server": {
            "enum": ["ganesha", "kernel", "none"],
            "description": "ganesha: an NFS-Ganesha that sharectl runs. kernel: the host's own NFS server. none: no NFS. Default: ganesha.",
        },
        "port": _port("TCP port of the server. Default: 2049."),
        "mountPort": _port("TCP port at which clients of NFSv3 ask for a share before they mount it. Default: 20048."),
        "squash": {
            "enum": ["none", "root", "all"],
            "description": "Which users of a client become nobody: none, root alone, or all. Default: root.",
        },
        "insecure": {
            "type": "boolean",
            "description": "Whether clients may come from a port above 1023, as every user of a client can, and not only its kernel or its root. "
            "Default: false.",
        },
        "anonymous": {
            "type": "object",
            "additionalProperties": False,
            "description": "Who nobody is, to whom `squash` turns users.",
            "properties": {"uid": _identifier("User. Default: 65534."), "gid": _identifier("Group. Default: 65534.")},
        },
        "snapshots": {
            "type": "boolean",
            "description": "Whether clients see the snapshots of a share in its folder `.snapshots`, to read alone (NFS-Ganesha; pools of type `btrfs` "
            "and `loop`). Default: false.",
        },
        "security": {
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {"enum": list(SECURITY_FLAVOURS)},
            "description": "Security flavours that clients may use; sys alone for now. Default: sys.",
        },
        "versions": {
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {"enum": list(NFS_VERSIONS)},
            "description": "Versions of NFS that clients may speak (NFS-Ganesha). 4.0 has no sessions: a request that is sent twice may be done twice. "
            "3 comes beside another, and has no locks. Default: 4.1 and 4.2.",
        },
    },
}

_REFERENCE: Final[JsonObject] = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
    "writeOnly": True,
    "errorMessage": "write a reference to the secret, {env: NAME} or {file: PATH}, never the secret itself",
    "description": "A reference, {env: NAME} or {file: PATH}; it is read when it is needed.",
    "properties": {
        "env": {"type": "string", "minLength": 1, "description": "Environment variable that holds the secret."},
        "file": {
            "type": "string",
            "minLength": 1,
            "description": "File that holds the secret; a relative path is under the folder of the project file.",
        },
    },
}

_SMB: Final[JsonObject] = {
    "type": "object",
    "additionalProperties": False,
    "description": "The SMB server of the backend. Default: none.",
    "properties": {
        "enabled": {"type": "boolean", "description": "Whether it runs. Default: true where `smb` is given."},
        "port": _port("TCP port of the server; Windows clients know 445 alone. Default: 445."),
        "signing": {
            "enum": ["required", "optional"],
            "description": "Whether clients have to sign what they send, so that nobody on the wire can change it, or may. Default: required.",
        },
        "encryption": {
            "enum": ["required", "optional", "off"],
            "description": "Whether clients have to encrypt (SMB 3), may, or cannot. Default: optional.",
        },
        **OFFERED,
        "users": {
            "type": "object",
            "propertyNames": {
                "pattern": "^[A-Za-z0-9_]([A-Za-z0-9_. -]{0,62}[A-Za-z0-9_-])?$",
                "errorMessage": "a user's name is up to 64 letters, digits, `_`, `.`, `-` and spaces, without a domain",
            },
            "description": "Users that can log in, by name, whatever its case. They need no account on the host.",
            "additionalProperties": {
                "type": "object",
                "required": ["password"],
                "additionalProperties": False,
                "properties": {"password": _REFERENCE},
            },
        },
        "groups": GROUPS,
        "guests": GUESTS,
        "activeDirectory": {
            "type": "object",
            "required": ["domain"],
            "additionalProperties": False,
            "description": "The domain to join; not possible yet.",
            "properties": {
                "domain": {"type": "string", "minLength": 1, "description": "DNS name of the domain."},
                "organizationalUnit": {
                    "type": "string",
                    "minLength": 1,
                    "description": "Where the account of the server goes.",
                },
                "user": {"type": "string", "minLength": 1, "description": "Who may join."},
                "password": _REFERENCE,
            },
        },
    },
}

_ADDRESS: Final[JsonObject] = {"type": "string", "minLength": 2, "maxLength": 45}

_TENANT_NETWORKS: Final[JsonObject] = {
    "type": "object",
    "additionalProperties": False,
    "description": "The host's side of share networks, by their network type, for a backend that makes share servers. Bridges are in `namespace`.",
    "properties": {
        "flat": {
            "type": "object",
            "description": "Networks without a segmentation id.",
            "required": ["bridge"],
            "additionalProperties": False,
            "properties": {
                "bridge": {
                    "type": "string",
                    "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$",
                    "errorMessage": "name a bridge of the host: at most 15 letters, digits and `_ . -`",
                    "description": "Bridge that flat networks are on; it has to be there.",
                }
            },
        },
        "vlan": {
            "type": "object",
            "description": "Networks with a VLAN id each.",
            "required": ["bridge"],
            "additionalProperties": False,
            "properties": {
                "bridge": {
                    "type": "string",
                    "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,10}[{]id[}]$",
                    "errorMessage": "write up to 11 letters, digits and `_ . -`, and {id} at the end, such as br-{id}",
                    "description": "Bridge of each VLAN; `{id}` stands for the segmentation id. It has to be there.",
                }
            },
        },
        "vxlan": {
            "type": "object",
            "description": "Networks over tunnels that sharectl makes, with their segmentation id as VNI.",
            "required": ["local"],
            "additionalProperties": False,
            "properties": {
                "local": {**_ADDRESS, "description": "Address of the host that its tunnels come from."},
                "remotes": {
                    "type": "array",
                    "uniqueItems": True,
                    "items": _ADDRESS,
                    "description": "Addresses of the other ends of the tunnels. Default: none.",
                },
                "port": _port("UDP port of the tunnels. Default: 4789."),
            },
        },
    },
}

CONFIG_SCHEMA: Final[JsonObject] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Configuration of a linux backend",
    "type": "object",
    "required": ["pools"],
    "additionalProperties": False,
    "properties": {
        "host": _HOST,
        "root": {
            "type": "string",
            "pattern": "^(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+$",
            "maxLength": 64,
            "errorMessage": "name an absolute path on the storage host: at most 64 letters, digits and `_ . - /`",
            "description": "Folder on the storage host for what sharectl keeps there: records and the servers' own files. It is made by the "
            "first apply. Default: /var/lib/sharectl/ and the name of the backend.",
        },
        "addresses": {
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": _ADDRESS,
            "description": "Addresses of the storage host on which the servers listen, IPv4 and IPv6. The first of each kind is in the export "
            "locations. Required, unless the backend makes share servers.",
        },
        "exportHost": {
            "type": "string",
            "pattern": _HOST_PATTERN,
            "errorMessage": "name a host",
            "description": "Host name in the export locations, in place of addresses.",
        },
        "namespace": {
            "type": "string",
            "pattern": "^/run/netns/[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$",
            "errorMessage": "name a network namespace by its file, such as /run/netns/storage",
            "description": "Network namespace of the servers (of share servers: of the bridges) on the storage host. Default: the host's own.",
        },
        "supervisor": {
            "enum": ["auto", "systemd", "process", "none"],
            "default": "auto",
            "description": "What starts servers again on the storage host that have ended, and all of them after a restart: a unit of systemd, "
            "a process of its own, or nothing but `apply`. `auto` is systemd where the host runs it, else a process.",
        },
        "pools": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": NAME_PATTERN, "errorMessage": _NAME_HINT},
            "additionalProperties": _POOL,
            "description": "Pools by name, none inside another.",
        },
        "tenantNetworks": _TENANT_NETWORKS,
        "nfs": _NFS,
        "smb": _SMB,
    },
}
