"""From what was asked and judged to the record of it. The token goes in as a hash of which twelve digits are kept.

Ten thousand records stay in memory, and most say the same few names: those are kept once (`lru_cache`).
"""

from collections.abc import Hashable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

from pgbearer.audit import DecisionRecord, Facts
from pgbearer.service.exchange import Peer
from pgbearer.service.hearing import new_decision_id
from pgbearer.service.judge import Judgement
from pgbearer.tokens import token_ref
from pgbearer.verified import ClaimValue, Verified
from pgbearer.wire import AccessRequest, Echo, LoginRequest

__all__ = ["login_record", "undecoded_record"]

_T = TypeVar("_T", bound=Hashable)
_MOST_NAMES: Final = 512


def login_record(
    request: LoginRequest, judgement: Judgement, *, policy: str, server: str | None, peer: Peer, at: int
) -> DecisionRecord:
    """The record of a decided login.

    Args:
        request: what was asked.
        judgement: what was decided.
        policy: digest of the file it was decided by.
        server: the asking server's name, by the peer of the connection.
        peer: who asks.
        at: epoch milliseconds.
    """
    access = request.access
    return DecisionRecord(
        decision_id=judgement.decision_id or new_decision_id(),
        at=at,
        policy=policy,
        server=server,
        **_asking(peer),
        request_id=access.request_id,
        role=_once(access.role),
        database=_once(access.database),
        replication=access.replication.value,
        client_address=access.client.address and _once(access.client.address),
        client_port=access.client.port,
        backend_pid=access.backend.pid,
        token_ref=token_ref(request.token) if request.token else None,
        unverified=_unverified(access.application_name, access.server.instance, access.server.system_identifier),
        facts=_facts(access, judgement, at),
        **_judged(judgement),
    )


def undecoded_record(
    echo: Echo | None, judgement: Judgement, *, policy: str, server: str | None, peer: Peer, at: int
) -> DecisionRecord:
    """The record of a request of which only `echo`, or nothing, could be read; arguments as for `login_record`."""
    return DecisionRecord(
        decision_id=new_decision_id(),
        at=at,
        policy=policy,
        server=server,
        **_asking(peer),
        request_id=echo.request_id if echo else None,
        role=echo.role if echo else None,
        database=echo.database if echo else None,
        **_judged(judgement),
    )


def _asking(peer: Peer) -> dict[str, Any]:
    """The uid that the kernel tells of, or what the certificate says; of that, as much as fits a line."""
    if peer.uid >= 0:
        return {"peer_uid": peer.uid}
    return {"peer_uid": None, "peer_certificate": _once(", ".join(peer.names)[:_MOST_NAMES])}


@lru_cache(maxsize=256)
def _unverified(application_name: str | None, instance: str, system_identifier: str) -> Mapping[str, str | None]:
    return {"application_name": application_name, "instance": instance, "system_identifier": system_identifier}


def _facts(access: AccessRequest, judgement: Judgement, at: int) -> Facts:
    return Facts(
        skew=access.now - at,
        hba=_shared(access.hba),
        role_attributes=_shared(access.role_attributes),
        tls=_shared(access.client.tls),
        in_recovery=access.server.in_recovery,
        token=judgement.verified and _kept(judgement.verified),
        keys_age=judgement.keys_age,
    )


def _kept(verified: Verified) -> Verified:
    """Without what names one token or session, and with what other logins of the same people have said, too."""
    return replace(
        verified,
        subject=_once(verified.subject),
        identity=_once(verified.identity),
        token_ref="",
        token_id=None,
        session_id=None,
        claims=_shared_claims(tuple((name, type(value), value) for name, value in verified.claims.items())),
    )


@lru_cache(maxsize=1024)
def _shared_claims(claims: tuple[tuple[str, type, ClaimValue], ...]) -> Mapping[str, ClaimValue]:
    """By name, type and value: to a cache true is 1."""
    return {name: value for name, _, value in claims}


def _shared(value: _T) -> _T:
    """One of equal values: most logins come through the same HBA line, for the same few roles."""
    return cast("_T", _first_of_equals(value))


@lru_cache(maxsize=4096)
def _once(text: str) -> str:
    """One of equal texts, for as long as it is in use.

    Not `sys.intern`: in the first Pythons of 3.12 what it was given stays for ever (python/cpython#113993), and whoever
    can connect can name roles and databases without end.
    """
    return text


@lru_cache(maxsize=256)
def _first_of_equals(value: Hashable) -> Hashable:
    return value


def _judged(judgement: Judgement) -> dict[str, Any]:
    verified = judgement.verified
    members: dict[str, Any] = {
        "reason": judgement.reason,
        "rules": judgement.rules,
        "asked": judgement.asked,
        "detail": judgement.detail,
        "authentic": judgement.authentic,
    }
    if verified is not None:
        members |= {
            "verified": True,
            "issuer": verified.issuer,
            "identity": _once(verified.identity),
            "display": verified.display and _once(verified.display),
            "actors": verified.actor.chain if verified.actor else (),
        }
    if judgement.allow is not None:
        members["ends_at"] = judgement.allow.ends_at * 1000
    return members
