"""The factory of the directory driver, which its entry point names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import Capability
from sharectl.drivers.directory.settings import CONFIG_SCHEMA, read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.drivers.base import Driver, DriverEnvironment, DriverFactory
    from sharectl.model.access import ExportSettings
    from sharectl.model.backends import BackendSpec
    from sharectl.model.checks import ConfigProblem, ShareCheck, ShareProblem, StoragePlace


class DirectoryFactory:
    """Opens directory backends."""

    config_schema = CONFIG_SCHEMA
    # who reads the fragments is the administrator's own server
    capabilities = frozenset(Capability) - {
        Capability.SHARE_SERVERS,
        Capability.SHARE_SERVER_UPDATE,
        Capability.SNAPSHOT_POLICY,
    }

    def config_problems(self, backend: BackendSpec) -> Sequence[ConfigProblem]:
        """Return what keeps the configuration from working although it meets the schema."""
        from sharectl.drivers.directory import checks  # noqa: PLC0415 - the schema alone needs none of it

        return tuple(checks.config_problems(backend.config))

    def export_settings(self, backend: BackendSpec, protocol: str, extra_specs: Mapping[str, str]) -> ExportSettings:
        """Return the user and group that squashed users of an NFS export become; a Samba section has no settings of its own."""
        from sharectl.drivers.directory import exports  # noqa: PLC0415 - as above

        del extra_specs
        if protocol == "CIFS":
            return ()
        return exports.export_settings(backend.config.get("anonymousUid"), backend.config.get("anonymousGid"))

    def share_check(self, backend: BackendSpec) -> ShareCheck:
        """Return the check of shares on this backend."""
        from sharectl.drivers.directory.checks import ShareChecker  # noqa: PLC0415 - as above

        return ShareChecker(read_settings(backend.config, "/"))

    def extra_spec_problems(self, extra_specs: Mapping[str, str]) -> Sequence[ShareProblem]:
        """Return each of them: the driver reads none."""
        from sharectl.drivers.share_checks import unknown_extra_spec  # noqa: PLC0415 - as above

        return tuple(unknown_extra_spec(key, "directory", ()) for key in extra_specs)

    def storage_places(self, backend: BackendSpec, base_directory: str) -> Sequence[StoragePlace]:
        """Return the root and the pools."""
        from sharectl.drivers.directory import checks  # noqa: PLC0415 - as above

        return tuple(checks.storage_places(backend, base_directory))

    def share_folders(self, backend: BackendSpec, base_directory: str) -> Mapping[str, StoragePlace]:
        """Return all pools: every share is a folder."""
        from sharectl.drivers.directory import checks  # noqa: PLC0415 - as above

        return checks.share_folders(backend, base_directory)

    def open(self, backend: BackendSpec, environment: DriverEnvironment) -> Driver:
        """Return a driver; no file is touched yet."""
        from sharectl.drivers.directory.driver import DirectoryDriver  # noqa: PLC0415 - the schema alone needs none of it

        return DirectoryDriver(read_settings(backend.config, environment.base_directory))


FACTORY: Final[DriverFactory] = DirectoryFactory()
