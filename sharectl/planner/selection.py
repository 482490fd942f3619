"""Which addresses a plan is about, and what is due at them: manifests and rows are compared once, for all parts of a plan."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from sharectl.manifests.dependencies import dependencies_of
from sharectl.model.diagnostics import counted, did_you_mean, error, listed, one_of, warning
from sharectl.model.frozen import NamedTuple
from sharectl.model.kinds import MANAGED_KINDS, Kind, address_of, is_of, name_of, resource_of
from sharectl.model.specs import Replacement
from sharectl.planner.records import DEPOSED_MARK, outdated_policies
from sharectl.state.rows import share_like, spec_object_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sharectl.manifests.desired import Desired
    from sharectl.model.codec import Like
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.records import Record, StateView
    from sharectl.model.specs import ShareSpec
    from sharectl.planner.draft import Draft
    from sharectl.planner.exports import Exports
    from sharectl.planner.observed import Deviation
    from sharectl.planner.options import PlanOptions


class Difference(NamedTuple):
    """A share or snapshot whose row is not as its manifest says.

    `wanted` is the spec in the manifest of a share, set where it is not the one in the row; `recorded` is that one, set besides where
    the access rules stay as they are. Both stand for all that differ from them in their names alone.
    """

    record: Record
    wanted: Like[ShareSpec] | None = None
    recorded: Like[ShareSpec] | None = None


class Comparison(NamedTuple):
    """The addresses of manifests without a row, what differs, by address, and the addresses of rows without a manifest."""

    missing: Sequence[Address]
    different: Mapping[Address, Difference]
    without_manifest: Sequence[Address]


def compare(desired: Desired, records: Mapping[Address, Record], *, destroy: bool = False) -> Comparison:
    """Compare the digests of manifests with those of rows (see `Record.is_applied`); where all is to be destroyed, no manifest counts.

    Costs two look-ups for each resource, and more only for those that differ.
    """
    if destroy:
        return Comparison((), {}, list(records))
    digests, row_of = desired.digests, records.get
    missing: list[Address] = []
    different: dict[Address, Difference] = {}
    shares: dict[Address, Like[ShareSpec] | None] = {}
    for address, digest in digests.items():
        record = row_of(address)
        if record is None:
            missing.append(address)
        elif (spec_digest := record.spec_digest) is None or spec_digest + record.access_digest != digest:
            if record.kind != Kind.SHARE or record.has_spec(digest):
                different[address] = Difference(record)
            else:
                shares[address] = share_like(record) if record.has_access(digest) else None
    for address, wanted in desired.likes(shares):
        different[address] = Difference(records[address], wanted, shares[address])
    others = (address for address in records if address not in digests)
    count = len(records) - (len(digests) - len(missing))  # often backends alone, which come first: nobody looks further
    return Comparison(missing, different, list(islice(others, count)))


def left_alone(draft: Draft, removed: Iterable[Address]) -> frozenset[Address]:
    """Return which of the resources without a manifest the project's own manifests describe, and say that they stay."""
    elsewhere = draft.options.elsewhere
    if elsewhere is None:
        return frozenset()
    kept = sorted(address for address in removed if elsewhere.describes(address))
    if kept:
        one = len(kept) == 1
        resources = "1 resource is" if one else f"{len(kept)} resources are"
        removing = "to remove one, delete its manifest and plan without -f"
        if elsewhere.is_whole:
            why = "the project's own manifests describe"
            remedy = f"without -f all manifests of the project are planned; {removing}"
        else:
            why = "the project's own manifests, which have mistakes, may describe"
            remedy = f"`sharectl validate` names the mistakes; {removing}"
        draft.tell(
            warning,
            "plan.not-named",
            f"{resources} left alone: no file named with -f describes {'it' if one else 'them'}, and {why} {'it' if one else 'them'}",
            detail=f"{listed(kept)}.",
            remedy=remedy,
        )
    return frozenset(kept)


def selector(draft: Draft) -> Callable[[Address], bool]:
    """Return whether an address is planned, as a function. A resource that is being renamed answers to both of its names."""
    desired, records, options = draft.desired, draft.records, draft.options
    renamed = {former: address for address, former in draft.moved_from.items()}
    targets = {renamed.get(owner, owner) for owner in map(resource_of, options.targets)}
    wanted = _closure(draft, targets) if targets else None
    excluded = {renamed.get(owner, owner) for owner in map(resource_of, options.excludes)}

    def selects(address: Address) -> bool:
        address = address.partition(DEPOSED_MARK)[0]
        return (
            (wanted is None or address in wanted)
            and address not in excluded
            and (not options.labels or _has_labels(desired, records, address, options.labels))
        )

    return selects


def set_named(desired: Desired, address: Address, code: str, remedy: str) -> Diagnostic | None:
    """Return the error about a ShareSet that is named as a resource, where there is one; `{share}` in the remedy is its first share."""
    shares = desired.shares_of_set(address) if is_of(Kind.SHARE_SET, address) else None
    if not shares:
        return None
    return error(
        code,
        f"{address} is not a resource but a way to write {counted(len(shares), 'share')}",
        detail=f"the first is {shares[0]}.",
        remedy=remedy.format(share=shares[0]),
        address=address,
    )


def unknown_address(desired: Desired, address: Address, nearest: Callable[[], str]) -> Diagnostic:
    """Return the error about an address that a plan was asked for and that is nowhere; `nearest` finds what may have been meant."""
    return set_named(desired, address, "plan.not-planned", "name its shares, such as {share}") or error(
        "plan.unknown-address",
        f"there is no {address}, neither in the manifests nor in the state",
        remedy=nearest() or "`sharectl state list` names what there is",
        address=address,
    )


def tell_unknown_addresses(draft: Draft) -> None:
    """Tell of each address and backend that the user named and that neither the manifests nor the state know."""
    desired, records, options = draft.desired, draft.records, draft.options
    named = options.targets | options.excludes | options.replaces | options.override_protection | options.imports.keys()
    for address in sorted(named):
        owner = resource_of(address)
        if (
            owner not in desired.digests
            and owner not in records
            and not (is_of(Kind.BACKEND, owner) and name_of(owner) in desired.backends)
        ):
            if desired.describes(owner):
                draft.tell(
                    error,
                    "plan.not-planned",
                    f"{address} is never planned by itself: backends hold nothing of it",
                    remedy="name the shares that use it",
                    address=address,
                )
                continue
            known = [*desired.digests, *records]
            draft.diagnostics.append(unknown_address(desired, address, partial(did_you_mean, address, known)))
        elif address in options.replaces and not (is_of(Kind.SHARE, address) and address in desired.digests):
            draft.tell(
                error,
                "plan.not-replaceable",
                f"{address} cannot be replaced: it is not a share with a manifest",
                remedy="name a share; what has no manifest is removed, not replaced",
                address=address,
            )
    for backend in sorted(
        (options.backends | options.allow_unreadable | options.allow_shared) - desired.backends.keys()
    ):
        draft.tell(
            error,
            "plan.unknown-backend",
            f"there is no backend named {backend}",
            remedy=one_of(backend, sorted(desired.backends)),
            address=address_of(Kind.BACKEND, backend),
        )
    _tell_unknown_labels(draft)


def _tell_unknown_labels(draft: Draft) -> None:
    """Warn where nothing has the labels by which the plan is narrowed: it would be empty, as if all were in order."""
    desired, records, labels = draft.desired, draft.records, draft.options.labels
    if labels and not any(_has_labels(desired, records, each, labels) for each in (*desired.digests, *records)):
        told = ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))
        summary = f"nothing has the {'label' if len(labels) == 1 else 'labels'} {told}, neither in the manifests nor in the state"
        draft.tell(warning, "plan.unknown-label", summary, remedy="`sharectl list` shows the labels of shares")


def _closure(draft: Draft, targets: set[Address]) -> set[Address]:
    """Return the targets and all that they need which is not there yet, or not under that name."""
    desired = draft.desired
    wanted: set[Address] = set()
    open_addresses = list(targets)
    while open_addresses:
        address = open_addresses.pop()
        if address in wanted:
            continue
        wanted.add(address)
        if address in desired.digests:
            open_addresses.extend(
                needed
                for needed in _needed(desired, address)
                if needed in desired.digests and (needed not in draft.records or needed in draft.moved_from)
            )
    return wanted


def _needed(desired: Desired, address: Address) -> Iterator[Address]:
    """Yield what the resource is made from, and the snapshot that a share is to be reverted to."""
    yield from dependencies_of(desired, address)
    if is_of(Kind.SHARE, address) and (revert_to := desired.share(address).revert_to) is not None:
        yield address_of(Kind.SNAPSHOT, revert_to.snapshot)


def _has_labels(
    desired: Desired, records: Mapping[Address, Record], address: Address, labels: Mapping[str, str]
) -> bool:
    if address in desired.digests:
        found = desired.labels_of(address)
    elif address in records:
        found = spec_object_of(records[address]).get("labels", {})
    else:
        found = {}
    return all(found.get(key) == value for key, value in labels.items())


class Due(NamedTuple):
    """The shares and snapshots of a plan that something is to be done about, each sorted; `unchanged` counts all others with a manifest."""

    new: list[Address]
    changed: list[Address]
    removed: list[Address]
    unchanged: int


def find_due(draft: Draft) -> Due:
    """Return what is not as its manifest says, or not as its row says, or is to be replaced."""
    records, options, compared = draft.records, draft.options, draft.comparison
    digests = {} if options.destroy else draft.desired.digests
    missing, changed = set(compared.missing), set(compared.different)
    outdated = () if options.destroy else outdated_policies(draft.desired, records)
    for others in (draft.deviations, draft.export_changes, outdated, options.replaces):
        changed.update(address for address in others if address in digests and address in records)

    def is_chosen(address: Address) -> bool:
        record = records.get(address)
        return draft.chooses(address, None if record is None else record.backend or "")

    def chosen(addresses: Iterable[Address]) -> list[Address]:
        return sorted(filter(is_chosen, addresses) if options.narrows else addresses)

    removed = [
        address
        for address in sorted(compared.without_manifest)
        if records[address].kind in MANAGED_KINDS and is_chosen(address)
    ]
    kept = left_alone(draft, (address for address in removed if address not in draft.desired.digests))
    return Due(
        new=[address for address in chosen(missing) if address not in options.imports],
        changed=chosen(changed),
        removed=[address for address in removed if address not in kept],
        unchanged=len(digests) - len(missing) - len(changed),
    )


def is_quiet(draft: Draft, due: Due) -> bool:
    """Tell whether nothing at all is to be done, and no backend, share server or import is to be looked at more closely."""
    return not (
        due.new
        or due.changed
        or due.removed
        or draft.steps
        or draft.refusals
        or draft.options.imports
        or any(spec.share_servers for spec in draft.desired.backends.values())
        or draft.others.keys() - {Kind.BACKEND}
        or {*draft.others.get(Kind.BACKEND, ())} ^ {address_of(Kind.BACKEND, name) for name in draft.desired.backends}
        or draft.held_by_backend.keys() - draft.desired.backends.keys()
    )


def addresses_with_rules(  # noqa: PLR0913, PLR0917 - all that a plan is made of
    desired: Desired,
    state: StateView,
    compared: Comparison,
    deviations: Mapping[Address, Deviation],
    options: PlanOptions,
    exports: Exports,
) -> set[Address]:
    """Return the shares whose recorded access rules the planner will want to see: what is due, unless its access stays as it is."""
    records = state.records
    shares = {address for address in compared.without_manifest if records[address].kind == Kind.SHARE}
    if options.destroy:
        return shares
    wanted = {
        address
        for address, different in compared.different.items()
        if different.record.kind == Kind.SHARE and not _keeps_access(different)
    }
    moved = {former for formers in desired.moves.values() for former in formers if former in records}
    drifted = {address for address in deviations if records[address].kind == Kind.SHARE}
    return wanted | shares | moved | options.replaces | drifted | exports.changes.keys()


def _keeps_access(different: Difference) -> bool:
    """Tell whether a share stays, and its export keeps rules, name and protocols: with others, who has access changes with the same rules."""
    if different.wanted is None or different.recorded is None:
        return False
    wanted, recorded = different.wanted.example, different.recorded.example
    return (
        wanted.replacement == Replacement.REFUSE
        and wanted.export_name == recorded.export_name
        and wanted.protocol == recorded.protocol
    )
