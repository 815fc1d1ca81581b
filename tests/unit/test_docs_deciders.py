"""What docs/deciders shows is what is meant: settings that load, questions as they are asked."""

import json
import re
from datetime import date
from pathlib import Path

import pytest

from pgbearer import policy
from pgbearer.config import ConfigError, load
from pgbearer.config.decider_kinds import AuthZenDecider, OpaDecider
from pgbearer.deciders import AuthZen, Opa
from pgbearer.wire import Client, Tls
from tests.unit.questions import Scripted, json_reply, question

DOCS = Path(__file__).parents[2] / "docs" / "deciders"
PAGES = {page.stem: page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("*.md"))}
SETTINGS = [
    pytest.param(block, id=f"{name}-{number}")
    for name, text in PAGES.items()
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL))
]
HEAD = """\
version: 1
servers: {pay-eu: {}}
issuers:
  corp:
    profile: keycloak
    issuer: https://sso.example.com/realms/corp
    audience: db:pay-eu
    clients: [pgbearer-cli]
    identity: "corp:{sub}"
    claims: {acr: string}
defaults: {session: {until: sso, max: 10h}}
"""


def written(folder: Path, block: str) -> Path:
    """A file with these settings, and every file that they name."""
    for file in re.findall(r"/etc/pgbearer/([a-z.-]+)", block):
        (folder / file).write_text("secret\n")
        (folder / file).chmod(0o600)
    path = folder / "pgbearer.yaml"
    path.write_text(HEAD + block.replace("/etc/pgbearer/", f"{folder}/"))
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("block", SETTINGS)
def test_settings_on_the_pages_are_good(block: str, tmp_path: Path) -> None:
    warnings = load(written(tmp_path, block), policy.compile, today=date(2026, 12, 1)).warnings

    assert [problem for problem in warnings if problem.severity != "notice"] == []


def test_every_page_shows_settings() -> None:
    assert set(PAGES) == {"index", "keycloak", "authzen", "opa"}
    assert len(SETTINGS) == 8


def test_a_secret_that_others_can_write_is_refused_wherever_it_is_named(tmp_path: Path) -> None:
    (block,) = [value for one in SETTINGS if "postgres-secret" in (value := str(one.values[0]))]
    path = written(tmp_path, block)
    (tmp_path / "postgres-secret").chmod(0o666)

    with pytest.raises(ConfigError) as caught:
        load(path, policy.compile, today=date(2026, 12, 1))

    (problem,) = caught.value.problems
    assert problem.path[2:] == ("client_credentials", "secret_file")


async def test_the_input_shown_is_the_input() -> None:
    (shown,) = re.findall(r"```json\n(.*?)```", PAGES["opa"], re.DOTALL)
    opa = Scripted([json_reply({})])
    tls = Tls(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", client_cert_sha256=None)
    login = question(
        server="pay-eu",
        subject="5f0c",
        identity="corp:5f0c",
        token_roles=frozenset({"app_readonly"}),
        request_client=Client(address="10.1.2.3", port=50000, tls=tls),
    )

    await Opa(OpaDecider(type="opa", url="https://opa.example.com"), opa.line).ask(login)

    asked = opa.said[0].json["input"]
    assert asked | {"id": "1f0a7c5b3d2e49f88a61"} == json.loads(shown)


async def test_the_evaluation_shown_is_the_evaluation() -> None:
    (shown,) = re.findall(r"```json\n(.*?)```", PAGES["authzen"], re.DOTALL)
    pdp = Scripted([json_reply({"decision": False})])
    login = question(server="pay-eu", subject="5f0c", identity="corp:5f0c", token_roles=frozenset({"app_readonly"}))

    await AuthZen(AuthZenDecider(type="authzen", url="https://pdp.example.com"), pdp.line).ask(login)

    assert pdp.said[0].json == json.loads(shown)
