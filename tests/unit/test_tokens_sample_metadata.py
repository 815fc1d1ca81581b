"""Where the keys of Entra, Okta and GitHub Actions are: their metadata, as they document and publish it."""

import json
from typing import Any

import pytest

from pgbearer.config.settings import Issuer
from pgbearer.http import Reply
from pgbearer.tokens.discovery import MetadataError, find_jwks_uri
from tests.samples import TENANT

ENTRA = f"https://login.microsoftonline.com/{TENANT}"
DOCUMENTS: dict[str, dict[str, Any]] = {
    # learn.microsoft.com/entra/identity-platform/v2-protocols-oidc, "Sample response"
    f"{ENTRA}/v2.0/.well-known/openid-configuration": {
        "issuer": f"{ENTRA}/v2.0",
        "jwks_uri": f"{ENTRA}/discovery/v2.0/keys",
        "token_endpoint": f"{ENTRA}/oauth2/v2.0/token",
        "id_token_signing_alg_values_supported": ["RS256"],
    },
    f"https://sts.windows.net/{TENANT}/.well-known/openid-configuration": {
        "issuer": f"https://sts.windows.net/{TENANT}/",
        "jwks_uri": "https://login.microsoftonline.com/common/discovery/keys",
    },
    # what stands at /common, where every tenant is and none
    "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration": {
        "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0",
        "jwks_uri": "https://login.microsoftonline.com/common/discovery/v2.0/keys",
    },
    # developer.okta.com/docs/api/openapi/okta-oauth/oauth/tag/CustomAS, well-known metadata
    "https://example.okta.com/oauth2/default/.well-known/openid-configuration": {
        "issuer": "https://example.okta.com/oauth2/default",
        "jwks_uri": "https://example.okta.com/oauth2/default/v1/keys",
        "introspection_endpoint": "https://example.okta.com/oauth2/default/v1/introspect",
    },
    # docs.github.com/actions/reference/security/oidc
    "https://token.actions.githubusercontent.com/.well-known/openid-configuration": {
        "issuer": "https://token.actions.githubusercontent.com",
        "jwks_uri": "https://token.actions.githubusercontent.com/.well-known/jwks",
        "id_token_signing_alg_values_supported": ["RS256"],
    },
}
_V1_KEYS = "https://login.microsoftonline.com/common/discovery/keys"


class Published:
    """Answers with `DOCUMENTS`."""

    async def get(self, url: str) -> Reply:
        return Reply(200, {"content-type": "application/json; charset=utf-8"}, json.dumps(DOCUMENTS[url]).encode())

    async def aclose(self) -> None:
        """Nothing is open."""


async def keys_of(profile: Any, issuer: str, jwks_uri: str | None = None) -> str:
    settings = Issuer(profile=profile, issuer=issuer, jwks_uri=jwks_uri, audience="db:x", identity="x:{sub}")
    return await find_jwks_uri(settings, Published())


@pytest.mark.parametrize(
    ("profile", "issuer", "jwks_uri", "keys"),
    [
        ("entra", f"{ENTRA}/v2.0", None, f"{ENTRA}/discovery/v2.0/keys"),
        ("entra", f"https://sts.windows.net/{TENANT}/", _V1_KEYS, _V1_KEYS),
        ("okta", "https://example.okta.com/oauth2/default", None, "https://example.okta.com/oauth2/default/v1/keys"),
        (
            "github-actions",
            "https://token.actions.githubusercontent.com",
            None,
            "https://token.actions.githubusercontent.com/.well-known/jwks",
        ),
    ],
)
async def test_keys_are_found(profile: str, issuer: str, jwks_uri: str | None, keys: str) -> None:
    assert await keys_of(profile, issuer, jwks_uri) == keys


async def test_keys_elsewhere_take_a_persons_word() -> None:
    with pytest.raises(MetadataError, match="not on the issuer's origin"):
        await keys_of("entra", f"https://sts.windows.net/{TENANT}/")


async def test_metadata_of_every_tenant_is_that_of_none() -> None:
    with pytest.raises(MetadataError, match="names another issuer"):
        await keys_of("entra", "https://login.microsoftonline.com/common/v2.0")
