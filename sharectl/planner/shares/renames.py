"""Renames that nobody declared: a share that goes and one that comes, alike but for the name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.access import access_digest
from sharectl.model.diagnostics import warning
from sharectl.model.kinds import Kind, is_of, name_of
from sharectl.model.verbs import Verb
from sharectl.planner.records import DEPOSED_MARK
from sharectl.state.rows import spec_object_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.planner.draft import Draft

_REMOVALS: Final = (Verb.DELETE_SHARE, Verb.TRASH_SHARE, Verb.FORGET)
_MOST_NAMED: Final = 20

Likeness = tuple[object, ...]
"""What two shares have in common that are one: size, protocol, type, network, and who may reach them."""


def undeclared_renames(draft: Draft) -> Iterator[Diagnostic]:
    """Yield a warning for each new share that is like one whose manifest is gone: as it stands, the data stays behind."""
    gone: dict[Likeness, list[Address]] = {}
    removed = {
        step.address for step in draft.steps.values() if step.verb in _REMOVALS and DEPOSED_MARK not in step.address
    }
    for address in sorted(removed, reverse=True):
        if is_of(Kind.SHARE, address) and address in draft.records and address not in draft.desired.digests:
            gone.setdefault(_recorded_likeness(draft, address), []).append(address)
    named = 0
    for address in sorted(draft.new if gone else ()):
        if named == _MOST_NAMED or not draft.has(Verb.CREATE_SHARE, address) or address in draft.records:
            continue
        alike = gone.get(_wanted_likeness(draft, address))
        if alike:
            named += 1
            yield _warning(draft, address, alike.pop())


def _recorded_likeness(draft: Draft, address: Address) -> Likeness:
    record = draft.records[address]
    spec = spec_object_of(record)
    fields = (spec.get(name) for name in ("protocol", "share_type", "share_network"))
    return (record.size_bytes, *fields, record.access_digest)


def _wanted_likeness(draft: Draft, address: Address) -> Likeness:
    spec = draft.desired.share(address)
    rules = access_digest(draft.desired.access(address))
    return (spec.size_bytes, str(spec.protocol), spec.share_type, spec.share_network, rules)


def _warning(draft: Draft, address: Address, former: Address) -> Diagnostic:
    forgets = draft.has(Verb.FORGET, former)
    fate = "is forgotten and stays on its backend, with its data" if forgets else "is removed, with its data"
    return warning(
        "share.undeclared-rename",
        f"{address} is like {former}, whose manifest is gone: same size, protocol, type and access",
        detail=f"as it stands, {former} {fate}, and {address} is made empty.",
        remedy=f"if it is the same share, say so: `metadata: {{annotations: {{sharectl/moved-from: {name_of(former)}}}}}`; then it keeps its data",
        address=address,
        source=draft.desired.source(address),
    )
