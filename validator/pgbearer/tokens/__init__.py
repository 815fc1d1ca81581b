"""Verify an access token for one issuer; key sets and their refresh."""

from pgbearer.tokens.denied import Denied, printable
from pgbearer.tokens.identity import IdentityTemplate
from pgbearer.tokens.keyset import KeySet, KeyStatus
from pgbearer.tokens.neighbours import Move
from pgbearer.tokens.revocations import (
    LEAST_SECONDS,
    MOST_REVOCATIONS,
    Revocation,
    RevocationKind,
    Revocations,
    TooManyError,
)
from pgbearer.tokens.spiffe_id import trust_domain_of
from pgbearer.tokens.unverified import Unverified, parse
from pgbearer.tokens.verifier import Accepted, Verifier
from pgbearer.tokens.verifiers import Verifiers, build_verifiers, token_ref

__all__ = [
    "LEAST_SECONDS",
    "MOST_REVOCATIONS",
    "Accepted",
    "Denied",
    "IdentityTemplate",
    "KeySet",
    "KeyStatus",
    "Move",
    "Revocation",
    "RevocationKind",
    "Revocations",
    "TooManyError",
    "Unverified",
    "Verifier",
    "Verifiers",
    "build_verifiers",
    "parse",
    "printable",
    "token_ref",
    "trust_domain_of",
]
