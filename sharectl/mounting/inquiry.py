"""Who may reach what, asked of the state, with the place in the manifests of each rule that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.access import ANYBODY, AccessType
from sharectl.model.diagnostics import DiagnosticError, did_you_mean, error
from sharectl.model.frozen import dataclass, field
from sharectl.model.kinds import Kind, rule_address
from sharectl.mounting.who import beginnings_within, concerns, names_around, refused_rules, verdicts
from sharectl.planner.records import DEPOSED_MARK
from sharectl.state.rows import share_like
from sharectl.workspace.freshness import Freshness, freshness_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sharectl.manifests.desired import Desired
    from sharectl.model.diagnostics import Source
    from sharectl.model.kinds import Address
    from sharectl.model.records import OperationRecord, Record, RuleRecord
    from sharectl.mounting.who import Subject, Verdict
    from sharectl.state.contract import StateReader, StateStore

_NAMED: Final = (AccessType.USER, AccessType.GROUP, AccessType.GUEST)


@dataclass(frozen=True, slots=True)
class WhoView:
    """What the state says that a subject may reach, by the address of the share.

    `refused` are rules about it that are not in force. `unresolved` are open operations on the shares: their access may be another.
    `sources` and `lists` have the place of a rule, and the ClientList in which its client stands, by the rule's address; a rule without a
    place is in no manifest that could be read. `unapplied` are shares whose manifests want other access.
    """

    subject: Subject
    verdicts: tuple[Verdict, ...]
    refused: tuple[tuple[Address, RuleRecord], ...] = ()
    unresolved: tuple[OperationRecord, ...] = ()
    sources: Mapping[Address, Source] = field(default_factory=dict)
    lists: Mapping[Address, Address] = field(default_factory=dict)
    unapplied: tuple[Address, ...] = ()
    freshness: Freshness = Freshness()


@dataclass(frozen=True, slots=True)
class Found:
    """What the state has about a subject: the shares with a rule about it, their rows, and all of their rules."""

    records: Mapping[Address, Record]
    rules: Mapping[Address, tuple[RuleRecord, ...]]
    unresolved: tuple[OperationRecord, ...]
    freshness: Freshness


def find_access(store: StateStore, subject: Subject) -> Found:
    """Look the subject up. Raises DiagnosticError where nobody is named so and somebody nearly so."""
    with store.read() as reader:
        shares = shares_about(reader, subject)
        if not shares:
            _refuse_slip(reader, subject)
        view = reader.view(shares)
        rules = reader.rules(shares)
    about = {address: found for address, found in rules.items() if any(concerns(subject, each.rule) for each in found)}
    records = {
        address: record
        for address, record in view.records.items()
        if address in about and record.kind == Kind.SHARE and DEPOSED_MARK not in address
    }
    unresolved = tuple(each for each in view.operations if each.address in records)
    return Found(records, {address: about[address] for address in records}, unresolved, freshness_of(store))


def shares_about(reader: StateReader, subject: Subject) -> list[Address]:
    """Return the shares that have a rule about the subject, and some that have not."""
    found: set[Address] = set()
    if subject.access_type is AccessType.IP:
        for span in subject.spans:
            found.update(reader.shares_of_clients(AccessType.IP, names_around(span), beginnings_within(span)))
        return sorted(found)
    found.update(reader.shares_of_clients(subject.access_type, _names(reader, subject.access_type, subject.name)))
    if subject.access_type is AccessType.USER:
        found.update(reader.shares_of_clients(AccessType.USER, (ANYBODY,)))
        found.update(reader.shares_of_clients(AccessType.GUEST, (ANYBODY,)))
        for group in subject.groups:
            found.update(reader.shares_of_clients(AccessType.GROUP, _names(reader, AccessType.GROUP, group)))
    return sorted(found)


def _names(reader: StateReader, access_type: str, name: str) -> Sequence[str]:
    """Return how rules may write a name; the case of letters beyond ASCII is not looked up, but compared."""
    if name.isascii():
        return (name,)
    return [other for other in reader.client_names(access_type) if other.casefold() == name.casefold()]


def _refuse_slip(reader: StateReader, subject: Subject) -> None:
    if subject.access_type not in _NAMED or subject.name == ANYBODY:
        return
    names = {name.casefold(): name for name in reader.client_names(subject.access_type)}
    folded = did_you_mean(subject.name.casefold(), list(names))
    near = next((f'did you mean "{name}"?' for key, name in names.items() if f'"{key}"' in folded), "")
    if near:
        summary = f"no access rule in the state names the {subject.access_type} {subject.name}"
        raise DiagnosticError(error("who.unknown", summary, remedy=near))


def judged(subject: Subject, found: Found, desired: Desired | None) -> WhoView:
    """Return what follows from the rules, with their places in the manifests, where those were read."""
    judgements: list[Verdict] = []
    for address, record in sorted(found.records.items()):
        active = [each.rule for each in found.rules[address] if each.status == "active"]
        judgements += verdicts(subject, address, share_like(record).example.protocol, active)
    sources, lists = ({}, {}) if desired is None else _places(judgements, desired)
    return WhoView(
        subject,
        tuple(judgements),
        tuple(refused_rules(subject, found.rules)),
        found.unresolved,
        sources,
        lists,
        () if desired is None else tuple(_unapplied(found.records, desired)),
        found.freshness,
    )


def _places(judgements: Iterable[Verdict], desired: Desired) -> tuple[dict[Address, Source], dict[Address, Address]]:
    sources: dict[Address, Source] = {}
    lists: dict[Address, Address] = {}
    for each in judgements:
        if each.rule is None or each.address not in desired.digests:
            continue
        address = rule_address(each.address, each.rule.key)
        client_list = desired.clients_of_lists(each.address).get(each.rule.key)
        if client_list is not None:
            lists[address] = client_list
        try:
            sources[address] = desired.rule_source(address)
        except KeyError:
            continue  # it is in force, and not in the manifests any more
    return sources, lists


def _unapplied(records: Mapping[Address, Record], desired: Desired) -> Iterable[Address]:
    for address, record in sorted(records.items()):
        digest = desired.digests.get(address)
        if digest is not None and not record.has_access(digest):
            yield address
