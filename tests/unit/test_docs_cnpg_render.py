"""The page on making Clusters: its spec renders, what it says is refused is, and its keys are those there are."""

import re
from pathlib import Path

import pytest

from pgbearer.cnpg import Spec, decode_spec, render
from pgbearer.config import ConfigError

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "cloudnativepg-render.md").read_text()
HELP = re.findall(r"```yaml\n(.*?)```", (DOCS / "cli.md").read_text(), re.DOTALL)[0]
"""What `--help` shows."""
EXAMPLE, EVERYTHING, REFUSED = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


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


def test_every_key_is_told_of() -> None:
    told = set(re.findall(r"`(\w+)[.\w\[\]]*`", "\n".join(re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE))))
    assert told == set(Spec.model_fields) - {"version"}
