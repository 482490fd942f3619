"""The one JSON text of a value, and the digest that marks equal content."""

from __future__ import annotations

from _blake2 import blake2b  # hashlib, which has it from here, loads OpenSSL besides: a fiftieth of a short command
from typing import Any, Final

__all__ = ["DIGEST_SIZE_BYTES", "JsonObject", "blake2b", "canonical_json", "digest_of"]

DIGEST_SIZE_BYTES: Final = 16


JsonObject = dict[str, Any]


def canonical_json(plain: object) -> bytes:
    """Return the one JSON text of `plain`: sorted keys, no white space."""
    import orjson  # noqa: PLC0415 - who makes digests alone, as the linux driver's agent may, has the standard library alone

    return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)


def digest_of(data: bytes) -> bytes:
    """Return the 16-byte BLAKE2b digest that marks equal content."""
    return blake2b(data, digest_size=DIGEST_SIZE_BYTES).digest()
