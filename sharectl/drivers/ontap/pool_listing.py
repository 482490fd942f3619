"""Reading the pools of a backend from the array, in a few calls, with a login of the cluster or of one SVM."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sharectl.drivers.base import DriverError
from sharectl.drivers.ontap.errors import ArrayError
from sharectl.drivers.ontap.pools import (
    AGGREGATE_FIELDS,
    Aggregate,
    Facts,
    FlexGroupPool,
    aggregate_pool,
    aggregates_of,
    flexgroup_pool,
    promised_on,
    svm_aggregates,
)
from sharectl.drivers.ontap.qtrees.names import pool_of_container
from sharectl.drivers.ontap.qtrees.pools import is_of_a_share, promised_by_quotas, qtree_pools
from sharectl.drivers.ontap.unknown_names import unknown
from sharectl.model.frozen import dataclass
from sharectl.model.observed import Hindrance

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sharectl.drivers.ontap.client import Array
    from sharectl.drivers.ontap.pools import Promised
    from sharectl.drivers.ontap.qtrees.settings import QtreePool
    from sharectl.model.canonical import JsonObject
    from sharectl.model.observed import PoolReport

VOLUME_FIELDS: Final = ("uuid", "size", "comment", "aggregates.name")
_ROOT_AGGREGATE: Final = re.compile(r"aggr0(_.*)?")


@dataclass(frozen=True, slots=True)
class PoolChoice:
    """Which aggregates are pools: those whose names `pattern` matches whole, of the SVM where one is named; the sets for FlexGroups, and the pools of qtrees."""

    svm: str | None
    pattern: str = ".*"
    flexgroups: tuple[FlexGroupPool, ...] = ()
    cluster_name: str = ""
    qtrees: tuple[QtreePool, ...] = ()


def list_pools(array: Array, choice: PoolChoice, *, reverts: bool = True) -> list[PoolReport]:
    """Return all pools with their capacity now. Raises DriverError where two have one name."""
    aggregates, is_cluster_login = _aggregates(array, choice)
    facts = Facts(
        is_cluster_login=is_cluster_login,
        encrypts_volumes=_encrypts(array),
        reverts=reverts,
        cluster_name=choice.cluster_name,
        promised=_promised(array, choice.svm),
    )
    chosen = [each for each in aggregates if re.fullmatch(choice.pattern, each.name)]
    named = (
        *(("flexGroups", each.name) for each in choice.flexgroups),
        *(("qtrees", each.name) for each in choice.qtrees),
    )
    for setting, name in named:
        if any(each.name == name for each in chosen):
            message = f"{array.name}: {setting} has a pool {name!r}, and so is an aggregate called; give the pool another name"
            raise DriverError(message)
    return [
        *(aggregate_pool(each, facts) for each in chosen),
        *(flexgroup_pool(each, aggregates, facts) for each in choice.flexgroups),
        *qtree_pools(choice.qtrees, aggregates, facts),
    ]


def _promised(array: Array, svm: str | None) -> dict[str, Promised]:
    volumes = _volumes(array, svm)
    plain = [each for each in volumes if pool_of_container(each.get("comment")) is None]
    return promised_by_quotas(array, svm, volumes, promised_on(plain, is_of_a_share))


def choice_hindrances(array: Array, choice: PoolChoice) -> Iterator[Hindrance]:
    """Yield what the choice of aggregates names and the array does not have; the array is asked only where something is chosen."""
    if choice.pattern == ".*" and not choice.flexgroups and not choice.qtrees:
        return
    names = [each.name for each in _aggregates(array, choice)[0]]
    for pool in choice.flexgroups:
        for name in pool.aggregates:
            if name not in names:
                yield Hindrance(*unknown(f"flexGroups.{pool.name}.aggregates", "aggregate", name, names))
    for each in choice.qtrees:
        if each.aggregate not in names:
            yield Hindrance(*unknown(f"qtrees.{each.name}.aggregate", "aggregate", each.aggregate, names))
    if not any(re.fullmatch(choice.pattern, name) for name in names):
        summary = f"no aggregate is called as `aggregates` of the backend says, {choice.pattern!r}; there are {', '.join(sorted(names)) or 'none'}"
        yield Hindrance(summary, "correct the expression: it has to match whole names")


def _aggregates(array: Array, choice: PoolChoice) -> tuple[tuple[Aggregate, ...], bool]:
    assigned = None if choice.svm is None else _svm(array, choice.svm)
    try:
        records = array.records("storage/aggregates", fields=AGGREGATE_FIELDS)
    except ArrayError as problem:
        if problem.kind != "auth" or assigned is None:
            raise
        return svm_aggregates(assigned), False
    disks = _disks(array)
    names = None if assigned is None else {each["name"] for each in assigned.get("aggregates", ())}
    return aggregates_of([each for each in records if _may_hold_shares(each["name"], names)], disks), True


def _disks(array: Array) -> list[JsonObject]:
    try:
        return array.records("storage/disks", fields=("effective_type", "aggregates.name"))
    except ArrayError as problem:
        if problem.kind != "auth":
            raise
        return []


def _may_hold_shares(name: str, assigned: Collection[str] | None) -> bool:
    return _ROOT_AGGREGATE.fullmatch(name) is None if assigned is None else name in assigned


def _svm(array: Array, svm: str) -> JsonObject:
    found = array.records(
        "svm/svms", svm=svm, query={"name": svm}, fields=("aggregates.name", "aggregates.available_size")
    )
    return found[0] if found else {}


def _volumes(array: Array, svm: str | None) -> list[JsonObject]:
    query = {"is_svm_root": False}
    return array.records("storage/volumes", svm=svm, query=query, fields=VOLUME_FIELDS)


def _encrypts(array: Array) -> bool:
    """Tell whether a key manager is there, by which volumes can be encrypted; a login that may not know is told no."""
    try:
        return bool(array.records("security/key-managers"))
    except ArrayError as problem:
        if problem.kind == "auth":
            return False
        raise
