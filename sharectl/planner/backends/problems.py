"""What is wrong with backends and share types taken together: storage that two of them share, extra specs that no driver knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import DriverError
from sharectl.drivers.registry import driver_factory
from sharectl.drivers.share_checks import ChecksExtraSpecs, NamesScopes, NamesStorage
from sharectl.model.diagnostics import did_you_mean, error, warning
from sharectl.model.frozen import NamedTuple
from sharectl.model.kinds import Kind, address_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from sharectl.drivers.base import DriverFactory
    from sharectl.manifests.desired import Desired
    from sharectl.model.checks import StoragePlace
    from sharectl.model.diagnostics import Diagnostic

KNOWN_SPECS: Final = (
    "availability_zones",
    "create_share_from_snapshot_support",
    "compression",
    "dedupe",
    "default_qos_type",
    "driver_handles_share_servers",
    "driver_version",
    "encryption_support",
    "free_capacity_gb",
    "ipv4_support",
    "ipv6_support",
    "max_over_subscription_ratio",
    "mount_point_name_support",
    "mount_snapshot_support",
    "pool_name",
    "provisioning:max_share_extend_size",
    "provisioning:max_share_size",
    "provisioning:min_share_size",
    "qos",
    "qos_type_support",
    "replication_domain",
    "replication_type",
    "revert_to_snapshot_support",
    "share_backend_name",
    "size_enforced",
    "snapshot_support",
    "storage_protocol",
    "thin_provisioning",
    "total_capacity_gb",
    "vendor_name",
)
"""Extra specs that Manila and the drivers here give a meaning; any other may be a capability that a backend reports."""


class _Owned(NamedTuple):
    backend: str
    place: StoragePlace


def storage_findings(
    desired: Desired, base_directory: str, own: Mapping[str, str], read: Collection[str], kept: Collection[str]
) -> tuple[Diagnostic, ...]:
    """Return an error for each place that two backends have, or one within another's; and for storage in one of sharectl's `own` folders.

    `own` says by their absolute paths what these are. Two ways to one host, or two links to one folder there, look like two places.
    Storage that is itself a folder which is `read` for manifests is an error: what clients write to a share would be read with them.
    Storage within one of the folders that are `kept` for manifests alone is a warning.
    """
    places = [
        _Owned(name, place)
        for name, spec in desired.backends.items()
        for place in _places(desired, name, spec.driver, base_directory)
    ]
    wrong = [*_shared(places), *_in_own(places, own), *_on_manifests(places, read)]
    found = {error: wrong, warning: list(_among_manifests(places, kept))}
    return tuple(
        make(
            "backend.storage",
            summary,
            remedy=remedy,
            address=address_of(Kind.BACKEND, owned.backend),
            source=desired.field_source(address_of(Kind.BACKEND, owned.backend), "spec", "config", *owned.place.path),
        )
        for make, each in found.items()
        for owned, summary, remedy in each
    )


def extra_spec_findings(desired: Desired) -> tuple[Diagnostic, ...]:
    """Return what is wrong with the extra specs of share types: an error where a driver says so, a warning where a name looks misspelt."""
    sound = [
        spec
        for name, spec in desired.backends.items()
        if desired.flaws.is_sound(address_of(Kind.BACKEND, name), "driver", "capabilities")
    ]
    knows_all = len(sound) == len(desired.backends) and not desired.flaws.hides_backends
    drivers = sorted({spec.driver for spec in sound})
    reported = {key for spec in sound for key in spec.capabilities}
    found = []
    for name, share_type in desired.share_types.items():
        for key, (summary, remedy, is_certain) in _spec_problems(share_type.extra_specs, drivers, reported).items():
            if not (is_certain or knows_all):
                continue
            make = error if is_certain else warning
            found.append(
                make(
                    "share_type.extra-spec",
                    summary,
                    remedy=remedy,
                    address=address_of(Kind.SHARE_TYPE, name),
                    source=desired.field_source(address_of(Kind.SHARE_TYPE, name), "spec", "extraSpecs", key),
                )
            )
    return tuple(found)


def _spec_problems(
    specs: Mapping[str, str], drivers: Iterable[str], reported: Iterable[str]
) -> dict[str, tuple[str, str, bool]]:
    found: dict[str, tuple[str, str, bool]] = {}
    is_scoped = any(":" in key for key in specs)
    scopes: list[str] = []
    for driver in drivers:
        factory = _factory(driver) if is_scoped else None
        read = factory.extra_spec_scopes if isinstance(factory, NamesScopes) else (driver,)
        scopes += read
        own = {key: value for key, value in specs.items() if ":" in key and key.partition(":")[0] in read}
        if own and isinstance(factory, ChecksExtraSpecs):
            for problem in factory.extra_spec_problems(own):
                found[problem.path[1]] = (problem.summary, problem.remedy, True)
    known = sorted({*KNOWN_SPECS, *reported})
    for key in specs:
        scope, separator, rest = key.rpartition(":")
        if separator and scope not in {"capabilities", "provisioning"}:
            near = did_you_mean(scope, scopes) if scope not in scopes else ""
            if near:
                found[key] = (
                    f"no driver reads the extra spec {key!r}, whose scope belongs to none of them",
                    near,
                    False,
                )
            continue
        plain = rest if scope == "capabilities" else key
        near = "" if plain in known else did_you_mean(plain, known)
        if near:
            summary = (
                f"the extra spec {key!r} is unknown to Manila; only a backend that reports it can take such a share"
            )
            found[key] = (summary, near, False)
    return found


def _places(desired: Desired, name: str, driver: str, base_directory: str) -> tuple[StoragePlace, ...]:
    factory, spec = _factory(driver), desired.backends[name]
    if factory is None or not desired.flaws.is_sound(address_of(Kind.BACKEND, name), "driver", "config"):
        return ()
    if isinstance(factory, NamesStorage):
        try:
            return tuple(factory.storage_places(spec, base_directory))
        except (DriverError, ValueError):
            return ()  # not a path: a finding of the configuration
    return ()


def _factory(driver: str) -> DriverFactory | None:
    try:
        return driver_factory(driver)
    except DriverError:
        return None  # a finding of the manifest's own


def _shared(places: Iterable[_Owned]) -> Iterator[tuple[_Owned, str, str]]:
    """Yield each place that is another backend's, or inside one; sorted, so that what is around a place comes before it."""
    around: list[_Owned] = []
    told: list[StoragePlace] = []
    for owned in sorted(places, key=lambda each: (each.place.host, _folder(each.place.location), each.backend)):
        while around and not _is_within(owned.place, around[-1].place):
            around.pop()
        other = next((each for each in reversed(around) if each.backend != owned.backend), None)
        if other is not None and not any(_is_inside(owned.place, place) for place in told):
            told.append(owned.place)
            is_same = owned.place.location == other.place.location
            what = f"{owned.place.what} of backend {owned.backend}, {owned.place.location},"
            where = "is also" if is_same else "lies inside"
            host = f" on {owned.place.host}" if owned.place.host else ""
            summary = f"{what} {where} {other.place.what} of backend {other.backend}{host}"
            yield owned, summary, "give each backend storage of its own, or keep one of the two manifests"
        around.append(owned)


def _in_own(places: Iterable[_Owned], own: Mapping[str, str]) -> Iterator[tuple[_Owned, str, str]]:
    for owned in places:
        for location, what in own.items():
            if not owned.place.host and f"{owned.place.location}/".startswith(f"{location}/"):
                summary = f"{owned.place.what} of backend {owned.backend} is in {what}, {location}"
                yield owned, summary, "choose a folder that holds nothing else"


def _on_manifests(places: Iterable[_Owned], folders: Collection[str]) -> Iterator[tuple[_Owned, str, str]]:
    for owned in places:
        place = owned.place
        if not place.host and place.location in folders:
            summary = f"{place.what} of backend {owned.backend}, {place.location}, is a folder in which manifests are looked for"
            remedy = (
                "choose a folder of its own: a manifest that a client writes to a share would be read with the others"
            )
            yield owned, summary, remedy


def _among_manifests(places: Iterable[_Owned], folders: Collection[str]) -> Iterator[tuple[_Owned, str, str]]:
    named = set()
    for owned in places:
        place = owned.place
        around = [folder for folder in folders if place.location.startswith(_folder(folder))]
        if around and not place.host and (owned.backend, place.path) not in named:
            named.add((owned.backend, place.path))
            summary = (
                f"{place.what} of backend {owned.backend}, {place.location}, is in a folder with manifests, {around[0]}"
            )
            yield (
                owned,
                summary,
                "choose a folder beside the manifests: files that users keep there might be read as manifests",
            )


def _is_within(place: StoragePlace, other: StoragePlace) -> bool:
    return place.host == other.host and _folder(place.location).startswith(_folder(other.location))


def _is_inside(place: StoragePlace, other: StoragePlace) -> bool:
    return _is_within(place, other) and place.location != other.location


def _folder(location: str) -> str:
    return location.rstrip("/") + "/"
