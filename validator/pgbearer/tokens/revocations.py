"""What is no longer accepted although it would verify: values to look in, for a login costs no more than that.

They are data here. Who makes and keeps them is `pgbearer.service`'s to say; a login only reads what is in memory.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from pgbearer.config.settings import Section
from pgbearer.tokens.denied import Denied
from pgbearer.verified import Verified
from pgbearer.wire import Reason

__all__ = ["LEAST_SECONDS", "MOST_REVOCATIONS", "Revocation", "RevocationKind", "Revocations", "TooManyError"]

LEAST_SECONDS: Final = 25 * 3600
"""How long a revocation lasts at least: longer than any token that was made before it, whatever the settings are or
will be (``max_lifetime`` is at most a day and ``leeway`` five minutes)."""

MOST_REVOCATIONS: Final = 10_000
"""In force at a time."""

RevocationKind = Literal["kid", "sid", "sub", "jti", "before"]


_Moment = Annotated[int, Field(ge=0, le=253_402_300_799)]
"""Epoch seconds, up to the year 9999."""


class Revocation(Section):
    """Tokens that are refused: those with one value in one claim, or all that are older than a moment."""

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    kind: RevocationKind
    value: Annotated[str, Field(max_length=1024)]
    """Of the header's ``kid``, or of the claim; empty for kind ``before``."""
    before: _Moment | None = None
    """Only tokens issued (``iat``) before this moment, epoch seconds. With kinds ``before`` and ``sub``."""
    issuer: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    """Only tokens with this ``iss``; None: those of every issuer. Not the name in pgbearer.yaml, which can change."""
    made_at: _Moment
    """Epoch seconds."""
    until: _Moment | None
    """When it ends, epoch seconds; None: when it is lifted."""
    ticket: Annotated[str, Field(max_length=256)] | None = None
    """Why, for people."""
    peer_uid: int
    """Who made it, as the kernel knew it."""

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        if (self.kind == "before") != (self.value == ""):
            raise ValueError("a value, or a moment alone")
        if (self.before is not None) != (self.kind == "before") and self.kind != "sub":
            raise ValueError("before stands alone or with sub")
        return self

    @property
    def selector(self) -> tuple[object, ...]:
        """Which tokens it is about; two revocations that agree on it differ in their end at most."""
        return self.kind, self.value, self.before, self.issuer

    @property
    def reason(self) -> Reason:
        """What a login that it refuses is refused for."""
        return Reason.KEY_DENIED if self.kind == "kid" else Reason.TOKEN_REVOKED

    def denied(self) -> Denied:
        """The refusal, naming the revocation and not what it is about."""
        return Denied(self.reason, f"revocation {self.id} ({self.kind})")

    def in_force(self, now: float) -> bool:
        """Whether it has not ended at `now` (epoch seconds)."""
        return self.until is None or now < self.until

    def covers(self, issuer_url: str, issued_at: int, now: float) -> bool:
        """Whether it is about tokens of this ``iss`` that are this old, and in force at `now` (epoch seconds)."""
        of_issuer = self.issuer is None or self.issuer == issuer_url
        return of_issuer and (self.before is None or issued_at < self.before) and self.in_force(now)


class TooManyError(ValueError):
    """There is no room for one more."""


class Revocations:
    """A set of revocations, ready to be asked. Immutable: a change makes another one.

    Args:
        entries: in the order in which they were made.
    """

    def __init__(self, entries: Iterable[Revocation] = ()) -> None:
        self.entries = tuple(entries)
        self._by_value: dict[tuple[str, str], list[Revocation]] = defaultdict(list)
        for entry in self.entries:
            self._by_value[entry.kind, entry.value].append(entry)
        # Of those that are about age alone the latest moment of each issuer says it all: the others are within it.
        self._latest: dict[str | None, Revocation] = {
            entry.issuer: entry
            for entry in sorted(self._by_value.pop(("before", ""), ()), key=lambda entry: entry.before or 0)
        }

    def __len__(self) -> int:
        return len(self.entries)

    def of_key(self, issuer_url: str, kid: object, now: float) -> Revocation | None:
        """What revokes the key of this ``iss`` with this ``kid`` at `now` (epoch seconds), or None."""
        found = self._by_value.get(("kid", kid), ()) if isinstance(kid, str) else ()
        return next((entry for entry in found if entry.covers(issuer_url, 0, now)), None)

    def of(self, verified: Verified, now: float) -> Revocation | None:
        """What revokes a token at `now` (epoch seconds), or None. A token that lacks a claim is not revoked by it."""
        if not self.entries:
            return None
        claims = (("jti", verified.token_id), ("sid", verified.session_id), ("sub", verified.subject))
        for kind, value in (*claims, ("kid", verified.key_id)):
            for entry in self._by_value.get((kind, value), ()) if value is not None else ():
                if entry.covers(verified.issuer_url, verified.issued_at, now):
                    return entry
        for issuer in (verified.issuer_url, None):
            latest = self._latest.get(issuer)
            # Not asked whether it has ended: a token that is older than it has expired by then.
            if latest is not None and latest.before is not None and verified.issued_at < latest.before:
                return latest
        return None

    def find(self, name: str) -> Revocation | None:
        """The one with this id."""
        return next((entry for entry in self.entries if entry.id == name), None)

    def adding(self, new: Revocation) -> "Revocations":
        """These, less those that have ended when `new` was made, and `new`.

        One about the same tokens is replaced, and does not end sooner than it would have.

        Raises:
            TooManyError: there are `MOST_REVOCATIONS` already.
        """
        present = [entry for entry in self.entries if entry.in_force(new.made_at)]
        same = [entry for entry in present if entry.selector == new.selector]
        ends = [entry.until for entry in (*same, new)]
        until = None if None in ends else max(end for end in ends if end is not None)
        kept = [entry for entry in present if entry not in same]
        if len(kept) >= MOST_REVOCATIONS:
            raise TooManyError(f"{MOST_REVOCATIONS} revocations are in force, which is the most there may be")
        return Revocations((*kept, new.model_copy(update={"until": until})))

    def without(self, name: str) -> "Revocations":
        """These, less the one with this id."""
        return Revocations(entry for entry in self.entries if entry.id != name)
