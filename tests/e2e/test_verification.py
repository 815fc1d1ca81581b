"""A real Keycloak's tokens before the verifier: the access token passes, everything else the realm signs does not."""

import base64
import json
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from pgbearer.config.settings import Issuer as IssuerSettings
from pgbearer.http import Fetcher
from pgbearer.tokens import Denied, KeySet, Verifier, Verifiers
from pgbearer.verified import Verified
from pgbearer.wire import Reason
from tests.e2e.fix_keycloak import DEVICE_GRANT, Codes, person
from tests.issuer import b64
from tests.parts.device_pages import approve
from tests.parts.keycloak import Keycloak


class Door:
    """The demo realm's tokens, and a verifier for them."""

    def __init__(self, keycloak: Keycloak, **changes: Any) -> None:
        self.issuer = keycloak.issuer()
        good: dict[str, Any] = {
            "profile": "keycloak",
            "issuer": self.issuer,
            "audience": "db:demo",
            "clients": ("pgbearer-device",),
            "identity": "demo:{sub}",
            "token_roles": ("resource_access", "postgres", "roles"),
        }
        settings = IssuerSettings(**(good | changes))
        self.keys = KeySet("demo", settings, Fetcher(keycloak.ca_file))
        self.verifiers = Verifiers([Verifier("demo", settings, self.keys)])

    async def verify(self, token: str) -> Verified:
        return await self.verifiers.verify(
            token, hba_issuer=self.issuer, hba_scopes=("db:demo",), database="appdb", now=time.time()
        )

    async def refusal(self, token: str) -> Reason:
        with pytest.raises(Denied) as caught:
            await self.verify(token)
        return caught.value.reason


def tokens_of(keycloak: Keycloak, username: str) -> dict[str, str]:
    """The whole token response of a device login with the scope openid, so that there is an ID token too."""
    endpoint, client = f"{keycloak.issuer()}/protocol/openid-connect", {"client_id": "pgbearer-device"}
    with httpx.Client(verify=ssl.create_default_context(cafile=str(keycloak.ca_file)), timeout=30) as http:
        begun = http.post(f"{endpoint}/auth/device", data={**client, "scope": "openid db:demo"}).raise_for_status()
        codes = Codes(**begun.json())
        approve(codes.verification_uri_complete, person(username), ca_file=keycloak.ca_file)
        form = {**client, "grant_type": DEVICE_GRANT, "device_code": codes.device_code}
        answer: dict[str, str] = http.post(f"{endpoint}/token", data=form).raise_for_status().json()
    return answer


@pytest.fixture
async def door(keycloak: Keycloak) -> AsyncIterator[Door]:
    made = Door(keycloak)
    await made.keys.refresh()
    yield made
    await made.keys.aclose()


async def test_access_token_is_accepted_for_what_it_says(door: Door, keycloak: Keycloak) -> None:
    verified = await door.verify(tokens_of(keycloak, "alice")["access_token"])
    assert verified.identity == f"demo:{verified.subject}"
    assert (verified.display, verified.client) == ("alice", "pgbearer-device")
    assert verified.token_roles == {"app_readonly"}
    assert verified.audience == ("db:demo",)


async def test_published_keys_are_usable_but_for_the_encryption_key(door: Door) -> None:
    status = door.keys.status()
    assert status.ready
    assert len(status.keys) == 1
    assert {why for _kid, why in status.unusable} <= {"not marked use=sig"}


@pytest.mark.parametrize("let_off", [False, True])
async def test_no_other_token_of_the_same_login_is_accepted(keycloak: Keycloak, let_off: bool) -> None:
    door = Door(keycloak, insecure_header_typ_jwt=let_off)
    await door.keys.refresh()
    tokens = tokens_of(keycloak, "alice")
    assert await door.refusal(tokens["id_token"]) is (Reason.TOKEN_KIND if let_off else Reason.TOKEN_TYPE)
    # signed with the realm's HMAC key, which nobody else has
    assert await door.refusal(tokens["refresh_token"]) in {Reason.TOKEN_TYPE, Reason.ALGORITHM_NOT_ALLOWED}
    await door.keys.aclose()


async def test_no_claim_can_be_changed(door: Door, keycloak: Keycloak) -> None:
    head, body, signature = tokens_of(keycloak, "carol")["access_token"].split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims["resource_access"] = {"postgres": {"roles": ["app_readwrite"]}}
    forged = f"{head}.{b64(json.dumps(claims).encode())}.{signature}"
    assert await door.refusal(forged) is Reason.SIGNATURE_INVALID
