"""What an administrator asks for, made into revocations: checked, recorded, stored, and only then answered."""

import math
import secrets
import time
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field

from pgbearer.audit import AuditLog, timestamp
from pgbearer.config import Settings
from pgbearer.config.settings import Duration, Section
from pgbearer.service.command import RefusedCommandError
from pgbearer.service.revocation_file import RevocationStore
from pgbearer.tokens import LEAST_SECONDS, MOST_REVOCATIONS, Revocation, RevocationKind, Revocations, TooManyError

__all__ = ["Lift", "Revoke", "lift", "listed", "revoke"]

_MONTH: Final = 30 * 86400
_LASTS: Final[Mapping[RevocationKind, int | None]] = {
    "kid": None,  # the issuer may go on publishing a key that leaked
    "sub": None,  # the account may stay as it is at the issuer
    "sid": _MONTH,
    "jti": _MONTH,
    "before": _MONTH,
}
"""How long each kind lasts unless it is said, in seconds; None: until it is lifted."""

_AHEAD: Final = 300
"""Seconds: further ahead than any leeway, a moment to come would keep everybody out until then."""

_Text = Annotated[str, Field(min_length=1, max_length=1024)]
_Ticket = Annotated[str, Field(min_length=1, max_length=256)]


class Revoke(Section):
    """The command to revoke: one of kid, sid, sub and jti, or before, or sub with before."""

    kid: _Text | None = None
    sid: _Text | None = None
    sub: _Text | None = None
    jti: _Text | None = None
    before: Annotated[int, Field(ge=0)] | None = None
    """Epoch seconds."""
    issuer: str | None = None
    """A name under ``issuers:``."""
    for_: Annotated[Duration | None, Field(alias="for")] = None
    ticket: _Ticket | None = None

    def revocation(self, settings: Settings, *, peer_uid: int, now: float) -> Revocation:
        """The revocation that the command asks for.

        Args:
            settings: in force; they know the issuer.
            peer_uid: who asks.
            now: epoch seconds.

        Raises:
            RefusedCommandError: it would not mean anything, or not last.
        """
        kind, value = self._kind()
        made_at = math.floor(now)
        if self.before is not None and self.before > made_at + _AHEAD:
            raise RefusedCommandError("--before is to come: nobody could log in until then")
        lasts = _LASTS[kind] if self.for_ is None else self.for_
        if lasts is not None and lasts < LEAST_SECONDS:
            raise RefusedCommandError(f"--for is at least {LEAST_SECONDS // 3600}h, or a token could outlast it")
        return Revocation(
            id=secrets.token_hex(6),
            kind=kind,
            value=value,
            before=self.before,
            issuer=None if self.issuer is None else _issuer_url(self.issuer, settings),
            made_at=made_at,
            until=None if lasts is None else made_at + lasts,
            ticket=self.ticket,
            peer_uid=peer_uid,
        )

    def _kind(self) -> tuple[RevocationKind, str]:
        kinds: tuple[tuple[RevocationKind, str | None], ...] = (
            ("kid", self.kid),
            ("sid", self.sid),
            ("sub", self.sub),
            ("jti", self.jti),
        )
        given = [(kind, value) for kind, value in kinds if value is not None]
        if not given and self.before is not None:
            return "before", ""
        if len(given) != 1:
            raise RefusedCommandError("say one of --kid, --sid, --sub, --jti and --before")
        if self.before is not None and self.sub is None:
            raise RefusedCommandError("--before stands alone, or with --sub")
        return given[0]


class Lift(Section):
    """The command to lift a revocation."""

    ticket: _Ticket | None = None


async def revoke(
    command: Revoke, store: RevocationStore, settings: Settings, audit: AuditLog, *, peer_uid: int
) -> dict[str, Any]:
    """Revoke, recorded first; at the return it is in force and stored.

    Returns:
        The revocation as it is listed.

    Raises:
        RefusedCommandError: it would not mean anything, or there are too many.
        AuditUnavailable: it could not be recorded, and was not made.
        StoreUnavailable: it could not be stored, and was not made.
    """
    new = command.revocation(settings, peer_uid=peer_uid, now=time.time())
    audit.note("revoke", peer_uid=peer_uid, revocation=entry(new))
    try:
        after = await store.change(lambda present: present.adding(new))
    except TooManyError as error:
        raise RefusedCommandError(f"{error}; lift some", 409) from None
    return entry(after.find(new.id) or new)


async def lift(name: str, command: Lift, store: RevocationStore, audit: AuditLog, *, peer_uid: int) -> dict[str, Any]:
    """Lift the revocation with this id, recorded first.

    Returns:
        The revocation as it was listed.

    Raises:
        RefusedCommandError: there is none.
        AuditUnavailable: it could not be recorded, and stays.
        StoreUnavailable: that could not be stored, and it stays.
    """
    found = store.current().find(name)
    if found is None:
        raise RefusedCommandError("there is no such revocation", 404)
    audit.note("lift", peer_uid=peer_uid, revocation=entry(found), ticket=command.ticket)
    await store.change(lambda present: present.without(name))
    return entry(found)


def listed(revocations: Revocations, now: float) -> dict[str, Any]:
    """Those in force at `now` (epoch seconds), the oldest first."""
    present = [entry(one) for one in revocations.entries if one.in_force(now)]
    return {"revocations": present, "most": MOST_REVOCATIONS}


def entry(revocation: Revocation) -> dict[str, Any]:
    """A revocation as people and the audit see it, in reading order."""
    return {
        "id": revocation.id,
        "kind": revocation.kind,
        "value": revocation.value or None,
        "before": None if revocation.before is None else timestamp(revocation.before * 1000),
        "issuer": revocation.issuer,
        "made_at": timestamp(revocation.made_at * 1000),
        "until": None if revocation.until is None else timestamp(revocation.until * 1000),
        "peer_uid": revocation.peer_uid,
        "ticket": revocation.ticket,
    }


def _issuer_url(name: str, settings: Settings) -> str:
    if name not in settings.issuers:
        raise RefusedCommandError(f"no issuer {name!r}; there is {', '.join(sorted(settings.issuers))}")
    return settings.issuers[name].issuer
