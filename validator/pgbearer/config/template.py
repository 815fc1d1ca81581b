"""Templates such as ``corp:{sub}``: literal text and fields in braces, no formatting language."""

import re
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Template", "TemplateError", "parse_template"]

_SEPARATES = re.compile(r"[^A-Za-z0-9_.@-]")
"""A character that no value put into an identity can hold, but for ``sub``."""
_PART = re.compile(r"(?P<literal>[^{}]+)|\{(?P<field>[A-Za-z0-9_./:-]+)\}")


class TemplateError(ValueError):
    """The text is no template: braces that do not pair, or an empty or odd field name."""


@dataclass(frozen=True, slots=True)
class Template:
    """Alternating literals and fields; `literals` is always one longer than `fields`."""

    literals: tuple[str, ...]
    fields: tuple[str, ...]

    @property
    def prefix(self) -> str:
        """The literal text before the first field."""
        return self.literals[0]

    @property
    def tells_apart(self) -> bool:
        """Whether different values never give the same text. ``{client}-{sub}`` does: a-b and c, a and b-c.

        So ``sub``, which may be any text, occurs at most once, and between two fields stands what no other can hold.
        """
        return self.fields.count("sub") <= 1 and all(map(_SEPARATES.search, self.literals[1:-1]))

    def render(self, value_of: Callable[[str], str]) -> str:
        """The text with each field replaced by ``value_of(field)``; what that raises passes through."""
        text = self.literals[0]
        for field, literal in zip(self.fields, self.literals[1:], strict=True):
            text += value_of(field) + literal
        return text


def parse_template(text: str) -> Template:
    """Take a template apart. ``{claims.x}``, as conditions call it, is ``{x}``.

    Raises:
        TemplateError: a brace without its partner, or a field name with other characters than ``A-Za-z0-9_./:-``.
    """
    literals, fields, end = [""], list[str](), 0
    for part in _PART.finditer(text):
        if part.start() != end:
            break
        end = part.end()
        if part["field"] is None:
            literals[-1] += part["literal"]
        else:
            fields.append(part["field"].removeprefix("claims."))
            literals.append("")
    if end != len(text):
        raise TemplateError(f"{text!r} is not a template: expected text and {{field}}, stopped at character {end + 1}")
    return Template(tuple(literals), tuple(fields))
