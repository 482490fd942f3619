"""The language of `filter_function` and `goodness_function`: parsed once, by an allow-list grammar, into closures.

Operators from loosest to tightest: `or ||`, `and &&`, `?:`, `< <= > >= == != <>` (chained), `not !`, `+ -`, `* /`, sign, `^`,
`abs min max`. Names are `stats.x`, `capabilities.x`, `extra.x` and `share.x`; a name without a dot is a text.
"""

from __future__ import annotations

import operator
import re
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from _typeshed import SupportsGetItem

    Namespaces = Mapping[str, SupportsGetItem[str, Any]]
    Evaluate = Callable[[Namespaces], Any]
    Join = Callable[[Any, Any], Any]

MAX_LENGTH: Final = 4096
MAX_DEPTH: Final = 50
_MAX_POWER_BITS: Final = 4096

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+)?)|(?P<word>[A-Za-z_.]+)|(?P<text>\"[^\"\n]*\"|'[^'\n]*')"
    r"|(?P<symbol><=|>=|==|!=|<>|&&|\|\||[-+*/^()?:,<>!]))"
)
_VARIABLE: Final = re.compile(r"[A-Za-z_]+\.[A-Za-z_]+")
_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
}
_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {"abs": abs, "min": min, "max": max}
_AND: Final = ("and", "AND", "&&")
_OR: Final = ("or", "OR", "||")
_NOT: Final = ("not", "NOT", "!")
_RESERVED: Final = frozenset((*_AND, *_OR, *_NOT))


class ExpressionError(ValueError):
    """An expression that cannot be parsed or evaluated; `str()` says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """A compiled expression; `names` are the (namespace, entry) pairs that it reads. Equal is what was compiled once."""

    text: str
    names: frozenset[tuple[str, str]]
    _evaluate: Evaluate

    def evaluate(self, namespaces: Namespaces) -> Any:  # noqa: ANN401 - a number, a truth or a text
        """Return the value; raises ExpressionError where a name is missing or an operand is of the wrong type."""
        try:
            return self._evaluate(namespaces)
        except (TypeError, ArithmeticError, ValueError) as problem:
            if isinstance(problem, ExpressionError):
                raise
            message = f"{self.text!r} cannot be evaluated: {problem}"
            raise ExpressionError(message) from None


@lru_cache(maxsize=4096)
def compile_expression(text: str) -> Expression:
    """Return the expression compiled; raises ExpressionError with the place where `text` is not in the language."""
    if len(text) > MAX_LENGTH:
        message = f"the expression is {len(text)} characters long; at most {MAX_LENGTH} are read"
        raise ExpressionError(message)
    parser = _Parser(text)
    evaluate = parser.parse()
    return Expression(text, frozenset(parser.names), evaluate)


@lru_cache(maxsize=4096)
def conjuncts_of(text: str) -> tuple[Expression, ...]:
    """Return the operands of the outermost `and`, all of which hold where the expression does; raises ExpressionError.

    An operand that cannot be evaluated makes the whole one that cannot, as each operand is evaluated always.
    """
    whole = compile_expression(text)
    return _Parser(text).conjuncts() or (whole,)


def plain_value(value: Any) -> Any:  # noqa: ANN401 - a capability is any JSON value
    """Return the value as expressions see it: whole numbers where it can be read as one, else a number, else a text."""
    try:
        return int(value)
    except ValueError:
        try:
            return float(value)
        except ValueError:
            return value.replace('"', "").replace("'", "")


class _Parser:
    """Recursive descent, one method for each level of precedence."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0
        self.names: set[tuple[str, str]] = set()

    def parse(self) -> Evaluate:
        result = self._disjunction()
        if self._peek():
            self._fail("an operator or the end")
        return result

    def _peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def conjuncts(self) -> tuple[Expression, ...]:
        """Return the operands of the outermost `and`; none where the outermost operator is another."""
        found = []
        while True:
            self.names = set()
            operand = self._choice()
            found.append(Expression(self._text, frozenset(self.names), operand))
            if not self._take(*_AND):
                return () if self._peek() else tuple(found)

    def _take(self, *wanted: str) -> str:
        token = self._peek()
        if token and token in wanted:
            self._next += 1
            return token
        return ""

    def _fail(self, expected: str) -> None:
        found = repr(self._peek()) if self._peek() else "the end"
        message = f"{self._text!r}: expected {expected}, found {found}"
        raise ExpressionError(message)

    def _disjunction(self) -> Evaluate:
        with self._deeper():
            return self._joined(dict.fromkeys(_OR, lambda left, right: left or right), self._conjunction)

    def _conjunction(self) -> Evaluate:
        return self._joined(dict.fromkeys(_AND, lambda left, right: left and right), self._choice)

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            message = f"the expression is nested more than {MAX_DEPTH} levels deep"
            raise ExpressionError(message)
        yield
        self._depth -= 1

    def _joined(self, joins: Mapping[str, Join], operand: Callable[[], Evaluate]) -> Evaluate:
        first = operand()
        rest: list[tuple[Join, Evaluate]] = []
        while token := self._take(*joins):
            rest.append((joins[token], operand()))
        return _fold(first, rest) if rest else first

    def _choice(self) -> Evaluate:
        condition = self._comparison()
        if not self._take("?"):
            return condition
        chosen = self._comparison()
        if not self._take(":"):
            self._fail("':'")
        with self._deeper():
            otherwise = self._choice()
        return lambda names: chosen(names) if condition(names) else otherwise(names)

    def _comparison(self) -> Evaluate:
        first = self._negation()
        rest: list[tuple[Callable[[Any, Any], bool], Evaluate]] = []
        while token := self._take(*_COMPARISONS):
            rest.append((_COMPARISONS[token], self._negation()))
        return _chain(first, rest) if rest else first

    def _negation(self) -> Evaluate:
        negations = 0
        while self._take(*_NOT):
            negations += 1
        operand = self._sum()
        if not negations:
            return operand
        wanted = negations % 2 == 0
        return lambda names: bool(operand(names)) is wanted

    def _sum(self) -> Evaluate:
        return self._joined(_SUMS, self._product)

    def _product(self) -> Evaluate:
        return self._joined(_PRODUCTS, self._signed)

    def _signed(self) -> Evaluate:
        sign, signs = 1, 0
        while symbol := self._take("+", "-"):
            sign, signs = (-sign if symbol == "-" else sign), signs + 1
        operand = self._power()
        if not signs:
            return operand
        return lambda names: _multiply(sign, operand(names))

    def _power(self) -> Evaluate:
        factors = [self._call()]
        while self._take("^"):
            factors.append(self._call())
        return _tower(factors) if len(factors) > 1 else factors[0]

    def _call(self) -> Evaluate:
        token = self._peek()
        if token not in _FUNCTIONS:
            return self._operand()
        following = self._tokens[self._next + 1] if self._next + 1 < len(self._tokens) else ""
        if not (following == "(" or following[:1].isalnum()):
            return self._operand()
        self._next += 1
        function = _FUNCTIONS[token]
        if not self._take("("):
            with self._deeper():
                arguments = [self._call()]
        else:
            arguments = [self._disjunction()]
            while self._take(","):
                arguments.append(self._disjunction())
            if not self._take(")"):
                self._fail("')'")
        return lambda names: function(*(argument(names) for argument in arguments))

    def _operand(self) -> Evaluate:
        if self._take("("):
            result = self._disjunction()
            if not self._take(")"):
                self._fail("')'")
            return result
        token = self._peek()
        if not token or token in _RESERVED or not (token[0].isalnum() or token[0] in "_.\"'"):
            self._fail("a number, a name or '('")
        self._next += 1
        if _VARIABLE.fullmatch(token):
            return self._variable(token)
        constant = plain_value(token)
        return lambda _names: constant

    def _variable(self, token: str) -> Evaluate:
        namespace, _, entry = token.partition(".")
        self.names.add((namespace, entry))

        def look_up(names: Namespaces) -> Any:  # noqa: ANN401 - a capability is any JSON value
            try:
                return plain_value(names[namespace][entry])
            except KeyError:
                message = f"there is no {token}"
                raise ExpressionError(message) from None

        return look_up


def _tokens(text: str) -> list[str]:
    tokens, position, end = [], 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            message = f"{text!r}: cannot read on from character {position + 1}"
            raise ExpressionError(message)
        tokens.append(match[0].strip())
        position = match.end()
    return tokens


def _fold(first: Evaluate, rest: list[tuple[Join, Evaluate]]) -> Evaluate:
    def join_all(names: Namespaces) -> Any:  # noqa: ANN401 - a number, a truth or a text
        result = first(names)
        for join, operand in rest:
            result = join(result, operand(names))
        return result

    return join_all


def _tower(factors: list[Evaluate]) -> Evaluate:
    def raise_all(names: Namespaces) -> Any:  # noqa: ANN401 - a number
        values = [factor(names) for factor in factors]
        result = values.pop()
        while values:
            result = _raise(values.pop(), result)
        return result

    return raise_all


def _chain(first: Evaluate, rest: list[tuple[Callable[[Any, Any], bool], Evaluate]]) -> Evaluate:
    def compare(names: Namespaces) -> bool:
        left = first(names)
        for holds, operand in rest:
            right = operand(names)
            if not holds(left, right):
                return False
            left = right
        return True

    return compare


def _numeric(join: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def calculate(left: Any, right: Any) -> Any:  # noqa: ANN401 - checked here
        if isinstance(left, str) or isinstance(right, str):
            message = f"{left!r} and {right!r} are not both numbers"
            raise ExpressionError(message)
        return join(left, right)

    return calculate


def _power_of(base: Any, exponent: Any) -> Any:  # noqa: ANN401 - numbers, checked by the caller
    whole = isinstance(base, int) and isinstance(exponent, int)
    if whole and base.bit_length() * abs(exponent) > _MAX_POWER_BITS:
        message = f"{base} ^ {exponent} is too large"
        raise ExpressionError(message)
    result = base**exponent
    if isinstance(result, complex):
        message = f"{base} ^ {exponent} is not a real number"
        raise ExpressionError(message)
    return result


_multiply: Final = _numeric(operator.mul)
_raise: Final = _numeric(_power_of)
_SUMS: Final[Mapping[str, Join]] = {"+": _numeric(operator.add), "-": _numeric(operator.sub)}
_PRODUCTS: Final[Mapping[str, Join]] = {"*": _multiply, "/": _numeric(lambda left, right: left / float(right))}
