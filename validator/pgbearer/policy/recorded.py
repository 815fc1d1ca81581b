"""A recorded decision as the question it once was: what the policy can be asked again.

Records come from the admin socket or from an audit file, in the one form that `pgbearer.audit` writes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from pgbearer.policy.advice import advice_of
from pgbearer.policy.evaluate import Policy, decide
from pgbearer.policy.fields import Asked
from pgbearer.policy.outcome import Outcome
from pgbearer.verified import Verified
from pgbearer.wire import AccessRequest, Backend, Client, Hba, Reason, Replication, RoleAttributes, ServerInfo, Tls

__all__ = ["RecordError", "decide_again", "question_of", "reason_of"]

_TOKENS: Final = TypeAdapter(Verified)
_ROLES: Final = TypeAdapter(RoleAttributes)
_HBAS: Final = TypeAdapter(Hba)
_TLS: Final = TypeAdapter(Tls | None)
_AGE: Final[TypeAdapter[float | None]] = TypeAdapter(float | None)


class RecordError(ValueError):
    """A record from which the question cannot be put together; the message says why."""


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads members that must be there."""

    entry: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        try:
            return self.entry[name]
        except KeyError:
            raise RecordError(f"the record has no {name!r}") from None


def question_of(entry: Mapping[str, Any]) -> Asked:
    """What the policy was asked in this decision.

    Raises:
        RecordError: the decision was made before the policy was asked, or the record is of another form.
    """
    facts = entry.get("facts")
    if not isinstance(facts, dict):
        raise RecordError("the record does not say what the decision was made from")
    if facts.get("token") is None:
        raise RecordError("the token did not get as far as the rules")
    try:
        return _question(_Reader(entry), _Reader(facts))
    except RecordError:
        raise
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise RecordError(f"the record is not of the form that this release writes: {_first(error)}") from None


def reason_of(entry: Mapping[str, Any]) -> Reason:
    """The reason of a recorded decision.

    Raises:
        RecordError: it has none that this release knows.
    """
    named = str(entry.get("reason"))
    for reason in Reason:
        if reason.value == named:
            return reason
    raise RecordError(f"the record has the reason {named!r}, which this release does not know")


def decide_again(policy: Policy, asked: Asked) -> Outcome:
    """What `policy` says to the same login at the same moment."""
    if asked.verified.issuer not in policy.environments:
        raise RecordError(f"the policy has no issuer {asked.verified.issuer!r}")
    return decide(
        policy,
        asked.verified,
        asked.request,
        server=asked.server,
        now=asked.now,
        keys_age=asked.keys_age,
        advice=asked.advice,
    )


def _question(entry: _Reader, facts: _Reader) -> Asked:
    at = datetime.fromisoformat(entry["time"])
    verified = _TOKENS.validate_python(
        {
            **facts["token"],
            **{name: entry[name] for name in ("issuer", "identity", "display", "token_ref")},
            "token_id": None,
            "session_id": None,
        }
    )
    return Asked(
        verified=verified,
        request=_request(entry, facts, at),
        server=str(entry["server"]),
        now=int(at.timestamp()),
        keys_age=_AGE.validate_python(facts.entry.get("keys_age")),
        advice=advice_of(entry.entry),
    )


def _request(entry: _Reader, facts: _Reader, at: datetime) -> AccessRequest:
    said = entry["unverified"]
    if not isinstance(entry["role"], str) or not isinstance(entry["database"], str):
        raise RecordError("the record does not say what was asked for")
    return AccessRequest(
        request_id=entry["request_id"],
        now=round(at.timestamp() * 1000) + facts["skew_ms"],
        role=entry["role"],
        role_attributes=_ROLES.validate_python(facts["role_attributes"]),
        database=entry["database"],
        replication=Replication(entry["replication"]),
        hba=_HBAS.validate_python(facts["hba"]),
        client=Client(**entry["client"], tls=_TLS.validate_python(facts["tls"])),
        application_name=said.get("application_name"),
        server=ServerInfo(
            instance=said.get("instance") or "",
            system_identifier=said.get("system_identifier") or "",
            start=0,
            in_recovery=facts["in_recovery"],
            version=0,
        ),
        backend=Backend(pid=entry["backend_pid"], start=0),
    )


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return type(error).__name__
