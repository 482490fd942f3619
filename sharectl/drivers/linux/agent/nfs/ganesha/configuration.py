"""The configuration of a Ganesha instance as text, and its exports as the server reads and shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from xml.sax.saxutils import escape

from sharectl.drivers.linux.agent.contract import NOBODY, Client, Export, Squash
from sharectl.drivers.linux.agent.nfs.clients import EVERYBODY, Line, in_force, ordered, plain_lines
from sharectl.drivers.linux.agent.nfs.exports import DEFINITION, SECURITY_FLAVOURS, definition
from sharectl.drivers.linux.agent.nfs.treatment import Treatment, of_client, of_export

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEADER: Final = "# Written by sharectl; a change made here by hand is overwritten.\n"

# Bits of `export_perms.options` in Ganesha (src/include/nfs_exports.h), as DisplayExport shows them.
_SQUASH_BITS: Final = 0x7
_ACCESS_BITS: Final = 0x1E0
_PRIVILEGED_PORT_BIT: Final = 0x200
_SECURITY_BITS: Final = {"none": 0x1000, "sys": 0x2000, "krb5": 0x4000, "krb5i": 0x8000, "krb5p": 0x10000}
_OPTIONS_OF_A_CLIENT: Final = _SQUASH_BITS | _ACCESS_BITS | _PRIVILEGED_PORT_BIT | sum(_SECURITY_BITS.values())
_SQUASHES: Final = {0x0: Squash.NONE, 0x2: Squash.ROOT, 0x4: Squash.ALL}
_LEVELS: Final = {0x1E0: "rw", 0x0A0: "ro", 0x0: "none"}

_SQUASH_WORDS: Final = {Squash.NONE: "No_Root_Squash", Squash.ROOT: "Root_Squash", Squash.ALL: "All_Squash"}
_LEVEL_WORDS: Final = {"rw": "RW", "ro": "RO", "none": "None"}


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What a Ganesha instance is started with; its folders come from the caller.

    `address` is the one that it answers on, None for all of its namespace. `owner` is what clients tell it from other servers by: two
    of one name would be one server with two addresses to them. `keytab` turns Kerberos on, `mount_port` NFSv3: it is the one of MOUNT.
    """

    port: int
    address: str | None
    minor_versions: tuple[int, ...]
    plugins: str
    owner: str
    keytab: str | None = None
    mount_port: int | None = None


def server_text(options: ServerOptions, *, exports: str, recovery: str) -> str:
    """Return ganesha.conf. `exports` and `recovery` are folders; the first is named from where the server is started.

    `%dir` takes letters, digits and `._/-` alone, with no way to quote others, so that it should be named from near by.
    NFSv4 alone needs no rpcbind. NFSv3 has no locks: for those, a statd would have to be there too. Graceless: else, after every restart, clients wait 90 s before they can open a file.
    Attr_Expiration_Time 0: else a change over SMB or on the host shows after up to 60 s.
    """
    bind = "" if options.address is None else f"  Bind_addr = {options.address};\n"
    keytab = (
        "Active_krb5 = false;" if options.keytab is None else f'Active_krb5 = true; KeytabPath = "{options.keytab}";'
    )
    protocols = "4" if options.mount_port is None else "3, 4"
    mount_port = "" if options.mount_port is None else f"  MNT_Port = {options.mount_port};\n"
    return (
        f"{_HEADER}"
        "NFS_CORE_PARAM {\n"
        f"  Protocols = {protocols};\n  NFS_Port = {options.port};\n{mount_port}{bind}"
        "  Enable_UDP = false;\n  Enable_NLM = false;\n  Enable_RQUOTA = false;\n  mount_path_pseudo = true;\n"
        f"  Plugins_Dir = {options.plugins};\n"
        "}\n"
        "NFSv4 {\n"
        f"  Minor_Versions = {', '.join(map(str, options.minor_versions))};\n"
        f'  Server_Owner = "{options.owner}";\n  Server_Scope = "{options.owner}";\n'
        "  Graceless = true;\n  Only_Numeric_Owners = true;\n"
        f'  RecoveryBackend = fs_ng;\n  RecoveryRoot = "{recovery}";\n'
        "}\n"
        f"NFS_KRB5 {{ {keytab} }}\n"
        "EXPORT_DEFAULTS {\n"
        f"  Access_Type = None;\n  Protocols = {protocols};\n"
        "  Transports = TCP;\n  SecType = sys;\n  Squash = Root_Squash;\n"
        f"  Anonymous_Uid = {NOBODY};\n  Anonymous_Gid = {NOBODY};\n"
        "  Attr_Expiration_Time = 0;\n"
        "}\n"
        "LOG { Default_Log_Level = EVENT; }\n"
        f"%dir {exports}\n"
    )


def bus_text(*, socket: str, pid_file: str) -> str:
    """Return the configuration of a D-Bus daemon for one instance; only root and its own user can connect (the daemon's rule)."""
    return (
        '<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"\n'
        ' "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">\n'
        "<busconfig>\n"
        f"  <listen>{escape(bus_address(socket))}</listen>\n"
        f"  <pidfile>{escape(pid_file)}</pidfile>\n"
        "  <auth>EXTERNAL</auth>\n"
        '  <policy context="default">\n'
        '    <allow send_destination="*"/>\n    <allow receive_sender="*"/>\n    <allow own="*"/>\n'
        "  </policy>\n"
        "</busconfig>\n"
    )


def bus_address(socket: str) -> str:
    """Return the D-Bus address of a socket; bytes outside a small set are escaped (D-Bus specification, Server Addresses)."""
    return f"unix:path={quote(socket, safe='/')}"


def export_text(export: Export) -> str:
    """Return the file of one export. Precondition: `exports.checked` returned it.

    Every line says the whole treatment too, because the server shows that of lines and not that of the export. The last
    line shuts out who matches none, so that nothing depends on what the export itself allows.
    """
    lines = "".join(
        f"  CLIENT {{ Clients = {client.network}; Access_Type = {_LEVEL_WORDS[client.level]}; {_treatment_text(of_client(export, client))} }}\n"
        for client in (*ordered(export.clients), Client(EVERYBODY, "none"))
    )
    return (
        f"{DEFINITION}{definition(export)}\n"
        "EXPORT {\n"
        f'  Export_Id = {export.export_id};\n  Path = "{export.path}";\n  Pseudo = "{export.pseudo}";\n'
        "  FSAL { Name = VFS; }\n"
        f"  Access_Type = None; {_treatment_text(of_export(export))}\n"
        f"{lines}"
        "}\n"
    )


def _treatment_text(treatment: Treatment) -> str:
    uid, gid = treatment.anonymous
    return (
        f"Squash = {_SQUASH_WORDS[treatment.squash or Squash.ALL]}; SecType = {', '.join(treatment.security)}; "
        f"PrivilegedPort = {'false' if treatment.insecure else 'true'}; Anonymous_Uid = {uid}; Anonymous_Gid = {gid};"
    )


def shown_export(body: Sequence[Any]) -> Export:
    """Return the export that the body of a reply to DisplayExport shows: `(id, path, pseudo, tag, lines)`.

    Each line is `(client, …4 numbers…, nobody's user, nobody's group, a time, options, options that are set)`. What no Export can say (a squash without a word
    for it, rights for everybody by the export itself) becomes the level of a client, so that the export differs from any that
    was asked for. Clients have the options alone by which they are treated otherwise than the export says (`as_shown`).
    """
    export_id, path, pseudo, _tag, rows = body
    read = [Line(str(row[0]), *_read_line((int(row[5]), int(row[6])), int(row[8]), int(row[9]))) for row in rows]
    own = read[-1].treatment if read else None
    if own is not None and own.squash is None:
        own = None  # as for a line that leaves it open: every line has to say so
    lines = plain_lines(read, own)
    if lines and lines[-1] == Client(EVERYBODY, "none"):
        del lines[-1]
    else:
        lines.append(Client(EVERYBODY, "unknown"))
    clients = in_force(lines)
    if own is None:
        return Export(export_id, path, pseudo, clients, insecure=True)
    return Export(export_id, path, pseudo, clients, own.squash or Squash.NONE, *own[1:])


def _read_line(anonymous: tuple[int, int], options: int, are_set: int) -> tuple[str, Treatment | None]:
    """Return the level and the treatment of a line; no treatment where the line leaves something to the export."""
    level = _LEVELS.get(options & _ACCESS_BITS, "other")
    if are_set & _OPTIONS_OF_A_CLIENT != _OPTIONS_OF_A_CLIENT:
        return level, None
    flavours = tuple(name for name in ("none", *SECURITY_FLAVOURS) if options & _SECURITY_BITS[name])
    insecure = not options & _PRIVILEGED_PORT_BIT
    return level, Treatment(_SQUASHES.get(options & _SQUASH_BITS), flavours, insecure, anonymous)
