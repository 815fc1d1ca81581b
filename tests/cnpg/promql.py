"""What an expression of PromQL asks for: read by a parser of the language, and taken apart to its selectors."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import promql_parser

__all__ = ["Selected", "selected"]

_INSIDE = ("lhs", "rhs", "expr", "param", "vector_selector")
"""Where the parts of an expression stand, by the kinds that have some; a call has `args`."""


@dataclass(frozen=True, slots=True)
class Selected:
    """One selector: a metric, and what is asked of its labels."""

    metric: str
    matchers: Mapping[str, str]
    """Of each label the values that may be, as they are written."""

    def values(self, label: str) -> list[str]:
        """Those of an alternative, such as ``a|b``; empty if nothing is asked of the label."""
        return re.split(r"\|", self.matchers[label]) if label in self.matchers else []


def selected(expression: str) -> list[Selected]:
    """Every selector in `expression`.

    Raises:
        ValueError: it is no PromQL, or its types do not fit, such as the rate of what is no range.
    """
    return list(_selectors(promql_parser.parse(expression)))


def _selectors(node: Any) -> Iterator[Selected]:
    if isinstance(node, promql_parser.VectorSelector):
        yield Selected(node.name or "", {each.name: each.value for each in node.matchers.matchers})
        return
    parts = [getattr(node, name, None) for name in _INSIDE]
    for part in (*parts, *getattr(node, "args", ())):
        if part is not None:
            yield from _selectors(part)
