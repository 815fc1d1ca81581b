"""Each decider asks the real server: what it says yes and no to, and what it says when it is asked wrongly."""

import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter

from pgbearer.config.decider_kinds import Decider as DeciderSettings
from pgbearer.deciders import (
    Decider,
    DeciderFault,
    DeciderMisconfigured,
    Line,
    No,
    Opinion,
    Question,
    Yes,
    build_decider,
)
from pgbearer.http import Pool
from tests.e2e.fix_deciders import EXAMPLES
from tests.e2e.fix_keycloak import IssuedToken
from tests.parts import cerbos as cerbos_part
from tests.parts import opa as opa_part
from tests.parts.authority import Authority, Certificate
from tests.parts.cerbos import Cerbos
from tests.parts.keycloak import Keycloak
from tests.parts.needs import NPM, X86_64
from tests.parts.opa import Opa
from tests.parts.processes import wait_until
from tests.unit.questions import DECISION_ID, question

People = Callable[[str], IssuedToken]
SECRET = "demo-secret-postgres-never-in-production"


@contextlib.asynccontextmanager
async def asking(ca_file: Path, certificate: Certificate | None = None, **settings: Any) -> AsyncIterator[Decider]:
    """A decider with these settings, over a line of its own."""
    ours = (certificate.cert_file, certificate.key_file) if certificate else None
    pool = Pool(ca_file=ca_file, certificate=ours, timeout=20, max_bytes=65536, connections=2)
    parsed: DeciderSettings = TypeAdapter(DeciderSettings).validate_python(settings)
    try:
        yield build_decider(parsed, Line(pool))
    finally:
        await pool.aclose()


async def ask(ca_file: Path, about: Question, certificate: Certificate | None = None, **settings: Any) -> Opinion:
    async with asking(ca_file, certificate, **settings) as decider:
        return await decider.ask(about)


def about(issued: IssuedToken, **changes: Any) -> Question:
    """A question about the login of whoever has this token."""
    sub, client = issued.payload["sub"], issued.payload["azp"]
    roles = issued.payload.get("resource_access", {}).get("postgres", {}).get("roles", [])
    person = {"issuer": "demo", "subject": sub, "identity": f"demo:{sub}", "client": client}
    return question(**person | {"token": issued.compact, "token_roles": frozenset(roles)} | changes)


MAY = pytest.mark.parametrize(
    ("username", "role", "may"),
    [
        ("alice", "app_readonly", True),
        ("alice", "app_readwrite", False),
        ("bob", "app_readwrite", True),
        ("carol", "app_readonly", False),
    ],
)


# ---- Keycloak's authorization services


def uma(keycloak: Keycloak, **changes: Any) -> dict[str, Any]:
    return {"type": "keycloak", "url": keycloak.issuer(), "issuer": "demo", "audience": "postgres"} | changes


@MAY
async def test_keycloak_decides_by_permission(
    keycloak: Keycloak, people: People, username: str, role: str, may: bool
) -> None:
    said = await ask(keycloak.ca_file, about(people(username), role=role), **uma(keycloak))

    assert said == (Yes() if may else No(reason="not_authorized"))


async def test_keycloak_knows_no_such_resource_or_scope(keycloak: Keycloak, people: People) -> None:
    for changes in ({"database": "payroll"}, {"role": "owner"}):
        said = await ask(keycloak.ca_file, about(people("alice"), **changes), **uma(keycloak))
        assert isinstance(said, No), changes
        assert said.reason


async def test_keycloak_refuses_whose_session_has_ended(
    keycloak: Keycloak, fresh: People, end_session: Callable[[IssuedToken], None]
) -> None:
    token = fresh("alice")
    assert await ask(keycloak.ca_file, about(token), **uma(keycloak)) == Yes()

    end_session(token)

    assert isinstance(await ask(keycloak.ca_file, about(token), **uma(keycloak)), No)


async def test_keycloak_refuses_what_is_no_token(keycloak: Keycloak, people: People) -> None:
    assert isinstance(await ask(keycloak.ca_file, about(people("alice"), token="a.b.c"), **uma(keycloak)), No)


@pytest.mark.parametrize("changes", [{"audience": "nobody"}, {"audience": "pgbearer-cli"}])
async def test_a_wrong_audience_is_ours_to_mend(keycloak: Keycloak, people: People, changes: dict[str, str]) -> None:
    with pytest.raises(DeciderMisconfigured):
        await ask(keycloak.ca_file, about(people("alice")), **uma(keycloak, **changes))


async def test_a_wrong_realm_is_ours_to_mend(keycloak: Keycloak, people: People) -> None:
    with pytest.raises(DeciderMisconfigured):
        await ask(keycloak.ca_file, about(people("alice")), **uma(keycloak, url=f"{keycloak.url}/realms/nowhere"))


# ---- Keycloak's AuthZEN


@pytest.fixture
def authzen(keycloak: Keycloak, tmp_path: Path) -> dict[str, Any]:
    """The preset, with the credentials of the client that the resources belong to."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    endpoint = f"{keycloak.issuer()}/protocol/openid-connect/token"
    ours = {"token_endpoint": endpoint, "client": "postgres", "secret_file": secret}
    return {"type": "authzen", "preset": "keycloak", "url": keycloak.issuer(), "client_credentials": ours}


@MAY
async def test_keycloak_decides_by_authzen(
    keycloak: Keycloak, people: People, authzen: dict[str, Any], username: str, role: str, may: bool
) -> None:
    said = await ask(keycloak.ca_file, about(people(username), role=role), **authzen)

    assert said == (Yes() if may else No())


@pytest.mark.parametrize("where", ["inserted", "appended"])
async def test_keycloaks_metadata_is_at_both_places(
    keycloak: Keycloak, people: People, authzen: dict[str, Any], where: str
) -> None:
    assert await ask(keycloak.ca_file, about(people("alice")), **authzen, metadata=where) == Yes()


async def test_one_token_of_ours_is_good_for_many_questions(
    keycloak: Keycloak, people: People, authzen: dict[str, Any]
) -> None:
    async with asking(keycloak.ca_file, **authzen) as decider:
        for _ in range(3):
            assert await decider.ask(about(people("alice"))) == Yes()


async def test_keycloak_takes_no_user_name_for_an_id(
    keycloak: Keycloak, people: People, authzen: dict[str, Any]
) -> None:
    assert await ask(keycloak.ca_file, about(people("alice"), subject="alice"), **authzen) == No()


async def test_a_resource_of_another_type_is_another(
    keycloak: Keycloak, people: People, authzen: dict[str, Any]
) -> None:
    assert await ask(keycloak.ca_file, about(people("alice")), **authzen, resource={"type": "database"}) == No()


async def test_the_standards_own_questions_do_with_keycloak_too(
    keycloak: Keycloak, people: People, authzen: dict[str, Any], tmp_path: Path
) -> None:
    """The default preset with what Keycloak wants otherwise, and a token that somebody else fetched."""
    token = tmp_path / "token"
    token.write_text(token_of_ours(keycloak))
    ours: dict[str, Any] = {
        "type": "authzen",
        "url": keycloak.issuer(),
        "metadata": "inserted",
        "bearer_file": token,
        "subject": {"id": "id:{sub}"},
        "resource": {"type": "urn:pgbearer:database"},
    }

    assert await ask(keycloak.ca_file, about(people("alice")), **ours) == Yes()
    assert await ask(keycloak.ca_file, about(people("alice"), role="app_readwrite"), **ours) == No()


async def test_a_wrong_secret_is_ours_to_mend(keycloak: Keycloak, people: People, authzen: dict[str, Any]) -> None:
    wrong = authzen["client_credentials"]["secret_file"]
    wrong.write_text("another")

    with pytest.raises(DeciderMisconfigured):
        await ask(keycloak.ca_file, about(people("alice")), **authzen)


async def test_without_credentials_nothing_is_told(keycloak: Keycloak, people: People, authzen: dict[str, Any]) -> None:
    with pytest.raises(DeciderMisconfigured):
        await ask(keycloak.ca_file, about(people("alice")), **authzen | {"client_credentials": None})


# ---- Cerbos


@MAY
async def test_cerbos_decides_and_tells_by_which_policy(
    cerbos: Cerbos, people: People, username: str, role: str, may: bool
) -> None:
    said = await ask(
        cerbos.ca_file, about(people(username), role=role), type="authzen", preset="cerbos", url=cerbos.url
    )

    assert isinstance(said, Yes if may else No)
    if username != "carol":  # Cerbos has no policy for a principal without a role
        assert said.reason == "matched policy resource.database.vdefault"


async def test_cerbos_gets_names_as_they_are(cerbos: Cerbos, people: People) -> None:
    """A database for which it has no policy of its own, and a client that its policy does not let write."""
    ours: dict[str, Any] = {"type": "authzen", "preset": "cerbos", "url": cerbos.url}

    said = await ask(cerbos.ca_file, about(people("bob"), role="app_readwrite", client="reports"), **ours)
    assert isinstance(said, No)
    said = await ask(cerbos.ca_file, about(people("bob")), **ours, resource={"type": "unheard_of"})
    assert isinstance(said, No)


async def test_cerbos_answers_elsewhere_are_ours_to_mend(cerbos: Cerbos, people: People) -> None:
    with pytest.raises(DeciderMisconfigured):
        await ask(cerbos.ca_file, about(people("bob")), type="authzen", preset="keycloak", url=cerbos.url)


# ---- OPA


@MAY
async def test_opa_decides_and_says_why(opa: Opa, people: People, username: str, role: str, may: bool) -> None:
    said = await ask(opa.ca_file, about(people(username), role=role), type="opa", url=opa.url)

    if may:
        assert said == Yes(reason=f"demo:{people(username).payload['sub']} has the role {role}")
    else:
        assert said == No(reason=f"the token lacks the role {role}")


async def test_opa_knows_the_database(opa: Opa, people: People) -> None:
    said = await ask(opa.ca_file, about(people("alice"), database="payroll"), type="opa", url=opa.url)

    assert said == No(reason="maintenance, or no list of it")


async def test_opas_own_log_has_the_decisions_id(authority: Authority, tmp_path: Path, people: People) -> None:
    opa = opa_part.start(tmp_path, authority, [EXAMPLES / "opa"], "--set=decision_logs.console=true")
    try:
        await ask(opa.ca_file, about(people("alice")), type="opa", url=opa.url)
        wait_until(lambda: f'"id":"{DECISION_ID}"' in opa.log.read_text(), 30, "OPA to log its decision")
    finally:
        opa.stop()
    assert people("alice").compact not in opa.log.read_text()


async def test_undefined_is_a_no(opa: Opa, people: People) -> None:
    said = await ask(opa.ca_file, about(people("alice")), type="opa", url=opa.url, path="pgbearer/nothing")

    assert said == No(reason="pgbearer/nothing is undefined")


async def test_a_plain_yes_does_for_those_who_say_so(opa: Opa, people: People) -> None:
    plain: dict[str, Any] = {"type": "opa", "url": opa.url, "path": "pgbearer/allow"}

    assert await ask(opa.ca_file, about(people("alice")), **plain, request_id="checked") == Yes()
    with pytest.raises(DeciderFault, match="without naming"):
        await ask(opa.ca_file, about(people("alice")), **plain)


async def test_opa_sees_our_certificate(authority: Authority, tmp_path: Path, people: People) -> None:
    options = ("--authentication=tls", f"--tls-ca-cert-file={authority.ca_file}")
    opa = opa_part.start(tmp_path, authority, [EXAMPLES / "opa"], *options)
    try:
        said = await ask(opa.ca_file, about(people("alice")), authority.client("pgbearer"), type="opa", url=opa.url)
        assert isinstance(said, Yes)
        with pytest.raises(DeciderFault):
            await ask(opa.ca_file, about(people("alice")), type="opa", url=opa.url)
    finally:
        opa.stop()


async def test_opa_sees_our_token(authority: Authority, tmp_path: Path, people: People) -> None:
    rule = tmp_path / "authz.rego"
    rule.write_text('package system.authz\ndefault allow := false\nallow if input.identity == "ours"\n')
    token = tmp_path / "token"
    token.write_text("ours")
    options = ("--authentication=token", "--authorization=basic")
    opa = opa_part.start(tmp_path, authority, [EXAMPLES / "opa", rule], *options)
    ours: dict[str, Any] = {"type": "opa", "url": opa.url, "bearer_file": token}
    try:
        assert isinstance(await ask(opa.ca_file, about(people("alice")), **ours), Yes)
        token.write_text("another")
        with pytest.raises(DeciderMisconfigured):
            await ask(opa.ca_file, about(people("alice")), **ours)
    finally:
        opa.stop()


# ---- the examples' own tests


def test_the_sample_rego_passes_its_own_tests() -> None:
    done = opa_part.check("test", EXAMPLES / "opa")
    assert done.returncode == 0, done.stdout
    assert "PASS" in done.stdout
    assert opa_part.check("check", "--strict", EXAMPLES / "opa").returncode == 0
    assert opa_part.check("fmt", "--fail", EXAMPLES / "opa").returncode == 0


def test_the_sample_of_cerbos_passes_its_own_tests(need: Callable[..., None]) -> None:
    need(NPM, X86_64)
    done = cerbos_part.check("compile", EXAMPLES / "cerbos")
    assert done.returncode == 0, done.stdout + done.stderr


def token_of_ours(keycloak: Keycloak) -> str:
    """Of the client that the resources belong to."""
    ca = ssl.create_default_context(cafile=str(keycloak.ca_file))
    form = {"grant_type": "client_credentials"}
    endpoint = f"{keycloak.issuer()}/protocol/openid-connect/token"
    reply = httpx.post(endpoint, data=form, auth=("postgres", SECRET), verify=ca, timeout=30)
    return str(reply.raise_for_status().json()["access_token"])
