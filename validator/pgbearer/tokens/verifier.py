"""From a token to what is known: the one place where `Unverified` becomes `Verified`."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar, cast

from pgbearer.config.settings import Issuer
from pgbearer.tokens.checks import CLAIM_CHECKS, HEADER_CHECKS, audience_of
from pgbearer.tokens.claims import declared_claims, names_at, scope_tokens, string_list_at
from pgbearer.tokens.denied import Denied, printable
from pgbearer.tokens.introspection import Introspector
from pgbearer.tokens.keys import Key
from pgbearer.tokens.keyset import KeySet
from pgbearer.tokens.kinds import certificate_of
from pgbearer.tokens.signature import signature_is_the_keys
from pgbearer.tokens.terms import Terms
from pgbearer.tokens.unverified import Unverified
from pgbearer.tokens.witness import Witness
from pgbearer.verified import Verified

__all__ = ["Accepted", "Verifier"]

_T = TypeVar("_T", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A token that passed, with what must be asked again as time goes on."""

    verified: Verified
    key: Key
    valid_from: float
    """Epoch seconds, leeway included: the later of ``iat`` and ``nbf``."""
    valid_until: float
    """Epoch seconds, leeway included; at this moment it is no longer valid."""


class Verifier:
    """Verifies the tokens of one issuer. Stateless but for the keys; for one event loop.

    Args:
        name: the issuer's name in pgbearer.yaml.
        settings: of the issuer.
        keys: the issuer's keys; whoever made them starts and closes them.
        witness: who is asked whether a verified token still holds, at each login or only for the critical tier; None:
            nobody.
        introspector: the same by introspection, and then nobody else; whoever made it closes it.

    Raises:
        UsageError: if the identity template makes no stable key.
    """

    def __init__(
        self,
        name: str,
        settings: Issuer,
        keys: KeySet,
        witness: Witness | None = None,
        introspector: Introspector | None = None,
    ) -> None:
        self.name = name
        self.settings = settings
        self.keys = keys
        self.introspector = introspector
        asked = introspector or witness
        for_critical = asked is not None and asked.critical_only
        self.critical_witness = asked if for_critical else None
        self.witness = None if for_critical else asked
        self.terms = Terms.of(name, settings)

    async def verify(self, token: Unverified, now: float) -> Accepted:
        """Every check, the cheap ones first, the claims only once the signature stands.

        Args:
            token: as `parse` returned it.
            now: epoch seconds.

        Raises:
            Denied: the first check that fails; `authentic` tells whether the signature had verified by then.
        """
        for check in HEADER_CHECKS:
            check(token, self.terms, now)
        key = await self.keys.key(token.key_id, token.algorithm)
        signature_is_the_keys(token, key)
        try:
            for check in CLAIM_CHECKS:
                check(token, self.terms, now)
            return self._accepted(token, key)
        except Denied as denied:
            denied.authentic = True
            raise

    def still_accepts(self, accepted: Accepted, now: float) -> bool:
        """Whether what these terms accepted would be accepted at `now` (epoch seconds), with the keys as they are."""
        if not accepted.valid_from <= now < accepted.valid_until:
            return False
        not_before = self.terms.not_before
        if not_before is not None and accepted.verified.issued_at < not_before:
            return False
        try:
            return self.keys.find(accepted.key.kid) is accepted.key
        except Denied:  # the whole verification, which follows, says why
            return False

    def _accepted(self, token: Unverified, key: Key) -> Accepted:
        terms, payload = self.terms, token.payload
        issued_at, expires_at = int(str(payload["iat"])), int(str(payload["exp"]))
        not_before = int(str(payload.get("nbf", issued_at)))
        return Accepted(
            verified=_verified(token, terms, key, issued_at, expires_at),
            key=key,
            valid_from=max(issued_at, not_before) - terms.leeway,
            valid_until=expires_at + terms.leeway,
        )


def _verified(token: Unverified, terms: Terms, key: Key, issued_at: int, expires_at: int) -> Verified:
    payload = token.payload
    subject = str(payload["sub"])
    client = _text(payload.get(terms.profile.client))
    workload = terms.profile.workload
    claims = declared_claims(payload if workload is None else {**payload, **workload(payload)}, terms.claims)
    return Verified(
        issuer=terms.name,
        issuer_url=terms.issuer,
        subject=subject,
        identity=terms.identity.render(subject, client, claims),
        display=_display(payload.get(terms.display)),
        client=client,
        audience=_shared(tuple(sorted(audience_of(token)))),
        scopes=_shared(scope_tokens(payload, terms.profile.scopes)),
        token_roles=_shared(string_list_at(payload, terms.token_roles)),
        groups=_shared(string_list_at(payload, terms.groups)),
        organizations=_shared(names_at(payload, terms.organizations)),
        claims=claims,
        issued_at=issued_at,
        expires_at=expires_at,
        token_id=_text(payload.get(terms.profile.names_it)),
        session_id=_text(payload.get("sid")),
        key_id=key.kid,
        actor=_shared(terms.agents.actor_of(token, terms.profile.client)),
        auth_time=_seconds(payload.get("auth_time")),
        acr=_text(payload.get("acr")),
        certificate=certificate_of(token),
        token_ref=token.token_ref,
    )


def _shared(value: _T) -> _T:
    """One of equal values: thousands of remembered tokens say the same few scopes, roles and groups."""
    return cast("_T", _first_of_equals(value))


@lru_cache(maxsize=1024)
def _first_of_equals(value: Hashable) -> Hashable:
    return value


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _seconds(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _display(value: object) -> str | None:
    """Something to show; nothing depends on it, so what cannot be shown is escaped or left out instead of refused."""
    return printable(value[:100]) if isinstance(value, str) else None
