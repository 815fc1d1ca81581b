"""Decisions as they come out of an audit file, for tests that read them."""

import json
from typing import Any

from pgbearer import policy
from pgbearer.audit import timestamp
from pgbearer.policy import Allow, Policy
from pgbearer.service.exchange import Peer
from pgbearer.service.judge import Judgement
from pgbearer.service.recording import login_record
from pgbearer.verified import Verified
from pgbearer.wire import LoginRequest, Reason
from tests.unit.logins import NOW, request, verified

__all__ = ["recorded", "recorded_outcome"]


def recorded(
    token: Verified | None,
    *,
    reason: Reason = Reason.NO_RULE,
    rules: tuple[str, ...] = (),
    policy_digest: str = "f" * 64,
    **changes: Any,
) -> dict[str, Any]:
    """The entry of a login by `token`, None if it was refused; `changes` are to the request."""
    judgement = Judgement(reason=reason, verified=token, rules=rules, keys_age=0.0)
    login = LoginRequest(1, "header.payload.signature", request(**changes))
    record = login_record(login, judgement, policy=policy_digest, server="local", peer=Peer(1, 26, 26), at=NOW * 1000)
    entry: dict[str, Any] = json.loads(json.dumps({"time": timestamp(record.at), **record.entry()}))
    return entry


def recorded_outcome(rules: Policy, **changes: Any) -> dict[str, Any]:
    """The entry of the usual login under `rules`; `changes` to the token or the request, told apart by their names."""
    person = {name: value for name, value in changes.items() if name in Verified.__dataclass_fields__}
    rest = {name: value for name, value in changes.items() if name not in person}
    token = verified(**person)
    outcome = policy.decide(rules, token, request(**rest), server="local", now=NOW, keys_age=0.0)
    if isinstance(outcome, Allow):
        return recorded(token, reason=Reason.ALLOWED, rules=outcome.rules, **rest)
    return recorded(token, reason=outcome.reason, rules=(outcome.rule,) if outcome.rule else (), **rest)
