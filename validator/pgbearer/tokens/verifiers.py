"""All issuers together: which one a token belongs to, whether this login may use it, and what was verified before."""

import asyncio
import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from pgbearer.config.settings import Issuer, Settings
from pgbearer.http import Fetcher
from pgbearer.tokens.cache import ClaimsCache
from pgbearer.tokens.denied import Denied
from pgbearer.tokens.discovery import Getter
from pgbearer.tokens.introspection import Introspector
from pgbearer.tokens.keyset import KeySet, KeyStatus
from pgbearer.tokens.neighbours import Neighbours
from pgbearer.tokens.revocations import Revocations
from pgbearer.tokens.sources import open_source
from pgbearer.tokens.spiffe_id import SPIFFE, trust_domain_of
from pgbearer.tokens.unverified import MAX_TOKEN_BYTES, Unverified, parse
from pgbearer.tokens.verifier import Accepted, Verifier
from pgbearer.tokens.witness import Witness
from pgbearer.verified import Verified
from pgbearer.wire import Reason

__all__ = ["Verifiers", "build_verifiers", "token_ref"]

_log = logging.getLogger(__name__)


class Verifiers:
    """Verifies tokens of any configured issuer. For one event loop.

    Args:
        verifiers: one an issuer.
        token_bytes: the longest token that is looked at.
        cached_tokens: the most verified tokens that are remembered; 0 for none.
        revoked: says what is revoked, at every login anew; no I/O.
        cache: for tests, one with another clock.
    """

    def __init__(
        self,
        verifiers: Iterable[Verifier],
        *,
        token_bytes: int = MAX_TOKEN_BYTES,
        cached_tokens: int = 10_000,
        revoked: Callable[[], Revocations] = Revocations,
        cache: ClaimsCache | None = None,
    ) -> None:
        self.by_name = {verifier.name: verifier for verifier in verifiers}
        self.cache = ClaimsCache(cached_tokens) if cache is None else cache  # an empty cache is falsy
        self.neighbours = Neighbours(verifier.terms for verifier in self.by_name.values())
        self.revoked = revoked
        self._token_bytes = token_bytes
        self._by_issuer: dict[str | None, list[Verifier]] = defaultdict(list)
        self._by_domain: dict[str | None, list[Verifier]] = defaultdict(list)
        for verifier in self.by_name.values():
            of_domains = verifier.terms.profile.namespace == SPIFFE
            (self._by_domain if of_domains else self._by_issuer)[verifier.terms.issuer].append(verifier)
        self._starting: tuple[asyncio.Task[None], ...] = ()

    async def start(self, within: float | None = None) -> None:
        """Fetch every issuer's keys and keep them fresh; an unreachable issuer is no error, `status` tells.

        Args:
            within: seconds after which it returns, and fetching goes on; None: once each issuer answered or failed.
        """
        self._starting = tuple(asyncio.create_task(verifier.keys.start()) for verifier in self.by_name.values())
        for one in self._starting:
            one.add_done_callback(_started)
        await asyncio.wait(self._starting, timeout=within)

    async def aclose(self) -> None:
        """Stop fetching and forget what was verified."""
        for one in self._starting:
            one.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        self.cache.clear()
        introspectors = [verifier.introspector for verifier in self.by_name.values() if verifier.introspector]
        await asyncio.gather(
            *(verifier.keys.aclose() for verifier in self.by_name.values()), *(one.aclose() for one in introspectors)
        )

    def status(self, now: float) -> tuple[KeyStatus, ...]:
        """How every issuer's keys stand, those left out that are revoked at `now` (epoch seconds)."""
        return tuple(
            verifier.keys.status().less(partial(self.revoked().of_key, verifier.terms.issuer, now=now))
            for verifier in self.by_name.values()
        )

    async def verify(
        self,
        token: str,
        *,
        hba_issuer: str,
        hba_scopes: Sequence[str],
        database: str,
        now: float,
        client_certificate: str | None = None,
    ) -> Verified:
        """What the token says, once everything about it is verified.

        Args:
            token: as the client sent it.
            hba_issuer: ``issuer`` of the HBA line, or its well-known URL.
            hba_scopes: ``scope`` of the HBA line; all must be in the token.
            database: that the login is for.
            now: epoch seconds.
            client_certificate: SHA-256 (hex) of the TLS client certificate that PostgreSQL verified on this connection.

        Raises:
            Denied: with the reason of the first check that failed.
        """
        verifier, accepted = await self._verify(token, hba_issuer, database, now)
        self.admit_unrevoked(accepted.verified, now)
        self.neighbours.admit(verifier.terms, hba_issuer, database, now)
        self.neighbours.admit_subject(accepted.verified)
        _admit_scopes(accepted.verified, hba_scopes, verifier.terms.implied_scopes)
        _admit_holder(accepted.verified, client_certificate)
        if verifier.witness is not None:
            await _confirm(verifier.witness, token, accepted.verified)
            self.admit_unrevoked(accepted.verified, now)
        return accepted.verified

    async def confirm_critical(self, token: str, verified: Verified, now: float) -> None:
        """Before a rule of the critical tier lets somebody in: the issuer is asked, if it is to be asked just then.

        Args:
            token: as the client sent it.
            verified: what `verify` made of it.
            now: epoch seconds.

        Raises:
            Denied: as the issuer says, or because it says nothing; or the token was revoked meanwhile.
        """
        witness = self.by_name[verified.issuer].critical_witness
        if witness is not None:
            await _confirm(witness, token, verified)
            self.admit_unrevoked(verified, now)

    def keys_age(self, issuer: str) -> float | None:
        """Seconds since the keys of the issuer of this name were last fetched; None if never."""
        return self.by_name[issuer].keys.age

    async def _verify(self, token: str, hba_issuer: str, database: str, now: float) -> tuple[Verifier, Accepted]:
        if len(token) <= self._token_bytes and token.isascii():
            digest = hashlib.sha256(token.encode("ascii")).digest()
            known = self.cache.recall(digest, now)
            if known is not None:
                return known
        unverified = parse(token, max_bytes=self._token_bytes)
        verifier = self._choose(unverified)
        self.neighbours.admit(verifier.terms, hba_issuer, database, now)
        self._admit_key(verifier, unverified, now)
        accepted = await verifier.verify(unverified, now)
        self.cache.remember(unverified.digest, verifier, accepted)
        return verifier, accepted

    def _admit_key(self, verifier: Verifier, token: Unverified, now: float) -> None:
        """The key that the token names is not revoked: said before it is looked for and before its signature counts."""
        revocation = self.revoked().of_key(verifier.terms.issuer, token.key_id, now)
        if revocation is not None:
            raise revocation.denied()

    def admit_unrevoked(self, verified: Verified, now: float) -> None:
        """Nothing revokes the token at this moment, whether it has just been verified or is remembered.

        To be asked again after everything that is waited for: a revocation is in force when its command has ended.

        Raises:
            Denied: token_revoked or key_denied.
        """
        revocation = self.revoked().of(verified, now)
        if revocation is not None:
            denied = revocation.denied()
            denied.authentic = True
            raise denied

    def _choose(self, token: Unverified) -> Verifier:
        """The issuer whose keys are to be tried; unverified, what says so decides nothing else.

        It is known by its exact ``iss``, or by the trust domain of a SPIFFE ID in ``sub``; never by both.

        Raises:
            Denied: claim_missing, claim_type, issuer_unknown or issuer_ambiguous.
        """
        issuer, domain = token.payload.get("iss"), trust_domain_of(token.payload.get("sub"))
        if issuer is None and domain is None:
            raise Denied(Reason.CLAIM_MISSING, "claim 'iss'")
        if issuer is not None and not isinstance(issuer, str):
            raise Denied(Reason.CLAIM_TYPE, "claim 'iss' is not a string")
        found: list[Verifier] = [*self._by_domain.get(domain, ()), *self._by_issuer.get(issuer, ())]
        if not found:
            raise Denied(
                Reason.ISSUER_UNKNOWN, f"iss {issuer!r}, trust domain {domain!r}" if domain else f"iss {issuer!r}"
            )
        if len(found) > 1:
            raise Denied(Reason.ISSUER_AMBIGUOUS, f"iss {issuer!r} is that of {', '.join(v.name for v in found)}")
        return found[0]


def build_verifiers(
    settings: Settings,
    *,
    previous: Verifiers | None = None,
    revoked: Callable[[], Revocations] | None = None,
    fetcher: Callable[[Path | None], Getter] = Fetcher,
) -> Verifiers:
    """Verifiers for `settings`, not started yet; on a reload they take over the keys that `previous` knows.

    The cache starts empty: what was accepted under other terms is verified again.

    Args:
        settings: the whole file.
        previous: what served until now; it is left as it is, for the caller to close once the new ones serve.
        revoked: says what is revoked; None asks whom `previous` asks.
        fetcher: makes the fetcher for a CA file; for tests.

    Raises:
        UsageError: for an identity template that makes no stable key, or an unusable CA file.
    """
    known: Mapping[str, Verifier] = previous.by_name if previous else {}
    verifiers = [_verifier(name, issuer, fetcher, known.get(name)) for name, issuer in settings.issuers.items()]
    return Verifiers(
        verifiers,
        token_bytes=settings.limits.token_bytes,
        cached_tokens=settings.limits.cached_tokens,
        revoked=revoked or (previous.revoked if previous else Revocations),
    )


def _verifier(
    name: str, issuer: Issuer, fetcher: Callable[[Path | None], Getter], previous: Verifier | None
) -> Verifier:
    getter, witness = open_source(issuer, fetcher)
    introspector = Introspector(issuer, issuer.introspection) if issuer.introspection else None
    return Verifier(name, issuer, KeySet(name, issuer, getter, inherit=_keys(previous)), witness, introspector)


def token_ref(token: str | bytes) -> str:
    """The first 12 hex digits of SHA-256(token), for records of tokens that were refused; `Verified` has its own."""
    raw = token if isinstance(token, bytes) else token.encode("utf-8", "surrogatepass")
    return hashlib.sha256(raw).hexdigest()[:12]


def _started(task: "asyncio.Task[None]") -> None:
    """Say so if fetching died of a bug; that issuer has no keys then, and the others are not held up."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("fetching keys failed", exc_info=error)


def _keys(verifier: Verifier | None) -> KeySet | None:
    return verifier.keys if verifier else None


def _admit_scopes(verified: Verified, hba_scopes: Sequence[str], implied: frozenset[str]) -> None:
    """Every scope of the HBA line is in the token, exactly (RFC 6749 section 3.3), or implied for its issuer."""
    missing = {scope for listed in hba_scopes for scope in listed.split()} - verified.scopes - implied
    if missing:
        denied = Denied(Reason.SCOPE_MISSING, f"scope {min(missing)!r}")
        denied.authentic = True
        raise denied


async def _confirm(witness: Witness, token: str, verified: Verified) -> None:
    """Whoever is to be asked at each login confirms the token; last, so that nobody is asked about what is refused."""
    try:
        await witness.confirm(token, verified)
    except Denied as denied:
        denied.authentic = True
        raise


def _admit_holder(verified: Verified, client_certificate: str | None) -> None:
    """A token that is bound to a certificate comes over TLS with that certificate (RFC 8705 section 3)."""
    if verified.certificate is not None and verified.certificate != client_certificate:
        held = "there is no verified one" if client_certificate is None else "it is another"
        denied = Denied(Reason.SENDER_CONSTRAINED, f"bound to a client certificate, and {held}")
        denied.authentic = True
        raise denied
