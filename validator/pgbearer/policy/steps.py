"""The checks of a login in the order in which they are made, and what each one saw in a recorded decision."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from pgbearer.audit.inquiry import told
from pgbearer.policy.recorded import reason_of
from pgbearer.policy.words import listed
from pgbearer.wire import Reason

__all__ = ["RULE_REASONS", "STAGES", "STILL_GOOD", "Stage", "Step", "steps_of"]

Entry = Mapping[str, Any]

_WELL_KNOWN: Final = re.compile(r"/\.well-known/(?:openid-configuration|oauth-authorization-server)")
"""An HBA line may name an issuer's metadata instead: the last part of the address (OpenID Connect Discovery 1.0), or
one between host and path (RFC 8414 section 3.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One check. `saw` may be empty: of a token that was refused nothing is recorded that might not be true."""

    step: str
    outcome: Literal["passed", "failed", "not reached"]
    saw: str


@dataclass(frozen=True, slots=True)
class Stage:
    """A check, the reasons with which it can refuse, and what it looks at."""

    name: str
    reasons: frozenset[Reason]
    saw: Callable[[Entry], str | None]


def steps_of(entry: Entry, *, rules: int) -> tuple[Step, ...]:
    """Every check of a recorded decision.

    Args:
        entry: the decision as its audit line has it.
        rules: how many rules the policy has.
    """
    reason = reason_of(entry)
    stages = _in_order(entry, reason)
    failed_at = next((at for at, stage in enumerate(stages) if reason in stage.reasons), len(stages))
    return tuple(_step(stage, at - failed_at, entry, rules) for at, stage in enumerate(stages))


def _in_order(entry: Entry, reason: Reason) -> tuple["Stage", ...]:
    """For the critical tier alone the issuer is asked last: what it refuses then was verified, and allowed by rules."""
    if not entry.get("verified") or reason not in STILL_GOOD.reasons:
        return STAGES
    *others, record = (stage for stage in STAGES if stage is not STILL_GOOD)
    return (*others, STILL_GOOD, record)


def _step(stage: Stage, distance: int, entry: Entry, rules: int) -> Step:
    if stage.name == "record" and distance > 0:
        return Step(step=stage.name, outcome="passed", saw="the refusal was recorded before it was answered")
    if distance > 0:
        return Step(step=stage.name, outcome="not reached", saw="")
    saw = _seen(stage, entry)
    if stage.name == "rules":
        matched = ", ".join(entry.get("rules") or ())
        saw = f"{_count(rules)} in the policy" + (f"; decided by {matched}" if matched else "")
    if distance == 0:
        reason = reason_of(entry)
        said = entry.get("detail") or reason.meaning
        if stage.name == "deciders" and entry.get("asked"):  # the detail is their answers, and they say more
            said, saw = saw, ""
        saw = f"{reason.value}: {said.rstrip('.')}" + (f" ({saw})" if saw else "")
        return Step(step=stage.name, outcome="failed", saw=saw)
    return Step(step=stage.name, outcome="passed", saw=saw)


def _seen(stage: Stage, entry: Entry) -> str:
    try:
        return stage.saw(entry) or ""
    except (KeyError, TypeError):  # of what is not recorded nothing is said
        return ""


def _count(rules: int) -> str:
    return f"{rules} rule{'' if rules == 1 else 's'}"


def _clock(entry: Entry) -> str:
    seconds = round(entry["facts"]["skew_ms"] / 1000, 1)
    return f"the database server's clock {f'is {seconds:+.1f} s from' if seconds else 'agrees with'} ours"


def _role(entry: Entry) -> str:
    attributes = entry["facts"]["role_attributes"]
    if not attributes["exists"]:
        return f"{entry['role']} is not in the catalog"
    raised = [name for name, value in attributes.items() if value is True and name != "exists"]
    raised += [f"member of {name}" for name in attributes["member_of"]]
    return f"{entry['role']} exists; " + (f"privileged: {listed(raised, word='and')}" if raised else "not privileged")


def _issuer(entry: Entry) -> str:
    token, named = entry["facts"]["token"], entry["facts"]["hba"]["issuer"]
    own = _WELL_KNOWN.sub("", named).rstrip("/") == token["issuer_url"].rstrip("/")
    opened = "" if own else f", behind which it is opened to {entry['database']}"
    return f"{entry['issuer']} ({token['issuer_url']}); the HBA line names {named}{opened}"


def _times(entry: Entry) -> str:
    issued, expires = (_moment(entry["facts"]["token"][name]) for name in ("issued_at", "expires_at"))
    return f"issued {issued}, expires {expires}"


def _scopes(entry: Entry) -> str:
    wanted = {scope for listed_ in entry["facts"]["hba"]["scopes"] for scope in listed_.split()}
    had = listed(entry["facts"]["token"]["scopes"], word="and")
    return f"the HBA line asks for {listed(wanted, none='none', word='and')}; the token has {had}"


def _subject(entry: Entry) -> str | None:
    actors = entry.get("actors")
    if not actors:
        return str(entry["identity"]) if entry["identity"] else None
    return f"{entry['identity']}, for whom the agent {' <- '.join(actors)} acts"


def _answers(entry: Entry) -> str:
    """What each decider said, how long it took, and whether it was remembered."""
    return "; ".join(map(told, entry.get("asked") or ())) or "none was asked"


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _nothing(_: Entry) -> None:
    return None


def _caller(entry: Entry) -> str:
    if entry["peer_uid"] is None:
        return f"server {entry['server']}, known by its certificate, {entry['peer_certificate']}"
    return f"server {entry['server']}, known by the uid of its process, {entry['peer_uid']}"


def _stage(name: str, saw: Callable[[Entry], str | None], *reasons: Reason) -> Stage:
    return Stage(name, frozenset(reasons), saw)


STILL_GOOD: Final = _stage(
    "confirmed",
    lambda _: "the issuer is asked where the settings say so",
    Reason.TOKEN_INACTIVE,
    Reason.ISSUER_UNAVAILABLE,
    Reason.INTROSPECTION_REFUSED,
    Reason.INTROSPECTION_INVALID,
)

STAGES: Final = (
    _stage("service", _nothing, Reason.NOT_READY, Reason.CALLER_GONE, Reason.INTERNAL_ERROR),
    _stage("request", _nothing, Reason.REQUEST_INVALID, Reason.VERSION_UNSUPPORTED),
    _stage(
        "caller",
        _caller,
        Reason.CALLER_UNKNOWN,
    ),
    _stage("rate", _nothing, Reason.OVERLOADED),
    _stage("clock", _clock, Reason.CLOCK_SKEW),
    _stage("role", _role, Reason.ROLE_UNKNOWN),
    _stage(
        "token",
        lambda entry: f"token_ref {entry['token_ref']}" if entry["token_ref"] else None,
        Reason.TOKEN_MISSING,
        Reason.TOKEN_TOO_LARGE,
        Reason.TOKEN_MALFORMED,
        Reason.HEADER_NOT_ALLOWED,
    ),
    _stage(
        "issuer",
        _issuer,
        Reason.ISSUER_UNKNOWN,
        Reason.ISSUER_AMBIGUOUS,
        Reason.ISSUER_REPLACED,
        Reason.ISSUER_MISMATCH,
    ),
    _stage("header", _nothing, Reason.TOKEN_TYPE, Reason.ALGORITHM_NOT_ALLOWED),
    _stage(
        "signature",
        lambda entry: f"made with key {entry['facts']['token']['key_id']} of the issuer",
        Reason.KEY_UNKNOWN,
        Reason.KEY_DENIED,
        Reason.KEY_UNSUITABLE,
        Reason.KEYS_UNAVAILABLE,
        Reason.KEYS_STALE,
        Reason.SIGNATURE_INVALID,
    ),
    _stage(
        "kind",
        lambda entry: "an access token" if entry["facts"]["token"] else None,
        Reason.CLAIM_MISSING,
        Reason.CLAIM_TYPE,
        Reason.TOKEN_KIND,
    ),
    _stage(
        "time",
        _times,
        Reason.TOKEN_EXPIRED,
        Reason.TOKEN_NOT_YET_VALID,
        Reason.LIFETIME_TOO_LONG,
        Reason.TOKEN_REVOKED,
    ),
    _stage(
        "audience",
        lambda entry: f"the token is for {listed(entry['facts']['token']['audience'], word='and')}",
        Reason.AUDIENCE_MISMATCH,
    ),
    _stage(
        "client",
        lambda entry: f"the token was got by {entry['facts']['token']['client'] or 'an unnamed client'}",
        Reason.CLIENT_NOT_ALLOWED,
    ),
    _stage(
        "subject",
        _subject,
        Reason.GROUPS_INCOMPLETE,
        Reason.SUBJECT_INVALID,
        Reason.SENDER_CONSTRAINED,
        Reason.IMPERSONATED,
        Reason.ACTOR_NOT_ALLOWED,
    ),
    _stage("scopes", _scopes, Reason.SCOPE_MISSING),
    STILL_GOOD,
    _stage(
        "rules",
        _nothing,
        Reason.ROLE_NOT_ALLOWED,
        Reason.NO_RULE,
        Reason.DENIED_BY_RULE,
        Reason.POLICY_ERROR,
        Reason.NAME_NOT_EXPRESSIBLE,
        Reason.AGENT_NOT_ALLOWED,
        Reason.AGENT_SAYS_TOO_LITTLE,
        Reason.ROLE_PRIVILEGED,
        Reason.REPLICATION_NOT_ALLOWED,
        Reason.SESSION_OVER,
    ),
    _stage(
        "deciders",
        _answers,
        Reason.DECIDER_DENIED,
        Reason.DECIDER_UNAVAILABLE,
        Reason.DECIDER_MISCONFIGURED,
    ),
    _stage(
        "tier",
        _nothing,
        Reason.CLIENT_NOT_CRITICAL,
        Reason.TOKEN_TOO_OLD,
        Reason.AUTHENTICATION_UNKNOWN,
        Reason.AUTHENTICATION_TOO_OLD,
        Reason.AUTHENTICATION_TOO_WEAK,
        Reason.CERTIFICATE_REQUIRED,
    ),
    _stage("record", _nothing, Reason.AUDIT_UNAVAILABLE),
)
"""In the order of `pgbearer.service.judge` and `pgbearer.tokens.checks`."""

RULE_REASONS: Final = frozenset().union(
    *(stage.reasons for stage in STAGES if stage.name in ("rules", "deciders", "tier"))
)
"""Reasons that are the policy's own."""
