"""The page about quantum computers says what is so: sizes, limits, a setting that loads, a group that is tested."""

import re
from pathlib import Path

import pytest
import yaml

from docs.generate import module_settings
from pgbearer.config.settings import Issuer, Limits
from pgbearer.tokens.post_quantum import _KINDS, ML_DSA
from pgbearer.wire import MAX_REQUEST_BYTES
from tests.e2e.fix_post_quantum import GROUP
from tests.issuer import Mint

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "post-quantum.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ML_DSA)
def test_sizes_are_those_that_are_checked(name: str) -> None:
    (row,) = re.findall(rf"^\| {name} \| (\d+) \| (\d+) \| ([\d.]+) KB ", PAGE, re.MULTILINE)
    assert (int(row[0]), int(row[1])) == (_KINDS[name].key, _KINDS[name].signature)
    assert float(row[2]) == round(len(Mint(algorithm=name).token()) / 1000, 1)


def test_limits_are_those_that_hold() -> None:
    limits = dict(re.findall(r"^\| (?:`([\w.]+)`|a [\w ]+) \| (\d+) \|", PAGE, re.MULTILINE))
    (module,) = (default for name, _, default, _ in module_settings() if name == "`pgbearer.max_token_size`")
    assert f"{limits['pgbearer.max_token_size']}B" in module
    assert int(limits["limits.token_bytes"]) == Limits().token_bytes
    assert re.search(rf"^\| a login request \| {MAX_REQUEST_BYTES} \|", PAGE, re.MULTILINE)


def test_the_setting_on_the_page_loads() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    algorithms = tuple(yaml.safe_load(block)["algorithms"])
    issuer = Issuer(
        profile="keycloak",
        issuer="https://sso.example.com/realms/corp",
        audience="db:demo",
        clients=("pgbearer-cli",),
        identity="corp:{sub}",
        algorithms=algorithms,
    )
    assert set(issuer.algorithms) <= set(ML_DSA)


def test_ml_dsa_is_accepted_only_where_it_is_named() -> None:
    default = Issuer.model_fields["algorithms"].default
    assert not set(default) & set(ML_DSA)


def test_the_group_is_the_one_that_is_tested() -> None:
    assert f"ssl_groups = '{GROUP}:X25519'" in PAGE
    assert f"Negotiated TLS1.3 group: {GROUP}" in PAGE
