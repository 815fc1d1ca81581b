"""The kinds of login that are compared, as psycopg users make them."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

import pgbearer

__all__ = ["COLD", "KINDS", "SCRAM", "TRUST", "WARM", "Kind", "Logins"]

TRUST, SCRAM, WARM, COLD = "trust", "scram-sha-256", "pgbearer warm", "pgbearer cold"
KINDS = (TRUST, SCRAM, WARM, COLD)
"""Warm: the service has seen the token in the last minute. Cold: every login brings a token it has never seen."""

Kind = str


@dataclass(frozen=True, slots=True)
class Logins:
    """How to log in, one kind after another; can be handed to another process.

    Args:
        where: connection keywords that all kinds share.
        password: of the role that logs in by SCRAM-SHA-256.
        issuer: whose tokens they are.
        warm: one token, used again and again.
        cold: tokens that are used once each.
    """

    where: Mapping[str, Any]
    password: str
    issuer: str
    warm: str
    cold: Sequence[str]

    def tokens(self, kind: Kind, first: int, count: int) -> list[str]:
        """Tokens for logins number `first` to `first + count` of this kind."""
        return list(self.cold[first : first + count]) if kind == COLD else [self.warm] * count

    def seconds(self, kind: Kind, token: str) -> float:
        """Log in and out once; how long the login took.

        Raises:
            Exception: whatever the login raises.
        """
        started = time.perf_counter()
        connection = self._connect(kind, token)
        took = time.perf_counter() - started
        connection.close()
        return took

    def _connect(self, kind: Kind, token: str) -> psycopg.Connection[Any]:
        if kind == TRUST:
            return psycopg.connect(**{**self.where, "user": "bench_trust"})
        if kind == SCRAM:
            return psycopg.connect(**{**self.where, "user": "bench_scram", "password": self.password})
        return pgbearer.connect(token=token, issuer=self.issuer, **{**self.where, "user": "bench_oauth"})
