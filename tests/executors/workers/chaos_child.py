"""The command line with gates at the steps of the protocol, and with leases that are short: `python -m tests.executors.workers.chaos_child COMMAND...`."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import sharectl.cli
import sharectl.manifests.execution
import sharectl.workspace.run
from sharectl.executors.workers import broker, claims, offers
from sharectl.state.postgresql.store import PostgresqlStore
from tests.executors.workers.chaos_gates import pass_gate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sharectl.executors.workers.claims import Claim

LOCK_SECONDS = 3.0


def gate(  # noqa: PLR0913 - which method, which point, and when
    owner: type,
    name: str,
    point: str,
    *,
    before: str = "",
    when: Callable[[Any], object] = lambda _: True,
    about: Callable[[Any], str] = lambda _: "-",
) -> None:
    """Put a gate behind a method, for results of which `when` holds, and one `before` it."""
    method = getattr(owner, name)

    def gated(*arguments: object, **named: object) -> object:
        if before:
            pass_gate(before)
        result = method(*arguments, **named)
        if when(result):
            pass_gate(point, about(result))
        return result

    setattr(owner, name, gated)


def subject(made: Sequence[Claim]) -> str:
    """Return the ids of the resources that claimed calls are about."""
    found = [re.search(rb'"resource_id":"([^"]+)"', claim.body) for claim in made]
    return ",".join(["-", *(each[1].decode() for each in found if each is not None)])


def main() -> None:
    """Run the command."""
    from kombu.transport.pyamqp import Message  # noqa: PLC0415 - beside the rest of what is patched

    setattr(sharectl.workspace.run, "LEASE_SECONDS", LOCK_SECONDS)  # noqa: B010 - mypy refuses to see a constant replaced
    setattr(sharectl.manifests.execution, "_SHORTEST_LEASE_SECONDS", 0.0)  # noqa: B010 - as above
    gate(offers.Offers, "offer", "offered")
    gate(broker.BrokerHints, "_publish", "hinted")
    gate(offers.Offers, "look", "answered", when=lambda seen: any(each.outcome is not None for each in seen))
    gate(PostgresqlStore, "commit", "recorded", before="recording")
    gate(
        claims.PostgresClaims,
        "claim_all",
        "claimed",
        when=lambda made: any(claim.body for claim in made),
        about=subject,
    )
    gate(claims.PostgresClaims, "finish_all", "finished")
    gate(claims.PostgresClaims, "renew", "renewed", when=bool)
    gate(Message, "ack", "acknowledged")
    sys.exit(sharectl.cli.main(sys.argv[1:]))


if __name__ == "__main__":
    main()
