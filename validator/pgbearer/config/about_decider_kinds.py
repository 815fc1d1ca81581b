"""What each kind of decider must agree with. Checks as in `pgbearer.config.checks`, which lists them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from pgbearer.config.decider_kinds import AuthZenDecider, AuthZenEntity, KeycloakDecider, Member
from pgbearer.config.problems import KeyPath, Problem, did_you_mean
from pgbearer.config.rules import Rule
from pgbearer.config.settings import Settings
from pgbearer.config.template import TemplateError, parse_template

__all__ = ["DECIDER_KIND_CHECKS", "QUESTION_FIELDS"]

QUESTION_FIELDS: Final = frozenset(
    {
        *("sub", "identity", "client", "issuer", "server", "database", "role", "replication"),
        *("request.server", "request.database", "request.role", "request.role_privileged", "request.replication"),
        *("request.time", "request.in_recovery", "request.client.address", "request.client.tls"),
        *("request.client.certificate", "request.unverified.application_name"),
        *("token.issuer", "token.subject", "token.identity", "token.client", "token.scopes", "token.roles"),
        *("token.groups", "token.organizations", "token.issued_at", "token.expires_at"),
        *("actor.present", "actor.name", "actor.subject"),
    }
)
"""What templates of questions may hold beside declared claims. `pgbearer.deciders` gives them their values."""


def questions_can_be_filled_in(settings: Settings) -> Iterator[Problem]:
    """Templates of questions are templates, of fields that there are."""
    claims = {name for issuer in settings.issuers.values() for name in issuer.claims}
    for path, text in _templates(settings):
        try:
            fields = parse_template(text).fields
        except TemplateError as error:
            yield Problem(path=path, message=str(error))
            continue
        known = QUESTION_FIELDS | claims | ({"id"} if path[2] == "context" else set())
        for field in fields:
            if field not in known:
                hint = did_you_mean(field, sorted(known)) or "declare it under issuers.NAME.claims"
                yield Problem(path=path, message=f"{{{field}}} is neither a field nor a declared claim", hint=hint)


def claims_hide_behind_no_field(settings: Settings) -> Iterator[Problem]:
    """A claim that is called like a field would never be asked about, though somebody wrote its name."""
    used = {field for _, text in _templates(settings) for field in _fields(text)}
    for name, issuer in settings.issuers.items():
        for claim in issuer.claims:
            if claim in QUESTION_FIELDS and claim in used:
                message = f"a question's {{{claim}}} is not this claim but the field of that name"
                yield Problem(path=("issuers", name, "claims", claim), message=message, severity="warning")


def one_permission_is_asked_for(settings: Settings) -> Iterator[Problem]:
    """Keycloak splits a permission at ``#`` and ``,`` and takes ``resource-type:`` for a question about many."""
    for name, decider in settings.deciders.items():
        if not isinstance(decider, KeycloakDecider):
            continue
        path: KeyPath = ("deciders", name, "permission")
        resource, separator, scope = decider.permission.partition("#")
        if not (resource and separator and scope) or "#" in scope or "," in decider.permission:
            hint = "write RESOURCE#SCOPE, such as {database}#{role}"
            yield Problem(path=path, message="must be one resource with one scope", hint=hint)
        elif resource.startswith("resource-type:"):
            yield Problem(path=path, message="asks about every resource of a type; name the resource")


def keycloak_is_shown_its_own_tokens(settings: Settings) -> Iterator[Problem]:
    """The person's token goes to nobody but the realm that issued it."""
    for name, decider in settings.deciders.items():
        if not isinstance(decider, KeycloakDecider):
            continue
        if decider.issuer not in settings.issuers:
            hint = did_you_mean(decider.issuer, tuple(settings.issuers))
            yield Problem(path=("deciders", name, "issuer"), message=f'no issuer "{decider.issuer}"', hint=hint)
            continue
        if decider.url.rstrip("/") != settings.issuers[decider.issuer].issuer.rstrip("/"):
            message = f"is not the address of {decider.issuer}; people's tokens are sent there"
            yield Problem(path=("deciders", name, "url"), message=message, severity="notice")
        for index, rule in _rules_that_ask(name, settings):
            others = [issuer for issuer in rule.issuers or settings.issuers if issuer != decider.issuer]
            if others:
                message = f'asks "{name}", which sees tokens of {decider.issuer} only, about tokens of {others[0]} too'
                hint = f"write issuers: [{decider.issuer}] in this rule"
                yield Problem(path=("rules", index, "ask"), message=message, hint=hint)


def keycloaks_authzen_stands_not_alone(settings: Settings) -> Iterator[Problem]:
    """Keycloak's AuthZEN sees a user id and nothing of the login: no session, client or strength of authentication."""
    for name, decider in settings.deciders.items():
        if not isinstance(decider, AuthZenDecider) or decider.preset != "keycloak":
            continue
        for index, rule in _rules_that_ask(name, settings):
            if not _says_whom_it_is_for(rule):
                hint = "say whom the rule is for: any_role, all_roles, any_group, any_organization, roles_from or when"
                message = f'"{name}" cannot tell a login from a user id, so the rule must judge the token itself'
                yield Problem(path=("rules", index, "ask"), message=message, hint=hint)


def endpoints_are_named_once(settings: Settings) -> Iterator[Problem]:
    """Metadata names the endpoint, or the settings do."""
    for name, decider in settings.deciders.items():
        if isinstance(decider, AuthZenDecider) and decider.endpoint is not None and decider.metadata is not None:
            yield Problem(path=("deciders", name, "endpoint"), message="means nothing beside metadata, which names it")


DECIDER_KIND_CHECKS: Final[tuple[Callable[[Settings], Iterator[Problem]], ...]] = (
    questions_can_be_filled_in,
    claims_hide_behind_no_field,
    one_permission_is_asked_for,
    keycloak_is_shown_its_own_tokens,
    keycloaks_authzen_stands_not_alone,
    endpoints_are_named_once,
)


def _templates(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    """Every template of a question, and where it stands."""
    for name, decider in settings.deciders.items():
        above: KeyPath = ("deciders", name)
        if isinstance(decider, KeycloakDecider):
            yield (*above, "permission"), decider.permission
        elif isinstance(decider, AuthZenDecider):
            yield from _of_entity((*above, "subject"), decider.subject)
            yield from _of_members((*above, "action"), {"name": decider.action.name})
            yield from _of_members((*above, "action", "properties"), decider.action.properties)
            yield from _of_entity((*above, "resource"), decider.resource)
            yield from _of_members((*above, "context"), decider.context)


def _of_entity(above: KeyPath, entity: AuthZenEntity) -> Iterator[tuple[KeyPath, str]]:
    yield from _of_members(above, {"type": entity.type, "id": entity.id})
    yield from _of_members((*above, "properties"), entity.properties)


def _of_members(above: KeyPath, members: Mapping[str, Member | None] | None) -> Iterator[tuple[KeyPath, str]]:
    for name, member in (members or {}).items():
        if isinstance(member, str):
            yield (*above, name), member


def _fields(text: str) -> tuple[str, ...]:
    try:
        return parse_template(text).fields
    except TemplateError:  # said by another check
        return ()


def _rules_that_ask(decider: str, settings: Settings) -> Iterator[tuple[int, Rule]]:
    for index, rule in enumerate(settings.rules):
        if rule.ask is not None and decider in rule.ask.deciders:
            yield index, rule


def _says_whom_it_is_for(rule: Rule) -> bool:
    return bool(
        rule.any_role or rule.all_roles or rule.any_group or rule.any_organization or rule.roles_from or rule.when
    )
