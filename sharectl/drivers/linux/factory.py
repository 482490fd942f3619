"""The factory of the linux driver, which its entry point names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import Capability
from sharectl.drivers.linux.schema import CONFIG_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sharectl.drivers.base import Driver, DriverEnvironment, DriverFactory
    from sharectl.model.access import ExportSettings
    from sharectl.model.backends import BackendSpec
    from sharectl.model.checks import ConfigProblem, ShareCheck, ShareProblem, ShareServerProblem, StoragePlace
    from sharectl.model.share_networks import ShareServerSpec

_MORE_CALLS: Final = 4
"""Calls that the agent runs at once besides those of the lanes: what a refresh asks."""


class LinuxFactory:
    """Opens linux backends."""

    config_schema = CONFIG_SCHEMA
    # what a pool cannot do it says itself
    capabilities = frozenset(
        {
            Capability.EXTEND,
            Capability.SHRINK,
            Capability.SNAPSHOT,
            Capability.SNAPSHOT_POLICY,
            Capability.CLONE,
            Capability.REVERT,
            Capability.TRASH,
            Capability.ADOPT,
            Capability.USAGE,
            Capability.EXPORT_NAME,
            Capability.PROTOCOLS,
            Capability.SHARE_SERVERS,
        }
    )

    def config_problems(self, backend: BackendSpec) -> Sequence[ConfigProblem]:
        """Return what keeps the configuration from working although it meets the schema."""
        from sharectl.drivers.linux.checks import find_problems  # noqa: PLC0415 - the schema alone needs none of it

        return find_problems(backend)

    def share_check(self, backend: BackendSpec) -> ShareCheck:
        """Return the check of shares on this backend."""
        from sharectl.drivers.linux.settings import read_settings  # noqa: PLC0415 - as above
        from sharectl.drivers.linux.share_checks import ShareChecker  # noqa: PLC0415 - as above

        return ShareChecker(read_settings(backend, "/"))

    def share_server_problems(
        self, backend: BackendSpec, server: ShareServerSpec, protocols: Collection[str]
    ) -> Sequence[ShareServerProblem]:
        """Return what keeps share servers from being there, whatever is exported on them."""
        from sharectl.drivers.linux.share_checks import share_server_problems  # noqa: PLC0415 - as above

        del protocols
        return tuple(share_server_problems(backend, server))

    def extra_spec_problems(self, extra_specs: Mapping[str, str]) -> Sequence[ShareProblem]:
        """Return what the driver cannot make sense of."""
        from sharectl.drivers.linux import extra_specs as known  # noqa: PLC0415 - as above

        return tuple(known.extra_spec_problems(extra_specs))

    def storage_places(self, backend: BackendSpec, base_directory: str) -> Sequence[StoragePlace]:
        """Return the root, the pools and their images."""
        from sharectl.drivers.linux import share_checks  # noqa: PLC0415 - as above

        del base_directory  # all paths are absolute
        return tuple(share_checks.storage_places(backend))

    def share_folders(self, backend: BackendSpec, base_directory: str) -> Mapping[str, StoragePlace]:
        """Return the pools whose shares are subvolumes."""
        from sharectl.drivers.linux import share_checks  # noqa: PLC0415 - as above

        del base_directory
        return share_checks.share_folders(backend)

    def export_settings(self, backend: BackendSpec, protocol: str, extra_specs: Mapping[str, str]) -> ExportSettings:
        """Return how an export treats its clients and what it offers them, and what its server does for all."""
        from sharectl.drivers.linux import exports, settings  # noqa: PLC0415 - as above
        from sharectl.model.access import protocols_in  # noqa: PLC0415 - as above

        nfs, smb = settings.nfs_of(backend.config), settings.smb_of(backend.config)
        told = exports.share_settings(nfs, smb, protocol, extra_specs)
        told |= exports.server_settings(nfs, smb, protocol)
        if "CIFS" in protocols_in(protocol):
            told |= exports.smb_people_settings(smb)
        return tuple(sorted(told.items()))

    def is_password(self, path: tuple[str | int, ...]) -> bool:
        """Tell whether it is one of an SMB user."""
        return path[:3] == ("config", "smb", "users")

    def open(self, backend: BackendSpec, environment: DriverEnvironment) -> Driver:
        """Return a driver; the storage host is not reached yet."""
        from sharectl.drivers.linux.connection import AgentConnection  # noqa: PLC0415 - as above
        from sharectl.drivers.linux.driver import LinuxDriver  # noqa: PLC0415 - as above
        from sharectl.drivers.linux.settings import read_settings  # noqa: PLC0415 - as above

        settings = read_settings(backend, environment.base_directory)
        connection = AgentConnection(
            settings.host,
            settings.for_agent(),
            width=backend.lanes + _MORE_CALLS,
            call_seconds=backend.step_timeout_seconds,
        )
        return LinuxDriver(settings, connection, environment.resolve_secret)


FACTORY: Final[DriverFactory] = LinuxFactory()
