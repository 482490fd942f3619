"""The factory of the simulated driver, which its entry point names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import Capability
from sharectl.drivers.simulated.schema import CAPABILITIES, CONFIG_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.drivers.base import Driver, DriverEnvironment, DriverFactory
    from sharectl.model.backends import BackendSpec
    from sharectl.model.checks import ConfigProblem, ShareCheck, ShareProblem, StoragePlace


class SimulatedFactory:
    """Opens simulated backends."""

    config_schema = CONFIG_SCHEMA
    # `without` in the configuration of a backend takes some from the driver that `open` returns
    capabilities = CAPABILITIES

    def capabilities_of(self, backend: BackendSpec) -> frozenset[Capability]:
        """Return those that `without` leaves."""
        return CAPABILITIES - {Capability(name) for name in backend.config.get("without") or ()}

    def config_problems(self, backend: BackendSpec) -> Sequence[ConfigProblem]:
        """Return what keeps the configuration from working although it meets the schema."""
        from sharectl.drivers.simulated.settings import config_problems  # noqa: PLC0415 - the schema alone needs none of it

        return tuple(config_problems(backend.config))

    def share_check(self, backend: BackendSpec) -> ShareCheck:
        """Return the check of shares on this backend."""
        from sharectl.drivers.simulated.checks import ShareChecker  # noqa: PLC0415 - the schema alone needs none of it
        from sharectl.drivers.simulated.settings import read_settings  # noqa: PLC0415 - as above

        settings = read_settings(backend.config, "/", share_servers=backend.share_servers)
        return ShareChecker(settings.protocols, settings.limits)

    def extra_spec_problems(self, extra_specs: Mapping[str, str]) -> Sequence[ShareProblem]:
        """Return each of them: the driver reads none."""
        from sharectl.drivers.share_checks import unknown_extra_spec  # noqa: PLC0415 - as above

        return tuple(unknown_extra_spec(key, "simulated", ()) for key in extra_specs)

    def storage_places(self, backend: BackendSpec, base_directory: str) -> Sequence[StoragePlace]:
        """Return the state file."""
        import os  # noqa: PLC0415 - as above

        from sharectl.model.checks import StoragePlace  # noqa: PLC0415 - as above

        location = os.path.realpath(os.path.join(base_directory, backend.config["stateFile"]))  # noqa: PTH118 - text, as everywhere here
        return (StoragePlace("", location, "the state file", ("stateFile",)),)

    def open(self, backend: BackendSpec, environment: DriverEnvironment) -> Driver:
        """Return a driver; the state file is not opened yet."""
        from sharectl.drivers.simulated.capabilities import driver_type  # noqa: PLC0415 - the schema alone needs none of it
        from sharectl.drivers.simulated.settings import read_settings  # noqa: PLC0415 - as above

        settings = read_settings(backend.config, environment.base_directory, share_servers=backend.share_servers)
        return driver_type(settings.without)(settings)


FACTORY: Final[DriverFactory] = SimulatedFactory()
