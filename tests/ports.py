"""Ports for servers that are told theirs when they start."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress
from random import SystemRandom

_RANGE = range(15_000, 32_000)
"""Below those from which the kernel gives each connection one of its own: no client takes a server's while that is started, or started again."""


def free_ports(count: int) -> list[int]:
    """Return so many ports of 127.0.0.1 that nobody listens on, or as many as there are."""
    found: list[int] = []
    with ExitStack() as bound:
        for port in SystemRandom().sample(_RANGE, len(_RANGE)):
            if len(found) == count:
                break
            with suppress(OSError):
                bound.enter_context(socket.create_server(("127.0.0.1", port)))
                found.append(port)
    return found
