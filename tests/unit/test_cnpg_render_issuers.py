"""What `pgbearer cnpg render` makes for issuers of each profile, and what it refuses of them."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from pgbearer import policy
from pgbearer.cnpg.policy_text import read_policy
from pgbearer.cnpg.profiles import PROFILES
from pgbearer.config.about_profiles import CLIENTS_REQUIRED, STABLE
from pgbearer.hba import parse
from pgbearer.policy import Allow, Deny
from pgbearer.tokens import Denied, KeySet, Verifier, Verifiers
from pgbearer.tokens.cache import ClaimsCache
from pgbearer.tokens.keyset import Timing
from pgbearer.wire import RoleAttributes
from tests.issuer import ABSENT, Mint
from tests.samples import ENTRA_APP, ENTRA_PERSON, OKTA_PERSON, OKTA_SERVICE
from tests.unit import logins
from tests.unit.fix_tokens import Documents
from tests.unit.render_samples import (
    BOTH,
    ENTRA,
    NAMED_FOR_PEOPLE,
    OKTA,
    RFC9068,
    SPEC,
    TENANT,
    made,
    one,
    path_of,
    refused,
)

NOW = logins.NOW
ROLE = RoleAttributes(exists=True, member_of=frozenset({"pg_read_all_data"}))


def entra(mint: Mint, **changes: Any) -> str:
    """The longest that Entra makes, 90 minutes before its end; iat is five minutes older."""
    usual = {"scp": "db.orders", "roles": ["readers"], "iat": NOW - 300, "nbf": NOW - 300, "exp": NOW + 5400}
    return ENTRA_PERSON.token(mint, NOW, **{**usual, **changes})


def okta(mint: Mint, **changes: Any) -> str:
    return OKTA_PERSON.token(mint, NOW, **{"scp": ["openid", "orders"], "groups": ["readers"], **changes})


def keycloak(mint: Mint, **changes: Any) -> str:
    usual = {"iat": NOW, "exp": NOW + 300, "scope": "openid db:orders", "realm_access": ABSENT}
    return mint.token(**{**usual, "resource_access": {"postgres": {"roles": ["readers"]}}, **changes})


def rfc9068(mint: Mint, **changes: Any) -> str:
    none = dict.fromkeys(("azp", "typ", "sid", "realm_access", "preferred_username"), ABSENT)
    usual = {"iat": NOW, "exp": NOW + 300, "scope": "db:orders", "client_id": "nightly", "roles": ["readers"]}
    return mint.token(**{**none, **usual, **changes})


KINDS: Mapping[str, tuple[Mapping[str, Any], Callable[..., str], str]] = {
    "keycloak": ({}, keycloak, "corp:f1a6bb5e-6f40-4b4e-8b55-5f2b29a35b2e"),
    "entra": (ENTRA, entra, "corp:11112222-bbbb-3333-cccc-4444dddd5555"),
    "okta": (OKTA, okta, "corp:00ujmkLgagxeRrAg20g3"),
    "rfc9068": (RFC9068, rfc9068, "corp:f1a6bb5e-6f40-4b4e-8b55-5f2b29a35b2e"),
}
"""What a spec says of it, a token as it makes them, and who that is."""


class Counter:
    """Where logins are decided by what is rendered of a spec: by the policy, behind the line of an issuer."""

    def __init__(self, name: str = "corp", **change: Any) -> None:
        rendered = made(**change)
        settings = read_policy(one(rendered, "ConfigMap")["data"]["pgbearer.yaml"])
        assert settings is not None
        self.settings = settings
        issuer = settings.issuers[name]
        self.mint = Mint(issuer.issuer)
        self.audience = issuer.audience
        lines = parse("\n".join(one(rendered, "Cluster")["spec"]["postgresql"]["pg_hba"]), ("pgbearer",)).lines
        (self.line,) = (line for line in lines if line.options.get("issuer") == issuer.issuer)
        documents = Documents(self.mint)
        self.keys = KeySet(name, issuer, documents, timing=Timing(steady=documents.clock, jitter=lambda: 0.0))
        self.verifiers = Verifiers([Verifier(name, issuer, self.keys)], cache=ClaimsCache(0, documents.clock))

    async def decides(self, token: str, role: str = "orders_reader") -> Allow | Deny:
        """Of somebody who wants to be `role`; raises Denied if the token is refused already."""
        await self.keys.refresh()
        options = self.line.options
        scopes = tuple(options["scope"].split())
        verified = await self.verifiers.verify(
            token, hba_issuer=options["issuer"], hba_scopes=scopes, database="orders", now=float(NOW)
        )
        asked = logins.request(role=role, database="orders", role_attributes=ROLE)
        rules = policy.compile(self.settings).policy
        outcome = policy.evaluate(rules, verified, asked, server="orders", now=NOW, keys_age=1.0)
        assert isinstance(outcome, Allow | Deny)
        return outcome

    async def lets_in(self, token: str, role: str = "orders_reader") -> bool:
        try:
            return isinstance(await self.decides(token, role), Allow)
        except Denied:
            return False


def test_there_is_a_spec_for_each_profile() -> None:
    assert set(KINDS) == set(PROFILES)
    for name, profile in PROFILES.items():
        assert profile.identity == STABLE.get(name, ("sub",))[0]
        assert (name in CLIENTS_REQUIRED) <= (bool(profile.clients) or bool(profile.clients_like))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_token_as_the_issuer_makes_it_is_let_in(kind: str) -> None:
    change, token, identity = KINDS[kind]
    counter = Counter(**change)
    decided = await counter.decides(token(counter.mint, aud=counter.audience))
    assert isinstance(decided, Allow), decided
    assert decided.identity == identity


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", KINDS)
async def test_a_token_as_another_issuer_makes_it_is_not(kind: str, other: str) -> None:
    """Be it of the same address, by the same key and for the same audience."""
    counter = Counter(**KINDS[kind][0])
    token = KINDS[other][1](counter.mint, aud=counter.audience)
    assert await counter.lets_in(token) is (kind == other)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("entra", {"roles": ["orders_reader", "Readers"]}),
        ("entra", {"roles": ABSENT, "groups": ["readers"]}),
        ("entra", {"scp": "other"}),
        ("entra", {"aud": "99995555-eeee-6666-ffff-7777aaaa8888"}),
        ("entra", {"azp": "99991111-aaaa-2222-bbbb-3333cccc4444"}),
        ("entra", {"exp": NOW + 5401}),
        ("entra", {"nonce": "n"}),
        ("okta", {"groups": ["orders_reader"], "roles": ["readers"]}),
        ("okta", {"scp": ["openid", "db:orders"]}),
        ("okta", {"cid": "0oaother"}),
        ("okta", {"exp": NOW + 901}),
        ("okta", {"jti": "ID.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE"}),
        ("rfc9068", {"client_id": "other"}),
        ("rfc9068", {"roles": ABSENT, "groups": ["readers"]}),
        ("rfc9068", {"scope": "openid"}),
        ("rfc9068", {"header": {"typ": "JWT"}}),
    ],
)
async def test_another_token_of_the_same_issuer_is_not(kind: str, change: dict[str, Any]) -> None:
    counter = Counter(**KINDS[kind][0])
    assert not await counter.lets_in(KINDS[kind][1](counter.mint, **{"aud": counter.audience, **change}))


async def test_those_who_are_no_people_are_not() -> None:
    counter = Counter(**ENTRA)
    assert not await counter.lets_in(ENTRA_APP.token(counter.mint, NOW, aud=counter.audience, roles=["readers"]))
    counter = Counter(**OKTA)
    scopes = ["openid", "orders"]
    assert not await counter.lets_in(
        OKTA_SERVICE.token(counter.mint, NOW, aud=counter.audience, scp=scopes, groups=["readers"])
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by", ["roles", "groups"])
async def test_rules_go_by_what_the_spec_says(kind: str, by: str) -> None:
    """With names as people have them; groups of Keycloak's are paths."""
    change, token, _ = KINDS[kind]
    name = f"/{NAMED_FOR_PEOPLE}"
    roles = [{"name": "orders_reader", "inherits": ["pg_read_all_data"], "given_by": [name]}]
    counter = Counter(**{**change, "go_by": by, "roles": roles})
    has: dict[str, Any] = {"roles": {"resource_access": {"postgres": {"roles": [name]}}}, "groups": {"groups": [name]}}
    has["roles"]["roles"] = [name]
    other = "groups" if by == "roles" else "roles"
    none = {"resource_access": ABSENT, "roles": ABSENT, "groups": ABSENT}
    assert await counter.lets_in(token(counter.mint, aud=counter.audience, **{**none, **has[by]}))
    assert not await counter.lets_in(token(counter.mint, aud=counter.audience, **{**none, **has[other]}))


async def test_sessions_end_as_the_pages_recommend() -> None:
    for kind, ends in (("keycloak", NOW + 36000), ("entra", NOW + 5400), ("okta", NOW + 300), ("rfc9068", NOW + 300)):
        change, token, _ = KINDS[kind]
        counter = Counter(**change)
        decided = await counter.decides(token(counter.mint, aud=counter.audience))
        assert isinstance(decided, Allow)
        assert decided.ends_at == ends, kind
    said = [{"name": "orders_reader", "inherits": ["pg_read_all_data"], "given_by": ["readers"], "session": "2h"}]
    counter = Counter(**{**ENTRA, "roles": said})
    decided = await counter.decides(entra(counter.mint, aud=counter.audience))
    assert isinstance(decided, Allow)
    assert decided.ends_at == NOW + 7200


async def test_issuers_of_two_kinds_each_have_their_own() -> None:
    first, second = Counter(**BOTH), Counter("staff", **BOTH)
    people = keycloak(first.mint, aud=first.audience)
    staff = entra(second.mint, aud=second.audience, groups=[NAMED_FOR_PEOPLE])
    assert (first.audience, second.audience) == ("db:orders", ENTRA["audience"])
    assert (first.line.options["scope"], second.line.options["scope"]) == ("openid db:orders", "db.orders")
    assert await first.lets_in(people)
    assert not await first.lets_in(people, "staff")
    decided = await second.decides(staff, "staff")
    assert isinstance(decided, Allow)
    assert (decided.ends_at, decided.identity[:6]) == (NOW + 5400, "staff:")
    assert not await second.lets_in(staff)


REALM = SPEC["issuer"]
FITS: list[tuple[dict[str, Any], list[str], str]] = [
    ({"issuer": "https://notokta.com"}, ["issuer"], "say profile: entra, okta or rfc9068 beside it"),
    ({**OKTA, "profile": ...}, ["issuer"], "say profile: okta beside it, as docs/profiles/okta.md"),
    ({**ENTRA, "profile": ...}, ["issuer"], "say profile: entra beside it"),
    ({**ENTRA, "profile": "okta"}, ["profile"], "say profile: entra, as docs/profiles/entra.md"),
    ({**ENTRA, "profile": "keycloak"}, ["profile"], "say profile: entra"),
    ({**OKTA, "profile": "rfc9068"}, ["profile"], "say profile: okta"),
    *(({"profile": each}, ["profile"], "say profile: keycloak") for each in ("entra", "okta", "rfc9068")),
    ({"issuer": "https://sso.example.org", "profile": "keycloak"}, ["issuer"], "https://HOST/realms/REALM"),
    *(({**ENTRA, "issuer": each}, ["issuer"], "docs/profiles/entra.md") for each in (
        TENANT.replace("aaaabbbb", "AAAABBBB"), TENANT.removesuffix("/v2.0"), f"{TENANT}/", f"{TENANT}/v2.0",
        "https://login.microsoftonline.com/common/v2.0", "https://login.microsoftonline.com/organizations/v2.0",
        "https://sts.windows.net/aaaabbbb-0000-cccc-1111-dddd2222eeee/", "https://login.example.org")),
    *(({**OKTA, "issuer": each}, ["issuer"], "docs/profiles/okta.md") for each in (
        "https://example.okta.com", "https://example.okta.com/oauth2", "https://example.okta.com/oauth2/a/b",
        "https://login.example.org")),
    ({"issuer": "https://token.actions.githubusercontent.com"}, ["issuer"], "docs/profiles/github-actions.md"),
    ({"issuer": "https://token.actions.githubusercontent.com", "profile": "rfc9068", "clients": ["65"]}, ["issuer"],
     "docs/profiles/github-actions.md"),
    ({**ENTRA, "clients": ["pgbearer-cli"]}, ["clients[0]"], "is no id of an application"),
    *(({**each, "clients": ...}, ["clients"], "they must be said") for each in (ENTRA, OKTA, RFC9068)),
    *(({**ENTRA, "scope": each}, ["scope"], "without the API's address") for each in (..., "api://4444/db.orders")),
    ({**ENTRA, "audience": "db:orders"}, ["audience"], "application id of the API"),
    ({**ENTRA, "audience": f"api://{ENTRA['audience']}"}, ["audience"], "application id of the API"),
    *(({**each, "audience": "db:orders", "scope": "db:other"}, ["scope"], "asks for db:other") for each in (
        {}, OKTA, RFC9068)),
    # all at once
    ({"issuer": TENANT}, ["issuer", "audience", "scope", "clients"], "profile"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "paths", "hint"), FITS)
def test_what_lets_nobody_in_is_told_with_what_to_write(change: dict[str, Any], paths: list[str], hint: str) -> None:
    said = refused(**change)
    assert sorted(map(path_of, said)) == sorted(paths), said
    assert any(hint in each for each in said), said


@pytest.mark.parametrize(("change", "paths", "hint"), FITS)
def test_so_is_it_of_other_issuers(change: dict[str, Any], paths: list[str], hint: str) -> None:
    its = {"issuer": "https://other.example.org/realms/r", "clients": ["b"], **change}
    if its["clients"] is ...:
        its["clients"] = []  # required there
    its = {name: value for name, value in its.items() if value is not ...}
    roles = [*SPEC["roles"], {"name": "b", "issuer": "b"}]
    said = refused(other_issuers={"b": its}, roles=roles)
    ours = set(map(path_of, said))
    wanted = {f"other_issuers.b.{path}" for path in paths} - {"other_issuers.b.clients"}
    assert wanted <= ours, said
    assert all(each.startswith("other_issuers.b.") for each in ours), said


def test_addresses_that_could_be_of_several_kinds_are_what_is_said() -> None:
    made(**{**OKTA, "issuer": "https://login.example.org/oauth2/default"})
    made(**{**RFC9068, "issuer": "https://login.example.org/oauth2/default"})
    made(**{**ENTRA, "issuer": TENANT.replace("microsoftonline", "example")})
    made(profile="keycloak")


@pytest.mark.parametrize(
    "name", ["", " a", "a ", "a  b", "a\tb", "a\nb", "a\u00a0b", "a\u202eb", "a\u200bb", "a" * 129]
)
def test_names_that_are_not_what_they_look_like_are_refused(name: str) -> None:
    (said,) = refused(roles=[{"name": "orders_reader", "given_by": [name]}])
    assert path_of(said) == "roles[0].given_by[0]"


def test_what_the_policy_warns_of_is_said_where_the_spec_has_it() -> None:
    roles = [{"name": "other"}, {"name": "orders_reader", "given_by": ["/a", "staff"]}]
    notes = list(map(str, made(go_by="groups", roles=roles).notes))
    warned = [path_of(each) for each in notes if " warning: " in each]
    assert warned == ["roles[0].given_by", "roles[1].given_by"], notes
