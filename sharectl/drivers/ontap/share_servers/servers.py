"""Share servers of one array: made, mended, changed, listed and removed, each call the same when it is repeated."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import ConflictError, NotFoundError, ShareInUseError
from sharectl.drivers.ontap.names import OWNER
from sharectl.drivers.ontap.policies import Policies
from sharectl.drivers.ontap.qtrees.names import pool_of_container
from sharectl.drivers.ontap.requests import Pattern
from sharectl.drivers.ontap.share_servers.directory import known_directory_of
from sharectl.drivers.ontap.share_servers.listing import look, problem_of_lifs, server_of, servers_in
from sharectl.drivers.ontap.share_servers.names import digits_of, segment_in
from sharectl.drivers.ontap.share_servers.network import IPSPACES, Network
from sharectl.drivers.ontap.share_servers.segments import SegmentUse
from sharectl.drivers.ontap.share_servers.services import Services
from sharectl.drivers.ontap.share_servers.svm import RUNNING, Svms, find
from sharectl.drivers.ontap.share_servers.wanted import VLAN, wanted_server

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from sharectl.drivers.base import SecretResolver
    from sharectl.drivers.ontap.client import Array
    from sharectl.drivers.ontap.share_servers.settings import Home, ShareServerSettings
    from sharectl.drivers.ontap.share_servers.svm import Patience, Svm
    from sharectl.drivers.ontap.share_servers.wanted import FoundLif, WantedServer
    from sharectl.model.observed import ObservedShareServer
    from sharectl.model.requests import ShareServerRef, ShareServerRequest

_NAMED: Final = 3


def _remove_none(svm: str) -> None:
    """Leave the volumes for qtrees of an SVM to the array, which refuses to remove an SVM with volumes."""


class ShareServers:
    """The share servers of one backend; used by all threads of its lanes."""

    def __init__(
        self, array: Array, settings: ShareServerSettings, resolve_secret: SecretResolver, patience: Patience
    ) -> None:
        """Ask for nothing yet."""
        self._array, self._settings = array, settings
        self._patience = patience
        self._use = SegmentUse()
        self._network = Network(array, self._use)
        self._svms = Svms(array, settings, patience)
        self._policies = Policies(array, None, patience.sleep)
        self._services = Services(array, settings, resolve_secret)

    @property
    def allocations(self) -> int:
        """How many addresses each share server needs: one for each home of LIFs."""
        return len(self._settings.homes)

    @property
    def homes(self) -> tuple[Home, ...]:
        """Where LIFs are at home."""
        return self._settings.homes

    @property
    def root_aggregate(self) -> str | None:
        """Where the root volumes of SVMs are to be, None where the array chooses."""
        return self._settings.root_aggregate

    def list(self, resource_ids: Collection[str] | None = None) -> Sequence[ObservedShareServer]:
        """Return all share servers, or those with these ids."""
        if resource_ids is not None and not resource_ids:
            return []
        found = servers_in(look(self._array), self._settings.transfer_bytes)
        wanted = None if resource_ids is None else frozenset(resource_ids)
        return [server for server in found if wanted is None or server.resource_id in wanted]

    def create(self, request: ShareServerRequest) -> ObservedShareServer:
        """Make the server, or make the one with this id as requested and well."""
        wanted = wanted_server(request, self._settings)
        with self._use.making(wanted.segment.tag):
            svms = self._svms.all()
            svm = find(svms, wanted.resource_id)
            return self._mended(wanted, svm) if svm is not None else self._made(wanted, {each.ipspace for each in svms})

    def update(self, request: ShareServerRequest) -> ObservedShareServer:
        """Make a server that is there as requested. Raises NotFoundError."""
        wanted = wanted_server(request, self._settings)
        with self._use.making(wanted.segment.tag):
            svm = find(self._svms.all(), wanted.resource_id)
            if svm is None:
                message = f"there is no SVM of the share server {wanted.name}"
                raise NotFoundError(message)
            return self._mended(wanted, svm)

    def _made(self, wanted: WantedServer, inhabited: Collection[str]) -> ObservedShareServer:
        ipspace = self._network.ensure_segment(wanted, None, inhabited)
        svm = self._svms.create(wanted, ipspace)
        self._svms.make_closed_policy(svm.name)
        self._svms.close_root(svm.name, is_new=True)
        self._network.ensure_lifs(svm.name, wanted, ())
        self._network.ensure_routes(svm.name, wanted.gateways, is_new=True)
        self._services.start(svm.name, wanted.resource_id, wanted.directory)
        joined = wanted.directory.active_directory is not None
        return self._well(replace(svm, state=RUNNING, serves_nfs=True, serves_cifs=joined), wanted)

    def _mended(self, wanted: WantedServer, svm: Svm) -> ObservedShareServer:
        self._network.ensure_segment(wanted, svm.ipspace)
        self._svms.mend(svm, wanted)
        self._policies.ensure_closed(svm.name)
        self._svms.close_root(svm.name, is_new=False)
        self._network.ensure_lifs(svm.name, wanted, self._network.lifs(svm.name))
        self._network.ensure_routes(svm.name, wanted.gateways, is_new=False)
        self._services.ensure(svm, wanted.directory, wanted.left)
        (again,) = (each for each in self._svms.all() if each.uuid == svm.uuid)
        return self._well(again, wanted)

    def _well(self, svm: Svm, wanted: WantedServer) -> ObservedShareServer:
        """Return the server once its LIFs are up, which takes some seconds."""
        lifs: Sequence[FoundLif] = ()

        def are_up() -> bool:
            nonlocal lifs
            lifs = self._network.lifs(svm.name)
            return not problem_of_lifs(lifs, str(len(wanted.lifs)))

        self._patience.until(are_up)
        return server_of(svm, lifs)

    # Removal

    def delete(self, server: ShareServerRef, remove_containers: Callable[[str], None] = _remove_none) -> None:
        """Remove the server and whatever is left of it. Raises ShareInUseError where volumes are in its SVM, whoever's they are.

        Those that are for qtrees alone go by `remove_containers`, which raises it too where they hold some.
        """
        svm = find(self._svms.all(), server.resource_id)
        places = set[str]()
        if svm is not None:
            if self._check_empty(svm, server):
                remove_containers(svm.name)
            joined = known_directory_of(server.security_services)
            if joined.kerberos is not None:
                self._services.leave_kerberos(svm, joined.kerberos)
            if svm.netbios_name:
                self._services.leave_domain(svm, joined.active_directory)
            self._svms.remove(svm)
            places.add(svm.ipspace)
        self._remove_segments(server, places)

    def _check_empty(self, svm: Svm, server: ShareServerRef) -> bool:
        """Raise ShareInUseError where there are volumes; tell whether there are some that are for qtrees alone."""
        query: Mapping[str, str | bool] = {"svm.name": svm.name, "is_svm_root": False}
        volumes = self._array.records("storage/volumes", query=query, fields=("name", "comment"))
        count = len(volumes)
        volumes = [each for each in volumes if pool_of_container(each.get("comment")) is None]
        if volumes:
            names = ", ".join(sorted(volume["name"] for volume in volumes)[:_NAMED])
            words = "1 volume is" if len(volumes) == 1 else f"{len(volumes)} volumes are"
            message = f"{words} in the SVM {svm.name} of the share server {server.name}: {names}"
            raise ShareInUseError(message)
        return count > 0

    def _remove_segments(self, server: ShareServerRef, places: set[str]) -> None:
        """Remove the VLANs that were this server's where no other SVM is left on them."""
        tags = {each.segmentation_id for each in server.allocations if each.network_type == VLAN}
        digits = digits_of(server.resource_id)
        for record in self._array.records(IPSPACES, query={"name": Pattern(f"{OWNER}_*")}, fields=("name",)):
            segment = segment_in(record["name"])
            if segment is not None and (segment[0] in tags or digits_of(segment[1]) == digits):
                places.add(record["name"])
        for place in sorted(places):
            segment = segment_in(place)
            if segment is not None:
                self._remove_segment(segment[0], place)

    def _remove_segment(self, tag: int, place: str) -> None:
        with self._use.alone(tag) as is_free:
            if not is_free:
                return  # who makes a server there needs it, and takes it along when that one goes
            there = [svm for svm in self._svms.all() if svm.ipspace == place]
            if not there:
                self._network.remove_segment(place)
            strangers = sorted(svm.name for svm in there if svm.note is None)
        if strangers and len(strangers) == len(there):
            message = (
                f"the share server is gone; its VLAN {tag} stays, with its ports and the IPspace {place}: the SVM {strangers[0]}, "
                "which sharectl did not make, is on it; remove that, then apply again"
            )
            raise ConflictError(message)
