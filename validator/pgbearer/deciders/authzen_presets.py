"""What known servers that speak AuthZEN are asked, and what their answers say beside the decision."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pgbearer.config.decider_kinds import Member
from pgbearer.http import Reply

__all__ = ["PRESETS", "Entity", "Preset", "reason_in"]

Answer = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Entity:
    """Templates of a subject or a resource, as in the settings."""

    type: str
    id: str
    properties: Mapping[str, Member] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How one kind of server is asked unless the settings say otherwise."""

    subject: Entity
    action: str
    resource: Entity
    context: Mapping[str, Member] = field(default_factory=dict)
    endpoint: str = "/access/v1/evaluation"
    """Below `url` (AuthZEN section 10.1)."""
    repeats: Callable[[Reply, Answer], object]
    """Which question the answer says it answers; None if it does not say."""


def reason_in(answer: Answer) -> object:
    """What an answer's context says of the grounds, for people: the standard leaves open where, so the usual places.

    ``reason_admin`` is from the standard's own example and comes before ``reason_user``, because we tell those who run
    the database; ``reason`` is what most write; Cerbos tells the policy that decided.
    """
    context = answer.get("context")
    if not isinstance(context, Mapping):
        return None
    for name in ("reason_admin", "reason", "reason_user"):
        found = context.get(name)
        if isinstance(found, Mapping):  # one text for each language or status
            found = next(iter(found.values()), None)
        if isinstance(found, str):
            return found
    return _matched_policy(context)


def _in_header(reply: Reply, _answer: Answer) -> object:
    return reply.headers.get("x-request-id")


def _cerbos_response(context: object) -> Mapping[str, object]:
    response = context.get("cerbos.response") if isinstance(context, Mapping) else None
    return response if isinstance(response, Mapping) else {}


def _in_cerbos_response(_reply: Reply, answer: Answer) -> object:
    return _cerbos_response(answer.get("context")).get("requestId")


def _matched_policy(context: Mapping[str, object]) -> object:
    match _cerbos_response(context).get("results"):
        case [{"meta": {"actions": {**actions}}}] if len(actions) == 1:
            (meta,) = actions.values()
            policy = meta.get("matchedPolicy") if isinstance(meta, Mapping) else None
            return f"matched policy {policy}" if isinstance(policy, str) else None
        case _:
            return None


_ROLE_IN_DATABASE: Final = ("{role}", Entity("database", "{database}", {"server": "{server}"}))
_WHO: Final[Mapping[str, Member]] = {"issuer": "{issuer}", "client": "{client}", "groups": "{token.groups}"}
_WHERE_FROM: Final[Mapping[str, Member]] = {
    "client_address": "{request.client.address}",
    "replication": "{request.replication}",
}

PRESETS: Final[Mapping[str, Preset]] = {
    "default": Preset(
        subject=Entity("user", "{identity}", {**_WHO, "roles": "{token.roles}"}),
        action=_ROLE_IN_DATABASE[0],
        resource=_ROLE_IN_DATABASE[1],
        context=_WHERE_FROM,
        repeats=_in_header,
    ),
    # Keycloak 26.7: an authorization scope of a resource, whose type must be exactly its own; it reads nothing else.
    # Without "id:" a subject that is no UUID would be taken for a user name.
    "keycloak": Preset(
        subject=Entity("user", "id:{sub}"),
        action="{role}",
        resource=Entity("urn:pgbearer:database", "{database}"),
        endpoint="/authzen/access/v1/evaluation",
        repeats=_in_header,
    ),
    # Cerbos 0.55: properties that begin with "cerbos." are the principal's own. It repeats no header, but this member.
    "cerbos": Preset(
        subject=Entity("user", "{identity}", {**_WHO, "cerbos.roles": "{token.roles}"}),
        action=_ROLE_IN_DATABASE[0],
        resource=_ROLE_IN_DATABASE[1],
        context={**_WHERE_FROM, "cerbos.requestId": "{id}", "cerbos.includeMeta": True},
        repeats=_in_cerbos_response,
    ),
}
