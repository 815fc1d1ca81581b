"""What issuers have to do with one another when somebody logs in: behind whose HBA lines, and until when."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from pgbearer.tokens.denied import Denied
from pgbearer.tokens.spiffe_id import SPIFFE
from pgbearer.tokens.terms import Terms
from pgbearer.verified import Verified
from pgbearer.wire import Reason

__all__ = ["Move", "Neighbours"]

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
"""RFC 9562 section 4, in lower case: no two makers of them come to the same one by accident."""


@dataclass(frozen=True, slots=True)
class Move:
    """From one issuer to another, by their names in pgbearer.yaml."""

    old: str
    new: str
    until: date
    """The last day (UTC) on which tokens of the old one are accepted."""

    def __str__(self) -> str:
        return f"issuer {self.old!r} is being replaced by {self.new!r}, until {self.until}"

    @property
    def ends(self) -> float:
        """The moment at which they no longer are, epoch seconds."""
        after = self.until + timedelta(days=1)
        return datetime(after.year, after.month, after.day, tzinfo=UTC).timestamp()


class Neighbours:
    """All issuers, as far as each needs to know of the others. No state and no I/O.

    Args:
        terms: of every issuer.
    """

    def __init__(self, terms: Iterable[Terms]) -> None:
        known = {one.name: one for one in terms}
        self.moves = tuple(
            Move(one.replaces, one.name, one.until)
            for one in known.values()
            if one.replaces is not None and one.until is not None
        )
        """Every move, in the order of the new issuers in the file."""
        self.leaving = {move.old: move for move in self.moves}
        """The same by the name of the old issuer."""
        self._named = {url: one.name for one in known.values() for url in one.hba_issuers}
        self._shared = frozenset(_sharing(known))

    def admit(self, terms: Terms, hba_issuer: str, database: str, now: float) -> None:
        """The issuer has not been replaced, and the HBA line names it, or it is opened behind the one that it names.

        Args:
            terms: of the token's issuer.
            hba_issuer: ``issuer`` of the HBA line, or its well-known URL.
            database: that the login is for.
            now: epoch seconds.

        Raises:
            Denied: issuer_replaced or issuer_mismatch.
        """
        move = self.leaving.get(terms.name)
        if move is not None and now >= move.ends:
            raise Denied(Reason.ISSUER_REPLACED, f"{move.old!r} was replaced by {move.new!r}, until {move.until}")
        if hba_issuer not in terms.hba_issuers:
            self._admit_behind(terms, hba_issuer, database)

    def admit_subject(self, verified: Verified) -> None:
        """Where two issuers share their identities, only a subject will do that no two people have by accident.

        Raises:
            Denied: subject_invalid.
        """
        if verified.issuer in self._shared and not _UUID.fullmatch(verified.subject):
            what = f"sub {verified.subject!r} is no UUID, and {verified.issuer!r} shares identities with another issuer"
            denied = Denied(Reason.SUBJECT_INVALID, what)
            denied.authentic = True
            raise denied

    def _admit_behind(self, terms: Terms, hba_issuer: str, database: str) -> None:
        other = self._named.get(hba_issuer)
        if other is None or database not in terms.behind.get(other, ()):
            opened = "" if other is None else f", and {terms.name!r} is not opened behind {other!r} to {database!r}"
            what = f"the HBA line names {hba_issuer!r}, the token is of {terms.name!r}{opened}"
            raise Denied(Reason.ISSUER_MISMATCH, what)


def _sharing(known: Mapping[str, Terms]) -> Iterator[str]:
    """Names of issuers that yield the identities of another, anywhere along a line of moves.

    Two that do need not follow one another: the one between them may have identities of its own. A SPIFFE ID holds its
    trust domain, and nobody else's subject can be one; so those are nobody else's whatever the templates say.
    """
    for name, one in known.items():
        for old in _replaced(known, name):
            told_apart = SPIFFE in (one.profile.namespace, known[old].profile.namespace)
            if one.identity == known[old].identity and not told_apart:
                yield from (name, old)


def _replaced(known: Mapping[str, Terms], name: str) -> Iterator[str]:
    """Whom an issuer replaces, and whom those had replaced."""
    seen = {name}
    here = known[name].replaces
    while here is not None and here in known and here not in seen:
        seen.add(here)
        yield here
        here = known[here].replaces
