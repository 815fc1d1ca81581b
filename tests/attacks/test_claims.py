"""What a well signed token says, and must not: issuer, types, times, audience, client, scopes."""

from datetime import date
from typing import Any

import pytest

from pgbearer.wire import Reason
from tests.attacks.cases import NOW, OTHER, At, Case, claims, good, name_of, outcome
from tests.attacks.fix_door import Door
from tests.issuer import ABSENT, AUDIENCE, CLIENT, Mint
from tests.unit.fix_tokens import settings_for

TWO_ISSUERS = "takes two issuers: tests/integration/test_neighbours.py"
BY_A_SECOND = "the clock goes on before the service looks; not_before: tests/integration/test_service_reload.py"


def for_issuer(name: str, reason: Reason, change: Any) -> Case:
    """A token whose iss is the issuer's, changed."""
    return Case(name, reason, lambda mint, now: mint.token(iss=change(mint.url), iat=now, exp=now + 300))


def precise(case: Case) -> Case:
    """The verifier alone only."""
    return Case(case.name, case.reason, case.make, case.settings, no_login=BY_A_SECOND)


ISSUER = (
    claims("iss missing", Reason.CLAIM_MISSING, iss=ABSENT),
    claims("iss null", Reason.CLAIM_MISSING, iss=None),
    for_issuer("iss a list", Reason.CLAIM_TYPE, lambda url: [url]),
    for_issuer("iss an object", Reason.CLAIM_TYPE, lambda url: {"url": url}),
    claims("iss of another", Reason.ISSUER_UNKNOWN, iss=OTHER),
    for_issuer("iss of another realm of the server", Reason.ISSUER_UNKNOWN, lambda url: url.replace("demo", "master")),
    for_issuer("iss of a realm that begins so", Reason.ISSUER_UNKNOWN, lambda url: url + "2"),
    for_issuer("iss of the server", Reason.ISSUER_UNKNOWN, lambda url: url.rpartition("/realms")[0]),
    for_issuer("iss with a slash after", Reason.ISSUER_UNKNOWN, lambda url: url + "/"),
    for_issuer("iss with two slashes", Reason.ISSUER_UNKNOWN, lambda url: url.replace("/realms", "//realms")),
    for_issuer("iss with a space after", Reason.ISSUER_UNKNOWN, lambda url: url + " "),
    for_issuer("iss with a newline after", Reason.ISSUER_UNKNOWN, lambda url: url + "\n"),
    for_issuer("iss with NUL after", Reason.ISSUER_UNKNOWN, lambda url: url + "\0"),
    for_issuer("iss in other case", Reason.ISSUER_UNKNOWN, lambda url: url.replace("demo", "Demo")),
    for_issuer("iss with its scheme in other case", Reason.ISSUER_UNKNOWN, lambda url: url.replace("https", "HTTPS")),
    for_issuer("iss without TLS", Reason.ISSUER_UNKNOWN, lambda url: url.replace("https", "http")),
    for_issuer("iss with a user", Reason.ISSUER_UNKNOWN, lambda url: url.replace("//", "//sso@")),
    for_issuer("iss with a query", Reason.ISSUER_UNKNOWN, lambda url: url + "?"),
    for_issuer("iss with a fragment", Reason.ISSUER_UNKNOWN, lambda url: url + "#"),
    for_issuer("iss with an escape", Reason.ISSUER_UNKNOWN, lambda url: url.replace("demo", "dem%6f")),
    for_issuer("iss with a step back", Reason.ISSUER_UNKNOWN, lambda url: url.replace("demo", "x/../demo")),
    for_issuer("iss is its own metadata", Reason.ISSUER_UNKNOWN, lambda url: url + "/.well-known/openid-configuration"),
    for_issuer("iss with a look-alike", Reason.ISSUER_UNKNOWN, lambda url: url.replace("demo", "d\u0435mo")),
    claims("iss empty", Reason.ISSUER_UNKNOWN, iss=""),
    Case(
        "two issuers with one iss",
        Reason.ISSUER_AMBIGUOUS,
        good,
        also=lambda mint: (settings_for(mint),),
        no_login="such a file does not load",
    ),
    Case("HBA names another issuer", Reason.ISSUER_MISMATCH, good, hba="other issuer"),
    *(
        Case(
            f"HBA names another, {name}",
            Reason.ISSUER_MISMATCH,
            good,
            {"behind": behind},
            hba="other issuer",
            also=lambda mint: (settings_for(mint, issuer=OTHER), settings_for(mint, issuer=f"{OTHER}-2")),
            no_login=TWO_ISSUERS,
        )
        for name, behind in {
            "opened to another database": {"other0": ("payroll",)},
            "opened to a database that begins so": {"other0": ("appdb2", "app", "APPDB", "appdb ")},
            "opened to what is no pattern here": {"other0": ("*", "app*")},
            "opened behind a third": {"other1": ("appdb",)},
            "opened behind what is not there": {OTHER: ("appdb",), "other": ("appdb",)},
        }.items()
    ),
    Case(
        "HBA names another, which is opened behind this one",
        Reason.ISSUER_MISMATCH,
        good,
        hba="other issuer",
        also=lambda mint: (settings_for(mint, issuer=OTHER, behind={"corp": ("appdb",)}),),
        no_login=TWO_ISSUERS,
    ),
    *(
        Case(
            f"replaced, {name}",
            Reason.ISSUER_REPLACED,
            good,
            settings,
            hba=hba,
            also=lambda mint: (settings_for(mint, issuer=OTHER, replaces="corp", until=date(2026, 6, 30)),),
            no_login=TWO_ISSUERS,
        )
        for name, settings, hba in (
            ("still named by the HBA line", {}, ""),
            ("though opened behind the new one", {"behind": {"other0": ("appdb",)}}, "other issuer"),
            ("at a line of neither", {}, "parent issuer"),
        )
    ),
    Case(
        "identities shared with the issuer that it replaces, and no UUID",
        Reason.SUBJECT_INVALID,
        lambda mint, now: mint.token(iat=now, exp=now + 300, sub="alice"),
        {"replaces": "other0", "until": date(2999, 1, 1)},
        also=lambda mint: (settings_for(mint, issuer=OTHER),),
        no_login=TWO_ISSUERS,
    ),
    Case("HBA names its parent", Reason.ISSUER_MISMATCH, good, hba="parent issuer"),
)

NO_TIMES: tuple[Any, ...] = (True, False, float(NOW), 1.5, 1e300, str(NOW), "1e9", "", "never", None, [NOW], {})
NO_TEXTS: tuple[Any, ...] = (1, None, ["x"], {"x": 1}, True)

TYPES = (
    *(
        claims(f"{name} missing", Reason.CLAIM_MISSING, **{name: ABSENT})
        for name in ("sub", "aud", "exp", "iat", "jti", "azp", "typ")
    ),
    *(
        claims(f"{name} is {value!r}", Reason.CLAIM_TYPE, **{name: value})
        for name in ("exp", "iat", "nbf", "auth_time")
        for value in NO_TIMES
    ),
    *(
        claims(f"{name} is {value!r}", Reason.CLAIM_TYPE, **{name: value})
        for name in ("sub", "azp", "jti", "scope", "sid", "typ", "client_id", "acr")
        for value in NO_TEXTS
    ),
    claims("declared string holds NUL", Reason.CLAIM_TYPE, acr="a\0b"),
    claims("declared int is a bool", Reason.CLAIM_TYPE, level=True),
    claims("declared int is a float", Reason.CLAIM_TYPE, level=1.0),
    claims("declared int is a string", Reason.CLAIM_TYPE, level="3"),
    claims("declared int is larger than bigint", Reason.CLAIM_TYPE, level=2**63),
    claims("declared int is below bigint", Reason.CLAIM_TYPE, level=-(2**63) - 1),
    claims("declared bool is a string", Reason.CLAIM_TYPE, vip="true"),
    claims("declared bool is a number", Reason.CLAIM_TYPE, vip=1),
    claims("declared list is a string", Reason.CLAIM_TYPE, teams="a"),
    claims("declared list is an object", Reason.CLAIM_TYPE, teams={"a": True}),
    claims("declared list holds a number", Reason.CLAIM_TYPE, teams=["a", 1]),
    claims("roles are a string", Reason.CLAIM_TYPE, realm_access={"roles": "db-read"}),
    claims("roles are an object", Reason.CLAIM_TYPE, realm_access={"roles": {"db-read": True}}),
    claims("roles are under a list", Reason.CLAIM_TYPE, realm_access=["roles"]),
    claims("roles hold null", Reason.CLAIM_TYPE, realm_access={"roles": ["db-read", None]}),
    claims("groups hold a list", Reason.CLAIM_TYPE, groups=[["/staff"]]),
    claims("groups are a string", Reason.CLAIM_TYPE, groups="/staff"),
)

TIME = (
    claims("expired at the leeway's end", Reason.TOKEN_EXPIRED, iat=At(-300), exp=At(-10)),
    claims("expired long ago", Reason.TOKEN_EXPIRED, iat=1, exp=300),
    claims("exp zero", Reason.TOKEN_EXPIRED, exp=0),
    claims("exp negative", Reason.TOKEN_EXPIRED, exp=-1),
    claims("exp hugely negative", Reason.TOKEN_EXPIRED, exp=-(10**400)),
    claims("expired, and iat negative", Reason.TOKEN_EXPIRED, iat=-600, exp=-300),
    precise(claims("iat beyond the leeway", Reason.TOKEN_NOT_YET_VALID, iat=At(11))),
    claims("iat in a minute", Reason.TOKEN_NOT_YET_VALID, iat=At(60), exp=At(360)),
    claims("iat huge", Reason.TOKEN_NOT_YET_VALID, iat=10**400, exp=10**400 + 300),
    precise(claims("nbf beyond the leeway", Reason.TOKEN_NOT_YET_VALID, nbf=At(11))),
    claims("nbf in a minute", Reason.TOKEN_NOT_YET_VALID, nbf=At(60)),
    claims("nbf absurd", Reason.TOKEN_NOT_YET_VALID, nbf=10**30),
    claims("auth_time in a minute", Reason.TOKEN_NOT_YET_VALID, auth_time=At(60)),
    claims("lives a second too long", Reason.LIFETIME_TOO_LONG, exp=At(901)),
    claims("lives a day", Reason.LIFETIME_TOO_LONG, exp=At(86_400)),
    claims("lives for ever", Reason.LIFETIME_TOO_LONG, exp=10**400),
    claims("exp in milliseconds", Reason.LIFETIME_TOO_LONG, exp=NOW * 1000),
    claims("issued at the beginning of time", Reason.LIFETIME_TOO_LONG, iat=0),
    claims("iat negative", Reason.LIFETIME_TOO_LONG, iat=-1),
    claims("lives no time at all", Reason.LIFETIME_TOO_LONG, exp=At(0)),
    claims("expires before it is issued", Reason.LIFETIME_TOO_LONG, iat=At(5), exp=At(-2)),
    precise(claims("issued before not_before", Reason.TOKEN_REVOKED, settings={"not_before": At(60)})),
)

AUDIENCES = (
    claims("aud of another", Reason.AUDIENCE_MISMATCH, aud="db:other"),
    claims("aud a list of another", Reason.AUDIENCE_MISMATCH, aud=["db:other"]),
    claims("aud and another", Reason.AUDIENCE_MISMATCH, aud=[AUDIENCE, "account"]),
    claims("another and aud", Reason.AUDIENCE_MISMATCH, aud=["account", AUDIENCE]),
    claims("aud and nothing", Reason.AUDIENCE_MISMATCH, aud=[AUDIENCE, ""]),
    claims("aud an empty list", Reason.AUDIENCE_MISMATCH, aud=[]),
    claims("aud an empty string", Reason.AUDIENCE_MISMATCH, aud=""),
    claims("aud begins as ours", Reason.AUDIENCE_MISMATCH, aud=AUDIENCE + "-2"),
    claims("aud is how ours begins", Reason.AUDIENCE_MISMATCH, aud=AUDIENCE[:-1]),
    claims("aud ends as ours", Reason.AUDIENCE_MISMATCH, aud="my" + AUDIENCE),
    claims("aud in other case", Reason.AUDIENCE_MISMATCH, aud=AUDIENCE.upper()),
    claims("aud with a space after", Reason.AUDIENCE_MISMATCH, aud=AUDIENCE + " "),
    claims("aud with NUL after", Reason.AUDIENCE_MISMATCH, aud=AUDIENCE + "\0"),
    claims("aud names ours among words", Reason.AUDIENCE_MISMATCH, aud=f"{AUDIENCE} account"),
    claims("aud names ours among items", Reason.AUDIENCE_MISMATCH, aud=f"{AUDIENCE},account"),
    claims("aud is a pattern", Reason.AUDIENCE_MISMATCH, aud="db:*"),
    claims("aud is the client", Reason.AUDIENCE_MISMATCH, aud=CLIENT),
    Case(
        "aud is the issuer",
        Reason.AUDIENCE_MISMATCH,
        lambda mint, now: mint.token(aud=mint.url, iat=now, exp=now + 300),
    ),
    claims("aud is a number", Reason.CLAIM_TYPE, aud=1),
    claims("aud is null", Reason.CLAIM_TYPE, aud=None),
    claims("aud is an object", Reason.CLAIM_TYPE, aud={AUDIENCE: True}),
    claims("aud lists a number", Reason.CLAIM_TYPE, aud=[AUDIENCE, 1]),
    claims("aud lists a list", Reason.CLAIM_TYPE, aud=[[AUDIENCE]]),
)

CLIENTS = (
    claims("client not listed", Reason.CLIENT_NOT_ALLOWED, azp="shop"),
    claims("client empty", Reason.CLIENT_NOT_ALLOWED, azp=""),
    claims("client in other case", Reason.CLIENT_NOT_ALLOWED, azp="PGBEARER-CLI"),
    claims("client with a space after", Reason.CLIENT_NOT_ALLOWED, azp=CLIENT + " "),
    claims("client begins as ours", Reason.CLIENT_NOT_ALLOWED, azp=CLIENT + "2"),
    claims("client with a look-alike", Reason.CLIENT_NOT_ALLOWED, azp=CLIENT.replace("c", "\u0441")),
    claims("azp and client_id differ", Reason.CLIENT_NOT_ALLOWED, client_id="shop"),
    claims("client_id is ours, azp is not", Reason.CLIENT_NOT_ALLOWED, azp="shop", client_id=CLIENT),
    Case(
        "no clients listed for Keycloak",
        Reason.CLIENT_NOT_ALLOWED,
        good,
        {"clients": ()},
        no_login="such a file does not load",
    ),
)

SCOPES = (
    claims("no scope at all", Reason.SCOPE_MISSING, scope=ABSENT),
    claims("scope empty", Reason.SCOPE_MISSING, scope=""),
    claims("scope missing", Reason.SCOPE_MISSING, scope="openid"),
    claims("scope begins as ours", Reason.SCOPE_MISSING, scope="db:demo2"),
    claims("scope is how ours begins", Reason.SCOPE_MISSING, scope="db:dem"),
    claims("scope in other case", Reason.SCOPE_MISSING, scope="DB:DEMO"),
    claims("scopes in one word", Reason.SCOPE_MISSING, scope="openid,db:demo"),
    claims("scope under another name", Reason.SCOPE_MISSING, scope="openid", scp=["db:demo"]),
    Case("one of two scopes", Reason.SCOPE_MISSING, good, hba="two scopes"),
    claims("scope a list", Reason.CLAIM_TYPE, scope=["openid", "db:demo"]),
    claims("scope with a tab", Reason.CLAIM_TYPE, scope="openid\tdb:demo"),
    claims("scope with a newline", Reason.CLAIM_TYPE, scope="openid\ndb:demo"),
    claims("scope with two spaces", Reason.CLAIM_TYPE, scope="openid  db:demo"),
    claims("scope with a space before", Reason.CLAIM_TYPE, scope=" db:demo"),
    claims("scope with a quote", Reason.CLAIM_TYPE, scope='db:demo "'),
    claims("scope with a backslash", Reason.CLAIM_TYPE, scope="db:demo \\"),
    claims("scope with a no-break space", Reason.CLAIM_TYPE, scope="openid\u00a0db:demo"),
)

CASES = (*ISSUER, *TYPES, *TIME, *AUDIENCES, *CLIENTS, *SCOPES)


@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_refused(case: Case) -> None:
    assert await outcome(case) is case.reason


@pytest.mark.parametrize("case", [case for case in CASES if case.at_login], ids=name_of)
def test_refused_at_login(door: Door, case: Case) -> None:
    assert door.refusal(case) == case.reason


ACCEPTED = (
    claims("aud in a list", Reason.ALLOWED, aud=[AUDIENCE]),
    claims("expired within the leeway", Reason.ALLOWED, iat=At(-300), exp=At(-9)),
    claims("issued within the leeway", Reason.ALLOWED, iat=At(10), nbf=At(10)),
    claims("lives as long as it may", Reason.ALLOWED, exp=At(900)),
    claims("may_act is no actor", Reason.ALLOWED, may_act={"sub": "agent"}),
    claims("client_id agrees", Reason.ALLOWED, client_id=CLIENT),
)


@pytest.mark.parametrize("case", ACCEPTED, ids=name_of)
async def test_just_within_is_accepted(case: Case) -> None:
    assert await outcome(case) is Reason.ALLOWED


def test_a_token_of_another_issuer_signed_by_its_own_key_does_not_pass_as_ours(door: Door) -> None:
    """The other issuer's key has the very kid of ours."""
    other = Mint(door.issuer.url)
    other.rotate_keys()
    other.keys = [type(other.key)(door.issuer.key.kid, serial=77)]
    assert door.refused(other.token()) == Reason.SIGNATURE_INVALID
