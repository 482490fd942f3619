"""The contract of what an entry point names: it makes the drivers of one name, and says what can be said before one is opened.

`share_checks` has what a factory may say of shares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.drivers.base import Capability, Driver
    from sharectl.model.access import ExportSettings
    from sharectl.model.backends import BackendSpec
    from sharectl.model.canonical import JsonObject
    from sharectl.model.checks import ConfigProblem


class DriverFactory(Protocol):
    """What an entry point of the group `sharectl.drivers` names."""

    @property
    def config_schema(self) -> JsonObject:
        """Return the JSON Schema (2020-12) of `spec.config` of a Backend with this driver."""
        ...

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Return the optional capabilities, known before any backend is reached."""
        ...

    def open(self, backend: BackendSpec, environment: DriverEnvironment) -> Driver:
        """Return a driver for this backend; no connection is made yet. Raises DriverError where the configuration cannot work."""
        ...


@runtime_checkable
class ChecksConfig(Protocol):
    """A factory that checks configurations further than a schema can."""

    def config_problems(self, backend: BackendSpec) -> Sequence[ConfigProblem]:
        """Return everything that cannot work in a `spec.config` that meets the schema; no backend is reached."""
        ...


@runtime_checkable
class KnowsPasswords(Protocol):
    """A factory that tells passwords of users from the secrets that a backend cannot be used without."""

    def is_password(self, path: tuple[str | int, ...]) -> bool:
        """Tell whether the secret at this path of a backend's `spec` only lets a user in: without it all else can be done."""
        ...


@runtime_checkable
class SettlesExports(Protocol):
    """A factory that says which settings its exports have, so that a changed one reaches exports that exist.

    Its driver lists the settings in force (`ObservedShare.export_settings`; None for a share that is not exported), and puts those
    of the ShareRef in force with each `update_access`.
    """

    def export_settings(self, backend: BackendSpec, protocol: str, extra_specs: Mapping[str, str]) -> ExportSettings:
        """Return the settings of a share of this protocol whose type has these extra specs; no backend is reached.

        One that is called as the key of an access rule (`group:staff`, in lower case) is of shares with such a rule alone: whom it means.
        """
        ...


@dataclass(frozen=True, slots=True)
class DriverEnvironment:
    """What a driver may use of the world around it: the folder that relative paths are under, and a resolver of secrets."""

    base_directory: str
    resolve_secret: SecretResolver


class SecretResolver(Protocol):
    """Turns a reference into the secret at the moment it is needed."""

    def __call__(self, reference: Mapping[str, str]) -> str:
        """Return the secret that `{env: NAME}` or `{file: PATH}` names; raises DriverError where it is not there."""
        ...
