"""Secret references: turns `{env: NAME}` and `{file: PATH}` into the secret at the moment a driver needs it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import DriverError
from sharectl.model.checks import ConfigProblem
from sharectl.private import SecretError, read_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.drivers.base import SecretResolver

_SECRET_NAME: Final = re.compile(r"(?i)passw|secret|token|credential|key$")


def make_secret_resolver(base_directory: str) -> SecretResolver:
    """Return the resolver whose relative `{file: PATH}` references are under `base_directory`.

    One line end at the end of a file, and a byte order mark at its beginning, are not part of the secret. The resolver raises DriverError where the reference has another
    form, or names nothing; its messages name the reference, never the value.
    """

    def resolve(reference: Mapping[str, str]) -> str:
        if len(reference) == 1:
            ((form, target),) = reference.items()
            if form in {"env", "file"} and isinstance(target, str):
                try:
                    return read_secret(form, target, base_directory)
                except SecretError as problem:
                    raise DriverError(*problem.args) from problem.__cause__
        message = "a secret is written as {env: NAME} or {file: PATH}, with exactly one of the two"
        raise DriverError(message)

    return resolve


def missing_secrets(config: Mapping[str, object], resolve: SecretResolver) -> tuple[ConfigProblem, ...]:
    """Return each reference in a configuration whose secret is not there now, at its path; no value is kept."""
    found = []
    for path, reference in _references(config, ()):
        try:
            resolve(reference)
        except DriverError as problem:
            form, target = next(iter(reference.items()))
            where = (
                f"set the environment variable {target}" if form == "env" else f"put the secret into the file {target}"
            )
            found.append(ConfigProblem(path, str(problem), f"{where} where sharectl runs, or correct the reference"))
    return tuple(found)


def _references(value: object, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], dict[str, str]]]:
    """Yield what is written as a reference to a secret; `{file: PATH}` may be another thing unless its field is named like one."""
    if isinstance(value, Mapping):
        if len(value) == 1:
            ((form, target),) = value.items()
            is_secret = form == "env" or (form == "file" and bool(path) and bool(_SECRET_NAME.search(str(path[-1]))))
            if is_secret and isinstance(target, str):
                yield path, {form: target}
                return
        for key, inner in value.items():
            yield from _references(inner, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _references(inner, (*path, number))
