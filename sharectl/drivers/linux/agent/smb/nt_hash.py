"""The form in which an SMB server keeps a password: MD4 of its UTF-16 text, as MS-NLMP (3.3.1, NTOWFv1) defines it."""

from __future__ import annotations

import struct
from typing import Final

_State = tuple[int, int, int, int]
_MASK: Final = 0xFFFFFFFF
_BLOCK_BYTES: Final = 64
_START: Final = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
# RFC 1320, section 3.4: per round the constant, the order of the words, and the rotations.
_ROUNDS: Final = (
    (0x00000000, tuple(range(16)), (3, 7, 11, 19)),
    (0x5A827999, (0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), (3, 5, 9, 13)),
    (0x6ED9EBA1, (0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15), (3, 9, 11, 15)),
)


def nt_hash(password: str) -> str:
    """Return the hash as `pdbedit -L -w` prints it: 32 upper-case hexadecimal digits.

    OpenSSL 3 offers MD4 only where the administrator enabled its legacy provider, so it is computed here. It protects
    nothing by itself: Samba keeps the same value in its database, which root alone can read.
    """
    return md4(password.encode("utf-16-le")).hex().upper()


def md4(data: bytes) -> bytes:
    """Return the MD4 digest (RFC 1320) of `data`, 16 bytes."""
    padding = b"\x80" + b"\0" * ((55 - len(data)) % _BLOCK_BYTES)
    padded = data + padding + struct.pack("<Q", len(data) * 8)
    state = _START
    for offset in range(0, len(padded), _BLOCK_BYTES):
        words = struct.unpack_from("<16I", padded, offset)
        mixed = _mix(state, words)
        state = _sum(state, mixed)
    return struct.pack("<4I", *state)


def _sum(one: _State, other: _State) -> _State:
    a, b, c, d = ((old + new) & _MASK for old, new in zip(one, other, strict=True))
    return a, b, c, d


def _mix(state: _State, words: tuple[int, ...]) -> _State:
    a, b, c, d = state
    for number, (constant, order, rotations) in enumerate(_ROUNDS):
        for step, index in enumerate(order):
            if number == 0:
                chosen = (b & c) | (~b & d)
            elif number == 1:
                chosen = (b & c) | (b & d) | (c & d)
            else:
                chosen = b ^ c ^ d
            total = (a + chosen + words[index] + constant) & _MASK
            bits = rotations[step % 4]
            a, b, c, d = d, ((total << bits) | (total >> (32 - bits))) & _MASK, b, c
    return a, b, c, d
