"""What an access token of Microsoft Entra ID says of itself, and what of it must agree.

Sources: "Access token claims reference", "Secure applications and APIs by validating claims" and "Configure and manage
optional claims" of the Microsoft identity platform (learn.microsoft.com/entra/identity-platform). The header's ``typ``
is always JWT there, for ID tokens too, so the claims must tell which kind it is.
"""

import re
from collections.abc import Mapping
from typing import Final

from pgbearer.config.about_profiles import tenant_of
from pgbearer.tokens.claims import scope_tokens, strings
from pgbearer.tokens.denied import Denied
from pgbearer.wire import Reason

__all__ = ["entra_claims_agree", "entra_key_is_anothers", "is_version_2"]

_GUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_version_2(issuer: str) -> bool:
    """Whether this issuer writes tokens of version 2.0: its address ends so ("iss" in the claims reference)."""
    return issuer.endswith("/v2.0")


def entra_claims_agree(payload: Mapping[str, object], issuer: str) -> None:
    """The token is of the issuer's version and tenant, an access token of a person or an application, and complete.

    Raises:
        Denied: claim_type, token_kind, subject_invalid, client_not_allowed or groups_incomplete.
    """
    wanted = "2.0" if is_version_2(issuer) else "1.0"
    if payload["ver"] != wanted:
        raise Denied(Reason.TOKEN_KIND, f"ver is {payload['ver']!r}, this issuer's is {wanted!r}")
    if payload["tid"] != tenant_of(issuer):
        raise Denied(Reason.SUBJECT_INVALID, f"tid {payload['tid']!r} is another tenant than the issuer's")
    if not isinstance(payload["oid"], str) or not _GUID.fullmatch(payload["oid"]):
        raise Denied(Reason.SUBJECT_INVALID, f"oid {payload['oid']!r} is no object's id")
    if "azp" in payload and "appid" in payload and payload["azp"] != payload["appid"]:
        raise Denied(Reason.CLIENT_NOT_ALLOWED, "azp and appid name two clients")
    _one_kind(payload)
    _groups_are_all_there(payload)


def entra_key_is_anothers(key: Mapping[str, object], issuer: str) -> bool:
    """Whether a published key is for other tenants than the issuer's.

    Microsoft publishes keys of several kinds of account side by side, each with the ``issuer`` that it signs for, in
    which ``{tenantid}`` stands for any; a key for personal accounts must make no token of an organization's ("Validate
    the signing key issuer" in "Validating claims"). Documents of version 1.0 do not say it.
    """
    if "issuer" not in key:
        return False
    named, tenant = key["issuer"], tenant_of(issuer)
    if not isinstance(named, str) or tenant is None:
        return True
    named = named.replace("{tenantid}", tenant)
    return named != issuer if is_version_2(issuer) else tenant_of(named) != tenant


def _one_kind(payload: Mapping[str, object]) -> None:
    """A person's token has scopes; an application's has roles instead, and says that it is one.

    "If the roles claim isn't present in an app-only token, deny": any application of the tenant can get a token for any
    API, with no role in it. Without the optional claim ``idtyp`` nothing tells such a token from others for certain.
    """
    kind, scopes = payload.get("idtyp"), scope_tokens(payload, "scp")
    if kind not in (None, "user", "app"):
        raise Denied(Reason.TOKEN_KIND, f"idtyp is {kind!r}")
    if scopes and kind != "app":
        return
    if scopes:
        raise Denied(Reason.TOKEN_KIND, "an application's token (idtyp) with scopes of a person (scp)")
    if kind != "app":
        raise Denied(Reason.TOKEN_KIND, "no scp, so of no person, and idtyp does not say that it is an application's")
    if not strings(payload.get("roles", []), "roles"):
        raise Denied(Reason.TOKEN_KIND, "an application's token without roles: nobody gave it any right here")


def _groups_are_all_there(payload: Mapping[str, object]) -> None:
    """Groups that a token leaves out would be missed by deny rules: better no login than half of them.

    Raises:
        Denied: groups_incomplete.
    """
    names = payload.get("_claim_names")
    elsewhere = names is not None and (not isinstance(names, Mapping) or "groups" in names)
    if "hasgroups" in payload or elsewhere or isinstance(payload.get("groups"), str):
        raise Denied(Reason.GROUPS_INCOMPLETE, "its groups are too many for the token (overage)")
