"""The way of a login: every check from the caller to the policy, in one function."""

import time
from dataclasses import dataclass, replace

from pgbearer.audit import Inquiry
from pgbearer.policy import Allow, Ask, Considered, Outcome, conclude, evaluate
from pgbearer.service.hearing import hear
from pgbearer.service.limits import Buckets
from pgbearer.service.state import State
from pgbearer.tokens import Denied, Verifiers
from pgbearer.verified import Verified
from pgbearer.wire import LoginRequest, Reason

__all__ = ["Judgement", "if_confirmed", "judge", "judgement_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What was decided and on what grounds."""

    reason: Reason
    detail: str | None = None
    authentic: bool = False
    """Whether the token's signature verified, even if a later check refused it."""
    verified: Verified | None = None
    keys_age: float | None = None
    """Seconds since the keys it was verified with were fetched."""
    allow: Allow | None = None
    rules: tuple[str, ...] = ()
    trace: tuple[Considered, ...] = ()
    decision_id: str | None = None
    """If deciders were asked: what they know the decision by."""
    asked: tuple[Inquiry, ...] = ()
    """What they said."""


async def judge(
    state: State,
    buckets: Buckets,
    caller: str | None,
    request: LoginRequest,
    now: float,
    whence: str | None = None,
) -> Judgement:
    """Decide one login. The checks stand in the order in which they are made, the cheap ones first.

    Args:
        state: the configuration in force when the request came.
        buckets: what each caller has left.
        caller: the asking server's name under ``servers:``, None if it is none of them.
        request: what it asks.
        now: epoch seconds.
        whence: the address that it asks from over the network (`Peer.whence`).
    """
    access = request.access
    if caller is None:
        return Judgement(reason=Reason.CALLER_UNKNOWN)
    rate = state.settings.limits.per_caller_per_second
    if not buckets.take(caller, rate=rate, now=time.monotonic(), whence=whence):
        return Judgement(reason=Reason.OVERLOADED, detail="limits.per_caller_per_second")
    if abs(skew := access.now / 1000 - now) > state.leeway:
        return Judgement(reason=Reason.CLOCK_SKEW, detail=f"the server's clock is {skew:+.1f} s from ours")
    if not access.role_attributes.exists:
        return Judgement(reason=Reason.ROLE_UNKNOWN)
    if not request.token:
        return Judgement(reason=Reason.TOKEN_MISSING)
    try:
        verified = await state.verifiers.verify(
            request.token,
            hba_issuer=access.hba.issuer,
            hba_scopes=access.hba.scopes,
            database=access.database,
            now=now,
            client_certificate=access.client.tls.client_cert_sha256 if access.client.tls else None,
        )
    except Denied as denied:
        return Judgement(reason=denied.reason, detail=denied.detail, authentic=denied.authentic)
    keys_age = state.verifiers.keys_age(verified.issuer)
    outcome = evaluate(state.policy, verified, access, server=caller, now=int(now), keys_age=keys_age)
    if isinstance(outcome, Ask):
        heard = await hear(state.panel, outcome, request.token)
        settled = _unless_revoked(state, judgement_of(conclude(outcome, heard.advice), verified, keys_age), now)
        settled = replace(settled, decision_id=heard.decision_id, asked=heard.inquiries)
    else:
        settled = judgement_of(outcome, verified, keys_age)
    if settled.allow is not None and settled.allow.critical:
        return await if_confirmed(state.verifiers, request.token, settled, now)
    return settled


async def if_confirmed(verifiers: Verifiers, token: str, judgement: Judgement, now: float) -> Judgement:
    """What holds of an allowed login of the critical tier once the issuer was asked, if its settings say so.

    Args:
        verifiers: know whom to ask.
        token: as the client sent it.
        judgement: allowed.
        now: epoch seconds.
    """
    assert judgement.verified is not None  # noqa: S101 -- what is allowed was verified
    try:
        await verifiers.confirm_critical(token, judgement.verified, now)
    except Denied as denied:
        return replace(judgement, reason=denied.reason, detail=denied.detail, allow=None, rules=())
    return judgement


def _unless_revoked(state: State, judgement: Judgement, now: float) -> Judgement:
    """What holds after deciders were waited for: a revocation acts at once, also on logins that were under way."""
    if judgement.allow is None or judgement.verified is None:
        return judgement
    try:
        state.verifiers.admit_unrevoked(judgement.verified, now)
    except Denied as denied:
        return replace(judgement, reason=denied.reason, detail=denied.detail, allow=None, rules=())
    return judgement


def judgement_of(outcome: Outcome, verified: Verified, keys_age: float | None) -> Judgement:
    """What the policy came to, about a token that was verified."""
    if isinstance(outcome, Allow):
        return Judgement(
            reason=Reason.ALLOWED,
            authentic=True,
            verified=verified,
            keys_age=keys_age,
            allow=outcome,
            rules=outcome.rules,
            trace=outcome.considered,
        )
    return Judgement(
        reason=outcome.reason,
        detail=outcome.detail,
        authentic=True,
        verified=verified,
        keys_age=keys_age,
        rules=(outcome.rule,) if outcome.rule else (),
        trace=outcome.considered,
    )
