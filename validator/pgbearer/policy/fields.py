"""What a condition can name: every field of the request and the token, its type, its meaning, where it comes from."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from pgbearer.policy.advice import Advice
from pgbearer.policy.source import PRESENCE
from pgbearer.verified import ClaimValue, Verified
from pgbearer.wire import AccessRequest

__all__ = ["FIELDS", "Asked", "Field", "FieldType", "values_of"]

FieldType = Literal["string", "int", "bool", "string_list", "timestamp"]
FieldValue = str | int | bool | list[str] | datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """All that a decision is made from. `server` is the name under ``servers:``, `now` epoch seconds."""

    verified: Verified
    request: AccessRequest
    server: str
    now: int
    keys_age: float | None = None
    """Seconds since the issuer's keys were last fetched; None if that is not known, which is not fresh enough for the
    critical tier."""
    advice: Mapping[str, Advice] = field(default_factory=dict)
    """By decider, what is known or assumed that it says; empty while a login is decided for the first time."""


@dataclass(frozen=True, slots=True)
class Field:
    """One name a condition can use. A field is never missing: what does not apply is empty."""

    type: FieldType
    meaning: str
    value: Callable[[Asked], FieldValue]


def _tls(asked: Asked) -> str:
    return asked.request.client.tls.version if asked.request.client.tls else ""


def _certificate(asked: Asked) -> str:
    tls = asked.request.client.tls
    return (tls.client_cert_sha256 if tls else None) or ""


FIELDS: Final[Mapping[str, Field]] = {
    "request.server": Field("string", "the server's name under `servers`", lambda asked: asked.server),
    "request.database": Field(
        "string", "the database; empty for physical replication", lambda asked: asked.request.database
    ),
    "request.role": Field("string", "the requested database role", lambda asked: asked.request.role),
    "request.role_privileged": Field(
        "bool", "the catalog says that role is privileged", lambda asked: asked.request.role_attributes.privileged
    ),
    "request.replication": Field(
        "string", "`none`, `logical` or `physical`", lambda asked: str(asked.request.replication)
    ),
    "request.time": Field(
        "timestamp", "when the decision is made", lambda asked: datetime.fromtimestamp(asked.now, tz=UTC)
    ),
    "request.in_recovery": Field("bool", "the server is a standby", lambda asked: asked.request.server.in_recovery),
    "request.client.address": Field(
        "string", "the client's IP address; empty over a Unix socket", lambda asked: asked.request.client.address or ""
    ),
    "request.client.tls": Field("string", "the client's TLS version such as `TLSv1.3`; empty without", _tls),
    "request.client.certificate": Field(
        "string", "SHA-256 (hex) of the client certificate that PostgreSQL verified; empty without", _certificate
    ),
    "request.unverified.application_name": Field(
        "string",
        "what the client calls itself; anyone can claim anything",
        lambda asked: asked.request.application_name or "",
    ),
    "token.issuer": Field("string", "the issuer's name under `issuers`", lambda asked: asked.verified.issuer),
    "token.subject": Field("string", "`sub`", lambda asked: asked.verified.subject),
    "token.identity": Field(
        "string", "the stable key from the `identity` template", lambda asked: asked.verified.identity
    ),
    "token.client": Field("string", "the client that got the token (`azp`)", lambda asked: asked.verified.client or ""),
    "token.scopes": Field("string_list", "its scopes", lambda asked: sorted(asked.verified.scopes)),
    "token.roles": Field("string_list", "its roles", lambda asked: sorted(asked.verified.token_roles)),
    "token.groups": Field("string_list", "its groups", lambda asked: sorted(asked.verified.groups)),
    "token.organizations": Field(
        "string_list", "its organizations", lambda asked: sorted(asked.verified.organizations)
    ),
    "actor.present": Field("bool", "an agent acts for the person", lambda asked: asked.verified.actor is not None),
    "actor.name": Field(
        "string",
        "that agent's name under `issuers.NAME.agents`; empty if nobody acts",
        lambda asked: asked.verified.actor.name if asked.verified.actor else "",
    ),
    "actor.subject": Field(
        "string",
        "that agent's own `sub`, from `act`; empty if only its client tells it",
        lambda asked: (asked.verified.actor.subject or "") if asked.verified.actor else "",
    ),
    "token.issued_at": Field(
        "timestamp", "`iat`", lambda asked: datetime.fromtimestamp(asked.verified.issued_at, tz=UTC)
    ),
    "token.expires_at": Field(
        "timestamp", "`exp`", lambda asked: datetime.fromtimestamp(asked.verified.expires_at, tz=UTC)
    ),
}


def values_of(asked: Asked, claims: Mapping[str, FieldType], used: Collection[str]) -> dict[str, FieldValue]:
    """The fields of `FIELDS` that are `used`, and the declared claims that the token has, each of its declared type.

    A claim of another type is left out, so that a condition on it fails rather than judges by it.
    """
    values = {name: field.value(asked) for name, field in FIELDS.items() if name in used}
    for name, kind in claims.items():
        value = _claim(asked.verified.claims.get(name), kind)
        if value is not None:
            values[f"claims.{name}"] = value
        values[f"{PRESENCE}{name}"] = value is not None
    return values


def _claim(value: ClaimValue | None, kind: FieldType) -> FieldValue | None:
    match value, kind:
        case bool(), "bool":
            return value
        case str(), "string":
            return value
        case int(), "int" if not isinstance(value, bool):
            return value
        case tuple(), "string_list":
            return list(value)
        case _:
            return None
