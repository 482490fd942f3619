"""Validate documents against JSON Schemas: a quick yes or no, and for a no, findings in words for people."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from sharectl.manifests.concealment import is_secret_name, may_name_secret
from sharectl.manifests.findings import Finding
from sharectl.manifests.proposals import (
    NO_VARIABLES,
    instead_of_boolean,
    instead_of_choice,
    instead_of_field,
    instead_of_secret_name,
    instead_of_size,
    mentions_variable,
)
from sharectl.manifests.schemas import schema_of
from sharectl.model.diagnostics import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sharectl.model.canonical import JsonObject

Path = tuple[str | int, ...]

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
_REFERENCE_REMEDY: Final = "write a reference instead, {env: NAME} or {file: PATH}"


@cache
def accepts(document_kind: str) -> Callable[[Any], bool]:
    """Return the compiled yes-or-no test of documents of this kind."""
    return compiled_test(schema_of(document_kind))


def compiled_test(schema: JsonObject) -> Callable[[Any], bool]:
    """Return the compiled yes-or-no test of `schema`."""
    import jsonschema_rs  # noqa: PLC0415 - unchanged manifests are not validated again

    test: Callable[[Any], bool] = jsonschema_rs.Draft202012Validator(schema).is_valid
    return test


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
                yield Finding("manifest.missing", _missing(path, name), "", "add it", document, path)
    elif rule == "additionalProperties" and wanted is False:
        known = sorted(schema.get("properties", {}))
        for name in failure.instance:
            if name not in known:
                guess = instead_of_field(name, known) or f"known here: {', '.join(known)}"
                summary = f"there is no field `{name[:_MAX_SHOWN_CHARACTERS]}` {_within(path)}"
                yield Finding("manifest.unknown-field", summary, "", guess, document, (*path, name), key=True)
    elif "propertyNames" in failure.absolute_schema_path:
        summary = f"{_shown(failure.instance)} cannot be a name {_within(path)}"
        name_path = (*path, str(failure.instance))
        yield Finding(
            "manifest.schema",
            summary,
            "",
            str(schema.get("errorMessage", "choose another name")),
            document,
            name_path,
            key=True,
        )
    else:
        value = failure.instance
        if isinstance(value, str) and any(isinstance(step, str) and may_name_secret(step) for step in path):
            value = "***"
        summary, remedy = _describe(rule, wanted, value, schema, path)
        remedy = _computed(rule, wanted, value, path) or remedy
        yield Finding("manifest.schema", summary, "", remedy, document, path)


def _secret_finding(value: object, document: int, path: Path) -> Finding:
    where = ".".join(str(step) for step in path)
    summary, remedy = f"{where} takes a reference to a secret, and nothing else", _REFERENCE_REMEDY
    if path[-1:] == ("env",) and isinstance(value, str):
        summary, remedy = f"{where} is not the name of an environment variable", instead_of_secret_name(value)
    detail = "A secret in a manifest would be in the repository for ever."
    return Finding("manifest.secret", summary, detail, remedy, document, path)


def _describe(rule: str, wanted: Any, value: Any, schema: JsonObject, path: Path) -> tuple[str, str]:  # noqa: ANN401, C901, PLR0911 - any JSON value; one branch for each rule of JSON Schema
    where = _where(path)
    hint = str(schema.get("errorMessage", ""))
    if rule == "type":
        types = wanted if isinstance(wanted, list) else [wanted]
        expected = " or ".join(_TYPE_NAMES.get(name, str(name)) for name in types)
        if "string" in types and isinstance(value, bool | int | float):
            hint = hint or 'put it in quotes: "{written}"'
        return f"{where} must be {expected}, not {_kind_of_value(value)}", hint or _example(schema)
    if rule == "enum":
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
        return f"{where} cannot be {_shown(value)}", hint
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
    if rule == "type" and wanted == "boolean":
        return instead_of_boolean(value)
    if rule in {"type", "pattern"} and field == "size":
        return instead_of_size(value)
    if rule == "enum":
        return instead_of_choice(field, value, [str(choice) for choice in wanted])
    return ""


def _missing(path: Path, name: str) -> str:
    return f"`{name}` is missing {_within(path)}"


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
    return f"expected here: {schema['description']}" if "description" in schema else "correct it"
