"""A bare word of YAML to what Kubernetes takes it for, as sigs.k8s.io/yaml does by resolve.go of go.yaml.in/yaml/v2.

It is of YAML 1.1 in its booleans and in how it writes whole numbers, but for numbers in base 60, which it leaves text.
"""

import math
import re
from typing import Final

__all__ = ["as_kubernetes", "key_of"]

_TRUE: Final = frozenset({"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})
_FALSE: Final = frozenset({"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_INTEGER: Final = re.compile(
    r"(?P<sign>[-+]?)"
    r"(?:0[xX](?P<h>[0-9a-fA-F]{1,16})|0[bB](?P<b>[01]{1,64})|0[oO]?(?P<o>[0-7]{1,22})|(?P<d>0|[1-9][0-9]{0,19}))"
)
_BASES: Final = {"h": 16, "b": 2, "o": 8, "d": 10}
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_DAY: Final = re.compile(r"[0-9]{4}-")
"""What may be a day or a moment, which stays text."""


def as_kubernetes(text: str) -> str | int | float | bool | None:
    """A bare scalar as it arrives at the API server. A number without a fraction is an int, however it is written."""
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text in _NULLS:
        return None
    if _DAY.match(text):
        return text
    plain = text.replace("_", "") if text[0] in "0123456789+-" else text
    if (found := _INTEGER.fullmatch(plain)) and (whole := _whole(found)) is not None:
        return whole
    if _FLOAT.fullmatch(plain):
        value = float(plain)
        if math.isfinite(value):
            return int(value) if value.is_integer() else value
    return text


def key_of(value: object, text: str) -> str:
    """What a key is there, whose bare `text` means `value`: all keys of JSON are text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else text


def _whole(found: re.Match[str]) -> int | None:
    """None if it does not fit into 64 bits."""
    base = found.lastgroup or "d"
    value = int(found[base], _BASES[base]) * (-1 if found["sign"] == "-" else 1)
    return value if -(2**63) <= value < 2**64 else None
