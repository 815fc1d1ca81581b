"""What an access token of an Okta custom authorization server says of itself, and what of it must agree.

Source: "OpenID Connect & OAuth 2.0 API", sections "Access token payload" and "Reserved claims"
(developer.okta.com/docs/api/openapi/okta-oauth). Its header names no ``typ``. Tokens of the org authorization server
are for Okta's own API and opaque to everybody else; they have a ``typ`` of their own, and are refused by it.
"""

from collections.abc import Mapping

from pgbearer.tokens.claims import scope_tokens
from pgbearer.tokens.denied import Denied
from pgbearer.wire import Reason

__all__ = ["okta_claims_agree"]


def okta_claims_agree(payload: Mapping[str, object], _issuer: str) -> None:
    """Version 1, an access token (``jti`` begins with AT), of a person (``uid``) or of the client itself.

    ``sub`` of a person is their user name there, which can be changed and given to others again; ``uid`` is who it is.

    Raises:
        Denied: claim_type, token_kind or subject_invalid.
    """
    if type(payload["ver"]) is not int or payload["ver"] != 1:
        raise Denied(Reason.TOKEN_KIND, f"ver is {payload['ver']!r}, not 1")
    if not str(payload["jti"]).startswith("AT."):
        raise Denied(Reason.TOKEN_KIND, "jti does not begin with AT, as those of access tokens do")
    if not scope_tokens(payload, "scp"):
        raise Denied(Reason.TOKEN_KIND, "scp is empty")
    if "uid" not in payload:
        if payload["sub"] != payload["cid"]:
            raise Denied(Reason.SUBJECT_INVALID, "no uid, so of no person, and sub is not the client (cid)")
    elif not isinstance(payload["uid"], str) or not payload["uid"]:
        raise Denied(Reason.CLAIM_TYPE, "claim 'uid' is not a string")
