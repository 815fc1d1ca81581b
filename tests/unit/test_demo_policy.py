"""The policy file of the demo, which people read first: the service takes it as it is."""

from pathlib import Path

import pytest
import yaml

from demo.policy import Addresses, policy_file
from pgbearer import policy
from pgbearer.config import load

ADDRESSES = Addresses(
    issuer="https://localhost:8443/realms/demo",
    ca_file=Path("/demo/tls/ca.crt"),
    run=Path("/demo/run"),
    log=Path("/demo/log"),
    state=Path("/demo/state"),
    postgres_uid=26,
    http="127.0.0.1:8431",
)


def test_every_address_is_filled_in() -> None:
    text = policy_file(ADDRESSES)

    assert "$" not in text
    for value in ("https://localhost:8443/realms/demo", "/demo/tls/ca.crt", "/demo/run/login/login.sock", "uid: 26"):
        assert value in text


@pytest.mark.parametrize(("rule", "roles"), [("readers", ["app_readonly"]), ("writers", ["app_readwrite"])])
def test_rule_gives_one_role_in_one_database(rule: str, roles: list[str]) -> None:
    rules = {each["name"]: each for each in yaml.safe_load(policy_file(ADDRESSES))["rules"]}

    assert rules[rule]["roles"] == roles
    assert rules[rule]["databases"] == ["appdb"]
    assert set(rules[rule]) - {"ask"} == {"name", "any_role", "databases", "roles"}


def test_keycloak_has_the_last_word_on_writers_alone() -> None:
    written = yaml.safe_load(policy_file(ADDRESSES))

    asked = {rule["name"]: rule["ask"] for rule in written["rules"] if "ask" in rule}
    assert asked == {"writers": {"all": ["keycloak"]}}
    assert written["deciders"]["keycloak"]["url"] == written["issuers"]["demo"]["issuer"]


def test_nothing_is_to_be_said_against_it(tmp_path: Path) -> None:
    file = tmp_path / "pgbearer.yaml"
    file.write_text(policy_file(ADDRESSES))
    said = map(str, load(file, policy.compile, in_force=False).warnings)
    assert [each for each in said if "ca.crt cannot be read" not in each] == []  # which the demo makes
