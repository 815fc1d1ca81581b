"""What every section of a settings file is made of: strict, closed, and with the few types they share."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

__all__ = ["AbsolutePath", "Duration", "Name", "Section"]

Name = Annotated[str, Field(min_length=1, max_length=128)]


def _seconds(value: object) -> object:
    """``90s``, ``15m``, ``10h``, ``7d`` as seconds; anything else is refused."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    if isinstance(value, str) and value[:-1].isascii() and value[:-1].isdigit() and value[-1:] in units:
        return int(value[:-1]) * units[value[-1]] if len(value) <= 12 else 2**31
    raise ValueError("must be a duration such as 30s, 15m, 10h or 7d")


Duration = Annotated[
    int,
    BeforeValidator(_seconds),
    Field(ge=0, le=366 * 86400),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]+[smhd]$", "examples": ["30s", "15m", "10h", "7d"]}),
]
"""Seconds, written as ``30s``, ``15m``, ``10h`` or ``7d``."""

AbsolutePath = Annotated[Path, Field(strict=False), WithJsonSchema({"type": "string", "pattern": "^/"})]


class Section(BaseModel):
    """Strict and closed: no coercion, no unknown key."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        populate_by_name=True,
        validate_default=False,
        use_attribute_docstrings=True,
    )
