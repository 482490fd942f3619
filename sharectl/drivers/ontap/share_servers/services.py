"""What an SVM serves and joins: NFS, DNS, Active Directory, LDAP and Kerberos, made, changed and left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.base import ConflictError, DriverError, ShareInUseError
from sharectl.drivers.ontap.errors import ArrayError
from sharectl.drivers.ontap.share_servers.names import netbios_name
from sharectl.drivers.ontap.share_servers.settings import USUAL_TRANSFER_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.drivers.base import SecretResolver
    from sharectl.drivers.ontap.client import Array
    from sharectl.drivers.ontap.share_servers.directory import ActiveDirectory, Directory, Kerberos, Ldap
    from sharectl.drivers.ontap.share_servers.settings import ShareServerSettings
    from sharectl.drivers.ontap.share_servers.svm import Svm
    from sharectl.model.canonical import JsonObject

NFS: Final = "protocols/nfs/services"
CIFS: Final = "protocols/cifs/services"
CIFS_SHARES: Final = "protocols/cifs/shares"
DNS: Final = "name-services/dns"
LDAP: Final = "name-services/ldap"
REALMS: Final = "protocols/nfs/kerberos/realms"
KERBEROS_LIFS: Final = "protocols/nfs/kerberos/interfaces"

_NFS_FIELDS: Final = {"3": "v3_enabled", "4.0": "v40_enabled", "4.1": "v41_enabled"}
_OF_THE_SERVER: Final = frozenset({"c$", "ipc$", "admin$"})
_TRANSFER: Final = "transport.tcp_max_transfer_size"
_ALREADY_SO: Final = 3276861
_FILES: Final = ["files"]
_LDAP_FIRST: Final = ["ldap", "files"]


class Services:
    """The services of SVMs on one array."""

    def __init__(self, array: Array, settings: ShareServerSettings, resolve_secret: SecretResolver) -> None:
        """Ask for nothing yet."""
        self._array, self._settings, self._resolve_secret = array, settings, resolve_secret

    def start(self, svm: str, server_id: str, wanted: Directory) -> None:
        """Let a new SVM serve NFS and join what it is to join."""
        self._serve_nfs(svm, None)
        if wanted.dns_servers:
            self._array.post(DNS, {"svm": {"name": svm}, **_dns(wanted)})
        if wanted.active_directory is not None:
            self._join_domain(svm, server_id, wanted.active_directory)
        if wanted.ldap is not None:
            self._join_ldap(svm, wanted.ldap)
        if wanted.kerberos is not None:
            self._join_kerberos(svm, wanted.kerberos)

    def ensure(self, svm: Svm, wanted: Directory, left: Directory) -> None:
        """Let an SVM join what it is to join, and leave what it is to leave: only what sharectl let it join."""
        self._serve_nfs(svm.name, self._one(NFS, svm.name, ("enabled", "protocol", _TRANSFER)))
        if left.kerberos is not None and _realm(left.kerberos) != _realm(wanted.kerberos):
            self._leave_realm(svm, left.kerberos)
        if left.active_directory is not None and _domain(left.active_directory) != _domain(wanted.active_directory):
            self._leave_former_domain(svm, left.active_directory)
        if wanted.ldap is None and left.ldap is not None:
            self._leave_ldap(svm.uuid)
        self._ensure_dns(svm, wanted, left)
        if wanted.active_directory is not None:
            self._ensure_domain(svm, wanted.active_directory)
        if wanted.ldap is not None:
            self._ensure_ldap(svm, wanted.ldap, left.ldap)
        if wanted.kerberos is not None:
            self._join_kerberos(svm.name, wanted.kerberos)

    def _one(self, path: str, svm: str, fields: Sequence[str]) -> JsonObject | None:
        found = self._array.records(path, query={"svm.name": svm}, fields=fields)
        return found[0] if found else None

    # NFS

    def _serve_nfs(self, svm: str, found: JsonObject | None) -> None:
        protocol = {field: version in self._settings.nfs_versions for version, field in _NFS_FIELDS.items()}
        transfer = {"transport": {"tcp_max_transfer_size": self._settings.transfer_bytes}}
        if found is None:
            body = {"svm": {"name": svm}, "enabled": True, "protocol": protocol, **transfer}
            try:
                self._array.post(NFS, body)
            except ArrayError as problem:
                if problem.kind != "dup":
                    raise
            return
        there = found.get("protocol") or {}
        is_so = all(bool(there.get(field, False)) == is_on for field, is_on in protocol.items())
        size = (found.get("transport") or {}).get("tcp_max_transfer_size", USUAL_TRANSFER_BYTES)
        if not is_so or not found.get("enabled", False) or size != self._settings.transfer_bytes:
            self._array.patch((NFS, found["svm"]["uuid"]), {"enabled": True, "protocol": protocol, **transfer})

    # DNS

    def _ensure_dns(self, svm: Svm, wanted: Directory, left: Directory) -> None:
        if not wanted.dns_servers and not left.dns_servers:
            return
        found = self._one(DNS, svm.name, ("domains", "servers"))
        if not wanted.dns_servers:
            self._gone(lambda: self._array.delete((DNS, svm.uuid)))
        elif found is None:
            self._array.post(DNS, {"svm": {"name": svm.name}, **_dns(wanted)})
        elif {name: list(found.get(name, ())) for name in ("domains", "servers")} != _dns(wanted):
            self._array.patch((DNS, svm.uuid), _dns(wanted))

    # Active Directory

    def _ensure_domain(self, svm: Svm, wanted: ActiveDirectory) -> None:
        found = self._one(CIFS, svm.name, ("enabled", "name", "ad_domain.fqdn"))
        if found is None:
            self._join_domain(svm.name, "" if svm.note is None else svm.note.resource_id, wanted)
            return
        there = _fqdn(found)
        if there != _domain(wanted):
            message = (
                f"the CIFS server of the SVM {svm.name} is in the domain {there.upper() or 'of a workgroup'}, where sharectl did not put it, "
                f"and not in {wanted.domain}; remove it there"
            )
            raise ConflictError(message)
        if not found.get("enabled", False):
            self._array.patch((CIFS, svm.uuid), {"enabled": True})
        self._prefer_controller(svm.uuid, wanted)

    def _join_domain(self, svm: str, server_id: str, wanted: ActiveDirectory) -> None:
        domain: JsonObject = {
            "fqdn": wanted.domain,
            "user": wanted.user,
            "password": self._resolve_secret(wanted.password),
        }
        if wanted.organizational_unit is not None:
            domain["organizational_unit"] = wanted.organizational_unit
        body = {"svm": {"name": svm}, "name": netbios_name(server_id), "ad_domain": domain, "enabled": True}
        query: Mapping[str, bool] = {"force": True} if self._settings.overwrites_accounts else {}
        try:
            self._array.post(CIFS, body, query=query)
        except ArrayError as problem:
            if problem.kind != "dup":
                raise
            message = (
                f"the domain {wanted.domain} has a machine account {body['name']} already; remove it there, or write "
                f"shareServers.machineAccounts.existing: overwrite ({problem})"
            )
            raise DriverError(message) from problem
        if wanted.controller is not None:
            found = self._one(CIFS, svm, ("name",))
            if found is not None:
                self._prefer_controller(found["svm"]["uuid"], wanted)

    def _prefer_controller(self, uuid: str, wanted: ActiveDirectory) -> None:
        path = ("protocols/cifs/domains", uuid, "preferred-domain-controllers")
        found = [] if wanted.controller is None else self._array.records(path, fields=("fqdn", "server_ip"))
        if wanted.controller is None or any(record["server_ip"] == wanted.controller for record in found):
            return
        self._array.post(path, {"fqdn": wanted.domain, "server_ip": wanted.controller})

    def _leave_former_domain(self, svm: Svm, left: ActiveDirectory) -> None:
        """Leave a domain, unless that was done already: where a change is repeated, the SVM may be in the next one."""
        found = self._one(CIFS, svm.name, ("ad_domain.fqdn",))
        if found is not None and _fqdn(found) == _domain(left):
            self._check_no_cifs_shares(svm)
            self.leave_domain(svm, left)

    def _check_no_cifs_shares(self, svm: Svm) -> None:
        found = self._array.records(CIFS_SHARES, query={"svm.name": svm.name}, fields=("name",))
        names = sorted(record["name"] for record in found if record["name"].lower() not in _OF_THE_SERVER)
        if names:
            message = (
                f"the SVM {svm.name} exports over CIFS ({', '.join(names[:3])}), and would leave the domain that its users are in; "
                "put the former SecurityService back until those shares are gone"
            )
            raise ShareInUseError(message)

    def leave_domain(self, svm: Svm, left: ActiveDirectory | None) -> None:
        """Remove the CIFS server with its account in the domain. Raises DriverError where that cannot be, and may not be left there."""
        body: JsonObject = {}
        if left is not None:
            body["ad_domain"] = {"user": left.user, "password": self._resolve_secret(left.password)}
        try:
            self._gone(lambda: self._array.delete((CIFS, svm.uuid), body))
        except ArrayError as problem:
            if problem.kind not in {"auth", "busy", "gone"}:
                raise
            if self._settings.may_leave_accounts:
                self._gone(lambda: self._array.delete((CIFS, svm.uuid), {}, query={"force": True}))
            elif problem.kind == "busy":
                raise
            else:
                message = (
                    f"the account of the SVM {svm.name} cannot be removed from its domain: {problem}; correct user and password of the "
                    "security service, or write shareServers.machineAccounts.onRemoval: leave"
                )
                raise DriverError(message) from problem

    # LDAP

    def _join_ldap(self, svm: str, wanted: Ldap) -> None:
        self._array.post(LDAP, {"svm": {"name": svm}, **self._ldap(wanted)})
        self._look_up(svm, _LDAP_FIRST)

    def _ensure_ldap(self, svm: Svm, wanted: Ldap, left: Ldap | None) -> None:
        found = self._one(LDAP, svm.name, ("servers", "ad_domain", "base_dn", "bind_dn"))
        if found is None:
            self._join_ldap(svm.name, wanted)
            return
        asked = self._ldap(wanted)
        told = {name: value for name, value in asked.items() if name not in {"bind_password", "schema"}}
        if wanted != left or any(found.get(name) != value for name, value in told.items()):
            self._array.patch((LDAP, svm.uuid), asked)
        self._look_up(svm.name, _LDAP_FIRST)

    def _leave_ldap(self, uuid: str) -> None:
        self._look_up_in(uuid, _FILES)
        self._gone(lambda: self._array.delete((LDAP, uuid)))

    def _ldap(self, wanted: Ldap) -> JsonObject:
        body: JsonObject = {"schema": "RFC-2307"}
        if wanted.server is not None:
            body["servers"] = [wanted.server]
        else:
            body |= {"ad_domain": wanted.domain, "schema": "MS-AD-BIS"}
        if wanted.base is not None:
            body["base_dn"] = wanted.base
        if wanted.user is not None and wanted.password is not None:
            body |= {"bind_dn": wanted.user, "bind_password": self._resolve_secret(wanted.password)}
        return body

    def _look_up(self, svm: str, sources: list[str]) -> None:
        found = self._array.records("svm/svms", query={"name": svm}, fields=("nsswitch",))
        for record in found:
            switch: Mapping[str, Any] = record.get("nsswitch") or {}
            if any(list(switch.get(name, ())) != sources for name in ("passwd", "group")):
                self._look_up_in(record["uuid"], sources)

    def _look_up_in(self, uuid: str, sources: list[str]) -> None:
        self._array.patch(("svm/svms", uuid), {"nsswitch": {"passwd": sources, "group": sources}})

    # Kerberos

    def _join_kerberos(self, svm: str, wanted: Kerberos) -> None:
        realms = self._array.records(REALMS, query={"svm.name": svm}, fields=("name", "kdc.ip"))
        realm = next((record for record in realms if record["name"] == wanted.realm), None)
        kdc = {"ip": wanted.controller, "port": 88, "vendor": "other"}
        if realm is None:
            self._array.post(REALMS, {"svm": {"name": svm}, "name": wanted.realm, "kdc": kdc})
        elif (realm.get("kdc") or {}).get("ip") != wanted.controller:
            self._array.patch((REALMS, realm["svm"]["uuid"], wanted.realm), {"kdc": kdc})
        body = {
            "enabled": True,
            "spn": f"nfs/{svm.replace('_', '-')}.{wanted.realm.lower()}@{wanted.realm}",
            "user": wanted.user,
            "password": self._resolve_secret(wanted.password),
        }
        for uuid in self._kerberos_lifs(svm, is_enabled=False):
            self._change_kerberos(uuid, body)

    def leave_kerberos(self, svm: Svm, left: Kerberos) -> None:
        """Take Kerberos off all LIFs of an SVM, without which they can be removed, and forget the realm."""
        self._take_off(self._kerberos_lifs(svm.name, is_enabled=True), left)
        self._gone(lambda: self._array.delete((REALMS, svm.uuid, left.realm)))

    def _leave_realm(self, svm: Svm, left: Kerberos) -> None:
        """Take Kerberos off the LIFs that are in this realm, and forget it; those in the next one stay so."""
        found = self._array.records(KERBEROS_LIFS, query={"svm.name": svm.name}, fields=("enabled", "spn"))
        here = [record for record in found if str(record.get("spn", "")).rpartition("@")[2] == left.realm]
        self._take_off([record["interface"]["uuid"] for record in here if record.get("enabled", False)], left)
        self._gone(lambda: self._array.delete((REALMS, svm.uuid, left.realm)))

    def _take_off(self, lifs: Sequence[str], left: Kerberos) -> None:
        if lifs:
            body = {"enabled": False, "user": left.user, "password": self._resolve_secret(left.password)}
            for lif in lifs:
                self._change_kerberos(lif, body)

    def _kerberos_lifs(self, svm: str, *, is_enabled: bool) -> list[str]:
        found = self._array.records(KERBEROS_LIFS, query={"svm.name": svm}, fields=("enabled", "interface.name"))
        return [record["interface"]["uuid"] for record in found if bool(record.get("enabled", False)) == is_enabled]

    def _change_kerberos(self, uuid: str, body: JsonObject) -> None:
        try:
            self._array.patch((KERBEROS_LIFS, uuid), body)
        except ArrayError as problem:
            if problem.code != _ALREADY_SO and problem.kind != "gone":
                raise

    def _gone(self, remove: Any) -> None:  # noqa: ANN401 - a call whose answer does not matter
        try:
            remove()
        except ArrayError as problem:
            if problem.kind != "gone":
                raise


def _dns(wanted: Directory) -> JsonObject:
    return {"domains": list(wanted.dns_domains), "servers": list(wanted.dns_servers)}


def _domain(service: ActiveDirectory | None) -> str:
    return "" if service is None else service.domain.lower()


def _fqdn(cifs: JsonObject) -> str:
    """Return the domain that a CIFS server is in; empty where it is in a workgroup."""
    return str((cifs.get("ad_domain") or {}).get("fqdn", "")).lower()


def _realm(service: Kerberos | None) -> str:
    return "" if service is None else service.realm
