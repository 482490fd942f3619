"""What a ShareSet comes to: the names of its shares, and the Share document that each would be if it were written out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.manifests.defaults import NULLABLE
from sharectl.manifests.names import MOVED_FROM, is_name
from sharectl.manifests.places import SHARES, TEMPLATE
from sharectl.model.kinds import API_VERSION, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.manifests.defaults import Applied, Defaults
    from sharectl.manifests.findings import Checker, Path
    from sharectl.manifests.reader import Document
    from sharectl.manifests.validation import SoundDocument
    from sharectl.model.canonical import JsonObject

MOST_SHARES: Final = 100_000
IN_METADATA: Final = frozenset({"labels", "annotations"})
"""What an entry holds that is in the metadata of a share; all else is in its spec."""

_RANGE: Final = re.compile(r"([a-z0-9._-]*)\[([0-9,-]*)\]([a-z0-9._-]*)")
_PART: Final = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
_KEY_IN_TEXT: Final = re.compile(r"^[ \t]+[\"']?([a-z0-9._-]+(?:\[[0-9,-]+\][a-z0-9._-]*)?)[\"']?[ \t]*:", re.MULTILINE)


class RangeError(ValueError):
    """A name with a range that stands for no names; `remedy` says what to write."""

    def __init__(self, summary: str, remedy: str) -> None:
        """Say what is wrong."""
        super().__init__(summary)
        self.remedy = remedy


def is_range(key: str) -> bool:
    """Tell whether a key of `shares` stands for several names."""
    return "[" in key


def names_of(key: str) -> list[str]:
    """Return the names that a key of `shares` stands for: itself, or for `scratch-[01-03,07]` each number in its place.

    Raises RangeError.
    """
    if not is_range(key):
        return [key]
    found = _RANGE.fullmatch(key)
    parts = [] if found is None else [_PART.fullmatch(part) for part in found[2].split(",")]
    if found is None or None in parts:
        message = f"{key[:80]!r} is no range of names"
        raise RangeError(
            message, "write numbers in one pair of brackets, such as scratch-[01-40] or scratch-[01-06,09]"
        )
    names: list[str] = []
    for part in filter(None, parts):
        names += (f"{found[1]}{number}{found[3]}" for number in _numbers(key, part[1], part[2] or part[1]))
        if len(names) > MOST_SHARES:
            message = f"{key[:80]!r} stands for more than {MOST_SHARES:,} names"
            raise RangeError(message, "split it over several sets")
    wrong = next((name for name in (names[0], names[-1]) if not is_name(name)), None)
    if wrong is not None:
        message = f"{key[:80]!r} stands for {wrong[:80]!r}, which cannot be a name"
        raise RangeError(
            message,
            "a name is 1 to 63 lower-case letters, digits, '-', '_' or '.', and starts and ends with a letter or digit",
        )
    return names


def _numbers(key: str, low: str, high: str) -> Iterator[str]:
    """Yield the numbers from `low` to `high`; where one is written with zeros in front, all have as many digits."""
    if low.startswith("0") and low != "0" and len(low) != len(high):
        message = f"the numbers of {key[:80]!r} have {len(low)} and {len(high)} digits"
        digits = max(len(low), len(high))
        raise RangeError(message, f"write both with as many, such as [{low.zfill(digits)}-{high.zfill(digits)}]")
    if int(low) > int(high) or (high.startswith("0") and len(low) != len(high)):
        message = f"the range [{low}-{high}] of {key[:80]!r} ends before it begins"
        raise RangeError(message, "write the lower number first")
    last = min(int(high), int(low) + MOST_SHARES)
    return (str(number).zfill(len(low)) for number in range(int(low), last + 1))


class Member(NamedTuple):
    """A share of a set: its name, the document that it would be (None where only the name can be used), and its place.

    `unsound` are the paths in the document at which it does not say what was written, `taken_away` the fields that are `null` in its entry.
    """

    name: str
    value: JsonObject | None
    unsound: frozenset[Path]
    place: tuple[int, int, int]
    taken_away: frozenset[str] = frozenset()

    def with_defaults(self, defaults: Defaults) -> Applied:
        """Return the document with the project's defaults; a field that its entry takes away is without one, too."""
        found = defaults.applied(self.value or {})
        left = [name for name in self.taken_away if found.value["spec"].get(name, "") is None]
        if not left:
            return found
        spec = {name: value for name, value in found.value["spec"].items() if name not in left}
        return found._replace(value={**found.value, "spec": spec})


def members_of(document: Document, sound: SoundDocument | None, checker: Checker) -> Iterator[Member]:
    """Yield the shares of a set, and report ranges that are none. `sound` is what is sound in its document."""
    sound_value = {} if sound is None else sound.value
    shares, written = sound_value.get("spec", {}).get("shares", {}), _shares_in(document.value)
    count = 0
    for key in {**written, **shares}:
        is_sound = key in shares
        names = _checked_names(key, checker if is_sound else None)
        count += len(names)
        if count > MOST_SHARES:
            summary = f"the set holds more than {MOST_SHARES:,} shares"
            checker.add("too-large", summary, "split it into several sets", *SHARES, key, key=True)
            return
        entries = document.entries
        line, column = entries.get(key) or entries.get("<<") or (document.name_line, document.name_column)
        place = (document.number, line, column)
        if sound is None or not is_sound:
            yield from (Member(name, None, frozenset(), place) for name in names)
            continue
        share = _share_document(sound_value, shares[key])
        places = (place_in_share(path, key, shares[key]) for path in sound.unsound)
        unsound = frozenset(path for path in places if path is not None)
        gone = frozenset(field for field, own in shares[key].items() if own is None)
        for name in names:
            yield Member(name, {**share, "metadata": {"name": name, **share["metadata"]}}, unsound, place, gone)


def _shares_in(value: JsonObject) -> JsonObject:
    """Return the entries of a set as it was written."""
    spec = value.get("spec")
    shares = spec.get("shares") if isinstance(spec, dict) else None
    return (
        {key: entry for key, entry in shares.items() if is_name(key) or is_range(key)}
        if isinstance(shares, dict)
        else {}
    )


def _checked_names(key: str, checker: Checker | None) -> list[str]:
    try:
        return names_of(key)
    except RangeError as failure:
        if checker is not None:  # else the whole entry is wrong, and told of already
            checker.add("range", str(failure), failure.remedy, *SHARES, key, key=True)
        return []


def _share_document(document: JsonObject, entry: JsonObject) -> JsonObject:
    """Return the Share document, but for its name, that an entry of a set comes to: a JSON Merge Patch (RFC 7396) of what the set gives to all."""
    metadata = {name: document["metadata"].get(name, {}) for name in IN_METADATA}
    metadata["annotations"] = {name: text for name, text in metadata["annotations"].items() if name != MOVED_FROM}
    own = {name: value for name, value in entry.items() if name in IN_METADATA}
    spec = {name: value for name, value in entry.items() if name not in IN_METADATA}
    whole = {name: value for name, value in patched(metadata, own).items() if value}
    whole_spec = patched(document["spec"].get("template", {}), spec)
    whole_spec.update((name, None) for name in NULLABLE if spec.get(name, "") is None)  # which defaults are to see
    return {"apiVersion": API_VERSION, "kind": Kind.SHARE.document_kind, "metadata": whole, "spec": whole_spec}


def patched(target: Any, patch: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return `target` with a patch: mappings are merged, `null` takes away, all else, lists too, is put in place of what was there."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = patched(result.get(key), value) if isinstance(value, dict) else value
    return result


def place_in_share(path: Path, key: str, entry: JsonObject) -> Path | None:
    """Return what the value at `path` of a set is in the share of an entry; None where it says nothing there."""
    own = (*SHARES, key)
    if path in {(), SHARES[:1], SHARES, own}:
        return ("spec",)
    if path[: len(own)] == own:
        return (("metadata" if path[len(own)] in IN_METADATA else "spec"), *path[len(own) :])
    if path[:2] == TEMPLATE:
        return None if _says(entry, path[2:]) else ("spec", *path[2:])
    is_given = path[0] == "metadata" and path[1:2] != ("name",)
    return path if is_given and not _says(entry, path[1:]) else None


def _says(entry: Any, path: Path) -> bool:  # noqa: ANN401 - any JSON value
    """Tell whether an entry puts something else in place of what stands at `path` in the template."""
    for step in path:
        if not isinstance(entry, dict):
            return entry is not None
        if step not in entry:
            return False
        entry = entry[step]
        if entry is None:
            return True
    return bool(path) and not isinstance(entry, dict)


def names_in_text_of_sets(text: str) -> set[str]:
    """Return what look like the names of shares in the text of sets that could not be read."""
    found: set[str] = set()
    for key in _KEY_IN_TEXT.findall(text):
        try:
            found.update(names_of(key))
        except RangeError:
            continue  # it names nothing, and that cannot be told here
    return found
