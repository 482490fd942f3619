"""Paths: which operation an address and a method mean, and the keys in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final
from urllib.parse import unquote

from tests.emulators.ontap.errors import Refused, unexpected
from tests.emulators.ontap.facts import Operation, operation_of, operations

CLI: Final = "/private/cli/"


@dataclass(frozen=True, slots=True)
class Route:
    """An operation with the keys of this address, decoded."""

    operation: Operation
    keys: dict[str, str]
    path: str
    """The address without `/api`, cleaned."""


@cache
def _by_method() -> dict[tuple[str, int], list[tuple[list[str], Operation]]]:
    """Return the operations by method and length of the path; those with a word rather than a key at a place come first."""
    found: dict[tuple[str, int], list[tuple[list[str], Operation]]] = {}
    for operation in operations().values():
        parts = operation.path.split("/")[1:]
        found.setdefault((operation.method, len(parts)), []).append((parts, operation))
    for listed in found.values():
        listed.sort(key=lambda each: [part.startswith("{") for part in each[0]])
    return found


def _segments(raw_path: str) -> list[str]:
    cleaned: list[str] = []
    for part in raw_path.split("/"):
        if part == "..":
            cleaned[-1:] = []
        elif part not in {"", "."}:
            cleaned.append(part)
    return cleaned


def _found(method: str, parts: list[str]) -> tuple[Operation, dict[str, str]] | None:
    for template, operation in _by_method().get((method, len(parts)), ()):
        keys = _keys(template, parts)
        if keys is not None:
            return operation, keys
    return _found_in_part(method, parts)


def _keys(template: list[str], parts: list[str]) -> dict[str, str] | None:
    keys = {}
    for wanted, part in zip(template, parts, strict=True):
        if wanted.startswith("{"):
            keys[wanted.strip("{}")] = unquote(part)
        elif wanted != part:
            return None
    return keys


def _found_in_part(method: str, parts: list[str]) -> tuple[Operation, dict[str, str]] | None:
    """Return the collection of which an address names objects by the first of their keys alone."""
    for operation in operations().values():
        template = operation.path.split("/")[1:]
        missing = len(template) - len(parts)
        if operation.method != method or not 0 < missing < len(operation.own_keys):
            continue
        keys = _keys(template[: len(parts)], parts)
        collection = operations().get(f"{method} {operation.collection}")
        if keys is not None and collection is not None:
            return collection, keys
    return None


METHODS: Final = ("GET", "POST", "PATCH", "DELETE")


def methods_of(raw_path: str) -> list[str]:
    """Return what may be done with an address."""
    parts = _segments(raw_path)[1:]
    return [method for method in METHODS if _found(method, parts)]


def route(method: str, raw_path: str) -> Route:
    """Return what is asked for, or refuse an address that the array does not have."""
    parts = _segments(raw_path)[1:]
    path = "/" + "/".join(parts)
    if path.startswith(CLI):
        return Route(operation_of(f"{method} {path}"), {}, path)
    found = _found("GET" if method == "HEAD" else method, parts)
    if found is not None:
        return Route(found[0], found[1], path)
    if methods_of(raw_path):
        raise Refused(3, "The method is not supported for this path.")
    known = next((n for n in range(len(parts), 0, -1) if any(_found(each, parts[:n]) for each in METHODS)), None)
    refused = unexpected(unquote(parts[known])) if known is not None else Refused(3, "API not found")
    refused.status = 404
    raise refused
