"""Tokens of Entra, Okta and GitHub Actions as documented, but for what an attacker would change or bring instead.

The good ones: tests/unit/test_tokens_samples.py.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from pgbearer.tokens.github_actions import GITHUB_TEXTS
from pgbearer.wire import Reason
from tests.attacks.cases import Case, Publish, name_of, outcome
from tests.attacks.fix_door import Door
from tests.issuer import ABSENT
from tests.samples import (
    ENTRA_1_PERSON,
    ENTRA_APP,
    ENTRA_PATH,
    ENTRA_PERSON,
    GITHUB_BRANCH,
    GITHUB_ENVIRONMENT,
    GITHUB_IMMUTABLE,
    OKTA_PERSON,
    OKTA_SERVICE,
    SAMPLES,
    Sample,
)

OTHER_TENANT = "bbbbcccc-1111-dddd-2222-eeee3333ffff"
ANOTHER_PATH = "the door has one issuer of Entra's form, of version 2.0"


def case(
    name: str,
    reason: Reason,
    sample: Sample,
    *,
    header: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    publish: Publish | None = None,
    **changes: Any,
) -> Case:
    """A documented token with some claims changed."""
    return Case(
        name,
        reason,
        lambda mint, now: sample.token(mint, now, header=header, **changes),
        {**sample.settings, **(settings or {})},
        publish=publish,
        path=sample.path,
        no_login="" if sample.path in ("", ENTRA_PATH) else ANOTHER_PATH,
    )


def keys_of(sample: Sample, *issuers: Any) -> Iterator[Case]:
    """A documented token, whose key is published as one for the tokens of each of these."""
    for issuer in issuers:

        def publish(keys: list[dict[str, Any]], issuer: Any = issuer) -> list[dict[str, Any]]:
            return [{**key, "issuer": issuer} for key in keys]

        yield case(f"entra, a key of {issuer!a}"[:120], Reason.KEY_UNSUITABLE, sample, publish=publish)


def each(name: str, reason: Reason, sample: Sample, claim: str, *values: Any) -> Iterator[Case]:
    """The claim with each of these values."""
    for value in values:
        shown = "absent" if value is ABSENT else f"{value!a}"
        yield case(f"{name} {claim} {shown}"[:120], reason, sample, **{claim: value})


KIND, SUBJECT, TYPE = Reason.TOKEN_KIND, Reason.SUBJECT_INVALID, Reason.CLAIM_TYPE
CLIENT, MISSING, GROUPS = Reason.CLIENT_NOT_ALLOWED, Reason.CLAIM_MISSING, Reason.GROUPS_INCOMPLETE
SHARED: dict[str, Any] = {
    "_claim_names": {"groups": "src1"},
    "_claim_sources": {"src1": {"endpoint": "https://graph.example/groups"}},
}

ENTRA = (
    *each("entra,", KIND, ENTRA_PERSON, "ver", "1.0", "2", "2.00", "", 2.0, 2, None, ["2.0"]),
    *each("entra 1.0,", KIND, ENTRA_1_PERSON, "ver", "2.0", 1),
    *each("entra,", MISSING, ENTRA_PERSON, "ver", ABSENT),
    *each("entra,", MISSING, ENTRA_PERSON, "tid", ABSENT),
    *each("entra,", MISSING, ENTRA_PERSON, "oid", ABSENT),
    *each("entra,", MISSING, ENTRA_PERSON, "azp", ABSENT),
    *each("entra 1.0,", MISSING, ENTRA_1_PERSON, "appid", ABSENT),
    *each("entra,", SUBJECT, ENTRA_PERSON, "tid", OTHER_TENANT, ENTRA_PATH, "", None, [ENTRA_PATH[1:37]], "common"),
    *each("entra,", SUBJECT, ENTRA_PERSON, "oid", "", "alice", None, 7, ["11112222-bbbb-3333-cccc-4444dddd5555"]),
    *each(
        "entra,",
        SUBJECT,
        ENTRA_PERSON,
        "oid",
        "11112222-bbbb-3333-cccc-4444dddd5555\n",
        "AAAA2222-bbbb-3333-cccc-4444dddd5555",
    ),
    *each("entra,", CLIENT, ENTRA_PERSON, "azp", "99991111-aaaa-2222-bbbb-3333cccc4444", ""),
    *each("entra,", TYPE, ENTRA_PERSON, "azp", None, 1, ["00001111-aaaa-2222-bbbb-3333cccc4444"]),
    *each("entra, beside azp", CLIENT, ENTRA_PERSON, "appid", "99991111-aaaa-2222-bbbb-3333cccc4444", None),
    *each("entra 1.0,", TYPE, ENTRA_1_PERSON, "appid", ["00001111-aaaa-2222-bbbb-3333cccc4444"], {}),
    *each("entra, an ID token or an application's:", KIND, ENTRA_PERSON, "scp", ABSENT, "", []),
    *each("entra,", TYPE, ENTRA_PERSON, "scp", 7, None, {"db:demo": True}, "db:demo  x", ["db:demo x"], ["db:demo", 1]),
    *each("entra, a person's with", KIND, ENTRA_PERSON, "idtyp", "app", "device", "", ["user"]),
    *each("entra, an application's with", KIND, ENTRA_APP, "idtyp", ABSENT, "user", "App", True),
    *each("entra, an application's with", KIND, ENTRA_APP, "roles", ABSENT, []),
    *each("entra, an application's with", TYPE, ENTRA_APP, "roles", "db-read", None),
    *each("entra, an application's with", KIND, ENTRA_APP, "scp", "db:demo"),
    case("entra, groups elsewhere", GROUPS, ENTRA_PERSON, groups=ABSENT, **SHARED),
    case("entra, groups elsewhere and here", GROUPS, ENTRA_PERSON, **SHARED),
    *each("entra,", GROUPS, ENTRA_PERSON, "_claim_names", {"groups": "src1"}, "groups", ["groups"], {"groups": None}),
    *each("entra,", GROUPS, ENTRA_PERSON, "hasgroups", True, False, None),
    *each("entra,", GROUPS, ENTRA_PERSON, "groups", "src1"),
    case("entra, an ID token's nonce", KIND, ENTRA_PERSON, nonce="n"),
    *(
        case(f"entra, header typ {typ!a}", Reason.TOKEN_TYPE, ENTRA_PERSON, header={"typ": typ})
        for typ in ("at+jwt", "dpop+jwt", None)
    ),
    case("entra, no header typ", Reason.TOKEN_TYPE, ENTRA_PERSON, header={"typ": ABSENT}),
    case(
        "entra, a nonce in the header, as Graph's have", Reason.HEADER_NOT_ALLOWED, ENTRA_PERSON, header={"nonce": "n"}
    ),
    case(
        "entra, a token of 90 minutes where 15 are allowed", Reason.LIFETIME_TOO_LONG, ENTRA_PERSON, exp=9_999_999_999
    ),
    *keys_of(
        ENTRA_PERSON,
        "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0",
        f"https://sso.example.com/{OTHER_TENANT}/v2.0",
        "https://other.example/{tenantid}/v2.0",
        "",
        None,
        ["https://sso.example.com/{tenantid}/v2.0"],
    ),
    *keys_of(ENTRA_1_PERSON, f"https://login.microsoftonline.com/{OTHER_TENANT}/v2.0", "{tenantid}/v2.0/x"),
    case("entra, for Graph", Reason.AUDIENCE_MISMATCH, ENTRA_PERSON, aud="00000003-0000-0000-c000-000000000000"),
)

OKTA = (
    *each("okta,", KIND, OKTA_PERSON, "ver", 2, "1", 1.0, True, None),
    *each("okta,", MISSING, OKTA_PERSON, "ver", ABSENT),
    *each("okta,", MISSING, OKTA_PERSON, "cid", ABSENT),
    *each("okta,", MISSING, OKTA_PERSON, "scp", ABSENT),
    *each("okta,", MISSING, OKTA_PERSON, "jti", ABSENT),
    *each("okta,", KIND, OKTA_PERSON, "jti", "ID.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE", "", "at.x", "AT"),
    *each("okta,", KIND, OKTA_PERSON, "scp", [], ""),
    *each("okta,", TYPE, OKTA_PERSON, "scp", [1], ["db:demo", None], ["a b"], ["a\nb"], [""], {"db:demo": 1}, True),
    *each("okta,", Reason.SCOPE_MISSING, OKTA_PERSON, "scp", ["openid"], "openid", ["db:demo2"], ["DB:demo"]),
    *each("okta,", CLIENT, OKTA_PERSON, "cid", "0oaother", "", "NMDP1FCYVDVO11AL7ECM"),
    *each("okta,", TYPE, OKTA_PERSON, "cid", None, ["nmdP1fcyvdVO11AL7ECm"], 1),
    *each("okta,", TYPE, OKTA_PERSON, "uid", "", None, 7, ["00ujmkLgagxeRrAg20g3"]),
    *each("okta, a person's with", SUBJECT, OKTA_PERSON, "uid", ABSENT),
    *each("okta, a name not expressible:", Reason.NAME_NOT_EXPRESSIBLE, OKTA_PERSON, "uid", "00u:x", "../x"),
    *each("okta, a service's with", SUBJECT, OKTA_SERVICE, "sub", "alice@example.com", "0oaother"),
    case("okta, an ID token's at_hash", KIND, OKTA_PERSON, at_hash="h"),
    *(
        case(f"okta, header typ {typ!a}", Reason.TOKEN_TYPE, OKTA_PERSON, header={"typ": typ})
        for typ in ("JWT", "application/okta-internal-at+jwt", None, "")
    ),
)

GITHUB = (
    *(case(f"github, {name} absent", MISSING, GITHUB_BRANCH, **{name: ABSENT}) for name in (*GITHUB_TEXTS, "jti")),
    *(one for name in GITHUB_TEXTS for one in each("github,", TYPE, GITHUB_BRANCH, name, 74)),
    *each("github, somebody else's:", CLIENT, GITHUB_BRANCH, "repository_owner_id", "66", "650", "6"),
    *each("github,", SUBJECT, GITHUB_BRANCH, "repository_owner_id", "065", "65 ", "", "-65", "6\u0665"),
    *each("github,", SUBJECT, GITHUB_BRANCH, "repository_id", "074", "", "74/75", "74:75", "9" * 20),
    *each(
        "github,",
        SUBJECT,
        GITHUB_BRANCH,
        "repository",
        "octo-org",
        "evil/octo-repo",
        "octo-org/octo-repo/x",
        "octo-org//octo-repo",
    ),
    *each("github,", SUBJECT, GITHUB_BRANCH, "repository_owner", "evil", ""),
    *each(
        "github,",
        SUBJECT,
        GITHUB_BRANCH,
        "sub",
        "repo:octo-org/other:ref:refs/heads/main",
        "repo:evil/octo-repo:ref:refs/heads/main",
        "repo:octo-org",
        "repo:",
        "repo:octo-org/octo-repo@75",
        "repo:octo-org/octo-repo2:ref:refs/heads/main",
        "repo:octo-org@66/octo-repo@74:x",
        "repo:octo-org/octo-repo:environment:prod",
        "",
    ),
    *each("github, immutable,", SUBJECT, GITHUB_IMMUTABLE, "repository_id", "75"),
    *each("github, an environment's with", SUBJECT, GITHUB_ENVIRONMENT, "environment", "dev", ABSENT, "", "prod:x"),
    *each(
        "github,", Reason.AUDIENCE_MISMATCH, GITHUB_BRANCH, "aud", "https://github.com/octo-org", "sts.amazonaws.com"
    ),
    case("github, no header typ", Reason.TOKEN_TYPE, GITHUB_BRANCH, header={"typ": ABSENT}),
    case("github, another owner, with the repository's name", CLIENT, GITHUB_BRANCH, repository_owner_id="1"),
    case(
        "github, no environment for the identity", MISSING, GITHUB_BRANCH, settings={"identity": "corp:{environment}"}
    ),
)

CASES = (*ENTRA, *OKTA, *GITHUB)


GOOD = tuple(case(name, Reason.ALLOWED, sample) for name, sample in SAMPLES.items())


@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_refused(case: Case) -> None:
    assert await outcome(case) is case.reason


@pytest.mark.parametrize("case", [case for case in CASES if case.at_login], ids=name_of)
def test_refused_at_login(door: Door, case: Case) -> None:
    assert door.refusal(case) == case.reason


@pytest.mark.parametrize("case", [case for case in GOOD if case.at_login], ids=name_of)
def test_a_documented_token_is_let_in(door: Door, case: Case) -> None:
    door.with_rules([{"name": "all", "databases": ["appdb"], "roles": ["app_readonly", "hba_tenant"]}])
    try:
        door.admit(case)
    finally:
        door.with_usual_rules()
