"""The JSON Schema of the configuration of an ontap backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.ontap.qtrees.settings import QTREES_SCHEMA
from sharectl.drivers.ontap.share_servers.settings import SHARE_SERVERS_SCHEMA

if TYPE_CHECKING:
    from sharectl.model.canonical import JsonObject

HTTPS_PORT: Final = 443
DEFAULT_REQUESTS_AT_ONCE: Final = 16
DEFAULT_OPERATION_SECONDS: Final = 60
DEFAULT_SNAPSHOT_RESERVE: Final = 5

_SECRET: Final[JsonObject] = {
    "type": "object",
    "writeOnly": True,
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
    "properties": {"env": {"type": "string", "minLength": 1}, "file": {"type": "string", "minLength": 1}},
    "errorMessage": "write a reference: {env: NAME} or {file: PATH}",
}

CONFIG_SCHEMA: Final[JsonObject] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["address"],
    "additionalProperties": False,
    "properties": {
        "address": {
            "type": "string",
            "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,254}$",
            "errorMessage": "name a host or an address, without https:// and without a port",
            "description": "Host name or address of the management LIF of the cluster, or of the SVM.",
        },
        "port": {
            "type": "integer",
            "minimum": 1,
            "maximum": 65535,
            "description": "Port of the REST API. Default: 443.",
        },
        "serverName": {
            "type": "string",
            "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,254}$",
            "description": "Name in the certificate of the array, where that is not `address`.",
        },
        "caFile": {
            "type": "string",
            "minLength": 1,
            "maxLength": 1024,
            "description": "Certificates that sign that of the array, in PEM; the array's own, where it signs itself. "
            "Default: those that this machine trusts. The certificate is always checked.",
        },
        "user": {
            "type": "string",
            "minLength": 1,
            "maxLength": 64,
            "pattern": "^[^:\\x00-\\x1f]+$",
            "errorMessage": "name an account, without `:`",
            "description": "Account for the application `http`, of the cluster or of the SVM.",
        },
        "password": {**_SECRET, "description": "Reference to its password: {env: NAME} or {file: PATH}."},
        "clientCertificate": {
            "type": "object",
            "required": ["certificate", "key"],
            "additionalProperties": False,
            "description": "Log in by a certificate instead of a password.",
            "properties": {
                "certificate": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 1024,
                    "description": "File of the certificate, in PEM.",
                },
                "key": {**_SECRET, "description": "Reference to its private key, in PEM and without a passphrase."},
            },
        },
        "svm": {
            "type": "string",
            "pattern": "^[A-Za-z_][A-Za-z0-9_.-]{0,46}$",
            "errorMessage": "name an SVM: a letter or `_`, then letters, digits and `_ . -`, 47 at most",
            "description": "SVM that holds the shares. It is left out with `shareServers: true`, where each share network has one of its own.",
        },
        "snapshotReserve": {
            "type": "integer",
            "minimum": 0,
            "maximum": 90,
            "description": "Part of each new volume that is kept for snapshots, in percent of its size; each plan tells of volumes that were made with another. Default: 5.",
        },
        "nfs": {
            "type": "object",
            "additionalProperties": False,
            "description": "How NFS clients are treated, unless a rule says otherwise for its own.",
            "properties": {
                "squash": {
                    "enum": ["root", "all", "none"],
                    "description": "Whose rights are taken away: those of root (the default), of all users, or of none.",
                },
                "anonymousUid": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": 4294967294,
                    "description": "User that they become. Default: 65534.",
                },
                "security": {
                    "type": "array",
                    "items": {"enum": ["sys", "krb5", "krb5i", "krb5p"]},
                    "minItems": 1,
                    "uniqueItems": True,
                    "description": "Security flavours by which they may come in. Default: sys. Kerberos has to be set up on the SVM.",
                },
            },
        },
        "recoveryQueue": {
            "enum": ["use", "skip"],
            "description": "Whether a deleted volume waits in the array's recovery queue, where an administrator can have it back for "
            "some hours (use, the default), or is gone at once with its space (skip).",
        },
        "aggregates": {
            "type": "string",
            "minLength": 1,
            "maxLength": 256,
            "description": "Regular expression that the names of aggregates have to match, whole, to be pools. Default: all that the SVM is "
            "assigned.",
        },
        "flexGroups": {
            "type": "object",
            "description": "Pools whose shares are FlexGroups over several aggregates, by the names of the pools.",
            "propertyNames": {"pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"},
            "additionalProperties": {
                "type": "object",
                "required": ["aggregates"],
                "additionalProperties": False,
                "properties": {
                    "aggregates": {
                        "type": "array",
                        "minItems": 1,
                        "uniqueItems": True,
                        "items": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
                        "description": "Aggregates that each of them is spread over.",
                    },
                    "membersPerAggregate": {
                        "type": "integer",
                        "minimum": 1,
                        "maximum": 64,
                        "description": "Members on each aggregate, of 100GiB at least. Default: 4.",
                    },
                },
            },
        },
        "qtrees": QTREES_SCHEMA,
        "smb": {
            "type": "object",
            "additionalProperties": False,
            "description": "Shares may be exported over SMB: the SVM has a CIFS server.",
            "properties": {
                "fromAnywhere": {
                    "type": "boolean",
                    "description": "Users of a share of both protocols come over SMB from every address, and its address rules are for NFS "
                    "alone. ONTAP cannot do otherwise; without it, rules for people beside address rules are refused. Default: false.",
                },
            },
        },
        "shareServers": SHARE_SERVERS_SCHEMA,
        "requestsAtOnce": {
            "type": "integer",
            "minimum": 1,
            "maximum": 64,
            "description": "Most requests that are under way at the array at the same time. Default: 16.",
        },
        "operationTimeout": {
            "type": "integer",
            "minimum": 5,
            "maximum": 3600,
            "description": "Seconds that a job of the array is waited for before its step is tried again. Default: 60.",
        },
    },
}
