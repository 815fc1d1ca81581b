"""Every kind of token that a real Keycloak signs for the right person and client: only the access token is one."""

import base64
import json
import time
from typing import Any

import pytest

from pgbearer.config.settings import Issuer as IssuerSettings
from pgbearer.http import Fetcher
from pgbearer.tokens import Denied, KeySet, Verifier, Verifiers
from pgbearer.verified import Verified
from pgbearer.wire import Reason
from tests.e2e.fix_kinds import KINDS, Kinds
from tests.e2e.fix_kinds_door import KindsDoor

BY_HEADER, BY_ALGORITHM, BY_KIND = Reason.TOKEN_TYPE, Reason.ALGORITHM_NOT_ALLOWED, Reason.TOKEN_KIND

REASONS: dict[str, tuple[Reason, Reason]] = {
    "ID": (BY_HEADER, BY_KIND),
    "refresh": (BY_HEADER, BY_ALGORITHM),  # signed with the realm's HMAC key, which nobody else has
    "offline": (BY_HEADER, BY_ALGORITHM),
    "registration": (BY_HEADER, BY_ALGORITHM),
    "initial access": (BY_HEADER, BY_ALGORITHM),
    "action": (BY_HEADER, BY_ALGORITHM),
    "logout": (BY_HEADER, BY_HEADER),
    "UserInfo": (BY_HEADER, Reason.CLAIM_MISSING),  # has nothing but a name: no exp, no typ
    "authorization response": (Reason.TOKEN_MALFORMED, Reason.TOKEN_MALFORMED),  # Keycloak writes a member twice
    # whose header is that of an access token
    "access of an offline session": (BY_KIND, BY_KIND),
    "exchanged": (BY_KIND, BY_KIND),
    "requesting party": (BY_KIND, BY_KIND),
    "DPoP-bound": (BY_KIND, BY_KIND),
    "introspection of an ID token": (BY_KIND, BY_KIND),
    "introspection of a refresh token": (BY_KIND, BY_KIND),
    "introspection of an exchanged token": (BY_KIND, BY_KIND),
    "introspection of a DPoP-bound token": (BY_KIND, BY_KIND),
    "impersonated": (Reason.IMPERSONATED, Reason.IMPERSONATED),
    "access without the scope": (Reason.CLAIM_MISSING, Reason.CLAIM_MISSING),  # no aud
    "access of a service": (Reason.CLAIM_MISSING, Reason.CLAIM_MISSING),
    "access of another realm": (Reason.ISSUER_UNKNOWN, Reason.ISSUER_UNKNOWN),
}
"""Why each is refused, and why where the issuer is let off the header's type."""


async def verdict(kinds: Kinds, token: str, **changes: Any) -> Verified | Denied:
    """What the verifier says, as it is set up for the realm."""
    good: dict[str, Any] = {
        "profile": "keycloak",
        "issuer": kinds.issuer,
        "audience": "db:demo",
        "clients": ("pgbearer-cli",),
        "identity": "demo:{sub}",
    }
    settings = IssuerSettings(**(good | changes))
    keys = KeySet("demo", settings, Fetcher(kinds.ca_file))
    await keys.refresh()
    verifiers = Verifiers([Verifier("demo", settings, keys)])
    try:
        return await verifiers.verify(
            token, hba_issuer=kinds.issuer, hba_scopes=("db:demo",), database="appdb", now=time.time()
        )
    except Denied as denied:
        return denied
    finally:
        await keys.aclose()


async def test_access_token_is_accepted(kinds: Kinds) -> None:
    assert isinstance(await verdict(kinds, kinds.access()), Verified)


@pytest.mark.parametrize("kind", KINDS)
async def test_every_other_kind_is_refused(kinds: Kinds, kind: str) -> None:
    token = KINDS[kind](kinds)
    for reason, let_off in zip(REASONS[kind], (False, True), strict=True):
        denied = await verdict(kinds, token, insecure_header_typ_jwt=let_off)
        assert isinstance(denied, Denied)
        assert denied.reason is reason


@pytest.mark.parametrize("kind", KINDS)
def test_every_other_kind_is_refused_at_login(kinds: Kinds, kinds_door: KindsDoor, kind: str) -> None:
    assert kinds_door.refusal(KINDS[kind](kinds)) == REASONS[kind][0]


def test_access_token_logs_in(kinds: Kinds, kinds_door: KindsDoor) -> None:
    """So that it is for their kind that the others are refused."""
    with kinds_door.login(kinds.access()) as connection:
        row = connection.execute("SELECT system_user, current_user").fetchone()
    assert row is not None
    assert (row[0].startswith("oauth:demo:"), row[1]) == (True, "app_readonly")


async def test_introspection_of_the_access_token_is_that_token_again(kinds: Kinds) -> None:
    """It is accepted like the token itself, which whoever asks for it has already: it says, and lives, no more."""
    token = kinds.access()
    again = kinds.introspected(token)
    assert claims_of(again) == claims_of(token)
    assert isinstance(await verdict(kinds, again), Verified)


def test_every_kind_has_its_reasons() -> None:
    assert REASONS.keys() == KINDS.keys()


def claims_of(token: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
