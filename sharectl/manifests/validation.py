"""Validate documents against JSON Schemas: a quick yes or no; for a no, findings in words for people, and what in the document is sound."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.manifests.findings import Finding, Path, touches
from sharectl.manifests.positions import is_secret_name, may_name_secret
from sharectl.manifests.proposals import (
    NO_SECRETS,
    NO_VARIABLES,
    REFERENCE_REMEDY,
    instead_of_boolean,
    instead_of_choice,
    instead_of_field,
    instead_of_list,
    instead_of_number,
    instead_of_rule,
    instead_of_secret_name,
    instead_of_size,
    mentions_variable,
)
from sharectl.manifests.reader import UNREAD
from sharectl.manifests.schemas import accepts, compiled_test, schema_of
from sharectl.model.diagnostics import did_you_mean
from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sharectl.model.canonical import JsonObject


_TYPE_NAMES: Final = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "nothing",
}
_MAX_SHOWN_CHARACTERS: Final = 60


def explain(value: object, schema: JsonObject, *, document: int, prefix: Path = ()) -> list[Finding]:
    """Return everything that keeps `value` from meeting `schema`, each at its path after `prefix`."""
    findings: dict[tuple[Path, str], Finding] = {}
    for failure in schema_errors(value, schema):
        for finding in _findings(failure, document, prefix):
            findings.setdefault((finding.path, finding.summary), finding)
    return list(findings.values())


def schema_errors(value: object, schema: JsonObject) -> Iterator[Any]:
    """Yield jsonschema's ValidationErrors."""
    errors: Iterator[Any] = _validator_class()(schema).iter_errors(value)
    return errors


@cache
def _validator_class() -> Any:  # noqa: ANN401 - jsonschema makes this class at run time
    import re  # noqa: PLC0415 - as below

    from jsonschema import Draft202012Validator, ValidationError, validators  # noqa: PLC0415 - only invalid documents need it

    def pattern(validator: Any, expression: str, instance: object, schema: JsonObject) -> Iterator[Any]:  # noqa: ANN401 - jsonschema's own
        # ECMA's `$` is the very end; Python's would let a trailing line feed pass.
        del schema
        anchored = expression[:-1] + r"\Z" if expression.endswith("$") else expression
        if validator.is_type(instance, "string") and not re.search(anchored, str(instance)):
            yield ValidationError("pattern")

    extend: Any = validators.extend
    return extend(Draft202012Validator, {"pattern": pattern})


def _findings(failure: Any, document: int, prefix: Path) -> Iterator[Finding]:  # noqa: ANN401 - jsonschema's ValidationError, whose fields have no types
    path: Path = (*prefix, *failure.absolute_path)
    schema: JsonObject = failure.schema if isinstance(failure.schema, dict) else {}
    rule, wanted = str(failure.validator), failure.validator_value
    if any(isinstance(step, str) and is_secret_name(step) for step in path) or schema.get("writeOnly"):
        yield _secret_finding(failure.instance, document, path)
        return
    if rule == "required":
        for name in wanted:
            if name not in failure.instance:
                summary = f"`{name}` is missing {_within(path)}"
                yield Finding("manifest.missing", summary, "", _addition(schema, name), document, path)
    elif rule == "oneOf" and _alternatives(wanted):
        yield from _findings_of_alternatives(_alternatives(wanted), failure.instance, document, path)
    elif rule == "additionalProperties" and wanted is False:
        yield from _findings_of_unknown_fields(failure.instance, sorted(schema.get("properties", {})), document, path)
    elif "propertyNames" in failure.absolute_schema_path:
        summary = f"{_shown(failure.instance)} cannot be a name {_within(path)}"
        remedy, name_path = str(schema.get("errorMessage", "choose another name")), (*path, str(failure.instance))
        yield Finding("manifest.schema", summary, "", remedy, document, name_path, key=True)
    else:
        value = failure.instance
        if isinstance(value, str) and any(isinstance(step, str) and may_name_secret(step) for step in path):
            value = "***"
        summary, remedy = _describe(rule, wanted, value, schema, path)
        remedy = _computed(rule, wanted, value, path) or remedy
        yield Finding("manifest.schema", summary, "", remedy, document, path)


def _findings_of_unknown_fields(names: Iterable[str], known: list[str], document: int, path: Path) -> Iterator[Finding]:
    for name in names:
        if name not in known:
            guess = instead_of_field(name, known) or f"known here: {', '.join(known)}"
            summary = f"there is no field `{name[:_MAX_SHOWN_CHARACTERS]}` {_within(path)}"
            yield Finding("manifest.unknown-field", summary, "", guess, document, (*path, name), key=True)


def _findings_of_alternatives(names: list[str], value: object, document: int, path: Path) -> Iterator[Finding]:
    """Yield what is wrong where not exactly one of these fields is there; a value without fields is wrong for another reason."""
    given = [name for name in names if name in value] if isinstance(value, dict) else names[:1]
    if not given:
        summary = f"`{'` or `'.join(names)}` is missing {_within(path)}"
        yield Finding("manifest.missing", summary, "", "add one of them", document, path)
    for name in given[1:]:
        summary = f"`{name}` cannot stand beside `{given[0]}` {_within(path)}"
        yield Finding("manifest.schema", summary, "", "keep one of them", document, (*path, name), key=True)


def _alternatives(choices: Sequence[JsonObject]) -> list[str]:
    """Return the fields of which exactly one has to be there; nothing where `oneOf` is about anything else."""
    names = [str(each["required"][0]) for each in choices if each.keys() == {"required"}]
    return names if len(names) == len(choices) else []


def _secret_finding(value: object, document: int, path: Path) -> Finding:
    where = ".".join(str(step) for step in path)
    summary, remedy = f"{where} takes a reference to a secret, and nothing else", REFERENCE_REMEDY
    if path[-1:] == ("env",) and isinstance(value, str):
        summary, remedy = f"{where} is not the name of an environment variable", instead_of_secret_name(value)
    return Finding("manifest.secret", summary, NO_SECRETS, remedy, document, path)


def _describe(rule: str, wanted: Any, value: Any, schema: JsonObject, path: Path) -> tuple[str, str]:  # noqa: ANN401, C901, PLR0911 - any JSON value; one branch for each rule of JSON Schema
    where = _where(path)
    hint = str(schema.get("errorMessage", ""))
    if rule == "type":
        types = wanted if isinstance(wanted, list) else [wanted]
        expected = " or ".join(_TYPE_NAMES.get(name, str(name)) for name in types)
        is_unquoted = "string" in types and isinstance(value, bool | int | float)
        if is_unquoted and compiled_test(schema)(_shown(value)):  # else quotes alone do not mend it
            hint = 'put it in quotes: "{written}"'
        elif not hint:
            hint = f"{_other_shape(value, schema)}{_example(schema)}"
        return f"{where} must be {expected}, not {_kind_of_value(value)}", hint
    if rule == "enum":
        wanted = [choice for choice in wanted if choice is not None]  # which only takes the template's away
        choices = ", ".join(str(choice) for choice in wanted)
        guess = did_you_mean(str(value), [str(choice) for choice in wanted])
        same = [choice for choice in wanted if str(choice).lower() == str(value).lower()]
        if same:
            is_unquoted = isinstance(same[0], str) and not isinstance(value, str)
            guess = f'write "{same[0]}", in quotes' if is_unquoted else f"write {same[0]}"
        before = f"{guess}{' ' if guess.endswith('?') else '; '}" if guess else ""
        return f"{where} cannot be {_shown(value)}", f"{before}choose one of {choices}"
    if rule == "const":
        return f"{where} must be {wanted}, not {_shown(value)}", f"write {wanted}"
    if rule == "pattern":
        return f"{where} cannot be {_shown(value)}", hint or _example(schema)
    if rule in {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"}:
        bound = {"minimum": "at least", "maximum": "at most"}.get(rule, "more than" if "Min" in rule else "less than")
        return f"{where} must be {bound} {wanted}, not {_shown(value)}", _example(schema)
    if rule in {"minLength", "minItems", "minProperties"}:
        return f"{where} {'must not be empty' if wanted == 1 else f'needs at least {wanted}'}", hint or _example(schema)
    if rule in {"maxLength", "maxItems", "maxProperties"}:
        return f"{where} is too long: {len(value)}, and at most {wanted}", hint or "shorten it"
    if rule == "uniqueItems":
        return f"{where} names something twice", "keep one of the two"
    if rule == "dependentRequired":
        absent = [other for name, others in wanted.items() if name in value for other in others if other not in value]
        return f"{where} needs {' and '.join(absent)} too", "add it"
    return f"{where} does not have an allowed form", hint or _example(schema)


def _computed(rule: str, wanted: Any, value: object, path: Path) -> str:  # noqa: ANN401 - any JSON value
    """Return what to write instead, where it can be told from what was written; empty where not."""
    field = next((step for step in reversed(path) if isinstance(step, str)), "")
    if isinstance(value, str) and mentions_variable(value):
        return NO_VARIABLES
    if rule == "enum":
        return instead_of_choice(field, value, [str(choice) for choice in wanted if choice is not None])
    if rule in {"type", "pattern"} and field == "size":
        return instead_of_size(value)
    if rule == "minimum":
        return instead_of_number(field, value)
    return _of_another_type(wanted, value, path, field) if rule == "type" else ""


def _of_another_type(wanted: str | list[str], value: object, path: Path, field: str) -> str:
    """Return how what was written is said by a value of the type that is wanted; empty where that cannot be told."""
    if "boolean" in wanted:
        return instead_of_boolean(value)
    if "integer" in wanted:
        return instead_of_number(field, value)
    if wanted == "array":
        return instead_of_list(value, is_access=field == "access")
    if field == "to" and isinstance(value, list):
        return "write a rule for each; many clients may be a ClientList, and `type: clients`"
    return instead_of_rule(value) if wanted == "object" and path[-2:-1] == ("access",) else ""


def _within(path: Path) -> str:
    return f"in {_where(path)}" if path else "at the top of the document"


def _where(path: Path) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.lstrip(".") or "the document"


def _kind_of_value(value: object) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {_shown(value)}"
    return "text" if isinstance(value, str) else "a list" if isinstance(value, list) else "a mapping"


def _shown(value: object) -> str:
    import orjson  # noqa: PLC0415 - only mistakes are shown

    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    text = text if len(text) <= _MAX_SHOWN_CHARACTERS else text[:_MAX_SHOWN_CHARACTERS] + "\N{HORIZONTAL ELLIPSIS}"
    return repr(text) if isinstance(value, str) else text


def _example(schema: JsonObject) -> str:
    """Return what a schema says of a value, as the end of a sentence; a name with capitals, such as NFS, keeps them."""
    said, fields = str(schema.get("description", "")), ", ".join(schema.get("properties", {}))
    said = said if said[1:2].isupper() else f"{said[:1].lower()}{said[1:]}"
    if said:
        return f"expected here: {said}{f' Its fields: {fields}.' if fields else ''}"
    return f"expected here: a mapping with the fields {fields}" if fields else "correct it"


def _addition(schema: JsonObject, name: str) -> str:
    """Return the advice to add a field, with what it takes where that is short."""
    field = schema.get("properties", {}).get(name, {})
    if "enum" in field:
        return f"add it; choose one of {', '.join(str(choice) for choice in field['enum'] if choice is not None)}"
    return f"add it; {field['errorMessage']}" if "errorMessage" in field else "add it"


def _other_shape(value: object, schema: JsonObject) -> str:
    """Return how to turn a value that is not a list into one of one item; empty where that would not mend it."""
    if schema.get("type") != "array" or value is None or not compiled_test(schema)([value]):
        return ""
    if isinstance(value, dict):
        return "put it after a dash: each item of a list begins with `- `; "
    return f"write [{value}]; " if isinstance(value, str) and len(value) <= _MAX_SHOWN_CHARACTERS else ""


_ROUNDS: Final = 8
_PLACEHOLDERS: Final = ("x", "1GiB", "1s", "10.0.0.0/8", "")
_MERGE_KEY: Final = "<<"


@dataclass(frozen=True, slots=True)
class SoundDocument:
    """A document that meets its schema, and the paths at which it does not say what was written."""

    value: JsonObject
    unsound: frozenset[Path] = frozenset()

    def is_written(self, *path: str | int) -> bool:
        """Tell whether the value at `path` is the user's, and whole."""
        return not self.unsound or not touches(path, self.unsound)

    def sound_findings(self, findings: list[Finding]) -> list[Finding]:
        """Return those findings that are about what was written, and do not follow from something that was not."""
        if not self.unsound:
            return findings
        return [each for each in findings if self.is_written(*each.path) and self.is_written(*_context(each.path))]


def _context(path: Path) -> Path:
    """Return the path of what a check at `path` may have compared with: the subnet of an address, the type of an access rule."""
    if path[:2] == ("spec", "subnets"):
        return path[:3]
    return (*path[:-1], "type") if path[-1:] == ("to",) else path


class ReadDocument(NamedTuple):
    """A copy of a document without what could not be read, and the paths at which that stood."""

    kind: str
    value: JsonObject
    unread: frozenset[Path]

    def findings(self, document: int) -> list[Finding]:
        """Return everything that keeps what was read from meeting the schema of its kind."""
        if accepts(self.kind)(self.value):  # in a fraction of the time that it takes to load what explains
            return []
        return [
            found
            for found in explain(self.value, schema_of(self.kind), document=document)
            if not any(found.path[: len(path)] == path for path in self.unread)
            and not (found.code == "manifest.missing" and (*found.path, _MERGE_KEY) in self.unread)
        ]

    def mended(self) -> SoundDocument | None:
        """Return the document without what its schema refuses, with placeholders for what it requires; None where that does not help."""
        value, kind = self.value, self.kind
        unsound = set(self.unread)
        for _ in range(_ROUNDS):
            if accepts(kind)(value):
                return SoundDocument(value, frozenset(unsound))
            for failure in list(schema_errors(value, schema_of(kind))):
                _mend(value, failure, unsound)
        return None


def _mend(value: JsonObject, failure: Any, unsound: set[Path]) -> None:  # noqa: ANN401 - jsonschema's ValidationError, as above
    """Take away what a schema refuses, or put in what it requires."""
    path: Path = tuple(failure.absolute_path)
    schema = failure.schema if isinstance(failure.schema, dict) else {}
    if "propertyNames" in failure.absolute_schema_path:
        unsound.add((*path, str(failure.instance)))
        _leave_out(value, (*path, str(failure.instance)), schema)
    elif failure.validator == "additionalProperties" and failure.validator_value is False:
        for name in set(failure.instance) - set(schema.get("properties", {})):
            failure.instance.pop(name, None)
    elif failure.validator == "required":
        for name in set(failure.validator_value) - set(failure.instance):
            failure.instance[name] = _placeholder(schema.get("properties", {}).get(name, {}))
            unsound.add((*path, name))
    elif isinstance(failure.instance, dict) and failure.validator == "oneOf":
        unsound.update((*path, name) for name in _left_with_one(failure.instance, schema))
    elif path:
        unsound.add(path)
        _leave_out(value, path, schema)


def what_was_read(document: JsonObject, kind: str) -> ReadDocument:
    """Return a document of this kind without what could not be read."""
    unread: set[Path] = set()
    return ReadDocument(kind, _read_part(document, (), unread), frozenset(unread))


def _read_part(value: Any, path: Path, unread: set[Path]) -> Any:  # noqa: ANN401 - any JSON value
    if value is UNREAD:
        unread.add(path)
        return None
    if isinstance(value, list):
        return [_read_part(part, (*path, number), unread) for number, part in enumerate(value)]
    if not isinstance(value, dict):
        return value
    unread.update((*path, str(key)) for key in value if key.__class__ is not str)
    return {key: _read_part(part, (*path, key), unread) for key, part in value.items() if key.__class__ is str}


def _left_with_one(value: JsonObject, schema: JsonObject) -> list[str]:
    """Leave in the mapping one of the fields of which exactly one has to be there, and return those that are not as they were written."""
    names = _alternatives(schema["oneOf"])
    given = [name for name in names if name in value]
    if not given:
        value[names[0]] = _placeholder(schema.get("properties", {}).get(names[0], {}))
    for name in given[1:]:
        del value[name]
    return given[1:] or names[:1]


def _leave_out(value: Any, path: Path, schema: JsonObject) -> None:  # noqa: ANN401 - any JSON value
    """Take away the value at `path`, or put a placeholder in its place where it is an item of a list; another failure may have taken it."""
    for step in path[:-1]:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return
    step = path[-1]
    if isinstance(value, dict):
        value.pop(step, None)
    elif isinstance(value, list) and isinstance(step, int) and step < len(value):
        value[step] = _placeholder(schema)


def _placeholder(schema: JsonObject) -> Any:  # noqa: ANN401 - any JSON value
    """Return a value that meets the schema, None where none is known; what it says does not matter."""
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    simple = {"boolean": False, "integer": schema.get("minimum", 1), "number": schema.get("minimum", 1)}
    if "enum" in schema or "const" in schema:
        return schema.get("enum", [schema.get("const")])[0]
    if kind == "object":
        parts = schema.get("properties", {})
        return {name: _placeholder(parts.get(name, {})) for name in schema.get("required", ())}
    if kind == "array":
        return [_placeholder(schema.get("items", {}))] * int(schema.get("minItems", 0))
    if kind in simple:
        return simple[kind]
    test = compiled_test(schema)
    return next((text for text in _PLACEHOLDERS if test(text)), None)
