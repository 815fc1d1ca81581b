"""Identity templates: what a file may say, and what it yields."""

from typing import Any

import pytest

from pgbearer.config.settings import ClaimType
from pgbearer.errors import UsageError
from pgbearer.tokens import Denied, IdentityTemplate
from pgbearer.tokens.discovery import well_known_urls
from pgbearer.tokens.terms import Terms
from pgbearer.wire import Reason
from tests.issuer import Mint
from tests.unit.fix_tokens import settings_for

DECLARED: dict[str, ClaimType] = {"employee": "string", "level": "int", "teams": "string_list"}


@pytest.mark.parametrize(
    ("template", "identity"),
    [
        ("corp:{sub}", "corp:s-1"),
        ("{sub}", "s-1"),
        ("{employee}/{client}", "e7/cli"),
        ("a{sub}b:{employee}c", "as-1b:e7c"),
    ],
)
def test_rendered(template: str, identity: str) -> None:
    assert IdentityTemplate(template, DECLARED).render("s-1", "cli", {"employee": "e7"}) == identity


@pytest.mark.parametrize(
    "template",
    [
        *("", "corp", "{}", "{sub", "sub}", "{{sub}}", "{nobody}", "{level}", "{teams}"),
        *("{sub}{employee}", "{sub}:{sub}", "{employee}-{sub}", "{employee}@{client}", "{sub}_a.b-C0_{employee}"),
    ],
)
def test_no_template(template: str) -> None:
    with pytest.raises(UsageError):
        IdentityTemplate(template, DECLARED)


def test_values_cannot_reach_into_one_another() -> None:
    """Two people never share an identity: values of claims hold no separator, and sub occurs once."""
    template = IdentityTemplate("{employee}:{sub}", DECLARED)
    assert template.render("b:c", None, {"employee": "a"}) == "a:b:c"
    with pytest.raises(Denied) as caught:
        template.render("c", None, {"employee": "a:b"})
    assert caught.value.reason is Reason.NAME_NOT_EXPRESSIBLE


def test_a_client_that_is_needed_must_be_there() -> None:
    with pytest.raises(Denied) as caught:
        IdentityTemplate("{client}:{sub}", {}).render("s", None, {})
    assert caught.value.reason is Reason.CLAIM_MISSING


@pytest.mark.parametrize(
    ("issuer", "openid", "oauth"),
    [
        (
            "https://h/realms/r",
            "https://h/realms/r/.well-known/openid-configuration",
            "https://h/.well-known/oauth-authorization-server/realms/r",
        ),
        (
            "https://h:8443",
            "https://h:8443/.well-known/openid-configuration",
            "https://h:8443/.well-known/oauth-authorization-server",
        ),
        (
            "https://h/",
            "https://h/.well-known/openid-configuration",
            "https://h/.well-known/oauth-authorization-server",
        ),
    ],
)
def test_well_known_urls(issuer: str, openid: str, oauth: str) -> None:
    assert well_known_urls(issuer) == {"openid-configuration": openid, "oauth-authorization-server": oauth}


@pytest.mark.parametrize(
    ("changes", "header_types"),
    [
        ({}, {"at+jwt", "application/at+jwt"}),
        ({"insecure_header_typ_jwt": True}, {"at+jwt", "application/at+jwt", "jwt", "application/jwt"}),
    ],
)
def test_terms_name_the_header_types(mint: Mint, changes: dict[str, Any], header_types: set[str]) -> None:
    assert Terms.of("corp", settings_for(mint, **changes)).header_types == header_types
