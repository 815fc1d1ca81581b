"""The CEL library behind one small class: conditions are type-checked when loaded; an error is never taken for true.

cel-expr-python wraps the C++ runtime (docs/adr/0001-cel-library.md). It *returns* evaluation errors as values whose
Python truth is true, so nothing outside this file touches a CEL value. Its patterns are RE2 (linear time) and it gives
up after 10,000 steps of a comprehension; the tests hold it to both.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cel_expr_python import cel  # type: ignore[import-untyped]

from pgbearer.config import did_you_mean
from pgbearer.policy.fields import FIELDS, Asked, FieldType, values_of
from pgbearer.policy.source import PRESENCE, ConditionError, Source, read_source

__all__ = ["Condition", "ConditionError", "Environment", "Facts"]

_TYPES: Final = {
    "string": cel.Type.STRING,
    "int": cel.Type.INT,
    "bool": cel.Type.BOOL,
    "string_list": cel.Type.List(cel.Type.STRING),
    "timestamp": cel.Type.TIMESTAMP,
}
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_ABSENT = re.compile(r'No value with name "claims\.([^"]*)"')
_FIRST_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): ([^\n]*)")


@dataclass(frozen=True, slots=True)
class Facts:
    """The values conditions are judged by, made once for a decision."""

    _activation: Any


class Condition:
    """One compiled condition. Safe to share between threads: evaluating changes nothing."""

    __slots__ = ("_expression", "source")

    def __init__(self, expression: Any, source: Source) -> None:
        self._expression = expression
        self.source = source

    def holds(self, facts: Facts) -> bool:
        """Whether the condition is true.

        Raises:
            ConditionError: it could not be evaluated: a claim the token lacks, a division by zero, too many steps.
        """
        try:
            result = self._expression.eval(facts._activation)  # noqa: SLF001 -- Facts is opaque to everyone else
        except RuntimeError as error:  # how the library gives up: the budget of steps is used up
            raise ConditionError(_plain(str(error))) from None
        if result.type() != cel.Type.BOOL:
            raise ConditionError(_plain(str(result.value())))
        return result.value() is True


class Environment:
    """The names that conditions may use for one issuer, each with its type.

    Args:
        claims: the claims that the issuer declares. One whose name is no CEL identifier cannot be named in a condition.
    """

    def __init__(self, claims: Mapping[str, FieldType]) -> None:
        self._claims = {name: kind for name, kind in claims.items() if name.isidentifier() and name.isascii()}
        self._used: set[str] = set()
        self.names = (*FIELDS, *(f"claims.{name}" for name in self._claims))
        variables = {name: _TYPES[field.type] for name, field in FIELDS.items()}
        variables |= {f"claims.{name}": _TYPES[kind] for name, kind in self._claims.items()}
        variables |= {f"{PRESENCE}{name}": cel.Type.BOOL for name in self._claims}
        self._env = cel.NewEnv(variables=variables)

    def compile(self, text: str) -> Condition:
        """Compile and type-check a condition.

        Raises:
            ConditionError: no CEL, an unknown name, types that do not fit, a pattern that is none, or not of type bool.
        """
        source = read_source(text)
        for claim in source.present:
            if claim not in self._claims:
                raise self._unknown(f"claims.{claim}")
        for literal in source.patterns:
            self.pattern(literal)
        expression = self._compile(source.text)
        kind = expression.return_type()
        if kind != cel.Type.BOOL:
            raise ConditionError(f"is of type {kind.name().lower()}, not bool", "compare it with something")
        self._used.update(name for name in FIELDS if name in source.compact)
        return Condition(expression, source)

    def facts(self, asked: Asked) -> Facts:
        """The values for one decision: those that some condition compiled here can ask for."""
        return Facts(self._env.Activation(values_of(asked, self._claims, self._used)))

    def pattern(self, literal: str) -> str:
        """The pattern that a literal (quotes included) spells.

        Raises:
            ConditionError: not a pattern that RE2 takes.
        """
        if self._compile(f'"".matches({literal})').eval(data={}).type() != cel.Type.BOOL:
            raise ConditionError(f"{literal} is not a pattern", "see https://github.com/google/re2/wiki/Syntax")
        return str(self._compile(literal).eval(data={}).value())

    def _compile(self, text: str) -> Any:
        try:
            return self._env.compile(text)
        except (RuntimeError, ValueError) as error:
            raise self._explain(str(error)) from None

    def _explain(self, message: str) -> ConditionError:
        """One line of our own from the library's picture of the error."""
        if undeclared := _UNDECLARED.search(message):
            return self._unknown(undeclared[1])
        if first := _FIRST_ERROR.search(message):
            line, column, text = first.groups()
            return ConditionError(f"{text[:200]} (line {line}, character {column} of the condition)")
        return ConditionError(message.splitlines()[0][:200])

    def _unknown(self, name: str) -> ConditionError:
        return ConditionError(f'unknown name "{name}"', self._nearest(name), name)

    def _nearest(self, name: str) -> str | None:
        """A hint; what begins as known names do is compared by the rest: "claims.ip" is not near "claims.acr"."""
        heads = sorted({known.partition(".")[0] for known in self.names})
        head, _, rest = name.partition(".")
        if head not in heads:
            return did_you_mean(name, (*self.names, *heads))
        rests = [known.partition(".")[2] for known in self.names if known.startswith(f"{head}.")]
        near = did_you_mean(rest, rests)
        return near.replace('"', f'"{head}.', 1) if near else None


def _plain(error: str) -> str:
    """The library's error in our words where a person will often meet it."""
    absent = _ABSENT.search(error)
    return f'the token has no claim "{absent[1]}"' if absent else error[:200]
