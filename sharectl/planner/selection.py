"""Which addresses a plan is about: targets with what they need, labels, backends, exclusions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.manifests.dependencies import dependencies_of
from sharectl.model.diagnostics import did_you_mean, error
from sharectl.model.kinds import Kind, address_of, is_of, name_of, resource_of
from sharectl.planner.records import DEPOSED_MARK
from sharectl.state.rows import spec_object_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sharectl.manifests.desired import Desired
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.records import Record
    from sharectl.planner.draft import Draft
    from sharectl.planner.options import PlanOptions


def selector(draft: Draft) -> Callable[[Address], bool] | None:
    """Return whether an address is planned, as a function; None where all of them are (the common case costs nothing).

    A resource that is being renamed answers to both of its names.
    """
    desired, records, options = draft.desired, draft.records, draft.options
    if not options.narrows:
        return None
    renamed = {former: address for address, former in draft.moved_from.items()}
    targets = {renamed.get(owner, owner) for owner in map(_owner, options.targets)}
    wanted = _closure(draft, targets) if targets else None
    excluded = {renamed.get(owner, owner) for owner in map(_owner, options.excludes)}

    def selects(address: Address) -> bool:
        address = _undeposed(address)
        return (
            (wanted is None or address in wanted)
            and address not in excluded
            and (not options.labels or _has_labels(desired, records, address, options.labels))
        )

    return selects


def move_selector(draft: Draft) -> Callable[[Address], bool] | None:
    """Return whether the rename to an address is planned, as a function; None where all are."""
    selects = selector(draft)
    if selects is None:
        return None
    backends = draft.options.backends
    renamed = draft.moved_from

    def selects_move(address: Address) -> bool:
        if address not in renamed:
            return True  # an old share is set aside, which its replacement needs
        record = draft.state.records[renamed[address]]
        return selects(address) and (not backends or record.backend in backends)

    return selects_move


def unknown_addresses(
    desired: Desired, records: Mapping[Address, Record], options: PlanOptions
) -> tuple[Diagnostic, ...]:
    """Return an error for each address and backend that the user named and that neither the manifests nor the state know."""
    diagnostics = []
    named = options.targets | options.excludes | options.replaces | options.override_protection | options.imports.keys()
    for address in sorted(named):
        owner = _owner(address)
        if owner not in desired.digests and owner not in records and _backend_name(owner) not in desired.backends:
            known = [*desired.digests, *records]
            diagnostics.append(
                error(
                    "plan.unknown-address",
                    f"there is no {address}, neither in the manifests nor in the state",
                    remedy=did_you_mean(address, known) or "`sharectl state list` names what there is",
                    address=address,
                )
            )
        elif address in options.replaces and not (is_of(Kind.SHARE, address) and address in desired.digests):
            diagnostics.append(
                error(
                    "plan.not-replaceable",
                    f"{address} cannot be replaced: it is no share with a manifest",
                    remedy="name a share; what has no manifest is removed, not replaced",
                    address=address,
                )
            )
    diagnostics += [
        error(
            "plan.unknown-backend",
            f"there is no backend named {backend}",
            remedy=did_you_mean(backend, sorted(desired.backends)) or "name one that has a Backend manifest",
            address=address_of(Kind.BACKEND, backend),
        )
        for backend in sorted(
            (options.backends | options.allow_unreadable | options.allow_shared) - desired.backends.keys()
        )
    ]
    return tuple(diagnostics)


def _backend_name(address: Address) -> str:
    return name_of(address) if is_of(Kind.BACKEND, address) else ""


def _owner(address: Address) -> Address:
    """Return the share of an access rule, and any other address as it is."""
    return resource_of(address)


def _undeposed(address: Address) -> Address:
    return address.partition(DEPOSED_MARK)[0]


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
    """Yield what the resource is made from, and the snapshot that a share is to be turned back to."""
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
