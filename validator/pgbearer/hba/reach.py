"""Which connections a line of pg_hba.conf speaks of, as far as the line alone can say.

The first line that fits a connection decides it, alone: there is no going on to the next when it refuses. So a line is
never reached when one above it fits all that it fits.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from pgbearer.hba.address import network
from pgbearer.hba.line import Field, Line, Token
from pgbearer.hba.pattern import fits, is_pattern

__all__ = ["EVERYTHING", "Reach", "fits_all", "overlaps", "reach", "shadowed"]

_TRANSPORTS: Final = {
    "local": frozenset({"local"}),
    "host": frozenset({"tls", "gss", "plain"}),
    "hostssl": frozenset({"tls"}),
    "hostnossl": frozenset({"gss", "plain"}),
    "hostgssenc": frozenset({"gss"}),
    "hostnogssenc": frozenset({"tls", "plain"}),
}

_KEYWORDS: Final = ("replication", "sameuser", "samerole", "samegroup")
"""Which stand for databases, unquoted."""

Reach = frozenset[tuple[str, int]]
"""Ways over the network, each a transport and an IP version, from everywhere, to every database and role."""

EVERYTHING: Final[Reach] = frozenset((transport, version) for transport in _TRANSPORTS["host"] for version in (4, 6))


def reach(lines: Iterable[Line]) -> Reach:
    """The ways over the network that these lines decide for every database (but replication) and every role."""
    found: set[tuple[str, int]] = set()
    for line in lines:
        if line.type != "local" and fits_all(line.databases) and fits_all(line.users):
            found |= {(transport, version) for transport in _TRANSPORTS[line.type] for version in _everywhere(line)}
    return frozenset(found)


def fits_all(names: Field) -> bool:
    """Whether the keyword ``all`` is among the names."""
    return any(token.is_keyword("all") for token in names)


def shadowed(line: Line, above: Sequence[Line]) -> Line | None:
    """The line above that fits all that `line` fits, so that `line` never decides; None if there is none."""
    return next((other for other in above if _covers(other, line)), None)


def overlaps(one: Line, other: Line) -> bool:
    """Whether somebody could come by both, as far as databases and roles tell; who comes chooses how and from where."""
    return _may_share(one.databases, other.databases) and _may_share(one.users, other.users)


def _everywhere(line: Line) -> Iterable[int]:
    if line.address_is_keyword:
        return (4, 6) if line.address == "all" else ()
    net = network(line.address, line.netmask)
    return (net.version,) if net is not None and net.prefixlen == 0 else ()


def _covers(other: Line, line: Line) -> bool:
    return (
        _TRANSPORTS[line.type] <= _TRANSPORTS[other.type]
        and _names_cover(other.databases, line.databases, but="replication")
        and _names_cover(other.users, line.users)
        and _address_covers(other, line)
    )


def _names_cover(wide: Field, narrow: Field, but: str | None = None) -> bool:
    """`but` is the keyword that ``all`` does not stand for."""
    if fits_all(wide):
        rest = [token for token in narrow if but is not None and token.is_keyword(but)]
        return all(token in wide for token in rest)
    return all(token in wide for token in narrow)


def _address_covers(other: Line, line: Line) -> bool:
    if line.type == "local" or (other.address_is_keyword and other.address == "all"):
        return True
    wide, narrow = network(other.address, other.netmask), network(line.address, line.netmask)
    if wide is None or narrow is None:
        same = other.address, other.netmask, other.address_is_keyword
        return same == (line.address, line.netmask, line.address_is_keyword)
    return wide.version == narrow.version and narrow.subnet_of(wide)  # type: ignore[arg-type]


def _may_share(one: Field, other: Field) -> bool:
    return any(_may_be_one(this, that) for this in one for that in other)


def _may_be_one(this: Token, that: Token) -> bool:
    """A group may have any name; ``replication`` and the like are no name, and so no pattern is asked about them."""
    if this.is_keyword("all") or that.is_keyword("all") or "+" in (this.text[:1], that.text[:1]):
        return True
    if not is_pattern(this.text) and not is_pattern(that.text):
        return this.text == that.text
    pattern, name = (this, that) if is_pattern(this.text) else (that, this)
    known = not is_pattern(name.text) and not any(map(name.is_keyword, _KEYWORDS))
    return not known or fits(pattern.text, name.text) is not False
