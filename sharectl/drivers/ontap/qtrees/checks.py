"""What a share that is a qtree cannot have, told before the array is reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.drivers.ontap.acls import rules_for
from sharectl.drivers.ontap.exports import render
from sharectl.drivers.ontap.extra_specs import MAXIMUMS, MINIMUMS, STANDARD, Asked
from sharectl.drivers.ontap.qtrees.access import STYLES, options_problem
from sharectl.drivers.ontap.qtrees.names import share_name_problem
from sharectl.drivers.ontap.qtrees.quotas import size_problem
from sharectl.drivers.ontap.qtrees.settings import pool_called
from sharectl.model.checks import ShareProblem
from sharectl.model.quantities import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sharectl.drivers.ontap.exports import Treatment
    from sharectl.drivers.ontap.qtrees.settings import QtreePool
    from sharectl.drivers.ontap.settings import SmbSettings
    from sharectl.model.checks import WantedShare

ASKING: Final = "ontap_qtree"

_OF_VOLUMES: Final[Mapping[str, str]] = {
    "netapp:dedup": "blocks are shared within a whole volume",
    "netapp:compression": "blocks are compressed in a whole volume",
    "netapp:split_clone_on_create": "no share is made from a snapshot there",
    "netapp:hide_snapdir": "it has no snapshots",
    "netapp:snapshot_policy": "snapshots are of a whole volume",
    "netapp:language": "the language is that of its volume",
    "netapp:max_files": "the number of files is that of its volume",
    "netapp:max_files_multiplier": "the number of files is that of its volume",
    "netapp:efficiency_policy": "blocks are shared within a whole volume",
    "netapp:adaptive_qos_policy_group": "the driver limits whole volumes alone",
    **dict.fromkeys(("qos", *MAXIMUMS, *MINIMUMS), "the driver limits whole volumes alone"),
    "netapp_snaplock_type": "only a whole volume is retained",
    "netapp_flexvol_encryption": "only a whole volume is encrypted",
    "netapp_flexgroup": "its volume is a FlexVol",
    "netapp:force_delete_time_minutes": "the array keeps no removed qtree in its recovery queue",
    "ontap:tiering_policy": "tiers are those of a whole volume",
    "ontap:snapshot_reserve_percent": "it has no snapshots",
    "ontap:autosize": "it is as large as its quota",
    "ontap:autosize_maximum_percent": "it is as large as its quota",
}
"""Extra specs of what only whole volumes have, each with the reason."""
_NO_SNAPSHOTS: Final[Mapping[str, str]] = {
    "source_snapshot": "no qtree is made from a snapshot: snapshots are of whole volumes",
    "revert_to": "no qtree is turned back to a snapshot: snapshots are of whole volumes",
}
_LIKE_NOTHING: Final[frozenset[object]] = frozenset({None, False, "none", "off"})


def is_asked_for(extra_specs: Mapping[str, str]) -> bool:
    """Tell whether a share type asks for qtrees."""
    return Asked(extra_specs).flag(ASKING)


def problems(
    share: WantedShare, pools: Sequence[QtreePool], usual: Treatment, smb: SmbSettings | None
) -> Iterator[ShareProblem]:
    """Yield what keeps a share from being a qtree, for one whose type asks for that, or that is in a pool of qtrees."""
    pool = pool_called(share.pool, pools)
    if pool is None and not is_asked_for(share.extra_specs):
        return
    if not pools:
        remedy = "write `qtrees: {POOL: {aggregate: NAME}}` in the backend's config, or remove ontap_qtree"
        yield ShareProblem(("extra_specs", ASKING), "the backend has no pool of qtrees", remedy)
        return
    if (problem := share_name_problem(share.name)) is not None:
        yield ShareProblem(("name",), problem, "give the share a shorter name")
    if share.snapshot_policy is not None:
        summary = "a qtree has no snapshots of its own: those of its volume are of all qtrees in it"
        remedy = f"remove snapshotPolicy, or choose a type without {ASKING}; of its share type: write `snapshotPolicy: {{}}` in the share"
        yield ShareProblem(("snapshot_policy",), summary, remedy)
    yield from size_problems(share.size_bytes, pool, pools)
    yield from extra_spec_problems(share.extra_specs, share.protocol)
    for name, why in _NO_SNAPSHOTS.items():
        if name in share.needs:
            yield ShareProblem((name,), why, "remove it, or choose a type without ontap_qtree")
    hosts, _, _ = rules_for(share.protocol, share.rules, smb)
    rendered = render(hosts, usual)
    active = [rule for rule, status in rendered.statuses.items() if status.status == "active"]
    if (problem := options_problem(active, rendered.rules, usual)) is not None:
        yield ShareProblem(("access",), problem, "remove the options that change nothing from these rules")


def size_problems(size_bytes: int, pool: QtreePool | None, pools: Sequence[QtreePool]) -> Iterator[ShareProblem]:
    """Yield why no qtree of the pool, or of any, has this size."""
    most = pool.volume_bytes if pool is not None else max(each.volume_bytes for each in pools)
    if (problem := size_problem(size_bytes)) is not None:
        yield ShareProblem(("size",), problem, "write a size in MiB or GiB")
    elif size_bytes > most:
        summary = f"a qtree has no room for {format_size(size_bytes)} in a volume of {format_size(most)}"
        remedy = "write a smaller size, a larger `volumeSize` in the backend's config, or a type without ontap_qtree"
        yield ShareProblem(("size",), summary, remedy)


def extra_spec_problems(extra_specs: Mapping[str, str], protocol: str) -> Iterator[ShareProblem]:
    """Yield the extra specs that ask for what a qtree does not have of its own."""
    asked = Asked(extra_specs)
    words = {**_OF_VOLUMES, **{plain: _OF_VOLUMES[key] for plain, key in STANDARD.items() if key in _OF_VOLUMES}}
    for key, why in words.items():
        if key in extra_specs and asked.value(key) not in _LIKE_NOTHING:
            yield _problem(key, f"a qtree has none of its own: {why}", f"remove {key}, or {ASKING}")
    for key in ("thin_provisioning", "netapp:thin_provisioned"):
        if asked.value(key) is False:
            yield _problem(key, "the volumes of qtrees are thin", f"write `<is> True`, or remove {key}")
    style = asked.value("ontap:security_style")
    if style is not None and style != STYLES.get(protocol, style):
        words_of = f"a qtree of a share over {protocol} has the style {STYLES[protocol]}"
        yield _problem("ontap:security_style", words_of, f"write {STYLES[protocol]}, or remove it")


def _problem(key: str, why: str, remedy: str) -> ShareProblem:
    return ShareProblem(("extra_specs", key), f"the share type asks for {key}, and for {ASKING}; {why}", remedy)
