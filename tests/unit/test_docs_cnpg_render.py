"""The page on making Clusters: its spec renders, what it says is refused is, and its keys are those there are."""

import re
from pathlib import Path

import pytest

from pgbearer.cnpg import Spec, decode_spec, render
from pgbearer.cnpg.policy_text import read_policy
from pgbearer.cnpg.profiles import PROFILES
from pgbearer.config import ConfigError

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "cloudnativepg-render.md").read_text()
HELP = re.findall(r"```yaml\n(.*?)```", (DOCS / "cli.md").read_text(), re.DOTALL)[0]
"""What `--help` shows."""
EXAMPLE, EVERYTHING, REFUSED, OF_ENTRA, OF_BOTH = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", [EXAMPLE, HELP], ids=["page", "help"])
def test_the_example_renders(example: str) -> None:
    made = render(decode_spec(example, "orders.yaml"))
    assert {"Cluster", "ConfigMap", "NetworkPolicy"} <= {each["kind"] for each in made.objects}


def test_the_platforms_own_renders() -> None:
    made = render(decode_spec(EVERYTHING, "orders.yaml"))
    assert {"ExternalSecret", "PeerAuthentication", "PrometheusRule", "ClusterRoleBinding"} <= {
        each["kind"] for each in made.objects
    }


def test_the_line_is_refused_until_it_says_what_it_is() -> None:
    with pytest.raises(ConfigError, match="insecure_lines"):
        render(decode_spec(EXAMPLE + REFUSED, "orders.yaml"))
    assert render(decode_spec(EXAMPLE + "insecure_" + REFUSED, "orders.yaml")).objects


@pytest.mark.parametrize(
    ("text", "profiles", "scopes"),
    [(OF_ENTRA, ["entra"], ["db.orders"]), (OF_BOTH, ["keycloak", "okta"], ["openid db:orders", "openid db:orders"])],
)
def test_those_with_other_issuers_render(text: str, profiles: list[str], scopes: list[str]) -> None:
    objects = render(decode_spec(text, "orders.yaml")).objects
    settings = read_policy(next(each["data"]["pgbearer.yaml"] for each in objects if each["kind"] == "ConfigMap"))
    assert settings is not None
    assert [issuer.profile for issuer in settings.issuers.values()] == profiles
    (lines,) = (each["spec"]["postgresql"]["pg_hba"] for each in objects if each["kind"] == "Cluster")
    assert re.findall(r'scope="(.*?)"', "\n".join(lines)) == scopes


def test_the_table_of_profiles_is_of_those_there_are() -> None:
    table = dict(re.findall(r"^\| \[(\w+)\]\(profiles/\1\.md\) \| (.*)", PAGE, re.MULTILINE))
    assert set(table) == set(PROFILES)
    for name, profile in PROFILES.items():
        _, scope, _ = (cell.strip() for cell in table[name].strip(" |").split("|"))
        assert scope.startswith("`openid`") is profile.openid


def test_every_key_is_told_of() -> None:
    told = set(re.findall(r"`(\w+)[.\w\[\]]*`", "\n".join(re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE))))
    assert told == set(Spec.model_fields) - {"version"}
