"""Access tokens of servers that no test can reach, as their documentation shows them; a mint signs them anew.

Times, issuer and audience are the test's own; every other claim and the header's ``typ`` are as documented.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.issuer import ABSENT, AUDIENCE, Mint

__all__ = [
    "ENTRA_1_PERSON",
    "ENTRA_APP",
    "ENTRA_PATH",
    "ENTRA_PERSON",
    "GITHUB_BRANCH",
    "GITHUB_ENVIRONMENT",
    "GITHUB_IMMUTABLE",
    "GITHUB_PULL_REQUEST",
    "OKTA_PERSON",
    "OKTA_SERVICE",
    "SAMPLES",
    "TENANT",
    "Sample",
]

TENANT: Final = "aaaabbbb-0000-cccc-1111-dddd2222eeee"
ENTRA_PATH: Final = f"/{TENANT}/v2.0"


@dataclass(frozen=True)
class Sample:
    """One documented token, and settings of an issuer that accept it."""

    claims: Mapping[str, Any]
    settings: Mapping[str, Any]
    header: Mapping[str, Any]
    path: str = ""
    """Of the issuer's address; empty: any."""
    identity: str = ""
    """What becomes of it."""

    def token(self, mint: Mint, now: int, *, header: Mapping[str, Any] | None = None, **changes: Any) -> str:
        """Signed by `mint`, issued at `now` (epoch seconds); ABSENT leaves out a claim."""
        usual: dict[str, Any] = dict.fromkeys(mint.claims(), ABSENT)
        times = {"iat": now, "nbf": now, "exp": now + 300}
        claims = {**usual, **self.claims, "iss": mint.url, "aud": AUDIENCE, **times, **changes}
        return mint.token(header={**self.header, **(header or {})}, **claims)


_ENTRA: Final = {
    "profile": "entra",
    "clients": ("00001111-aaaa-2222-bbbb-3333cccc4444",),
    "identity": "corp:{oid}",
    "claims": {"oid": "string", "wids": "string_list"},
}
_OID: Final = "11112222-bbbb-3333-cccc-4444dddd5555"

# learn.microsoft.com/entra/identity-platform/access-token-claims-reference, payload claims, tokens of version 2.0
ENTRA_PERSON: Final = Sample(
    claims={
        "aio": "opaque",
        "azp": "00001111-aaaa-2222-bbbb-3333cccc4444",
        "azpacr": "0",
        "groups": ["22223333-cccc-4444-dddd-5555eeee6666"],
        "name": "Alice",
        "oid": _OID,
        "preferred_username": "alice@contoso.com",
        "rh": "opaque",
        "roles": ["db-read"],
        "scp": "openid db:demo",
        "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
        "tid": TENANT,
        "uti": "n-5Wz2p0ZkqLzX1xv0oBAA",
        "ver": "2.0",
        "wids": ["b79fbf4d-3ef9-4689-8143-76b194e85509"],
    },
    settings=_ENTRA,
    header={"typ": "JWT"},
    path=ENTRA_PATH,
    identity=f"corp:{_OID}",
)
# the same, and optional-claims-reference: idtyp says "app" of the client credentials flow; sub is then oid
ENTRA_APP: Final = Sample(
    claims={
        "aio": "opaque",
        "azp": "00001111-aaaa-2222-bbbb-3333cccc4444",
        "azpacr": "1",
        "idtyp": "app",
        "oid": _OID,
        "rh": "opaque",
        "roles": ["db-read"],
        "sub": _OID,
        "tid": TENANT,
        "uti": "n-5Wz2p0ZkqLzX1xv0oBAA",
        "ver": "2.0",
    },
    settings={**_ENTRA, "implied_scopes": ("db:demo",)},
    header={"typ": "JWT"},
    path=ENTRA_PATH,
    identity=f"corp:{_OID}",
)
# the same, tokens of version 1.0
ENTRA_1_PERSON: Final = Sample(
    claims={
        "acr": "1",
        "aio": "opaque",
        "amr": ["pwd", "mfa"],
        "appid": "00001111-aaaa-2222-bbbb-3333cccc4444",
        "appidacr": "0",
        "ipaddr": "192.0.2.7",
        "name": "Alice",
        "oid": _OID,
        "rh": "opaque",
        "roles": ["db-read"],
        "scp": "db:demo",
        "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
        "tid": TENANT,
        "unique_name": "alice@contoso.com",
        "uti": "n-5Wz2p0ZkqLzX1xv0oBAA",
        "ver": "1.0",
    },
    settings={**_ENTRA, "display": "unique_name"},
    header={"typ": "JWT", "x5t": "thumbprint"},
    path=f"/{TENANT}/",
    identity=f"corp:{_OID}",
)

_OKTA: Final = {
    "profile": "okta",
    "clients": ("nmdP1fcyvdVO11AL7ECm",),
    "identity": "corp:{uid}",
    "claims": {"uid": "string"},
    "display": "sub",
}
# developer.okta.com/docs/api/openapi/okta-oauth/guides/overview, access token payload
OKTA_PERSON: Final = Sample(
    claims={
        "ver": 1,
        "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
        "sub": "alice@example.com",
        "cid": "nmdP1fcyvdVO11AL7ECm",
        "uid": "00ujmkLgagxeRrAg20g3",
        "scp": ["openid", "email", "db:demo"],
        "groups": ["db-readers"],
    },
    settings=_OKTA,
    header={"typ": ABSENT},
    identity="corp:00ujmkLgagxeRrAg20g3",
)
# the same, client credentials: no person, so no uid
OKTA_SERVICE: Final = Sample(
    claims={
        "ver": 1,
        "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
        "sub": "nmdP1fcyvdVO11AL7ECm",
        "cid": "nmdP1fcyvdVO11AL7ECm",
        "scp": ["db:demo"],
    },
    settings={**_OKTA, "identity": "corp:{sub}"},
    header={"typ": ABSENT},
    identity="corp:nmdP1fcyvdVO11AL7ECm",
)

_GITHUB: Final = {
    "profile": "github-actions",
    "clients": ("65",),
    "identity": "corp:{repository_owner_id}:{repository_id}",
    "claims": {
        **dict.fromkeys(("repository", "repository_id", "repository_owner_id", "ref", "ref_type"), "string"),
        **dict.fromkeys(("event_name", "environment", "workflow", "job_workflow_ref", "runner_environment"), "string"),
    },
    "implied_scopes": ("db:demo",),
    "display": "repository",
}
# docs.github.com/actions/concepts/security/openid-connect, "Understanding the OIDC token"
_JOB: Final = {
    "jti": "example-id",
    "sub": "repo:octo-org/octo-repo:environment:prod",
    "environment": "prod",
    "ref": "refs/heads/main",
    "sha": "example-sha",
    "repository": "octo-org/octo-repo",
    "repository_owner": "octo-org",
    "actor_id": "12",
    "repository_visibility": "private",
    "repository_id": "74",
    "repository_owner_id": "65",
    "run_id": "example-run-id",
    "run_number": "10",
    "run_attempt": "2",
    "runner_environment": "github-hosted",
    "actor": "octocat",
    "workflow": "example-workflow",
    "head_ref": "",
    "base_ref": "",
    "event_name": "workflow_dispatch",
    "ref_type": "branch",
    "job_workflow_ref": "octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main",
}
_WITHOUT: Final = {name: value for name, value in _JOB.items() if name != "environment"}


def _job(claims: Mapping[str, Any]) -> Sample:
    header = {"typ": "JWT", "x5t": "example-thumbprint"}
    return Sample(claims=claims, settings=_GITHUB, header=header, identity="corp:65:74")


GITHUB_ENVIRONMENT: Final = _job(_JOB)
# "Example subject claims"
GITHUB_BRANCH: Final = _job({**_WITHOUT, "sub": "repo:octo-org/octo-repo:ref:refs/heads/main", "event_name": "push"})
GITHUB_PULL_REQUEST: Final = _job(
    {
        **_WITHOUT,
        "sub": "repo:octo-org/octo-repo:pull_request",
        "ref": "refs/pull/7/merge",
        "head_ref": "feature",
        "base_ref": "main",
        "event_name": "pull_request",
    }
)
# "Immutable subject claims"
GITHUB_IMMUTABLE: Final = _job({**_WITHOUT, "sub": "repo:octo-org@65/octo-repo@74:ref:refs/heads/main"})

SAMPLES: Final[Mapping[str, Sample]] = {
    "entra, a person": ENTRA_PERSON,
    "entra, an application": ENTRA_APP,
    "entra, a person, version 1.0": ENTRA_1_PERSON,
    "okta, a person": OKTA_PERSON,
    "okta, a service": OKTA_SERVICE,
    "github, a job with an environment": GITHUB_ENVIRONMENT,
    "github, a job on a branch": GITHUB_BRANCH,
    "github, a job of a pull request": GITHUB_PULL_REQUEST,
    "github, an immutable subject": GITHUB_IMMUTABLE,
}
