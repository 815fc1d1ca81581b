"""Documented tokens of Entra, Okta and GitHub Actions are accepted, and what is then known. Refused: tests/attacks."""

from urllib.parse import urlsplit

import pytest

from pgbearer.wire import Reason
from tests.issuer import ABSENT, Mint
from tests.samples import (
    ENTRA_1_PERSON,
    ENTRA_APP,
    ENTRA_PERSON,
    GITHUB_BRANCH,
    GITHUB_ENVIRONMENT,
    OKTA_PERSON,
    SAMPLES,
    Sample,
)
from tests.unit.fix_tokens import Desk

NOW = 1_800_000_000


async def desk_for(sample: Sample) -> Desk:
    origin = urlsplit(Mint().url)
    mint = Mint(f"https://{origin.netloc}{sample.path}") if sample.path else Mint()
    desk = Desk(mint, **sample.settings)
    await desk.fetch()
    return desk


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
async def test_a_documented_token_is_accepted(sample: Sample) -> None:
    desk = await desk_for(sample)
    verified = await desk.verify(sample.token(desk.mint, NOW), now=float(NOW))
    assert verified.identity == sample.identity


@pytest.mark.parametrize("sample", [ENTRA_PERSON, ENTRA_1_PERSON])
async def test_keys_at_entra_are_for_any_tenant_or_for_this_one(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its documents of version 2.0 say of each key."""
    desk = await desk_for(sample)
    path = urlsplit(desk.mint.url).path.strip("/").removesuffix("/v2.0")
    for named in (path, "{tenantid}"):
        issuer = f"https://{urlsplit(desk.mint.url).netloc}/{named}/v2.0"
        published = {"keys": [{**key, "issuer": issuer} for key in desk.mint.jwks()["keys"]]}
        monkeypatch.setattr(desk.mint, "jwks", lambda published=published: published)
        await desk.fetch()
        assert await desk.refusal(sample.token(desk.mint, NOW), now=float(NOW)) is Reason.ALLOWED


async def test_what_is_known_of_a_person_at_entra() -> None:
    for sample, display in ((ENTRA_PERSON, "alice@contoso.com"), (ENTRA_1_PERSON, "alice@contoso.com")):
        desk = await desk_for(sample)
        verified = await desk.verify(sample.token(desk.mint, NOW), now=float(NOW))
        assert verified.display == display
        assert verified.client == "00001111-aaaa-2222-bbbb-3333cccc4444"
        assert "db:demo" in verified.scopes
        assert verified.token_roles == {"db-read"}
        assert verified.token_id == "n-5Wz2p0ZkqLzX1xv0oBAA"


async def test_wids_are_a_claim_for_conditions_and_no_roles() -> None:
    desk = await desk_for(ENTRA_PERSON)
    verified = await desk.verify(ENTRA_PERSON.token(desk.mint, NOW), now=float(NOW))
    assert verified.claims["wids"] == ("b79fbf4d-3ef9-4689-8143-76b194e85509",)
    assert "b79fbf4d-3ef9-4689-8143-76b194e85509" not in verified.token_roles | verified.groups


async def test_an_application_at_entra_has_no_scopes_of_its_own() -> None:
    desk = await desk_for(ENTRA_APP)
    token = ENTRA_APP.token(desk.mint, NOW)
    assert (await desk.verify(token, now=float(NOW))).scopes == frozenset()
    assert await desk.refusal(token, now=float(NOW), hba_scopes=("db:other",)) is Reason.SCOPE_MISSING


async def test_other_claims_elsewhere_leave_the_groups_whole() -> None:
    desk = await desk_for(ENTRA_PERSON)
    token = ENTRA_PERSON.token(desk.mint, NOW, _claim_names={"department": "src1"})
    assert (await desk.verify(token, now=float(NOW))).groups == {"22223333-cccc-4444-dddd-5555eeee6666"}


@pytest.mark.parametrize("scp", [["openid", "db:demo"], "openid db:demo"])
async def test_scopes_are_a_list_or_text(scp: object) -> None:
    desk = await desk_for(OKTA_PERSON)
    verified = await desk.verify(OKTA_PERSON.token(desk.mint, NOW, scp=scp), now=float(NOW))
    assert verified.scopes == {"openid", "db:demo"}


async def test_at_okta_a_renamed_person_stays_the_same() -> None:
    desk = await desk_for(OKTA_PERSON)
    before = await desk.verify(OKTA_PERSON.token(desk.mint, NOW), now=float(NOW))
    after = await desk.verify(OKTA_PERSON.token(desk.mint, NOW, sub="alice.b@example.com"), now=float(NOW))
    assert before.identity == after.identity
    assert after.display == "alice.b@example.com"


@pytest.mark.parametrize(
    "subject",
    [
        "repo:octo-org/octo-repo",
        "repo:octo-org@65/octo-repo@74:environment:prod",
        "repo:octo-org/octo-repo:environment:prod:ref:refs/heads/main",
        "repository_owner:octo-org:job_workflow_ref:octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main",
        "job_workflow_ref:octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main",
    ],
)
async def test_a_customised_subject_is_accepted_and_the_identity_does_not_hang_on_it(subject: str) -> None:
    desk = await desk_for(GITHUB_ENVIRONMENT)
    verified = await desk.verify(GITHUB_ENVIRONMENT.token(desk.mint, NOW, sub=subject), now=float(NOW))
    assert (verified.identity, verified.client, verified.display) == ("corp:65:74", "65", "octo-org/octo-repo")


async def test_an_environment_with_a_colon_is_written_otherwise_in_the_subject() -> None:
    desk = await desk_for(GITHUB_ENVIRONMENT)
    subject = "repo:octo-org/octo-repo:environment:Production%3AV1"
    token = GITHUB_ENVIRONMENT.token(desk.mint, NOW, sub=subject, environment="Production:V1")
    assert (await desk.verify(token, now=float(NOW))).claims["environment"] == "Production:V1"


async def test_what_conditions_can_ask_of_a_job() -> None:
    desk = await desk_for(GITHUB_BRANCH)
    token = GITHUB_BRANCH.token(desk.mint, NOW, job_workflow_ref=ABSENT)
    claims = (await desk.verify(token, now=float(NOW))).claims
    assert claims["ref"] == "refs/heads/main"
    assert "environment" not in claims
    assert "job_workflow_ref" not in claims


async def test_keys_as_entra_publishes_them_are_usable() -> None:
    """Without alg, and with a certificate beside them that nobody here looks at."""
    desk = await desk_for(ENTRA_PERSON)
    (key,) = desk.mint.jwks()["keys"]
    published = {name: value for name, value in key.items() if name != "alg"}
    published |= {"x5t": "thumbprint", "x5c": ["MIIC"], "issuer": desk.mint.url, "cloud_instance_name": "x"}
    desk.mint.jwks = lambda: {"keys": [published]}  # type: ignore[method-assign]
    await desk.fetch()
    assert await desk.refusal(ENTRA_PERSON.token(desk.mint, NOW), now=float(NOW)) is Reason.ALLOWED
