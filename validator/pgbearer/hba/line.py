"""What one line of pg_hba.conf says, after PostgreSQL's own struct HbaLine (src/include/libpq/hba.h)."""

from dataclasses import dataclass, field

__all__ = ["KEYWORD_ADDRESSES", "Field", "Line", "Token"]

KEYWORD_ADDRESSES = frozenset({"all", "samehost", "samenet"})
"""What may stand for an address, unquoted."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word, and whether it began with a quote: ``"all"`` is a database of that name, ``all`` is every one."""

    text: str
    quoted: bool = False

    def is_keyword(self, word: str) -> bool:
        """Whether PostgreSQL takes it for the keyword `word`."""
        return not self.quoted and self.text == word


Field = tuple[Token, ...]
"""Words with commas between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line that PostgreSQL takes.

    `number` counts lines of the text from 1. `type` is ``local``, ``host``, ``hostssl``, ``hostnossl``, ``hostgssenc``
    or ``hostnogssenc``. `address` is None for ``local``; a keyword, a host name or an IP address, then with its
    `netmask`, both as pg_hba_file_rules shows them. `options` are those that were written, as they were written.
    """

    number: int
    type: str
    databases: Field
    users: Field
    address: str | None = None
    address_is_keyword: bool = False
    netmask: str | None = None
    method: str
    options: dict[str, str] = field(default_factory=dict)
