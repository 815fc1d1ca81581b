"""Names that try to be more than a name, from the database's side and from the token's."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from pgbearer.wire import Reason
from tests.attacks.cases import Case, claims, name_of, outcome
from tests.attacks.fix_door import Door
from tests.integration.fix_chain import Chain, whole_chain
from tests.integration.fix_service import Service
from tests.parts.authority import Authority
from tests.parts.postgres import Installation
from tests.raw_login import RawLogin

LOOKALIKES = ("appdb ", " appdb", "APPDB", "аppdb", "appdb\u200b", "appdb\u202e", "ａppdb")
INJECTED_DATABASES = (
    "appdb#app_readonly",
    "appdb,payroll",
    "appdb\n",
    "appdb\npayroll",
    "resource-type:db",
    "*",
    "app?b",
)
INJECTED_ROLES = (
    "app_readonly#app_readwrite",
    "app_readonly,app_readwrite",
    "app_readonly\n",
    "app_readonly ",
    "App_Readonly",
    "аpp_readonly",  # begins with the Cyrillic letter
    "app_readonly\u200b",
    "*",
    "{who}",
    "oauth:demo",
)
RULES = [
    {"name": "readers", "any_role": ["db-read"], "databases": ["appdb"], "roles": ["app_readonly"]},
    {"name": "own", "any_role": ["own"], "databases": ["postgres"], "roles": ["{who}"]},
    {
        "name": "given",
        "any_role": ["given"],
        "databases": ["postgres"],
        "roles_from": {"claim": "groups", "strip": "/"},
    },
]
OFFERED = ("appdb#x", "a,b", "a b", "a\nb", "äpp", "-x", "*", "resource-type:x", "a\u200bb")


SUBJECTS = (
    "",
    " ",
    " alice",
    "alice ",
    "al\0ice",
    "al\tice",
    "al\nice",
    "al\rice",
    "al\x1bice",
    "al\x7fice",
    "al\x85ice",
    "al\u202eice",
    "al\u2066ice",
    "al\u200eice",
    "al\u200bice",
    "al\u200dice",
    "al\u2028ice",
    "al\u2029ice",
    "al\u00a0ice",
    "al\u3000ice",
    "al\ufeffice",
    "al\ue000ice",
    "al\U000e0041ice",
    "x" * 256,
    "x" * 300,
    "é" * 128,
    "spiffe://example.org/db",
    "system:serviceaccount:default:db",
)
"""Empty, with controls, reordered, invisible, too long, or of a namespace that is not a person's issuer's."""

UNFIT = (
    "",
    "a#b",
    "a,b",
    "a:b",
    "a/b",
    "a b",
    "a\n",
    "-a",
    ".a",
    "a" * 64,
    "ä",
    "{sub}",
    "{",
    "%s",
    "$1",
    "a'b",
    'a"b',
    "a;b",
)

CASES = (
    *(claims(f"sub {sub[:40]!a} of {len(sub)}", Reason.SUBJECT_INVALID, sub=sub) for sub in SUBJECTS),
    claims("identity too long", Reason.SUBJECT_INVALID, sub="x" * 252),
    claims("identity of a workload", Reason.SUBJECT_INVALID, sub="x", settings={"identity": "spiffe://{sub}"}),
    *(
        claims(f"acr {acr!a} in the identity", Reason.NAME_NOT_EXPRESSIBLE, acr=acr, settings={"identity": "c:{acr}"})
        for acr in UNFIT
    ),
    claims("claim of the identity missing", Reason.CLAIM_MISSING, settings={"identity": "c:{acr}"}),
)


@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_refused(case: Case) -> None:
    assert await outcome(case) is case.reason


@pytest.mark.parametrize("case", [case for case in CASES if case.at_login], ids=name_of)
def test_refused_at_login(door: Door, case: Case) -> None:
    assert door.refusal(case) == case.reason


PERSON = "f1a6bb5e-6f40-4b4e-8b55-5f2b29a35b2e"


@pytest.fixture(scope="module")
def named(postgres: Installation, issuer_authority: Authority) -> Iterator[Chain]:
    """A chain where all these names exist, and where a token can name roles."""
    with whole_chain(postgres, issuer_authority) as running:
        demo = running.service.settings["issuers"]["demo"] | {"claims": {"who": "string"}}
        running.service.change(issuers={"demo": demo}, rules=RULES)
        running.service.await_line("reloaded")
        for name in (*LOOKALIKES, *INJECTED_DATABASES):
            running.server.sql(f'CREATE DATABASE "{name}"')
        for name in sorted({*INJECTED_ROLES, *OFFERED} - {"{who}"}):
            running.server.sql(f'CREATE ROLE "{name}" LOGIN')
        yield running


def granting(chain: Chain, role: str, **claims: Any) -> str:
    """A token with one token role."""
    return chain.issuer.token(realm_access={"roles": [role]}, **claims)


@pytest.mark.parametrize("database", [*LOOKALIKES, *INJECTED_DATABASES], ids=ascii)
def test_a_database_that_is_named_nearly_so_is_another(named: Chain, database: str) -> None:
    assert named.refusal(database=database) == "no_rule"
    assert named.service.decisions()[-1]["database"] == database


@pytest.mark.parametrize("role", sorted({*INJECTED_ROLES} - {"{who}"}), ids=ascii)
def test_a_role_that_is_named_nearly_so_is_another(named: Chain, role: str) -> None:
    assert named.refusal(role) == "role_not_allowed"
    assert named.service.decisions()[-1]["role"] == role


def test_a_template_is_no_name(named: Chain) -> None:
    assert named.refusal("{who}", "postgres", token=granting(named, "own", who="{who}")) == "role_unknown"


@pytest.mark.parametrize("name", OFFERED, ids=ascii)
def test_what_a_claim_says_never_becomes_more_than_a_name(named: Chain, name: str) -> None:
    assert named.refusal(name, "postgres", token=granting(named, "own", who=name)) == "name_not_expressible"


@pytest.mark.parametrize("name", OFFERED, ids=ascii)
def test_what_a_group_says_never_becomes_more_than_a_name(named: Chain, name: str) -> None:
    assert (
        named.refusal(name, "postgres", token=granting(named, "given", groups=[f"/{name}"])) == "name_not_expressible"
    )


def test_a_plain_name_from_the_token_is_one(named: Chain) -> None:
    """The same two rules, to show that they are what refuses above."""
    for token in (granting(named, "own", who="app_readonly"), granting(named, "given", groups=["/app_readonly"])):
        with named.login("app_readonly", "postgres", token=token):
            pass


@pytest.mark.parametrize("value", ["app_readonly\0", "\0", "app\0readonly"], ids=ascii)
def test_nul_in_a_claim_is_refused_before_any_rule(named: Chain, value: str) -> None:
    assert named.refusal("app_readonly", "postgres", token=granting(named, "own", who=value)) == "claim_type"


@pytest.mark.parametrize(
    "subject", [f"{PERSON}\0", f"{PERSON}\n", f"{PERSON}\u202e", "spiffe://demo/db", "system:serviceaccount:a:b"]
)
def test_a_subject_does_not_reach_into_the_identity(named: Chain, subject: str) -> None:
    assert named.refusal(token=named.issuer.token(sub=subject)) == "subject_invalid"


async def test_nul_in_a_role_ends_the_name_and_the_login(named: Chain) -> None:
    """The protocol ends names with NUL: what follows shifts the parameters, and PostgreSQL asks nobody."""
    decided = len(named.service.decisions())
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await RawLogin.begin(named.server.folder, named.issuer.token(), role=b"app_readonly\0app_readwrite")
    assert len(named.service.decisions()) == decided


@pytest.mark.parametrize(
    ("member", "name"),
    [("role", "app_readonly\0"), ("role", "app_readonly\0x"), ("database", "appdb\0"), ("database", "\0")],
)
def test_nul_in_a_request_is_refused(shared_service: Service, member: str, name: str) -> None:
    """No PostgreSQL can send it, so this is another caller."""
    answer = shared_service.post(shared_service.encoded(**{member: name}))
    assert (answer.status, answer.body["reason"]) == (400, "request_invalid")
    assert answer.body["detail"] == f"{member} holds a NUL"
