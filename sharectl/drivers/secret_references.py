"""Secret references: turns `{env: NAME}` and `{file: PATH}` into the secret at the moment a driver needs it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import DriverError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.drivers.base import SecretResolver

MAX_SECRET_BYTES: Final = 64 * 1024


def make_secret_resolver(base_directory: str) -> SecretResolver:
    """Return the resolver whose relative `{file: PATH}` references are under `base_directory`.

    One line end at the end of a file is not part of the secret. The resolver raises DriverError where the reference has another
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
        text = content.decode()
    except UnicodeDecodeError:
        # Not chained: the exception holds the bytes, which are the secret.
        message = f"the secret {{file: {path}}} cannot be used: it is not UTF-8 text"
        raise DriverError(message) from None
    except (OSError, ValueError) as cause:
        reason = cause.strerror if isinstance(cause, OSError) else "it is no path"
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
