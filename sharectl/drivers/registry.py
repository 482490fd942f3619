"""The registry: finds the factory of a driver by the name that a Backend manifest gives it."""

from __future__ import annotations

import sys
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import DriverError
from sharectl.drivers.secret_references import make_secret_resolver
from sharectl.model.diagnostics import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.metadata import EntryPoint

    from sharectl.drivers.base import DriverFactory

__all__ = ["ENTRY_POINT_GROUP", "UnknownDriverError", "driver_factory", "driver_names", "make_secret_resolver"]

ENTRY_POINT_GROUP: Final = "sharectl.drivers"

# Known without scanning the installed distributions, which takes longer than everything else a small plan does.
_BUILT_IN: Final[Mapping[str, str]] = {
    "directory": "sharectl.drivers.directory",
    "linux": "sharectl.drivers.linux",
    "ontap": "sharectl.drivers.ontap",
    "simulated": "sharectl.drivers.simulated",
}

_SCANNING: Final = threading.Lock()


class UnknownDriverError(DriverError):
    """No driver of this name is installed; `name` is what was asked for, `known` what there is."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        """Say which drivers there are, and which of them was probably meant."""
        hint = did_you_mean(name, known)
        super().__init__(
            f"no driver is called {name!r}; {f'{hint} ' if hint else ''}installed drivers: {', '.join(known)}"
        )
        self.name = name
        self.known = known


def driver_names() -> tuple[str, ...]:
    """Return the names of all installed drivers, sorted; drivers of other packages are found by their entry points."""
    return tuple(sorted({*_BUILT_IN, *_third_party()}))


def driver_factory(name: str) -> DriverFactory:
    """Return the factory of the driver called `name`.

    Raises UnknownDriverError where there is none, and DriverError where the package that offers it cannot be loaded.
    A package cannot take the name of a built-in driver.
    """
    if name in _BUILT_IN:
        from importlib import import_module  # noqa: PLC0415 - only the driver that is asked for is loaded

        built_in: DriverFactory = import_module(_BUILT_IN[name]).FACTORY
        return built_in
    entry_point = _third_party().get(name)
    if entry_point is None:
        raise UnknownDriverError(name, driver_names())
    return _load(entry_point)


def _third_party() -> Mapping[str, EntryPoint]:
    with _SCANNING:  # the lanes of all backends ask at once
        return _offered(tuple(sys.path))


@lru_cache(maxsize=1)
def _offered(_path: tuple[str, ...]) -> Mapping[str, EntryPoint]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and not needed for the built-in drivers

    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP) if point.name not in _BUILT_IN}


def _load(entry_point: EntryPoint) -> DriverFactory:
    try:
        factory: DriverFactory = entry_point.load()
    except Exception as cause:
        message = (
            f"the driver {entry_point.name!r} of the package {_package_of(entry_point)!r} cannot be loaded from "
            f"{entry_point.value!r}: {type(cause).__name__}: {cause}"
        )
        raise DriverError(message) from cause
    missing = [name for name in ("config_schema", "capabilities", "open") if not hasattr(factory, name)]
    if missing:
        message = (
            f"the driver {entry_point.name!r} of the package {_package_of(entry_point)!r} is not a driver factory: "
            f"{entry_point.value!r} has no {', '.join(missing)}"
        )
        raise DriverError(message)
    return factory


def _package_of(entry_point: EntryPoint) -> str:
    return "an unnamed package" if entry_point.dist is None else entry_point.dist.name
