"""Secret references: turns `{env: NAME}` and `{file: PATH}` into the secret at the moment a driver needs it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import DriverError
from sharectl.model.checks import ConfigProblem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.drivers.base import SecretResolver

MAX_SECRET_BYTES: Final = 64 * 1024
_SECRET_NAME: Final = re.compile(r"(?i)passw|secret|token|credential|key$")
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")


def make_secret_resolver(base_directory: str) -> SecretResolver:
    """Return the resolver whose relative `{file: PATH}` references are under `base_directory`.

    One line end at the end of a file, and a byte order mark at its beginning, are not part of the secret. The resolver raises DriverError where the reference has another
    form, or names nothing; its messages name the reference, never the value.
    """

    def resolve(reference: Mapping[str, str]) -> str:
        if len(reference) == 1:
            ((form, target),) = reference.items()
            if form == "env" and isinstance(target, str):
                return _from_environment(target)
            if form == "file" and isinstance(target, str):
                return _from_file(target, base_directory)
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


def _from_environment(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        message = f"the secret {{env: {name}}} is not there: set the environment variable {name}"
        raise DriverError(message)
    return value


def _from_file(path: str, base_directory: str) -> str:
    try:
        # Read through a descriptor, so that the size that was bounded is the size that is read.
        with (Path(base_directory) / path).open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
        if content.startswith(_UTF_16) or b"\0" in content:
            message = f"the secret {{file: {path}}} cannot be used: it is UTF-16 or no text; save it as UTF-8"
            raise DriverError(message)
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Not chained: the exception holds the bytes, which are the secret.
        message = f"the secret {{file: {path}}} cannot be used: it is not UTF-8 text"
        raise DriverError(message) from None
    except (OSError, ValueError) as cause:
        reason = cause.strerror if isinstance(cause, OSError) else "it is not a path"
        message = f"the secret {{file: {path}}} cannot be read: {reason}"
        raise DriverError(message) from cause
    if len(content) > MAX_SECRET_BYTES:
        message = f"the secret {{file: {path}}} cannot be used: it is larger than {MAX_SECRET_BYTES} bytes"
        raise DriverError(message)
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret:
        message = f"the secret {{file: {path}}} cannot be used: the file is empty"
        raise DriverError(message)
    return secret
