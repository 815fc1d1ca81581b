"""What keys must agree on with one another: small checks over decoded settings, each yielding what it finds.

The list `CHECKS` is the whole of it; none depends on another.
"""

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Final

from pgbearer.config.about_agents import (
    actors_are_agents,
    agents_are_known_by_something,
    agents_are_told_apart,
    no_denial_is_dodged,
    no_veto_is_dodged,
)
from pgbearer.config.about_decider_kinds import DECIDER_KIND_CHECKS
from pgbearer.config.about_deciders import DECIDER_CHECKS
from pgbearer.config.about_introspection import introspection_fits_its_issuer
from pgbearer.config.about_listening import LISTENING_CHECKS
from pgbearer.config.about_profiles import (
    CLIENTS_REQUIRED,
    STABLE,
    clients_are_ids,
    entra_issuers_are_tenants,
    github_rules_say_whose_jobs,
    okta_issuers_are_custom,
)
from pgbearer.config.about_spiffe import SPIFFE_CHECKS
from pgbearer.config.about_workloads import (
    accounts_are_told_apart,
    api_server_is_not_the_audience,
    clients_of_the_critical_tier_are_named,
    clusters_are_reached,
    critical_tokens_are_reviewed,
    workloads_have_no_clients,
)
from pgbearer.config.between_issuers import (
    may_share_identities,
    moves_are_whole,
    openings_are_exact,
    openings_are_used,
    rules_follow_a_move,
    scopes_are_implied_for_workloads,
)
from pgbearer.config.problems import KeyPath, Problem, did_you_mean
from pgbearer.config.reference import duration_text
from pgbearer.config.settings import Issuer, Rule, Settings
from pgbearer.config.template import Template, TemplateError, parse_template
from pgbearer.config.workloads import WORKLOADS

__all__ = ["CHECKS", "EDITABLE_CLAIMS", "identity_fields"]

EDITABLE_CLAIMS: Final = frozenset(
    {
        *("name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "username", "upn"),
        *("profile", "picture", "website", "gender", "birthdate", "zoneinfo", "locale", "address"),
        *("email", "phone_number"),
    }
)
"""Claims about a person that the person may be able to change: OpenID Connect Core 1.0 section 5.1, and two that
others call a user name. Issuers differ in what they let people edit, and user names are given to others again."""
_IPV4_IN_IPV6: Final = ipaddress.IPv6Network("::ffff:0:0/96")
"""RFC 4291 section 2.5.5.2."""
MAX_SOCKET_PATH: Final = 107
"""Bytes that fit sockaddr_un.sun_path with its NUL (unix(7))."""


def sockets_fit(settings: Settings) -> Iterator[Problem]:
    """A Unix socket's path is absolute and short enough; two servers are told apart by socket or uid."""
    local = {name: server for name, server in settings.servers.items() if server.certificate is None}
    places: list[tuple[KeyPath, bytes]] = [
        (("servers", name, "socket"), bytes(server.socket)) for name, server in local.items()
    ]
    places.append((("admin", "socket"), bytes(settings.admin.socket)))
    for path, socket in places:
        if not socket.startswith(b"/"):
            yield Problem(path=path, message="must be an absolute path")
        elif len(socket) > MAX_SOCKET_PATH:
            yield Problem(
                path=path, message=f"longer than the {MAX_SOCKET_PATH} bytes that a Unix socket's path may have"
            )
    for (name, server), (other, twin) in combinations(local.items(), 2):
        if (server.socket, server.uid) == (twin.socket, twin.uid):
            yield Problem(path=("servers", other), message=f'cannot be told from "{name}": same socket, same uid')
    for name, server in local.items():
        if server.socket.parent == settings.admin.socket.parent:
            yield Problem(path=("servers", name, "socket"), message="stands in the folder of the admin socket")


def state_has_a_place(settings: Settings) -> Iterator[Problem]:
    """What is kept must not depend on where the service was started."""
    if not settings.state.folder.is_absolute():
        yield Problem(path=("state", "folder"), message="must be an absolute path")


def clients_are_named(settings: Settings) -> Iterator[Problem]:
    """Keycloak gives every client of the realm tokens; without an allowlist any of them would do."""
    for name, issuer in settings.issuers.items():
        if issuer.clients or issuer.profile in WORKLOADS:
            continue
        if issuer.profile in CLIENTS_REQUIRED:
            yield Problem(path=("issuers", name, "clients"), message=CLIENTS_REQUIRED[issuer.profile])
        else:
            yield Problem(
                path=("issuers", name, "clients"),
                message="any client of this issuer may log in",
                hint="name the clients",
                severity="warning",
            )


def critical_clients_are_clients(settings: Settings) -> Iterator[Problem]:
    """The critical tier's clients are some of the issuer's; if they are all, nobody is kept out of it."""
    for name, issuer in settings.issuers.items():
        if issuer.critical is None:
            continue
        path: KeyPath = ("issuers", name, "critical", "clients")
        for position, client in enumerate(issuer.critical.clients):
            if issuer.clients and client not in issuer.clients:
                message = f'"{client}" is not among the clients of issuer "{name}"'
                yield Problem(path=(*path, position), message=message, hint=did_you_mean(client, issuer.clients))
        if issuer.clients and set(issuer.clients) <= set(issuer.critical.clients):
            yield Problem(
                path=path,
                message="every client of the issuer is one of the critical tier",
                hint="codes of the device flow can be phished: give it a client of its own, and leave that out",
                severity="warning",
            )


def critical_rules_have_terms(settings: Settings) -> Iterator[Problem]:
    """A rule of the critical tier holds only for issuers that say what that is."""
    for index, rule in enumerate(settings.rules):
        for name in (rule.issuers or settings.issuers) if rule.tier == "critical" else ():
            if name in settings.issuers and settings.issuers[name].critical is None:
                yield Problem(
                    path=("rules", index, "tier"),
                    message=f'issuer "{name}" does not say what is critical',
                    hint=f"write issuers.{name}.critical.clients, or name the issuers of the rule",
                )


def keys_outlive_their_refresh(settings: Settings) -> Iterator[Problem]:
    """Keys that are stale before they are fetched again would refuse logins though nothing is wrong."""
    for name, issuer in settings.issuers.items():
        keys = issuer.keys
        bounds = {"max_stale": keys.max_stale}
        if issuer.critical is not None:
            bounds["max_stale_critical"] = keys.max_stale_critical
        for key, seconds in bounds.items():
            if seconds <= keys.refresh:
                message = f"must be longer than keys.refresh, {duration_text(keys.refresh)}"
                yield Problem(path=("issuers", name, "keys", key), message=message)
        if keys.max_stale_critical > keys.max_stale and "max_stale_critical" in keys.model_fields_set:
            message = f"must not be longer than keys.max_stale, {duration_text(keys.max_stale)}"
            yield Problem(path=("issuers", name, "keys", "max_stale_critical"), message=message)


def issuers_differ(settings: Settings) -> Iterator[Problem]:
    """Two issuers with one iss could not be told apart."""
    for (name, issuer), (other, twin) in combinations(settings.issuers.items(), 2):
        path = ("issuers", other, "issuer")
        if issuer.issuer == twin.issuer:
            yield Problem(path=path, message=f'the same iss as issuer "{name}"')
        elif issuer.issuer.rstrip("/") == twin.issuer.rstrip("/"):  # and so of its metadata
            yield Problem(path=path, message=f'the address of issuer "{name}", but for a slash')


def identity_fields(issuer: Issuer) -> tuple[str, ...]:
    """Names that a template may hold for this issuer: ``sub``, ``client`` and the declared claims of type string."""
    return ("sub", "client", *(name for name, kind in issuer.claims.items() if kind == "string"))


def identities_are_apart(settings: Settings) -> Iterator[Problem]:
    """Each identity template is one, and no issuer can mint an identity of another."""
    templates: dict[str, Template] = {}
    for name, issuer in settings.issuers.items():
        path = ("issuers", name, "identity")
        try:
            template = templates[name] = parse_template(issuer.identity)
        except TemplateError as error:
            yield Problem(path=path, message=str(error))
            continue
        yield from _unknown_fields(path, template, identity_fields(issuer))
        if not template.fields:
            yield Problem(path=path, message="is the same for everybody", hint="write {sub} into it")
        elif not template.tells_apart:
            yield Problem(path=path, message="two identities could look alike", hint="put a : between the fields")
        elif editable := EDITABLE_CLAIMS & set(template.fields):
            yield Problem(
                path=path,
                message=f'people can change "{min(editable)}" themselves, and so become somebody else',
                hint="write {sub}; `display` is what people see",
                severity="warning" if "sub" in template.fields else "error",
            )
        elif not set(stable := STABLE.get(issuer.profile, ("sub",))) & set(template.fields) and (
            issuer.profile not in WORKLOADS
        ):
            message = f"does not hold {{{stable[0]}}}, which alone is stable"
            yield Problem(path=path, message=message, severity="warning")
    for name, other in combinations(templates, 2):
        if may_share_identities(settings, name, other):
            continue
        one, two = (_prefix(settings.issuers[each], templates[each]) for each in (name, other))
        if one.startswith(two) or two.startswith(one):
            yield Problem(
                path=("issuers", other, "identity"),
                message=f'could yield an identity of issuer "{name}"',
                hint=f"begin each with literal text of its own, such as {other}:{{sub}}",
            )


def rule_names_are_unique(settings: Settings) -> Iterator[Problem]:
    """The audit names rules."""
    seen: set[str] = set()
    for index, rule in enumerate(settings.rules):
        if rule.name in seen:
            yield Problem(path=("rules", index, "name"), message=f'another rule is called "{rule.name}"')
        seen.add(rule.name)


def allow_rules_are_explicit(settings: Settings) -> Iterator[Problem]:
    """What an allow rule leaves out must not mean everything."""
    for index, rule in enumerate(settings.rules):
        if rule.deny:
            continue
        if not rule.databases and rule.replication != ("physical",):
            yield Problem(
                path=("rules", index, "databases"), message="required in an allow rule", hint='write ["*"] for all'
            )
        if not rule.roles and rule.roles_from is None:
            yield Problem(path=("rules", index, "roles"), message="an allow rule needs roles or roles_from")


def deny_rules_give_nothing(settings: Settings) -> Iterator[Problem]:
    """A deny rule has no session, asks for no tier and lifts no one."""
    for index, rule in enumerate(settings.rules):
        if rule.deny and rule.tier != "normal":
            yield Problem(path=("rules", index, "tier"), message="means nothing in a deny rule")
        if rule.deny and rule.session is not None:
            yield Problem(path=("rules", index, "session"), message="means nothing in a deny rule")
        if rule.deny and rule.privileged:
            yield Problem(path=("rules", index, "privileged"), message="means nothing in a deny rule")


def references_exist(settings: Settings) -> Iterator[Problem]:
    """Rules speak of servers and issuers that are there."""
    for index, rule in enumerate(settings.rules):
        for key, names, known in (
            ("servers", rule.servers, tuple(settings.servers)),
            ("issuers", rule.issuers, tuple(settings.issuers)),
        ):
            for position, name in enumerate(names):
                if name not in known:
                    message = f'no "{name}" under {key}'
                    yield Problem(path=("rules", index, key, position), message=message, hint=did_you_mean(name, known))


def networks_are_networks(settings: Settings) -> Iterator[Problem]:
    """``from`` is CIDR, without bits that the mask would hide.

    IPv4 addresses are compared as such however they are written (`pgbearer.policy.match`), so a network of IPv4
    addresses in IPv6 would hold none: a deny rule for it would refuse nobody.
    """
    for index, rule in enumerate(settings.rules):
        for position, text in enumerate(rule.from_):
            path = ("rules", index, "from", position)
            try:
                network = ipaddress.ip_network(text)
            except ValueError as error:
                yield Problem(path=path, message=f"not a network: {error}", hint=_network(text))
                continue
            if network.version == 6 and network.subnet_of(_IPV4_IN_IPV6):
                bits = network.prefixlen - _IPV4_IN_IPV6.prefixlen
                hint = f"write {ipaddress.IPv4Address(int(network.network_address) & 0xFFFFFFFF)}/{bits}"
                yield Problem(path=path, message="IPv4 addresses written as IPv6 are in no network here", hint=hint)


def roles_from_is_declared(settings: Settings) -> Iterator[Problem]:
    """The claim that names roles is there, with a type that can, for every issuer the rule holds for."""
    for index, rule in enumerate(settings.rules):
        if rule.roles_from is None:
            continue
        for name in rule.issuers or settings.issuers:
            issuer = settings.issuers.get(name)
            lists = [key for key, kind in issuer.claims.items() if kind in {"string", "string_list"}] if issuer else []
            known = ("token_roles", "groups", "organizations", *lists)
            if issuer and rule.roles_from.claim not in known:
                yield Problem(
                    path=("rules", index, "roles_from", "claim"),
                    message=f'no claim "{rule.roles_from.claim}" of type string or string_list at issuer "{name}"',
                    hint=did_you_mean(rule.roles_from.claim, known),
                )


def templates_are_known(settings: Settings) -> Iterator[Problem]:
    """Templates in databases and roles hold known fields, and no glob beside them."""
    for index, rule in enumerate(settings.rules):
        for key, names in (("databases", rule.databases), ("roles", rule.roles)):
            for position, name in enumerate(names):
                yield from _name_problems(("rules", index, key, position), name, rule, settings)


def _name_problems(path: KeyPath, name: str, rule: Rule, settings: Settings) -> Iterator[Problem]:
    if "{" not in name and "}" not in name:
        if len(name.encode()) > 63:
            yield Problem(path=path, message="longer than the 63 bytes that a name in PostgreSQL has")
        return
    try:
        template = parse_template(name)
    except TemplateError as error:
        yield Problem(path=path, message=str(error))
        return
    if set("*?") & set("".join(template.literals)):
        yield Problem(path=path, message="a template yields exact names; it cannot hold a glob")
    for issuer in rule.issuers or settings.issuers:
        if issuer in settings.issuers:
            yield from _unknown_fields(
                path, template, identity_fields(settings.issuers[issuer]), f' for issuer "{issuer}"'
            )


def _prefix(issuer: Issuer, template: Template) -> str:
    """What all identities of the issuer begin with: a SPIFFE ID begins with its trust domain, which is checked."""
    if not template.prefix and template.fields[:1] == ("sub",) and issuer.profile == "spiffe":
        return f"{issuer.issuer}/"
    return template.prefix


def _unknown_fields(path: KeyPath, template: Template, known: Sequence[str], of: str = "") -> Iterator[Problem]:
    for field in template.fields:
        if field not in known:
            message = f'"{field}" is neither sub, client nor a declared claim of type string{of}'
            yield Problem(path=path, message=message, hint=did_you_mean(field, known))


def _network(text: str) -> str | None:
    try:
        return f"write {ipaddress.ip_network(text, strict=False)}"
    except ValueError:
        return None


CHECKS: Final[tuple[Callable[[Settings], Iterator[Problem]], ...]] = (
    sockets_fit,
    *LISTENING_CHECKS,
    state_has_a_place,
    clients_are_named,
    workloads_have_no_clients,
    clients_of_the_critical_tier_are_named,
    clusters_are_reached,
    api_server_is_not_the_audience,
    critical_tokens_are_reviewed,
    accounts_are_told_apart,
    *SPIFFE_CHECKS,
    critical_clients_are_clients,
    critical_rules_have_terms,
    keys_outlive_their_refresh,
    issuers_differ,
    identities_are_apart,
    openings_are_exact,
    openings_are_used,
    scopes_are_implied_for_workloads,
    moves_are_whole,
    rules_follow_a_move,
    clients_are_ids,
    entra_issuers_are_tenants,
    okta_issuers_are_custom,
    github_rules_say_whose_jobs,
    introspection_fits_its_issuer,
    rule_names_are_unique,
    allow_rules_are_explicit,
    deny_rules_give_nothing,
    references_exist,
    agents_are_known_by_something,
    agents_are_told_apart,
    actors_are_agents,
    no_denial_is_dodged,
    no_veto_is_dodged,
    networks_are_networks,
    roles_from_is_declared,
    templates_are_known,
    *DECIDER_CHECKS,
    *DECIDER_KIND_CHECKS,
)
