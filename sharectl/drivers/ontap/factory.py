"""The factory of the ontap driver, which its entry point names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import Capability, DriverError
from sharectl.drivers.ontap.schema import CONFIG_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sharectl.drivers.base import Driver, DriverEnvironment, DriverFactory
    from sharectl.model.access import ExportSettings
    from sharectl.model.backends import BackendSpec
    from sharectl.model.checks import ConfigProblem, ShareCheck, ShareProblem, ShareServerProblem
    from sharectl.model.share_networks import ShareServerSpec


class OntapFactory:
    """Opens ontap backends."""

    config_schema = CONFIG_SCHEMA
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
            Capability.PROTOCOLS,
            Capability.SHARE_SERVERS,
            Capability.SHARE_SERVER_UPDATE,
        }
    )

    def capabilities_of(self, backend: BackendSpec) -> frozenset[Capability]:
        """Return what holds for a backend: one that shares an SVM makes none."""
        if backend.share_servers:
            return self.capabilities
        return self.capabilities - {Capability.SHARE_SERVERS, Capability.SHARE_SERVER_UPDATE}

    @property
    def extra_spec_scopes(self) -> tuple[str, ...]:
        """The scopes of the extra specs that the driver reads: Manila's, and its own."""
        from sharectl.drivers.ontap.extra_specs import SCOPES  # noqa: PLC0415 - the schema alone needs none of it

        return SCOPES

    def extra_spec_problems(self, extra_specs: Mapping[str, str]) -> Sequence[ShareProblem]:
        """Return what the driver cannot make sense of."""
        from sharectl.drivers.ontap import extra_specs as known  # noqa: PLC0415 - as above

        return tuple(known.extra_spec_problems(extra_specs))

    def config_problems(self, backend: BackendSpec) -> Sequence[ConfigProblem]:
        """Return what keeps the configuration from working although it meets the schema."""
        from sharectl.drivers.ontap.checks import find_problems  # noqa: PLC0415 - the schema alone needs none of it

        return find_problems(backend)

    def share_check(self, backend: BackendSpec) -> ShareCheck:
        """Return the check of shares on this backend."""
        from sharectl.drivers.ontap import settings  # noqa: PLC0415 - as above
        from sharectl.drivers.ontap.qtrees.settings import qtrees_in  # noqa: PLC0415 - as above
        from sharectl.drivers.ontap.share_checks import ShareChecker  # noqa: PLC0415 - as above
        from sharectl.drivers.ontap.share_servers.settings import share_server_settings  # noqa: PLC0415 - as above

        config = backend.config
        return ShareChecker(
            settings.treatment_in(config),
            settings.smb_in(config),
            settings.flexgroups_in(config),
            qtrees_in(config),
            share_server_settings(config) if backend.share_servers else None,
        )

    def share_server_problems(
        self, backend: BackendSpec, server: ShareServerSpec, protocols: Collection[str]
    ) -> Sequence[ShareServerProblem]:
        """Return what keeps share servers from being there."""
        from sharectl.drivers.ontap.share_servers.checks import share_server_problems  # noqa: PLC0415 - as above

        del backend
        return share_server_problems(server, protocols)

    def share_server_change_problems(
        self, backend: BackendSpec, before: ShareServerSpec, after: ShareServerSpec, protocols: Collection[str]
    ) -> Sequence[ShareServerProblem]:
        """Return what keeps a share server from being changed while such shares are on it."""
        from sharectl.drivers.ontap.share_servers.checks import change_problems  # noqa: PLC0415 - as above

        del backend
        return change_problems(before, after, protocols)

    def export_settings(self, backend: BackendSpec, protocol: str, extra_specs: Mapping[str, str]) -> ExportSettings:
        """Return how NFS clients are treated."""
        from sharectl.drivers.ontap.settings import treatment_in  # noqa: PLC0415 - as above

        del protocol, extra_specs
        return treatment_in(backend.config).settings()

    def open(self, backend: BackendSpec, environment: DriverEnvironment) -> Driver:
        """Return a driver; the array is not reached yet."""
        from sharectl.drivers.ontap.settings import read_settings  # noqa: PLC0415 - as above

        settings = read_settings(backend, environment.base_directory)
        try:
            from sharectl.drivers.ontap.client import Array  # noqa: PLC0415 - as above
        except ImportError as missing:
            message = "the ontap driver needs urllib3: install it with pip install 'sharectl[ontap]'"
            raise DriverError(message) from missing
        from sharectl.drivers.ontap.driver import OntapDriver  # noqa: PLC0415 - as above

        array = Array(settings.array, environment.resolve_secret)
        if settings.share_servers is None:
            return OntapDriver(settings, array)
        from sharectl.drivers.ontap.share_servers.driver import ShareServerDriver  # noqa: PLC0415 - as above

        return ShareServerDriver(settings, array, settings.share_servers, environment.resolve_secret)


FACTORY: Final[DriverFactory] = OntapFactory()
