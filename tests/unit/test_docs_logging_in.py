"""What docs/logging-in.md shows and quotes is what there is."""

import re
from pathlib import Path
from textwrap import indent

from pgbearer import policy
from pgbearer.client.login import landing
from pgbearer.client.login.browser import PATIENCE
from pgbearer.client.login.request import BROWSER_CLIENT, DEVICE_CLIENT
from pgbearer.config import load

PAGE = (Path(__file__).parents[2] / "docs" / "logging-in.md").read_text(encoding="utf-8")
AROUND = """\
version: 1
servers: {{pay-eu: {{}}}}
issuers:
  corp:
    profile: keycloak
    issuer: https://sso.example.com/realms/corp
    audience: db:pay-eu
    identity: "corp:{{sub}}"
{}
defaults: {{session: {{until: sso, max: 10h}}}}
rules:
  - {{name: readers, any_role: [db-read], databases: [appdb], roles: [app_readonly]}}
"""


def test_the_issuer_on_the_page_keeps_device_logins_from_what_is_critical(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml issuer\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "pgbearer.yaml"
    path.write_text(AROUND.format(indent(block, "    ")))
    path.chmod(0o600)
    (issuer,) = load(path, policy.compile).settings.issuers.values()
    assert issuer.clients == (BROWSER_CLIENT, DEVICE_CLIENT)
    assert issuer.critical is not None
    assert issuer.critical.clients == (BROWSER_CLIENT,)


def test_the_sentences_that_a_browser_shows_are_those_on_the_page() -> None:
    shown = {page.text for page in vars(landing).values() if isinstance(page, landing.Page)}
    for quoted in (
        "This is not the answer to the login that is waited for.",
        "The login did not succeed; the terminal",
    ):
        assert quoted in PAGE
        assert any(text.startswith(quoted) for text in shown)


def test_the_address_and_the_time_on_the_page() -> None:
    assert f"`http://127.0.0.1:PORT{landing.LANDING_PATH}`" in PAGE
    assert f"| time | {PATIENCE / 60:.0f} minutes |" in PAGE
